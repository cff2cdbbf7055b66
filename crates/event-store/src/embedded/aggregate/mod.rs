//! Runs aggregate plans over a view, by columns.
//!
//! Invariant: the rows are those of domain's `fold` over the same events, whatever segments and chunks hold them, in
//! whatever pieces and on however many threads they are looked at.

mod batch;
mod books;
mod cells;
mod codes;
mod distinct;
mod groups;
mod lookup;
mod numbers;
mod partial;
mod rows;
mod scan;
mod sums;
#[cfg(test)]
mod tests;
mod windows;

use super::budget::MemoryPool;
use super::cache::{PartialCache, PartialKey};
use super::chunk::{Chunk, ChunkTable};
use super::facts::masks::Mask;
use super::segment::{Block, Segment, Span, Table};
use super::view::View;
use crate::{QueryError, QueryProgress};
pub(crate) use books::Books;
pub(crate) use partial::Partial;
use scan::Scan;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tallystick_domain::meter::{AggregatePlan, AggregateRow, Dimension};

/// How many blocks of a segment are one piece of work.
const PIECE_BLOCKS: usize = 256;
/// A thread is started for each so many rows at most: for fewer it costs more than it saves.
pub(crate) const ROWS_PER_THREAD: usize = 400_000;
/// Rows of a chunk are found by their subjects if there are at least so many for each of these.
const ROWS_PER_SUBJECT: usize = 4;
/// The most threads of one query if the option leaves it open.
const MAX_THREADS: usize = 8;

/// What a query may use.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'m> {
    /// Rows of the answer.
    pub max_groups: usize,
    /// Distinct values over all groups.
    pub max_distinct: usize,
    /// Threads; 0 for as many as there are cores.
    pub threads: usize,
    /// Rows for which a further thread is started.
    pub rows_per_thread: usize,
    /// The bytes that it shares with other queries.
    pub memory: &'m Arc<MemoryPool>,
    /// The bytes for columns of rows in memory.
    pub columns: &'m Arc<MemoryPool>,
    /// Results that are kept.
    pub cache: &'m PartialCache,
    /// Codes that dictionaries have in common.
    pub books: &'m Books,
    /// What of the stored rows is not seen; [`aggregate`] takes it from the view.
    pub mask: Option<&'m Mask>,
    /// Where it is noted how far the query is.
    pub progress: Option<&'m QueryProgress>,
}

/// A part of the rows of a view that one thread looks at.
enum Piece<'v> {
    /// Blocks of a table.
    Blocks { segment: &'v Arc<Segment>, table: &'v Table, first: usize, blocks: &'v [Block] },
    /// The rows of a chunk in memory that have the plan's type.
    /// `is_amended` if they are seen in the place of stored rows.
    Memory { chunk: &'v Chunk, table: Arc<ChunkTable>, is_amended: bool },
}

impl Piece<'_> {
    fn rows(&self) -> usize {
        match self {
            Piece::Blocks { blocks, .. } => blocks.iter().map(|block| block.rows).sum(),
            Piece::Memory { table, .. } => table.rows(),
        }
    }
}

/// The answer of a plan over the rows of a view.
pub(crate) fn aggregate(
    view: &View,
    plan: &AggregatePlan,
    limits: &Limits<'_>,
) -> Result<Vec<AggregateRow>, QueryError> {
    let mask = view.masks.of(&plan.namespace, &plan.event_type);
    let kept = mask.and_then(Mask::cut_off).filter(|cut_off| plan.from.is_none_or(|from| from < *cut_off));
    // What expired lies before the asked-for time.
    let without_expired = kept.map(|cut_off| AggregatePlan { from: Some(cut_off), ..plan.clone() });
    let plan = without_expired.as_ref().unwrap_or(plan);
    let limits = &Limits { mask, ..*limits };
    let pieces = pieces(view, plan, limits);
    if let Some(progress) = limits.progress {
        progress.expect_rows(pieces.iter().map(Piece::rows).sum());
    }
    let threads = threads(&pieces, limits);
    let whole = match threads {
        1 => run(&pieces, &AtomicUsize::new(0), &AtomicBool::new(false), plan, limits)?.finish(),
        _ => run_on_threads(&pieces, threads, plan, limits)?,
    };
    Ok(whole.rows()?)
}

