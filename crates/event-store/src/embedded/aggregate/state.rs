//! The running state of a group. It mirrors domain's accumulator, but takes integers at a column's scale.

use tallystick_domain::meter::Aggregation;
use tallystick_domain::{ExactSum, Instant, Quantity, QuantityError};

/// What was seen of a group.
#[derive(Debug)]
pub(super) struct Group {
    /// Time of the earliest event in microseconds.
    pub first: i64,
    /// Time of the latest event in microseconds.
    pub last: i64,
    events: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    Count,
    Distinct(u64),
    Sum(Sum),
    Average(Sum),
    Min(Option<Quantity>),
    Max(Option<Quantity>),
    Latest(Option<Box<Latest>>),
}

/// A sum of integers at one scale, and the exact sum of what was added at other scales before.
#[derive(Debug, Default)]
struct Sum {
    pending: i128,
    scale: u32,
    rest: ExactSum,
}

/// Ordered by (time, source, id), which no two events share.
#[derive(Debug)]
struct Latest {
    time: i64,
    source: Box<str>,
    id: Box<str>,
    value: Quantity,
}

impl Group {
    /// An empty state.
    pub fn new(aggregation: Aggregation) -> Self {
        let state = match aggregation {
            Aggregation::Count => State::Count,
            Aggregation::UniqueCount => State::Distinct(0),
            Aggregation::Sum => State::Sum(Sum::default()),
            Aggregation::Avg => State::Average(Sum::default()),
            Aggregation::Min => State::Min(None),
            Aggregation::Max => State::Max(None),
            Aggregation::Latest => State::Latest(None),
        };
        Self { first: i64::MAX, last: i64::MIN, events: 0, state }
    }

    /// Notes an event; what it contributes is added apart.
    #[inline]
    pub fn add_event(&mut self, time: i64) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
        self.events += 1;
    }

    /// Adds `mantissa × 10^-scale` to a sum.
    #[inline]
    pub fn add_scaled(&mut self, mantissa: i128, scale: u32) {
        if let State::Sum(sum) | State::Average(sum) = &mut self.state {
            sum.add(mantissa, scale);
        }
    }

    /// Takes a value into account for a minimum or maximum.
    pub fn compare(&mut self, value: Quantity) {
        match &mut self.state {
            State::Min(least) => *least = Some(least.map_or(value, |old| old.min(value))),
            State::Max(most) => *most = Some(most.map_or(value, |old| old.max(value))),
            _ => {}
        }
    }

    /// Takes the value of an event into account for the latest one.
    pub fn replace_older(&mut self, time: i64, (source, id): (&str, &str), value: Quantity) {
        let State::Latest(latest) = &mut self.state else { return };
        let is_newer = latest.as_ref().is_none_or(|old| (old.time, &*old.source, &*old.id) < (time, source, id));
        if is_newer {
            *latest = Some(Box::new(Latest { time, source: source.into(), id: id.into(), value }));
        }
    }

    /// Whether an event of this time could be the latest one.
    pub fn may_be_latest(&self, time: i64) -> bool {
        matches!(&self.state, State::Latest(latest) if latest.as_ref().is_none_or(|old| old.time <= time))
    }

    /// Counts one more distinct value.
    pub fn add_distinct(&mut self) {
        if let State::Distinct(count) = &mut self.state {
            *count += 1;
        }
    }

    /// Times of the earliest and latest event.
    pub fn span(&self) -> (Instant, Instant) {
        // They came from instants.
        let instant = |micros: i64| Instant::from_micros(micros).unwrap_or(Instant::MIN);
        (instant(self.first), instant(self.last))
    }

    /// The result; `None` without an answer.
    pub fn value(&self) -> Result<Option<Quantity>, QuantityError> {
        Ok(match &self.state {
            State::Count => Some(Quantity::from_count(self.events)),
            State::Distinct(count) => Some(Quantity::from_count(*count)),
            State::Sum(sum) => Some(sum.exact().total()?),
            State::Average(sum) => Some(sum.exact().average(self.events)?),
            State::Min(value) | State::Max(value) => *value,
            State::Latest(latest) => latest.as_ref().map(|latest| latest.value),
        })
    }
}

impl Sum {
    #[inline]
    fn add(&mut self, mantissa: i128, scale: u32) {
        if scale == self.scale
            && let Some(sum) = self.pending.checked_add(mantissa)
        {
            self.pending = sum;
            return;
        }
        self.rest = self.exact();
        (self.pending, self.scale) = (mantissa, scale);
    }

    fn exact(&self) -> ExactSum {
        let mut exact = self.rest;
        exact.add_scaled(self.pending, self.scale);
        exact
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_crosses_scales_and_128_bits() {
        let mut group = Group::new(Aggregation::Sum);
        group.add_event(0);
        for _ in 0..4 {
            group.add_scaled(i128::MAX / 2, 28);
            group.add_scaled(-i128::MAX / 2, 28);
            group.add_scaled(15, 1);
            group.add_scaled(i128::MIN / 2, 28);
            group.add_scaled(i128::MAX / 2 + 1, 28);
        }
        assert_eq!(group.value().unwrap().unwrap().to_string(), "6");
    }
}
