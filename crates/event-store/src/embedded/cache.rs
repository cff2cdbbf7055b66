//! Partial results of plans over parts of segments.
//!
//! Invariant: only what is over rows of one immutable segment is kept, and only for as long as that segment is open, so
//! that nothing has to be looked at again when events come late. What is kept takes no more bytes than the limit.

use super::aggregate::Partial;
use super::lock;
use super::segment::Segment;
use hashbrown::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use tallystick_domain::meter::AggregatePlan;
use tallystick_domain::time::Windows;

/// What an entry takes besides its result.
const WEIGHT_OF_ENTRY: usize = 400;

/// The partial results of a store.
#[derive(Debug)]
pub(crate) struct PartialCache {
    limit: usize,
    /// Fewer rows are looked at again.
    least_rows: usize,
    /// A result that is read again must cost far less than its rows.
    bytes_per_row: usize,
    kept: Mutex<Kept>,
    hits: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    entries: HashMap<PartialKey, Entry>,
    bytes: usize,
    /// Counts uses, so that what was not used for longest can be told.
    clock: u64,
}

/// A plan over a piece of a segment.
#[derive(Clone, Debug)]
pub(crate) struct PartialKey {
    /// Keeps the address from being used again.
    segment: Weak<Segment>,
    /// The first block of the piece.
    piece: usize,
    plan: Arc<AggregatePlan>,
}

#[derive(Debug)]
struct Entry {
    /// `None` if it is too large to be kept.
    partial: Option<Arc<Partial>>,
    bytes: usize,
    used: u64,
}

impl PartialKey {
    /// `plan` must have no bounds in time that all rows of the piece lie within, so that it is the same plan for other
    /// bounds that hold all of them.
    pub fn new(segment: &Arc<Segment>, piece: usize, plan: AggregatePlan) -> Self {
        Self { segment: Arc::downgrade(segment), piece, plan: Arc::new(plan) }
    }
}

impl PartialEq for PartialKey {
    fn eq(&self, other: &Self) -> bool {
        self.segment.ptr_eq(&other.segment) && self.piece == other.piece && self.plan == other.plan
    }
}

impl Eq for PartialKey {}

impl Hash for PartialKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let AggregatePlan { namespace, event_type, from, to, aggregation, windows, .. } = &*self.plan;
        (self.segment.as_ptr(), self.piece, namespace.as_str(), event_type, from, to, aggregation).hash(state);
        // Plans that differ in nothing else are often about other cuts.
        if let Some(Windows::Between(cuts)) = windows {
            cuts.hash(state);
        }
    }
}

impl PartialCache {
    /// Keeps up to `limit` bytes; nothing at all if that is 0.
    pub fn new(limit: usize) -> Self {
        Self { limit, least_rows: 8192, bytes_per_row: 4, kept: Mutex::default(), hits: AtomicU64::new(0) }
    }

    /// Whether a result over so many rows may be kept.
    pub fn takes(&self, rows: usize) -> bool {
        self.limit > 0 && rows >= self.least_rows
    }

    /// What is known: a result, or `Some(None)` if it is too large to be kept.
    pub fn get(&self, key: &PartialKey) -> Option<Option<Arc<Partial>>> {
        let mut kept = lock(&self.kept);
        kept.clock += 1;
        let clock = kept.clock;
        let entry = kept.entries.get_mut(key)?;
        entry.used = clock;
        self.hits.fetch_add(u64::from(entry.partial.is_some()), Ordering::Relaxed);
        Some(entry.partial.clone())
    }

    /// Keeps a result over so many rows, unless it is large for them.
    pub fn put(&self, key: PartialKey, partial: Partial, rows: usize) {
        let weight = partial.weight();
        let is_small = weight <= self.bytes_per_row.saturating_mul(rows) && weight <= self.limit / 8;
        let partial = is_small.then(|| Arc::new(partial));
        let bytes = WEIGHT_OF_ENTRY + partial.as_ref().map_or(0, |_| weight);
        let mut kept = lock(&self.kept);
        let used = kept.clock;
        kept.bytes += bytes;
        if let Some(old) = kept.entries.insert(key, Entry { partial, bytes, used }) {
            kept.bytes -= old.bytes;
        }
        if kept.bytes > self.limit {
            kept.shrink_to(self.limit / 4 * 3);
        }
    }

    /// Forgets what was kept of segments that are no longer open, and of `changed`.
    pub fn forget(&self, changed: Option<&Arc<Segment>>) {
        let gone = |key: &PartialKey| {
            key.segment.strong_count() == 0
                || changed.is_some_and(|segment| key.segment.as_ptr() == Arc::as_ptr(segment))
        };
        lock(&self.kept).remove_where(|key, _| gone(key));
    }

    /// Bytes that are kept, and how often something was found.
    pub fn figures(&self) -> (u64, u64) {
        (lock(&self.kept).bytes as u64, self.hits.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
impl PartialCache {
    /// Keeps results over few rows too.
    pub fn eager(limit: usize) -> Self {
        Self { least_rows: 1, bytes_per_row: usize::MAX, ..Self::new(limit) }
    }
}

impl Kept {
    fn remove_where(&mut self, is_unwanted: impl Fn(&PartialKey, &Entry) -> bool) {
        let mut bytes = 0;
        self.entries.retain(|key, entry| {
            let wanted = !is_unwanted(key, entry);
            bytes += if wanted { entry.bytes } else { 0 };
            wanted
        });
        self.bytes = bytes;
    }

    /// Drops what was not used for longest.
    fn shrink_to(&mut self, bytes: usize) {
        self.remove_where(|key, _| key.segment.strong_count() == 0);
        let mut uses: Vec<(u64, usize)> = self.entries.values().map(|entry| (entry.used, entry.bytes)).collect();
        uses.sort_unstable();
        let mut excess = self.bytes.saturating_sub(bytes);
        let mut oldest = 0;
        for (used, bytes) in uses {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(bytes);
            oldest = used + 1;
        }
        self.remove_where(|_, entry| entry.used < oldest);
    }
}
