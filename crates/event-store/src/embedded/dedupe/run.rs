//! A run: an immutable file of sorted identities.
//!
//! Layout: blocks of 4096 bytes (255 keys, the number of the block, CRC-32C), then the first key of every block, then
//! the Bloom filter, then a footer with the sizes and checksums of the three. All numbers are little endian.

use super::bloom::Bloom;
use crate::StoreError;
use crate::embedded::disk::{Access, Disk, DiskFile, Writing};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of a block.
const BLOCK: usize = 4096;
/// Keys of a block.
const KEYS_PER_BLOCK: usize = 255;
/// Bytes of the keys of a block; its number and checksum follow.
const KEY_BYTES: usize = KEYS_PER_BLOCK * 16;
const FOOTER: usize = 48;
const MAGIC: [u8; 4] = *b"TSDR";
/// The format that this program writes.
const VERSION: u32 = 1;

/// An open run. Its filter and the first key of every block are in memory, its keys are read when asked for.
pub(crate) struct Run {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    keys: u64,
    first_keys: Vec<u128>,
    bloom: Bloom,
}

/// Writes a run whose keys come in ascending order.
pub(crate) struct RunWriter {
    path: PathBuf,
    out: BufWriter<Writing>,
    block: Vec<u8>,
    blocks: u64,
    keys: u64,
    last: Option<u128>,
    first_keys: Vec<u8>,
    bloom: Bloom,
}

impl RunWriter {
    /// Starts a run of at most `expected` keys.
    pub fn create(disk: &dyn Disk, path: &Path, expected: u64) -> Result<Self, StoreError> {
        let file = disk.create(path, Access::Umask).map_err(StoreError::io("cannot create", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            out: BufWriter::with_capacity(1 << 16, Writing::new(file)),
            block: Vec::with_capacity(BLOCK),
            blocks: 0,
            keys: 0,
            last: None,
            first_keys: Vec::new(),
            bloom: Bloom::for_keys(expected),
        })
    }

    /// Adds a key; one that was just added changes nothing.
    pub fn push(&mut self, key: u128) -> Result<(), StoreError> {
        if self.last == Some(key) {
            return Ok(());
        }
        debug_assert!(self.last < Some(key), "keys ascend");
        if self.block.is_empty() {
            self.first_keys.extend_from_slice(&key.to_le_bytes());
        }
        self.block.extend_from_slice(&key.to_le_bytes());
        self.bloom.insert(key);
        self.last = Some(key);
        self.keys += 1;
        if self.block.len() == KEY_BYTES { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), StoreError> {
        self.block.resize(KEY_BYTES, 0);
        self.block.extend_from_slice(&self.blocks.to_le_bytes());
        self.block.resize(BLOCK - 4, 0);
        let checksum = crc32c::crc32c(&self.block);
        self.block.extend_from_slice(&checksum.to_le_bytes());
        self.out.write_all(&self.block).map_err(StoreError::io("cannot write", &self.path))?;
        self.block.clear();
        self.blocks += 1;
        Ok(())
    }

    /// Completes the file and makes it durable; returns the number of keys.
    pub fn finish(mut self) -> Result<u64, StoreError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let filter = self.bloom.to_bytes();
        let mut footer = Vec::with_capacity(FOOTER);
        footer.extend_from_slice(&MAGIC);
        footer.extend_from_slice(&VERSION.to_le_bytes());
        footer.extend_from_slice(&self.keys.to_le_bytes());
        footer.extend_from_slice(&self.blocks.to_le_bytes());
        footer.extend_from_slice(&(filter.len() as u64).to_le_bytes());
        footer.extend_from_slice(&crc32c::crc32c(&self.first_keys).to_le_bytes());
        footer.extend_from_slice(&crc32c::crc32c(&filter).to_le_bytes());
        footer.resize(FOOTER - 4, 0);
        footer.extend_from_slice(&crc32c::crc32c(&footer).to_le_bytes());
        let parts = [&self.first_keys, &filter, &footer];
        let written = parts.iter().try_for_each(|part| self.out.write_all(part));
        written
            .and_then(|()| self.out.flush())
            .and_then(|()| self.out.get_ref().sync_all())
            .map_err(StoreError::io("cannot write", &self.path))?;
        Ok(self.keys)
    }
}

/// The sizes and checksums at the end of the file.
struct Footer {
    keys: u64,
    blocks: u64,
    filter_len: u64,
    first_keys_checksum: u32,
    filter_checksum: u32,
}

