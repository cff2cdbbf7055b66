//! Counts of values by size, cheap enough to be kept for every group and every query.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Upper bounds of the buckets for durations, in microseconds.
pub(crate) const MICROSECONDS: &[u64] = &[
    1, 5, 20, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 250_000, 1_000_000, 2_500_000,
    10_000_000,
];
/// Upper bounds of the buckets for numbers of events.
pub(crate) const COUNTS: &[u64] = &[1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536];

/// How many values fell below each bound, as of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// Upper bound, inclusive, and how many values are above the bound before and not above this one.
    pub buckets: Vec<(u64, u64)>,
    /// How many are above all bounds.
    pub above: u64,
    /// The sum of all values.
    pub sum: u64,
}

impl HistogramSnapshot {
    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum::<u64>() + self.above
    }
}

/// A histogram that any thread may record in.
pub(crate) struct Histogram {
    bounds: &'static [u64],
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Histogram {
    pub fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let place = self.bounds.partition_point(|bound| *bound < value);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts how many microseconds `work` takes.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let done = work();
        self.record_duration(started.elapsed());
        done
    }

    /// Counts a duration in microseconds.
    pub fn record_duration(&self, took: Duration) {
        self.record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// The counts of this moment.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let counts: Vec<u64> = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        HistogramSnapshot {
            buckets: self.bounds.iter().copied().zip(counts.iter().copied()).collect(),
            above: counts.last().copied().unwrap_or(0),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() {
        let histogram = Histogram::new(&[10, 100]);
        [0, 10, 11, 100, 101, 5_000].into_iter().for_each(|value| histogram.record(value));
        let expected = HistogramSnapshot { buckets: vec![(10, 2), (100, 2)], above: 2, sum: 5_222 };
        assert_eq!((histogram.snapshot(), expected.count()), (expected.clone(), 6));
    }
}
