//! Groups by window and dimension texts, found by codes.

use super::lookup::Answers;
use super::rows::{OfRows, Rows};
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use tallystick_domain::meter::PlanError;

/// The most bits of a cell in the table from combined codes straight to groups.
const MAX_DIRECT_BITS: u32 = 20;
const UNKNOWN: u32 = u32::MAX;

/// One part of the key of groups: a window or a dimension.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// Codes of all rows of the block.
    pub codes: Answers<'a>,
    /// More than every code.
    pub known: usize,
}

/// All groups that were met.
pub(super) struct Groups {
    limit: usize,
    width: usize,
    /// The codes of each group.
    keys: Vec<u32>,
    count: usize,
    by_key: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// How many bits the code of each part takes in a cell.
    bits: Vec<u32>,
    /// Groups by cell, while cells have few enough bits.
    direct: Vec<u32>,
    /// The cell, then the group, of each row at hand; kept for its memory.
    of_rows: Vec<u32>,
}

impl Groups {
    /// No group yet; keys have `width` parts.
    pub fn new(width: usize, limit: usize) -> Self {
        Self {
            limit,
            width,
            keys: Vec::new(),
            count: 0,
            by_key: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            bits: vec![0; width],
            direct: Vec::new(),
            of_rows: Vec::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// The codes of all groups, one key after the other.
    pub fn keys(&self) -> &[u32] {
        &self.keys
    }

    /// About how many bytes they take.
    pub fn weight(&self) -> usize {
        4 * (self.keys.capacity() + self.direct.capacity() + self.of_rows.capacity()) + 8 * self.by_key.capacity()
    }

    /// Finds or makes the groups of rows, all of which contribute; says also how many groups there are now.
    pub fn find(&mut self, parts: &[Part<'_>], rows: Rows<'_>) -> Result<(OfRows<'_>, usize), PlanError> {
        let common: Option<Vec<u32>> = parts.iter().map(|part| part.codes.of_all()).collect();
        if let Some(key) = common {
            let group = self.group_of(&key)?;
            return Ok((OfRows::All(group), self.count));
        }
        self.make_room(parts.iter().map(|part| part.known));
        let mut of_rows = std::mem::take(&mut self.of_rows);
        let found = match self.bits.iter().sum::<u32>() <= MAX_DIRECT_BITS {
            true => self.find_direct(parts, rows, &mut of_rows),
            false => self.find_by_key(parts, rows, &mut of_rows),
        };
        self.of_rows = of_rows;
        found?;
        Ok((OfRows::Each(&self.of_rows), self.count))
    }

    /// The group in a cell, which is that of a key.
    #[inline]
    fn group_in(&mut self, cell: usize, key: &[u32]) -> Result<u32, PlanError> {
        match self.direct[cell] {
            UNKNOWN => {
                let group = self.group_of(key)?;
                self.direct[cell] = group;
                Ok(group)
            }
            group => Ok(group),
        }
    }

    fn cell_of(&self, key: &[u32]) -> usize {
        key.iter().zip(&self.bits).fold(0, |cell, (code, bits)| cell << bits | *code as usize)
    }

    /// The group of a key; a new one if it was not met before.
    pub fn group_of(&mut self, key: &[u32]) -> Result<u32, PlanError> {
        let (width, keys) = (self.width, &self.keys);
        let key_of = |group: &u32| &keys[*group as usize * width..(*group as usize + 1) * width];
        let hash = self.hasher.hash_one(key);
        let entry = self.by_key.entry(hash, |group| key_of(group) == key, |group| self.hasher.hash_one(key_of(group)));
        match entry {
            Entry::Occupied(entry) => Ok(*entry.get()),
            Entry::Vacant(_) if self.count >= self.limit => {
                Err(PlanError::TooLarge { what: "result rows (limits.query_groups)", limit: self.limit })
            }
            Entry::Vacant(entry) => {
                let group = self.count as u32;
                entry.insert(group);
                self.keys.extend_from_slice(key);
                self.count += 1;
                Ok(group)
            }
        }
    }

    /// Widens the cells so that every code has a place in them.
    fn make_room(&mut self, known: impl Iterator<Item = usize>) {
        let mut is_changed = self.direct.is_empty();
        for (bits, known) in self.bits.iter_mut().zip(known) {
            let needed = usize::BITS - known.saturating_sub(1).leading_zeros();
            if needed > *bits {
                (*bits, is_changed) = (needed, true);
            }
        }
        let total: u32 = self.bits.iter().sum();
        if !is_changed {
            return;
        }
        self.direct.clear();
        if total > MAX_DIRECT_BITS {
            self.direct.shrink_to_fit();
            return;
        }
        self.direct.resize(1 << total, UNKNOWN);
        for group in 0..self.count {
            let key = &self.keys[group * self.width..(group + 1) * self.width];
            let cell = self.cell_of(key);
            self.direct[cell] = group as u32;
        }
    }

    /// Combines the codes of each row to a cell and looks the cells up.
    fn find_direct(&mut self, parts: &[Part<'_>], rows: Rows<'_>, of_rows: &mut Vec<u32>) -> Result<(), PlanError> {
        // Where all rows have the same code, its place in the cell.
        let (mut common, mut shift) = (0, 0);
        let mut each = Vec::with_capacity(parts.len());
        for (part, bits) in parts.iter().zip(&self.bits).rev() {
            match part.codes {
                Answers::All(code) => common |= code << shift,
                Answers::Each(codes) => each.push((codes, shift)),
            }
            shift += bits;
        }
        let direct = &self.direct[..];
        let group = |cell: u32| direct[cell as usize];
        of_rows.resize(rows.len(), 0);
        match (&each[..], rows) {
            ([(codes, shift)], Rows::All(_)) => {
                let rows = of_rows.iter_mut().zip(*codes);
                rows.for_each(|(of_row, code)| *of_row = group(common | code.wrapping_shl(*shift)));
            }
            ([(left, left_shift), (right, right_shift)], Rows::All(_)) => {
                for ((of_row, left), right) in of_rows.iter_mut().zip(*left).zip(*right) {
                    *of_row = group(common | left.wrapping_shl(*left_shift) | right.wrapping_shl(*right_shift));
                }
            }
            _ => of_rows.iter_mut().zip(rows.iter()).for_each(|(of_row, row)| {
                *of_row = group(each.iter().fold(common, |cell, (codes, shift)| cell | codes[row] << shift));
            }),
        }
        if !of_rows.contains(&UNKNOWN) {
            return Ok(());
        }
        let mut key = vec![0; self.width];
        for (at, of_row) in of_rows.iter_mut().enumerate().filter(|(_, of_row)| **of_row == UNKNOWN) {
            key_at(parts, rows.at(at), &mut key);
            *of_row = self.group_in(self.cell_of(&key), &key)?;
        }
        Ok(())
    }

    /// Looks the key of each row up, unless it is that of the row before.
    fn find_by_key(&mut self, parts: &[Part<'_>], rows: Rows<'_>, of_rows: &mut Vec<u32>) -> Result<(), PlanError> {
        of_rows.clear();
        let (mut key, mut before, mut group) = (vec![0; self.width], Vec::new(), 0);
        for at in 0..rows.len() {
            key_at(parts, rows.at(at), &mut key);
            if key != before {
                group = self.group_of(&key)?;
                before.clone_from(&key);
            }
            of_rows.push(group);
        }
        Ok(())
    }
}

fn key_at(parts: &[Part<'_>], row: usize, key: &mut [u32]) {
    for (code, part) in key.iter_mut().zip(parts) {
        *code = match part.codes {
            Answers::All(code) => code,
            Answers::Each(codes) => codes[row],
        };
    }
}
