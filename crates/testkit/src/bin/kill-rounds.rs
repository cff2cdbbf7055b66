//! Kills a server under load again and again: `kill-rounds BINARY ROUNDS SEED`.

use std::process::ExitCode;
use tallystick_testkit::ServerOptions;
use tallystick_testkit::kill::kill_rounds;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [binary, rounds, seed] = arguments.as_slice() else { return usage() };
    let (Ok(rounds), Ok(seed)) = (rounds.parse(), seed.parse()) else { return usage() };
    // Panics, and so ends with a failure, at the first event that is not as it must be.
    let killed = kill_rounds(ServerOptions::new(binary), rounds, seed);
    println!(
        "kill -9 with seed {seed}: {rounds} rounds, {} events acknowledged, {} rounds interrupted a request",
        killed.acknowledged, killed.interrupted
    );
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: kill-rounds BINARY ROUNDS SEED");
    ExitCode::from(2)
}
