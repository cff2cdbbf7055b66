//! What the threads of the store share.
//!
//! Invariant: `live` holds every acknowledged row exactly once at every moment: a segment takes the place of the rows that
//! it was made from under one lock. Locks are taken in the order turn, facts, catalog, live.

use super::aggregate::Books;
use super::budget::MemoryPool;
use super::cache::PartialCache;
use super::dedupe::{Run, Seen};
use super::facts::Facts;
use super::facts::masks::Masks;
use super::files::Layout;
use super::identity::Secret;
use super::live_counter::LiveCounters;
use super::lock;
use super::manifest::Manifest;
use super::memtable::{Frozen, Memtable};
use super::options::StoreOptions;
use super::queue::Queue;
use super::segment::Segment;
use super::view::View;
use crate::StoreError;
use crate::histogram::{COUNTS, Histogram, MICROSECONDS};
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use tallystick_domain::{Instant, Namespace};

/// The most bytes of codes that dictionaries have in common, about as many as those of the dictionaries in memory.
const BOOKS_BYTES: usize = 32 << 20;

/// A live segment.
#[derive(Clone)]
pub(crate) struct LiveSegment {
    pub number: u64,
    pub segment: Arc<Segment>,
}

/// A live run.
#[derive(Clone)]
pub(crate) struct LiveRun {
    pub number: u64,
    pub run: Arc<Run>,
}

/// The rows of the store and where they are.
#[derive(Default)]
pub(crate) struct Live {
    pub segments: Vec<LiveSegment>,
    pub runs: Vec<LiveRun>,
    /// Being sealed, oldest first.
    pub frozen: VecDeque<Arc<Frozen>>,
    pub active: Memtable,
    /// What of the rows queries do not see.
    pub masks: Arc<Masks>,
    /// Why the last attempt to seal found no space, until one succeeds.
    pub full: Option<String>,
}

impl Live {
    /// How many rows are in memory and in the log only.
    pub fn unsealed_rows(&self) -> u64 {
        self.active.rows + self.frozen.iter().map(|frozen| frozen.memtable.rows).sum::<u64>()
    }
}

/// Numbers for people and tests.
pub(crate) struct Counters {
    pub overloaded: AtomicU64,
    pub filter_lookups: AtomicU64,
    pub filter_passes: AtomicU64,
    pub group_rows: Histogram,
    pub sync_us: Histogram,
    pub aggregate_us: Histogram,
    pub list_us: Histogram,
    pub live_us: Histogram,
    pub groups: AtomicU64,
    pub duplicates: AtomicU64,
    pub last_sync_us: AtomicU64,
    pub total_sync_us: AtomicU64,
    pub last_group_rows: AtomicU64,
    pub wal_files: AtomicU64,
    pub wal_bytes: AtomicU64,
    pub segment_merges: AtomicU64,
    pub run_merges: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        let zero = AtomicU64::default;
        Self {
            overloaded: zero(),
            filter_lookups: zero(),
            filter_passes: zero(),
            group_rows: Histogram::new(COUNTS),
            sync_us: Histogram::new(MICROSECONDS),
            aggregate_us: Histogram::new(MICROSECONDS),
            list_us: Histogram::new(MICROSECONDS),
            live_us: Histogram::new(MICROSECONDS),
            groups: zero(),
            duplicates: zero(),
            last_sync_us: zero(),
            total_sync_us: zero(),
            last_group_rows: zero(),
            wal_files: zero(),
            wal_bytes: zero(),
            segment_merges: zero(),
            run_merges: zero(),
        }
    }
}

/// One store, as its threads see it.
pub(crate) struct Shared {
    pub layout: Layout,
    pub options: StoreOptions,
    pub secret: Secret,
    pub catalog: Mutex<Manifest>,
    pub live: Mutex<Live>,
    /// Corrections, cut-offs and the ledger.
    pub facts: Mutex<Facts>,
    /// Held from writing a facts file to naming it in the MANIFEST: one after the other.
    pub facts_turn: Mutex<()>,
    /// Signals changes of `live` other than new rows, faults, and the end.
    pub changed: Condvar,
    pub queue: Queue,
    pub counters: Counters,
    /// What running queries hold.
    pub query_memory: Arc<MemoryPool>,
    /// What is kept of columns of rows in memory.
    pub column_memory: Arc<MemoryPool>,
    /// Results over parts of segments.
    pub partials: PartialCache,
    /// Codes that dictionaries of segments have in common.
    pub books: Books,
    /// Totals that the writer keeps up to date.
    pub live_counters: LiveCounters,
    /// Frames up to here are sealed, and the MANIFEST says so.
    pub low: AtomicU64,
    /// Frames up to here are durable.
    pub durable: AtomicU64,
    next_file: AtomicU64,
    fault: OnceLock<String>,
    ending: AtomicBool,
    /// No thread runs: who would wait does the work of the others.
    #[cfg(any(test, feature = "faults"))]
    pub stepped: AtomicBool,
}

