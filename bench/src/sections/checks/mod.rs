//! Checks of entitlements: a million customers with three metered entitlements each, in process and over HTTP.

mod http;
mod seed;

pub use http::NAME as CHECKS_OVER_HTTP;

use super::Run;
use crate::client::percentile;
use crate::data::Random;
use crate::process::memory_mib;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use tallystick_domain::Quantity;
use tallystick_engine::{
    Access, Caller, Clock, Engine, EngineConfig, IdempotencyTuning, Limits, NewEvent, PortalTuning, StoreTuning,
};

/// Customers, of which each has three entitlements.
const MOST_CUSTOMERS: u64 = 1_000_000;
/// Features, by the key of each; every customer has an entitlement to every one.
const FEATURES: [&str; 3] = ["tokens", "calls", "images"];
/// What each entitlement grants for a period.
const GRANTED: i64 = 1000;
/// Checks that are timed.
const CHECKS: u32 = 200_000;
/// Checks that are timed just after an event of their customer was acknowledged.
const AFTER_EVENTS: u32 = 2_000;
/// Checks of customers that nobody asked for before.
const FIRST_CHECKS: u32 = 1_000;
/// Tasks that ask for every customer once.
const WARMERS: u64 = 4;

/// The key and only event subject of a customer.
fn customer_key(number: u64) -> String {
    format!("customer-{number}")
}

/// Measures checks.
pub fn run(run: &mut Run<'_>) -> Result<()> {
    let customers = run.options.events.min(MOST_CUSTOMERS);
    let folder = run.fresh_folder("checks")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        seed::make(&folder, customers).await?;
        run.results.add("checks, customers with 3 entitlements each", "Tallystick", customers as f64, "customers");
        in_process(run, &folder, customers).await
    })?;
    http::run(run, &folder, customers)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// An engine on the folder that keeps all customers in memory.
async fn open(folder: &Path, customers: u64) -> Result<(Engine, Caller)> {
    let customers = usize::try_from(customers)?;
    let limits = Limits {
        // Counters are spread over parts of which none must overflow.
        live_counters: 5 * customers + 10_000,
        checked_customers: 2 * customers + 1000,
        ..Limits::default()
    };
    let engine = Engine::open(EngineConfig {
        data_dir: folder.to_path_buf(),
        state_url: None,
        require_key: false,
        limits,
        store: StoreTuning { memtable_bytes: 64 << 20, wal_file_bytes: 64 << 20, queue_bytes: 64 << 20 },
        meters: vec![],
        retention: vec![],
        portal: PortalTuning::default(),
        idempotency: IdempotencyTuning::default(),
        clock: Clock::System,
    });
    let engine = engine.await?;
    let caller = engine.authenticate(None).await?;
    Ok((engine, caller))
}

async fn in_process(run: &mut Run<'_>, folder: &Path, customers: u64) -> Result<()> {
    let (engine, caller) = open(folder, customers).await?;
    let mut random = Random::new(1);
    let mut first = Vec::new();
    for _ in 0..FIRST_CHECKS.min(u32::try_from(customers / 2)?) {
        let took = timed(&engine, &caller, random.below(u32::try_from(customers)?).into(), "tokens").await?.0;
        first.push(took);
    }
    first.sort_unstable();
    run.results.add("check, first of a customer, p50", "Tallystick", percentile(&first, 0.5) / 1000.0, "µs");
    run.results.add("check, first of a customer, p99", "Tallystick", percentile(&first, 0.99) / 1000.0, "µs");
    let (before, begun) = (memory_mib(std::process::id(), "VmRSS")?, Instant::now());
    ask_for_all(&engine, &caller, customers).await?;
    let speed = customers as f64 / begun.elapsed().as_secs_f64();
    run.results.add("checks, customers asked for the first time", "Tallystick", speed, "customers/s");
    let bytes = (memory_mib(std::process::id(), "VmRSS")? - before) * f64::from(1 << 20);
    let each = bytes / (customers as f64 * FEATURES.len() as f64);
    run.results.add("check, memory of an entitlement", "Tallystick", each, "bytes");
    unchanged(run, &engine, &caller, customers).await?;
    after_events(run, &engine, &caller, customers).await?;
    engine.close().await.map_err(anyhow::Error::msg)
}

/// Asks for each customer once, so that all are kept.
async fn ask_for_all(engine: &Engine, caller: &Caller, customers: u64) -> Result<()> {
    let shared = (Arc::new(engine.clone()), caller.clone());
    let warmers = (0..WARMERS).map(|part| {
        let (engine, caller) = shared.clone();
        tokio::spawn(async move {
            for number in (part..customers).step_by(usize::try_from(WARMERS)?) {
                let access = engine.customer_access(&caller, &customer_key(number)).await?;
                if access.len() != FEATURES.len() {
                    bail!("customer {number} has {} entitlements", access.len());
                }
            }
            Ok(())
        })
    });
    for warmer in warmers.collect::<Vec<_>>() {
        warmer.await??;
    }
    Ok(())
}

/// How long a check took in nanoseconds, and what is left.
async fn timed(engine: &Engine, caller: &Caller, number: u64, feature: &str) -> Result<(u32, Quantity)> {
    let key = customer_key(number);
    let begun = Instant::now();
    let access = engine.entitlement_value(caller, &key, feature, None).await?;
    let took = u32::try_from(begun.elapsed().as_nanos()).unwrap_or(u32::MAX);
    match access {
        Some(Access::Metered(metered)) => Ok((took, metered.standing.balance)),
        other => bail!("{key} has {other:?} of {feature}"),
    }
}

/// Checks of random entitlements of which nothing changed.
async fn unchanged(run: &mut Run<'_>, engine: &Engine, caller: &Caller, customers: u64) -> Result<()> {
    let (mut random, mut took) = (Random::new(2), Vec::new());
    for turn in 0..CHECKS {
        let number = random.below(u32::try_from(customers)?).into();
        let (nanos, left) = timed(engine, caller, number, FEATURES[turn as usize % FEATURES.len()]).await?;
        if left != Quantity::parse(&GRANTED.to_string())? {
            bail!("{left} is left of {GRANTED} that nothing was used of");
        }
        took.push(nanos);
    }
    took.sort_unstable();
    run.results.add("check, p50", "Tallystick", percentile(&took, 0.5) / 1000.0, "µs");
    run.results.add("check, p99", "Tallystick", percentile(&took, 0.99) / 1000.0, "µs");
    Ok(())
}

/// Checks just after an event was acknowledged, each of which must see it.
async fn after_events(run: &mut Run<'_>, engine: &Engine, caller: &Caller, customers: u64) -> Result<()> {
    let mut took = Vec::new();
    let step = (customers / u64::from(AFTER_EVENTS)).max(1);
    for (turn, number) in (0..customers).step_by(usize::try_from(step)?).enumerate() {
        let event = NewEvent {
            id: turn.to_string(),
            source: "bench".into(),
            event_type: "prompt".into(),
            subject: customer_key(number),
            data: Some(r#"{"tokens":0.5,"model":"large"}"#.into()),
            ..NewEvent::default()
        };
        engine.ingest(caller, vec![event]).await.context("the event is refused")?;
        let (nanos, left) = timed(engine, caller, number, "tokens").await?;
        if left.to_string() != "999.5" {
            bail!("{left} is left after an event of half a token");
        }
        took.push(nanos);
    }
    took.sort_unstable();
    run.results.add("check after an event, p50", "Tallystick", percentile(&took, 0.5) / 1000.0, "µs");
    run.results.add("check after an event, p99", "Tallystick", percentile(&took, 0.99) / 1000.0, "µs");
    Ok(())
}
