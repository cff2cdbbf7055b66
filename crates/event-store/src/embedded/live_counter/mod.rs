//! Totals of single subjects, kept up to date by the writer as rows are published.
//!
//! Invariant: a finished counter is the fold of its plan over all rows that were acknowledged. A counter starts from an
//! exact aggregate over a view; under the gate, view and counter begin at the same moment, so that every row is either in
//! the view or added later, and none is both. What may have changed the past of a counter drops it.

mod shard;
#[cfg(test)]
mod tests;
mod total;

use super::facts::Fact;
use super::facts::masks::Masks;
use super::lock;
use super::rows::Rows;
use hashbrown::{DefaultHashBuilder, HashTable};
use shard::Shard;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tallystick_domain::event::EventRef;
use tallystick_domain::meter::{
    AggregatePlan, AggregateRow, Aggregation, Dimension, Filter, JsonPath, PlanError, numeric_value,
};
use tallystick_domain::{Instant, Namespace, Quantity};

/// Counters are spread over so many parts, so that readers and the writer rarely want the same one.
const SHARDS: usize = 64;

/// What is counted. Keys that share one are cheap to make and to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMeasure {
    /// Only events of this namespace.
    pub namespace: Namespace,
    /// Only events of this type.
    pub event_type: String,
    /// How values add up.
    pub aggregation: Aggregation,
    /// Where the value is; `None` for COUNT.
    pub value: Option<JsonPath>,
    /// Further conditions; all must hold. No event has a customer here.
    pub filters: Vec<(Dimension, Filter)>,
}

/// Which total is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveKey {
    /// What is counted.
    pub measure: Arc<LiveMeasure>,
    /// Only events of this subject.
    pub subject: Arc<str>,
    /// First instant that counts; the end is open.
    pub from: Option<Instant>,
}

/// A total that is kept, and what tells whether more than the total changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The total of the events at or after the key's `from`; `None` if nothing counts.
    pub total: Option<Quantity>,
    /// Time of the latest event that counts.
    pub last: Option<Instant>,
    /// Which start of the counter this is. Another number means that the total was counted anew, as after a correction or a
    /// cut-off. No two starts for a key have the same number until the store is closed.
    pub start: u64,
    /// Events of the subject for which the filters hold that were stored since the start, whenever they happened and
    /// whether or not they have a value. Those that expired before they came are left out.
    pub seen: u64,
    /// Those of them that happened before `from`, so that the total does not hold them.
    pub earlier: u64,
}

/// What an event is to a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// Its filters do not hold.
    Excluded,
    /// It has no value that counts.
    NotCounted,
    /// It adds this.
    Number(Quantity),
}

/// All counters of a store.
pub(crate) struct LiveCounters {
    limit_per_shard: usize,
    hasher: DefaultHashBuilder,
    shards: Vec<Mutex<Shard>>,
    /// By namespace and type.
    measures: RwLock<HashTable<Arc<LiveMeasure>>>,
    /// How many counters there are.
    count: AtomicUsize,
    gate: Mutex<()>,
}

/// Holds the start of a counter and the publishing of rows apart.
pub(crate) struct Gate<'c> {
    _held: MutexGuard<'c, ()>,
}

/// A counter at the moment of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Started {
    /// What came by since it was started, without a total.
    pub passed: Counted,
    /// Whether it was started now, so that it has to be finished.
    pub is_new: bool,
}

impl LiveKey {
    /// Whether such totals can be kept.
    fn is_kept(&self) -> bool {
        match self.measure.aggregation {
            Aggregation::Count => true,
            Aggregation::Sum | Aggregation::Min | Aggregation::Max => self.measure.value.is_some(),
            Aggregation::UniqueCount | Aggregation::Avg | Aggregation::Latest => false,
        }
    }

    /// First instant that counts, if need be that of all.
    fn first_instant(&self) -> Instant {
        self.from.unwrap_or(Instant::MIN)
    }

