//! The running states of all groups, kept apart by what they hold.
//!
//! Invariant: no sum overflows and no value is rounded, in whatever order rows and other states are added.

use super::distinct::Distinct;
use super::rows::{OfRows, Rows, for_each_row};
use super::sums::{Mantissas, Sums};
use super::windows::instant;
use crate::embedded::segment::NumberStats;
use hashbrown::HashMap;
use tallystick_domain::meter::{Aggregation, PlanError};
use tallystick_domain::{ExactSum, Instant, Quantity, QuantityError};

/// The states of all groups of a plan.
#[derive(Debug)]
pub(super) struct Cells {
    aggregation: Aggregation,
    seen: Vec<Seen>,
    /// Sums of 64-bit mantissas.
    sums: Sums,
    /// Sums of what does not fit a lane.
    wide_sums: HashMap<u32, ExactSum>,
    /// Least or greatest mantissas, a lane for each scale.
    extremes: Vec<Lane<Option<i64>>>,
    /// Least or greatest of what does not fit a lane.
    wide_extremes: HashMap<u32, Quantity>,
    latest: HashMap<u32, Latest>,
    /// The distinct values.
    pub distinct: Distinct,
}

/// Times and number of the events of a group.
#[derive(Clone, Copy, Debug)]
struct Seen {
    first: i64,
    last: i64,
    /// Only kept up where the answer needs it.
    events: u64,
}

/// A value of each group at one scale.
#[derive(Debug)]
struct Lane<T> {
    scale: u32,
    of_groups: Vec<T>,
}

/// Ordered by (time, source, id), which no two events share.
#[derive(Clone, Debug)]
struct Latest {
    time: i64,
    source: Box<str>,
    id: Box<str>,
    value: Quantity,
}

const NOTHING: Seen = Seen { first: i64::MAX, last: i64::MIN, events: 0 };

impl Cells {
    /// No group yet.
    pub fn new(aggregation: Aggregation, max_distinct: usize) -> Self {
        Self {
            aggregation,
            seen: Vec::new(),
            sums: Sums::default(),
            wide_sums: HashMap::new(),
            extremes: Vec::new(),
            wide_extremes: HashMap::new(),
            latest: HashMap::new(),
            distinct: Distinct::new(max_distinct),
        }
    }

    /// Makes room for so many groups.
    pub fn resize(&mut self, groups: usize) {
        if self.seen.len() < groups {
            self.seen.resize(groups, NOTHING);
            self.sums.resize(groups);
            self.extremes.iter_mut().for_each(|lane| lane.of_groups.resize(groups, None));
            if self.aggregation == Aggregation::UniqueCount {
                self.distinct.resize(groups);
            }
        }
    }

    /// About how many bytes they take.
    pub fn weight(&self) -> usize {
        let wide = (self.wide_sums.capacity() + self.wide_extremes.capacity()) * 48;
        let latest = self.latest.len() * 2 * (size_of::<Latest>() + 80);
        let lanes = self.extremes.len() * 16 * self.seen.len() + self.sums.weight();
        self.seen.capacity() * size_of::<Seen>() + lanes + wide + latest + self.distinct.weight()
    }

    /// Lets go of memory that only adding needs: nothing is added any more.
    pub fn shrink(&mut self) {
        self.seen.shrink_to_fit();
        self.sums.shrink();
    }

    /// Notes `events` events of a group between two times, both inclusive.
    pub fn note_span(&mut self, group: usize, (first, last): (i64, i64), events: u64) {
        let seen = &mut self.seen[group];
        seen.first = seen.first.min(first);
        seen.last = seen.last.max(last);
        seen.events += events;
    }

