//! Sets of codes, one for each group.

use super::rows::Rows;
use crate::embedded::chunk::ChunkTable;
use crate::embedded::segment::{DictionaryId, Texts};
use hashbrown::HashSet;
use std::sync::Arc;
use tallystick_domain::meter::PlanError;

/// A set with more codes than these is hashed.
const MAX_FEW: usize = 16;
/// A hashed code takes about as much memory as so many bits.
const BITS_PER_HASHED: usize = 64;

/// The distinct values of all groups, within a limit.
#[derive(Debug)]
pub(super) struct Distinct {
    limit: usize,
    count: usize,
    sets: Vec<Set>,
    bytes: usize,
}

/// Some codes.
#[derive(Debug)]
enum Set {
    Few(Vec<u32>),
    Hashed(HashSet<u32>),
    Bits(Vec<u64>, u64),
}

impl Distinct {
    /// No value yet; at most `limit` of them over all groups.
    pub fn new(limit: usize) -> Self {
        Self { limit, count: 0, sets: Vec::new(), bytes: 0 }
    }

    /// Makes room for so many groups.
    pub fn resize(&mut self, groups: usize) {
        if self.sets.len() < groups {
            self.sets.resize_with(groups, || Set::Few(Vec::new()));
        }
    }

    /// Adds a code to the set of a group, which must exist.
    #[inline]
    pub fn add(&mut self, group: usize, code: u32) -> Result<(), PlanError> {
        if let Set::Bits(words, count) = &mut self.sets[group]
            && let Some(word) = words.get_mut(code as usize / 64)
        {
            let bit = 1 << (code % 64);
            let new = u64::from(*word & bit == 0);
            *word |= bit;
            *count += new;
            self.count += new as usize;
        } else if self.sets[group].insert(code, &mut self.bytes) {
            self.count += 1;
        }
        match self.count > self.limit {
            false => Ok(()),
            true => {
                Err(PlanError::TooLarge { what: "distinct values (limits.query_distinct_values)", limit: self.limit })
            }
        }
    }

    /// How many values a group has.
    pub fn count_of(&self, group: usize) -> u64 {
        self.sets[group].len() as u64
    }

    /// Hands all codes of a group over.
    pub fn for_each(&self, group: usize, mut take: impl FnMut(u32) -> Result<(), PlanError>) -> Result<(), PlanError> {
        let mut taken = Ok(());
        self.sets[group].for_each(|code| {
            if taken.is_ok() {
                taken = take(code);
            }
        });
        taken
    }

    /// Gives each code another, no two the same.
    pub fn recode(&mut self, mut code_of: impl FnMut(u32) -> u32) {
        let mut bytes = 0;
        for set in &mut self.sets {
            let mut codes = Vec::with_capacity(set.len());
            set.for_each(|code| codes.push(code_of(code)));
            *set = Set::Few(Vec::new());
            codes.into_iter().for_each(|code| {
                set.insert(code, &mut bytes);
            });
        }
        self.bytes = bytes;
    }

    /// About how many bytes they take.
    pub fn weight(&self) -> usize {
        self.bytes + self.sets.capacity() * size_of::<Set>()
    }
}

impl Set {
    fn len(&self) -> usize {
        match self {
            Set::Few(codes) => codes.len(),
            Set::Hashed(codes) => codes.len(),
            Set::Bits(_, count) => *count as usize,
        }
    }

    fn for_each(&self, mut take: impl FnMut(u32)) {
        match self {
            Set::Few(codes) => codes.iter().for_each(|code| take(*code)),
            Set::Hashed(codes) => codes.iter().for_each(|code| take(*code)),
            Set::Bits(words, _) => {
                for (at, word) in words.iter().enumerate() {
                    let mut rest = *word;
                    while rest != 0 {
                        take(at as u32 * 64 + rest.trailing_zeros());
                        rest &= rest - 1;
                    }
                }
            }
        }
    }

    /// Adds a code; whether it is new. `bytes` follows what all sets take.
    fn insert(&mut self, code: u32, bytes: &mut usize) -> bool {
        match self {
            Set::Few(codes) => {
                if codes.contains(&code) {
                    return false;
                }
                codes.push(code);
                *bytes += 4;
                if codes.len() > MAX_FEW {
                    *self = Set::Hashed(codes.drain(..).collect());
                }
                true
            }
            Set::Hashed(codes) => {
                let new = codes.insert(code);
                *bytes += usize::from(new) * BITS_PER_HASHED / 8;
                if code as usize <= codes.len() * BITS_PER_HASHED {
                    *self = Self::as_bits(codes.drain());
                }
                new
            }
            Set::Bits(words, count) => {
                *count += 1;
                *bytes += grow(words, code);
                words[code as usize / 64] |= 1 << (code % 64);
                true
            }
        }
    }

