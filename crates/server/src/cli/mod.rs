//! The command line.
//!
//! Invariant: results go to stdout, everything else to stderr, and the exit code tells which of the documented ways
//! the command ended.

mod backup;
mod balance;
mod bars;
mod client;
mod completions;
mod export;
mod grants;
mod health;
mod ingest;
mod keys;
mod man;
mod meters;
mod namespaces;
mod operator;
#[cfg(test)]
mod packaged;
mod query;
mod reconcile;
mod retention;
mod serve;
mod stats;
mod table;
mod time;
mod verify;

use clap::{Args, Parser, Subcommand};
use std::fmt;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  it ran, but failed or left something out (for example invalid lines); stderr or the summary says what
  2  wrong usage, wrong configuration, or the server refused to start";

/// Exact, self-hosted usage metering in one binary.
#[derive(Parser)]
#[command(name = "tallystick", version, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server
    Serve(serve::ServeArguments),
    /// Create, list and revoke API keys, also while a server runs
    Keys(keys::KeysArguments),
    /// Create and list namespaces, also while a server runs
    Namespaces(namespaces::NamespacesArguments),
    /// Send events from a file to a running server
    Ingest(Box<ingest::IngestArguments>),
    /// Ask a meter of a running server
    Query(query::QueryArguments),
    /// List, create and delete the meters of a running server
    Meters(meters::MetersArguments),
    /// Show what a customer may use and how it was burned
    Balance(balance::BalanceArguments),
    /// List, create and void the grants of a customer
    Grants(grants::GrantsArguments),
    /// Check that every event that a running server accepted is accounted for
    Reconcile(reconcile::ReconcileArguments),
    /// Show how long events are kept and what would go, or let it go; while no server runs
    Retention(retention::RetentionArguments),
    /// Read everything that is stored again and check it, also while a server runs
    Verify(verify::VerifyArguments),
    /// Copy everything that is stored into a folder, also while a server runs
    Backup(backup::BackupArguments),
    /// Make a data directory of a backup
    Restore(backup::RestoreArguments),
    /// Tell what is stored and how much space it takes, also while a server runs
    Stats(stats::StatsArguments),
    /// Write every event in a form that other tools read, also while a server runs
    Export(export::ExportArguments),
    /// Ask a server whether it takes requests; for health checks
    Health(health::HealthArguments),
    /// Print what a shell needs to complete commands and options
    Completions(completions::CompletionsArguments),
    /// Print the manual page, or write one for each command
    Man(man::ManArguments),
}

/// Where the stores are, for the commands that open them themselves.
#[derive(Args)]
struct StoreArguments {
    /// Configuration file (TOML); config.default.toml lists every option
    #[arg(long, value_name = "FILE", env = "TALLYSTICK_CONFIG")]
    config: Option<PathBuf>,
    /// Folder of the embedded stores, created when missing [default: ./tallystick-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where state is kept: sqlite:PATH or postgres://… [default: state.sqlite in the data folder]
    #[arg(long, value_name = "URL")]
    state_url: Option<String>,
}

/// A failure that ends with exit code 2: nothing was tried.
#[derive(Debug)]
struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// Wraps whatever makes a command refuse to start.
fn refusal(error: impl fmt::Display) -> anyhow::Error {
    Refusal(error.to_string()).into()
}

/// How a command ended when it did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Everything was done.
    Complete,
    /// Some of it was left out, as the summary says.
    Incomplete,
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Keys(arguments) => keys::run(arguments),
        Command::Namespaces(arguments) => namespaces::run(arguments),
        Command::Ingest(arguments) => ingest::run(&arguments),
        Command::Query(arguments) => query::run(&arguments),
        Command::Meters(arguments) => meters::run(arguments),
        Command::Balance(arguments) => balance::run(&arguments),
        Command::Grants(arguments) => grants::run(arguments),
        Command::Reconcile(arguments) => reconcile::run(&arguments),
        Command::Retention(arguments) => retention::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Backup(arguments) => backup::run(&arguments),
        Command::Restore(arguments) => backup::run_restore(&arguments),
        Command::Stats(arguments) => stats::run(&arguments),
        Command::Export(arguments) => export::run_export(&arguments),
        Command::Health(arguments) => health::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
    };
    match result {
        Ok(Ending::Complete) => ExitCode::SUCCESS,
        Ok(Ending::Incomplete) => ExitCode::from(1),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed stderr leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "tallystick: {error:#}");
            ExitCode::from(if error.is::<Refusal>() { 2 } else { 1 })
        }
    }
}

/// A reader such as `head` may leave early; that is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Writes a result to stdout.
fn print(text: &str) -> anyhow::Result<Ending> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Ending::Complete)
}
