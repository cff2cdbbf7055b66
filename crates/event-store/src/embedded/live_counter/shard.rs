//! One part of the counters, found by their subjects.

use super::total::Total;
use super::{Counted, LiveKey, LiveMeasure, Reading};
use hashbrown::HashTable;
use std::sync::Arc;
use tallystick_domain::event::EventRef;
use tallystick_domain::meter::{AggregateRow, PlanError};
use tallystick_domain::{Instant, Namespace, Quantity};

/// The most counters of a subject and type, each of which is looked at for each event of the subject.
pub(super) const PER_SUBJECT: usize = 256;

/// Counters, and where they are.
#[derive(Default)]
pub(super) struct Shard {
    slots: Vec<Option<Counter>>,
    free: Vec<u32>,
    by_subject: HashTable<u32>,
    /// Where to look for a counter to drop.
    hand: usize,
    /// How many were started.
    started: u64,
}

/// A total that is kept.
pub(super) struct Counter {
    hash: u64,
    pub measure: Arc<LiveMeasure>,
    pub subject: Arc<str>,
    /// The first instant of all where the key has none: nothing is before it.
    from: Instant,
    /// Tells it from others that were started for the same key.
    pub start: u64,
    total: Total,
    /// Time of the latest event that counted, once one did.
    last: Instant,
    seen: u64,
    earlier: u64,
    /// Whether it was read since the hand passed.
    pub is_used: bool,
    /// Whether what came before it was added.
    pub is_finished: bool,
}

impl Counter {
    fn is_of(&self, key: &LiveKey) -> bool {
        self.from == key.first_instant() && *self.subject == *key.subject && self.measure.is_of(key)
    }

    /// Takes in an event of its subject.
    fn take(&mut self, time: Instant, reading: Reading) {
        if reading == Reading::Excluded {
            return;
        }
        self.seen += 1;
        if time < self.from {
            self.earlier += 1;
        } else if let Reading::Number(number) = reading {
            self.add(number, time);
        }
    }

    fn add(&mut self, number: Quantity, time: Instant) {
        self.last = if self.total.is_nothing() { time } else { self.last.max(time) };
        self.total.add(self.measure.aggregation, number);
    }

    /// Adds what had come before it was started.
    pub fn finish(&mut self, before: Option<&AggregateRow>) {
        self.is_finished = true;
        if let Some(row) = before {
            self.add(row.value, row.last);
        }
    }

    /// All that it knows.
    pub fn counted(&self) -> Result<Counted, PlanError> {
        Ok(Counted { total: self.total.value()?, ..self.marks() })
    }

    /// All that it knows but the total, which takes longest to tell.
    pub fn marks(&self) -> Counted {
        Counted { last: (!self.total.is_nothing()).then_some(self.last), ..self.passed() }
    }

    /// What came by since it was started.
    pub fn passed(&self) -> Counted {
        Counted { total: None, last: None, start: self.start, seen: self.seen, earlier: self.earlier }
    }
}

