//! Writes runs.

use super::block::{BLOCK_KEYS, put_block};
use super::bloom::Bloom;
use super::run::Footer;
use crate::StoreError;
use crate::embedded::disk::{Access, Disk, Writing};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Writes a run whose keys come in ascending order.
pub(crate) struct RunWriter {
    path: PathBuf,
    out: BufWriter<Writing>,
    /// Keys that are in no block yet.
    waiting: Vec<u128>,
    block: Vec<u8>,
    blocks: u64,
    blocks_len: u64,
    keys: u64,
    last: Option<u128>,
    index: Vec<u8>,
    bloom: Bloom,
}

impl RunWriter {
    /// Starts a run of at most `expected` keys.
    pub fn create(disk: &dyn Disk, path: &Path, expected: u64) -> Result<Self, StoreError> {
        let file = disk.create(path, Access::Umask).map_err(StoreError::io("cannot create", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            out: BufWriter::with_capacity(1 << 18, Writing::new(file)),
            waiting: Vec::with_capacity(BLOCK_KEYS),
            block: Vec::new(),
            blocks: 0,
            blocks_len: 0,
            keys: 0,
            last: None,
            index: Vec::new(),
            bloom: Bloom::for_keys(expected),
        })
    }

    /// Adds a key; one that was just added changes nothing.
    pub fn push(&mut self, key: u128) -> Result<(), StoreError> {
        if self.last == Some(key) {
            return Ok(());
        }
        debug_assert!(self.last < Some(key), "keys ascend");
        self.waiting.push(key);
        self.bloom.insert(key);
        self.last = Some(key);
        self.keys += 1;
        if self.waiting.len() == BLOCK_KEYS { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<(), StoreError> {
        let Some(first) = self.waiting.first() else { return Ok(()) };
        self.block.clear();
        put_block(&mut self.block, self.blocks, &self.waiting);
        self.index.extend_from_slice(&first.to_le_bytes()[..12]);
        self.index.extend_from_slice(&(self.block.len() as u16).to_le_bytes());
        self.out.write_all(&self.block).map_err(StoreError::io("cannot write", &self.path))?;
        self.blocks += 1;
        self.blocks_len += self.block.len() as u64;
        self.waiting.clear();
        Ok(())
    }

    /// Completes the file and makes it durable; returns the number of keys.
    pub fn finish(mut self) -> Result<u64, StoreError> {
        self.end_block()?;
        let filter = self.bloom.to_bytes();
        let footer = Footer {
            keys: self.keys,
            blocks: self.blocks,
            filter_len: filter.len() as u64,
            index_checksum: crc32c::crc32c(&self.index),
            filter_checksum: crc32c::crc32c(&filter),
        };
        let parts = [&self.index[..], &filter, &footer.to_bytes()];
        let written = parts.into_iter().try_for_each(|part| self.out.write_all(part));
        written
            .and_then(|()| self.out.flush())
            .and_then(|()| self.out.get_ref().sync_all())
            .map_err(StoreError::io("cannot write", &self.path))?;
        Ok(self.keys)
    }
}
