//! What waits for the writer.
//!
//! Invariant: the bytes of all batches that were let in and not yet answered never exceed the limit. A batch is counted
//! before it takes memory of the store, and refused at once if it does not fit.

use super::correct::FactsBatch;
use super::identity::Secret;
use super::row::RowRef;
use super::rows::Rows;
use super::{codec, lock};
use crate::{AppendError, Appended};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, mpsc};
use tokio::sync::oneshot;

/// How a batch is answered.
pub(crate) type Answer = Result<Appended, AppendError>;

/// Events that are stored together or not at all, prepared on the caller's thread.
pub(crate) struct Batch {
    pub rows: Rows,
    /// One for each row.
    pub identities: Vec<u128>,
    /// What the batch counts in the queue.
    pub size: BatchSize,
    pub answer: oneshot::Sender<Answer>,
}

/// Sizes of a batch.
#[derive(Clone, Copy)]
pub(crate) struct BatchSize {
    /// Bytes in the log.
    pub encoded: usize,
    /// Bytes in the queue: the rows with their identities.
    pub queued: usize,
}

impl BatchSize {
    pub fn of(rows: &Rows) -> Self {
        Self { encoded: codec::encoded_len(rows), queued: rows.weight() }
    }
}

impl Batch {
    /// Hashes the events.
    pub fn prepare(secret: &Secret, rows: Rows, size: BatchSize, answer: oneshot::Sender<Answer>) -> Self {
        let identity = |row: RowRef<'_>| {
            let event = row.stored.event;
            secret.identity(row.namespace.as_str(), event.source(), event.id())
        };
        Self { identities: rows.iter().map(identity).collect(), rows, size, answer }
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

    /// Batches that wait.
    pub fn batches(&self) -> usize {
        lock(&self.state).waiting.iter().filter(|waiting| matches!(waiting, Waiting::Batch(_))).count()
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
            state.bytes -= batch.size.queued;
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
            if let Some(work) = state.next(limit) {
                return Some(work);
            }
            if state.closed {
                return None;
            }
            state = self.arrived.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// As [`Queue::take`], without waiting.
    #[cfg(any(test, feature = "faults"))]
    pub fn try_take(&self, limit: GroupLimit) -> Option<Work> {
        lock(&self.state).next(limit)
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
    fn next(&mut self, limit: GroupLimit) -> Option<Work> {
        match self.waiting.pop_front()? {
            Waiting::Seal(answer) => Some(Work::Seal(answer)),
            Waiting::Facts(batch) => Some(Work::Facts(batch)),
            Waiting::Batch(first) => Some(Work::Group(self.group_from(first, limit))),
        }
    }

    /// The first batch, and as many of those behind it as the limit takes.
    fn group_from(&mut self, first: Batch, limit: GroupLimit) -> Vec<Batch> {
        let (mut queued, mut encoded) = (first.size.queued, first.size.encoded);
        let mut group = vec![first];
        while let Some(Waiting::Batch(next)) = self.waiting.front() {
            queued += next.size.queued;
            encoded += next.size.encoded;
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
