//! Sealing: rows in memory become a segment and a run, and the log may forget them.

use super::dedupe::{self, Run};
use super::expire::Dropping;
use super::facts::upkeep;
use super::files::{self, sync_dir};
use super::lock;
use super::manifest::{RunEntry, SegmentEntry};
use super::memtable::Frozen;
use super::segment::{Segment, write_segment};
use super::shared::{LiveRun, LiveSegment, Shared};
use super::sort;
use crate::StoreError;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// How long to wait for space before sealing is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(300);

/// Seals what the writer froze, until the store ends.
pub(crate) fn run(shared: &Shared) {
    while let Some(frozen) = next_frozen(shared) {
        match seal(shared, &frozen) {
            Ok(()) => {}
            Err(error) if files::is_full(&error) => {
                tracing::warn!(%error, "no space to seal events; trying again");
                let mut live = lock(&shared.live);
                live.full = Some(error.to_string());
                shared.changed.notify_all();
                let waited = shared.changed.wait_timeout_while(live, RETRY_AFTER, |_| !shared.is_ending());
                drop(waited.unwrap_or_else(PoisonError::into_inner));
            }
            Err(error) => return shared.stop(format!("cannot seal events: {error}")),
        }
    }
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
    let row_at = |(chunk, row): (u32, u32)| frozen.memtable.chunks[chunk as usize].get(row as usize);
    let mut order = sort::segment_order_of(&frozen.memtable.chunks);
    order.retain(|place| dropping.seals(row_at(*place)));
    let has_segment = !order.is_empty();
    if has_segment {
        write_segment(disk, &segment_path, &mut order.into_iter().map(|place| Ok(row_at(place).to_row())))?;
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