impl Shared {
    pub fn new(layout: Layout, options: StoreOptions, manifest: Manifest) -> Self {
        Self {
            layout,
            queue: Queue::new(options.queue_bytes),
            query_memory: Arc::new(MemoryPool::new(options.query_memory_bytes)),
            partials: PartialCache::new(options.query_cache_bytes),
            books: Books::new(BOOKS_BYTES),
            live_counters: LiveCounters::new(options.live_counters),
            column_memory: Arc::new(MemoryPool::new(options.memtable_bytes)),
            options,
            secret: manifest.secret,
            low: AtomicU64::new(manifest.low),
            durable: AtomicU64::new(manifest.durable),
            next_file: AtomicU64::new(manifest.next_file),
            catalog: Mutex::new(manifest),
            live: Mutex::default(),
            facts: Mutex::default(),
            facts_turn: Mutex::default(),
            changed: Condvar::new(),
            counters: Counters::default(),
            fault: OnceLock::new(),
            ending: AtomicBool::new(false),
            #[cfg(any(test, feature = "faults"))]
            stepped: AtomicBool::new(false),
        }
    }

    /// A number that no segment or run has had.
    pub fn next_file(&self) -> u64 {
        self.next_file.fetch_add(1, Ordering::Relaxed)
    }

    /// Changes the MANIFEST, and once that lasts, what queries see.
    pub fn commit(&self, edit: impl FnOnce(&mut Manifest), publish: impl FnOnce(&mut Live)) -> Result<(), StoreError> {
        let mut catalog = lock(&self.catalog);
        let mut next = catalog.clone();
        edit(&mut next);
        next.durable = self.durable.load(Ordering::Acquire).max(next.low);
        next.next_file = self.next_file.load(Ordering::Relaxed);
        next.write(&self.layout)?;
        self.low.store(next.low, Ordering::Release);
        *catalog = next;
        let open: HashSet<u64> = {
            let mut live = lock(&self.live);
            publish(&mut live);
            live.segments.iter().map(|live| live.segment.number()).collect()
        };
        self.changed.notify_all();
        self.partials.forget(None);
        self.books.forget(|dictionary| open.contains(&dictionary.segment));
        Ok(())
    }

    /// All rows of this moment.
    pub fn view(&self) -> View {
        let live = lock(&self.live);
        let frozen = live.frozen.iter().flat_map(|frozen| &frozen.memtable.chunks);
        View {
            segments: live.segments.iter().map(|live| live.segment.clone()).collect(),
            chunks: frozen.chain(&live.active.chunks).cloned().collect(),
            masks: live.masks.clone(),
        }
    }

    /// All rows of this moment, of which one type is seen as it was known at an instant.
    pub fn view_as_of(&self, of: (&Namespace, &str), until: Instant) -> View {
        // The writer needs the facts, so they are held for no longer than it takes to see which are wanted.
        let (records, view) = {
            let facts = lock(&self.facts);
            let records = facts.corrections_of_type(of.0, of.1).filter(|record| record.known_at <= until);
            (records.cloned().collect::<Vec<_>>(), self.view())
        };
        let masks = Arc::new(view.masks.with_corrections(&records, &self.secret, of));
        View { masks, ..view }
    }

    /// All identities of this moment, except for those that the writer holds itself.
    pub fn seen(&self) -> Seen {
        let live = lock(&self.live);
        Seen {
            sets: live.frozen.iter().map(|frozen| frozen.identities.clone()).collect(),
            runs: live.runs.iter().map(|live| live.run.clone()).collect(),
            ..Seen::default()
        }
    }

    /// Waits for a change of `live`.
    pub fn wait<'a>(&'a self, live: MutexGuard<'a, Live>) -> MutexGuard<'a, Live> {
        #[cfg(any(test, feature = "faults"))]
        if self.stepped.load(Ordering::Relaxed) {
            drop(live);
            super::flush::step(self);
            return lock(&self.live);
        }
        self.changed.wait(live).unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops accepting for good. The first reason is kept.
    pub fn stop(&self, reason: String) {
        tracing::error!(reason, "the event store stops accepting events");
        let _ = self.fault.set(reason);
        self.queue.abandon();
        // Taking the lock makes sure that nobody is between looking at the fault and waiting.
        drop(lock(&self.live));
        self.changed.notify_all();
    }

    /// Why the store stopped, if it did.
    pub fn fault(&self) -> Option<&str> {
        self.fault.get().map(String::as_str)
    }

    /// Tells the background threads to end.
    pub fn end(&self) {
        self.ending.store(true, Ordering::Release);
        drop(lock(&self.live));
        self.changed.notify_all();
    }

    /// Whether the background threads should end.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire) || self.fault().is_some()
    }
}
