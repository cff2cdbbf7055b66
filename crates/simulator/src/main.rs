//! Runs seeds of the simulation.
//!
//! Invariant: it ends well only if every seed that it ran did.

use clap::Parser;
use std::process::ExitCode;
use std::time::Duration;
use tallystick_simulator::{run_seed, soak};

/// Random histories of the event store on a disk that fails.
#[derive(Parser)]
struct Arguments {
    /// The first seed; alone, the only one
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Run one seed after the other for this long
    #[arg(long)]
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let Arguments { seed, seconds } = Arguments::parse();
    let ran = match seconds {
        None => run_seed(seed),
        Some(seconds) => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            soak(seed, u64::MAX, Duration::from_secs(seconds), threads)
        }
    };
    match ran {
        Ok(soaked) => {
            println!("from seed {seed}, {soaked}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
