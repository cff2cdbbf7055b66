//! The one thread that stores.
//!
//! Invariant: a batch is answered only when all of its events are durable, those that were there before too. One group
//! of batches is one frame of the log and one sync.

use super::codec::Encoder;
use super::correct::{self, Decision, FactsBatch};
use super::dedupe::{IdentitySet, Seen};
use super::facts::ledger::{Counting, Tally};
use super::facts::{Fact, tallies};
use super::files;
use super::lock;
use super::memtable::Frozen;
use super::queue::{Batch, GroupLimit, Work};
use super::shared::Shared;
use super::wal::{FRAME_HEADER_LEN, Wal};
use crate::{AppendError, Appended, StoreError};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Memtables that may wait to be sealed before the writer waits for them.
const MAX_FROZEN: usize = 2;
/// The largest group: larger ones gain nothing, as the sync is a small part of their cost.
const LARGEST_GROUP: usize = 8 << 20;
/// Kinds of duplicates that may wait for a frame with events before they get one of their own.
const MOST_PENDING: usize = 1024;
/// The smallest bound of a group, for stores with tiny memtables.
const SMALLEST_GROUP: usize = 16 << 10;

/// The state of the thread.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    wal: Wal,
    /// Identities of the rows in the active memtable.
    identities: IdentitySet,
    /// The frame while it is put together.
    frame: Encoder,
    limit: GroupLimit,
    generation: u64,
    /// Whether duplicates wait to be noted in the log.
    has_pending: bool,
}

