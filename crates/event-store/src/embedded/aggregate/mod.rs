//! Runs aggregate plans over a view, by columns.
//!
//! Invariant: the rows are those of domain's `fold` over the same events, whatever segments and chunks hold them.

mod batch;
mod coded;
mod groups;
mod scan;
mod state;
#[cfg(test)]
mod tests;
mod windows;

use super::facts::masks::Mask;
use super::segment::{Block, Segment};
use super::view::{QueryLimits, View};
use crate::QueryError;
use batch::Batch;
use scan::Scan;
use std::ops::Bound;
use tallystick_domain::event::EventRef;
use tallystick_domain::meter::{AggregatePlan, AggregateRow, Dimension};

/// How many events in memory are looked at together.
const BATCH_ROWS: usize = 1024;

/// The answer of a plan over the rows of a view.
pub(crate) fn aggregate(
    view: &View,
    plan: &AggregatePlan,
    limits: &QueryLimits,
) -> Result<Vec<AggregateRow>, QueryError> {
    let mask = view.masks.of(&plan.namespace, &plan.event_type);
    let kept = mask.and_then(Mask::cut_off).filter(|cut_off| plan.from.is_none_or(|from| from < *cut_off));
    // What expired lies before the asked-for time.
    let without_expired = kept.map(|cut_off| AggregatePlan { from: Some(cut_off), ..plan.clone() });
    let plan = without_expired.as_ref().unwrap_or(plan);
    let mut scan = Scan::new(plan, limits, mask);
    for segment in &view.segments {
        scan_segment(&mut scan, plan, segment)?;
    }
    let rows = view.chunks.iter().flat_map(|chunk| chunk.iter()).filter(|row| *row.namespace == plan.namespace);
    let events = rows.map(|row| row.stored.event).filter(|event| mask.is_none_or(|mask| mask.shows(event)));
    let amended = mask.into_iter().flat_map(Mask::amended).map(|stored| stored.event.view());
    let mut waiting: Vec<EventRef<'_>> = Vec::new();
    for event in events.chain(amended).filter(|event| may_count(plan, event)) {
        waiting.push(event);
        if waiting.len() == BATCH_ROWS {
            scan.take(Batch::in_memory(std::mem::take(&mut waiting)))?;
        }
    }
    scan.take(Batch::in_memory(waiting))?;
    Ok(scan.finish()?)
}

fn scan_segment(scan: &mut Scan<'_>, plan: &AggregatePlan, segment: &Segment) -> Result<(), QueryError> {
    let Some(table) = segment.table(&plan.namespace, &plan.event_type) else { return Ok(()) };
    for block in table.blocks.iter().filter(|block| may_hold(plan, block)) {
        scan.take(Batch::stored(segment, table, block))?;
    }
    Ok(())
}

/// Whether a block may hold rows that count, by what its directory says.
fn may_hold(plan: &AggregatePlan, block: &Block) -> bool {
    let subjects = &*block.first_subject..=&*block.last_subject;
    plan.from.is_none_or(|from| from <= block.times.last)
        && plan.to.is_none_or(|to| block.times.first < to)
        && plan.filters.iter().all(|(dimension, filter)| {
            *dimension != Dimension::Subject
                || filter.exact_texts().is_none_or(|texts| texts.iter().any(|text| subjects.contains(text)))
        })
        && plan.customers.as_ref().is_none_or(|owners| {
            owners
                .range::<str, _>((Bound::Included(*subjects.start()), Bound::Included(*subjects.end())))
                .next()
                .is_some()
        })
}

/// Whether an event in memory may count, without a look at its data.
fn may_count(plan: &AggregatePlan, event: &EventRef<'_>) -> bool {
    event.event_type() == plan.event_type
        && plan.covers(event.time())
        && plan.customers.as_ref().is_none_or(|owners| owners.contains_key(event.subject()))
        && plan
            .filters
            .iter()
            .all(|(dimension, filter)| *dimension != Dimension::Subject || filter.matches(event.subject()))
}
