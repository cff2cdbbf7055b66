//! Half-open stretches of time.

use super::Instant;

/// A half-open stretch of time `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Period {
    /// First instant inside.
    pub from: Instant,
    /// First instant after.
    pub to: Instant,
}

impl Period {
    /// Whether the instant lies inside.
    pub fn contains(&self, instant: Instant) -> bool {
        self.from <= instant && instant < self.to
    }

    /// Whether no instant lies inside.
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }
}
