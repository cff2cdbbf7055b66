//! A run: an immutable file of sorted identities.
//!
//! Layout: blocks of 256 keys (the last one may have fewer), then the index (first key and length of every block), then
//! the Bloom filter, then a footer with the sizes and checksums. All numbers are little endian. Format 1, which is read
//! and never written, has blocks of 4096 bytes with 255 keys of 128 bits, of which the upper 96 are the identity.

use super::block::{BLOCK_KEYS, Block};
use super::bloom::Bloom;
use crate::StoreError;
use crate::embedded::disk::{Disk, DiskFile};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FOOTER: usize = 48;
const MAGIC: [u8; 4] = *b"TSDR";
/// The format that is written.
const VERSION: u32 = 2;
/// Bytes of the index per block: 12 of its first key, and 2 of its length.
const INDEX_ENTRY: u64 = 14;
/// Bytes of a block of format 1.
const OLD_BLOCK: usize = 4096;
/// Keys of a block of format 1.
const OLD_BLOCK_KEYS: usize = 255;
/// How many blocks are read together when all are read.
const BLOCKS_AHEAD: usize = 64;

/// An open run. Its filter and index are in memory, its keys are read when asked for.
pub(crate) struct Run {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    format: u32,
    bytes: u64,
    keys: u64,
    /// The first key of every block.
    first_keys: Vec<u128>,
    /// Where every block starts, and where the last one ends.
    starts: Vec<u64>,
    bloom: Bloom,
}

/// The sizes and checksums at the end of the file.
pub(super) struct Footer {
    pub keys: u64,
    pub blocks: u64,
    pub filter_len: u64,
    pub index_checksum: u32,
    pub filter_checksum: u32,
}

impl Footer {
    /// As it is written.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FOOTER);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.keys.to_le_bytes());
        bytes.extend_from_slice(&self.blocks.to_le_bytes());
        bytes.extend_from_slice(&self.filter_len.to_le_bytes());
        bytes.extend_from_slice(&self.index_checksum.to_le_bytes());
        bytes.extend_from_slice(&self.filter_checksum.to_le_bytes());
        bytes.resize(FOOTER - 4, 0);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Reads it from the end of a file, with the format.
    fn read(file: &dyn DiskFile, len: u64, path: &Path) -> Result<(u32, Self), StoreError> {
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
        let format = word(4);
        if !(1..=VERSION).contains(&format) {
            return Err(StoreError::Newer { path: path.to_path_buf(), found: format, known: VERSION });
        }
        let footer = Self {
            keys: long(8),
            blocks: long(16),
            filter_len: long(24),
            index_checksum: word(32),
            filter_checksum: word(36),
        };
        let (block_keys, entry) = if format == 1 { (OLD_BLOCK_KEYS, 16) } else { (BLOCK_KEYS, INDEX_ENTRY) };
        let behind_blocks = u128::from(footer.blocks) * u128::from(entry) + u128::from(footer.filter_len);
        let fits = footer.blocks == footer.keys.div_ceil(block_keys as u64) && behind_blocks <= u128::from(at);
        match fits {
            true => Ok((format, footer)),
            false => Err(StoreError::damaged(path, at, "the sizes do not fit the file")),
        }
    }
}

