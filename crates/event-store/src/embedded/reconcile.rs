//! Whether what was accepted is what is there: the ledger beside a recount of the rows.
//!
//! Invariant: both sides are of one moment. The ledger's numbers of sealed rows never change when files do, and the other
//! side is counted from the rows one by one, so a row that is lost, doubled or back again makes a difference.

use super::facts::ledger::{Counting, LedgerKey, Tally, hour_of};
use super::facts::masks::{Instead, Mask};
use super::segment::{Block, Segment, Table};
use super::shared::Shared;
use super::view::View;
use super::{EmbeddedStore, lock};
use crate::StoreError;
use crate::correction::HourTally;
use std::collections::BTreeMap;
use tallystick_domain::event::StoredEvent;
use tallystick_domain::{Instant, Namespace};

/// Why an event of this store does not count, whatever meters there are.
const RETRACTED: &str = "retracted";
const EXPIRED: &str = "expired";

/// The hours that are asked for.
struct Recount<'a> {
    namespace: &'a Namespace,
    from: Instant,
    to: Instant,
    judge: &'a dyn Fn(&StoredEvent) -> &'static str,
    groups: BTreeMap<LedgerKey, HourTally>,
}

impl EmbeddedStore {
    /// The ledger and a recount, by hour of acceptance, type and source.
    pub(crate) fn reconcile(
        &self,
        namespace: &Namespace,
        from: Instant,
        to: Instant,
        judge: &dyn Fn(&StoredEvent) -> &'static str,
    ) -> Result<Vec<HourTally>, StoreError> {
        let mut recount = Recount { namespace, from: hour_of(from), to, judge, groups: BTreeMap::new() };
        let view = recount.take_ledger(self.shared());
        recount.count_unsealed(&view);
        for row in view.chunks.iter().flat_map(|chunk| chunk.iter()).filter(|row| row.namespace == namespace) {
            let mask = view.masks.of(namespace, row.stored.event.event_type());
            if recount.covers(row.stored.ingested_at) {
                recount.count(&row.stored.to_stored(), mask);
            }
        }
        for segment in &view.segments {
            for table in segment.tables_of(namespace) {
                let mask = view.masks.of(namespace, &table.event_type);
                for block in &table.blocks {
                    recount.count_block(segment, table, block, mask)?;
                }
            }
        }
        Ok(recount.groups.into_values().collect())
    }
}

impl Recount<'_> {
    fn covers(&self, ingested_at: Instant) -> bool {
        let hour = hour_of(ingested_at);
        self.from <= hour && hour < self.to
    }

    /// What the ledger says, and all rows of the same moment.
    fn take_ledger(&mut self, shared: &Shared) -> View {
        let facts = lock(&shared.facts);
        let view = shared.view();
        for (key, tally) in facts.ledger.iter().chain(facts.pending.iter()) {
            if key.namespace == *self.namespace && self.covers(key.hour) {
                let group = self.group(key);
                group.new += tally.new;
                group.duplicates += tally.duplicates;
                if tally.expired > 0 {
                    *group.found.entry(EXPIRED).or_default() += tally.expired;
                }
            }
        }
        view
    }

    /// Rows in memory are new, and not in the ledger yet.
    fn count_unsealed(&mut self, view: &View) {
        let mut counting = Counting::default();
        let one = Tally { new: 1, ..Tally::default() };
        for row in view.chunks.iter().flat_map(|chunk| chunk.iter()).filter(|row| row.namespace == self.namespace) {
            if self.covers(row.stored.ingested_at) {
                let event = row.stored.event;
                counting.count(row.namespace, row.stored.ingested_at, event.event_type(), event.source(), one);
            }
        }
        for (key, tally) in counting.finish().iter() {
            self.group(key).new += tally.new;
        }
    }

    fn group(&mut self, key: &LedgerKey) -> &mut HourTally {
        let new = || HourTally {
            hour: key.hour,
            event_type: key.event_type.to_string(),
            source: key.source.to_string(),
            new: 0,
            duplicates: 0,
            found: BTreeMap::new(),
        };
        self.groups.entry(key.clone()).or_insert_with(new)
    }

    /// The group of a row: that of its source, or of the sources that were counted together.
    fn group_of_row(&mut self, key: LedgerKey) -> &mut HourTally {
        if !self.groups.contains_key(&key) {
            let together = LedgerKey { source: "".into(), ..key.clone() };
            if self.groups.contains_key(&together) {
                return self.group(&together);
            }
        }
        self.group(&key)
    }

    fn count_block(
        &mut self,
        segment: &Segment,
        table: &Table,
        block: &Block,
        mask: Option<&Mask>,
    ) -> Result<(), StoreError> {
        if hour_of(block.ingested.last) < self.from || block.ingested.first >= self.to {
            return Ok(());
        }
        for stored in segment.reader(table).events(block, 0..block.rows)? {
            if self.covers(stored.ingested_at) {
                self.count(&stored, mask);
            }
        }
        Ok(())
    }

    fn count(&mut self, stored: &StoredEvent, mask: Option<&Mask>) {
        let event = stored.event.view();
        let what = match mask {
            Some(mask) if mask.has_expired(event.time()) => EXPIRED,
            Some(mask) => match mask.instead(&event) {
                Instead::Itself => (self.judge)(stored),
                Instead::Other(amended) => (self.judge)(amended),
                Instead::Nothing => RETRACTED,
            },
            None => (self.judge)(stored),
        };
        let key = LedgerKey {
            namespace: self.namespace.clone(),
            hour: hour_of(stored.ingested_at),
            event_type: event.event_type().into(),
            source: event.source().into(),
        };
        *self.group_of_row(key).found.entry(what).or_default() += 1;
    }
}
