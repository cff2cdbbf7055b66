//! Expiry: rows before the cut-off of their type go, their identities stay.
//!
//! Invariant: a row is dropped only when a durable cut-off hides it, in the same commit that notes it: the sum of rows and
//! dropped rows equals the identities of the runs at every moment.

use super::correct::Wanted;
use super::facts::ledger::{Counting, Tally};
use super::facts::masks::Masks;
use super::facts::{Fact, tallies};
use super::identity::Secret;
use super::row::{Row, RowRef, RowView};
use super::segment::{Block, Segment, Table};
use super::shared::Shared;
use super::view::View;
use super::{EmbeddedStore, lock};
use crate::{AppendError, Expirable, StoreError};
use std::sync::Arc;
use tallystick_domain::{Instant, Namespace};

/// Decides which rows are written, and counts.
pub(crate) struct Dropping {
    masks: Arc<Masks>,
    secret: Secret,
    counting: Counting,
    rows: u64,
    identities: u128,
}

impl Dropping {
    /// By the cut-offs of this moment.
    pub fn new(shared: &Shared) -> Self {
        let masks = lock(&shared.live).masks.clone();
        Self { masks, secret: shared.secret, counting: Counting::default(), rows: 0, identities: 0 }
    }

    /// Whether some rows of segments may have to be dropped.
    pub fn may_drop(&self, segments: &[Arc<Segment>]) -> bool {
        segments.iter().flat_map(|segment| segment.tables()).any(|table| {
            let mask = self.masks.of(&table.namespace, &table.event_type);
            mask.is_some_and(|mask| table.blocks.iter().any(|block| mask.has_expired(block.times.first)))
        })
    }

    /// Whether a row that was sealed before is kept.
    pub fn keeps(&mut self, row: &Row) -> bool {
        let row = row.view();
        let is_kept = !self.has_expired(row);
        if !is_kept {
            self.drop_row(row);
            self.count(row, Tally { expired: 1, ..Tally::default() });
        }
        is_kept
    }

    /// Whether a row is sealed, which counts as new either way.
    pub fn seals(&mut self, row: RowRef<'_>) -> bool {
        let is_kept = !self.has_expired(row);
        if !is_kept {
            self.drop_row(row);
        }
        self.count(row, Tally { new: 1, duplicates: 0, expired: u64::from(!is_kept) });
        is_kept
    }

    fn has_expired(&self, row: RowRef<'_>) -> bool {
        let event = row.stored.event;
        self.masks.has_expired(row.namespace, event.event_type(), event.time())
    }

    fn drop_row(&mut self, row: RowRef<'_>) {
        let event = row.stored.event;
        self.rows += 1;
        let identity = self.secret.identity(row.namespace.as_str(), event.source(), event.id());
        self.identities = self.identities.wrapping_add(identity);
    }

    fn count(&mut self, row: RowRef<'_>, one: Tally) {
        let event = row.stored.event;
        self.counting.count(row.namespace, row.stored.ingested_at, event.event_type(), event.source(), one);
    }

    /// How many rows were dropped.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What has to be noted with the file.
    pub fn facts(self) -> Vec<Fact> {
        let mut facts = tallies(&self.counting.finish());
        if self.rows > 0 {
            facts.push(Fact::Dropped { rows: self.rows, identities: self.identities });
        }
        facts
    }
}

/// Whether every row of a segment is before the cut-off of its type, by what the directory says.
pub(crate) fn is_wholly_expired(segment: &Segment, masks: &Masks) -> bool {
    segment.tables().iter().all(|table| {
        let mask = masks.of(&table.namespace, &table.event_type);
        mask.is_some_and(|mask| table.blocks.iter().all(|block| mask.has_expired(block.times.last)))
    })
}

impl EmbeddedStore {
    /// Sets the cut-off of a type, unless it is there or later.
    pub(crate) fn expire(&self, namespace: &Namespace, event_type: &str, before: Instant) -> Result<(), AppendError> {
        let (namespace, event_type) = (namespace.clone(), Box::from(event_type));
        self.record(vec![Wanted::CutOff { namespace, event_type, before }]).map(drop)
    }

    /// The cut-off of a type.
    pub(crate) fn cut_off(&self, namespace: &Namespace, event_type: &str) -> Option<Instant> {
        lock(&self.shared().facts).cut_off(namespace, event_type)
    }

    /// What a cut-off would hide that is not hidden now.
    pub(crate) fn expire_dry_run(
        &self,
        namespace: &Namespace,
        event_type: &str,
        before: Instant,
    ) -> Result<Expirable, StoreError> {
        let view = self.shared().view();
        let mut counted = DryRun { from: self.cut_off(namespace, event_type), before, found: Expirable::default() };
        counted.take_segments(&view, namespace, event_type)?;
        for row in view.chunks.iter().flat_map(|chunk| chunk.iter()) {
            if row.namespace == namespace && row.stored.event.event_type() == event_type {
                counted.take(row.stored.event.time());
            }
        }
        Ok(counted.found)
    }
}

/// Counts rows between the cut-off of now and another one.
struct DryRun {
    from: Option<Instant>,
    before: Instant,
    found: Expirable,
}

impl DryRun {
    fn take(&mut self, time: Instant) {
        if time >= self.before || self.from.is_some_and(|from| time < from) {
            return;
        }
        self.found.events += 1;
        self.found.oldest = Some(self.found.oldest.map_or(time, |oldest| oldest.min(time)));
        self.found.newest = self.found.newest.max(Some(time));
    }

    fn take_segments(&mut self, view: &View, namespace: &Namespace, event_type: &str) -> Result<(), StoreError> {
        for segment in &view.segments {
            let Some(table) = segment.table(namespace, event_type) else { continue };
            let before = self.before;
            for block in table.blocks.iter().filter(|block| block.times.first < before) {
                self.take_block(segment, table, block)?;
            }
        }
        Ok(())
    }

    fn take_block(&mut self, segment: &Segment, table: &Table, block: &Block) -> Result<(), StoreError> {
        let events_before = self.found.events;
        for micros in segment.reader(table).times(block)? {
            if let Some(time) = Instant::from_micros(micros) {
                self.take(time);
            }
        }
        let taken = self.found.events - events_before;
        // A block has at least one row, and at most some thousand.
        self.found.bytes += table.bytes_of(block) * taken / block.rows as u64;
        Ok(())
    }
}
