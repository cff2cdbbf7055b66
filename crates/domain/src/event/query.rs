//! Which stored events a reader wants to see, newest first.

use super::{StoredEvent, StoredRef};
use crate::meter::Filter;
use crate::{Instant, Namespace};

/// An attribute of an event that can be filtered as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventField {
    /// `id`
    Id,
    /// `source`
    Source,
    /// `subject`
    Subject,
    /// `type`
    Type,
}

impl EventField {
    /// The attribute's text in an event.
    pub fn of(self, stored: StoredRef<'_>) -> &str {
        match self {
            EventField::Id => stored.event.id(),
            EventField::Source => stored.event.source(),
            EventField::Subject => stored.event.subject(),
            EventField::Type => stored.event.event_type(),
        }
    }
}

/// A condition on an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeFilter {
    /// `>`
    After(Instant),
    /// `>=`
    From(Instant),
    /// `<`
    Before(Instant),
    /// `<=`
    Through(Instant),
    /// All of them hold.
    All(Vec<TimeFilter>),
    /// At least one of them holds.
    Any(Vec<TimeFilter>),
}

impl TimeFilter {
    /// Whether the instant passes.
    pub fn matches(&self, instant: Instant) -> bool {
        match self {
            TimeFilter::After(bound) => instant > *bound,
            TimeFilter::From(bound) => instant >= *bound,
            TimeFilter::Before(bound) => instant < *bound,
            TimeFilter::Through(bound) => instant <= *bound,
            TimeFilter::All(filters) => filters.iter().all(|filter| filter.matches(instant)),
            TimeFilter::Any(filters) => filters.iter().any(|filter| filter.matches(instant)),
        }
    }

    /// The earliest and latest instant (both inclusive) that can pass: a range to search, not the whole condition.
    pub fn bounds(&self) -> (Instant, Instant) {
        match self {
            TimeFilter::After(bound) => (bound.saturating_add_micros(1), Instant::MAX),
            TimeFilter::From(bound) => (*bound, Instant::MAX),
            TimeFilter::Before(bound) => (Instant::MIN, bound.saturating_add_micros(-1)),
            TimeFilter::Through(bound) => (Instant::MIN, *bound),
            TimeFilter::All(filters) => filters
                .iter()
                .map(Self::bounds)
                .fold((Instant::MIN, Instant::MAX), |(low, high), (from, through)| (low.max(from), high.min(through))),
            TimeFilter::Any(filters) => filters
                .iter()
                .map(Self::bounds)
                .fold((Instant::MAX, Instant::MIN), |(low, high), (from, through)| (low.min(from), high.max(through))),
        }
    }
}

/// The place of an event in the listing order: time descending, then source and id ascending. It depends on nothing
/// but the event, so a cursor stays valid across restarts and compaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPosition {
    /// Event time.
    pub time: Instant,
    /// Source.
    pub source: String,
    /// Id.
    pub id: String,
}

impl EventPosition {
    /// The place of a stored event.
    pub fn of(stored: &StoredEvent) -> Self {
        Self { time: stored.event.time(), source: stored.event.source().into(), id: stored.event.id().into() }
    }

    /// Whether an event comes after this place.
    pub fn precedes(&self, stored: StoredRef<'_>) -> bool {
        let event = stored.event;
        (event.time(), &*self.source, &*self.id) < (self.time, event.source(), event.id())
    }
}

impl Ord for EventPosition {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.time.cmp(&self.time).then_with(|| self.source.cmp(&other.source)).then_with(|| self.id.cmp(&other.id))
    }
}

impl PartialOrd for EventPosition {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// A page of a listing: conditions, where to go on, and how many at most.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// Only events of this namespace.
    pub namespace: Namespace,
    /// Conditions on attributes; all must hold.
    pub fields: Vec<(EventField, Filter)>,
    /// Condition on the event time.
    pub time: Option<TimeFilter>,
    /// Condition on the moment of acceptance.
    pub ingested_at: Option<TimeFilter>,
    /// Only events that come after this one in listing order.
    pub after: Option<EventPosition>,
    /// At most this many.
    pub limit: usize,
}

impl EventQuery {
    /// Whether an event of the namespace is wanted.
    pub fn matches(&self, stored: StoredRef<'_>) -> bool {
        self.time.as_ref().is_none_or(|filter| filter.matches(stored.event.time()))
            && self.ingested_at.as_ref().is_none_or(|filter| filter.matches(stored.ingested_at))
            && self.fields.iter().all(|(field, filter)| filter.matches(field.of(stored)))
            && self.after.as_ref().is_none_or(|position| position.precedes(stored))
    }

    /// The reference answer over events of the namespace: filter, sort, cut.
    pub fn run<'a>(&self, events: impl IntoIterator<Item = &'a StoredEvent>) -> Vec<StoredEvent> {
        let mut found: Vec<_> = events.into_iter().filter(|stored| self.matches(stored.view())).collect();
        found.sort_by_cached_key(|stored| EventPosition::of(stored));
        found.into_iter().take(self.limit).cloned().collect()
    }
}
