//! The embedded store: one directory, no other process.
//!
//! Invariant: an acknowledged event is durable and visible exactly once; what is not acknowledged may be there or not,
//! but never half.

mod aggregate;
mod backup;
mod budget;
mod cache;
mod chunk;
mod codec;
mod compaction;
mod content;
mod correct;
mod dedupe;
pub(crate) mod disk;
mod expire;
mod export;
mod facts;
mod files;
mod flush;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod identity;
mod list;
mod live_counter;
mod manifest;
mod memtable;
mod options;
mod queue;
mod reconcile;
mod recovery;
mod row;
mod rows;
#[cfg(test)]
mod sample;
mod segment;
mod shared;
#[cfg(any(test, feature = "faults"))]
pub(crate) mod stepped;
mod verify;
mod view;
mod wal;
mod writer;

pub use live_counter::{Counted, LiveKey, LiveMeasure};
pub use options::StoreOptions;
pub use segment::SegmentSizes;

use crate::report::{Damage, EventsBackup, StoreContent, Verification, Watch};
use crate::{AppendError, Appended, EventHistory, QueryError, QueryProgress, StoreError, StoreHistograms, StoreStats};
use disk::DiskFile;
use queue::{Batch, BatchSize};
use rows::{Rows, texts_len};
use shared::Shared;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tallystick_domain::event::{EventBatch, EventQuery, StoredEvent, StoredRef};
use tallystick_domain::meter::{AggregatePlan, AggregateRow, PlanError};
use tallystick_domain::{Instant, Namespace, Quantity};
use tokio::sync::oneshot;
use view::View;
use wal::{Spares, Wal};
use writer::Writer;

/// From how many rows in memory on a close seals them, so that the next start does not read them from the log.
const SEALED_AT_CLOSE: u64 = 20_000;

/// A store in a directory of its own. Clones are the same store.
#[derive(Clone)]
pub struct EmbeddedStore {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

/// What ends with [`EmbeddedStore::close`].
struct Running {
    writer: JoinHandle<()>,
    background: Vec<JoinHandle<()>>,
    spares: Arc<Spares>,
    /// Releases the directory when dropped, after the threads ended.
    _lock: Arc<dyn DiskFile>,
}

impl EmbeddedStore {
    /// Opens the store in `dir`, or creates it there.
    pub(crate) fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let opened = recovery::open(dir, options)?;
        let shared = opened.shared;
        let spares = opened.wal.spares();
        let to_fill = spares.clone();
        let writer = Writer::new(shared.clone(), opened.wal, opened.identities);
        let ahead = shared.options.log_ahead;
        let running = Running {
            writer: spawn("events-writer", &shared, move |_| writer.run())?,
            background: vec![
                spawn("events-seal", &shared, flush::run)?,
                spawn("events-merge", &shared, compaction::run)?,
                spawn("events-log", &shared, move |_| {
                    if ahead {
                        to_fill.keep_one_ready()
                    }
                })?,
            ],
            spares,
            _lock: opened.lock,
        };
        Ok(Self { handle: Arc::new(Handle { shared, running: Mutex::new(Some(running)) }) })
    }

    /// Stores a batch, all of it or nothing.
    pub(crate) async fn append(
        &self,
        namespace: &Namespace,
        events: Vec<StoredEvent>,
    ) -> Result<Appended, AppendError> {
        // Refused before it takes memory a second time.
        let texts = events.iter().map(|stored| texts_len(stored.event.view())).sum();
        self.refuse_too_large(texts, Wal::capacity(self.shared().options.wal_file_len()))?;
        let rows = Rows::of_events(namespace, &events);
        drop(events);
        self.store(rows).await
    }

    /// Stores events that were accepted at one moment, all of them or none.
    pub(crate) async fn append_batch(
        &self,
        namespace: &Namespace,
        events: EventBatch,
        ingested_at: Instant,
    ) -> Result<Appended, AppendError> {
        self.store(Rows::of_batch(namespace, ingested_at, events)).await
    }

    async fn store(&self, rows: Rows) -> Result<Appended, AppendError> {
        if rows.is_empty() {
            return Ok(Appended::default());
        }
        let answer = self.submit(rows)?;
        answer.await.unwrap_or_else(|_| {
            let reason = self.shared().fault().unwrap_or("the store was closed");
            Err(AppendError::Stopped(reason.into()))
        })
    }

