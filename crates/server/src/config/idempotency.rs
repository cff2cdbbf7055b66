//! The section `idempotency`: answers that are kept for writes that are sent again.

use serde::{Deserialize, Serialize};
use tallystick_engine::IdempotencyTuning;

/// Microseconds of an hour.
const HOUR_US: i64 = 3_600_000_000;

/// Answers that are kept for writes that are sent again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdempotencyConfig {
    /// How long an answer is kept.
    pub keep_hours: u32,
    /// The longest answer that is kept.
    pub answer_bytes: usize,
}

impl Default for IdempotencyConfig {
    fn default() -> Self {
        Self { keep_hours: 24, answer_bytes: IdempotencyTuning::default().answer_bytes }
    }
}

impl IdempotencyConfig {
    /// As the engine takes it.
    pub(super) fn tuning(&self) -> IdempotencyTuning {
        IdempotencyTuning {
            keep_us: i64::from(self.keep_hours).saturating_mul(HOUR_US),
            answer_bytes: self.answer_bytes,
        }
    }
}
