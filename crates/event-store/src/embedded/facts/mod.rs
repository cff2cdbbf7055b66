//! Facts beside the events: corrections, cut-offs, and the ledger. They are only ever added.
//!
//! Invariant: a fact is durable before it has an effect, and no fact is taken back: what was retracted or expired stays
//! so through sealing, merging, a crash and a restore. The facts file holds all facts of the frames up to its
//! [`Facts::sequence`], so a frame above it is applied exactly once after a start.

pub(crate) mod codec;
pub(crate) mod file;
pub(crate) mod ledger;
pub(crate) mod masks;
pub(crate) mod upkeep;

use super::identity::Secret;
use ledger::{Ledger, LedgerKey, Tally};
use std::collections::BTreeMap;
use std::sync::Arc;
use tallystick_domain::event::StoredEvent;
use tallystick_domain::{Instant, Namespace};

/// A correction as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CorrectionRecord {
    pub namespace: Namespace,
    /// The event as it is from now on; of a retracted one without its data.
    pub event: StoredEvent,
    pub is_retraction: bool,
    pub reason: String,
    pub actor: String,
    pub known_at: Instant,
}

/// Something that became known about events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Correction(Arc<CorrectionRecord>),
    /// Events of the type before this time do not count any more.
    CutOff {
        namespace: Namespace,
        event_type: Box<str>,
        before: Instant,
    },
    /// Numbers that are added to the ledger.
    Tally {
        key: LedgerKey,
        tally: Tally,
    },
    /// Expired rows that no segment holds any more, and the sum of their identities, which stay in the runs.
    Dropped {
        rows: u64,
        identities: u128,
    },
}

/// What of an event counts now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// As it was accepted.
    Original,
    /// With the data of its newest amendment.
    Amended(Option<Box<str>>),
    /// Not any more.
    Retracted,
}

/// All facts of a store.
#[derive(Default)]
pub(crate) struct Facts {
    /// The last frame of the log whose facts are in here.
    pub sequence: u64,
    /// The last frame whose facts are in the facts file.
    pub in_file: u64,
    /// The corrections of each identity in the order of their recording.
    chains: BTreeMap<u128, Vec<Arc<CorrectionRecord>>>,
    cut_offs: BTreeMap<Namespace, BTreeMap<Box<str>, Instant>>,
    pub ledger: Ledger,
    /// Duplicates that no frame of the log holds yet; a crash loses them.
    pub pending: Ledger,
    /// Dropped rows, and the sum of their identities.
    pub dropped: (u64, u128),
}

impl Facts {
    /// Takes in a fact that is durable.
    pub fn apply(&mut self, secret: &Secret, fact: Fact) {
        match fact {
            Fact::Correction(record) => {
                let event = &record.event.event;
                let identity = secret.identity(record.namespace.as_str(), event.source(), event.id());
                self.chains.entry(identity).or_default().push(record);
            }
            Fact::CutOff { namespace, event_type, before } => {
                let known = self.cut_offs.entry(namespace).or_default().entry(event_type).or_insert(before);
                *known = before.max(*known);
            }
            Fact::Tally { key, tally } => self.ledger.add(key, tally),
            Fact::Dropped { rows, identities } => {
                self.dropped.0 = self.dropped.0.saturating_add(rows);
                self.dropped.1 = self.dropped.1.wrapping_add(identities);
            }
        }
    }

    /// The corrections of an identity, oldest first.
    pub fn corrections(&self, identity: u128) -> &[Arc<CorrectionRecord>] {
        self.chains.get(&identity).map_or(&[], Vec::as_slice)
    }

    /// The corrections of events of a type; those of one event are in the order of their recording.
    pub fn corrections_of_type<'f>(
        &'f self,
        namespace: &'f Namespace,
        event_type: &'f str,
    ) -> impl Iterator<Item = &'f Arc<CorrectionRecord>> {
        let all = self.chains.values().flatten();
        all.filter(move |record| record.namespace == *namespace && record.event.event.event_type() == event_type)
    }

    /// What of an event counts now.
    pub fn standing(&self, identity: u128) -> Standing {
        match self.corrections(identity).last() {
            None => Standing::Original,
            Some(record) if record.is_retraction => Standing::Retracted,
            Some(record) => Standing::Amended(record.event.event.data().map(Box::from)),
        }
    }

    /// From when on events of a type are kept; `None` if all are.
    pub fn cut_off(&self, namespace: &Namespace, event_type: &str) -> Option<Instant> {
        self.cut_offs.get(namespace)?.get(event_type).copied()
    }

    /// All facts as bytes, and those that are added by the commit that writes them.
    pub fn encode(&self, added: &[Fact]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |fact: &Fact| codec::encode(fact, &mut out);
        self.chains.values().flatten().for_each(|record| put(&Fact::Correction(record.clone())));
        for (namespace, of_types) in &self.cut_offs {
            for (event_type, before) in of_types {
                let (namespace, event_type) = (namespace.clone(), event_type.clone());
                put(&Fact::CutOff { namespace, event_type, before: *before });
            }
        }
        for (key, tally) in self.ledger.iter() {
            put(&Fact::Tally { key: key.clone(), tally: *tally });
        }
        if self.dropped.0 > 0 {
            put(&Fact::Dropped { rows: self.dropped.0, identities: self.dropped.1 });
        }
        added.iter().for_each(put);
        out
    }
}

/// A ledger as facts.
pub(crate) fn tallies(ledger: &Ledger) -> Vec<Fact> {
    ledger.iter().map(|(key, tally)| Fact::Tally { key: key.clone(), tally: *tally }).collect()
}
