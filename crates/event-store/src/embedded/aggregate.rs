//! Runs aggregate plans over a view.

use super::view::{QueryLimits, View};
use crate::QueryError;
use tallystick_domain::meter::{AggregatePlan, AggregateRow, fold};

/// The rows of a plan.
pub(crate) fn aggregate(
    view: &View,
    plan: &AggregatePlan,
    _limits: &QueryLimits,
) -> Result<Vec<AggregateRow>, QueryError> {
    let rows = view.chunks.iter().flat_map(|chunk| chunk.iter()).filter(|row| row.namespace == plan.namespace);
    Ok(fold(plan, rows.map(|row| &row.stored))?)
}