/// The parts of a view that may hold rows of a plan's type.
fn pieces<'v>(view: &'v View, plan: &AggregatePlan, limits: &Limits<'_>) -> Vec<Piece<'v>> {
    let mut pieces = Vec::new();
    for segment in &view.segments {
        if let Some(table) = segment.table(&plan.namespace, &plan.event_type) {
            let blocks = table.blocks.chunks(PIECE_BLOCKS).enumerate();
            let first = |number| number * PIECE_BLOCKS;
            pieces.extend(blocks.map(|(number, blocks)| Piece::Blocks {
                segment,
                table,
                first: first(number),
                blocks,
            }));
        }
    }
    let mask = view.masks.of(&plan.namespace, &plan.event_type);
    let stored = view.chunks.iter().map(|chunk| (&**chunk, false));
    let subjects = exact_subjects(plan);
    for (chunk, is_amended) in stored.chain(mask.and_then(Mask::amended_chunk).map(|chunk| (chunk, true))) {
        let mut table = chunk.table(&plan.namespace, &plan.event_type, limits.columns);
        if let Some(subjects) = subjects.as_ref().filter(|subjects| subjects.len() * ROWS_PER_SUBJECT <= table.rows()) {
            table = Arc::new(table.of_subjects(subjects, limits.columns));
        }
        if table.rows() > 0 {
            pieces.push(Piece::Memory { chunk, table, is_amended });
        }
    }
    pieces
}

/// The subjects that a plan is about, if it is about some only: no others pass its conditions.
fn exact_subjects(plan: &AggregatePlan) -> Option<Vec<&str>> {
    let filters = plan.filters.iter().filter(|(dimension, _)| *dimension == Dimension::Subject);
    let mut subjects = filters
        .filter_map(|(_, filter)| filter.exact_texts())
        .min_by_key(Vec::len)
        .or_else(|| plan.customers.as_ref().map(|owners| owners.keys().map(String::as_str).collect()))?;
    subjects.sort_unstable();
    subjects.dedup();
    Some(subjects)
}

fn threads(pieces: &[Piece<'_>], limits: &Limits<'_>) -> usize {
    let worth = pieces.iter().map(Piece::rows).sum::<usize>() / limits.rows_per_thread;
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
        take(&mut scan, piece, plan, limits).inspect_err(|_| failed.store(true, Ordering::Relaxed))?;
        if let Some(progress) = limits.progress {
            progress.looked_at(piece.rows());
        }
    }
    Ok(scan)
}

/// Takes a piece in, by what is known of it if possible.
fn take<'v, 'p>(
    scan: &mut Scan<'v, 'p>,
    piece: &Piece<'v>,
    plan: &'p AggregatePlan,
    limits: &Limits<'p>,
) -> Result<(), QueryError> {
    let Some((key, rows)) = cache_key(piece, plan, limits) else { return scan.take(piece) };
    match limits.cache.get(&key) {
        Some(Some(partial)) => Ok(scan.absorb(&partial)?),
        Some(None) => scan.take(piece),
        None => {
            let mut part = Scan::new(plan, limits);
            part.take(piece)?;
            let partial = part.finish();
            scan.absorb(&partial)?;
            limits.cache.put(key, partial.into_kept(), rows);
            Ok(())
        }
    }
}

/// What the result over a piece is kept by, and how many rows it is over; `None` if it is not kept.
fn cache_key(piece: &Piece<'_>, plan: &AggregatePlan, limits: &Limits<'_>) -> Option<(PartialKey, usize)> {
    let Piece::Blocks { segment, first, blocks, .. } = piece else { return None };
    let rows = blocks.iter().filter(|block| may_hold(plan, block)).map(|block| block.rows).sum();
    // Corrections change what rows count; they never stop to, so nothing kept from before is used again.
    let is_masked = || limits.mask.is_some_and(|mask| blocks.iter().any(|block| mask.may_touch(block)));
    // Of the past, other rows are seen; it is seldom asked for.
    if plan.known_until.is_some() || !limits.cache.takes(rows) || is_masked() {
        return None;
    }
    // Of all blocks: those that are left out because of their times must not be left out for other bounds.
    let mut times = Span::EMPTY;
    blocks.iter().for_each(|block| times.include_span(block.times));
    // Bounds that leave nothing out of the piece make no difference.
    let from = plan.from.filter(|from| *from > times.first);
    let to = plan.to.filter(|to| *to <= times.last);
    Some((PartialKey::new(segment, *first, AggregatePlan { from, to, ..plan.clone() }), rows))
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
        && plan.known_until.is_none_or(|until| block.ingested.first <= until)
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
