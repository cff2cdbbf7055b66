//! Merging: few segments for queries, few runs for the writer.
//!
//! Merging never changes an answer and is never needed for one: a fault here is logged, and merging ends, but events are
//! still accepted.

use super::dedupe::{self, Run, runs_to_merge};
use super::expire::{self, Dropping};
use super::facts::upkeep;
use super::files::{self, sync_dir};
use super::lock;
use super::manifest::{RunEntry, SegmentEntry};
use super::row::Row;
use super::segment::{Segment, merge_segments};
use super::shared::{Live, LiveRun, LiveSegment, Shared};
use crate::StoreError;
use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// Runs that may exist before some of them are merged.
const MOST_RUNS: usize = 8;
/// Merging makes no segment much larger than this many bytes: it would take long and need the space twice.
const LARGEST_MERGE: u64 = 4 << 30;
/// How often to look whether readers let go of replaced files, and whether there is space again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

enum Task {
    Segments(Vec<LiveSegment>),
    Runs(Vec<LiveRun>),
}

/// A replaced segment whose file stays until no reader holds it.
struct Replaced {
    path: PathBuf,
    segment: Arc<Segment>,
}

/// Merges whatever there is too much of, until the store ends.
pub(crate) fn run(shared: &Shared) {
    super::flush::yield_to_others();
    let mut replaced = Vec::new();
    while let Some(task) = next_task(shared, &mut replaced) {
        match attempt(shared, task, &mut replaced) {
            Attempt::Done => {}
            Attempt::NoSpace => {
                let live = lock(&shared.live);
                let waited = shared.changed.wait_timeout_while(live, LOOK_AGAIN, |_| !shared.is_ending());
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
            Attempt::Failed => return,
        }
    }
    remove_unheld(shared, &mut replaced);
}

/// What became of a merge.
enum Attempt {
    Done,
    NoSpace,
    /// Merging ends.
    Failed,
}

fn attempt(shared: &Shared, task: Task, replaced: &mut Vec<Replaced>) -> Attempt {
    let done = match task {
        Task::Segments(inputs) => merge_live_segments(shared, &inputs, replaced),
        Task::Runs(inputs) => merge_live_runs(shared, &inputs),
    };
    match done {
        Ok(()) => return Attempt::Done,
        Err(error) if files::is_full(&error) => {
            tracing::warn!(%error, "no space to merge; trying again");
            return Attempt::NoSpace;
        }
        Err(StoreError::Stopped { reason }) => shared.stop(reason),
        Err(error) => tracing::error!(%error, "merging ends until the next start"),
    }
    Attempt::Failed
}

/// Merges step by step, without a thread.
#[cfg(any(test, feature = "faults"))]
#[derive(Default)]
pub(crate) struct Merger {
    replaced: Vec<Replaced>,
    failed: bool,
}

#[cfg(any(test, feature = "faults"))]
impl Merger {
    /// What [`run`] would do next, once; `false` if there is nothing to merge, or no space for it.
    pub fn step(&mut self, shared: &Shared) -> bool {
        remove_unheld(shared, &mut self.replaced);
        let task = task_of(&lock(&shared.live), shared);
        match task.filter(|_| !self.failed && !shared.is_ending()) {
            None => false,
            Some(task) => {
                let attempt = attempt(shared, task, &mut self.replaced);
                self.failed = matches!(attempt, Attempt::Failed);
                matches!(attempt, Attempt::Done)
            }
        }
    }
}

fn next_task(shared: &Shared, replaced: &mut Vec<Replaced>) -> Option<Task> {
    let mut live = lock(&shared.live);
    loop {
        if shared.is_ending() {
            return None;
        }
        if let Some(task) = task_of(&live, shared) {
            return Some(task);
        }
        live = match replaced.is_empty() {
            true => shared.wait(live),
            false => {
                drop(live);
                remove_unheld(shared, replaced);
                let waited = shared.changed.wait_timeout(lock(&shared.live), LOOK_AGAIN);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        };
    }
}

/// What there is too much of.
fn task_of(live: &Live, shared: &Shared) -> Option<Task> {
    let sizes: Vec<_> = live.runs.iter().map(|live| live.run.keys()).collect();
    let chosen = runs_to_merge(&sizes, MOST_RUNS);
    if !chosen.is_empty() {
        return Some(Task::Runs(chosen.into_iter().map(|place| live.runs[place].clone()).collect()));
    }
    // One that is wholly expired is merged with nothing, and nothing of it is left.
    let expired = live.segments.iter().find(|known| expire::is_wholly_expired(&known.segment, &live.masks));
    let chosen = match expired {
        Some(segment) => vec![segment.clone()],
        None => segments_to_merge(&live.segments, shared.options.merge_fan.max(2)),
    };
    (!chosen.is_empty()).then_some(Task::Segments(chosen))
}

/// How many segments, and how many bytes of them, are of a size of which there are more than there should be.
pub(crate) fn debt(live: &[LiveSegment], fan: usize) -> (u64, u64) {
    let crowded = size_classes(live, fan).into_values().filter(|class| class.len() > fan);
    crowded.flatten().fold((0, 0), |(count, bytes), live| (count + 1, bytes + live.segment.meta().bytes))
}

/// The segments that are not too large to be merged, by size; each class is `fan` times as large as the one below.
fn size_classes(live: &[LiveSegment], fan: usize) -> BTreeMap<u32, Vec<&LiveSegment>> {
    let mut classes: BTreeMap<u32, Vec<&LiveSegment>> = BTreeMap::new();
    for segment in live.iter().filter(|live| live.segment.meta().bytes < LARGEST_MERGE) {
        let class = segment.segment.meta().bytes.max(1).ilog(fan as u64);
        classes.entry(class).or_default().push(segment);
    }
    classes
}

/// The segments of the smallest size class that has more than `fan`.
fn segments_to_merge(live: &[LiveSegment], fan: usize) -> Vec<LiveSegment> {
    let classes = size_classes(live, fan);
    classes.into_values().find(|class| class.len() > fan).map_or_else(Vec::new, |class| {
        let mut total = 0;
        let fits = |segment: &&&LiveSegment| {
            total += segment.segment.meta().bytes;
            total < LARGEST_MERGE
        };
        let taken: Vec<_> = class.iter().take_while(fits).map(|segment| (*segment).clone()).collect();
        if taken.len() < 2 { Vec::new() } else { taken }
    })
}

fn merge_live_segments(
    shared: &Shared,
    inputs: &[LiveSegment],
    replaced: &mut Vec<Replaced>,
) -> Result<(), StoreError> {
    let number = shared.next_file();
    let path = shared.layout.segment(number);
    let gone: HashSet<u64> = inputs.iter().map(|input| input.number).collect();
    let sources: Vec<_> = inputs.iter().map(|input| input.segment.clone()).collect();
    let mut dropping = Dropping::new(shared);
    let drops = dropping.may_drop(&sources);
    let mut keep = |row: &Row| dropping.keeps(row);
    let merged = merge_segments(shared.layout.disk(), &path, &sources, drops.then_some(&mut keep));
    let made = merged.and_then(|meta| {
        sync_dir(shared.layout.disk(), &shared.layout.segments_dir())?;
        let segment = Arc::new(Segment::open(shared.layout.disk(), &path)?);
        let expected: u64 = sources.iter().map(|source| source.meta().rows).sum();
        if meta.rows + dropping.rows() != expected {
            let what = format!("merging {expected} rows gave {} and dropped {}", meta.rows, dropping.rows());
            return Err(StoreError::damaged(&path, 0, what));
        }
        let is_left = meta.rows > 0;
        upkeep::commit(
            shared,
            number,
            dropping.facts(),
            |manifest| {
                manifest.segments.retain(|entry| !gone.contains(&entry.number));
                manifest.segments.extend(is_left.then_some(SegmentEntry { number, meta }));
            },
            |live| {
                live.segments.retain(|live| !gone.contains(&live.number));
                live.segments.extend(is_left.then_some(LiveSegment { number, segment }));
            },
        )?;
        if is_left { Ok(()) } else { files::remove(shared.layout.disk(), &path) }
    });
    forget_if_full(shared, &made, &path)?;
    made?;
    shared.counters.segment_merges.fetch_add(1, Ordering::Relaxed);
    replaced.extend(
        inputs
            .iter()
            .map(|input| Replaced { path: shared.layout.segment(input.number), segment: input.segment.clone() }),
    );
    Ok(())
}

fn merge_live_runs(shared: &Shared, inputs: &[LiveRun]) -> Result<(), StoreError> {
    let number = shared.next_file();
    let path = shared.layout.run(number);
    let gone: HashSet<u64> = inputs.iter().map(|input| input.number).collect();
    let sources: Vec<_> = inputs.iter().map(|input| input.run.clone()).collect();
    let made = dedupe::merge_runs(shared.layout.disk(), &path, &sources).and_then(|_| {
        sync_dir(shared.layout.disk(), &shared.layout.dedupe_dir())?;
        let run = Arc::new(Run::open(shared.layout.disk(), &path)?);
        let entry = RunEntry::of(number, &run);
        shared.commit(
            |manifest| {
                manifest.runs.retain(|entry| !gone.contains(&entry.number));
                manifest.runs.push(entry);
            },
            |live| {
                live.runs.retain(|live| !gone.contains(&live.number));
                live.runs.push(LiveRun { number, run });
            },
        )
    });
    forget_if_full(shared, &made, &path)?;
    made?;
    shared.counters.run_merges.fetch_add(1, Ordering::Relaxed);
    // An open run reads through its own handle, so its name can go at once.
    inputs.iter().try_for_each(|input| files::remove(shared.layout.disk(), &shared.layout.run(input.number)))
}

/// A full disk left the MANIFEST as it was, so nothing names the file.
fn forget_if_full(shared: &Shared, made: &Result<(), StoreError>, path: &Path) -> Result<(), StoreError> {
    if made.as_ref().is_err_and(files::is_full) { files::remove(shared.layout.disk(), path) } else { Ok(()) }
}

/// Removes the files that nobody reads any more. What stays is removed at the next start.
fn remove_unheld(shared: &Shared, replaced: &mut Vec<Replaced>) {
    replaced.retain(|old| {
        let held = Arc::strong_count(&old.segment) > 1;
        if !held && let Err(error) = files::remove(shared.layout.disk(), &old.path) {
            tracing::warn!(%error, "a replaced segment stays until the next start");
        }
        held
    });
}
