//! Totals of single subjects, kept up to date by the writer as rows are published.
//!
//! Invariant: a finished counter is the fold of its plan over all rows that were acknowledged. A counter starts from an
//! exact aggregate over a view; under the gate, view and counter begin at the same moment, so that every row is either in
//! the view or added later, and none is both.

use super::facts::Fact;
use super::facts::masks::Masks;
use super::lock;
use super::rows::Rows;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use tallystick_domain::event::EventRef;
use tallystick_domain::meter::{AggregatePlan, Aggregation, Dimension, Filter, JsonPath, PlanError, numeric_value};
use tallystick_domain::{ExactSum, Instant, Namespace, Quantity};

/// Counters are spread over so many parts, so that readers and the writer rarely want the same one.
const SHARDS: usize = 64;

/// Which total is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveKey {
    /// Only events of this namespace.
    pub namespace: Namespace,
    /// Only events of this type.
    pub event_type: String,
    /// How values add up.
    pub aggregation: Aggregation,
    /// Where the value is; `None` for COUNT.
    pub value: Option<JsonPath>,
    /// Only events of this subject.
    pub subject: String,
    /// First instant that counts; the end is open.
    pub from: Option<Instant>,
}

/// What many counters have in common.
#[derive(Debug, PartialEq, Eq)]
struct Definition {
    namespace: Namespace,
    event_type: String,
    aggregation: Aggregation,
    value: Option<JsonPath>,
}

/// All counters of a store.
pub(crate) struct LiveCounters {
    limit_per_shard: usize,
    hasher: DefaultHashBuilder,
    shards: Vec<Mutex<Shard>>,
    definitions: RwLock<Vec<Arc<Definition>>>,
    /// How many counters there are.
    count: AtomicUsize,
    gate: Mutex<()>,
}

#[derive(Default)]
struct Shard {
    slots: Vec<Option<Counter>>,
    free: Vec<u32>,
    by_subject: HashTable<u32>,
    /// Where to look for a counter to drop.
    hand: usize,
    /// How many were started.
    serial: u64,
}

struct Counter {
    hash: u64,
    definition: Arc<Definition>,
    subject: Box<str>,
    from: Option<Instant>,
    /// Whether it was read since the hand passed.
    is_used: bool,
    /// Tells it from others that were started for the same key.
    serial: u64,
    /// Whether what came before it was added.
    is_finished: bool,
    total: Total,
}

/// What was counted.
#[derive(Clone, Debug)]
enum Total {
    Nothing,
    Count(u64),
    Sum(i128, u32),
    WideSum(Box<ExactSum>),
    Extreme(Quantity),
}

/// Holds the start of a counter and the publishing of rows apart.
pub(crate) struct Gate<'c> {
    _held: MutexGuard<'c, ()>,
}

impl LiveKey {
    /// Whether such totals can be kept.
    fn is_kept(&self) -> bool {
        match self.aggregation {
            Aggregation::Count => true,
            Aggregation::Sum | Aggregation::Min | Aggregation::Max => self.value.is_some(),
            Aggregation::UniqueCount | Aggregation::Avg | Aggregation::Latest => false,
        }
    }