impl Shard {
    /// The counters, each with its slot.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Counter)> {
        self.slots.iter().enumerate().filter_map(|(slot, counter)| Some((slot, counter.as_ref()?)))
    }

    /// The counter of a key.
    pub fn find(&mut self, hash: u64, key: &LiveKey) -> Option<&mut Counter> {
        let slots = &self.slots;
        let is_of = |slot: &u32| slots[*slot as usize].as_ref().is_some_and(|counter| counter.is_of(key));
        let slot = *self.by_subject.find(hash, is_of)?;
        self.slots[slot as usize].as_mut()
    }

    /// Adds an event to all counters of its subject. These mostly have the same measure, which is asked once.
    pub fn add(&mut self, hash: u64, namespace: &Namespace, event: EventRef<'_>) {
        let mut known: Option<(*const LiveMeasure, Reading)> = None;
        for slot in self.by_subject.iter_hash(hash) {
            let Some(counter) = &mut self.slots[*slot as usize] else { continue };
            if *counter.subject != *event.subject() || !counter.measure.is_about(namespace, event.event_type()) {
                continue;
            }
            let measure = Arc::as_ptr(&counter.measure);
            let reading = match known {
                Some((of, reading)) if of == measure => reading,
                _ => counter.measure.read(event),
            };
            known = Some((measure, reading));
            counter.take(event.time(), reading);
        }
    }

    /// A new counter that has counted nothing. One of the same subject makes room if it has too many, or any other if all of
    /// them together are `limit`; says how many did.
    pub fn start(&mut self, hash: u64, measure: Arc<LiveMeasure>, key: &LiveKey, limit: usize) -> (Counted, usize) {
        let dropped = if self.of_hash(hash).count() >= PER_SUBJECT {
            self.drop_one_of(hash)
        } else if self.by_subject.len() >= limit {
            self.drop_one()
        } else {
            0
        };
        self.started += 1;
        let counter = Counter {
            hash,
            measure,
            subject: Arc::clone(&key.subject),
            from: key.first_instant(),
            start: self.started,
            total: Total::Nothing,
            last: Instant::MIN,
            seen: 0,
            earlier: 0,
            is_used: false,
            is_finished: false,
        };
        let passed = counter.passed();
        self.insert(counter);
        (passed, dropped)
    }

    fn insert(&mut self, counter: Counter) {
        let hash = counter.hash;
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(slot as usize) {
            Some(free) => *free = Some(counter),
            None => {
                if self.slots.len() == self.slots.capacity() {
                    // Doubling would leave up to half of the memory unused.
                    self.slots.reserve_exact(self.slots.len() / 8 + 4);
                }
                self.slots.push(Some(counter));
            }
        }
        let slots = &self.slots;
        let rehash = |slot: &u32| slots[*slot as usize].as_ref().map_or(0, |counter| counter.hash);
        self.by_subject.insert_unique(hash, slot, rehash);
    }

    /// Empties a slot.
    pub fn remove(&mut self, slot: usize) {
        if let Some(counter) = self.slots[slot].take() {
            if let Ok(entry) = self.by_subject.find_entry(counter.hash, |other| *other as usize == slot) {
                entry.remove();
            }
            self.free.push(slot as u32);
        }
    }

    /// Removes counters with a hash; says how many.
    pub fn remove_where(&mut self, hash: u64, is_unwanted: impl Fn(&Counter) -> bool) -> usize {
        let unwanted = self.of_hash(hash).filter(|(_, counter)| is_unwanted(counter));
        let slots: Vec<usize> = unwanted.map(|(slot, _)| slot).collect();
        slots.iter().for_each(|slot| self.remove(*slot));
        slots.len()
    }

    fn of_hash(&self, hash: u64) -> impl Iterator<Item = (usize, &Counter)> {
        let counters = self.by_subject.iter_hash(hash);
        let counters = counters.filter_map(|slot| Some((*slot as usize, self.slots[*slot as usize].as_ref()?)));
        counters.filter(move |(_, counter)| counter.hash == hash)
    }

    /// Drops the oldest counter with a hash that was not read for a while; says how many it dropped.
    fn drop_one_of(&mut self, hash: u64) -> usize {
        let oldest = self.of_hash(hash).min_by_key(|(_, counter)| (counter.is_used, counter.start));
        let Some((oldest, _)) = oldest else { return 0 };
        for slot in self.by_subject.iter_hash(hash) {
            if let Some(counter) = &mut self.slots[*slot as usize] {
                counter.is_used = false;
            }
        }
        self.remove(oldest);
        1
    }

    /// Drops a counter that was not read for a while, of which there must be one; says how many it dropped.
    fn drop_one(&mut self) -> usize {
        loop {
            let slot = self.hand % self.slots.len();
            self.hand = slot + 1;
            match &mut self.slots[slot] {
                Some(counter) if counter.is_used => counter.is_used = false,
                Some(_) => {
                    self.remove(slot);
                    return 1;
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_as_small_as_the_pages_say() {
        assert_eq!(size_of::<Option<Counter>>(), 104);
    }
}