    /// The plan whose only row has the total.
    pub(crate) fn plan(&self) -> AggregatePlan {
        let measure = &*self.measure;
        let mut filters = vec![(Dimension::Subject, Filter::Eq(self.subject.to_string()))];
        filters.extend(measure.filters.iter().cloned());
        AggregatePlan {
            namespace: measure.namespace.clone(),
            event_type: measure.event_type.clone(),
            from: self.from,
            to: None,
            aggregation: measure.aggregation,
            value: measure.value.clone(),
            dimensions: vec![],
            filters,
            customers: None,
            windows: None,
            known_until: None,
        }
    }
}

impl LiveCounters {
    /// No counter yet; there will be about `limit` at most.
    pub fn new(limit: usize) -> Self {
        Self {
            limit_per_shard: limit.div_ceil(SHARDS),
            hasher: DefaultHashBuilder::default(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            measures: RwLock::default(),
            count: AtomicUsize::new(0),
            gate: Mutex::new(()),
        }
    }

    /// Waits until rows are not being published, and holds further ones back.
    pub fn gate(&self) -> Gate<'_> {
        Gate { _held: lock(&self.gate) }
    }

    /// How many counters there are.
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// What was counted, if it is being kept.
    pub fn get(&self, key: &LiveKey) -> Option<Result<Counted, PlanError>> {
        let hash = self.hash(&key.measure.namespace, &key.measure.event_type, &key.subject);
        let mut shard = lock(self.shard(hash));
        let counter = shard.find(hash, key)?;
        counter.is_used = true;
        counter.is_finished.then(|| counter.counted())
    }

    /// All that was counted but the total, if it is being kept.
    pub fn marks(&self, key: &LiveKey) -> Option<Counted> {
        let hash = self.hash(&key.measure.namespace, &key.measure.event_type, &key.subject);
        let mut shard = lock(self.shard(hash));
        let counter = shard.find(hash, key)?;
        counter.is_used = true;
        counter.is_finished.then(|| counter.marks())
    }

    /// Whether the total of a key can be kept.
    pub fn keeps(&self, key: &LiveKey) -> bool {
        self.limit_per_shard > 0 && key.is_kept()
    }

    /// Starts a counter, to which published rows are added from now on, unless there is one. The key must be one that is
    /// kept.
    pub fn start(&self, _gate: &Gate<'_>, key: &LiveKey) -> Started {
        let hash = self.hash(&key.measure.namespace, &key.measure.event_type, &key.subject);
        let measure = self.measure(key);
        let mut shard = lock(self.shard(hash));
        if let Some(counter) = shard.find(hash, key) {
            return Started { passed: counter.passed(), is_new: false };
        }
        let (passed, dropped) = shard.start(hash, measure, key, self.limit_per_shard);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.count.fetch_sub(dropped, Ordering::Relaxed);
        Started { passed, is_new: true }
    }

    /// Gives a counter that was started the row of what had come before, or drops it if that is not known. It may be gone.
    pub fn finish(&self, key: &LiveKey, start: u64, before: Option<Option<&AggregateRow>>) {
        let hash = self.hash(&key.measure.namespace, &key.measure.event_type, &key.subject);
        let mut shard = lock(self.shard(hash));
        let Some(counter) = shard.find(hash, key).filter(|counter| counter.start == start) else { return };
        match before {
            Some(row) => counter.finish(row),
            None => {
                let dropped = shard.remove_where(hash, |counter| counter.start == start);
                self.count.fetch_sub(dropped, Ordering::Relaxed);
            }
        }
    }

    /// Adds rows that are being published, except for those that expired before they came.
    pub fn publish(&self, _gate: &Gate<'_>, rows: &Rows, masks: &Masks) {
        if self.len() == 0 {
            return;
        }
        let measures = self.measures.read().unwrap_or_else(PoisonError::into_inner);
        let is_watched = |namespace: &Namespace, event_type: &str| {
            let hash = self.hash_of_type(namespace, event_type);
            measures.find(hash, |known| known.is_about(namespace, event_type)).is_some()
        };
        for row in rows.iter() {
            let (namespace, event) = (row.namespace, row.stored.event);
            if is_watched(namespace, event.event_type())
                && !masks.has_expired(namespace, event.event_type(), event.time())
            {
                let hash = self.hash(namespace, event.event_type(), event.subject());
                lock(self.shard(hash)).add(hash, namespace, event);
            }
        }
    }

