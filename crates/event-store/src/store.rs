//! The store as the engine sees it.

use crate::embedded::{Counted, EmbeddedStore, LiveKey, SegmentSizes, StoreOptions};
use crate::histogram::HistogramSnapshot;
use crate::report::{EventsBackup, StoreContent, Verification, Watch};
use crate::{
    AppendError, CorrectError, Corrected, Correction, EventHistory, Expirable, HourTally, QueryError, QueryProgress,
    StoreError,
};
use std::path::Path;
use tallystick_domain::event::{EventBatch, EventQuery, StoredEvent, StoredRef};
use tallystick_domain::meter::{AggregatePlan, AggregateRow, PlanError};
use tallystick_domain::{Instant, Namespace, Quantity};

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Events that are new.
    pub stored: u64,
    /// Events that were there before, or earlier in the batch. The first one stays.
    pub duplicates: u64,
}

/// Numbers about the store since it was opened, or as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Events in the store, those too that do not count any more.
    pub events: u64,
    /// Expired events that are gone; only their identities are left.
    pub dropped_rows: u64,
    /// Those of them that are in memory and in the log only.
    pub memtable_rows: u64,
    /// About how many bytes these take in memory.
    pub memtable_bytes: u64,
    /// Sealed files of events.
    pub segments: u64,
    /// Events in them.
    pub segment_rows: u64,
    /// Their size on disk.
    pub segment_bytes: u64,
    /// Files of identities.
    pub runs: u64,
    /// Their size on disk.
    pub run_bytes: u64,
    /// Segments of sizes of which there are more than there should be, so that some of them will be merged.
    pub debt_segments: u64,
    /// Their size on disk.
    pub debt_bytes: u64,
    /// What filters and indexes of identities take in memory.
    pub identity_memory_bytes: u64,
    /// Files of the log, spare ones too.
    pub wal_files: u64,
    /// Their size on disk.
    pub wal_bytes: u64,
    /// Bytes of batches that wait or are being stored.
    pub queue_bytes: u64,
    /// Batches that wait to be stored.
    pub queue_batches: u64,
    /// Batches that were refused because too much was waiting.
    pub overloaded: u64,
    /// How often the filter of a run was asked for an identity.
    pub filter_lookups: u64,
    /// How often a filter could not rule an identity out, so that a block was read.
    pub filter_passes: u64,
    /// Groups of batches that were made durable with one sync each.
    pub groups: u64,
    /// New events of the last group.
    pub last_group_rows: u64,
    /// How long the last sync took, in microseconds.
    pub last_sync_us: u64,
    /// How long all syncs took, in microseconds.
    pub total_sync_us: u64,
    /// Events that came again.
    pub duplicates: u64,
    /// How often segments were merged.
    pub segment_merges: u64,
    /// How often runs were merged.
    pub run_merges: u64,
    /// Bytes of partial results that are kept.
    pub query_cache_bytes: u64,
    /// How often one of them was used.
    pub query_cache_hits: u64,
    /// Bytes of codes that texts have in many segments.
    pub query_books_bytes: u64,
    /// Bytes that running queries hold.
    pub query_memory_bytes: u64,
    /// Bytes of columns of rows in memory.
    pub column_memory_bytes: u64,
    /// Totals of single subjects that are kept up to date.
    pub live_counters: u64,
}

/// How large groups were and how long things took since the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreHistograms {
    /// New events of each group that was made durable with one sync.
    pub group_rows: HistogramSnapshot,
    /// Duration of each of these syncs, in microseconds.
    pub sync_us: HistogramSnapshot,
    /// Duration of each aggregation, in microseconds.
    pub aggregate_us: HistogramSnapshot,
    /// Duration of each listing, in microseconds.
    pub list_us: HistogramSnapshot,
    /// Duration of each answer about the total of one subject, in microseconds.
    pub live_us: HistogramSnapshot,
}

/// Where usage events are kept. Clones are the same store.
#[derive(Clone)]
pub enum EventStore {
    /// In a directory of this machine, written by this process only.
    Embedded(EmbeddedStore),
}

