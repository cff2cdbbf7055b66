//! Queries through HTTP while events come in at half of the rate that the server can take.

use super::{Run, load_name};
use crate::client::{self, Bodies, Load, percentile};
use crate::data::{ASKED_TYPE, type_name};
use crate::served::{Client, day_and_model, one_subject};
use anyhow::{Context, Result, anyhow};
use std::time::{Duration, Instant};

const CONNECTIONS: usize = 16;
const BATCH: usize = 100;
const MOST_REST: Duration = Duration::from_secs(60);

/// Asks an idle server, then one that takes events in.
pub fn run(run: &mut Run<'_>) -> Result<()> {
    let folder = run.filled()?.folder.clone();
    let server = run.product(&folder, &[])?;
    let client = Client::new(server.address);
    // The memory section may have made them already.
    let slug = format!("tokens_{}", type_name(ASKED_TYPE));
    if client.query(&slug, &one_subject()).is_err() {
        client.make_meters()?;
    }
    server.wait_until_idle(MOST_REST)?;
    let bodies = Bodies::new(run.options.data(), CONNECTIONS, BATCH);
    let mut load =
        Load { address: server.address, connections: CONNECTIONS, batch: BATCH, time: run.options.round(), pace: None };
    let kinds = [("one subject per day", one_subject()), ("day × model", day_and_model())];
    let mut idle = Vec::new();
    for (_, parameters) in &kinds {
        idle.push(latencies(&client, &slug, parameters, run.options.round())?);
    }
    let fastest = match run.results.get(&load_name(CONNECTIONS, BATCH), "durable") {
        Some(rate) => rate,
        None => client::run(load, &bodies)?.events_per_second(),
    };
    server.wait_until_idle(MOST_REST)?;
    load.pace = Some(fastest / 2.0);
    load.time = run.options.round() * 2;
    for ((name, parameters), idle) in kinds.iter().zip(&idle) {
        let (busy, sent) = std::thread::scope(|scope| {
            let sending = scope.spawn(|| client::run(load, &bodies));
            let busy = latencies(&client, &slug, parameters, run.options.round() * 2);
            (busy, sending.join().map_err(|_| anyhow!("the load panicked")))
        });
        let (busy, sent) = (busy?, sent??);
        record(run, name, idle, &busy);
        run.results.add(
            &format!("contention, {name}, events meanwhile"),
            "durable",
            sent.events_per_second(),
            "events/s",
        );
        server.wait_until_idle(MOST_REST)?;
    }
    server.stop()
}

/// Sorted times in microseconds of one query after the other.
fn latencies(client: &Client, slug: &str, parameters: &str, time: Duration) -> Result<Vec<u32>> {
    let (begun, mut took) = (Instant::now(), Vec::new());
    while begun.elapsed() < time || took.len() < 20 {
        let (one, _) = client.query(slug, parameters).context("a query failed")?;
        took.push(u32::try_from(one.as_micros()).unwrap_or(u32::MAX));
    }
    took.sort_unstable();
    Ok(took)
}

fn record(run: &mut Run<'_>, name: &str, idle: &[u32], busy: &[u32]) {
    for (state, times) in [("idle", idle), ("while ingesting", busy)] {
        for (share, words) in [(0.5, "p50"), (0.99, "p99")] {
            let value = percentile(times, share) / 1000.0;
            run.results.add(&format!("contention, {name}, {words}"), state, value, "ms");
        }
    }
    let ratio = percentile(busy, 0.99) / percentile(idle, 0.99);
    run.results.add(&contention_name(name), "Tallystick", ratio, "ratio");
}

/// The name of the ratio of a query in the table.
pub fn contention_name(query: &str) -> String {
    format!("contention, {query}, p99 ÷ idle")
}