impl Writer {
    pub fn new(shared: Arc<Shared>, wal: Wal, identities: IdentitySet) -> Self {
        let limit = GroupLimit {
            queued: (shared.options.memtable_bytes / 4).clamp(SMALLEST_GROUP, LARGEST_GROUP),
            encoded: Wal::capacity(shared.options.wal_file_len()),
        };
        let writer = Self {
            shared,
            wal,
            identities,
            frame: Encoder::new(FRAME_HEADER_LEN),
            limit,
            generation: 0,
            has_pending: false,
        };
        writer.count_wal();
        writer
    }

    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        while let Some(work) = self.shared.queue.take(self.limit) {
            self.work(work);
        }
        self.finish();
    }

    /// What [`Writer::run`] would do next, once; `false` if nothing waits.
    #[cfg(any(test, feature = "faults"))]
    pub fn step(&mut self) -> bool {
        match self.shared.queue.try_take(self.limit) {
            Some(work) => self.work(work),
            None => return false,
        }
        true
    }

    /// Whether an identity was ever stored.
    #[cfg(any(test, feature = "faults"))]
    pub fn knows(&self, identity: u128) -> Result<bool, StoreError> {
        Ok(self.identities.contains(&identity) || self.shared.seen().contains(identity)?)
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Group(group) => self.answer_group(group),
            Work::Facts(batch) => self.answer_facts(batch),
            Work::Seal(answer) => {
                self.write_tallies();
                let sealed = self.freeze().map(|()| self.generation);
                // Who asked may have stopped waiting.
                let _ = answer.send(sealed);
            }
        }
    }

    fn answer_group(&mut self, mut group: Vec<Batch>) {
        let bytes = group.iter().map(|batch| batch.size.queued).sum();
        let outcome = self.store_group(&mut group);
        self.shared.queue.release(bytes);
        match outcome {
            Ok(answers) => {
                for (batch, appended) in group.into_iter().zip(answers) {
                    let _ = batch.answer.send(Ok(appended));
                }
            }
            Err(error) => {
                for batch in group {
                    let _ = batch.answer.send(Err(error.clone()));
                }
            }
        }
        if self.active_is_full() && lock(&self.shared.live).frozen.len() < MAX_FROZEN {
            // Nobody waits for it; if it fails, the next group says so.
            let _ = self.freeze();
        }
    }

    fn store_group(&mut self, group: &mut [Batch]) -> Result<Vec<Appended>, AppendError> {
        if self.active_is_full() {
            self.freeze()?;
        }
        let seen = self.shared.seen();
        self.frame.clear();
        let mut fresh = Vec::with_capacity(group.iter().map(|batch| batch.rows.len()).sum());
        let mut again = Counting::default();
        let stored = self.sort_out(group, &seen, &mut fresh, &mut again).and_then(|answers| {
            if !fresh.is_empty() {
                let tallies = self.add_tallies();
                let sequence = self.write_frame()?;
                self.take_in(tallies, sequence);
            }
            Ok(answers)
        });
        let counters = &self.shared.counters;
        counters.filter_lookups.fetch_add(seen.filter_lookups.get(), Ordering::Relaxed);
        counters.filter_passes.fetch_add(seen.filter_passes.get(), Ordering::Relaxed);
        let answers = match stored {
            Ok(answers) => answers,
            Err(error) => {
                for identity in &fresh {
                    self.identities.remove(identity);
                }
                return Err(self.refusal(error));
            }
        };
        let duplicates: u64 = answers.iter().map(|answer| answer.duplicates).sum();
        self.shared.counters.duplicates.fetch_add(duplicates, Ordering::Relaxed);
        if !fresh.is_empty() {
            self.publish(group);
        }
        if duplicates > 0 {
            self.note_duplicates(again);
        }
        Ok(answers)
    }

    /// Keeps the numbers of duplicates for the next frame.
    fn note_duplicates(&mut self, again: Counting) {
        let pending = {
            let mut facts = lock(&self.shared.facts);
            facts.pending.absorb(again.finish());
            facts.pending.len()
        };
        self.has_pending = true;
        if pending > MOST_PENDING {
            self.write_tallies();
        }
    }

    /// Adds the numbers that wait to the frame, if it has room for them.
    fn add_tallies(&mut self) -> Vec<Fact> {
        if !self.has_pending {
            return Vec::new();
        }
        let tallies = tallies(&lock(&self.shared.facts).pending);
        if self.frame.add_facts_within(&tallies, self.limit.encoded) { tallies } else { Vec::new() }
    }

    /// Takes in the numbers of a frame that is durable.
    fn take_in(&mut self, tallies: Vec<Fact>, sequence: u64) {
        if tallies.is_empty() {
            return;
        }
        let mut facts = lock(&self.shared.facts);
        lock(&self.shared.live).active.facts += tallies.len() as u64;
        tallies.into_iter().for_each(|fact| facts.apply(&self.shared.secret, fact));
        facts.pending = Default::default();
        facts.sequence = sequence;
        self.has_pending = false;
    }

    /// Gives the numbers that wait a frame of their own. Without it they only wait longer.
    fn write_tallies(&mut self) {
        self.frame.clear();
        let tallies = self.add_tallies();
        if tallies.is_empty() {
            return;
        }
        match self.write_frame() {
            Ok(sequence) => self.take_in(tallies, sequence),
            Err(error) => drop(self.refusal(error)),
        }
    }

    /// The last work, when nothing waits any more.
    pub fn finish(&mut self) {
        if self.shared.fault().is_none() {
            self.write_tallies();
        }
    }

    /// Leaves only what is new in every batch, and puts it into the frame.
    fn sort_out(
        &mut self,
        group: &mut [Batch],
        seen: &Seen,
        fresh: &mut Vec<u128>,
        again: &mut Counting,
    ) -> Result<Vec<Appended>, StoreError> {
        let mut answers = Vec::with_capacity(group.len());
        let identities: Vec<u128> = group.iter().flat_map(|batch| batch.identities.iter().copied()).collect();
        let mut known = seen.contain(&identities)?.into_iter();
        for batch in group {
            let total = batch.identities.len();
            let before = fresh.len();
            let mut is_new = Vec::new();
            for ((index, identity), known) in batch.identities.iter().enumerate().zip(&mut known) {
                let new = !known && self.identities.insert(*identity);
                if new {
                    fresh.push(*identity);
                } else {
                    let (row, one) = (batch.rows.get(index), Tally { duplicates: 1, ..Tally::default() });
                    let event = row.stored.event;
                    again.count(row.namespace, row.stored.ingested_at, event.event_type(), event.source(), one);
                    if is_new.is_empty() {
                        // Most batches have nothing that was there before, and need no list.
                        is_new = vec![true; total];
                    }
                }
                if let Some(flag) = is_new.get_mut(index) {
                    *flag = new;
                }
            }
            if !is_new.is_empty() {
                batch.rows = batch.rows.only(&is_new);
            }
            self.frame.add(&batch.rows);
            let (total, stored) = (total as u64, (fresh.len() - before) as u64);
            answers.push(Appended { stored, duplicates: total - stored });
        }
        Ok(answers)
    }

    /// Writes what was put together as one frame, and gives its number.
    fn write_frame(&mut self) -> Result<u64, StoreError> {
        self.wal.recycle(self.shared.low.load(Ordering::Acquire))?;
        let rows = self.frame.events();
        let (sequence, sync_us) = self.wal.append(self.frame.finish(), rows)?;
        self.shared.durable.store(sequence, Ordering::Release);
        let counters = &self.shared.counters;
        counters.groups.fetch_add(1, Ordering::Relaxed);
        counters.last_group_rows.store(u64::from(rows), Ordering::Relaxed);
        counters.last_sync_us.store(sync_us, Ordering::Relaxed);
        counters.total_sync_us.fetch_add(sync_us, Ordering::Relaxed);
        counters.group_rows.record(rows as u64);
        counters.sync_us.record(sync_us);
        self.count_wal();
        Ok(sequence)
    }

    /// Makes durable rows visible.
    fn publish(&self, group: &mut [Batch]) {
        let gate = self.shared.live_counters.gate();
        let masks = lock(&self.shared.live).masks.clone();
        group.iter().for_each(|batch| self.shared.live_counters.publish(&gate, &batch.rows, &masks));
        let mut live = lock(&self.shared.live);
        group.iter_mut().for_each(|batch| live.active.push(std::mem::take(&mut batch.rows)));
    }

    fn answer_facts(&mut self, batch: FactsBatch) {
        let recorded = self.record_facts(&batch);
        self.shared.queue.release(batch.bytes);
        // Who asked may have stopped waiting.
        let _ = batch.answer.send(recorded);
    }

    /// Decides about facts, and makes those that are new durable before they have an effect.
    fn record_facts(&mut self, batch: &FactsBatch) -> Result<Vec<Decision>, AppendError> {
        if self.active_is_full() {
            self.freeze()?;
        }
        let shared = self.shared.clone();
        let seen = shared.seen();
        let mut facts = lock(&shared.facts);
        let is_known = |identity| Ok(self.identities.contains(&identity) || seen.contains(identity)?);
        let (decisions, new) = correct::decide(&batch.wanted, &facts, is_known).map_err(|error| self.refusal(error))?;
        if new.is_empty() {
            return Ok(decisions);
        }
        self.frame.clear();
        self.frame.add_facts(&new);
        let (bytes, limit) = (self.frame.payload_len(), self.limit.encoded);
        if bytes > limit {
            return Err(AppendError::TooLarge { bytes, limit });
        }
        let sequence = self.write_frame().map_err(|error| self.refusal(error))?;
        // Between the start of a counter and its view nothing must become known.
        let gate = shared.live_counters.gate();
        let mut live = lock(&shared.live);
        live.active.facts += new.len() as u64;
        live.active.bytes += bytes;
        let masks = Arc::make_mut(&mut live.masks);
        new.iter().for_each(|fact| masks.apply(&shared.secret, fact));
        new.iter().for_each(|fact| shared.live_counters.forget_what(fact));
        new.into_iter().for_each(|fact| facts.apply(&shared.secret, fact));
        facts.sequence = sequence;
        drop(live);
        drop(gate);
        shared.changed.notify_all();
        Ok(decisions)
    }

    /// What to tell the callers of a group that was not stored.
    fn refusal(&self, error: StoreError) -> AppendError {
        if files::is_full(&error) {
            return AppendError::Full(error.to_string());
        }
        let reason = match error {
            StoreError::Stopped { reason } => reason,
            other => other.to_string(),
        };
        self.shared.stop(reason.clone());
        AppendError::Stopped(reason)
    }

    fn active_is_full(&self) -> bool {
        lock(&self.shared.live).active.bytes >= self.shared.options.memtable_bytes
    }

    /// Hands the active memtable over to be sealed, waiting for a free place.
    fn freeze(&mut self) -> Result<(), AppendError> {
        let mut live = lock(&self.shared.live);
        while live.frozen.len() >= MAX_FROZEN {
            if let Some(reason) = self.shared.fault() {
                return Err(AppendError::Stopped(reason.into()));
            }
            if let Some(reason) = &live.full {
                return Err(AppendError::Full(reason.clone()));
            }
            live = self.shared.wait(live);
        }
        if live.active.rows == 0 && live.active.facts == 0 {
            return Ok(());
        }
        self.generation += 1;
        let next_set = IdentitySet::with_capacity(self.identities.len());
        let memtable = std::mem::take(&mut live.active);
        live.frozen.push_back(Arc::new(Frozen {
            generation: self.generation,
            memtable,
            identities: Arc::new(std::mem::replace(&mut self.identities, next_set)),
            last_sequence: self.wal.last_sequence(),
        }));
        self.shared.changed.notify_all();
        Ok(())
    }

    fn count_wal(&self) {
        let (files, bytes) = self.wal.size();
        self.shared.counters.wal_files.store(files, Ordering::Relaxed);
        self.shared.counters.wal_bytes.store(bytes, Ordering::Relaxed);
    }
}
