//! Runs aggregate plans over a view, by columns.
//!
//! Invariant: the rows are those of domain's `fold` over the same events, whatever segments and chunks hold them, in
//! whatever pieces and on however many threads they are looked at.

mod batch;
mod cells;
mod distinct;
mod groups;
mod lookup;
mod numbers;
mod partial;
mod rows;
mod scan;
#[cfg(test)]
mod tests;
mod windows;

use super::budget::MemoryPool;
use super::segment::{Block, Segment, Table};
use super::view::View;
use crate::QueryError;
use partial::Partial;
use scan::Scan;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tallystick_domain::event::StoredEvent;
use tallystick_domain::meter::{AggregatePlan, AggregateRow, Dimension};

/// How many events in memory are looked at together.
const BATCH_ROWS: usize = 1024;
/// How many blocks of a segment are one piece of work.
const PIECE_BLOCKS: usize = 256;
/// A thread is started for each so many rows at most: for fewer it costs more than it saves.
const ROWS_PER_THREAD: usize = 400_000;
/// The most threads of one query if the option leaves it open.
const MAX_THREADS: usize = 8;

/// What a query may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits<'m> {
    /// Rows of the answer.
    pub max_groups: usize,
    /// Distinct values over all groups.
    pub max_distinct: usize,
    /// Threads; 0 for as many as there are cores.
    pub threads: usize,
    /// The bytes that it shares with other queries.
    pub memory: &'m MemoryPool,
}

/// A part of the rows of a view that one thread looks at.
enum Piece<'v> {
    /// Blocks of a table.
    Blocks { segment: &'v Segment, table: &'v Table, blocks: &'v [Block] },
    /// Events in memory.
    Memory(Vec<&'v StoredEvent>),
}

/// The answer of a plan over the rows of a view.
pub(crate) fn aggregate(
    view: &View,
    plan: &AggregatePlan,
    limits: &Limits<'_>,
) -> Result<Vec<AggregateRow>, QueryError> {
    let pieces = pieces(view, plan);
    let threads = threads(&pieces, limits);
    let whole = match threads {
        1 => run(&pieces, &AtomicUsize::new(0), &AtomicBool::new(false), plan, limits)?.finish(),
        _ => run_on_threads(&pieces, threads, plan, limits)?,
    };
    Ok(whole.rows()?)
}

/// The parts of a view that may hold rows of a plan's type.
fn pieces<'v>(view: &'v View, plan: &AggregatePlan) -> Vec<Piece<'v>> {
    let mut pieces = Vec::new();
    for segment in &view.segments {
        if let Some(table) = segment.table(&plan.namespace, &plan.event_type) {
            let blocks = table.blocks.chunks(PIECE_BLOCKS);
            pieces.extend(blocks.map(|blocks| Piece::Blocks { segment, table, blocks }));
        }
    }
    let rows = view.chunks.iter().flat_map(|chunk| chunk.iter()).filter(|row| row.namespace == plan.namespace);
    let events: Vec<_> = rows.map(|row| &row.stored).filter(|stored| may_count(plan, stored)).collect();
    pieces.extend(events.chunks(BATCH_ROWS).map(|events| Piece::Memory(events.to_vec())));
    pieces
}

fn threads(pieces: &[Piece<'_>], limits: &Limits<'_>) -> usize {
    let rows_of = |piece: &Piece<'_>| match piece {
        Piece::Blocks { blocks, .. } => blocks.iter().map(|block| block.rows).sum(),
        Piece::Memory(events) => events.len(),
    };
    let worth = pieces.iter().map(rows_of).sum::<usize>() / ROWS_PER_THREAD;
    let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get().min(MAX_THREADS));
    let allowed = if limits.threads == 0 { cores() } else { limits.threads };
    allowed.min(worth).max(1)
}

/// Looks at pieces that nobody has taken, until none is left or another thread failed.
fn run<'v, 'p>(
    pieces: &[Piece<'v>],
    next: &AtomicUsize,
    failed: &AtomicBool,
    plan: &'p AggregatePlan,
    limits: &Limits<'p>,
) -> Result<Scan<'v, 'p>, QueryError> {
    let mut scan = Scan::new(plan, limits);
    while let Some(piece) = pieces.get(next.fetch_add(1, Ordering::Relaxed)) {
        if failed.load(Ordering::Relaxed) {
            break;
        }
        scan.take(piece).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
    }
    Ok(scan)
}

fn run_on_threads(
    pieces: &[Piece<'_>],
    threads: usize,
    plan: &AggregatePlan,
    limits: &Limits<'_>,
) -> Result<Partial, QueryError> {
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let part = || Ok::<_, QueryError>(run(pieces, &next, &failed, plan, limits)?.finish());
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(part)).collect();
        let own = run(pieces, &next, &failed, plan, limits);
        let others: Vec<_> = others.into_iter().map(|thread| thread.join()).collect();
        let mut whole = own?;
        for part in others {
            let part = part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            whole.absorb(&part)?;
        }
        Ok(whole.finish())
    })
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
fn may_count(plan: &AggregatePlan, stored: &StoredEvent) -> bool {
    let event = &stored.event;
    event.event_type() == plan.event_type
        && plan.covers(event.time())
        && plan.customers.as_ref().is_none_or(|owners| owners.contains_key(event.subject()))
        && plan
            .filters
            .iter()
            .all(|(dimension, filter)| *dimension != Dimension::Subject || filter.matches(event.subject()))
}
