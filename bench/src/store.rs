//! The product's store in process, filled with a data set and asked the questions.

use crate::data::{ASKED_SUBJECT, ASKED_TYPE, DAY_MS, DAYS, Lines, Row, START_MS, TYPES, Variant};
use crate::data::{subject_name, top_lines, type_name};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;
use tallystick_domain::event::{Event, EventParts, StoredEvent};
use tallystick_domain::meter::{AggregatePlan, AggregateRow, Aggregation, Dimension, Filter, JsonPath};
use tallystick_domain::quantity::Quantity;
use tallystick_domain::time::{WindowSize, Windows, Zone};
use tallystick_domain::{Instant, Namespace};
use tallystick_engine::monotonic;
use tallystick_event_store::{AppendError, Appended, EventStore, StoreOptions};

/// The questions, by the names that every contestant uses.
pub const QUESTIONS: [&str; 5] = ["day_model", "day_model_all", "unique_users", "top_subjects", "one_subject"];
/// Events of one append.
const BATCH: usize = 5000;
/// Appends that wait at the same time.
const WAITING: usize = 4;
/// The store has settled when nothing changed for so many looks.
const QUIET_LOOKS: u32 = 10;
const LOOK: Duration = Duration::from_millis(100);

/// How the store answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Threads of one query; 0 for all cores.
    pub threads: usize,
    /// Whether partial results are kept.
    pub cached: bool,
}

/// Options with a fixed secret, so that runs are alike.
pub fn options(manner: Manner) -> StoreOptions {
    let mut options = StoreOptions { query_threads: manner.threads, ..StoreOptions::new([7; 16]) };
    if !manner.cached {
        options.query_cache_bytes = 0;
    }
    options
}

/// Opens the store in a folder.
///
/// # Errors
/// When it does not open.
pub fn open(folder: &Path, options: StoreOptions) -> Result<EventStore> {
    EventStore::open_embedded(folder, options).with_context(|| format!("cannot open {}", folder.display()))
}

/// Stores rows and shows each to `count`; returns when all are durable.
///
/// # Errors
/// When the store refuses.
pub fn fill(store: &EventStore, rows: impl Iterator<Item = Row>, mut count: impl FnMut(&Row)) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut rows = rows.peekable();
    let mut waiting = VecDeque::new();
    while rows.peek().is_some() {
        let batch: Vec<Row> = rows.by_ref().take(BATCH).collect();
        batch.iter().for_each(&mut count);
        let events: Vec<StoredEvent> = batch.iter().map(stored).collect::<Result<_>>()?;
        if waiting.len() == WAITING {
            waiting.pop_front().map_or(Ok(()), |oldest| finish(&runtime, oldest))?;
        }
        let store = store.clone();
        waiting.push_back(runtime.spawn(async move { store.append(&Namespace::default_namespace(), events).await }));
    }
    waiting.into_iter().try_for_each(|oldest| finish(&runtime, oldest))
}

type Waiting = tokio::task::JoinHandle<Result<Appended, AppendError>>;

fn finish(runtime: &tokio::runtime::Runtime, waiting: Waiting) -> Result<()> {
    let appended = runtime.block_on(waiting)??;
    if appended.duplicates > 0 {
        bail!("{} events were taken for others", appended.duplicates);
    }
    Ok(())
}

/// Seals what is in memory and waits until no more segments and runs are merged.
///
/// # Errors
/// When the store cannot seal.
pub fn settle(store: &EventStore) -> Result<()> {
    store.flush_now()?;
    let merges = || (store.stats().segment_merges, store.stats().run_merges, store.stats().segments);
    let mut before = merges();
    let mut quiet = 0;
    while quiet < QUIET_LOOKS {
        std::thread::sleep(LOOK);
        let now = merges();
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
    }
    Ok(())
}