impl Run {
    /// Opens a run; what stays in memory is checked now, the keys when they are read. A run of format 1 is read as a
    /// whole, for a filter over what its keys have in common with those of now.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, StoreError> {
        let file = disk.open(path).map_err(StoreError::io("cannot open", path))?;
        Self::load(path, file)
    }

    fn load(path: &Path, file: Arc<dyn DiskFile>) -> Result<Self, StoreError> {
        let len = file.len().map_err(StoreError::io("cannot read", path))?;
        let (format, footer) = Footer::read(&*file, len, path)?;
        let read = |at: u64, len: u64, checksum: u32, what: &str| {
            let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
            file.read_exact_at(&mut bytes, at).map_err(StoreError::io("cannot read", path))?;
            match crc32c::crc32c(&bytes) == checksum {
                true => Ok(bytes),
                false => Err(StoreError::damaged(path, at, format!("the checksum of the {what} does not fit"))),
            }
        };
        let filter_at = len - FOOTER as u64 - footer.filter_len;
        let index_at = filter_at - footer.blocks * if format == 1 { 16 } else { INDEX_ENTRY };
        let index = read(index_at, filter_at - index_at, footer.index_checksum, "index")?;
        let filter = read(filter_at, footer.filter_len, footer.filter_checksum, "filter")?;
        let bloom = Bloom::from_bytes(&filter)
            .ok_or_else(|| StoreError::damaged(path, filter_at, "the filter has no whole blocks"))?;
        let (first_keys, starts) = if format == 1 { old_index(&index) } else { index_of(&index) };
        if starts.last() != Some(&index_at) || !first_keys.is_sorted() {
            return Err(StoreError::damaged(path, index_at, "the index does not fit the blocks"));
        }
        let mut run =
            Self { path: path.to_path_buf(), file, format, bytes: len, keys: footer.keys, first_keys, starts, bloom };
        if format == 1 {
            let mut bloom = Bloom::for_keys(run.keys);
            for key in run.iter() {
                bloom.insert(key?);
            }
            run.bloom = bloom;
        }
        Ok(run)
    }

    /// Size of the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of the file as they are, whatever became of its name.
    pub fn read_raw(&self, bytes: &mut [u8], offset: u64) -> Result<(), StoreError> {
        self.file.read_exact_at(bytes, offset).map_err(StoreError::io("cannot read", &self.path))
    }

    /// Number of keys.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Bytes that its filter and its index take in memory.
    pub fn memory(&self) -> usize {
        self.bloom.memory() + self.first_keys.len() * (size_of::<u128>() + size_of::<u64>())
    }

    /// Appends the places of the keys that the filter cannot rule out; reads nothing.
    pub fn suspect(&self, keys: &[u128], suspects: &mut Vec<u32>) {
        let places = keys.iter().enumerate().filter(|(_, key)| self.bloom.may_contain(**key));
        suspects.extend(places.map(|(at, _)| at as u32));
    }

    /// Whether the run holds the key; reads one block of the file if the filter does not rule it out.
    pub fn contains(&self, key: u128) -> Result<bool, StoreError> {
        if !self.bloom.may_contain(key) {
            return Ok(false);
        }
        let Some(block) = self.block_of(key) else { return Ok(false) };
        let mut bytes = [0; OLD_BLOCK];
        let len = (self.starts[block + 1] - self.starts[block]) as usize;
        let bytes = bytes.get_mut(..len).ok_or_else(|| self.damaged(block, "a block is too long"))?;
        self.read(block, bytes)?;
        if self.format == 1 {
            let keys = self.old_keys(block, bytes)?;
            return Ok(keys.binary_search_by(|bytes| old_key(bytes).cmp(&key)).is_ok());
        }
        Ok(self.check(block, bytes)?.contains(key))
    }

    /// The block that holds a key if any does. Keys are spread evenly, so it is near where its size says.
    fn block_of(&self, key: u128) -> Option<usize> {
        let count = self.first_keys.len();
        let guess = (((key >> 64) as u64 * count as u64) >> 32) as usize;
        let (mut low, mut high, mut step) = (guess.min(count), guess.min(count), 4);
        while low > 0 && self.first_keys[low - 1] > key {
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 4;
        while high < count && self.first_keys[high] <= key {
            high = (high + step).min(count);
            step *= 2;
        }
        let within = self.first_keys[low..high].partition_point(|first| *first <= key);
        (low + within).checked_sub(1)
    }

    fn read(&self, block: usize, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.file.read_exact_at(bytes, self.starts[block]).map_err(StoreError::io("cannot read", &self.path))
    }

    fn check<'b>(&self, block: usize, bytes: &'b [u8]) -> Result<Block<'b>, StoreError> {
        let count = self.count_of(block, BLOCK_KEYS);
        Block::check(bytes, block as u64, self.first_keys[block], count).map_err(|what| self.damaged(block, what))
    }

    /// How many keys a block has.
    fn count_of(&self, block: usize, most: usize) -> usize {
        let before = block as u64 * most as u64;
        usize::try_from(self.keys - before).unwrap_or(usize::MAX).min(most)
    }

    fn damaged(&self, block: usize, what: &str) -> StoreError {
        StoreError::damaged(&self.path, self.starts[block], what)
    }

    /// The checked keys of a block of format 1.
    fn old_keys<'b>(&self, block: usize, bytes: &'b [u8]) -> Result<&'b [[u8; 16]], StoreError> {
        let (content, checksum) = bytes.split_at(OLD_BLOCK - 4);
        let number = &content[OLD_BLOCK_KEYS * 16..OLD_BLOCK_KEYS * 16 + 8];
        if crc32c::crc32c(content).to_le_bytes() != *checksum || (block as u64).to_le_bytes() != *number {
            return Err(self.damaged(block, "the checksum of the block does not fit"));
        }
        Ok(content[..self.count_of(block, OLD_BLOCK_KEYS) * 16].as_chunks().0)
    }

    /// All keys in ascending order, some blocks in memory at a time.
    pub fn iter(&self) -> impl Iterator<Item = Result<u128, StoreError>> + '_ {
        (0..self.first_keys.len()).step_by(BLOCKS_AHEAD).flat_map(move |from| {
            let (keys, fault) = match self.some_keys(from) {
                Ok(keys) => (keys, None),
                Err(error) => (Vec::new(), Some(error)),
            };
            keys.into_iter().map(Ok).chain(fault.map(Err))
        })
    }

    fn some_keys(&self, from: usize) -> Result<Vec<u128>, StoreError> {
        let to = (from + BLOCKS_AHEAD).min(self.first_keys.len());
        let mut bytes = vec![0; (self.starts[to] - self.starts[from]) as usize];
        self.read(from, &mut bytes)?;
        let mut keys = Vec::with_capacity((to - from) * BLOCK_KEYS);
        for block in from..to {
            let range = (self.starts[block] - self.starts[from]) as usize
                ..(self.starts[block + 1] - self.starts[from]) as usize;
            if self.format == 1 {
                keys.extend(self.old_keys(block, &bytes[range])?.iter().map(old_key));
            } else if !self.check(block, &bytes[range])?.keys(&mut keys) {
                return Err(self.damaged(block, "the keys are not in order"));
            }
        }
        Ok(keys)
    }

    /// Checks it and returns the number of keys.
    #[cfg(test)]
    pub fn verify(&self) -> Result<u64, StoreError> {
        self.verify_keys(&mut |_| Ok(()))
    }

    /// Reads everything again and checks it; hands out every key and returns their number.
    pub fn verify_keys(&self, each: &mut dyn FnMut(u128) -> Result<(), StoreError>) -> Result<u64, StoreError> {
        // Through the open file: a merge may have taken its name away by now.
        let reopened = Self::load(&self.path, Arc::clone(&self.file))?;
        let per_block = if reopened.format == 1 { OLD_BLOCK_KEYS } else { BLOCK_KEYS } as u64;
        let (mut count, mut last) = (0u64, None);
        for key in reopened.iter() {
            let key = key?;
            if last >= Some(key) || !reopened.bloom.may_contain(key) {
                return Err(StoreError::damaged(&self.path, 0, "the keys are not in order or not in the filter"));
            }
            let block = (count / per_block) as usize;
            if count % per_block == 0 && reopened.first_keys[block] != key {
                return Err(reopened.damaged(block, "the index does not lead to the block"));
            }
            each(key)?;
            last = Some(key);
            count += 1;
        }
        Ok(count)
    }
}

/// First keys, starts, and the end of the last block.
fn index_of(index: &[u8]) -> (Vec<u128>, Vec<u64>) {
    let (mut first_keys, mut starts, mut end) = (Vec::new(), vec![0], 0);
    for entry in index.as_chunks::<{ INDEX_ENTRY as usize }>().0 {
        let mut key = [0; 16];
        key[..12].copy_from_slice(&entry[..12]);
        first_keys.push(u128::from_le_bytes(key));
        end += u64::from(u16::from_le_bytes([entry[12], entry[13]]));
        starts.push(end);
    }
    (first_keys, starts)
}

/// The same of format 1.
fn old_index(index: &[u8]) -> (Vec<u128>, Vec<u64>) {
    let first_keys: Vec<u128> = index.as_chunks().0.iter().map(old_key).collect();
    let starts = (0..=first_keys.len() as u64).map(|block| block * OLD_BLOCK as u64).collect();
    (first_keys, starts)
}

/// What a key of format 1 has in common with those of now.
fn old_key(bytes: &[u8; 16]) -> u128 {
    u128::from_le_bytes(*bytes) >> 32
}