    fn submit(&self, rows: Rows) -> Result<oneshot::Receiver<queue::Answer>, AppendError> {
        let shared = self.shared();
        if let Some(reason) = shared.fault() {
            return Err(AppendError::Stopped(reason.into()));
        }
        let size = BatchSize::of(&rows);
        self.refuse_too_large(size.encoded, Wal::capacity(shared.options.wal_file_len()))?;
        self.refuse_too_large(size.queued, shared.queue.limit())?;
        shared.queue.reserve(size.queued).inspect_err(|error| {
            if *error == AppendError::Overloaded {
                shared.counters.overloaded.fetch_add(1, Ordering::Relaxed);
            }
        })?;
        let (sender, receiver) = oneshot::channel();
        shared.queue.push_batch(Batch::prepare(&shared.secret, rows, size, sender))?;
        Ok(receiver)
    }

    fn refuse_too_large(&self, bytes: usize, limit: usize) -> Result<(), AppendError> {
        if bytes > limit { Err(AppendError::TooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// Runs a plan over all rows of this moment.
    pub(crate) fn aggregate(
        &self,
        plan: &AggregatePlan,
        progress: Option<&QueryProgress>,
    ) -> Result<Vec<AggregateRow>, QueryError> {
        let shared = self.shared();
        let view = || match plan.known_until {
            None => self.settled_view(),
            Some(until) => shared.view_as_of((&plan.namespace, &plan.event_type), until),
        };
        shared.counters.aggregate_us.time(|| self.aggregate_over(&view(), plan, progress))
    }

    /// All rows of this moment. The writer adds rows to counters before they become visible, and does both behind the gate:
    /// so every row is seen that a counter has told of.
    fn settled_view(&self) -> View {
        let _gate = self.shared().live_counters.gate();
        self.shared().view()
    }

    fn aggregate_over(
        &self,
        view: &View,
        plan: &AggregatePlan,
        progress: Option<&QueryProgress>,
    ) -> Result<Vec<AggregateRow>, QueryError> {
        let shared = self.shared();
        let limits = aggregate::Limits {
            max_groups: shared.options.max_groups,
            max_distinct: shared.options.max_distinct,
            threads: shared.options.query_threads,
            rows_per_thread: aggregate::ROWS_PER_THREAD,
            memory: &shared.query_memory,
            columns: &shared.column_memory,
            cache: &shared.partials,
            books: &shared.books,
            mask: None,
            progress,
        };
        aggregate::aggregate(view, plan, &limits)
    }

    /// What was counted of a subject, if it is being kept.
    pub(crate) fn known_count(&self, key: &LiveKey) -> Option<Result<Counted, PlanError>> {
        let (shared, started) = (self.shared(), std::time::Instant::now());
        let known = shared.live_counters.get(key);
        if known.is_some() {
            shared.counters.live_us.record_duration(started.elapsed());
        }
        known
    }

    /// What was counted of a subject but its total, if it is being kept.
    pub(crate) fn known_marks(&self, key: &LiveKey) -> Option<Counted> {
        self.shared().live_counters.marks(key)
    }

    /// Drops the totals that are kept of a subject.
    pub(crate) fn forget_totals(&self, namespace: &Namespace, event_type: &str, subject: &str) {
        self.shared().live_counters.forget(namespace, event_type, subject);
    }

    /// Drops the total of a key.
    pub(crate) fn forget_count(&self, key: &LiveKey) {
        self.shared().live_counters.forget_key(key);
    }

    /// What was counted of a subject, which is kept from now on; `None` if it cannot be.
    pub(crate) fn live_count(&self, key: &LiveKey) -> Result<Option<Counted>, QueryError> {
        let shared = self.shared();
        if !shared.live_counters.keeps(key) {
            return Ok(None);
        }
        if let Some(known) = self.known_count(key) {
            return Ok(Some(known?));
        }
        shared.counters.live_us.time(|| self.first_count(key)).map(Some)
    }

    /// The total of a subject, which is kept from now on if it can be.
    pub(crate) fn live_total(&self, key: &LiveKey) -> Result<Option<Quantity>, QueryError> {
        if let Some(counted) = self.live_count(key)? {
            return Ok(counted.total);
        }
        let shared = self.shared();
        let rows = shared.counters.live_us.time(|| self.aggregate_over(&self.settled_view(), &key.plan(), None))?;
        Ok(rows.first().map(|row| row.value))
    }

    /// Reads events for a total that is not kept yet, or that another caller is reading them for.
    fn first_count(&self, key: &LiveKey) -> Result<Counted, QueryError> {
        let (shared, counters) = (self.shared(), &self.shared().live_counters);
        let (view, started) = {
            let gate = counters.gate();
            (shared.view(), counters.start(&gate, key))
        };
        let rows = self.aggregate_over(&view, &key.plan(), None);
        if started.is_new {
            counters.finish(key, started.passed.start, rows.as_ref().ok().map(|rows| rows.first()));
        }
        let row = rows?.into_iter().next();
        Ok(Counted { total: row.as_ref().map(|row| row.value), last: row.map(|row| row.last), ..started.passed })
    }

    /// Lists events of this moment.
    pub(crate) fn list(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, QueryError> {
        let shared = self.shared();
        shared.counters.list_us.time(|| list::list(&shared.view(), query, None))
    }

    /// Lists events as they were accepted, each with its corrections.
    pub(crate) fn list_histories(
        &self,
        query: &EventQuery,
        progress: Option<&QueryProgress>,
    ) -> Result<Vec<EventHistory>, QueryError> {
        let shared = self.shared();
        let view = shared.view();
        let view = View { masks: Arc::new(view.masks.without_corrections(&query.namespace)), ..view };
        let originals = shared.counters.list_us.time(|| list::list(&view, query, progress))?;
        let facts = lock(&shared.facts);
        let history = |original: StoredEvent| {
            let event = &original.event;
            let identity = shared.secret.identity(query.namespace.as_str(), event.source(), event.id());
            EventHistory { corrections: facts.recorded(identity), original: Some(original) }
        };
        Ok(originals.into_iter().map(history).collect())
    }

    /// Seals what is in memory now, and waits for it.
    pub(crate) fn flush_now(&self) -> Result<(), StoreError> {
        flush::seal_now(self.shared())
    }

    /// Reads every segment and run again; returns the number of sealed events, or the first damage.
    pub(crate) fn verify(&self) -> Result<u64, StoreError> {
        let report = self.verify_all(&|_| ControlFlow::Continue(()))?;
        match report.damages.into_iter().next() {
            Some(Damage { path, what }) => Err(StoreError::damaged(&path, 0, what)),
            None => Ok(report.segment_rows),
        }
    }

    /// Reads everything again, compares it, and tells all that is wrong.
    pub(crate) fn verify_all(&self, watch: Watch<'_>) -> Result<Verification, StoreError> {
        verify::verify_open(self.shared(), watch)
    }

    /// Checks the store in a directory that no process has open.
    pub(crate) fn verify_closed(dir: &Path, watch: Watch<'_>) -> Result<Verification, StoreError> {
        verify::verify_closed(dir, watch)
    }

    /// Copies everything that was acknowledged before the call, and perhaps more, into a directory.
    pub(crate) fn backup(&self, dir: &Path, watch: Watch<'_>) -> Result<EventsBackup, StoreError> {
        self.flush_now()?;
        backup::copy_sealed(self.shared(), dir, watch)
    }

    /// What is stored, by file and by type.
    pub(crate) fn content(&self) -> Result<StoreContent, StoreError> {
        content::content(self.shared())
    }

    /// Hands out every event of this moment.
    pub(crate) fn export(
        &self,
        each: &mut dyn FnMut(&Namespace, StoredRef<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        export::export(&self.shared().view(), each)
    }

    /// Numbers for people.
    pub(crate) fn stats(&self) -> StoreStats {
        let shared = self.shared();
        let counters = &shared.counters;
        let mut stats = StoreStats {
            queue_bytes: shared.queue.bytes() as u64,
            queue_batches: shared.queue.batches() as u64,
            overloaded: counters.overloaded.load(Ordering::Relaxed),
            filter_lookups: counters.filter_lookups.load(Ordering::Relaxed),
            filter_passes: counters.filter_passes.load(Ordering::Relaxed),
            groups: counters.groups.load(Ordering::Relaxed),
            duplicates: counters.duplicates.load(Ordering::Relaxed),
            last_group_rows: counters.last_group_rows.load(Ordering::Relaxed),
            last_sync_us: counters.last_sync_us.load(Ordering::Relaxed),
            total_sync_us: counters.total_sync_us.load(Ordering::Relaxed),
            wal_files: counters.wal_files.load(Ordering::Relaxed),
            wal_bytes: counters.wal_bytes.load(Ordering::Relaxed),
            segment_merges: counters.segment_merges.load(Ordering::Relaxed),
            run_merges: counters.run_merges.load(Ordering::Relaxed),
            ..StoreStats::default()
        };
        let facts = lock(&shared.facts);
        let live = lock(&shared.live);
        stats.dropped_rows = facts.dropped.0;
        for memtable in live.frozen.iter().map(|frozen| &frozen.memtable).chain([&live.active]) {
            stats.memtable_rows += memtable.rows;
            stats.memtable_bytes += memtable.bytes as u64;
        }
        for meta in live.segments.iter().map(|live| live.segment.meta()) {
            stats.segments += 1;
            stats.segment_rows += meta.rows;
            stats.segment_bytes += meta.bytes;
        }
        stats.runs = live.runs.len() as u64;
        (stats.query_cache_bytes, stats.query_cache_hits) = shared.partials.figures();
        stats.query_books_bytes = shared.books.bytes();
        stats.query_memory_bytes = shared.query_memory.held() as u64;
        stats.column_memory_bytes = shared.column_memory.held() as u64;
        stats.live_counters = shared.live_counters.len() as u64;
        stats.identity_memory_bytes = live.runs.iter().map(|live| live.run.memory() as u64).sum();
        stats.run_bytes = live.runs.iter().map(|live| live.run.bytes()).sum();
        (stats.debt_segments, stats.debt_bytes) = compaction::debt(&live.segments, shared.options.merge_fan.max(2));
        stats.events = stats.memtable_rows + stats.segment_rows;
        stats
    }

    /// What the bytes of all segments are spent on.
    pub(crate) fn sizes(&self) -> SegmentSizes {
        let segments = lock(&self.shared().live).segments.clone();
        let mut sizes = SegmentSizes::default();
        segments.iter().for_each(|live| live.segment.add_sizes(&mut sizes));
        sizes
    }

    /// Sizes and durations for people.
    pub(crate) fn histograms(&self) -> StoreHistograms {
        let counters = &self.shared().counters;
        StoreHistograms {
            group_rows: counters.group_rows.snapshot(),
            sync_us: counters.sync_us.snapshot(),
            aggregate_us: counters.aggregate_us.snapshot(),
            list_us: counters.list_us.snapshot(),
            live_us: counters.live_us.snapshot(),
        }
    }

    /// Whether events are accepted.
    pub(crate) fn check_writable(&self) -> Result<(), StoreError> {
        match self.shared().fault() {
            Some(reason) => Err(StoreError::Stopped { reason: reason.into() }),
            None if lock(&self.handle.running).is_none() => {
                Err(StoreError::Stopped { reason: "the store is closed".into() })
            }
            None => Ok(()),
        }
    }

    /// Stores what waits, ends the threads and releases the directory.
    pub(crate) fn close(&self) -> Result<(), StoreError> {
        self.handle.close()
    }

    fn shared(&self) -> &Shared {
        &self.handle.shared
    }
}

impl Handle {
    fn close(&self) -> Result<(), StoreError> {
        // Held to the end, so that a second caller returns only when the store is closed.
        let mut running = lock(&self.running);
        let Some(Running { writer, background, spares, _lock }) = running.take() else { return Ok(()) };
        if lock(&self.shared.live).unsealed_rows() >= SEALED_AT_CLOSE {
            // Only the next start gains by it; if it fails, the log has the rows.
            let _ = flush::seal_now(&self.shared);
        }
        self.shared.queue.close();
        // A panic of a thread was already noted as a fault.
        let _ = writer.join();
        self.shared.end();
        spares.end();
        background.into_iter().for_each(|thread| drop(thread.join()));
        self.finish()
    }

    /// The end of a store whose threads have ended.
    fn finish(&self) -> Result<(), StoreError> {
        match self.shared.fault() {
            Some(reason) => Err(StoreError::Stopped { reason: reason.into() }),
            // Notes which frames are durable: after a clean end a missing one is damage, not a torn tail.
            None => self.shared.commit(|_| {}, |_| {}),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the event store did not close cleanly; acknowledged events are safe in its log");
        }
    }
}

/// Notes a panic of a thread as a fault, so that nobody waits for it.
struct StopOnPanic(Arc<Shared>);

impl Drop for StopOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop("a thread of the event store failed; its message is in the log".into());
        }
    }
}

fn spawn(
    name: &str,
    shared: &Arc<Shared>,
    work: impl FnOnce(&Shared) + Send + 'static,
) -> Result<JoinHandle<()>, StoreError> {
    let guard = StopOnPanic(shared.clone());
    let started = std::thread::Builder::new().name(name.into()).spawn(move || work(&guard.0));
    started.map_err(|error| {
        let reason = format!("cannot start the thread {name}: {error}");
        // Ends the threads that were started before.
        shared.stop(reason.clone());
        StoreError::Stopped { reason }
    })
}

/// Locks; a panic elsewhere does not take the data away from readers, and is noted as a fault anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
