//! The ledger: how many events were accepted, by the hour of acceptance, type and source.
//!
//! Invariant: what it says of new events was counted from rows as they were sealed, and it lasts with the segment that
//! holds them; it never changes when rows are merged or dropped. So a row that is lost or comes back makes the ledger and
//! a recount differ.

use std::collections::BTreeMap;
use tallystick_domain::{Instant, Namespace};

const HOUR_US: i64 = 3_600_000_000;
/// Keys after which events of further sources are counted together, under the source `""`, which no event has: whoever
/// makes up sources must not fill the memory.
const MOST_KEYS: usize = 200_000;

/// Which events a tally counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LedgerKey {
    pub namespace: Namespace,
    /// The beginning of the hour in which they were accepted.
    pub hour: Instant,
    pub event_type: Box<str>,
    pub source: Box<str>,
}

/// Numbers of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Accepted for the first time, and sealed.
    pub new: u64,
    /// Sent again.
    pub duplicates: u64,
    /// Of the new ones: those whose rows were dropped, as they were older than what is kept.
    pub expired: u64,
}

impl Tally {
    /// Adds the numbers of another one; a number that would not fit stays at the largest.
    pub fn add(&mut self, other: Tally) {
        self.new = self.new.saturating_add(other.new);
        self.duplicates = self.duplicates.saturating_add(other.duplicates);
        self.expired = self.expired.saturating_add(other.expired);
    }
}

/// The beginning of the hour of an instant.
pub(crate) fn hour_of(instant: Instant) -> Instant {
    let micros = instant.as_micros();
    // The first stored instant begins an hour.
    Instant::from_micros(micros - micros.rem_euclid(HOUR_US)).unwrap_or(Instant::MIN)
}

/// Tallies by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    tallies: BTreeMap<LedgerKey, Tally>,
}

impl Ledger {
    /// Adds to a key's numbers.
    pub fn add(&mut self, key: LedgerKey, tally: Tally) {
        let key = if self.has_room_for(&key) { key } else { LedgerKey { source: "".into(), ..key } };
        self.tallies.entry(key).or_default().add(tally);
    }

    fn has_room_for(&self, key: &LedgerKey) -> bool {
        self.tallies.len() < MOST_KEYS || self.tallies.contains_key(key)
    }

    /// Adds the numbers of all keys of another one.
    pub fn absorb(&mut self, other: Ledger) {
        other.tallies.into_iter().for_each(|(key, tally)| self.add(key, tally));
    }

    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.tallies.len()
    }

    /// All keys in order.
    pub fn iter(&self) -> impl Iterator<Item = (&LedgerKey, &Tally)> {
        self.tallies.iter()
    }
}

/// Keys that are counted without a look into the ledger.
const RECENT_KEYS: usize = 16;

/// Counts events one after the other; those nearby mostly have one of a few keys.
#[derive(Default)]
pub(crate) struct Counting {
    ledger: Ledger,
    recent: Vec<(LedgerKey, Tally)>,
}

impl Counting {
    /// Counts an event.
    pub fn count(&mut self, namespace: &Namespace, ingested_at: Instant, event_type: &str, source: &str, one: Tally) {
        let hour = hour_of(ingested_at);
        let is_same = |(key, _): &&mut (LedgerKey, Tally)| {
            key.hour == hour && *key.source == *source && *key.event_type == *event_type && key.namespace == *namespace
        };
        if let Some((_, tally)) = self.recent.iter_mut().find(is_same) {
            tally.add(one);
            return;
        }
        if self.recent.len() == RECENT_KEYS {
            self.recent.drain(..).for_each(|(key, tally)| self.ledger.add(key, tally));
        }
        let (namespace, event_type, source) = (namespace.clone(), event_type.into(), source.into());
        self.recent.push((LedgerKey { namespace, hour, event_type, source }, one));
    }

    /// What was counted.
    pub fn finish(mut self) -> Ledger {
        self.recent.drain(..).for_each(|(key, tally)| self.ledger.add(key, tally));
        self.ledger
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_begin_at_whole_hours_also_before_1970() {
        for (text, hour) in [
            ("2024-01-01T00:59:59.999999Z", "2024-01-01T00:00:00Z"),
            ("2024-01-01T01:00:00Z", "2024-01-01T01:00:00Z"),
            ("1969-12-31T23:30:00Z", "1969-12-31T23:00:00Z"),
        ] {
            let parse = |text| Instant::parse_rfc3339(text).unwrap();
            assert_eq!(hour_of(parse(text)), parse(hour));
        }
        assert_eq!(hour_of(Instant::MIN), Instant::MIN);
    }

    #[test]
    fn events_are_counted_by_key_in_whatever_order_they_come() {
        let mut counting = Counting::default();
        let one = Tally { new: 1, ..Tally::default() };
        let name = Namespace::default_namespace();
        for source in ["a", "a", "b", "a"] {
            counting.count(&name, Instant::MIN, "t", source, one);
        }
        let ledger = counting.finish();
        let counts: Vec<_> = ledger.iter().map(|(key, tally)| (&*key.source, tally.new)).collect();
        assert_eq!(counts, [("a", 3), ("b", 1)]);
    }
}
