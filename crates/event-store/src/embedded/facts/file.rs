//! The facts file: all facts as of one commit, compressed.
//!
//! 44 bytes of header, little endian: magic (8), version (4), the last frame of the log whose facts are in it (8), bytes
//! of the facts (8), bytes as they are stored (8), CRC-32C of these (4), CRC-32C of the header before it (4). Then the
//! facts, as zstd.

use super::codec::{self, Unread};
use super::{Fact, Facts};
use crate::StoreError;
use crate::embedded::disk::{Access, Disk};
use crate::embedded::identity::Secret;
use std::io::{self, Read};
use std::path::Path;

const MAGIC: &[u8; 8] = b"TSFACTS\0";
const HEADER_LEN: usize = 44;
/// The format that this program writes.
const VERSION: u32 = 1;
/// Fast; the texts of a ledger repeat, so it is small all the same.
const COMPRESSION_LEVEL: i32 = 1;

/// Writes the file at `path` and syncs it; gives its size. It counts only once the MANIFEST names it.
pub(crate) fn write(disk: &dyn Disk, path: &Path, sequence: u64, facts: &[u8]) -> Result<u64, StoreError> {
    let failed = || StoreError::io("cannot write", path);
    let stored = zstd::bulk::compress(facts, COMPRESSION_LEVEL).map_err(failed())?;
    let mut bytes = Vec::with_capacity(HEADER_LEN + stored.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    for number in [sequence, facts.len() as u64, stored.len() as u64] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32c::crc32c(&stored).to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend_from_slice(&stored);
    let file = disk.create(path, Access::Owner).map_err(failed())?;
    file.write_all_at(&bytes, 0).and_then(|()| file.sync_all()).map_err(failed())?;
    Ok(bytes.len() as u64)
}

/// The last frame whose facts are in a file, and the facts.
fn parse(path: &Path, bytes: &[u8]) -> Result<(u64, Vec<Fact>), StoreError> {
    let damaged = |offset: usize, what: &str| StoreError::damaged(path, offset as u64, what);
    let (header, stored) =
        bytes.split_first_chunk::<HEADER_LEN>().ok_or_else(|| damaged(bytes.len(), "it is too short"))?;
    if header[..8] != MAGIC[..] {
        return Err(damaged(0, "this is no facts file"));
    }
    let found = u32_at(header, 8);
    if found > VERSION {
        return Err(StoreError::Newer { path: path.to_path_buf(), found, known: VERSION });
    }
    if found == 0 || u32_at(header, 40) != crc32c::crc32c(&header[..40]) {
        return Err(damaged(40, "the checksum of the header does not fit"));
    }
    let (sequence, raw_len, stored_len) = (u64_at(header, 12), u64_at(header, 20), u64_at(header, 28));
    if stored_len != stored.len() as u64 || u32_at(header, 36) != crc32c::crc32c(stored) {
        return Err(damaged(HEADER_LEN, "the checksum of the facts does not fit"));
    }
    let raw = unpack(stored, raw_len).map_err(|_| damaged(HEADER_LEN, "the facts cannot be unpacked"))?;
    let facts = codec::decode_all(&raw).map_err(|unread| match unread {
        Unread::Broken => damaged(HEADER_LEN, "the facts cannot be decoded"),
        Unread::Newer(kind) => damaged(HEADER_LEN, &format!("there is a fact of the unknown kind {kind}")),
    })?;
    Ok((sequence, facts))
}

/// Memory grows with what is there, not with what the header promises.
fn unpack(stored: &[u8], raw_len: u64) -> io::Result<Vec<u8>> {
    let mut raw = Vec::new();
    zstd::stream::read::Decoder::new(stored)?.take(raw_len.saturating_add(1)).read_to_end(&mut raw)?;
    if raw.len() as u64 == raw_len { Ok(raw) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Reads the facts of a store and checks that they are those that the MANIFEST means.
pub(crate) fn open(disk: &dyn Disk, path: &Path, len: u64, secret: &Secret) -> Result<(Facts, Vec<Fact>), StoreError> {
    let bytes = disk.read(path).map_err(StoreError::io("cannot read", path))?;
    decode(path, &bytes, len, secret)
}

/// The facts in the bytes of a file.
pub(crate) fn decode(path: &Path, bytes: &[u8], len: u64, secret: &Secret) -> Result<(Facts, Vec<Fact>), StoreError> {
    let (sequence, list) = parse(path, bytes)?;
    if len != bytes.len() as u64 {
        return Err(StoreError::damaged(path, 0, "it is not the facts file that the MANIFEST names"));
    }
    let mut facts = Facts { sequence, in_file: sequence, ..Facts::default() };
    list.iter().for_each(|fact| facts.apply(secret, fact.clone()));
    Ok((facts, list))
}

fn u32_at(bytes: &[u8; HEADER_LEN], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8; HEADER_LEN], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::disk::HostDisk;
    use tallystick_domain::{Instant, Namespace};

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in ["a", "b"] {
            let namespace = Namespace::parse(name).unwrap();
            let fact = Fact::CutOff { namespace, event_type: "t".into(), before: Instant::MAX };
            codec::encode(&fact, &mut bytes);
        }
        bytes
    }

    #[test]
    fn facts_are_read_as_they_were_written_and_any_flipped_bit_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("1.facts");
        let len = write(&HostDisk, &path, 7, &sample()).unwrap();
        let secret = Secret::new([1; 16]);
        let (facts, list) = open(&HostDisk, &path, len, &secret).unwrap();
        assert_eq!((facts.sequence, list), (7, codec::decode_all(&sample()).unwrap()));
        assert_eq!(facts.cut_off(&Namespace::parse("b").unwrap(), "t"), Some(Instant::MAX));
        assert!(open(&HostDisk, &path, len + 1, &secret).is_err());
        let good = std::fs::read(&path).unwrap();
        for bit in 0..good.len() * 8 {
            let mut broken = good.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, broken).unwrap();
            let error = open(&HostDisk, &path, len, &secret).err().expect("a flipped bit must be found");
            assert!(error.to_string().contains("1.facts"), "bit {bit}: {error}");
        }
        for len in 0..good.len() {
            std::fs::write(&path, &good[..len]).unwrap();
            assert!(open(&HostDisk, &path, len as u64, &secret).is_err(), "{len} bytes");
        }
    }
}
