//! What queries must not see of the rows that are stored, and what they see in the place of it.
//!
//! Invariant: a row is seen if and only if its time is not before the cut-off of its type and no correction is about it;
//! the newest amendment of an event that was not retracted is seen as a row of its own. A type without facts has no mask.

use super::{CorrectionRecord, Fact};
use crate::StoreError;
use crate::embedded::chunk::Chunk;
use crate::embedded::identity::Secret;
use crate::embedded::row::RowRef;
use crate::embedded::rows::Rows;
use crate::embedded::segment::{Block, BlockReader};
use hashbrown::{HashMap, HashSet};
use std::collections::BTreeMap;
use std::ops::Bound::Included;
use std::sync::{Arc, OnceLock};
use tallystick_domain::event::{EventRef, StoredEvent};
use tallystick_domain::{Instant, Namespace};

/// The masks of a store, by namespace and type.
#[derive(Clone, Default)]
pub(crate) struct Masks {
    tables: BTreeMap<Namespace, BTreeMap<Box<str>, Arc<Mask>>>,
}

/// What is seen in the place of a stored row that did not expire.
pub(crate) enum Instead<'m> {
    Itself,
    Other(&'m StoredEvent),
    Nothing,
}

/// Identities of corrected events, each with the event that is seen instead, if there is one.
type Corrected = HashMap<u128, Option<Arc<CorrectionRecord>>>;

/// The mask of a namespace and type.
#[derive(Clone)]
pub(crate) struct Mask {
    secret: Secret,
    namespace: Namespace,
    cut_off: Option<Instant>,
    /// By subject and time.
    corrected: BTreeMap<Box<str>, BTreeMap<Instant, Corrected>>,
    /// The amended events as rows, once a query wanted them.
    chunk: OnceLock<Option<Arc<Chunk>>>,
}

impl Masks {
    /// The mask of a type, if it has one.
    pub fn of(&self, namespace: &Namespace, event_type: &str) -> Option<&Mask> {
        self.tables.get(namespace)?.get(event_type).map(|mask| &**mask)
    }

    /// All masks of a namespace.
    pub fn of_namespace(&self, namespace: &Namespace) -> impl Iterator<Item = &Mask> {
        self.tables.get(namespace).into_iter().flat_map(|types| types.values()).map(|mask| &**mask)
    }

    /// Whether a row is seen.
    pub fn shows(&self, row: RowRef<'_>) -> bool {
        self.of(row.namespace, row.stored.event.event_type()).is_none_or(|mask| mask.shows(&row.stored.event))
    }

    /// Whether a row is before the cut-off of its type.
    pub fn has_expired(&self, namespace: &Namespace, event_type: &str, time: Instant) -> bool {
        self.of(namespace, event_type).is_some_and(|mask| mask.has_expired(time))
    }

    /// Takes in a fact, in the order of recording.
    pub fn apply(&mut self, secret: &Secret, fact: &Fact) {
        match fact {
            Fact::Correction(record) => {
                let event = &record.event.event;
                self.mask(secret, &record.namespace, event.event_type()).correct(record);
            }
            Fact::CutOff { namespace, event_type, before } => {
                let mask = self.mask(secret, namespace, event_type);
                mask.cut_off = mask.cut_off.max(Some(*before));
            }
            Fact::Tally { .. } | Fact::Dropped { .. } => {}
        }
    }

    /// The mask of one type with these corrections, in the order of their recording, and its cut-off: what expired is gone.
    pub fn with_corrections(&self, records: &[Arc<CorrectionRecord>], secret: &Secret, of: (&Namespace, &str)) -> Self {
        let (namespace, event_type) = of;
        let mut masks = Self::default();
        if let Some(cut_off) = self.of(namespace, event_type).and_then(Mask::cut_off) {
            masks.mask(secret, namespace, event_type).cut_off = Some(cut_off);
        }
        for record in records {
            masks.mask(secret, namespace, event_type).correct(record);
        }
        masks
    }

    /// The masks of a namespace without their corrections: all that is hidden has expired.
    pub fn without_corrections(&self, namespace: &Namespace) -> Self {
        let cut_off = |mask: &Arc<Mask>| {
            let (chunk, corrected) = (OnceLock::new(), BTreeMap::new());
            Arc::new(Mask { corrected, chunk, namespace: namespace.clone(), ..**mask })
        };
        let of_namespace = self.tables.get(namespace).into_iter().flatten();
        let types = of_namespace.map(|(event_type, mask)| (event_type.clone(), cut_off(mask))).collect();
        Self { tables: BTreeMap::from([(namespace.clone(), types)]) }
    }

