//! The store without its threads: a simulation does their work step by step, so that a seed gives one history.
//!
//! Invariant: a step does what the thread would do next, with the same code; nothing else decides about the events.

use super::compaction::Merger;
use super::disk::DiskFile;
use super::queue::Answer;
use super::rows::Rows;
use super::wal::Spares;
use super::writer::Writer;
use super::{EmbeddedStore, Handle, flush, recovery};
use crate::{AppendError, EventStore, StoreError, StoreOptions};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use tallystick_domain::Namespace;
use tallystick_domain::event::StoredEvent;
use tokio::sync::oneshot;

/// An embedded store whose threads are stepped by hand. Dropping it leaves the files as they are, as a kill does.
pub struct SteppedStore {
    store: EmbeddedStore,
    writer: Writer,
    merger: Merger,
    spares: Arc<Spares>,
    _lock: Arc<dyn DiskFile>,
}

/// The answer to a batch, once there is one.
pub struct Ticket(oneshot::Receiver<Answer>);

impl Ticket {
    /// What became of the batch; `None` while it waits.
    pub fn answer(&mut self) -> Option<Answer> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(AppendError::Stopped("nobody answers".into()))),
        }
    }
}

impl SteppedStore {
    /// Opens the store in `dir`, or creates it there.
    ///
    /// # Errors
    /// As [`EventStore::open_embedded`].
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let opened = recovery::open(dir, options)?;
        let shared = opened.shared;
        shared.stepped.store(true, Ordering::Relaxed);
        let spares = opened.wal.spares();
        let writer = Writer::new(shared.clone(), opened.wal, opened.identities);
        let store = EmbeddedStore { handle: Arc::new(Handle { shared, running: Mutex::new(None) }) };
        Ok(Self { store, writer, merger: Merger::default(), spares, _lock: opened.lock })
    }

    /// The store, to be asked. What needs a thread must not be called on it.
    pub fn store(&self) -> EventStore {
        EventStore::Embedded(self.store.clone())
    }

    /// Hands a batch over to the writer.
    ///
    /// # Errors
    /// See [`AppendError`]; nothing of the batch is stored.
    pub fn submit(&self, namespace: &Namespace, events: &[StoredEvent]) -> Result<Ticket, AppendError> {
        self.store.submit(Rows::of_events(namespace, events)).map(Ticket)
    }

    /// Asks the writer to have sealed what is in memory.
    ///
    /// # Errors
    /// [`AppendError::Stopped`] if nobody is let in any more.
    pub fn request_seal(&self) -> Result<(), AppendError> {
        self.store.shared().queue.push_seal(mpsc::channel().0)
    }

    /// The writer takes a group of batches or a request; `false` if none waits.
    pub fn step_writer(&mut self) -> bool {
        self.writer.step()
    }

    /// The oldest frozen memtable is sealed; `false` if there is none, or no space for it.
    pub fn step_sealer(&self) -> bool {
        flush::step(self.store.shared())
    }

    /// Something is merged; `false` if there is nothing, or no space for it.
    pub fn step_merger(&mut self) -> bool {
        self.merger.step(self.store.shared())
    }

    /// A file of the log is made ahead, if there is none to spare.
    pub fn step_log(&self) {
        self.spares.step();
    }

    /// Why the store stopped accepting, if it did.
    pub fn fault(&self) -> Option<String> {
        self.store.shared().fault().map(String::from)
    }

    /// Stores what waits, and ends as [`EventStore::close`] does.
    ///
    /// # Errors
    /// As [`EventStore::close`].
    pub fn close(mut self) -> Result<(), StoreError> {
        let shared = self.store.handle.shared.clone();
        shared.queue.close();
        while self.writer.step() {}
        self.writer.finish();
        shared.end();
        self.store.handle.finish()
    }
}
