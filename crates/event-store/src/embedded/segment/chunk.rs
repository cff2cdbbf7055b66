//! The wrapping of a chunk: one byte that says whether what follows is compressed.

use super::bytes::{Corrupt, Reader, put_varint};
use std::cell::RefCell;
use std::io;

const PLAIN: u8 = 0;
const ZSTD: u8 = 1;
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

    /// Wraps a payload, compressed if it becomes shorter than `worth`. Nothing stays nothing.
    pub fn pack(&mut self, payload: &[u8], worth: Worth) -> io::Result<Vec<u8>> {
        if payload.is_empty() {
            return Ok(Vec::new());
        }
        if payload.len() >= WORTH_COMPRESSING {
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

thread_local! {
    /// Working memory for decompression: setting it up costs more than most chunks do.
    static UNPACKER: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
}

fn decompress(compressed: &[u8], length: usize) -> io::Result<Vec<u8>> {
    UNPACKER.with_borrow_mut(|unpacker| {
        let unpacker = match unpacker {
            Some(unpacker) => unpacker,
            None => unpacker.insert(zstd::bulk::Decompressor::new()?),
        };
        unpacker.decompress(compressed, length)
    })
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
            let payload = decompress(reader.remaining(), length);
            let payload = payload.map_err(|_| Corrupt("a chunk cannot be decompressed"))?;
            if payload.len() == length { Ok(payload) } else { Err(Corrupt("a chunk has the wrong length")) }
        }
        Some(_) => Err(Corrupt("a chunk has an unknown wrapping")),
    }
}
