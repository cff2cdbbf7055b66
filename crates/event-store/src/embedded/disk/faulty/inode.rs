//! The bytes of a file: those that last, and those that were written since.

use super::random::Random;
use std::collections::BTreeMap;

/// Bytes that are written back together.
pub(super) const PAGE: usize = 4096;
/// Bytes that a disk writes as one.
const SECTOR: usize = 512;

/// A file. Its name is in a directory, if it has one still.
#[derive(Debug, Default)]
pub(super) struct Inode {
    /// What reads see.
    pub current: Vec<u8>,
    /// What is there after a power cut, if nothing was written back by chance.
    durable: Vec<u8>,
    /// The contents of each page since the last sync; each of them may have been written back by chance.
    unsynced: BTreeMap<usize, Vec<Vec<u8>>>,
    /// The file was emptied since the last sync.
    emptied: bool,
}

impl Inode {
    /// Cuts everything off.
    pub fn empty(&mut self) {
        self.current.clear();
        self.unsynced.clear();
        self.emptied = true;
    }

    /// Pages that a write of this range would add to the file.
    pub fn new_pages(&self, offset: usize, len: usize) -> usize {
        (offset + len).div_ceil(PAGE).saturating_sub(self.pages())
    }

    pub fn pages(&self) -> usize {
        self.current.len().div_ceil(PAGE)
    }

    pub fn write(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len();
        if self.current.len() < end {
            self.current.resize(end, 0);
        }
        self.current[offset..end].copy_from_slice(bytes);
        for page in offset / PAGE..end.div_ceil(PAGE) {
            let content = page_of(&self.current, page).to_vec();
            self.unsynced.entry(page).or_default().push(content);
        }
    }

    /// Makes everything last.
    pub fn sync(&mut self) {
        let pages: Vec<usize> = self.unsynced.keys().copied().collect();
        if self.emptied {
            self.durable.clear();
        }
        self.durable.resize(self.current.len(), 0);
        for page in pages {
            let content = page_of(&self.current, page);
            self.durable[page * PAGE..page * PAGE + content.len()].copy_from_slice(content);
        }
        self.unsynced.clear();
        self.emptied = false;
    }

    /// A sync that fails: reads still see what was written, but the next sync has nothing to do, as on Linux.
    pub fn drop_unsynced(&mut self) {
        self.unsynced.clear();
        self.emptied = false;
    }

    /// What a power cut leaves: of each page that was not synced any of its contents, or a part of one.
    pub fn lose_power(&mut self, random: &mut Random) {
        if std::mem::take(&mut self.emptied) && !random.one_in(2) {
            self.durable.clear();
        }
        for (page, contents) in std::mem::take(&mut self.unsynced) {
            let content = match random.below(contents.len() as u64 + 1).checked_sub(1) {
                Some(version) => &contents[version as usize],
                None => continue,
            };
            // Mostly a page is there as a whole; now and then only its first sectors are, or its last.
            let sectors = content.len().div_ceil(SECTOR) as u64;
            let (from, to) = match random.below(8) {
                0 => (0, random.below(sectors + 1) as usize * SECTOR),
                1 => (random.below(sectors + 1) as usize * SECTOR, content.len()),
                _ => (0, content.len()),
            };
            let (from, to) = (from.min(content.len()), to.min(content.len()));
            let start = page * PAGE;
            if from < to {
                self.durable.resize(self.durable.len().max(start + to), 0);
                self.durable[start + from..start + to].copy_from_slice(&content[from..to]);
            }
        }
        // The length is written back apart from the bytes; what is between was never written and reads as zeros.
        if self.durable.len() < self.current.len() && random.one_in(3) {
            self.durable.resize(self.current.len(), 0);
        }
        self.current.clone_from(&self.durable);
    }

    /// Turns a bit over, wherever the byte is.
    pub fn flip(&mut self, byte: usize, bit: u32) {
        for bytes in [&mut self.current, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(byte) {
                *byte ^= 1 << bit;
            }
        }
    }
}

fn page_of(bytes: &[u8], page: usize) -> &[u8] {
    &bytes[page * PAGE..bytes.len().min((page + 1) * PAGE)]
}
