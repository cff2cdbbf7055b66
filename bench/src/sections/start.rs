//! How long a start takes: after an orderly end with the whole data set, and after a kill with a million events in the log
//! only.

use super::Run;
use crate::client::{self, Bodies, Load};
use crate::disk::{read_speed, size_of};
use crate::results::median;
use anyhow::{Result, bail};
use std::time::Duration;

/// Events in the log when the server is killed.
const UNSEALED: u64 = 1_000_000;
const CONNECTIONS: usize = 4;
const BATCH: usize = 1000;
/// More memory than a million events take, so that nothing is sealed.
const LARGE_MEMTABLE: (&str, &str) = ("TALLYSTICK_STORE__MEMTABLE_BYTES", "2147483648");
/// What of them is sent in one go.
const BURST: Duration = Duration::from_millis(200);

/// Starts servers again and again.
pub fn run(run: &mut Run<'_>) -> Result<()> {
    let speed = read_speed(&run.options.dir)?;
    run.results.add("start, sequential read past the cache", "disk", speed / 1e6, "MB/s");
    after_an_end(run)?;
    after_a_kill(run)
}

fn after_an_end(run: &mut Run<'_>) -> Result<()> {
    let folder = run.filled()?.folder.clone();
    let mut took = Vec::new();
    for _ in 0..run.options.rounds {
        let server = run.product(&folder, &[])?;
        took.push(server.start.as_secs_f64() * 1000.0);
        server.stop()?;
    }
    run.results.add("start, after an orderly end", "Tallystick", median(&took), "ms");
    Ok(())
}

fn after_a_kill(run: &mut Run<'_>) -> Result<()> {
    let folder = run.fresh_folder("killed")?;
    let bodies = Bodies::new(run.options.data(), CONNECTIONS, BATCH);
    let server = run.product(&folder, &[LARGE_MEMTABLE])?;
    let wanted = run.options.events.min(UNSEALED);
    let mut sent = 0;
    while sent < wanted {
        let load = Load { address: server.address, connections: CONNECTIONS, batch: BATCH, time: BURST, pace: None };
        let events = client::run(load, &bodies)?.acknowledged;
        if events == 0 {
            bail!("the server takes no events");
        }
        sent += events;
    }
    server.kill()?;
    let segments = size_of(&folder.join("events/segments"))?;
    if segments > 0 {
        bail!("{segments} bytes were sealed before the kill");
    }
    let log = size_of(&folder.join("events/wal"))?;
    let server = run.product(&folder, &[LARGE_MEMTABLE])?;
    run.results.add("start, after a kill, events in the log", "Tallystick", sent as f64, "events");
    run.results.add("start, after a kill, files of the log", "Tallystick", log as f64 / 1e6, "MB");
    run.results.add("start, after a kill", "Tallystick", server.start.as_secs_f64() * 1000.0, "ms");
    server.stop()?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
