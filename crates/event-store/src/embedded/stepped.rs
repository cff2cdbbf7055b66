//! The store without its threads: a simulation does their work step by step, so that a seed gives one history.
//!
//! Invariant: a step does what the thread would do next, with the same code; nothing else decides about the events.

use super::backup;
use super::compaction::Merger;
use super::correct::{Decided, Wanted, all_done, search_again};
use super::disk::DiskFile;
use super::queue::Answer;
use super::rows::Rows;
use super::wal::Spares;
use super::writer::Writer;
use super::{EmbeddedStore, Handle, flush, recovery};
use crate::{AppendError, CorrectError, Corrected, Correction, EventStore, EventsBackup, StoreError, StoreOptions};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, mpsc};
use tallystick_domain::event::StoredEvent;
use tallystick_domain::{Instant, Namespace};
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

/// The answer to corrections or a cut-off, once there is one.
pub struct FactsTicket {
    namespace: Namespace,
    wanted: Vec<Wanted>,
    answer: mpsc::Receiver<Decided>,
}

/// What became of facts.
pub enum FactsAnswer {
    /// They wait.
    None(FactsTicket),
    /// The writer knows an event that was not found. It was looked for again, and the facts wait behind what waited before.
    Again(FactsTicket),
    /// One answer for each.
    Done(Vec<Corrected>),
    /// Nothing is recorded; after [`AppendError::Stopped`] it may turn out to be.
    Refused(CorrectError),
}

impl FactsTicket {
    /// What became of the facts, which wait in this store or in one that was closed.
    #[must_use]
    pub fn answer(mut self, store: Option<&SteppedStore>) -> FactsAnswer {
        let stopped = |reason: &str| FactsAnswer::Refused(AppendError::Stopped(reason.into()).into());
        let decisions = match self.answer.try_recv() {
            Err(mpsc::TryRecvError::Empty) => return FactsAnswer::None(self),
            Err(mpsc::TryRecvError::Disconnected) => return stopped("nobody answers"),
            Ok(Err(error)) => return FactsAnswer::Refused(error.into()),
            Ok(Ok(decisions)) => decisions,
        };
        match (all_done(&decisions), store) {
            (Some(done), _) => FactsAnswer::Done(done),
            (None, None) => stopped("the store was closed"),
            (None, Some(store)) => {
                search_again(&mut self.wanted, &decisions);
                self.sent(store).map_or_else(FactsAnswer::Refused, FactsAnswer::Again)
            }
        }
    }

    /// Looks the events up and hands the facts over.
    fn sent(mut self, store: &SteppedStore) -> Result<Self, CorrectError> {
        store.store.look_up(&self.namespace, &mut self.wanted)?;
        let answer = store.store.hand_over(self.wanted.clone())?;
        Ok(Self { answer, ..self })
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

    /// Looks up what corrections are about, and hands them over to the writer.
    ///
    /// # Errors
    /// See [`CorrectError`]; none of them is recorded.
    pub fn submit_corrections(
        &self,
        namespace: &Namespace,
        corrections: Vec<Correction>,
    ) -> Result<FactsTicket, CorrectError> {
        let wanted = self.store.want(namespace, corrections);
        FactsTicket { namespace: namespace.clone(), wanted, answer: mpsc::channel().1 }.sent(self)
    }

    /// Hands a cut-off over to the writer, as [`EventStore::expire`] does.
    ///
    /// # Errors
    /// See [`AppendError`]; the cut-off stays where it is.
    pub fn submit_cut_off(
        &self,
        namespace: &Namespace,
        event_type: &str,
        before: Instant,
    ) -> Result<FactsTicket, AppendError> {
        let (namespace, event_type) = (namespace.clone(), Box::from(event_type));
        let wanted = vec![Wanted::CutOff { namespace: namespace.clone(), event_type, before }];
        let answer = self.store.hand_over(wanted.clone())?;
        Ok(FactsTicket { namespace, wanted, answer })
    }

    /// Whether an event of this identity was ever stored, seen or not. What is sent with it is a duplicate.
    ///
    /// # Errors
    /// [`StoreError`] naming the run that cannot be read.
    pub fn knows(&self, namespace: &Namespace, source: &str, id: &str) -> Result<bool, StoreError> {
        self.writer.knows(self.store.shared().secret.identity(namespace.as_str(), source, id))
    }

    /// Copies what is sealed into `dir`, as [`EventStore::backup`] does once all of it is.
    ///
    /// # Errors
    /// As [`EventStore::backup`].
    pub fn copy_sealed(&self, dir: &Path) -> Result<EventsBackup, StoreError> {
        backup::copy_sealed(self.store.shared(), dir, &|_| ControlFlow::Continue(()))
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
