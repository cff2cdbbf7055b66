//! Checks over HTTP, in turns with an endpoint that does nothing.

use super::{FEATURES, customer_key};
use crate::client::{self, Bodies, Load, Outcome};
use crate::data::Random;
use crate::process::{cpu_seconds, memory_mib};
use crate::results::median;
use crate::sections::{Run, ingest::endpoint};
use anyhow::{Context, Result};
use std::path::Path;

const CONNECTIONS: usize = 64;
/// Customers that are asked for, so many that none is asked for twice in a row.
const ASKED: u64 = 50_000;
/// Requests that each connection repeats.
const EACH: u64 = 2_500;
/// Contestants in the order of their turns.
const NAMES: [&str; 2] = ["no-op", "check"];
/// The name of the load in the table.
pub const NAME: &str = "checks over HTTP, 64 connections";

/// Measures checks of a part of the customers, all of which were asked for before.
pub fn run(run: &mut Run<'_>, folder: &Path, customers: u64) -> Result<()> {
    let (counters, kept) = ((5 * customers + 10_000).to_string(), (2 * customers + 1000).to_string());
    let limits = [("TALLYSTICK_LIMITS__LIVE_COUNTERS", &*counters), ("TALLYSTICK_LIMITS__CHECKED_CUSTOMERS", &*kept)];
    let servers = [endpoint("noop")?, run.product(folder, &limits)?];
    let mut random = Random::new(3);
    let asked = u32::try_from(ASKED.min(customers))?;
    let mut path = || {
        let (number, feature) = (random.below(asked).into(), FEATURES[random.below(3) as usize]);
        format!("/api/v2/customers/{}/entitlements/{feature}/value", customer_key(number))
    };
    let paths: Vec<Vec<String>> = (0..CONNECTIONS).map(|_| (0..EACH).map(|_| path()).collect()).collect();
    let requests = Bodies::of_paths(&paths);
    let load = |at: usize| Load {
        address: servers[at].address,
        connections: CONNECTIONS,
        batch: 1,
        time: run.options.round(),
        pace: None,
    };
    // Every path once and more, so that what is measured was asked for before.
    let warm_up = Load { time: run.options.round() * 15, ..load(1) };
    client::run(warm_up, &requests).context("the warm-up failed")?;
    let mut rounds: [Vec<Outcome>; 2] = Default::default();
    let mut work_us: [Vec<f64>; 2] = Default::default();
    for _ in 0..run.options.rounds {
        for (at, outcomes) in rounds.iter_mut().enumerate() {
            let before = cpu_seconds(servers[at].pid())?;
            let outcome = client::run(load(at), &requests).context("the load failed")?;
            work_us[at].push((cpu_seconds(servers[at].pid())? - before) * 1e6 / outcome.acknowledged as f64);
            outcomes.push(outcome);
        }
    }
    let over = |outcomes: &[Outcome], figure: &dyn Fn(&Outcome) -> f64| {
        median(&outcomes.iter().map(figure).collect::<Vec<_>>())
    };
    for (contestant, outcomes) in NAMES.iter().zip(&rounds) {
        run.results.add(NAME, contestant, over(outcomes, &Outcome::events_per_second), "checks/s");
        run.results.add(&format!("{NAME}, p50"), contestant, over(outcomes, &|it| it.latency_ms(0.5)), "ms");
        run.results.add(&format!("{NAME}, p99"), contestant, over(outcomes, &|it| it.latency_ms(0.99)), "ms");
    }
    let ratios =
        rounds[1].iter().zip(&rounds[0]).map(|(ours, bound)| ours.events_per_second() / bound.events_per_second());
    run.results.add(&format!("{NAME}, ÷ no-op"), "check", median(&ratios.collect::<Vec<_>>()), "ratio");
    let resident = memory_mib(servers[1].pid(), "VmRSS")?;
    run.results.add("checks over HTTP, memory of the server", "Tallystick", resident, "MiB");
    let [_, product] = servers;
    product.stop()
}
