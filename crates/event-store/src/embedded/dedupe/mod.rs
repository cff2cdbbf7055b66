//! Which identities the store has seen.
//!
//! Invariant: an identity is in exactly one place: the set of the rows in memory, or one run. A run is never changed;
//! merging writes a new one. Memory is 7 to 14 bits per sealed event for the filters and 24 bytes per 256 for the index.

mod block;
mod bloom;
mod run;
mod writing;

pub(crate) use run::Run;
pub(crate) use writing::RunWriter;

use super::disk::Disk;
use crate::StoreError;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::path::Path;
use std::sync::Arc;

/// The identities of rows in memory.
pub(crate) type IdentitySet = hashbrown::HashSet<u128>;

/// Everything sealed or being sealed, as of one moment; the writer asks it before it stores.
#[derive(Default)]
pub(crate) struct Seen {
    /// Sets of the rows that are being sealed.
    pub sets: Vec<Arc<IdentitySet>>,
    /// Identities of sealed rows.
    pub runs: Vec<Arc<Run>>,
    /// How often a filter was asked.
    pub filter_lookups: Cell<u64>,
    /// How often it did not rule the identity out.
    pub filter_passes: Cell<u64>,
}

impl Seen {
    /// Whether the identity was stored before.
    pub fn contains(&self, identity: u128) -> Result<bool, StoreError> {
        Ok(self.contain(&[identity])?[0])
    }

    /// For each identity, whether it was stored before. Sets and filters are gone through one after the other, so that
    /// looking up an identity does not wait for the memory of the one before.
    pub fn contain(&self, identities: &[u128]) -> Result<Vec<bool>, StoreError> {
        let mut known = vec![false; identities.len()];
        for set in &self.sets {
            known.iter_mut().zip(identities).for_each(|(known, identity)| *known |= set.contains(identity));
        }
        let mut suspects: Vec<u32> = Vec::new();
        for run in &self.runs {
            suspects.clear();
            run.suspect(identities, &mut suspects);
            self.filter_lookups.set(self.filter_lookups.get() + identities.len() as u64);
            self.filter_passes.set(self.filter_passes.get() + suspects.len() as u64);
            for at in &suspects {
                let known = &mut known[*at as usize];
                *known = *known || run.contains(identities[*at as usize])?;
            }
        }
        Ok(known)
    }
}

/// Writes the run of a set.
pub(crate) fn write_run(disk: &dyn Disk, path: &Path, identities: &IdentitySet) -> Result<u64, StoreError> {
    let mut sorted: Vec<u128> = identities.iter().copied().collect();
    sorted.sort_unstable();
    let mut writer = RunWriter::create(disk, path, sorted.len() as u64)?;
    sorted.into_iter().try_for_each(|key| writer.push(key))?;
    writer.finish()
}

/// Merges runs into one, with some blocks of each in memory.
pub(crate) fn merge_runs(disk: &dyn Disk, path: &Path, inputs: &[Arc<Run>]) -> Result<u64, StoreError> {
    let mut writer = RunWriter::create(disk, path, inputs.iter().map(|run| run.keys()).sum())?;
    let mut sources: Vec<_> = inputs.iter().map(|run| run.iter()).collect();
    let mut heads = BinaryHeap::with_capacity(sources.len());
    for (index, source) in sources.iter_mut().enumerate() {
        if let Some(key) = source.next().transpose()? {
            heads.push(Reverse((key, index)));
        }
    }
    while let Some(mut head) = heads.peek_mut() {
        let Reverse((key, index)) = *head;
        writer.push(key)?;
        match sources[index].next().transpose()? {
            Some(key) => *head = Reverse((key, index)),
            None => _ = PeekMut::pop(head),
        }
    }
    writer.finish()
}

/// Which runs to merge next, as places in `sizes`: none while there are at most `most`; otherwise the smallest ones, for
/// as long as the next is at most twice as large as those before it together. So a key is rewritten a logarithmic number
/// of times.
pub(crate) fn runs_to_merge(sizes: &[u64], most: usize) -> Vec<usize> {
    if sizes.len() <= most {
        return Vec::new();
    }
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|place| sizes[*place]);
    let mut total = 0;
    let mut taken = 0;
    for place in &order {
        if taken >= 2 && sizes[*place] > 2 * total {
            break;
        }
        total += sizes[*place];
        taken += 1;
    }
    order.truncate(taken);
    order
}

#[cfg(test)]
mod tests;
