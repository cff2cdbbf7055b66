//! Memory of the server over the whole data set: idle, and at most while it answers questions about everything.

use super::Run;
use crate::data::{TYPES, type_name};
use crate::process::memory_mib;
use crate::served::{Client, day_and_model};
use anyhow::Result;
use std::time::Duration;

const MOST_REST: Duration = Duration::from_secs(60);

/// Starts the server, looks, asks, looks again.
pub fn run(run: &mut Run<'_>) -> Result<()> {
    let folder = run.filled()?.folder.clone();
    let server = run.product(&folder, &[])?;
    server.wait_until_idle(MOST_REST)?;
    run.results.add("memory, idle", "Tallystick", memory_mib(server.pid(), "VmRSS")?, "MiB");
    let client = Client::new(server.address);
    client.make_meters()?;
    for name in (0..TYPES).map(type_name) {
        client.query(&format!("tokens_{name}"), &day_and_model())?;
        client.query(&format!("tokens_{name}"), "groupBy=subject")?;
        client.query(&format!("users_{name}"), "")?;
    }
    run.results.add(
        "memory, most during queries over everything",
        "Tallystick",
        memory_mib(server.pid(), "VmHWM")?,
        "MiB",
    );
    run.results.add("memory, after them", "Tallystick", memory_mib(server.pid(), "VmRSS")?, "MiB");
    server.stop()
}
