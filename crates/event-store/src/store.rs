//! The store as the engine sees it.

use crate::embedded::{EmbeddedStore, LiveKey, StoreOptions};
use crate::{
    AppendError, CorrectError, Corrected, Correction, EventHistory, Expirable, HourTally, QueryError, StoreError,
};
use std::path::Path;
use tallystick_domain::event::{EventBatch, EventQuery, StoredEvent};
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
    /// Files of the log, spare ones too.
    pub wal_files: u64,
    /// Their size on disk.
    pub wal_bytes: u64,
    /// Bytes of batches that wait or are being stored.
    pub queue_bytes: u64,
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

    /// Runs a plan over every event that was acknowledged before the call. Blocks.
    ///
    /// # Errors
    /// [`QueryError::Plan`] if the plan has no exact answer or needs too much memory, [`QueryError::Store`] if a file
    /// cannot be read.
    pub fn aggregate(&self, plan: &AggregatePlan) -> Result<Vec<AggregateRow>, QueryError> {
        match self {
            Self::Embedded(store) => store.aggregate(plan),
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
        match self {
            Self::Embedded(store) => store.known_total(key),
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

    /// Numbers about the store.
    pub fn stats(&self) -> StoreStats {
        match self {
            Self::Embedded(store) => store.stats(),
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
