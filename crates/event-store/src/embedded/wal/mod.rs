//! The write-ahead log: what is in it survives, what is not was never acknowledged.
//!
//! Invariant: frames are numbered without gaps; a frame is written only after the one before it is durable. So at most
//! one frame can be torn by a crash, the last, and a later frame proves that every earlier one was durable.

mod compression;
mod frame;
mod recover;
mod spares;

pub(crate) use frame::{BLOCK, FRAME_HEADER_LEN};
pub(crate) use recover::{Marks, check, recover};
pub(crate) use spares::Spares;

use super::disk::DiskFile;
use super::identity::Secret;
use crate::StoreError;
use compression::Compression;
use frame::{FILE_HEADER_LEN, FileHeader, FrameHeader, VERSION, frame_len};
use std::path::PathBuf;
use std::sync::Arc;

/// Fast, and still a third of the raw size: the log is read once at most.
const COMPRESSION_LEVEL: i32 = 1;

/// A log file of this store.
struct LogFile {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    len: u64,
}

/// A log file whose frames may be needed.
struct UsedFile {
    log: LogFile,
    /// The format of its frames.
    version: u32,
    epoch: u64,
    first_sequence: u64,
}

/// The log, open for writing.
pub(crate) struct Wal {
    secret: Secret,
    used: Vec<UsedFile>,
    spares: Arc<Spares>,
    position: u64,
    next_sequence: u64,
    next_epoch: u64,
    compression: Compression,
    compressor: zstd::bulk::Compressor<'static>,
    /// A compressed frame.
    buffer: Vec<u8>,
}

impl Wal {
    /// The most bytes of payload that one frame takes in a file of `file_len` bytes.
    pub fn capacity(file_len: u64) -> usize {
        usize::try_from(file_len - BLOCK).unwrap_or(usize::MAX) - FRAME_HEADER_LEN
    }

    /// The files for the next use.
    pub fn spares(&self) -> Arc<Spares> {
        Arc::clone(&self.spares)
    }

    /// Writes one frame and makes it durable; returns its sequence and how long the disk took to sync, in microseconds.
    /// `frame` is [`FRAME_HEADER_LEN`] bytes of room and the payload. After a full disk the same sequence is written
    /// again by the next call; after any other error the log must not be used.
    pub fn append(&mut self, frame: &mut Vec<u8>, rows: u32) -> Result<(u64, u64), StoreError> {
        let payload = frame.len() - FRAME_HEADER_LEN;
        let is_compressed = self.compression.pays_for(payload) && self.compress(frame);
        let mut buffer = if is_compressed { std::mem::take(&mut self.buffer) } else { std::mem::take(frame) };
        let written = self.write(&mut buffer, payload, rows, is_compressed);
        *(if is_compressed { &mut self.buffer } else { frame }) = buffer;
        written
    }

    fn write(
        &mut self,
        frame: &mut Vec<u8>,
        raw_len: usize,
        rows: u32,
        compressed: bool,
    ) -> Result<(u64, u64), StoreError> {
        let stored = &frame[FRAME_HEADER_LEN..];
        let too_large = |_| stopped("a frame is larger than 4 GiB");
        let (stored_len, checksum) = (u32::try_from(stored.len()).map_err(too_large)?, crc32c::crc32c(stored));
        let raw_len = u32::try_from(raw_len).map_err(too_large)?;
        frame.resize(frame_len(stored_len as usize) as usize, 0);
        self.make_room(frame.len() as u64)?;
        // `make_room` left the current file at the end.
        let Some(current) = self.used.last() else { return Err(stopped("the log has no file")) };
        let (epoch, sequence) = (current.epoch, self.next_sequence);
        let header = FrameHeader { stored_len, raw_len, rows, epoch, sequence, checksum, compressed };
        frame[..FRAME_HEADER_LEN].copy_from_slice(&header.encode(&self.secret));
        let log = &current.log;
        let started = std::time::Instant::now();
        log.file.write_all_at(frame, self.position).map_err(StoreError::io("cannot write", &log.path))?;
        let written = std::time::Instant::now();
        // A failed sync may have dropped the pages: nothing can be known of them, so it is never tried again.
        log.file.sync_data().map_err(|error| stopped(format!("cannot sync {}: {error}", log.path.display())))?;
        if !compressed {
            self.compression.note(frame.len(), micros_since(started));
        }
        self.position += frame.len() as u64;
        self.next_sequence += 1;
        Ok((sequence, micros_since(written)))
    }

    /// Compresses a frame's payload into the buffer, behind room for the header; `false` if it does not get smaller.
    fn compress(&mut self, frame: &[u8]) -> bool {
        self.buffer.resize(frame.len(), 0);
        let payload = &frame[FRAME_HEADER_LEN..];
        match self.compressor.compress_to_buffer(payload, &mut self.buffer[FRAME_HEADER_LEN..]) {
            Ok(len) => {
                self.buffer.truncate(FRAME_HEADER_LEN + len);
                true
            }
            Err(_) => false,
        }
    }

    /// Goes on in another file when the frame does not fit any more.
    fn make_room(&mut self, needed: u64) -> Result<(), StoreError> {
        if self.used.last().is_some_and(|current| self.position.saturating_add(needed) <= current.log.len) {
            return Ok(());
        }
        let log = self.spares.take()?;
        let header = FileHeader { version: VERSION, epoch: self.next_epoch, first_sequence: self.next_sequence };
        // Counted even if the write fails: what of it reached the disk must not share its epoch with the next attempt.
        self.next_epoch += 1;
        let mut block = vec![0; BLOCK as usize];
        block[..FILE_HEADER_LEN].copy_from_slice(&header.encode(&self.secret));
        log.file.write_all_at(&block, 0).map_err(StoreError::io("cannot write", &log.path))?;
        log.file.sync_data().map_err(|error| stopped(format!("cannot sync {}: {error}", log.path.display())))?;
        self.used.push(UsedFile { log, version: VERSION, epoch: header.epoch, first_sequence: header.first_sequence });
        self.position = BLOCK;
        Ok(())
    }

    /// Frees the files whose every frame is at or below `low`: they are sealed elsewhere.
    pub fn recycle(&mut self, low: u64) -> Result<(), StoreError> {
        while self.used.get(1).is_some_and(|next| next.first_sequence <= low + 1) {
            let UsedFile { log, version, epoch, first_sequence } = self.used.remove(0);
            if let Some(log) = self.spares.give(log)? {
                self.used.insert(0, UsedFile { log, version, epoch, first_sequence });
                break;
            }
        }
        Ok(())
    }

    /// Sequence of the last durable frame.
    pub fn last_sequence(&self) -> u64 {
        self.next_sequence - 1
    }

    /// How many files there are, and their bytes.
    pub fn size(&self) -> (u64, u64) {
        let spare = self.spares.count();
        let used = self.used.iter().map(|used| used.log.len).sum::<u64>();
        (self.used.len() as u64 + spare, used + spare * self.spares.file_len())
    }
}

fn micros_since(start: std::time::Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}

fn stopped(reason: impl Into<String>) -> StoreError {
    StoreError::Stopped { reason: reason.into() }
}
