//! `tallystick serve`.

use super::{Ending, StoreArguments, refusal};
use crate::config::Overrides;
use crate::telemetry::Telemetry;
use crate::wiring;
use clap::Args;
use std::time::Duration;

/// Threads that still work for a request whose connection was cut get this long before the process ends.
const LEFTOVER_TIME: Duration = Duration::from_secs(1);

/// How to start a server.
#[derive(Args)]
pub struct ServeArguments {
    #[command(flatten)]
    store: StoreArguments,
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:8888]
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Serve an address that others can reach although no API key exists
    #[arg(long)]
    insecure: bool,
}

/// Runs `tallystick serve` until a signal ends it.
pub fn run(arguments: ServeArguments) -> anyhow::Result<Ending> {
    let overrides = Overrides { listen: arguments.listen, insecure: arguments.insecure, ..Overrides::default() };
    let config = arguments.store.config(&overrides)?;
    let telemetry = Telemetry::start(&config).map_err(refusal)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let served = runtime.block_on(wiring::serve(&config, &telemetry));
    runtime.shutdown_timeout(LEFTOVER_TIME);
    telemetry.finish();
    match served {
        Ok(()) => Ok(Ending::Complete),
        Err(wiring::ServeError::Refused(reason)) => Err(refusal(reason)),
        Err(wiring::ServeError::Failed(reason)) => Err(anyhow::anyhow!(reason)),
    }
}
