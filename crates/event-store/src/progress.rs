//! How far a running query is.

use std::sync::atomic::{AtomicU64, Ordering};

/// The rows that a query has to look at, and those that it has looked at. Counted while it runs, read by others.
#[derive(Debug, Default)]
pub struct QueryProgress {
    expected: AtomicU64,
    looked_at: AtomicU64,
}

impl QueryProgress {
    /// How many rows the query has to look at; 0 before it began. Fewer may be enough for it.
    pub fn expected(&self) -> u64 {
        self.expected.load(Ordering::Relaxed)
    }

    /// How many of them it has looked at, or knows the result of.
    pub fn done(&self) -> u64 {
        self.looked_at.load(Ordering::Relaxed)
    }

    pub(crate) fn expect_rows(&self, rows: usize) {
        self.expected.fetch_add(rows as u64, Ordering::Relaxed);
    }

    pub(crate) fn looked_at(&self, rows: usize) {
        self.looked_at.fetch_add(rows as u64, Ordering::Relaxed);
    }
}
