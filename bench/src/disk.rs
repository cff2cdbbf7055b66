//! What the disk itself can do, measured beside everything that depends on it.

use anyhow::Result;
use rustix::fs::{Advice, fadvise};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const BLOCK: usize = 4096;
const FILE_BYTES: usize = 16 << 20;
const READ_BYTES: usize = 256 << 20;

/// A file of zeros that is synced once, as a write-ahead log is prepared.
pub struct SyncProbe {
    file: File,
    at: u64,
}

impl SyncProbe {
    /// Makes the file in a folder; it has no name and ends with the probe.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn new(folder: &Path) -> Result<Self> {
        let path = folder.join("sync-probe");
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
        file.write_all(&vec![0; FILE_BYTES])?;
        file.sync_all()?;
        std::fs::remove_file(&path)?;
        Ok(Self { file, at: 0 })
    }

    /// Writes a block and waits for it, again and again: sorted times in microseconds.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn measure(&mut self, time: Duration) -> Result<Vec<u32>> {
        let started = Instant::now();
        let mut took = Vec::new();
        while started.elapsed() < time {
            let begun = Instant::now();
            self.file.write_all_at(&[took.len() as u8; BLOCK], self.at)?;
            self.file.sync_data()?;
            took.push(u32::try_from(begun.elapsed().as_micros()).unwrap_or(u32::MAX));
            self.at = (self.at + BLOCK as u64) % FILE_BYTES as u64;
        }
        took.sort_unstable();
        Ok(took)
    }
}

/// Bytes per second of reading a file from its beginning to its end, past the cache.
///
/// # Errors
/// When the disk refuses.
pub fn read_speed(folder: &Path) -> Result<f64> {
    let path = folder.join("read-probe");
    let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&path)?;
    let block = vec![1; 1 << 20];
    for _ in 0..READ_BYTES / block.len() {
        file.write_all(&block)?;
    }
    file.sync_all()?;
    drop_from_cache(&file)?;
    drop(file);
    let (mut file, mut buffer) = (File::open(&path)?, block);
    let started = Instant::now();
    while file.read(&mut buffer)? > 0 {}
    let speed = READ_BYTES as f64 / started.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(speed)
}

/// Makes the next read of a synced file come from the disk.
///
/// # Errors
/// When the system refuses.
pub fn drop_from_cache(file: &File) -> Result<()> {
    Ok(fadvise(file, 0, None, Advice::DontNeed)?)
}

/// Bytes of the files in a folder and the folders below it.
///
/// # Errors
/// When it cannot be read.
pub fn size_of(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(sum)
}
