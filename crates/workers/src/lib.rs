//! Background loops over the engine.
//!
//! Invariant: idempotent; a stopped worker loses no work, as the next round does what the last one left.
//!
//! | name | cadence | what it does |
//! | --- | --- | --- |
//! | retention | at start, then every hour | lets events go that are older than they are kept |
//! | idempotency keys | at start, then every ten minutes | forgets keys whose answers were kept long enough |
//! | reservations | at start, then every hour | forgets those that expired more than 30 days ago |

use std::time::Duration;
use tallystick_engine::Engine;
use tokio::task::JoinHandle;

/// How often retention is applied.
const RETENTION_EVERY: Duration = Duration::from_secs(3600);

/// How often idempotency keys are forgotten. An expired key that is still there hinders nobody.
const FORGET_KEYS_EVERY: Duration = Duration::from_secs(600);

/// How often reservations are forgotten.
const FORGET_RESERVATIONS_EVERY: Duration = Duration::from_secs(3600);

/// The running loops.
pub struct Workers(Vec<JoinHandle<()>>);

/// Starts all loops.
pub fn start(engine: &Engine) -> Workers {
    Workers(vec![
        tokio::spawn(retention(engine.clone())),
        tokio::spawn(idempotency_keys(engine.clone())),
        tokio::spawn(reservations(engine.clone())),
    ])
}

impl Workers {
    /// Ends all loops; what they were doing is either done or not begun.
    pub async fn stop(self) {
        for worker in self.0 {
            worker.abort();
            // It was aborted, or had failed and said so.
            let _ = worker.await;
        }
    }
}

/// A tick now, and then one whenever so much time has passed since the last round.
fn ticks(every: Duration) -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

async fn idempotency_keys(engine: Engine) {
    let mut ticks = ticks(FORGET_KEYS_EVERY);
    loop {
        ticks.tick().await;
        match engine.forget_idempotency_keys().await {
            Ok(0) => {}
            Ok(keys) => tracing::debug!(keys, "forgot idempotency keys"),
            Err(error) => tracing::error!(%error, "idempotency keys were not forgotten; trying again in ten minutes"),
        }
    }
}

async fn reservations(engine: Engine) {
    let mut ticks = ticks(FORGET_RESERVATIONS_EVERY);
    loop {
        ticks.tick().await;
        match engine.forget_reservations().await {
            Ok(0) => {}
            Ok(reservations) => tracing::debug!(reservations, "forgot reservations"),
            Err(error) => tracing::error!(%error, "reservations were not forgotten; trying again in an hour"),
        }
    }
}

async fn retention(engine: Engine) {
    let mut ticks = ticks(RETENTION_EVERY);
    loop {
        ticks.tick().await;
        match engine.apply_retention().await {
            Ok(0) => {}
            Ok(rules) => tracing::info!(rules, "applied retention"),
            Err(error) => tracing::error!(%error, "retention was not applied; trying again in an hour"),
        }
    }
}