impl Footer {
    fn read(file: &dyn DiskFile, len: u64, path: &Path) -> Result<Self, StoreError> {
        let Some(at) = len.checked_sub(FOOTER as u64) else {
            return Err(StoreError::damaged(path, 0, "the file is too short"));
        };
        let mut bytes = [0; FOOTER];
        file.read_exact_at(&mut bytes, at).map_err(StoreError::io("cannot read", path))?;
        let word = |from: usize| bytes[from..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        let long = |from: usize| bytes[from..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if bytes[..4] != MAGIC || word(FOOTER - 4) != crc32c::crc32c(&bytes[..FOOTER - 4]) {
            return Err(StoreError::damaged(path, at, "the checksum of the footer does not fit"));
        }
        if word(4) != VERSION {
            return Err(StoreError::Newer { path: path.to_path_buf(), found: word(4), known: VERSION });
        }
        let footer = Self {
            keys: long(8),
            blocks: long(16),
            filter_len: long(24),
            first_keys_checksum: word(32),
            filter_checksum: word(36),
        };
        let fits = footer.blocks == footer.keys.div_ceil(KEYS_PER_BLOCK as u64)
            && u128::from(footer.blocks) * (BLOCK as u128 + 16) + u128::from(footer.filter_len) == u128::from(at);
        fits.then_some(footer).ok_or_else(|| StoreError::damaged(path, at, "the sizes do not fit the file"))
    }
}

impl Run {
    /// Opens a run; what stays in memory is checked now, the keys when they are read.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        let file = disk.open(path).map_err(StoreError::io("cannot open", path))?;
        Self::load(path, file)
    }

    fn load(path: &Path, file: Arc<dyn DiskFile>) -> Result<Self, StoreError> {
        let len = file.len().map_err(StoreError::io("cannot read", path))?;
        let footer = Footer::read(&*file, len, path)?;
        let read = |at: u64, len: u64, checksum: u32, what: &str| {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut bytes, at).map_err(StoreError::io("cannot read", path))?;
            match crc32c::crc32c(&bytes) == checksum {
                true => Ok(bytes),
                false => Err(StoreError::damaged(path, at, format!("the checksum of the {what} does not fit"))),
            }
        };
        let index_at = footer.blocks * BLOCK as u64;
        let first_keys = read(index_at, footer.blocks * 16, footer.first_keys_checksum, "index")?;
        let filter_at = index_at + footer.blocks * 16;
        let filter = read(filter_at, footer.filter_len, footer.filter_checksum, "filter")?;
        let bloom = Bloom::from_bytes(&filter)
            .ok_or_else(|| StoreError::damaged(path, filter_at, "the filter has no whole blocks"))?;
        let first_keys = first_keys.as_chunks().0.iter().map(|bytes| u128::from_le_bytes(*bytes)).collect();
        Ok(Self { path: path.to_path_buf(), keys: footer.keys, first_keys, bloom, file })
    }

    /// Number of keys.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Whether the run holds the key; reads one block of the file if the filter does not rule it out.
    pub fn contains(&self, key: u128) -> Result<bool, StoreError> {
        if !self.bloom.may_contain(key) {
            return Ok(false);
        }
        let after = self.first_keys.partition_point(|first| *first <= key);
        let Some(block) = after.checked_sub(1) else { return Ok(false) };
        let mut bytes = [0; BLOCK];
        Ok(self.read_block(block, &mut bytes)?.binary_search_by(|bytes| u128::from_le_bytes(*bytes).cmp(&key)).is_ok())
    }

    /// Reads and checks a block; returns the keys in it.
    fn read_block<'a>(&self, block: usize, bytes: &'a mut [u8; BLOCK]) -> Result<&'a [[u8; 16]], StoreError> {
        let at = block as u64 * BLOCK as u64;
        self.file.read_exact_at(bytes, at).map_err(StoreError::io("cannot read", &self.path))?;
        let (content, checksum) = bytes.split_at(BLOCK - 4);
        let number = &content[KEY_BYTES..KEY_BYTES + 8];
        if crc32c::crc32c(content).to_le_bytes() != *checksum || (block as u64).to_le_bytes() != *number {
            return Err(StoreError::damaged(&self.path, at, "the checksum of the block does not fit"));
        }
        let before = block as u64 * KEYS_PER_BLOCK as u64;
        let count = usize::try_from(self.keys - before).unwrap_or(usize::MAX).min(KEYS_PER_BLOCK);
        Ok(content[..count * 16].as_chunks().0)
    }

    /// All keys in ascending order, one block in memory at a time.
    pub fn iter(&self) -> impl Iterator<Item = Result<u128, StoreError>> + '_ {
        (0..self.first_keys.len()).flat_map(move |block| {
            let mut bytes = [0; BLOCK];
            let keys: Vec<_> = match self.read_block(block, &mut bytes) {
                Ok(keys) => keys.iter().map(|bytes| Ok(u128::from_le_bytes(*bytes))).collect(),
                Err(error) => vec![Err(error)],
            };
            keys
        })
    }

    /// Reads everything again and checks it; returns the number of keys.
    pub fn verify(&self) -> Result<u64, StoreError> {
        // Through the open file: a merge may have taken its name away by now.
        let reopened = Self::load(&self.path, self.file.clone())?;
        let (mut count, mut last) = (0, None);
        for key in reopened.iter() {
            let key = key?;
            if last >= Some(key) || !reopened.bloom.may_contain(key) {
                return Err(StoreError::damaged(&self.path, 0, "the keys are not in order or not in the filter"));
            }
            last = Some(key);
            count += 1;
        }
        Ok(count)
    }
}