    fn as_bits(codes: impl Iterator<Item = u32>) -> Self {
        let (mut words, mut count) = (Vec::new(), 0);
        for code in codes {
            grow(&mut words, code);
            words[code as usize / 64] |= 1 << (code % 64);
            count += 1;
        }
        Set::Bits(words, count)
    }
}

/// Which texts rows of one group have, so that each text is looked up once and not for each row.
#[derive(Default)]
pub(super) struct Marks {
    texts: Option<MarkedTexts>,
    /// By code. No bits: those of neighbours would wait for each other.
    is_marked: Vec<bool>,
}

/// Some texts, and whose they are.
pub(super) struct MarkedTexts {
    /// The name of the dictionary, if others may follow that have it too.
    pub dictionary: Option<DictionaryId>,
    /// The texts.
    pub texts: Arc<Texts>,
    /// The table of a chunk, if they are those of a column of it.
    pub chunk: Option<Arc<ChunkTable>>,
}

impl Marks {
    /// Whether texts are marked, and others than those of this dictionary.
    pub fn are_of_other(&self, dictionary: Option<DictionaryId>) -> bool {
        self.texts.as_ref().is_some_and(|marked| marked.dictionary.is_none() || marked.dictionary != dictionary)
    }

    /// Marks the texts of rows by their codes.
    pub fn mark(&mut self, texts: impl FnOnce() -> MarkedTexts, rows: Rows<'_>, codes: &[i64]) {
        if self.texts.is_none() {
            let marked = texts();
            self.is_marked.clear();
            self.is_marked.resize(marked.texts.len(), false);
            self.texts = Some(marked);
        }
        let is_marked = &mut self.is_marked[..];
        let mut mark = |code: i64| is_marked[code as usize] = true;
        match rows {
            Rows::All(count) => codes[..count].iter().for_each(|code| mark(*code)),
            Rows::These(rows) => rows.iter().for_each(|row| mark(codes[*row as usize])),
        }
    }

    /// Hands over the texts and the codes that are marked, and forgets them.
    pub fn take(&mut self) -> Option<(MarkedTexts, Vec<u32>)> {
        let texts = self.texts.take()?;
        let marked = self.is_marked.iter().enumerate().filter(|(_, is_marked)| **is_marked);
        Some((texts, marked.map(|(code, _)| code as u32).collect()))
    }

    /// About how many bytes they take.
    pub fn weight(&self) -> usize {
        self.is_marked.capacity()
    }
}

/// Makes room for a code; by how many bytes the words grew.
fn grow(words: &mut Vec<u64>, code: u32) -> usize {
    let (before, needed) = (words.len(), code as usize / 64 + 1);
    if needed > before {
        words.resize(needed.next_power_of_two(), 0);
    }
    8 * (words.len() - before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_group_has_each_of_its_codes_once(
            codes in prop::collection::vec((0usize..3, prop_oneof![0u32..40, 0u32..3000, 0u32..2_000_000]), 0..400),
        ) {
            let mut distinct = Distinct::new(usize::MAX);
            distinct.resize(3);
            let mut want = vec![BTreeSet::new(); 3];
            for (group, code) in codes {
                distinct.add(group, code).unwrap();
                want[group].insert(code);
            }
            for (group, want) in want.into_iter().enumerate() {
                let mut found = Vec::new();
                distinct.for_each(group, |code| { found.push(code); Ok(()) }).unwrap();
                prop_assert_eq!(found.len(), want.len());
                prop_assert_eq!(distinct.count_of(group), want.len() as u64);
                prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), want);
            }
        }
    }

    #[test]
    fn the_limit_is_on_all_groups_together() {
        let mut distinct = Distinct::new(3);
        distinct.resize(2);
        for (group, code) in [(0, 1), (1, 1), (0, 1), (0, 2)] {
            assert_eq!(distinct.add(group, code), Ok(()));
        }
        assert_eq!(
            distinct.add(1, 2),
            Err(PlanError::TooLarge { what: "distinct values (limits.query_distinct_values)", limit: 3 })
        );
    }
}
