//! The questions where the store has it harder: sparse and nested properties, mixed scales, rows that are not sealed.

use super::Run;
use super::queries::{best_ms, query_name};
use crate::data::{DataSet, Expected, Variant};
use crate::store::{self, Manner, QUESTIONS};
use anyhow::Result;

/// The case that the others are compared with.
const DENSE: &str = "dense, sealed";
/// The harder cases: name, events, share that is sealed in percent.
const CASES: [(&str, Variant, u64); 4] = [
    (DENSE, Variant::Dense, 100),
    ("sparse and nested properties", Variant::Sparse, 100),
    ("mixed decimal scales", Variant::Mixed, 100),
    ("20 % in the memtable", Variant::Dense, 80),
];
/// Events of a case.
const MOST_EVENTS: u64 = 2_000_000;
/// Enough memory for a fifth of them.
const MEMTABLE_BYTES: usize = 4 << 30;

/// Fills a store for each case and asks it everything with one thread.
pub fn run(run: &mut Run<'_>) -> Result<()> {
    let events = run.options.events.min(MOST_EVENTS);
    run.results.add("variants, events of each", "all", events as f64, "events");
    let mut dense = Vec::new();
    for (name, variant, sealed) in CASES {
        let folder = run.fresh_folder("variants")?;
        let mut options = store::options(Manner { threads: 1, cached: false });
        if sealed < 100 {
            options.memtable_bytes = MEMTABLE_BYTES;
        }
        let store = store::open(&folder, options)?;
        let mut expected = Expected::default();
        let mut rows = DataSet { events, variant, ..run.options.data() }.rows();
        store::fill(&store, rows.by_ref().take((events * sealed / 100) as usize), |row| expected.add(row))?;
        store::settle(&store)?;
        store::fill(&store, rows, |row| expected.add(row))?;
        let answers = expected.answers();
        for (at, question) in QUESTIONS.iter().enumerate() {
            let best = best_ms(&store, question, variant, run.options.repeats, name, &answers)?;
            run.results.add(&variant_name(question), name, best, "ms");
            match name {
                DENSE => dense.push(best),
                _ => run.results.add(&format!("{}, ÷ dense", variant_name(question)), name, best / dense[at], "ratio"),
            }
        }
        store.close()?;
        std::fs::remove_dir_all(&folder)?;
    }
    Ok(())
}

/// The names of the harder cases.
pub fn hard_cases() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _, _)| *name).filter(|name| *name != DENSE)
}

/// The name of a question about a case in the table.
pub fn variant_name(question: &str) -> String {
    query_name(question).replacen("query", "variants", 1)
}
