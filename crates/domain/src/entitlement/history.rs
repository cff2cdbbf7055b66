//! The past of a balance, window by window.

use super::burn_down::{Rules, Run, Usage, end_of, settled};
use crate::quantity::Quantity;
use crate::time::Period;

/// A window of time, what was used in it, and what was left of all grants when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowRow {
    /// When.
    pub period: Period,
    /// What was used in it.
    pub used: Quantity,
    /// What was left when it began. A grant that begins later, or a reset, shows in the next window.
    pub balance_at_start: Quantity,
}

/// What each window says, of a run that covers all of them. Windows that begin before the run are left out.
///
/// # Errors
/// Those of `usage`, and what does not fit a quantity.
pub fn by_window<U: Usage>(
    rules: Rules<'_>,
    whole: &Run,
    windows: impl IntoIterator<Item = Period>,
    usage: &mut U,
) -> Result<Vec<WindowRow>, U::Error> {
    let mut rows = Vec::new();
    for period in windows {
        let of_time = whole.segments.iter().filter(|segment| !segment.period.is_empty());
        let Some(segment) = of_time.take_while(|segment| segment.period.from <= period.from).last() else { continue };
        let at_start = end_of(rules, segment.start.clone(), period.from, usage)?;
        let at_start = settled(rules, at_start)?;
        let used = usage.used(period.from, period.to)?;
        rows.push(WindowRow { period, used, balance_at_start: at_start.balance()? });
    }
    Ok(rows)
}
