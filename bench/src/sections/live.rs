//! The total of one subject in the running period, in process, at a million subjects: what a balance is made of.

use super::Run;
use crate::client::percentile;
use crate::data::{ASKED_TYPE, Random, START_MS, subject_name, type_name};
use crate::store::{self, Manner, billionths};
use anyhow::{Result, anyhow, bail};
use std::sync::Arc;
use std::time::Instant;
use tallystick_domain::Namespace;
use tallystick_domain::meter::{Aggregation, JsonPath};
use tallystick_event_store::{EventStore, LiveKey, LiveMeasure};

/// Subjects, each with one event.
const MOST_SUBJECTS: u64 = 1_000_000;
/// Reads that are timed.
const READS: u32 = 200_000;
/// Totals that are read for the first time.
const FIRST_READS: u32 = 500;

/// Reads totals that are kept, of many subjects.
pub fn run(run: &mut Run<'_>) -> Result<()> {
    let folder = run.fresh_folder("live")?;
    let mut options = store::options(Manner { threads: 1, cached: false });
    options.live_counters = options.live_counters.max(2 * MOST_SUBJECTS as usize);
    let store = store::open(&folder, options)?;
    let subjects = run.options.events.min(MOST_SUBJECTS) as u32;
    // A total is kept from its first read on, also one of nothing.
    for subject in 0..subjects {
        store.live_total(&key(subject, Aggregation::Sum)?)?;
    }
    let mut sum = 0;
    let rows = run.options.data().rows().take(subjects as usize).zip(0..);
    let rows = rows.map(|(row, subject)| row.moved_to(subject, ASKED_TYPE));
    store::fill(&store, rows, |row| sum += i128::from(row.mantissa) * 100_000)?;
    check(&store, subjects, sum)?;
    run.results.add("live, subjects", "Tallystick", f64::from(subjects), "subjects");
    let kept = times(&store, READS, subjects, Aggregation::Sum)?;
    run.results.add("live total of one subject, p50", "Tallystick", percentile(&kept, 0.5) / 1000.0, "µs");
    run.results.add("live total of one subject, p99", "Tallystick", percentile(&kept, 0.99) / 1000.0, "µs");
    store::settle(&store)?;
    let first = times(&store, FIRST_READS, subjects, Aggregation::Max)?;
    run.results.add("live total of one subject, first read, p50", "Tallystick", percentile(&first, 0.5) / 1000.0, "µs");
    run.results.add(
        "live total of one subject, first read, p99",
        "Tallystick",
        percentile(&first, 0.99) / 1000.0,
        "µs",
    );
    store.close()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn key(subject: u32, aggregation: Aggregation) -> Result<LiveKey> {
    Ok(LiveKey {
        measure: Arc::new(LiveMeasure {
            namespace: Namespace::default_namespace(),
            event_type: type_name(ASKED_TYPE).into(),
            aggregation,
            value: Some(JsonPath::parse("$.tokens").map_err(|error| anyhow!("{error}"))?),
            filters: vec![],
        }),
        subject: subject_name(subject).into(),
        from: tallystick_domain::Instant::from_micros(START_MS * 1000),
    })
}

/// Fails when the totals do not add up to what was stored.
fn check(store: &EventStore, subjects: u32, stored: i128) -> Result<()> {
    let mut sum = 0;
    for subject in 0..subjects {
        let Some(total) = store.live_total(&key(subject, Aggregation::Sum)?)? else {
            bail!("the event of subject {subject} is not counted");
        };
        sum += billionths(&total)?;
    }
    if sum != stored {
        bail!("the live totals add up to {sum} billionths, the events to {stored}");
    }
    Ok(())
}

/// Sorted times in nanoseconds of reading totals of random subjects.
fn times(store: &EventStore, reads: u32, subjects: u32, aggregation: Aggregation) -> Result<Vec<u32>> {
    let mut random = Random::new(1);
    let mut took = Vec::new();
    for _ in 0..reads {
        let key = key(random.below(subjects), aggregation)?;
        let begun = Instant::now();
        let total = store.live_total(&key)?;
        took.push(u32::try_from(begun.elapsed().as_nanos()).unwrap_or(u32::MAX));
        if total.is_none() {
            bail!("{} has no total", key.subject);
        }
    }
    took.sort_unstable();
    Ok(took)
}
