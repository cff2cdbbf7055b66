//! The data set: the same rows for every contestant, made from a seed while they are read.

mod event;
mod expected;
mod random;

pub use event::{DAY_MS, Row, START_MS, Variant, civil, subject_name, type_name};
pub use expected::{Answers, Expected, Lines, top_lines};
pub use random::Random;

use random::Zipf;

use crate::options::GenerateOptions;
use std::io::{BufWriter, Write};

/// Types of events.
pub const TYPES: u32 = 5;
/// Subjects, the first ones far busier than the last.
pub const SUBJECTS: u32 = 10_000;
/// Users of one subject.
pub const USERS_PER_SUBJECT: u32 = 10;
/// Where events come from.
pub const SOURCES: u32 = 8;
/// Models.
pub const MODELS: u32 = 8;
/// Days over which the events of a data set arrive.
pub const DAYS: i64 = 30;
/// The most days by which an event is late.
pub const LATE_DAYS: i64 = 5;
/// The type that the queries over one type ask for.
pub const ASKED_TYPE: u32 = 0;
/// The subject that the queries over one subject ask for: busy, but not the busiest.
pub const ASKED_SUBJECT: u32 = 9;

/// Which data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataSet {
    /// Everything random follows from it.
    pub seed: u64,
    /// How many events.
    pub events: u64,
    /// What they look like.
    pub variant: Variant,
}

impl DataSet {
    /// The rows in their order of arrival.
    pub fn rows(&self) -> impl Iterator<Item = Row> + use<> {
        let Self { seed, events, variant } = *self;
        let (zipf, mut random) = (Zipf::new(SUBJECTS), Random::new(seed));
        (0..events).map(move |number| Row::draw(&mut random, &zipf, variant, number, events))
    }
}

/// Writes a data set to standard output.
///
/// # Errors
/// When nobody reads.
pub fn write(options: &GenerateOptions) -> anyhow::Result<()> {
    let GenerateOptions { events, seed, variant, tsv } = *options;
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for row in (DataSet { seed, events, variant }).rows() {
        match tsv {
            true => row.write_tsv(&mut out)?,
            false => writeln!(out, "{}", row.cloud_event())?,
        }
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(seed: u64) -> Vec<Row> {
        DataSet { seed, events: 20_000, variant: Variant::Dense }.rows().collect()
    }

    #[test]
    fn a_seed_gives_the_same_rows_and_another_seed_others() {
        assert_eq!(rows(1), rows(1));
        assert_ne!(rows(1), rows(2));
    }

    #[test]
    fn one_event_in_a_hundred_is_late_by_days_and_the_others_by_minutes() {
        let late = rows(3).iter().filter(|row| row.arrived_ms - row.time_ms > DAY_MS / 2).count();
        assert!((150..250).contains(&late), "{late}");
        let jitter = 5 * 60 * 1000;
        let rest = rows(3).iter().filter(|row| (row.arrived_ms - row.time_ms).abs() > jitter).count();
        assert_eq!(rest, late);
    }

    #[test]
    fn ids_are_unique() {
        let mut ids: Vec<u128> = rows(4).iter().map(|row| row.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 20_000);
    }
}
