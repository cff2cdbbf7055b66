//! What waits for the writer.
//!
//! Invariant: the bytes of all batches that were let in and not yet answered never exceed the limit. A batch is counted
//! before it takes memory of the store, and refused at once if it does not fit.

use super::correct::FactsBatch;
use super::identity::Secret;
use super::row::RowRef;
use super::rows::{Rows, row_weight};
use super::{codec, lock};
use crate::{AppendError, Appended};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, mpsc};
use tallystick_domain::Namespace;
use tallystick_domain::event::StoredEvent;
use tokio::sync::oneshot;

/// How a batch is answered.
pub(crate) type Answer = Result<Appended, AppendError>;

/// Events that are stored together or not at all, prepared on the caller's thread.
pub(crate) struct Batch {
    pub rows: Rows,
    /// One for each event.
    pub identities: Vec<u128>,
    /// The events as log bytes, and where each of them ends.
    pub encoded: Vec<u8>,
    pub ends: Vec<u32>,
    /// What the batch counts in the queue.
    pub bytes: usize,
    pub answer: oneshot::Sender<Answer>,
}

/// Sizes of a batch that was not prepared yet.
pub(crate) struct BatchSize {
    /// Bytes in the log.
    pub encoded: usize,
    /// Bytes in the queue: the events, their log bytes and their identities.
    pub queued: usize,
}

impl BatchSize {
    pub fn of(namespace: &Namespace, events: &[StoredEvent]) -> Self {
        let encoded = events.iter().map(|stored| codec::encoded_len(namespace, stored.view())).sum();
        let rows: usize = events.iter().map(|stored| row_weight(stored.view())).sum();
        Self { encoded, queued: rows + encoded }
    }
}

impl Batch {
    /// Hashes and encodes the events.
    pub fn prepare(
        secret: &Secret,
        namespace: &Namespace,
        events: &[StoredEvent],
        size: &BatchSize,
        answer: oneshot::Sender<Answer>,
    ) -> Self {
        let mut encoded = Vec::with_capacity(size.encoded);
        let mut ends = Vec::with_capacity(events.len());
        let mut identities = Vec::with_capacity(events.len());
        let mut rows = Rows::default();
        rows.reserve(events.len(), size.encoded);
        for stored in events.iter().map(StoredEvent::view) {
            identities.push(secret.identity(namespace.as_str(), stored.event.source(), stored.event.id()));
            codec::encode(namespace, stored, &mut encoded);
            rows.push(RowRef { namespace, stored });
            // A batch is smaller than a log file, and that is smaller than 4 GiB.
            ends.push(encoded.len() as u32);
        }
        Self { rows, identities, encoded, ends, bytes: size.queued, answer }
    }

    /// The log bytes of one event.
    pub fn encoded_event(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.encoded[start as usize..self.ends[index] as usize]
    }
}

/// What the writer works on next.
pub(crate) enum Work {
    /// Batches that become one frame.
    Group(Vec<Batch>),
    /// Facts that become a frame of their own.
    Facts(FactsBatch),
    /// Seal what is in memory, and answer with the generation to wait for.
    Seal(mpsc::Sender<Result<u64, AppendError>>),
}

enum Waiting {
    Batch(Batch),
    Facts(FactsBatch),
    Seal(mpsc::Sender<Result<u64, AppendError>>),
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    closed: bool,
}

/// The queue between the callers and the writer.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    limit: usize,
}

/// Bounds of one group.
#[derive(Clone, Copy)]
pub(crate) struct GroupLimit {
    pub queued: usize,
    pub encoded: usize,
}

impl Queue {
    pub fn new(limit: usize) -> Self {
        Self { state: Mutex::default(), arrived: Condvar::new(), limit }
    }

    /// The most bytes that may wait.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes that wait or are being stored.
    pub fn bytes(&self) -> usize {
        lock(&self.state).bytes
    }

    /// Counts the bytes of a batch in; [`Queue::release`] counts them out.
    pub fn reserve(&self, bytes: usize) -> Result<(), AppendError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(closed());
        }
        let total = state.bytes.saturating_add(bytes);
        if total > self.limit {
            return Err(AppendError::Overloaded);
        }
        state.bytes = total;
        Ok(())
    }

    pub fn release(&self, bytes: usize) {
        lock(&self.state).bytes -= bytes;
    }

    /// Hands a batch over whose bytes were reserved.
    pub fn push_batch(&self, batch: Batch) -> Result<(), AppendError> {
        let mut state = lock(&self.state);
        if state.closed {
            state.bytes -= batch.bytes;
            return Err(closed());
        }
        state.waiting.push_back(Waiting::Batch(batch));
        self.arrived.notify_one();
        Ok(())
    }

    /// Hands facts over whose bytes were reserved.
    pub fn push_facts(&self, batch: FactsBatch) -> Result<(), AppendError> {
        let mut state = lock(&self.state);
        if state.closed {
            state.bytes -= batch.bytes;
            return Err(closed());
        }
        state.waiting.push_back(Waiting::Facts(batch));
        self.arrived.notify_one();
        Ok(())
    }

    /// Asks for what is in memory to be sealed, after everything that waits now.
    pub fn push_seal(&self, answer: mpsc::Sender<Result<u64, AppendError>>) -> Result<(), AppendError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(closed());
        }
        state.waiting.push_back(Waiting::Seal(answer));
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for work; `None` when the queue is closed and empty.
    pub fn take(&self, limit: GroupLimit) -> Option<Work> {
        let mut state = lock(&self.state);
        loop {
            match state.waiting.pop_front() {
                Some(Waiting::Seal(answer)) => return Some(Work::Seal(answer)),
                Some(Waiting::Facts(batch)) => return Some(Work::Facts(batch)),
                Some(Waiting::Batch(first)) => return Some(Work::Group(state.group_from(first, limit))),
                None if state.closed => return None,
                None => state = self.arrived.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner),
            }
        }
    }

    /// Lets nobody in any more; what waits is still stored.
    pub fn close(&self) {
        lock(&self.state).closed = true;
        self.arrived.notify_all();
    }

    /// Lets nobody in any more and drops what waits: its senders see that there will be no answer.
    pub fn abandon(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        let dropped = std::mem::take(&mut state.waiting);
        drop(state);
        drop(dropped);
        self.arrived.notify_all();
    }
}

impl State {
    /// The first batch, and as many of those behind it as the limit takes.
    fn group_from(&mut self, first: Batch, limit: GroupLimit) -> Vec<Batch> {
        let (mut queued, mut encoded) = (first.bytes, first.encoded.len());
        let mut group = vec![first];
        while let Some(Waiting::Batch(next)) = self.waiting.front() {
            queued += next.bytes;
            encoded += next.encoded.len();
            if queued > limit.queued || encoded > limit.encoded {
                break;
            }
            let Some(Waiting::Batch(next)) = self.waiting.pop_front() else { break };
            group.push(next);
        }
        group
    }
}

fn closed() -> AppendError {
    AppendError::Stopped("the store is closed".into())
}
