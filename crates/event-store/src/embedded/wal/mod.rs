//! The write-ahead log: what is in it survives, what is not was never acknowledged.
//!
//! Invariant: frames are numbered without gaps; a frame is written only after the one before it is durable. So at most
//! one frame can be torn by a crash, the last, and a later frame proves that every earlier one was durable.

mod frame;
mod recover;

pub(crate) use frame::BLOCK;
pub(crate) use recover::{Marks, Payload, recover};

use super::disk::{Access, Disk, DiskFile, Writing};
use super::files::{self, numbered_files, sync_dir};
use super::identity::Secret;
use crate::StoreError;
use frame::{FILE_HEADER_LEN, FRAME_HEADER_LEN, FileHeader, FrameHeader, VERSION, frame_len};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Sealed files that are kept for their next use; more are removed.
const SPARE_FILES: usize = 2;
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
    epoch: u64,
    first_sequence: u64,
}

/// The log, open for writing.
pub(crate) struct Wal {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    secret: Secret,
    file_len: u64,
    used: Vec<UsedFile>,
    spare: Vec<LogFile>,
    position: u64,
    next_sequence: u64,
    next_epoch: u64,
    next_number: u64,
    compressor: zstd::bulk::Compressor<'static>,
    buffer: Vec<u8>,
}

impl Wal {
    /// The most raw bytes that one frame takes in a file of `file_len` bytes, however badly they compress.
    pub fn capacity(file_len: u64) -> usize {
        usize::try_from(file_len - BLOCK).unwrap_or(usize::MAX) - FRAME_HEADER_LEN
    }

    /// Writes one frame and makes it durable; returns its sequence and how long the disk took, in microseconds. After
    /// a full disk the same sequence is written again by the next call; after any other error the log must not be used.
    pub fn append(&mut self, raw: &[u8], rows: u32) -> Result<(u64, u64), StoreError> {
        let header = self.fill_buffer(raw, rows)?;
        self.make_room(header.frame_len())?;
        // `make_room` left the current file at the end.
        let Some(current) = self.used.last() else { return Err(stopped("the log has no file")) };
        let header = FrameHeader { epoch: current.epoch, sequence: self.next_sequence, ..header };
        self.buffer[..FRAME_HEADER_LEN].copy_from_slice(&header.encode(&self.secret));
        let log = &current.log;
        log.file.write_all_at(&self.buffer, self.position).map_err(StoreError::io("cannot write", &log.path))?;
        let started = std::time::Instant::now();
        // A failed sync may have dropped the pages: nothing can be known of them, so it is never tried again.
        log.file.sync_data().map_err(|error| stopped(format!("cannot sync {}: {error}", log.path.display())))?;
        let sync_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.position += header.frame_len();
        self.next_sequence += 1;
        Ok((header.sequence, sync_us))
    }

    /// Puts room for the header and the payload into the buffer, padded to whole blocks.
    fn fill_buffer(&mut self, raw: &[u8], rows: u32) -> Result<FrameHeader, StoreError> {
        self.buffer.clear();
        self.buffer.resize(FRAME_HEADER_LEN, 0);
        self.buffer.extend_from_slice(raw);
        // What fits a block anyway is not worth compressing; what does not get smaller is kept as it is.
        let mut compressed = false;
        if self.buffer.len() > BLOCK as usize {
            match self.compressor.compress_to_buffer(raw, &mut self.buffer[FRAME_HEADER_LEN..]) {
                Ok(len) => {
                    compressed = true;
                    self.buffer.truncate(FRAME_HEADER_LEN + len);
                }
                // The attempt may have written into the buffer.
                Err(_) => self.buffer[FRAME_HEADER_LEN..].copy_from_slice(raw),
            }
        }
        let stored = &self.buffer[FRAME_HEADER_LEN..];
        let header = FrameHeader {
            stored_len: u32::try_from(stored.len()).map_err(|_| stopped("a frame is larger than 4 GiB"))?,
            raw_len: u32::try_from(raw.len()).map_err(|_| stopped("a frame is larger than 4 GiB"))?,
            rows,
            epoch: 0,
            sequence: 0,
            checksum: crc32c::crc32c(stored),
            compressed,
        };
        self.buffer.resize(frame_len(stored.len()) as usize, 0);
        Ok(header)
    }

    /// Goes on in another file when the frame does not fit any more.
    fn make_room(&mut self, needed: u64) -> Result<(), StoreError> {
        if self.used.last().is_some_and(|current| self.position + needed <= current.log.len) {
            return Ok(());
        }
        let log = match self.spare.pop() {
            Some(spare) => spare,
            None => self.create_file()?,
        };
        let header = FileHeader { version: VERSION, epoch: self.next_epoch, first_sequence: self.next_sequence };
        // Counted even if the write fails: what of it reached the disk must not share its epoch with the next attempt.
        self.next_epoch += 1;
        let mut block = vec![0; BLOCK as usize];
        block[..FILE_HEADER_LEN].copy_from_slice(&header.encode(&self.secret));
        log.file.write_all_at(&block, 0).map_err(StoreError::io("cannot write", &log.path))?;
        log.file.sync_data().map_err(|error| stopped(format!("cannot sync {}: {error}", log.path.display())))?;
        self.used.push(UsedFile { log, epoch: header.epoch, first_sequence: header.first_sequence });
        self.position = BLOCK;
        Ok(())
    }

    /// Makes a file that holds its zeros on disk: later writes into it need no new block, which halves a sync.
    fn create_file(&mut self) -> Result<LogFile, StoreError> {
        let path = self.dir.join(format!("{:016x}.wal", self.next_number));
        let made = zeroed_file(&*self.disk, &path, self.file_len)
            .and_then(|file| sync_dir(&*self.disk, &self.dir).map(|()| file));
        let file = match made {
            Ok(file) => file,
            Err(error) => {
                // What is left of the attempt only takes space; the next one truncates it anyway.
                let _ = files::remove(&*self.disk, &path);
                return Err(error);
            }
        };
        self.next_number += 1;
        Ok(LogFile { path, file, len: self.file_len })
    }

    /// Frees the files whose every frame is at or below `low`: they are sealed elsewhere.
    pub fn recycle(&mut self, low: u64) -> Result<(), StoreError> {
        while self.used.get(1).is_some_and(|next| next.first_sequence <= low + 1) {
            let freed = self.used.remove(0).log;
            if freed.len == self.file_len && self.spare.len() < SPARE_FILES {
                self.spare.push(freed);
            } else {
                files::remove(&*self.disk, &freed.path)?;
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
        let used = self.used.iter().map(|used| used.log.len);
        let all = used.chain(self.spare.iter().map(|spare| spare.len));
        all.fold((0, 0), |(count, bytes), len| (count + 1, bytes + len))
    }
}

fn zeroed_file(disk: &dyn Disk, path: &Path, len: u64) -> Result<Arc<dyn DiskFile>, StoreError> {
    let file = disk.create(path, Access::Owner).map_err(StoreError::io("cannot create", path))?;
    let mut writing = Writing::new(file.clone());
    let zeros = vec![0; 1 << 20];
    let mut left = len;
    while left > 0 {
        let step = left.min(zeros.len() as u64);
        writing.write_all(&zeros[..step as usize]).map_err(StoreError::io("cannot write", path))?;
        left -= step;
    }
    file.sync_all().map_err(StoreError::io("cannot write", path))?;
    Ok(file)
}

fn stopped(reason: impl Into<String>) -> StoreError {
    StoreError::Stopped { reason: reason.into() }
}
