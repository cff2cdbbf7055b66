//! The bytes of a log file: a header block, then frames, each of which starts on a block.
//!
//! File header: magic, version, epoch, sequence of the first frame, tag. Frame header: magic, stored length, raw length,
//! rows, epoch, sequence, CRC-32C of the stored payload, compression, tag. All numbers are little endian. The epoch is
//! new with every use of a file, so frames from its earlier use do not fit. The tag is keyed: no payload looks like a
//! header.

use crate::embedded::identity::Secret;

/// Headers and frames start on multiples of this many bytes.
pub(crate) const BLOCK: u64 = 4096;
/// Bytes of a frame's header.
pub(crate) const FRAME_HEADER_LEN: usize = 48;
/// Bytes of a file's header that carry something.
pub(super) const FILE_HEADER_LEN: usize = 32;
/// The format of log files that this program writes.
pub(super) const VERSION: u32 = 2;

const FRAME_MAGIC: [u8; 4] = *b"TSWF";
const FILE_MAGIC: [u8; 4] = *b"TSWL";

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub stored_len: u32,
    pub raw_len: u32,
    pub rows: u32,
    pub epoch: u64,
    pub sequence: u64,
    pub checksum: u32,
    pub compressed: bool,
}

impl FrameHeader {
    pub fn encode(&self, secret: &Secret) -> [u8; FRAME_HEADER_LEN] {
        let mut bytes = [0; FRAME_HEADER_LEN];
        bytes[0..4].copy_from_slice(&FRAME_MAGIC);
        bytes[4..8].copy_from_slice(&self.stored_len.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.raw_len.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.rows.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[36..40].copy_from_slice(&u32::from(self.compressed).to_le_bytes());
        let tag = secret.tag(&bytes[..40]);
        bytes[40..48].copy_from_slice(&tag.to_le_bytes());
        bytes
    }

    /// The header at the start of `bytes`, if this store wrote one there.
    pub fn decode(bytes: &[u8], secret: &Secret) -> Option<Self> {
        let bytes: &[u8; FRAME_HEADER_LEN] = bytes.first_chunk()?;
        let well_tagged = bytes[..4] == FRAME_MAGIC && u64_at(bytes, 40) == secret.tag(&bytes[..40]);
        well_tagged.then(|| Self {
            stored_len: u32_at(bytes, 4),
            raw_len: u32_at(bytes, 8),
            rows: u32_at(bytes, 12),
            epoch: u64_at(bytes, 16),
            sequence: u64_at(bytes, 24),
            checksum: u32_at(bytes, 32),
            compressed: u32_at(bytes, 36) == 1,
        })
    }

    /// How much of the file the frame takes.
    pub fn frame_len(&self) -> u64 {
        frame_len(self.stored_len as usize)
    }
}

/// How much of a file a frame takes whose payload has `stored_len` bytes.
pub(super) fn frame_len(stored_len: usize) -> u64 {
    ((FRAME_HEADER_LEN + stored_len) as u64).next_multiple_of(BLOCK)
}

/// What a log file says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileHeader {
    pub version: u32,
    pub epoch: u64,
    /// The frames before this one lie in earlier files and were durable when this header was written.
    pub first_sequence: u64,
}

impl FileHeader {
    pub fn encode(&self, secret: &Secret) -> [u8; FILE_HEADER_LEN] {
        let mut bytes = [0; FILE_HEADER_LEN];
        bytes[0..4].copy_from_slice(&FILE_MAGIC);
        bytes[4..8].copy_from_slice(&self.version.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_sequence.to_le_bytes());
        let tag = secret.tag(&bytes[..24]);
        bytes[24..32].copy_from_slice(&tag.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8], secret: &Secret) -> Option<Self> {
        let bytes: &[u8; FILE_HEADER_LEN] = bytes.first_chunk()?;
        let well_tagged = bytes[..4] == FILE_MAGIC && u64_at(bytes, 24) == secret.tag(&bytes[..24]);
        well_tagged.then(|| Self {
            version: u32_at(bytes, 4),
            epoch: u64_at(bytes, 8),
            first_sequence: u64_at(bytes, 16),
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip_and_any_flipped_bit_unmakes_them() {
        let secret = Secret::new([3; 16]);
        let frame = FrameHeader {
            stored_len: 9,
            raw_len: 10,
            rows: 2,
            epoch: 5,
            sequence: 77,
            checksum: 0xdead_beef,
            compressed: true,
        };
        let file = FileHeader { version: VERSION, epoch: 5, first_sequence: 70 };
        let (frame_bytes, file_bytes) = (frame.encode(&secret), file.encode(&secret));
        assert_eq!(FrameHeader::decode(&frame_bytes, &secret), Some(frame));
        assert_eq!(FileHeader::decode(&file_bytes, &secret), Some(file));
        for bit in 0..FRAME_HEADER_LEN * 8 {
            let mut broken = frame_bytes;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FrameHeader::decode(&broken, &secret), None, "bit {bit}");
        }
        for bit in 0..FILE_HEADER_LEN * 8 {
            let mut broken = file_bytes;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(FileHeader::decode(&broken, &secret), None, "bit {bit}");
        }
        assert_eq!(FrameHeader::decode(&frame_bytes, &Secret::new([4; 16])), None, "a sender cannot make one");
        assert_eq!(FrameHeader::decode(&[0; 48], &secret), None);
    }
}