    /// The plan whose only row has the total.
    pub(crate) fn plan(&self) -> AggregatePlan {
        AggregatePlan {
            namespace: self.namespace.clone(),
            event_type: self.event_type.clone(),
            from: self.from,
            to: None,
            aggregation: self.aggregation,
            value: self.value.clone(),
            dimensions: vec![],
            filters: vec![(Dimension::Subject, Filter::Eq(self.subject.clone()))],
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
            definitions: RwLock::default(),
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

    /// The total, if it is being kept.
    pub fn get(&self, key: &LiveKey) -> Option<Result<Option<Quantity>, PlanError>> {
        let hash = self.hash(&key.namespace, &key.event_type, &key.subject);
        let mut shard = lock(self.shard(hash));
        let counter = shard.find(hash, key)?;
        counter.is_used = true;
        counter.is_finished.then(|| counter.total.value())
    }

    /// Starts a counter, to which published rows are added from now on; its serial number. `None` if there is one already,
    /// or may be none.
    pub fn start(&self, _gate: &Gate<'_>, key: &LiveKey) -> Option<u64> {
        if self.limit_per_shard == 0 || !key.is_kept() {
            return None;
        }
        let hash = self.hash(&key.namespace, &key.event_type, &key.subject);
        let definition = self.definition(key);
        let mut shard = lock(self.shard(hash));
        if shard.find(hash, key).is_some() {
            return None;
        }
        if shard.by_subject.len() >= self.limit_per_shard {
            shard.drop_one();
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
        shard.serial += 1;
        let serial = shard.serial;
        shard.insert(Counter {
            hash,
            definition,
            subject: key.subject.as_str().into(),
            from: key.from,
            is_used: false,
            serial,
            is_finished: false,
            total: Total::Nothing,
        });
        self.count.fetch_add(1, Ordering::Relaxed);
        Some(serial)
    }

    /// Gives a counter that was started what had come before, or drops it if that is not known. It may be gone.
    pub fn finish(&self, key: &LiveKey, serial: u64, before: Option<Option<Quantity>>) {
        let hash = self.hash(&key.namespace, &key.event_type, &key.subject);
        let mut shard = lock(self.shard(hash));
        let Some(counter) = shard.find(hash, key).filter(|counter| counter.serial == serial) else { return };
        match before {
            Some(before) => {
                counter.is_finished = true;
                if let Some(before) = before {
                    counter.total.add(key.aggregation, before);
                }
            }
            None => {
                let dropped = shard.remove_where(hash, |counter| counter.serial == serial);
                self.count.fetch_sub(dropped, Ordering::Relaxed);
            }
        }
    }

    /// Adds rows that are being published, except for those that expired before they came.
    pub fn publish(&self, _gate: &Gate<'_>, rows: &Rows, masks: &Masks) {
        if self.len() == 0 {
            return;
        }
        let definitions = self.definitions.read().unwrap_or_else(PoisonError::into_inner);
        let is_watched = |namespace: &Namespace, event: &EventRef<'_>| {
            definitions.iter().any(|known| known.event_type == event.event_type() && known.namespace == *namespace)
        };
        for row in rows.iter() {
            let event = row.stored.event;
            if is_watched(row.namespace, &event) && !masks.has_expired(row.namespace, event.event_type(), event.time())
            {
                let hash = self.hash(row.namespace, event.event_type(), event.subject());
                lock(self.shard(hash)).add(hash, row.namespace, &event);
            }
        }
    }

    /// Drops the counters of a subject: what they count has changed.
    pub fn forget(&self, namespace: &Namespace, event_type: &str, subject: &str) {
        let hash = self.hash(namespace, event_type, subject);
        let dropped = lock(self.shard(hash)).remove_where(hash, |counter| {
            let definition = &counter.definition;
            *counter.subject == *subject && definition.event_type == event_type && definition.namespace == *namespace
        });
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
            let is_of = |counter: &Counter| {
                *counter.definition.event_type == *event_type && counter.definition.namespace == *namespace
            };
            let slots = shard.slots.iter().enumerate();
            let wanted = slots.filter(|(_, counter)| counter.as_ref().is_some_and(is_of)).map(|(slot, _)| slot);
            let wanted: Vec<usize> = wanted.collect();
            wanted.iter().for_each(|slot| shard.remove(*slot));
            self.count.fetch_sub(wanted.len(), Ordering::Relaxed);
        }
    }

    /// The definition of a key, shared by its counters. Those without counters are dropped here.
    fn definition(&self, key: &LiveKey) -> Arc<Definition> {
        let mut definitions = self.definitions.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = definitions.iter().find(|known| known.is_of(key)) {
            return Arc::clone(known);
        }
        definitions.retain(|known| Arc::strong_count(known) > 1);
        let new = Arc::new(Definition {
            namespace: key.namespace.clone(),
            event_type: key.event_type.clone(),
            aggregation: key.aggregation,
            value: key.value.clone(),
        });
        definitions.push(Arc::clone(&new));
        new
    }

    fn hash(&self, namespace: &Namespace, event_type: &str, subject: &str) -> u64 {
        self.hasher.hash_one((namespace.as_str(), event_type, subject))
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The table inside uses the lowest and the highest bits.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }
}

impl Definition {
    fn is_of(&self, key: &LiveKey) -> bool {
        self.aggregation == key.aggregation
            && self.event_type == key.event_type
            && self.namespace == key.namespace
            && self.value == key.value
    }
}

impl Counter {
    fn is_of(&self, key: &LiveKey) -> bool {
        *self.subject == *key.subject && self.from == key.from && self.definition.is_of(key)
    }

    fn take(&mut self, event: &EventRef<'_>) {
        match (self.definition.aggregation, &self.definition.value) {
            (Aggregation::Count, _) => self.total.add(Aggregation::Count, Quantity::from_count(1)),
            (aggregation, Some(path)) => {
                if let Ok(number) = numeric_value(event.data(), path) {
                    self.total.add(aggregation, number);
                }
            }
            (_, None) => {}
        }
    }
}

impl Shard {
    fn find(&mut self, hash: u64, key: &LiveKey) -> Option<&mut Counter> {
        let slots = &self.slots;
        let is_of = |slot: &u32| slots[*slot as usize].as_ref().is_some_and(|counter| counter.is_of(key));
        let slot = *self.by_subject.find(hash, is_of)?;
        self.slots[slot as usize].as_mut()
    }

