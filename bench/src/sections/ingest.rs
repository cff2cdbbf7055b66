//! Events through HTTP: the product between its upper bounds, in turns of a few seconds each.

use super::Run;
use crate::client::{self, Bodies, Load, Outcome, percentile};
use crate::disk::SyncProbe;
use crate::process::{Server, cpu_seconds};
use crate::results::median;
use anyhow::{Context, Result};
use std::process::Command;
use std::time::Duration;

/// How long the product may take to finish what a round left to do.
const MOST_REST: Duration = Duration::from_secs(20);
/// Contestants in the order of their turns.
const NAMES: [&str; 3] = ["no-op", "parse-only", "durable"];

/// Runs every load.
pub fn run(run: &mut Run<'_>) -> Result<()> {
    let data_dir = run.fresh_folder("ingest")?;
    let servers = [endpoint("noop")?, endpoint("parse")?, run.product(&data_dir, &[])?];
    let mut probe = SyncProbe::new(&run.options.dir)?;
    for (connections, batch) in run.options.loads.clone() {
        one_load(run, &servers, &mut probe, connections, batch)?;
    }
    let [_, _, durable] = servers;
    durable.stop()?;
    std::fs::remove_dir_all(&data_dir)?;
    Ok(())
}

pub(super) fn endpoint(which: &str) -> Result<Server> {
    Server::start(Command::new(std::env::current_exe()?).args(["endpoint", which]))
}

/// The name of a load in the table.
pub fn load_name(connections: usize, batch: usize) -> String {
    format!("ingest, {connections} connections, {batch} events each")
}

/// What the rounds of one load gave.
#[derive(Default)]
struct Rounds {
    outcomes: [Vec<Outcome>; 3],
    /// Microseconds of processor time for each event, the server's only.
    work_us: [Vec<f64>; 3],
    syncs: Vec<f64>,
    rests: Vec<f64>,
}

fn one_load(
    run: &mut Run<'_>,
    servers: &[Server; 3],
    probe: &mut SyncProbe,
    connections: usize,
    batch: usize,
) -> Result<()> {
    let bodies = Bodies::new(run.options.data(), connections, batch);
    let mut rounds = Rounds::default();
    for _ in 0..run.options.rounds {
        for (at, server) in servers.iter().enumerate() {
            let load = Load { address: server.address, connections, batch, time: run.options.round(), pace: None };
            let before = cpu_seconds(server.pid())?;
            let outcome = client::run(load, &bodies).context("the load failed")?;
            // What the product has left to do must not be charged to the next contestant, but to itself.
            if NAMES[at] == "durable" {
                rounds.rests.push(server.wait_until_idle(MOST_REST)?.as_secs_f64());
            }
            let work = cpu_seconds(server.pid())? - before;
            rounds.work_us[at].push(work * 1e6 / outcome.acknowledged as f64);
            rounds.outcomes[at].push(outcome);
        }
        let syncs = probe.measure(run.options.round() / 8)?;
        rounds.syncs.push(percentile(&syncs, 0.5) / 1000.0);
    }
    record(run, &rounds, connections, batch);
    Ok(())
}

fn record(run: &mut Run<'_>, rounds: &Rounds, connections: usize, batch: usize) {
    let name = load_name(connections, batch);
    let over = |outcomes: &[Outcome], figure: &dyn Fn(&Outcome) -> f64| {
        median(&outcomes.iter().map(figure).collect::<Vec<_>>())
    };
    for (contestant, outcomes) in NAMES.iter().zip(&rounds.outcomes) {
        run.results.add(&name, contestant, over(outcomes, &Outcome::events_per_second), "events/s");
        run.results.add(&format!("{name}, p50"), contestant, over(outcomes, &|it| it.latency_ms(0.5)), "ms");
        run.results.add(&format!("{name}, p99"), contestant, over(outcomes, &|it| it.latency_ms(0.99)), "ms");
    }
    for (contestant, work) in NAMES.iter().zip(&rounds.work_us) {
        run.results.add(&format!("{name}, processor time of the server"), contestant, median(work), "µs/event");
    }
    let [noop, parse, durable] = &rounds.outcomes;
    for (bound, outcomes) in [("no-op", noop), ("parse-only", parse)] {
        let ratios: Vec<f64> = durable
            .iter()
            .zip(outcomes)
            .map(|(ours, bound)| ours.events_per_second() / bound.events_per_second())
            .collect();
        run.results.add(&format!("{name}, ÷ {bound}"), "durable", median(&ratios), "ratio");
    }
    run.results.add(&format!("{name}, fdatasync of 4 KiB, p50"), "disk", median(&rounds.syncs), "ms");
    if connections == 1 {
        let beyond: Vec<f64> =
            durable.iter().zip(&rounds.syncs).map(|(ours, sync)| ours.latency_ms(0.5) - sync).collect();
        run.results.add(&format!("{name}, p50 − fdatasync"), "durable", median(&beyond), "ms");
    }
    run.results.add(&format!("{name}, work left after a round"), "durable", median(&rounds.rests), "s");
    let overloaded: u64 = durable.iter().map(|outcome| outcome.overloaded).sum();
    run.results.add(&format!("{name}, answers 503"), "durable", overloaded as f64, "requests");
}