fn stored(row: &Row) -> Result<StoredEvent> {
    let at = |ms: i64| Instant::from_micros(ms * 1000).context("an impossible time");
    let parts = EventParts {
        id: row.id_text(),
        source: row.source_name(),
        event_type: type_name(row.event_type).into(),
        subject: subject_name(row.subject),
        time: at(row.time_ms)?,
        data: Some(row.data_json()),
        extras: None,
    };
    let event = Event::new(parts, 16).map_err(|faults| anyhow!("{faults:?}"))?;
    Ok(StoredEvent { event, ingested_at: at(row.arrived_ms)? })
}

/// The answer to a question, and the time until it was there.
///
/// # Errors
/// When the store cannot answer.
pub fn ask(store: &EventStore, question: &str, variant: Variant) -> Result<(Lines, Duration)> {
    let begun = monotonic();
    let answers: Vec<Vec<AggregateRow>> =
        plans(question, variant)?.iter().map(|plan| store.aggregate(plan)).collect::<Result<_, _>>()?;
    let lines = match question {
        "top_subjects" => {
            let sums =
                answers.into_iter().flatten().map(|mut row| Ok((row.group.swap_remove(0), billionths(&row.value)?)));
            top_lines(sums.collect::<Result<_>>()?)
        }
        "unique_users" => answers.iter().flatten().map(|row| row.value.to_string()).collect(),
        "one_subject" => {
            answers.iter().flatten().map(|row| Ok(billionths(&row.value)?.to_string())).collect::<Result<_>>()?
        }
        _ => by_day_and_model(&answers)?,
    };
    Ok((lines, begun.elapsed()))
}

/// The plans of a question. A plan is about one type: what is asked of all types takes one plan for each.
fn plans(question: &str, variant: Variant) -> Result<Vec<AggregatePlan>> {
    let path = |text: &str| JsonPath::parse(text).map_err(|error| anyhow!("{error}"));
    let tokens = path(variant.tokens_path())?;
    let mut plan = AggregatePlan {
        namespace: Namespace::default_namespace(),
        event_type: type_name(ASKED_TYPE).into(),
        from: None,
        to: None,
        aggregation: Aggregation::Sum,
        value: Some(tokens),
        dimensions: vec![],
        filters: vec![],
        customers: None,
        windows: None,
        known_until: None,
    };
    match question {
        "day_model" | "day_model_all" => {
            plan.windows = Some(Windows::new(WindowSize::Day, Zone::UTC));
            plan.dimensions = vec![Dimension::Property(path("$.model")?)];
        }
        "unique_users" => {
            plan.aggregation = Aggregation::UniqueCount;
            plan.value = Some(path(variant.user_path())?);
        }
        "top_subjects" => plan.dimensions = vec![Dimension::Subject],
        "one_subject" => {
            plan.filters = vec![(Dimension::Subject, Filter::Eq(subject_name(ASKED_SUBJECT)))];
            plan.from = Instant::from_micros(START_MS * 1000);
            plan.to = Instant::from_micros((START_MS + DAYS * DAY_MS) * 1000);
        }
        _ => bail!("no such question: {question}"),
    }
    let types = if question == "day_model_all" { 0..TYPES } else { ASKED_TYPE..ASKED_TYPE + 1 };
    Ok(types.map(|of| AggregatePlan { event_type: type_name(of).into(), ..plan.clone() }).collect())
}

fn by_day_and_model(answers: &[Vec<AggregateRow>]) -> Result<Lines> {
    let mut sums: BTreeMap<(Instant, &str), i128> = BTreeMap::new();
    for row in answers.iter().flatten() {
        let window = row.window.context("a row without a window")?;
        *sums.entry((window.from, &row.group[0])).or_default() += billionths(&row.value)?;
    }
    let line = |((from, model), sum): (&(Instant, &str), &i128)| format!("{}\t{model}\t{sum}", &from.to_string()[..10]);
    let mut lines: Lines = sums.iter().map(line).collect();
    lines.sort();
    Ok(lines)
}

/// A quantity as whole billionths.
///
/// # Errors
/// When it has more places.
pub fn billionths(value: &Quantity) -> Result<i128> {
    let places = 9u32.checked_sub(value.scale()).context("more than nine places")?;
    Ok(value.mantissa() * 10i128.pow(places))
}
