//! The same questions over the same rows, in process, of every engine.

use super::Run;
use crate::data::{Answers, Variant};
use crate::engines::{self, compare};
use crate::options::Engine;
use crate::process::processors;
use crate::store::{self, Manner, QUESTIONS};
use anyhow::Result;
use tallystick_event_store::EventStore;

/// The product with one thread and nothing kept, which is what others are compared with.
pub const OURS: &str = "Tallystick, 1 thread";

/// Fills the store, asks everybody everything and compares the answers.
pub fn run(run: &mut Run<'_>) -> Result<()> {
    let filled = run.filled()?;
    let (folder, answers) = (filled.folder.join("events"), filled.answers);
    for (contestant, manner) in manners() {
        let store = store::open(&folder, store::options(manner))?;
        ask_all(run, &store, contestant, &answers)?;
        store.close()?;
    }
    for engine in [Engine::Duckdb, Engine::Chdb] {
        if !run.options.without.contains(&engine) {
            other(run, engine, &answers)?;
        }
    }
    engines::forget_rows(run.options)
}

/// The ways in which the product is asked.
fn manners() -> Vec<(&'static str, Manner)> {
    let mut manners = vec![
        (OURS, Manner { threads: 1, cached: false }),
        ("Tallystick, 1 thread, kept results", Manner { threads: 1, cached: true }),
    ];
    if processors() > 1 {
        manners.push(("Tallystick, all cores", Manner { threads: 0, cached: false }));
    }
    manners
}

fn ask_all(run: &mut Run<'_>, store: &EventStore, contestant: &str, answers: &Answers) -> Result<()> {
    for question in QUESTIONS {
        let best = best_ms(store, question, Variant::Dense, run.options.repeats, contestant, answers)?;
        run.results.add(&query_name(question), contestant, best, "ms");
    }
    Ok(())
}

/// The best time of a question in milliseconds; every answer is compared.
///
/// # Errors
/// When an answer is wrong.
pub fn best_ms(
    store: &EventStore,
    question: &str,
    variant: Variant,
    repeats: usize,
    contestant: &str,
    answers: &Answers,
) -> Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..repeats {
        let (lines, took) = store::ask(store, question, variant)?;
        compare(question, contestant, &lines, answers)?;
        best = best.min(took.as_secs_f64() * 1000.0);
    }
    Ok(best)
}

fn other(run: &mut Run<'_>, engine: Engine, answers: &Answers) -> Result<()> {
    let report = engines::run(engine, run.options, run.options.data(), answers)?;
    println!("{engine:?} {}: all answers are the same", report.version);
    for contestant in &report.contestants {
        for question in QUESTIONS {
            if let Some(best) = contestant.best_ms.get(question) {
                run.results.add(&query_name(question), &contestant.name, *best, "ms");
            }
        }
    }
    if let Some(seconds) = report.load_seconds {
        let speed = run.options.events as f64 / seconds;
        run.results.add("load, both tables", &format!("{engine:?}"), speed, "events/s");
    }
    for (table, bytes) in &report.bytes_per_event {
        run.results.add("bytes per event, with ids", table, *bytes, "bytes");
    }
    Ok(())
}

/// The name of a question in the table.
pub fn query_name(question: &str) -> String {
    let words = match question {
        "day_model" => "sum per day × model, one type",
        "day_model_all" => "sum per day × model, all types",
        "unique_users" => "exact unique users, one type",
        "top_subjects" => "top 100 subjects, one type",
        "one_subject" => "one subject over 30 days",
        other => other,
    };
    format!("query, {words}")
}