impl EventStore {
    /// Opens the store in `dir`, which belongs to it alone, or creates it there. Blocks while the log is read.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another store is open there, [`StoreError::Newer`] after a later version of the
    /// program, [`StoreError::Damaged`] naming the file whose bytes changed, [`StoreError::Io`] otherwise.
    pub fn open_embedded(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        EmbeddedStore::open(dir, options).map(Self::Embedded)
    }

    /// Stores events; returns when they are durable, duplicates too. The batch is stored as a whole or not at all; when
    /// the caller stops waiting, it may still be stored. An event is the same as an earlier one of its namespace if
    /// source and id are.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing of the batch is stored. Only after [`AppendError::Stopped`] the batch may turn out to
    /// be there once the store is opened again; sending it once more is harmless.
    pub async fn append(&self, namespace: &Namespace, events: Vec<StoredEvent>) -> Result<Appended, AppendError> {
        match self {
            Self::Embedded(store) => store.append(namespace, events).await,
        }
    }

    /// As [`EventStore::append`] for events that are checked, in one piece, and were all accepted at one moment.
    ///
    /// # Errors
    /// Those of [`EventStore::append`].
    pub async fn append_batch(
        &self,
        namespace: &Namespace,
        events: EventBatch,
        ingested_at: Instant,
    ) -> Result<Appended, AppendError> {
        match self {
            Self::Embedded(store) => store.append_batch(namespace, events, ingested_at).await,
        }
    }

    /// Runs a plan over every event that was acknowledged before the call. With [`AggregatePlan::known_until`], over the
    /// events as they were known then, but for those that expired since. Blocks.
    ///
    /// # Errors
    /// [`QueryError::Plan`] if the plan has no exact answer or needs too much memory, [`QueryError::Store`] if a file
    /// cannot be read.
    pub fn aggregate(&self, plan: &AggregatePlan) -> Result<Vec<AggregateRow>, QueryError> {
        self.aggregate_watched(plan, None)
    }

    /// As [`EventStore::aggregate`], noting in `progress`, if there is one, how far it is.
    ///
    /// # Errors
    /// Those of [`EventStore::aggregate`].
    pub fn aggregate_watched(
        &self,
        plan: &AggregatePlan,
        progress: Option<&QueryProgress>,
    ) -> Result<Vec<AggregateRow>, QueryError> {
        match self {
            Self::Embedded(store) => store.aggregate(plan, progress),
        }
    }

    /// The total of one subject over every event that was acknowledged before the call; `None` if nothing counts. It is
    /// kept up to date from then on, unless the aggregation needs all values, so that the next call takes microseconds.
    /// The first call reads events and blocks.
    ///
    /// # Errors
    /// As [`EventStore::aggregate`].
    pub fn live_total(&self, key: &LiveKey) -> Result<Option<Quantity>, QueryError> {
        match self {
            Self::Embedded(store) => store.live_total(key),
        }
    }

    /// The answer of [`EventStore::live_total`] if it is being kept. Never reads events.
    pub fn known_total(&self, key: &LiveKey) -> Option<Result<Option<Quantity>, PlanError>> {
        self.known_count(key).map(|known| known.map(|counted| counted.total))
    }

    /// As [`EventStore::live_total`], with what tells whether more than the total changed since an earlier call; `None` if
    /// such a total is not kept. What a count has told of is seen by every [`EventStore::aggregate`] that begins later, and what
    /// an aggregate has seen is in every count that is read later.
    ///
    /// # Errors
    /// As [`EventStore::aggregate`].
    pub fn live_count(&self, key: &LiveKey) -> Result<Option<Counted>, QueryError> {
        match self {
            Self::Embedded(store) => store.live_count(key),
        }
    }

    /// The answer of [`EventStore::live_count`] if it is being kept. Never reads events.
    pub fn known_count(&self, key: &LiveKey) -> Option<Result<Counted, PlanError>> {
        match self {
            Self::Embedded(store) => store.known_count(key),
        }
    }

