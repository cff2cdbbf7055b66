//! Measures the product beside its upper bounds and beside other engines, in one run. `bench/README.md` says how and what.
//!
//! Invariant: every contestant gets the same events, and an answer that differs from another's fails the run.

mod client;
mod data;
mod disk;
mod endpoints;
mod engines;
mod options;
mod process;
mod report;
mod results;
mod sections;
mod served;
mod store;
mod targets;

use clap::Parser;
use options::{Arguments, Command};
use std::process::ExitCode;

/// The product's allocator, so that the upper bounds have no worse one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => sections::run(&options),
        Command::Endpoint { which } => endpoints::serve(which),
        Command::Generate(options) => data::write(&options),
        Command::Report(options) => report::update(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
