//! `tallystick health`: for images that have no other program to ask with.

use super::client::Remote;
use super::{Ending, print};
use anyhow::bail;
use clap::Args;
use std::time::Duration;

/// Whom to ask, and how long to wait.
#[derive(Args)]
pub struct HealthArguments {
    #[command(flatten)]
    remote: Remote,
    /// Milliseconds to wait for the answer
    #[arg(long, value_name = "MS", default_value_t = 5000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout_ms: u64,
}

/// Runs `tallystick health`: asks `/readyz`, which needs no key.
pub fn run(arguments: &HealthArguments) -> anyhow::Result<Ending> {
    let patience = Duration::from_millis(arguments.timeout_ms);
    let answer = arguments.remote.client(patience, patience)?.get("/readyz", &[])?;
    match answer.status {
        200 => print(&answer.body),
        status => bail!("{} (status {status})", answer.body.trim_end()),
    }
}