    /// The answer of [`EventStore::known_count`] without the total, for who only asks whether anything changed.
    pub fn known_marks(&self, key: &LiveKey) -> Option<Counted> {
        match self {
            Self::Embedded(store) => store.known_marks(key),
        }
    }

    /// Drops the total of a key, for which nobody will ask any more. Each total of a subject is brought up to date with each
    /// of its events, and there are 256 of a subject and type at most.
    pub fn forget_count(&self, key: &LiveKey) {
        match self {
            Self::Embedded(store) => store.forget_count(key),
        }
    }

    /// Drops the totals that are kept of a subject, as after a change of its past.
    pub fn forget_totals(&self, namespace: &Namespace, event_type: &str, subject: &str) {
        match self {
            Self::Embedded(store) => store.forget_totals(namespace, event_type, subject),
        }
    }

    /// Lists events that were acknowledged before the call, newest first. Blocks.
    ///
    /// # Errors
    /// [`QueryError::Store`] if a file cannot be read.
    pub fn list(&self, query: &EventQuery) -> Result<Vec<StoredEvent>, QueryError> {
        match self {
            Self::Embedded(store) => store.list(query),
        }
    }

    /// Lists the events that [`EventStore::list`] lists and those that were retracted, all as they were accepted, with
    /// their corrections. Blocks.
    ///
    /// # Errors
    /// [`QueryError::Store`] if a file cannot be read.
    pub fn list_histories(
        &self,
        query: &EventQuery,
        progress: Option<&QueryProgress>,
    ) -> Result<Vec<EventHistory>, QueryError> {
        match self {
            Self::Embedded(store) => store.list_histories(query, progress),
        }
    }

    /// Records corrections of events that were acknowledged before, in order; returns when they are durable, one answer
    /// for each. From then on queries and listings show the events as they are now. A retracted event stays known, so
    /// sending it again does not bring it back. The data of amendments is taken as checked. Blocks, and looks through
    /// the ids of all events of the namespace once.
    ///
    /// # Errors
    /// See [`CorrectError`].
    pub fn correct(&self, namespace: &Namespace, corrections: Vec<Correction>) -> Result<Vec<Corrected>, CorrectError> {
        match self {
            Self::Embedded(store) => store.correct(namespace, corrections),
        }
    }

    /// An event as it was accepted, and all its corrections; `None` if there was never one. Blocks, as
    /// [`EventStore::correct`].
    ///
    /// # Errors
    /// [`StoreError`] if a file cannot be read.
    pub fn history(&self, namespace: &Namespace, source: &str, id: &str) -> Result<Option<EventHistory>, StoreError> {
        match self {
            Self::Embedded(store) => store.history(namespace, source, id),
        }
    }

