//! What a counter has added up.

use tallystick_domain::meter::{Aggregation, PlanError};
use tallystick_domain::{ExactSum, Quantity};

/// What was counted.
#[derive(Clone, Debug)]
pub(super) enum Total {
    Nothing,
    Count(u64),
    Sum(Narrow),
    WideSum(Box<ExactSum>),
    Extreme(Quantity),
}

/// A sum of 128 bits, packed so that a counter takes less memory.
#[derive(Clone, Copy, Debug)]
#[repr(Rust, packed(4))]
pub(super) struct Narrow {
    mantissa: i128,
    scale: u8,
}

impl Total {
    /// Adds a number that counts; of COUNT, a number of events.
    pub fn add(&mut self, aggregation: Aggregation, number: Quantity) {
        *self = match (aggregation, std::mem::replace(self, Total::Nothing)) {
            // A counter of events is only ever given counts.
            (Aggregation::Count, Total::Count(count)) => Total::Count(count + count_of(number)),
            (Aggregation::Count, _) => Total::Count(count_of(number)),
            (Aggregation::Min, Total::Extreme(old)) => Total::Extreme(old.min(number)),
            (Aggregation::Max, Total::Extreme(old)) => Total::Extreme(old.max(number)),
            (Aggregation::Min | Aggregation::Max, _) => Total::Extreme(number),
            (_, Total::Sum(Narrow { mantissa, scale })) => sum(mantissa, scale.into(), number),
            (_, Total::WideSum(mut exact)) => {
                exact.add(number);
                Total::WideSum(exact)
            }
            (_, _) => narrow(number.mantissa(), number.scale()),
        }
    }

    /// The result; `None` if nothing was added.
    pub fn value(&self) -> Result<Option<Quantity>, PlanError> {
        let overflow = |error| PlanError::overflow(&[], error);
        match self {
            Total::Nothing => Ok(None),
            Total::Count(count) => Ok(Some(Quantity::from_count(*count))),
            Total::Extreme(number) => Ok(Some(*number)),
            Total::Sum(sum) => {
                let (mantissa, scale) = (sum.mantissa, u32::from(sum.scale));
                let total = Quantity::from_parts(mantissa, scale).or_else(|_| exact(mantissa, scale).total());
                total.map(Some).map_err(overflow)
            }
            Total::WideSum(exact) => exact.total().map(Some).map_err(overflow),
        }
    }

    /// Whether nothing was added.
    pub fn is_nothing(&self) -> bool {
        matches!(self, Total::Nothing)
    }
}

fn count_of(number: Quantity) -> u64 {
    u64::try_from(number.mantissa()).unwrap_or(0)
}

/// A scale is at most 28.
fn narrow(mantissa: i128, scale: u32) -> Total {
    Total::Sum(Narrow { mantissa, scale: scale as u8 })
}

fn exact(mantissa: i128, scale: u32) -> ExactSum {
    let mut exact = ExactSum::default();
    exact.add_scaled(mantissa, scale);
    exact
}

/// Adds at the larger of both scales, or in 256 bits if that does not fit.
fn sum(mantissa: i128, scale: u32, number: Quantity) -> Total {
    let common = scale.max(number.scale());
    let at_common = |mantissa: i128, scale: u32| mantissa.checked_mul(10i128.pow(common - scale));
    let sum = at_common(mantissa, scale)
        .zip(at_common(number.mantissa(), number.scale()))
        .and_then(|(left, right)| left.checked_add(right));
    match sum {
        Some(mantissa) => narrow(mantissa, common),
        None => {
            let mut wide = exact(mantissa, scale);
            wide.add(number);
            Total::WideSum(Box::new(wide))
        }
    }
}
