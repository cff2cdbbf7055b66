//! What became of the lines: read = accepted + duplicate + invalid, or it says that sending failed.

use super::super::table::printable;
use super::progress::per_second;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many invalid lines are told one by one.
const SHOWN_INVALID: usize = 10;

/// Counts that the threads share.
#[derive(Default)]
pub struct Tally {
    read: AtomicU64,
    accepted: AtomicU64,
    duplicates: AtomicU64,
    invalid: AtomicU64,
    unsendable: AtomicU64,
    gaps_and_folds: AtomicU64,
    failed: AtomicBool,
    first_invalid: Mutex<BTreeMap<u64, String>>,
}

impl Tally {
    /// A line was read.
    pub fn read_line(&self) {
        self.read.fetch_add(1, Ordering::Relaxed);
    }

    /// The local time of a line never comes on its clock, or comes twice.
    pub fn gap_or_fold(&self) {
        self.gaps_and_folds.fetch_add(1, Ordering::Relaxed);
    }

    /// Events are stored.
    pub fn stored(&self, accepted: u64, duplicates: u64) {
        self.accepted.fetch_add(accepted, Ordering::Relaxed);
        self.duplicates.fetch_add(duplicates, Ordering::Relaxed);
    }

    /// A line is invalid.
    pub fn invalid(&self, line: u64, reason: &str) {
        self.invalid.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first_invalid.lock().unwrap_or_else(PoisonError::into_inner);
        first.insert(line, reason.to_string());
        // Threads report out of order; the smallest line numbers are kept.
        if first.len() > SHOWN_INVALID {
            first.pop_last();
        }
    }

    /// A line is no event, so that the server never sees it.
    pub fn no_event(&self, line: u64, reason: &str) {
        self.unsendable.fetch_add(1, Ordering::Relaxed);
        self.invalid(line, reason);
    }

    /// How many lines are no events.
    pub fn unsendable(&self) -> u64 {
        self.unsendable.load(Ordering::Relaxed)
    }

    /// How many lines were read.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Sending failed; nothing more is worth trying.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Whether sending failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// How many lines are stored or known to be invalid.
    pub fn settled(&self) -> u64 {
        let counts = [&self.accepted, &self.duplicates, &self.invalid];
        counts.into_iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// What is known now.
    pub fn summary(&self, elapsed: Duration) -> Summary {
        let first = self.first_invalid.lock().unwrap_or_else(PoisonError::into_inner);
        Summary {
            lines: self.read.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            duplicate: self.duplicates.load(Ordering::Relaxed),
            invalid: self.invalid.load(Ordering::Relaxed),
            gaps_and_folds: self.gaps_and_folds.load(Ordering::Relaxed),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            first_invalid: first
                .iter()
                .map(|(line, reason)| InvalidLine { line: *line, reason: reason.clone() })
                .collect(),
        }
    }
}

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Summary {
    lines: u64,
    accepted: u64,
    duplicate: u64,
    invalid: u64,
    /// Lines whose local time never comes or comes twice; left out when there are none.
    #[serde(skip_serializing_if = "is_zero")]
    gaps_and_folds: u64,
    elapsed_ms: u64,
    first_invalid: Vec<InvalidLine>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[derive(Debug, Serialize)]
struct InvalidLine {
    line: u64,
    reason: String,
}

impl Summary {
    /// How many lines are stored or known to be invalid.
    pub fn settled(&self) -> u64 {
        self.accepted + self.duplicate + self.invalid
    }

    /// Whether every line is stored.
    pub fn is_complete(&self) -> bool {
        self.invalid == 0 && self.settled() == self.lines
    }

    /// For programs.
    pub fn json(&self) -> anyhow::Result<String> {
        Ok(format!("{}\n", serde_json::to_string(self)?))
    }

    /// For people.
    pub fn text(&self) -> String {
        let elapsed = Duration::from_millis(self.elapsed_ms);
        let rate = per_second(self.settled(), elapsed);
        let mut text = format!("{} events in {:.1} s ({rate}/s)\n", self.lines, elapsed.as_secs_f64());
        for (name, count) in [("accepted", self.accepted), ("duplicate", self.duplicate), ("invalid", self.invalid)] {
            text.push_str(&format!("  {name:<9}  {count}\n"));
        }
        let unsettled = self.lines.saturating_sub(self.settled());
        if unsettled > 0 {
            text.push_str(&format!("  not sent   {unsettled}\n"));
        }
        if self.gaps_and_folds > 0 {
            let count = self.gaps_and_folds;
            text.push_str(&format!(
                "{count} local times never come or come twice, because the clocks are set; see tallystick ingest --help\n"
            ));
        }
        if !self.first_invalid.is_empty() {
            text.push_str("first invalid lines:\n");
        }
        for InvalidLine { line, reason } in &self.first_invalid {
            text.push_str(&format!("  line {line}: {}\n", printable(reason)));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_invalid_lines_are_shown() {
        let tally = Tally::default();
        for line in (1..=30).rev() {
            tally.read_line();
            tally.invalid(line, "bad\u{1b}");
        }
        let summary = tally.summary(Duration::from_secs(2));
        let shown: Vec<_> = summary.first_invalid.iter().map(|invalid| invalid.line).collect();
        assert_eq!(shown, (1..=10).collect::<Vec<_>>());
        assert_eq!((summary.invalid, summary.is_complete()), (30, false));
        assert!(summary.text().contains("line 1: bad\\u{1b}\n"), "{}", summary.text());
    }

    #[test]
    fn what_was_not_sent_is_said() {
        let tally = Tally::default();
        (0..5).for_each(|_| tally.read_line());
        tally.stored(2, 1);
        let summary = tally.summary(Duration::from_secs(1));
        assert!(summary.text().contains("not sent   2") && !summary.is_complete());
        tally.stored(2, 0);
        assert!(tally.summary(Duration::from_secs(1)).is_complete());
    }
}
