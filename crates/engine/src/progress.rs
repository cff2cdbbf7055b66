//! How far long operations are, for those who started them under an id of their own.
//!
//! Operations of a namespace under one id are counted together while one of them runs; the next one after that starts
//! anew. What was not asked for within five minutes after its end is forgotten. It is kept in memory: another server and
//! a restart know nothing of it.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallystick_domain::key::Scope;
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{EventStore, QueryError, QueryProgress};

/// How long an operation is remembered after its end.
const KEPT_US: i64 = 5 * 60 * 1_000_000;
/// How many ids of a namespace are remembered at a time; operations under further ones are not counted.
const MAX_IDS: usize = 1000;

/// How far operations are. Queries count rows, imports count events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationProgress {
    /// What is done.
    pub success: u64,
    /// What failed.
    pub failed: u64,
    /// What there is to do, as far as it is known.
    pub total: u64,
    /// When these numbers were true.
    pub updated_at: Instant,
}

/// A part of an import that came in one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportPart {
    /// The id under which the import is watched.
    pub id: String,
    /// Events of the whole import.
    pub total: u64,
    /// Events of this part that are stored.
    pub stored: u64,
    /// Events of this part that are invalid.
    pub invalid: u64,
}

type Id = (Namespace, String);

/// What is remembered of each namespace's ids.
#[derive(Default)]
pub(crate) struct ProgressBook(Mutex<HashMap<Namespace, HashMap<String, Entry>>>);

struct Entry {
    running: Vec<Arc<QueryProgress>>,
    success: u64,
    failed: u64,
    total: u64,
    updated_at: Instant,
}

/// A query that is counted while it exists. Without [`Watched::succeed`] what it had left to do has failed.
struct Watched {
    engine: Engine,
    id: Id,
    counts: Arc<QueryProgress>,
    has_succeeded: bool,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self { running: Vec::new(), success: 0, failed: 0, total: 0, updated_at: now }
    }

    fn is_over(&self) -> bool {
        self.running.is_empty() && self.success.saturating_add(self.failed) >= self.total
    }

    fn is_stale(&self, now: Instant) -> bool {
        self.running.is_empty() && self.updated_at.saturating_add_micros(KEPT_US) < now
    }

    fn read(&self, now: Instant) -> OperationProgress {
        // What a sender said of an import is added to what was counted.
        let with = |known: u64, of: fn(&QueryProgress) -> u64| {
            self.running.iter().fold(known, |sum, counts| sum.saturating_add(of(counts)))
        };
        OperationProgress {
            success: with(self.success, QueryProgress::done),
            failed: self.failed,
            total: with(self.total, QueryProgress::expected),
            updated_at: if self.running.is_empty() { self.updated_at } else { now },
        }
    }
}

impl ProgressBook {
    fn namespaces(&self) -> MutexGuard<'_, HashMap<Namespace, HashMap<String, Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the entry of an id, which starts anew if all of it is over. Nothing happens when there are too many ids.
    fn with(&self, (namespace, id): &Id, now: Instant, change: impl FnOnce(&mut Entry)) {
        let mut namespaces = self.namespaces();
        let ids = namespaces.entry(namespace.clone()).or_default();
        if ids.len() >= MAX_IDS && !ids.contains_key(id) {
            ids.retain(|_, entry| !entry.is_stale(now));
            if ids.len() >= MAX_IDS {
                return;
            }
        }
        let entry = ids.entry(id.clone()).or_insert_with(|| Entry::new(now));
        if entry.is_over() || entry.is_stale(now) {
            *entry = Entry::new(now);
        }
        change(entry);
    }
}

impl Watched {
    /// The query is answered, whatever rows it did not have to look at.
    fn succeed(mut self) {
        self.has_succeeded = true;
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let now = self.engine.now();
        let mut namespaces = self.engine.progress_book().namespaces();
        let ids = namespaces.get_mut(&self.id.0);
        let Some(entry) = ids.and_then(|ids| ids.get_mut(&self.id.1)) else { return };
        entry.running.retain(|counts| !Arc::ptr_eq(counts, &self.counts));
        let (expected, done) = (self.counts.expected(), self.counts.done());
        entry.total = entry.total.saturating_add(expected);
        let success = if self.has_succeeded { expected } else { done.min(expected) };
        entry.success = entry.success.saturating_add(success);
        entry.failed = entry.failed.saturating_add(expected - success);
        entry.updated_at = now;
    }
}

impl Engine {
    /// Runs a read of the event store as [`Engine::read_events`] does, and counts it under an id if it has one.
    pub(crate) async fn read_watched<T: Send + 'static>(
        &self,
        namespace: &Namespace,
        id: Option<String>,
        read: impl FnOnce(&EventStore, Option<&QueryProgress>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let watched = id.map(|id| self.watch(namespace, id));
        let counts = watched.as_ref().map(|watched| Arc::clone(&watched.counts));
        let answer = self.read_events(move |events| read(events, counts.as_deref())).await?;
        if let Some(watched) = watched {
            watched.succeed();
        }
        Ok(answer)
    }

    fn watch(&self, namespace: &Namespace, id: String) -> Watched {
        let (id, counts) = ((namespace.clone(), id), Arc::new(QueryProgress::default()));
        self.progress_book().with(&id, self.now(), |entry| entry.running.push(Arc::clone(&counts)));
        Watched { engine: self.clone(), id, counts, has_succeeded: false }
    }

    /// Counts a part of an import that was stored or refused.
    ///
    /// # Errors
    /// If the caller may not send events.
    pub fn note_import(&self, caller: &Caller, part: ImportPart) -> Result<(), EngineError> {
        caller.require(Scope::Ingest)?;
        let (id, now) = ((caller.namespace().clone(), part.id), self.now());
        self.progress_book().with(&id, now, |entry| {
            entry.success = entry.success.saturating_add(part.stored);
            entry.failed = entry.failed.saturating_add(part.invalid);
            // What is done was there to do, whatever the sender thought.
            entry.total = part.total.max(entry.success.saturating_add(entry.failed));
            entry.updated_at = now;
        });
        Ok(())
    }

    /// How far the operations under an id are. The id is known from when the first of them began until five minutes after
    /// the last one ended.
    ///
    /// # Errors
    /// If the id is not known, or the caller may not read.
    pub fn progress(&self, caller: &Caller, id: &str) -> Result<OperationProgress, EngineError> {
        caller.require(Scope::Read)?;
        let now = self.now();
        let namespaces = self.progress_book().namespaces();
        let entry = namespaces.get(caller.namespace()).and_then(|ids| ids.get(id)).filter(|entry| !entry.is_stale(now));
        let unknown = || EngineError::NotFound { what: "progress for id", key: id.to_owned() };
        entry.map(|entry| entry.read(now)).ok_or_else(unknown)
    }
}
