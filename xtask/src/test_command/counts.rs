//! How many tests passed, read from what the test programs print.

use std::ops::AddAssign;

use anyhow::{Result, bail};

/// Tests by outcome. `skipped` holds what did not run: ignored, deselected by a marker, expected to fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Counts {
    /// An error when no test ran: a suite that found none has proved nothing.
    pub fn must_hold_tests(self) -> Result<Self> {
        if self.passed + self.failed == 0 {
            bail!("no test ran, or the summary of the test program could not be read");
        }
        Ok(self)
    }
}

/// Whose summary lines to read.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; …`, once per test binary
    Cargo,
    /// `=== 3 passed, 1 skipped in 0.12s ===`, once
    Pytest,
    /// `# pass 3`, one line per outcome, from `node --test`
    Node,
}

/// What a line adds; lines that are no summary add nothing.
pub fn read(format: Format, line: &str) -> Counts {
    let counts = match format {
        Format::Cargo => {
            line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")).map(|(_, rest)| pairs(rest, ';'))
        }
        Format::Pytest => pytest(line),
        Format::Node => node(line),
    };
    counts.unwrap_or_default()
}

fn pytest(line: &str) -> Option<Counts> {
    let (summary, duration) = line.trim_matches(['=', ' ']).rsplit_once(" in ")?;
    let seconds = duration.split('s').next()?;
    seconds.parse::<f64>().ok()?;
    Some(pairs(summary, ','))
}

/// `3 passed; 0 failed` and the like, pieces without a known word left out.
fn pairs(text: &str, separator: char) -> Counts {
    let mut counts = Counts::default();
    for piece in text.split(separator) {
        let Some((number, word)) = piece.trim().split_once(' ') else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        match word {
            "passed" | "xpassed" => counts.passed += number,
            "failed" | "error" | "errors" => counts.failed += number,
            "ignored" | "skipped" | "xfailed" | "deselected" => counts.skipped += number,
            _ => {}
        }
    }
    counts
}

fn node(line: &str) -> Option<Counts> {
    let summary = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ "))?;
    let (word, number) = summary.split_once(' ')?;
    let number = number.parse().ok()?;
    let mut counts = Counts::default();
    match word {
        "pass" => counts.passed = number,
        "fail" | "cancelled" => counts.failed = number,
        "skipped" => counts.skipped = number,
        _ => return None,
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(passed: u64, failed: u64, skipped: u64) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn summaries_of_cargo_are_read() {
        let line = "test result: FAILED. 12 passed; 2 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s";
        assert_eq!(read(Format::Cargo, line), of(12, 2, 1));
        assert_eq!(read(Format::Cargo, "test a::passed ... ok"), of(0, 0, 0));
        assert_eq!(read(Format::Cargo, "running 3 tests"), of(0, 0, 0));
    }

    #[test]
    fn summaries_of_pytest_are_read() {
        assert_eq!(read(Format::Pytest, "35 passed in 1.20s"), of(35, 0, 0));
        let line = "==== 1 failed, 30 passed, 2 skipped, 4 warnings, 1 error in 61.02s (0:01:01) ====";
        assert_eq!(read(Format::Pytest, line), of(30, 2, 2));
        assert_eq!(read(Format::Pytest, "no tests ran in 0.01s"), of(0, 0, 0));
        assert_eq!(read(Format::Pytest, "3 passed in the second round"), of(0, 0, 0));
    }

    #[test]
    fn summaries_of_node_are_read() {
        let mut counts = Counts::default();
        for line in
            ["# tests 9", "# pass 6", "# fail 1", "# cancelled 1", "# skipped 1", "# duration_ms 41.5", "ℹ pass 2"]
        {
            counts += read(Format::Node, line);
        }
        assert_eq!(counts, of(8, 2, 1));
    }

    #[test]
    fn a_suite_in_which_nothing_ran_is_an_error() {
        assert!(of(0, 0, 3).must_hold_tests().is_err());
        assert!(of(0, 1, 0).must_hold_tests().is_ok());
        assert!(of(1, 0, 0).must_hold_tests().is_ok());
    }
}