    /// Adds an event to all counters of its subject.
    fn add(&mut self, hash: u64, namespace: &Namespace, event: &EventRef<'_>) {
        for slot in self.by_subject.iter_hash(hash) {
            if let Some(counter) = &mut self.slots[*slot as usize]
                && *counter.subject == *event.subject()
                && counter.definition.event_type == event.event_type()
                && counter.definition.namespace == *namespace
                && counter.from.is_none_or(|from| from <= event.time())
            {
                counter.take(event);
            }
        }
    }

    fn insert(&mut self, counter: Counter) {
        let hash = counter.hash;
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(slot as usize) {
            Some(free) => *free = Some(counter),
            None => self.slots.push(Some(counter)),
        }
        let slots = &self.slots;
        let rehash = |slot: &u32| slots[*slot as usize].as_ref().map_or(0, |counter| counter.hash);
        self.by_subject.insert_unique(hash, slot, rehash);
    }

    fn remove(&mut self, slot: usize) {
        if let Some(counter) = self.slots[slot].take() {
            if let Ok(entry) = self.by_subject.find_entry(counter.hash, |other| *other as usize == slot) {
                entry.remove();
            }
            self.free.push(slot as u32);
        }
    }

    /// Removes counters with a hash; says how many.
    fn remove_where(&mut self, hash: u64, is_unwanted: impl Fn(&Counter) -> bool) -> usize {
        let unwanted = |slot: &u32| self.slots[*slot as usize].as_ref().is_some_and(&is_unwanted);
        let slots: Vec<u32> = self.by_subject.iter_hash(hash).copied().filter(unwanted).collect();
        slots.iter().for_each(|slot| self.remove(*slot as usize));
        slots.len()
    }

    /// Drops a counter that was not read for a while; there is at least one.
    fn drop_one(&mut self) {
        loop {
            let slot = self.hand % self.slots.len();
            self.hand = slot + 1;
            match &mut self.slots[slot] {
                Some(counter) if counter.is_used => counter.is_used = false,
                Some(_) => return self.remove(slot),
                None => {}
            }
        }
    }
}

impl Total {
    fn add(&mut self, aggregation: Aggregation, number: Quantity) {
        *self = match (aggregation, std::mem::replace(self, Total::Nothing)) {
            // A counter of events is only ever given counts.
            (Aggregation::Count, Total::Count(count)) => Total::Count(count + count_of(number)),
            (Aggregation::Count, _) => Total::Count(count_of(number)),
            (Aggregation::Min, Total::Extreme(old)) => Total::Extreme(old.min(number)),
            (Aggregation::Max, Total::Extreme(old)) => Total::Extreme(old.max(number)),
            (Aggregation::Min | Aggregation::Max, _) => Total::Extreme(number),
            (_, Total::Sum(mantissa, scale)) => sum(mantissa, scale, number),
            (_, Total::WideSum(mut exact)) => {
                exact.add(number);
                Total::WideSum(exact)
            }
            (_, _) => Total::Sum(number.mantissa(), number.scale()),
        }
    }

    fn value(&self) -> Result<Option<Quantity>, PlanError> {
        let overflow = |error| PlanError::overflow(&[], error);
        match self {
            Total::Nothing => Ok(None),
            Total::Count(count) => Ok(Some(Quantity::from_count(*count))),
            Total::Extreme(number) => Ok(Some(*number)),
            Total::Sum(mantissa, scale) => Quantity::from_parts(*mantissa, *scale)
                .or_else(|_| exact(*mantissa, *scale).total())
                .map(Some)
                .map_err(overflow),
            Total::WideSum(exact) => exact.total().map(Some).map_err(overflow),
        }
    }
}

fn count_of(number: Quantity) -> u64 {
    u64::try_from(number.mantissa()).unwrap_or(0)
}

fn exact(mantissa: i128, scale: u32) -> ExactSum {
    let mut exact = ExactSum::default();
    exact.add_scaled(mantissa, scale);
    exact
}

/// Adds at the larger of both scales, or in 256 bits if that does not fit.
fn sum(mantissa: i128, scale: u32, number: Quantity) -> Total {
    let common = scale.max(number.scale());
    let at_common = |mantissa: i128, scale: u32| mantissa.checked_mul(10i128.pow(common - scale));
    let narrow = at_common(mantissa, scale)
        .zip(at_common(number.mantissa(), number.scale()))
        .and_then(|(left, right)| left.checked_add(right));
    match narrow {
        Some(mantissa) => Total::Sum(mantissa, common),
        None => {
            let mut wide = exact(mantissa, scale);
            wide.add(number);
            Total::WideSum(Box::new(wide))
        }
    }
}

#[cfg(test)]
#[path = "live_counter_tests.rs"]
mod tests;
