//! The wrapping of a chunk: one byte that says whether what follows is compressed.

use super::bytes::{Corrupt, Reader, put_varint};

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
/// Shorter payloads are not worth the attempt.
const WORTH_COMPRESSING: usize = 64;
/// Compression level: texts shrink about as far as at higher levels, at several times the speed.
const LEVEL: i32 = 3;

/// Compresses chunks, keeping its working memory.
pub(super) struct Packer(zstd::bulk::Compressor<'static>);

impl Packer {
    /// Allocates the working memory.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self(zstd::bulk::Compressor::new(LEVEL)?))
    }

    /// Wraps a payload, compressed where that saves an eighth. Nothing stays nothing.
    pub fn pack(&mut self, payload: &[u8]) -> std::io::Result<Vec<u8>> {
        if payload.is_empty() {
            return Ok(Vec::new());
        }
        if payload.len() >= WORTH_COMPRESSING {
            let compressed = self.0.compress(payload)?;
            if compressed.len() < payload.len() / 8 * 7 {
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

/// The payload of a chunk whose checksum was found right.
pub(super) fn unpack(mut chunk: Vec<u8>) -> Result<Vec<u8>, Corrupt> {
    match chunk.first() {
        None => Ok(chunk),
        Some(&PLAIN) => {
            chunk.remove(0);
            Ok(chunk)
        }
        Some(&ZSTD) => {
            let mut reader = Reader::new(&chunk[1..]);
            let length = u32::try_from(reader.varint()?).map_err(|_| Corrupt("a chunk is too long"))? as usize;
            let payload = zstd::bulk::decompress(reader.remaining(), length);
            let payload = payload.map_err(|_| Corrupt("a chunk cannot be decompressed"))?;
            if payload.len() == length { Ok(payload) } else { Err(Corrupt("a chunk has the wrong length")) }
        }
        Some(_) => Err(Corrupt("a chunk has an unknown wrapping")),
    }
}