    /// Notes the events of rows at their times. In a run the times ascend.
    pub fn note_rows(&mut self, groups: OfRows<'_>, rows: Rows<'_>, times: &[i64]) {
        match (groups, rows) {
            (OfRows::All(group), _) => {
                let span = rows.iter().map(|row| times[row]).fold((i64::MAX, i64::MIN), include);
                self.note_span(group as usize, span, rows.len() as u64);
            }
            (OfRows::Runs(groups, ends), _) => {
                let mut start = 0;
                for (group, end) in groups.iter().zip(ends) {
                    let span = (times[start as usize], times[*end as usize - 1]);
                    self.note_span(*group as usize, span, u64::from(end - start));
                    start = *end;
                }
            }
            (OfRows::Each(groups), Rows::All(_)) => self.note_each(groups.iter().zip(times)),
            (OfRows::Each(groups), Rows::These(rows)) => {
                self.note_each(groups.iter().zip(rows.iter().map(|row| &times[*row as usize])));
            }
        }
    }

    fn note_each<'a>(&mut self, rows: impl Iterator<Item = (&'a u32, &'a i64)>) {
        let seen = &mut self.seen[..];
        match self.aggregation {
            Aggregation::Count | Aggregation::Avg => rows.for_each(|(group, time)| {
                let seen = &mut seen[*group as usize];
                seen.include(*time);
                seen.events = seen.events.wrapping_add(1);
            }),
            _ => rows.for_each(|(group, time)| seen[*group as usize].include(*time)),
        }
    }

    /// Adds the mantissas of rows to the sums of their groups.
    pub fn add_mantissas(&mut self, groups: OfRows<'_>, rows: Rows<'_>, mantissas: Mantissas<'_>) {
        self.sums.add_rows(groups, rows, mantissas);
    }

    /// Notes the events of rows at their times, and adds their mantissas.
    pub fn note_and_add(&mut self, groups: OfRows<'_>, rows: Rows<'_>, times: &[i64], mantissas: Mantissas<'_>) {
        if let (OfRows::Each(groups), Rows::All(count), Aggregation::Sum) = (groups, rows, self.aggregation)
            && let Some(sums) = self.sums.narrow_for(count, mantissas)
        {
            let seen = &mut self.seen[..];
            for ((group, time), mantissa) in groups.iter().zip(times).zip(mantissas.of_rows) {
                seen[*group as usize].include(*time);
                let sum = &mut sums[*group as usize];
                *sum = sum.wrapping_add(*mantissa);
            }
            return;
        }
        self.note_rows(groups, rows, times);
        self.sums.add_rows(groups, rows, mantissas);
    }

    /// Adds all numbers of a block to a group, or compares them with it.
    pub fn add_stats(&mut self, group: usize, stats: &NumberStats) {
        let count = self.seen.len();
        let extreme = match self.aggregation {
            Aggregation::Min => stats.least,
            Aggregation::Max => stats.greatest,
            _ => return self.sums.add(group, stats.scale, stats.sum),
        };
        let is_least = self.aggregation == Aggregation::Min;
        let old = &mut lane(&mut self.extremes, stats.scale, count, None)[group];
        *old = Some(old.map_or(extreme, |old| better(is_least, old, extreme)));
    }

    /// Compares the mantissas of rows with the least or greatest of their groups.
    pub fn compare_mantissas(&mut self, groups: OfRows<'_>, rows: Rows<'_>, mantissas: &[i64], scale: u32) {
        let (count, is_least) = (self.seen.len(), self.aggregation == Aggregation::Min);
        let extremes = lane(&mut self.extremes, scale, count, None);
        if let OfRows::All(group) = groups {
            let values = rows.iter().map(|row| mantissas[row]);
            let extreme = if is_least { values.min() } else { values.max() };
            let old = &mut extremes[group as usize];
            *old = old.iter().copied().chain(extreme).reduce(|left, right| better(is_least, left, right));
            return;
        }
        for_each_row(groups, rows, |group, row| {
            let (old, new) = (&mut extremes[group as usize], mantissas[row]);
            *old = Some(old.map_or(new, |old| better(is_least, old, new)));
        });
    }

    /// Takes a number of a group into account: adds or compares it.
    pub fn take_number(&mut self, group: u32, number: Quantity) {
        let (count, is_least) = (self.seen.len(), self.aggregation == Aggregation::Min);
        let narrow = i64::try_from(number.mantissa());
        match (self.aggregation, narrow) {
            (Aggregation::Sum | Aggregation::Avg, Ok(mantissa)) => {
                self.sums.add(group as usize, number.scale(), i128::from(mantissa));
            }
            (Aggregation::Sum | Aggregation::Avg, Err(_)) => self.wide_sums.entry(group).or_default().add(number),
            (Aggregation::Min | Aggregation::Max, Ok(mantissa)) => {
                let old = &mut lane(&mut self.extremes, number.scale(), count, None)[group as usize];
                *old = Some(old.map_or(mantissa, |old| better(is_least, old, mantissa)));
            }
            (Aggregation::Min | Aggregation::Max, Err(_)) => {
                let old = self.wide_extremes.entry(group).or_insert(number);
                *old = better(is_least, *old, number);
            }
            _ => {}
        }
    }

    /// Time of the latest event that was noted for a group.
    pub fn last_of(&self, group: usize) -> i64 {
        self.seen[group].last
    }

    /// Takes the value of an event into account for the latest one of a group: one of those with the time of
    /// [`Self::last_of`].
    pub fn replace_older(&mut self, group: usize, (source, id): (&str, &str), value: Quantity) {
        let time = self.seen[group].last;
        let old = self.latest.get(&(group as u32));
        if old.is_none_or(|old| (old.time, &*old.source, &*old.id) < (time, source, id)) {
            self.latest.insert(group as u32, Latest { time, source: source.into(), id: id.into(), value });
        }
    }

    /// Takes in the states of other groups; `of_groups` says which group each of them is here, and `code_of` which code
    /// one of their distinct values has here.
    pub fn absorb(
        &mut self,
        other: &Cells,
        of_groups: &[u32],
        mut code_of: impl FnMut(u32) -> u32,
    ) -> Result<(), PlanError> {
        for (seen, group) in other.seen.iter().zip(of_groups) {
            self.note_span(*group as usize, (seen.first, seen.last), seen.events);
        }
        let count = self.seen.len();
        self.sums.absorb(&other.sums, of_groups);
        for (group, sum) in &other.wide_sums {
            self.wide_sums.entry(of_groups[*group as usize]).or_default().merge(sum);
        }
        let is_least = self.aggregation == Aggregation::Min;
        for Lane { scale, of_groups: extremes } in &other.extremes {
            let own = lane(&mut self.extremes, *scale, count, None);
            for (extreme, group) in extremes.iter().zip(of_groups) {
                let old = &mut own[*group as usize];
                *old = old.iter().chain(extreme).copied().reduce(|left, right| better(is_least, left, right));
            }
        }
        for (group, number) in &other.wide_extremes {
            self.take_number(of_groups[*group as usize], *number);
        }
        for (group, latest) in &other.latest {
            let group = of_groups[*group as usize] as usize;
            if latest.time == self.seen[group].last {
                self.replace_older(group, (&latest.source, &latest.id), latest.value);
            }
        }
        if self.aggregation == Aggregation::UniqueCount {
            for (group, own) in of_groups.iter().enumerate() {
                other.distinct.for_each(group, |code| self.distinct.add(*own as usize, code_of(code)))?;
            }
        }
        Ok(())
    }

    /// Times of the earliest and latest event of a group.
    pub fn span(&self, group: usize) -> (Instant, Instant) {
        (instant(self.seen[group].first), instant(self.seen[group].last))
    }

    /// The result of a group; `None` without an answer.
    pub fn value(&self, group: usize) -> Result<Option<Quantity>, QuantityError> {
        let events = self.seen[group].events;
        Ok(match self.aggregation {
            Aggregation::Count => Some(Quantity::from_count(events)),
            Aggregation::UniqueCount => Some(Quantity::from_count(self.distinct.count_of(group))),
            Aggregation::Sum => Some(self.total(group)?),
            Aggregation::Avg => Some(self.exact_sum(group).average(events)?),
            Aggregation::Min => self.extremes_of(group).min(),
            Aggregation::Max => self.extremes_of(group).max(),
            Aggregation::Latest => self.latest.get(&(group as u32)).map(|latest| latest.value),
        })
    }

    /// The sum of a group, without 256 bits where it is at one scale and fits.
    fn total(&self, group: usize) -> Result<Quantity, QuantityError> {
        let mut parts = self.sums.of(group).filter(|(_, sum)| *sum != 0);
        let (only, is_only) = (parts.next(), parts.next().is_none());
        if is_only && !self.wide_sums.contains_key(&(group as u32)) {
            let narrow = only.map_or(Ok(Quantity::ZERO), |(scale, sum)| Quantity::from_parts(sum, scale));
            if narrow.is_ok() {
                return narrow;
            }
        }
        self.exact_sum(group).total()
    }

    fn exact_sum(&self, group: usize) -> ExactSum {
        let mut exact = self.wide_sums.get(&(group as u32)).copied().unwrap_or_default();
        self.sums.of(group).for_each(|(scale, sum)| exact.add_scaled(sum, scale));
        exact
    }

    fn extremes_of(&self, group: usize) -> impl Iterator<Item = Quantity> {
        // Every 64-bit mantissa fits a quantity.
        let number = move |lane: &Lane<Option<i64>>| {
            lane.of_groups[group].and_then(|value| Quantity::from_parts(i128::from(value), lane.scale).ok())
        };
        self.extremes.iter().filter_map(number).chain(self.wide_extremes.get(&(group as u32)).copied())
    }
}