    /// Lets events of a type that happened before `before` count no more, for good: a cut-off never moves back. Returns
    /// when that is durable; their space is given back in the background. They stay known, so sending one again does
    /// not bring it back. An older event that comes later is accepted, and expired at once. Blocks.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn expire(&self, namespace: &Namespace, event_type: &str, before: Instant) -> Result<(), AppendError> {
        match self {
            Self::Embedded(store) => store.expire(namespace, event_type, before),
        }
    }

    /// What [`EventStore::expire`] would take away now. Blocks.
    ///
    /// # Errors
    /// [`StoreError`] if a file cannot be read.
    pub fn expire_dry_run(
        &self,
        namespace: &Namespace,
        event_type: &str,
        before: Instant,
    ) -> Result<Expirable, StoreError> {
        match self {
            Self::Embedded(store) => store.expire_dry_run(namespace, event_type, before),
        }
    }

    /// What was accepted in the hours from that of `from` up to `to`, and a recount of the stored events of these hours.
    /// `judge` says of an event as it is now what it counts as; the store itself says `retracted` and `expired`. Blocks, and
    /// reads all events of these hours.
    ///
    /// # Errors
    /// [`StoreError`] if a file cannot be read.
    pub fn reconcile(
        &self,
        namespace: &Namespace,
        from: Instant,
        to: Instant,
        judge: &dyn Fn(&StoredEvent) -> &'static str,
    ) -> Result<Vec<HourTally>, StoreError> {
        match self {
            Self::Embedded(store) => store.reconcile(namespace, from, to, judge),
        }
    }

    /// The cut-off of a type: events before it do not count. `None` if there is none.
    pub fn cut_off(&self, namespace: &Namespace, event_type: &str) -> Option<Instant> {
        match self {
            Self::Embedded(store) => store.cut_off(namespace, event_type),
        }
    }

    /// Moves the events that are in memory into a sealed file and waits for it. Never needed for an answer. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] if the store stopped or was closed, [`StoreError::Io`] if there is no space now; the
    /// events stay in memory and in the log.
    pub fn flush_now(&self) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.flush_now(),
        }
    }

    /// Reads everything that is sealed again and checks it; returns the number of sealed events. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] naming the first file that is not as it was written.
    pub fn verify(&self) -> Result<u64, StoreError> {
        match self {
            Self::Embedded(store) => store.verify(),
        }
    }

    /// Reads everything again, sealed or not, counts it and compares; tells all that is not as it was written. Events may
    /// be appended meanwhile. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Cancelled`] when `watch` says so. Damage is no error but part of the answer.
    pub fn verify_all(&self, watch: Watch<'_>) -> Result<Verification, StoreError> {
        match self {
            Self::Embedded(store) => store.verify_all(watch),
        }
    }

    /// Like [`EventStore::verify_all`], for a store in `dir` that nobody has open. Changes nothing, so that a damaged
    /// store and a backup can be looked at. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while a store is open there, [`StoreError::Cancelled`] when `watch` says so.
    pub fn verify_closed(dir: &Path, watch: Watch<'_>) -> Result<Verification, StoreError> {
        EmbeddedStore::verify_closed(dir, watch)
    }

    /// Copies the store into `dir`: every event that was acknowledged before the call, and perhaps later ones, but never
    /// one without all that were acknowledged before it. The copy opens as a store. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Io`] if it cannot be written, [`StoreError::Cancelled`] when `watch` says so; what was copied so far
    /// stays and is no store.
    pub fn backup(&self, dir: &Path, watch: Watch<'_>) -> Result<EventsBackup, StoreError> {
        match self {
            Self::Embedded(store) => store.backup(dir, watch),
        }
    }

    /// What is stored, by file and by type. Reads some blocks. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Io`] naming the file that cannot be read.
    pub fn content(&self) -> Result<StoreContent, StoreError> {
        match self {
            Self::Embedded(store) => store.content(),
        }
    }

    /// Hands out every event that was acknowledged before the call, by namespace and type, with the memory of one block.
    /// Blocks.
    ///
    /// # Errors
    /// Those of `each`, which end the export, and [`StoreError::Damaged`] or [`StoreError::Io`] naming the file that
    /// cannot be read.
    pub fn export(
        &self,
        each: &mut dyn FnMut(&Namespace, StoredRef<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.export(each),
        }
    }

    /// Numbers about the store.
    pub fn stats(&self) -> StoreStats {
        match self {
            Self::Embedded(store) => store.stats(),
        }
    }

    /// What the bytes of sealed events are spent on. Reads nothing.
    pub fn sizes(&self) -> SegmentSizes {
        match self {
            Self::Embedded(store) => store.sizes(),
        }
    }

    /// Sizes and durations since the store was opened.
    pub fn histograms(&self) -> StoreHistograms {
        match self {
            Self::Embedded(store) => store.histograms(),
        }
    }

    /// Whether events are accepted. A full disk does not count: it may have space again at the next attempt.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] with the reason, after a fault that must not be retried or after [`EventStore::close`].
    pub fn check_writable(&self) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.check_writable(),
        }
    }

    /// Stores what waits, ends the threads and releases the directory; a second call does nothing. Queries still work
    /// until the directory is opened again. Dropping the last clone does the same. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Stopped`] if the store had stopped before; [`StoreError::Io`] if the end could not be noted, which
    /// loses nothing.
    pub fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Embedded(store) => store.close(),
        }
    }
}
