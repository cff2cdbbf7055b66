//! The seven aggregations and their running state.

use crate::quantity::{ExactSum, Quantity, QuantityError};
use crate::time::Instant;
use std::collections::HashSet;

/// How the events of a meter add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// Exact sum of the values.
    Sum,
    /// Number of events.
    Count,
    /// Number of distinct values.
    UniqueCount,
    /// Sum divided by the number of valid values.
    Avg,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Value of the event with the greatest (time, source, id).
    Latest,
}

impl Aggregation {
    /// All seven, in the published order.
    pub const ALL: [Aggregation; 7] = [
        Aggregation::Sum,
        Aggregation::Count,
        Aggregation::UniqueCount,
        Aggregation::Avg,
        Aggregation::Min,
        Aggregation::Max,
        Aggregation::Latest,
    ];

    /// The published name, for example `UNIQUE_COUNT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Aggregation::Sum => "SUM",
            Aggregation::Count => "COUNT",
            Aggregation::UniqueCount => "UNIQUE_COUNT",
            Aggregation::Avg => "AVG",
            Aggregation::Min => "MIN",
            Aggregation::Max => "MAX",
            Aggregation::Latest => "LATEST",
        }
    }

    /// Parses the published name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aggregation| aggregation.as_str() == text)
    }

    /// Whether nothing at all is zero (counts) rather than no answer (the others).
    pub fn counts_nothing_as_zero(self) -> bool {
        matches!(self, Aggregation::Count | Aggregation::UniqueCount)
    }
}

/// What one event contributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sample<'a> {
    /// The event itself, for COUNT.
    Event,
    /// A number, for SUM, AVG, MIN, MAX and LATEST.
    Number(Quantity),
    /// A text to tell apart, for UNIQUE_COUNT.
    Distinct(&'a str),
}

/// The running state of one group. The result depends on the set of events only, not on order or grouping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accumulator {
    first: Instant,
    last: Instant,
    events: u64,
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Count,
    Sum(ExactSum),
    Average(ExactSum),
    Min(Option<Quantity>),
    Max(Option<Quantity>),
    Latest(Option<LatestValue>),
    Distinct(HashSet<Box<str>>),
}

/// Ordered by (time, source, id) first, which no two events share.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LatestValue {
    time: Instant,
    source: Box<str>,
    id: Box<str>,
    value: Quantity,
}

impl Accumulator {
    /// An empty state.
    pub fn new(aggregation: Aggregation) -> Self {
        let state = match aggregation {
            Aggregation::Count => State::Count,
            Aggregation::Sum => State::Sum(ExactSum::default()),
            Aggregation::Avg => State::Average(ExactSum::default()),
            Aggregation::Min => State::Min(None),
            Aggregation::Max => State::Max(None),
            Aggregation::Latest => State::Latest(None),
            Aggregation::UniqueCount => State::Distinct(HashSet::new()),
        };
        Self { first: Instant::MAX, last: Instant::MIN, events: 0, state }
    }

    /// Adds an event. A sample of another kind than the aggregation takes is a defect of the caller and is ignored.
    pub fn add(&mut self, time: Instant, source: &str, id: &str, sample: Sample<'_>) {
        match (&mut self.state, sample) {
            (State::Count, _) => {}
            (State::Sum(sum) | State::Average(sum), Sample::Number(value)) => sum.add(value),
            (State::Min(least), Sample::Number(value)) => *least = Some(least.map_or(value, |old| old.min(value))),
            (State::Max(most), Sample::Number(value)) => *most = Some(most.map_or(value, |old| old.max(value))),
            (State::Latest(latest), Sample::Number(value)) => {
                let newer = latest
                    .as_ref()
                    .is_none_or(|old| (old.time, old.source.as_ref(), old.id.as_ref()) < (time, source, id));
                if newer {
                    *latest = Some(LatestValue { time, source: source.into(), id: id.into(), value });
                }
            }
            (State::Distinct(seen), Sample::Distinct(text)) => {
                if !seen.contains(text) {
                    seen.insert(text.into());
                }
            }
            (_, _) => {
                debug_assert!(false, "sample does not fit the aggregation");
                return;
            }
        }
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.events += 1;
    }

    /// Takes in another state of the same aggregation.
    pub fn merge(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.events += other.events;
        match (&mut self.state, other.state) {
            (State::Sum(sum) | State::Average(sum), State::Sum(more) | State::Average(more)) => sum.merge(&more),
            (State::Min(least), State::Min(more)) => *least = [*least, more].into_iter().flatten().min(),
            (State::Max(most), State::Max(more)) => *most = [*most, more].into_iter().flatten().max(),
            (State::Latest(latest), State::Latest(more)) => *latest = latest.take().max(more),
            (State::Distinct(seen), State::Distinct(more)) => seen.extend(more),
            _ => {}
        }
    }

    /// How many events were added.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many distinct values are held in memory, for limits.
    pub fn distinct_held(&self) -> usize {
        if let State::Distinct(seen) = &self.state { seen.len() } else { 0 }
    }

    /// Time of the earliest event added.
    pub fn first(&self) -> Instant {
        self.first
    }

    /// Time of the latest event added.
    pub fn last(&self) -> Instant {
        self.last
    }

    /// The result; `None` when no event was added to an aggregation that has no answer then.
    pub fn value(&self) -> Result<Option<Quantity>, QuantityError> {
        Ok(match &self.state {
            State::Count => Some(Quantity::from_count(self.events)),
            State::Distinct(seen) => Some(Quantity::from_count(seen.len() as u64)),
            State::Sum(sum) if self.events > 0 => Some(sum.total()?),
            State::Average(sum) if self.events > 0 => Some(sum.average(self.events)?),
            State::Sum(_) | State::Average(_) => None,
            State::Min(value) | State::Max(value) => *value,
            State::Latest(latest) => latest.as_ref().map(|latest| latest.value),
        })
    }
}
