//! The test command of the README: installs what tests need, then runs all of them and adds up what passed.

mod conformance;
mod counts;
mod fuzzing;
pub mod install;
pub mod process;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::ValueEnum;

use counts::{Counts, Format};

/// A part of the tests that can run alone.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Formatting and clippy
    Lint,
    /// The tests of the crates, tidy and arrows included
    Rust,
    /// The vendors' SDKs against the built binary
    Conformance,
    /// The fuzz targets: their committed inputs, and some seconds of fuzzing
    Fuzz,
}

/// What builds the binary alone.
const BINARY: &[&str] = &["build", "--bin", "tallystick"];
/// What the tests of the crates have built already, the binary included: with another selection of crates, libraries get
/// other features, and everything would be compiled once more.
const TESTED_BINARY: &[&str] = &["test", "--workspace", "--features", FEATURES, "--no-run"];
/// What gives suites a PostgreSQL of their own.
const SUITE_DATABASE: &[&str] = &["build", "--package", "tallystick-testkit", "--bin", "test-postgres"];
/// What the tests of the crates are built with beside the default features. Clippy reads the default ones, so that both are compiled, and
/// each once.
const FEATURES: &str = "tallystick-server/otel";

/// One thing to do; its name stands in the table at the end.
struct Step {
    name: String,
    work: Box<dyn FnOnce() -> Result<Counts>>,
}

impl Step {
    fn new(name: impl Into<String>, work: impl FnOnce() -> Result<Counts> + 'static) -> Self {
        Self { name: name.into(), work: Box::new(work) }
    }
}

struct Outcome {
    name: String,
    took: Duration,
    result: Result<Counts>,
}

impl Outcome {
    fn counts(&self) -> Counts {
        self.result.as_ref().copied().unwrap_or_default()
    }

    /// Why the step failed, if it did.
    fn failure(&self) -> Option<String> {
        match &self.result {
            Ok(counts) if counts.failed == 0 => None,
            Ok(counts) => Some(format!("{} failed, {} passed", counts.failed, counts.passed)),
            Err(error) => Some(format!("{error:#}")),
        }
    }
}

/// Runs the chosen parts. Stops at the first failure unless `keep_going`; an error means that something failed.
pub fn run(root: &Path, only: Option<Part>, keep_going: bool) -> Result<()> {
    let chosen = |part| only.is_none_or(|only| only == part);
    let mut steps = Vec::new();
    if chosen(Part::Lint) {
        steps.extend(lint_steps(root));
    }
    if chosen(Part::Rust) {
        steps.extend(rust_steps(root, keep_going));
    }
    if chosen(Part::Conformance) {
        let build = if only.is_none() { TESTED_BINARY } else { BINARY };
        steps.push(cargo_step("building the binary", root, build));
        steps.push(cargo_step("building the database of the suites", root, SUITE_DATABASE));
        steps.push(Step::new("PostgreSQL for the suites", || install::postgres().map(|()| Counts::default())));
        steps.extend(conformance::steps(root)?);
    }
    if chosen(Part::Fuzz) {
        steps.extend(fuzzing::steps(root)?);
    }
    let outcomes = run_steps(steps, keep_going);
    conclude(&outcomes)
}

fn lint_steps(root: &Path) -> Vec<Step> {
    let fuzz_format = ("formatting of the fuzz targets", &crate::FUZZ_FORMAT[..]);
    [("formatting", &crate::FORMAT[..]), fuzz_format, ("clippy", &crate::CLIPPY[..])]
        .map(|(name, arguments)| cargo_step(name, root, arguments))
        .into()
}

fn rust_steps(root: &Path, keep_going: bool) -> Vec<Step> {
    let mut arguments = vec!["test", "--workspace", "--features", FEATURES];
    if keep_going {
        arguments.push("--no-fail-fast");
    }
    let root = root.to_path_buf();
    vec![
        Step::new("PostgreSQL for the state store", || install::postgres().map(|()| Counts::default())),
        Step::new("tests of the crates", move || {
            let counts = process::run(process::command("cargo", &root).args(arguments), Some(Format::Cargo))?;
            counts.must_hold_tests()
        }),
    ]
}

fn cargo_step(name: &str, root: &Path, arguments: &'static [&'static str]) -> Step {
    let root = root.to_path_buf();
    Step::new(name, move || process::run(process::command("cargo", &root).args(arguments), None))
}

fn run_steps(steps: Vec<Step>, keep_going: bool) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for Step { name, work } in steps {
        println!("\n==> {name}");
        let start = Instant::now();
        let result = work();
        let outcome = Outcome { name, took: start.elapsed(), result };
        let failure = outcome.failure();
        if let Some(failure) = &failure {
            println!("==> {} failed: {failure}", outcome.name);
        }
        outcomes.push(outcome);
        if failure.is_some() && !keep_going {
            break;
        }
    }
    outcomes
}

/// Prints the table; the last line of a run without failures is `N passed, 0 failed`.
fn conclude(outcomes: &[Outcome]) -> Result<()> {
    println!("\n{:<36} {:>8} {:>8} {:>8} {:>8}  result", "step", "seconds", "passed", "failed", "skipped");
    let mut sum = Counts::default();
    let mut failures = Vec::new();
    for outcome in outcomes {
        let Counts { passed, failed, skipped } = outcome.counts();
        let failure = outcome.failure();
        let verdict = if failure.is_some() { "FAILED" } else { "ok" };
        let (name, seconds) = (&outcome.name, outcome.took.as_secs_f64());
        println!("{name:<36} {seconds:>8.1} {passed:>8} {failed:>8} {skipped:>8}  {verdict}");
        sum += outcome.counts();
        failures.extend(failure.map(|failure| format!("{name}: {failure}")));
    }
    if !failures.is_empty() {
        bail!("{} of {} steps failed\n  {}", failures.len(), outcomes.len(), failures.join("\n  "));
    }
    println!("\n{} passed, 0 failed", sum.passed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, result: Result<Counts>) -> Step {
        Step::new(name, move || result)
    }

    fn names(outcomes: &[Outcome]) -> Vec<&str> {
        outcomes.iter().map(|outcome| outcome.name.as_str()).collect()
    }

    fn three() -> Vec<Step> {
        let passed = Counts { passed: 2, ..Counts::default() };
        vec![step("a", Ok(passed)), step("b", Err(anyhow::anyhow!("it broke"))), step("c", Ok(passed))]
    }

    #[test]
    fn the_first_failure_stops_the_run_unless_told_otherwise() {
        assert_eq!(names(&run_steps(three(), false)), ["a", "b"]);
        assert_eq!(names(&run_steps(three(), true)), ["a", "b", "c"]);
    }

    #[test]
    fn a_failed_step_fails_the_command_and_is_named() {
        let error = conclude(&run_steps(three(), true)).unwrap_err().to_string();
        assert!(error.contains("1 of 3 steps failed") && error.contains("b: it broke"), "{error}");
        assert!(conclude(&run_steps(three().split_off(2), false)).is_ok());
    }

    #[test]
    fn a_failed_test_fails_its_step() {
        let counts = Counts { passed: 9, failed: 1, skipped: 0 };
        let outcomes = run_steps(vec![step("a", Ok(counts)), step("b", Ok(counts))], false);
        assert_eq!(names(&outcomes), ["a"]);
        assert!(conclude(&outcomes).unwrap_err().to_string().contains("a: 1 failed, 9 passed"));
    }
}