    /// The mask of a type, to be changed; a reader that holds it keeps what it has.
    fn mask(&mut self, secret: &Secret, namespace: &Namespace, event_type: &str) -> &mut Mask {
        let of_namespace = self.tables.entry(namespace.clone()).or_default();
        let new = || {
            let (secret, namespace) = (*secret, namespace.clone());
            Arc::new(Mask { secret, namespace, cut_off: None, corrected: BTreeMap::new(), chunk: OnceLock::new() })
        };
        Arc::make_mut(of_namespace.entry(event_type.into()).or_insert_with(new))
    }
}

impl Mask {
    fn correct(&mut self, record: &Arc<CorrectionRecord>) {
        self.chunk = OnceLock::new();
        let event = &record.event.event;
        let identity = self.identity(event.source(), event.id());
        let of_subject = self.corrected.entry(event.subject().into()).or_default();
        let seen_instead = (!record.is_retraction).then(|| record.clone());
        of_subject.entry(event.time()).or_default().insert(identity, seen_instead);
    }

    fn identity(&self, source: &str, id: &str) -> u128 {
        self.secret.identity(self.namespace.as_str(), source, id)
    }

    /// From when on events are seen.
    pub fn cut_off(&self) -> Option<Instant> {
        self.cut_off
    }

    /// Whether an event of this time is before the cut-off.
    pub fn has_expired(&self, time: Instant) -> bool {
        self.cut_off.is_some_and(|cut_off| time < cut_off)
    }

    /// Whether a stored row is seen.
    pub fn shows(&self, event: &EventRef<'_>) -> bool {
        !self.has_expired(event.time()) && !self.is_corrected(event)
    }

    /// Whether a correction is about a stored row.
    pub fn is_corrected(&self, event: &EventRef<'_>) -> bool {
        !matches!(self.instead(event), Instead::Itself)
    }

    /// What is seen in the place of a stored row that did not expire.
    pub fn instead(&self, event: &EventRef<'_>) -> Instead<'_> {
        let corrected = self.corrected.get(event.subject()).and_then(|times| times.get(&event.time()));
        match corrected.and_then(|corrected| corrected.get(&self.identity(event.source(), event.id()))) {
            None => Instead::Itself,
            Some(None) => Instead::Nothing,
            Some(Some(record)) => Instead::Other(&record.event),
        }
    }

    /// The events that are seen in the place of amended ones.
    pub fn amended(&self) -> impl Iterator<Item = &StoredEvent> {
        let corrected = self.corrected.values().flat_map(BTreeMap::values).flat_map(HashMap::values);
        let records = corrected.filter_map(|record| record.as_ref().map(|record| &record.event));
        records.filter(|stored| !self.has_expired(stored.event.time()))
    }

    /// The events that are seen in the place of amended ones, expired ones too; `None` if there is none.
    pub fn amended_chunk(&self) -> Option<&Chunk> {
        let made = self.chunk.get_or_init(|| {
            let mut rows = Rows::default();
            let corrected = self.corrected.values().flat_map(BTreeMap::values).flat_map(HashMap::values);
            for record in corrected.flatten() {
                rows.push(RowRef { namespace: &self.namespace, stored: record.event.view() });
            }
            (!rows.is_empty()).then(|| Arc::new(rows.into()))
        });
        made.as_deref()
    }

    /// Whether a block may hold corrected rows, by what its directory says. Answers about such a block depend on the mask.
    pub fn may_touch(&self, block: &Block) -> bool {
        self.times_in(block).next().is_some()
    }

    /// The times of corrected events that a block may hold.
    fn times_in<'m>(&'m self, block: &Block) -> impl Iterator<Item = Instant> + use<'m> {
        let subjects = (Included(&*block.first_subject), Included(&*block.last_subject));
        let (first, last) = (block.times.first, block.times.last);
        let of_subjects = self.corrected.range::<str, _>(subjects);
        of_subjects.flat_map(move |(_, times)| times.range(first..=last).map(|(time, _)| *time))
    }

    /// The rows of a block that a correction is about, ascending.
    pub fn corrected_rows(&self, reader: &mut BlockReader<'_>, block: &Block) -> Result<Vec<usize>, StoreError> {
        let wanted: HashSet<i64> = self.times_in(block).map(|time| time.as_micros()).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let times = reader.times(block)?;
        let mut rows: Vec<usize> = (0..times.len()).filter(|row| wanted.contains(&times[*row])).collect();
        if rows.is_empty() {
            return Ok(rows);
        }
        let (subjects, sources, ids) = (reader.subjects(block)?, reader.sources(block)?, reader.ids(block)?);
        rows.retain(|row| {
            let time = Instant::from_micros(times[*row]);
            let times = self.corrected.get(subjects.get(*row));
            let corrected = time.and_then(|time| times?.get(&time));
            corrected.is_some_and(|corrected| corrected.contains_key(&self.identity(sources.get(*row), ids.get(*row))))
        });
        Ok(rows)
    }
}
