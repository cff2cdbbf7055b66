//! Groups by window and dimension texts, found by codes.

use super::coded::Coded;
use super::state::Group;
use super::windows::WindowTable;
use crate::embedded::segment::Dictionary;
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use tallystick_domain::meter::{AggregatePlan, AggregateRow, Aggregation, PlanError};
use tallystick_domain::time::Window;

/// The largest table from the codes of a batch straight to groups.
const MAX_DIRECT: usize = 8192;
const UNKNOWN: u32 = u32::MAX;

/// All groups that were met.
pub(super) struct Groups {
    aggregation: Aggregation,
    limit: usize,
    windows: Option<WindowTable>,
    /// The texts of each dimension.
    texts: Vec<Dictionary>,
    /// The codes of each group: window, then dimensions.
    keys: Vec<u32>,
    by_key: HashTable<u32>,
    hasher: DefaultHashBuilder,
    groups: Vec<Group>,
    /// The group of each row of the batch at hand, kept for its memory.
    of_rows: Vec<u32>,
}

/// The codes of a batch for one part of the key, and what they are in the whole query.
struct Part<'c> {
    codes: &'c [u32],
    known: usize,
    global: Vec<u32>,
}

impl Groups {
    /// No group yet.
    pub fn new(plan: &AggregatePlan, limit: usize) -> Self {
        Self {
            aggregation: plan.aggregation,
            limit,
            windows: plan.windows.as_ref().map(WindowTable::new),
            texts: plan.dimensions.iter().map(|_| Dictionary::default()).collect(),
            keys: Vec::new(),
            by_key: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            groups: Vec::new(),
            of_rows: Vec::new(),
        }
    }

    /// Finds or makes the groups of the given rows of a batch, all of which contribute. `dimensions` has codes for all
    /// rows of the batch.
    pub fn find(&mut self, rows: &[u32], times: &[i64], dimensions: &[Coded]) -> Result<(), PlanError> {
        let (window_codes, windows) = self.window_codes(rows, times);
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(1 + dimensions.len());
        if self.windows.is_some() {
            parts.push(Part { codes: &window_codes, known: windows.len(), global: windows });
        }
        for coded in dimensions {
            let known = coded.texts.len();
            parts.push(Part { codes: &coded.codes, known, global: vec![UNKNOWN; known] });
        }
        let mut of_rows = std::mem::take(&mut self.of_rows);
        of_rows.clear();
        let cells = parts.iter().try_fold(1usize, |cells, part| cells.checked_mul(part.known));
        match cells.filter(|cells| *cells <= MAX_DIRECT) {
            Some(cells) => self.find_direct(rows, &mut parts, dimensions, cells, &mut of_rows)?,
            None => {
                for row in rows {
                    let group = self.group_of(*row as usize, &mut parts, dimensions)?;
                    of_rows.push(group);
                }
            }
        }
        self.of_rows = of_rows;
        Ok(())
    }

    /// The groups of the rows that were looked for last, and all groups.
    pub fn found(&mut self) -> (&[u32], &mut [Group]) {
        (&self.of_rows, &mut self.groups)
    }

    /// The result, ordered by window and texts.
    pub fn finish(self) -> Result<Vec<AggregateRow>, PlanError> {
        let mut found: Vec<(Option<Window>, Vec<String>, &Group)> = Vec::with_capacity(self.groups.len());
        for (at, group) in self.groups.iter().enumerate() {
            let (window, texts) = self.named(at);
            found.push((window, texts, group));
        }
        found.sort_by(|left, right| (&left.0, &left.1).cmp(&(&right.0, &right.1)));
        let mut rows = Vec::with_capacity(found.len());
        for (window, group, state) in found {
            if let Some(value) = state.value().map_err(|error| PlanError::overflow(&group, error))? {
                let (first, last) = state.span();
                rows.push(AggregateRow { window, group, value, first, last });
            }
        }
        Ok(rows)
    }

    fn named(&self, group: usize) -> (Option<Window>, Vec<String>) {
        let width = self.width();
        let (window_codes, codes) = self.keys[group * width..(group + 1) * width].split_at(width - self.texts.len());
        let window = self.windows.as_ref().zip(window_codes.first()).map(|(windows, code)| windows.get(*code));
        let texts = self.texts.iter().zip(codes).map(|(texts, code)| texts.texts().get(*code as usize).to_owned());
        (window, texts.collect())
    }

    fn width(&self) -> usize {
        usize::from(self.windows.is_some()) + self.texts.len()
    }

    /// Codes of windows by row, numbered within the batch, and what they are in the whole query.
    fn window_codes(&mut self, rows: &[u32], times: &[i64]) -> (Vec<u32>, Vec<u32>) {
        let Some(windows) = &mut self.windows else { return (Vec::new(), Vec::new()) };
        let mut codes = vec![0; times.len()];
        let mut met: Vec<u32> = Vec::new();
        let mut local = 0;
        for row in rows.iter().map(|row| *row as usize) {
            let code = windows.code_of(times[row]);
            if met.get(local) != Some(&code) {
                local = met.iter().position(|known| *known == code).unwrap_or(met.len());
                if local == met.len() {
                    met.push(code);
                }
            }
            codes[row] = local as u32;
        }
        (codes, met)
    }

    /// Looks each combination of codes up once.
    fn find_direct(
        &mut self,
        rows: &[u32],
        parts: &mut [Part<'_>],
        dimensions: &[Coded],
        cells: usize,
        of_rows: &mut Vec<u32>,
    ) -> Result<(), PlanError> {
        let mut table = vec![UNKNOWN; cells];
        for row in rows.iter().map(|row| *row as usize) {
            let cell = parts.iter().fold(0, |cell, part| cell * part.known + part.codes[row] as usize);
            if table[cell] == UNKNOWN {
                table[cell] = self.group_of(row, parts, dimensions)?;
            }
            of_rows.push(table[cell]);
        }
        Ok(())
    }

    fn group_of(&mut self, row: usize, parts: &mut [Part<'_>], dimensions: &[Coded]) -> Result<u32, PlanError> {
        let width = self.width();
        let texts_from = width - dimensions.len();
        let start = self.keys.len();
        for (at, part) in parts.iter_mut().enumerate() {
            let code = part.codes[row] as usize;
            if part.global[code] == UNKNOWN {
                let dimension = at - texts_from;
                part.global[code] = self.texts[dimension].code(dimensions[dimension].texts.get(code));
            }
            self.keys.push(part.global[code]);
        }
        let (known, key) = self.keys.split_at(start);
        let key_of = |group: &u32| &known[*group as usize * width..(*group as usize + 1) * width];
        let hash = self.hasher.hash_one(key);
        let entry = self.by_key.entry(hash, |group| key_of(group) == key, |group| self.hasher.hash_one(key_of(group)));
        match entry {
            Entry::Occupied(entry) => {
                let group = *entry.get();
                self.keys.truncate(start);
                Ok(group)
            }
            Entry::Vacant(_) if self.groups.len() >= self.limit => {
                Err(PlanError::TooLarge { what: "result rows", limit: self.limit })
            }
            Entry::Vacant(entry) => {
                let group = self.groups.len() as u32;
                entry.insert(group);
                self.groups.push(Group::new(self.aggregation));
                Ok(group)
            }
        }
    }
}
