//! The binary `tallystick`: the server and its command line.
//!
//! Invariant: nothing here knows a rule of metering; the command line reaches a server through its public API only.

mod backup;
mod cli;
mod config;
mod control;
mod dialects;
mod greeting;
mod health;
mod listener;
mod metrics;
mod openapi;
mod operations;
#[cfg(feature = "otel")]
mod otel;
mod shutdown;
mod telemetry;
mod wiring;

/// A request takes dozens of small allocations on several threads; the system's allocator makes that a fifth of its cost.
/// Without huge pages: memory that is given back a little at a time would be cleared two megabytes at a time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    cli::run()
}