    /// Drops the counters of a subject: what they count has changed.
    pub fn forget(&self, namespace: &Namespace, event_type: &str, subject: &str) {
        let hash = self.hash(namespace, event_type, subject);
        let dropped = lock(self.shard(hash)).remove_where(hash, |counter| {
            *counter.subject == *subject && counter.measure.is_about(namespace, event_type)
        });
        self.count.fetch_sub(dropped, Ordering::Relaxed);
    }

    /// Drops the counter of a key.
    pub fn forget_key(&self, key: &LiveKey) {
        let hash = self.hash(&key.measure.namespace, &key.measure.event_type, &key.subject);
        let mut shard = lock(self.shard(hash));
        let Some(start) = shard.find(hash, key).map(|counter| counter.start) else { return };
        let dropped = shard.remove_where(hash, |counter| counter.start == start);
        self.count.fetch_sub(dropped, Ordering::Relaxed);
    }

    /// Drops the counters whose events a fact is about.
    pub fn forget_what(&self, fact: &Fact) {
        match fact {
            Fact::Correction(record) => {
                let event = &record.event.event;
                self.forget(&record.namespace, event.event_type(), event.subject());
            }
            Fact::CutOff { namespace, event_type, .. } => self.forget_type(namespace, event_type),
            Fact::Tally { .. } | Fact::Dropped { .. } => {}
        }
    }

    /// Drops all counters of a type.
    fn forget_type(&self, namespace: &Namespace, event_type: &str) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let unwanted = shard.iter().filter(|(_, counter)| counter.measure.is_about(namespace, event_type));
            let unwanted: Vec<usize> = unwanted.map(|(slot, _)| slot).collect();
            unwanted.iter().for_each(|slot| shard.remove(*slot));
            self.count.fetch_sub(unwanted.len(), Ordering::Relaxed);
        }
    }

    /// The measure of a key, shared by its counters. Those without counters are dropped before there are more.
    fn measure(&self, key: &LiveKey) -> Arc<LiveMeasure> {
        let hash = self.hash_of_type(&key.measure.namespace, &key.measure.event_type);
        let mut measures = self.measures.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = measures.find(hash, |known| known.is_of(key)) {
            return Arc::clone(known);
        }
        if measures.len() == measures.capacity() {
            measures.retain(|known| Arc::strong_count(known) > 1);
        }
        let new = Arc::clone(&key.measure);
        let rehash = |known: &Arc<LiveMeasure>| self.hash_of_type(&known.namespace, &known.event_type);
        measures.insert_unique(hash, Arc::clone(&new), rehash);
        new
    }

    fn hash_of_type(&self, namespace: &Namespace, event_type: &str) -> u64 {
        self.hasher.hash_one((namespace.as_str(), event_type))
    }

    fn hash(&self, namespace: &Namespace, event_type: &str, subject: &str) -> u64 {
        self.hasher.hash_one((namespace.as_str(), event_type, subject))
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The table inside uses the lowest and the highest bits.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}

impl LiveMeasure {
    fn is_of(&self, key: &LiveKey) -> bool {
        std::ptr::eq(self, &raw const *key.measure) || *self == *key.measure
    }

    fn is_about(&self, namespace: &Namespace, event_type: &str) -> bool {
        self.event_type == event_type && self.namespace == *namespace
    }

    /// What an event of its namespace and type is to it.
    fn read(&self, event: EventRef<'_>) -> Reading {
        if !self.filters.iter().all(|(dimension, filter)| filter.matches(&dimension.text_of(event, None))) {
            return Reading::Excluded;
        }
        let number = match (self.aggregation, &self.value) {
            (Aggregation::Count, _) => Some(Quantity::from_count(1)),
            (_, Some(path)) => numeric_value(event.data(), path).ok(),
            (_, None) => None,
        };
        number.map_or(Reading::NotCounted, Reading::Number)
    }
}
