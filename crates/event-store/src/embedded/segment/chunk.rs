//! The wrapping of a chunk: one byte that says whether what follows is compressed.

use super::bytes::{Corrupt, Reader, put_varint};
use std::cell::RefCell;
use std::io;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Bytes of the checksum in front of a chunk.
pub(super) const CHECKSUM: usize = 4;
/// Shorter payloads are not worth the attempt.
const WORTH_COMPRESSING: usize = 64;
/// Compression level: texts shrink about as far as at higher levels, at several times the speed.
const LEVEL: i32 = 3;

/// How many eighths of a payload its compressed form may take.
#[derive(Clone, Copy)]
pub(super) enum Worth {
    /// For what queries scan: integers and codes are short already, and faster to read as they are.
    Half = 4,
    /// For what is read to be shown.
    SevenEighths = 7,
}

/// Compresses chunks, keeping its working memory.
pub(super) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    /// Allocates the working memory.
    pub fn new() -> io::Result<Self> {
        Ok(Self(zstd::bulk::Compressor::new(LEVEL)?))
    }

    /// Wraps a payload, compressed if that is worth a try and it becomes that much shorter. Nothing stays nothing.
    pub fn pack(&mut self, payload: &[u8], worth: Option<Worth>) -> io::Result<Vec<u8>> {
        if payload.is_empty() {
            return Ok(Vec::new());
        }
        if u32::try_from(payload.len() + CHECKSUM + 1).is_err() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a block of events is longer than 4 GiB"));
        }
        if let Some(worth) = worth.filter(|_| payload.len() >= WORTH_COMPRESSING) {
            let compressed = self.0.compress(payload)?;
            if compressed.len() < payload.len() / 8 * worth as usize {
                let mut chunk = vec![ZSTD];
                put_varint(&mut chunk, payload.len() as u64);
                chunk.extend(compressed);
                return Ok(chunk);
            }
        }
        let mut chunk = Vec::with_capacity(payload.len() + 1);
        chunk.push(PLAIN);
        chunk.extend_from_slice(payload);
        Ok(chunk)
    }
}

/// The checksum of a chunk at a place of the file, so that a chunk that came to another place is noticed.
pub(super) fn checksum_at(offset: u64, chunk: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&offset.to_le_bytes()), chunk)
}

/// The chunk behind its checksum, which was written for this place of the file.
pub(super) fn checked(offset: u64, bytes: &[u8]) -> Result<&[u8], Corrupt> {
    let (checksum, chunk) = bytes.split_first_chunk::<CHECKSUM>().ok_or(Corrupt("a chunk has no checksum"))?;
    if checksum_at(offset, chunk).to_le_bytes() == *checksum {
        Ok(chunk)
    } else {
        Err(Corrupt("the checksum does not fit"))
    }
}

thread_local! {
    /// Working memory for decompression: setting it up costs more than most chunks do.
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decompress(compressed: &[u8], payload: &mut Vec<u8>) -> io::Result<usize> {
    UNPACKER.with_borrow_mut(|unpacker| {
        let unpacker = match unpacker {
            Some(unpacker) => unpacker,
            None => unpacker.insert(zstd::bulk::Decompressor::new()?),
        };
        unpacker.decompress_to_buffer(compressed, payload)
    })
}

/// The payload of a chunk whose checksum was found right; `buffer` is memory for one that is compressed.
pub(super) fn unpack<'a>(chunk: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<&'a [u8], Corrupt> {
    match chunk.split_first() {
        None => Ok(chunk),
        Some((&PLAIN, payload)) => Ok(payload),
        Some((&ZSTD, rest)) => {
            let mut reader = Reader::new(rest);
            let length = u32::try_from(reader.varint()?).map_err(|_| Corrupt("a chunk is too long"))? as usize;
            buffer.clear();
            buffer.reserve(length);
            let found = decompress(reader.remaining(), buffer);
            match found.map_err(|_| Corrupt("a chunk cannot be decompressed"))? == length {
                true => Ok(buffer),
                false => Err(Corrupt("a chunk has the wrong length")),
            }
        }
        Some(_) => Err(Corrupt("a chunk has an unknown wrapping")),
    }
}