impl Seen {
    /// Written only where it changes something, which is rare: a branch is then cheaper.
    #[inline]
    fn include(&mut self, time: i64) {
        if time < self.first {
            self.first = time;
        }
        if time > self.last {
            self.last = time;
        }
    }
}

fn include((first, last): (i64, i64), time: i64) -> (i64, i64) {
    (first.min(time), last.max(time))
}

fn better<T: Ord>(is_least: bool, left: T, right: T) -> T {
    if is_least { left.min(right) } else { left.max(right) }
}

/// The lane of a scale; a new one if there is none.
fn lane<T: Clone>(lanes: &mut Vec<Lane<T>>, scale: u32, groups: usize, nothing: T) -> &mut [T] {
    let at = lanes.iter().position(|lane| lane.scale == scale).unwrap_or_else(|| {
        lanes.push(Lane { scale, of_groups: vec![nothing; groups] });
        lanes.len() - 1
    });
    &mut lanes[at].of_groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(of_rows: &[i64], scale: u32) -> Mantissas<'_> {
        Mantissas { of_rows, scale, most: 1 << 63 }
    }

    #[test]
    fn a_sum_crosses_scales_and_128_bits() {
        let mut cells = Cells::new(Aggregation::Sum, 0);
        cells.resize(1);
        let most = Quantity::parse("79228162514264337593543950335").unwrap();
        let least = Quantity::parse("-79228162514264337593543950335").unwrap();
        for _ in 0..4 {
            cells.take_number(0, most);
            cells.take_number(0, most);
            cells.add_mantissas(OfRows::All(0), Rows::All(3), wide(&[i64::MAX, i64::MAX, 15], 1));
            cells.take_number(0, least);
            cells.add_mantissas(OfRows::All(0), Rows::These(&[1, 0]), wide(&[-i64::MAX, -i64::MAX], 1));
            cells.take_number(0, least);
        }
        assert_eq!(cells.value(0).unwrap().unwrap().to_string(), "6");
    }

    #[test]
    fn a_sum_of_more_than_96_bits_fits_once_its_zeros_are_gone() {
        let mut states = [Cells::new(Aggregation::Sum, 0), Cells::new(Aggregation::Sum, 0)];
        states.iter_mut().for_each(|cells| cells.resize(1));
        states[0].add_mantissas(OfRows::All(0), Rows::All(2), wide(&[4_000_000_000_000_000_000; 2], 28));
        for _ in 0..20 {
            let [left, right] = &mut states;
            right.absorb(left, &[0], |code| code).unwrap();
            left.absorb(right, &[0], |code| code).unwrap();
        }
        // The 41st Fibonacci number times 8·10^18.
        assert_eq!(states[0].value(0).unwrap().unwrap().to_string(), "0.1324641128");
    }
}
