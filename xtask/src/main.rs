//! Chores of the repository: `cargo xtask check` before a push, `cargo xtask test` for everything.
//!
//! Invariant: a check reads the repository and changes nothing; only `test`, `bench` and `soak` install or build.

mod arrows;
mod bench;
mod repository;
mod soak;
mod test_command;
mod tidy;

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

use crate::repository::Repository;
use crate::test_command::Part;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the Tallystick repository", version)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Formatting, clippy, tidy and arrows: what must hold before a change is handed in
    Check,
    /// What the compiler does not check: lengths, leftovers, links, invariants
    Tidy,
    /// Which crate may depend on which
    Arrows,
    /// Random histories of the event store on a failing disk, and kills of the real binary; ends at the first failure
    Soak(soak::Soak),
    /// Measure the product beside its upper bounds and other engines; `-- --help` shows what can be chosen
    Bench {
        /// Write the last run's tables into `bench/README.md` instead of measuring
        #[arg(long)]
        report: bool,
        /// Arguments of `tallystick-bench run`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Install what the tests need, then lint, test the crates and run the conformance suites
    Test {
        /// Run one part only
        #[arg(long, value_enum)]
        only: Option<Part>,
        /// After a failure run the rest too
        #[arg(long)]
        keep_going: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(chore: Chore) -> Result<()> {
    let root = repository::root();
    match chore {
        Chore::Check => {
            cargo(&FORMAT)?;
            cargo(&CLIPPY)?;
            report("tidy", &tidy::check(&Repository::read(&root)?))?;
            report("arrows", &arrows::check(&root)?)
        }
        Chore::Tidy => report("tidy", &tidy::check(&Repository::read(&root)?)),
        Chore::Arrows => report("arrows", &arrows::check(&root)?),
        Chore::Soak(soak) => soak::run(&root, &soak),
        Chore::Bench { report: true, .. } => bench::report(&root),
        Chore::Bench { arguments, .. } => bench::run(&root, &arguments),
        Chore::Test { only, keep_going } => test_command::run(&root, only, keep_going),
    }
}

const FORMAT: [&str; 3] = ["fmt", "--all", "--check"];
const CLIPPY: [&str; 6] = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];

fn cargo(arguments: &[&str]) -> Result<()> {
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(repository::root())
        .stdin(Stdio::null())
        .status()
        .context("cargo does not start")?;
    if !status.success() {
        bail!("`cargo {}` failed", arguments.join(" "));
    }
    Ok(())
}

/// Prints the findings of a check and turns a non-empty list into an error.
fn report(check: &str, findings: &[impl std::fmt::Display]) -> Result<()> {
    for finding in findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("{check}: nothing found");
        return Ok(());
    }
    bail!("{check}: {} found", findings.len())
}
