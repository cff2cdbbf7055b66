//! Sealing: rows in memory become a segment and a run, and the log may forget them.

use super::dedupe::{self, Run};
use super::expire::Dropping;
use super::facts::upkeep;
use super::files::{self, sync_dir};
use super::lock;
use super::manifest::{RunEntry, SegmentEntry};
use super::memtable::Frozen;
use super::segment::{Gathered, Segment};
use super::shared::{LiveRun, LiveSegment, Shared};
use crate::{AppendError, StoreError};
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Duration;

/// How long to wait for space before sealing is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(300);

/// How far sealing and merging stand back behind accepting and asking, on the scale of `nice`.
#[cfg(target_os = "linux")]
const BACKGROUND_NICENESS: i32 = 5;

/// Seals what the writer froze, until the store ends.
pub(crate) fn run(shared: &Shared) {
    yield_to_others();
    while let Some(frozen) = next_frozen(shared) {
        if !attempt(shared, &frozen) {
            let live = lock(&shared.live);
            let waited = shared.changed.wait_timeout_while(live, RETRY_AFTER, |_| !shared.is_ending());
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }
}

/// Tries to seal the oldest frozen memtable; `false` if there is no space for it now.
fn attempt(shared: &Shared, frozen: &Frozen) -> bool {
    match seal(shared, frozen) {
        Ok(()) => true,
        Err(error) if files::is_full(&error) => {
            tracing::warn!(%error, "no space to seal events; trying again");
            lock(&shared.live).full = Some(error.to_string());
            shared.changed.notify_all();
            false
        }
        Err(error) => {
            shared.stop(format!("cannot seal events: {error}"));
            true
        }
    }
}

/// What [`run`] would do next, once; `false` if there is nothing, or no space for it.
#[cfg(any(test, feature = "faults"))]
pub(crate) fn step(shared: &Shared) -> bool {
    let oldest = lock(&shared.live).frozen.front().cloned();
    oldest.is_some_and(|frozen| !shared.is_ending() && attempt(shared, &frozen))
}

fn next_frozen(shared: &Shared) -> Option<Arc<Frozen>> {
    let mut live = lock(&shared.live);
    loop {
        if shared.is_ending() {
            return None;
        }
        match live.frozen.front() {
            Some(frozen) => return Some(frozen.clone()),
            None => live = shared.wait(live),
        }
    }
}

/// Has everything sealed that is in memory now, and waits for it.
pub(crate) fn seal_now(shared: &Shared) -> Result<(), StoreError> {
    let stopped = |reason: &str| StoreError::Stopped { reason: reason.into() };
    let no_space = |reason: &str| StoreError::Io {
        action: "cannot seal events in",
        path: shared.layout.segments_dir(),
        source: std::io::Error::new(std::io::ErrorKind::StorageFull, reason.to_owned()),
    };
    let (sender, receiver) = mpsc::channel();
    let refused = |error: AppendError| match error {
        AppendError::Full(reason) => no_space(&reason),
        other => stopped(&other.to_string()),
    };
    shared.queue.push_seal(sender).map_err(refused)?;
    let answer = receiver.recv().map_err(|_| stopped(shared.fault().unwrap_or("the store was closed")))?;
    let generation = answer.map_err(refused)?;
    let mut live = lock(&shared.live);
    while live.frozen.iter().any(|frozen| frozen.generation <= generation) {
        if let Some(reason) = &live.full {
            return Err(no_space(reason));
        }
        if shared.is_ending() {
            return Err(stopped(shared.fault().unwrap_or("the store was closed")));
        }
        live = shared.wait(live);
    }
    Ok(())
}

/// Writes the segment and the run of the oldest frozen memtable, and swaps them in.
pub(crate) fn seal(shared: &Shared, frozen: &Frozen) -> Result<(), StoreError> {
    let number = shared.next_file();
    let mut dropping = Dropping::new(shared);
    let made = write_files(shared, number, frozen, &mut dropping).and_then(|Sealed { segment, run }| {
        let segment_entry = segment.as_ref().map(|segment| SegmentEntry { number, meta: segment.meta().clone() });
        let run_entry = run.as_ref().map(|run| RunEntry::of(number, run));
        upkeep::commit(
            shared,
            number,
            dropping.facts(),
            |manifest| {
                manifest.segments.extend(segment_entry);
                manifest.runs.extend(run_entry);
                manifest.low = frozen.last_sequence;
            },
            |live| {
                live.segments.extend(segment.map(|segment| LiveSegment { number, segment: Arc::new(segment) }));
                live.runs.extend(run.map(|run| LiveRun { number, run: Arc::new(run) }));
                live.frozen.pop_front();
                live.full = None;
            },
        )
    });
    if made.as_ref().is_err_and(files::is_full) {
        // A full disk left the MANIFEST as it was, so nothing names these files.
        files::remove(shared.layout.disk(), &shared.layout.segment(number))?;
        files::remove(shared.layout.disk(), &shared.layout.run(number))?;
    }
    made
}

/// The files of a memtable. One with nothing but expired rows has no segment, one with nothing but facts no run.
struct Sealed {
    segment: Option<Segment>,
    run: Option<Run>,
}

fn write_files(shared: &Shared, number: u64, frozen: &Frozen, dropping: &mut Dropping) -> Result<Sealed, StoreError> {
    let disk = shared.layout.disk();
    let (segment_path, run_path) = (shared.layout.segment(number), shared.layout.run(number));
    let gathered = Gathered::of(&frozen.memtable.chunks, &mut |row| dropping.seals(row));
    let has_segment = !gathered.is_empty();
    if has_segment {
        gathered.write(disk, &segment_path)?;
        sync_dir(disk, &shared.layout.segments_dir())?;
    }
    let has_run = !frozen.identities.is_empty();
    if has_run {
        dedupe::write_run(disk, &run_path, &frozen.identities)?;
        sync_dir(disk, &shared.layout.dedupe_dir())?;
    }
    Ok(Sealed {
        segment: has_segment.then(|| Segment::open(disk, &segment_path)).transpose()?,
        run: has_run.then(|| Run::open(disk, &run_path)).transpose()?,
    })
}

/// Lets threads that answer somebody go first: what the caller does is done for later. If the system does not want to know
/// of it, nothing is lost but some speed.
pub(crate) fn yield_to_others() {
    // On Linux, this is the thread alone.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, BACKGROUND_NICENESS) {
        tracing::debug!(%error, "a background thread runs with the priority of all others");
    }
}
