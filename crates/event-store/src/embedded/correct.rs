//! Corrections on their way: the events are looked up by the caller, the writer decides and records.
//!
//! Invariant: the writer decides in the order of its queue, so a correction sees every event and every correction before
//! it. It never searches: an event that the caller could not find and that is known is looked up once more, after the
//! writer made it visible.

use super::facts::codec::change_of;
use super::facts::{CorrectionRecord, Fact, Facts, Standing};
use super::segment::{Segment, Table};
use super::view::View;
use super::{EmbeddedStore, lock};
use crate::{AppendError, Change, CorrectError, Corrected, Correction, EventHistory, RecordedCorrection, StoreError};
use hashbrown::HashMap;
use std::sync::Arc;
use std::sync::mpsc;
use tallystick_domain::event::StoredEvent;
use tallystick_domain::{Instant, Namespace};

/// What a fact takes in the queue beside its texts.
const WEIGHT_OF_FACT: usize = 256;

/// Facts that are recorded together or not at all.
pub(crate) struct FactsBatch {
    pub wanted: Vec<Wanted>,
    /// What the batch counts in the queue.
    pub bytes: usize,
    pub answer: mpsc::Sender<Decided>,
}

/// The writer's answer to facts, one decision for each.
pub(crate) type Decided = Result<Vec<Decision>, AppendError>;

/// A fact that somebody wants to be recorded.
#[derive(Clone)]
#[allow(clippy::large_enum_variant, reason = "few exist at a time, nearly all of them corrections")]
pub(crate) enum Wanted {
    Correction {
        namespace: Namespace,
        identity: u128,
        correction: Correction,
        /// The event as it was accepted, if it was found.
        original: Option<StoredEvent>,
        /// Whether it was searched for after the writer said that it is known.
        is_final: bool,
    },
    CutOff {
        namespace: Namespace,
        event_type: Box<str>,
        before: Instant,
    },
}

/// What the writer says to a wanted fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Done(Corrected),
    /// The event is known, but was not found: search again. Nothing of the batch was recorded.
    LookUp,
}

/// What became of each fact; `None` if some have to be searched again.
pub(crate) fn all_done(decisions: &[Decision]) -> Option<Vec<Corrected>> {
    let done = |decision: &Decision| match decision {
        Decision::Done(corrected) => Some(*corrected),
        Decision::LookUp => None,
    };
    decisions.iter().map(done).collect()
}

/// Notes of the facts that were not decided that the next search is the last one. Others may become known only after it.
pub(crate) fn search_again(wanted: &mut [Wanted], decisions: &[Decision]) {
    for (wanted, decision) in wanted.iter_mut().zip(decisions) {
        if let (Wanted::Correction { is_final, .. }, Decision::LookUp) = (wanted, decision) {
            *is_final = true;
        }
    }
}

/// Decides about a batch, one after the other, and says what has to be recorded. `is_known` tells whether an identity was
/// stored.
pub(crate) fn decide(
    wanted: &[Wanted],
    facts: &Facts,
    mut is_known: impl FnMut(u128) -> Result<bool, StoreError>,
) -> Result<(Vec<Decision>, Vec<Fact>), StoreError> {
    let mut deciding = Deciding { facts, standing: HashMap::new(), new: Vec::new() };
    let mut decisions = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        decisions.push(match wanted {
            Wanted::CutOff { namespace, event_type, before } => deciding.cut_off(namespace, event_type, *before),
            Wanted::Correction { namespace, identity, correction, original, is_final } => {
                let known = facts.corrections(*identity).last().map(|record| &record.event);
                match known.or(original.as_ref()) {
                    Some(event) => Decision::Done(deciding.correct(namespace, *identity, correction, event)),
                    None if !is_known(*identity)? => Decision::Done(Corrected::NoSuchEvent),
                    // Its row is gone, as it expired.
                    None if *is_final => Decision::Done(Corrected::Expired),
                    None => Decision::LookUp,
                }
            }
        });
    }
    let new = if decisions.contains(&Decision::LookUp) { Vec::new() } else { deciding.new };
    Ok((decisions, new))
}

struct Deciding<'a> {
    facts: &'a Facts,
    /// What the batch changed so far.
    standing: HashMap<u128, Standing>,
    new: Vec<Fact>,
}

impl Deciding<'_> {
    fn cut_off(&mut self, namespace: &Namespace, event_type: &str, before: Instant) -> Decision {
        if self.facts.cut_off(namespace, event_type).is_some_and(|known| before <= known) {
            return Decision::Done(Corrected::AlreadySo);
        }
        self.new.push(Fact::CutOff { namespace: namespace.clone(), event_type: event_type.into(), before });
        Decision::Done(Corrected::Recorded)
    }

    fn correct(
        &mut self,
        namespace: &Namespace,
        identity: u128,
        correction: &Correction,
        event: &StoredEvent,
    ) -> Corrected {
        let cut_off = self.facts.cut_off(namespace, event.event.event_type());
        if cut_off.is_some_and(|cut_off| event.event.time() < cut_off) {
            return Corrected::Expired;
        }
        let standing = self.standing.get(&identity).cloned().unwrap_or_else(|| self.facts.standing(identity));
        let next = match (&correction.change, &standing) {
            (Change::Retract, Standing::Retracted) => return Corrected::AlreadySo,
            (Change::Amend { .. }, Standing::Retracted) => return Corrected::Retracted,
            (Change::Amend { data }, Standing::Amended(known)) if data.as_deref() == known.as_deref() => {
                return Corrected::AlreadySo;
            }
            (Change::Amend { data }, Standing::Original) if data.as_deref() == event.event.data() => {
                return Corrected::AlreadySo;
            }
            (Change::Retract, _) => Standing::Retracted,
            (Change::Amend { data }, _) => Standing::Amended(data.as_deref().map(Box::from)),
        };
        self.standing.insert(identity, next);
        self.new.push(Fact::Correction(Arc::new(record_of(namespace, correction, event))));
        Corrected::Recorded
    }
}

fn record_of(namespace: &Namespace, correction: &Correction, stored: &StoredEvent) -> CorrectionRecord {
    let (is_retraction, data) = match &correction.change {
        Change::Retract => (true, None),
        Change::Amend { data } => (false, data.as_deref()),
    };
    CorrectionRecord {
        namespace: namespace.clone(),
        event: StoredEvent { event: stored.event.with_data(data), ingested_at: stored.ingested_at },
        is_retraction,
        reason: correction.reason.clone(),
        actor: correction.actor.clone(),
        known_at: correction.known_at,
    }
}

impl EmbeddedStore {
    /// Records corrections, in order.
    pub(crate) fn correct(
        &self,
        namespace: &Namespace,
        corrections: Vec<Correction>,
    ) -> Result<Vec<Corrected>, CorrectError> {
        let mut wanted = self.want(namespace, corrections);
        // Each round settles at least one event that is not found.
        loop {
            self.look_up(namespace, &mut wanted)?;
            let decisions = self.record(wanted.clone())?;
            match all_done(&decisions) {
                Some(done) => return Ok(done),
                None => search_again(&mut wanted, &decisions),
            }
        }
    }

    /// Corrections as the writer takes them, before anything was looked up.
    pub(crate) fn want(&self, namespace: &Namespace, corrections: Vec<Correction>) -> Vec<Wanted> {
        let secret = &self.shared().secret;
        let wanted = |correction: Correction| Wanted::Correction {
            namespace: namespace.clone(),
            identity: secret.identity(namespace.as_str(), &correction.source, &correction.id),
            correction,
            original: None,
            is_final: false,
        };
        corrections.into_iter().map(wanted).collect()
    }

    /// Finds the events that corrections are about; those that were corrected before are known.
    pub(crate) fn look_up(&self, namespace: &Namespace, wanted: &mut [Wanted]) -> Result<(), StoreError> {
        let mut missing = Vec::new();
        {
            let facts = lock(&self.shared().facts);
            for wanted in wanted.iter() {
                let Wanted::Correction { identity, correction, original, .. } = wanted else { continue };
                if original.is_none() && facts.corrections(*identity).is_empty() {
                    missing.push((correction.source.clone(), correction.id.clone()));
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let mut search = Search::for_events(&missing);
        search.run(&self.shared().view(), namespace)?;
        for wanted in wanted {
            let Wanted::Correction { correction, original, .. } = wanted else { continue };
            if original.is_none() {
                *original = search.take(&correction.source, &correction.id);
            }
        }
        Ok(())
    }

    /// Hands facts to the writer and waits for its answer.
    pub(crate) fn record(&self, wanted: Vec<Wanted>) -> Result<Vec<Decision>, AppendError> {
        let closed = || AppendError::Stopped(self.shared().fault().unwrap_or("the store was closed").into());
        self.hand_over(wanted)?.recv().unwrap_or_else(|_| Err(closed()))
    }

    /// Hands facts to the writer, which will answer.
    pub(crate) fn hand_over(&self, wanted: Vec<Wanted>) -> Result<mpsc::Receiver<Decided>, AppendError> {
        let shared = self.shared();
        if let Some(reason) = shared.fault() {
            return Err(AppendError::Stopped(reason.into()));
        }
        let bytes: usize = wanted.iter().map(weight).sum();
        if bytes > shared.queue.limit() {
            return Err(AppendError::TooLarge { bytes, limit: shared.queue.limit() });
        }
        shared.queue.reserve(bytes)?;
        let (answer, receiver) = mpsc::channel();
        shared.queue.push_facts(FactsBatch { wanted, bytes, answer })?;
        Ok(receiver)
    }

    /// An event from its beginning.
    pub(crate) fn history(
        &self,
        namespace: &Namespace,
        source: &str,
        id: &str,
    ) -> Result<Option<EventHistory>, StoreError> {
        let shared = self.shared();
        let mut search = Search::for_events(&[(source.to_owned(), id.to_owned())]);
        search.run(&shared.view(), namespace)?;
        let original = search.take(source, id);
        let identity = shared.secret.identity(namespace.as_str(), source, id);
        let corrections = lock(&shared.facts).recorded(identity);
        let is_known = original.is_some() || !corrections.is_empty();
        Ok(is_known.then_some(EventHistory { original, corrections }))
    }
}

impl Facts {
    /// The corrections of an identity for those who ask, oldest first.
    pub(crate) fn recorded(&self, identity: u128) -> Vec<RecordedCorrection> {
        let recorded = |record: &Arc<CorrectionRecord>| {
            let (reason, actor, known_at) = (record.reason.clone(), record.actor.clone(), record.known_at);
            RecordedCorrection { change: change_of(record), reason, actor, known_at }
        };
        self.corrections(identity).iter().map(recorded).collect()
    }
}

/// About how many bytes a wanted fact takes in memory.
fn weight(wanted: &Wanted) -> usize {
    let texts = match wanted {
        Wanted::CutOff { namespace, event_type, .. } => namespace.as_str().len() + event_type.len(),
        Wanted::Correction { correction, original, .. } => {
            let data = match &correction.change {
                Change::Retract => 0,
                Change::Amend { data } => data.as_ref().map_or(0, String::len),
            };
            let event = original.as_ref().map_or(0, |stored| stored.event.weight());
            data + event
                + correction.reason.len()
                + correction.actor.len()
                + correction.source.len()
                + correction.id.len()
        }
    };
    texts + WEIGHT_OF_FACT
}

/// Searches stored rows by source and id, however they were corrected since.
struct Search {
    /// By id, then source.
    wanted: HashMap<String, HashMap<String, Option<StoredEvent>>>,
    missing: usize,
}

impl Search {
    fn for_events(events: &[(String, String)]) -> Self {
        let mut search = Self { wanted: HashMap::new(), missing: 0 };
        for (source, id) in events {
            let of_id = search.wanted.entry(id.clone()).or_default();
            search.missing += usize::from(of_id.insert(source.clone(), None).is_none());
        }
        search
    }

    fn take(&mut self, source: &str, id: &str) -> Option<StoredEvent> {
        self.wanted.get(id)?.get(source)?.clone()
    }

    fn run(&mut self, view: &View, namespace: &Namespace) -> Result<(), StoreError> {
        for row in view.chunks.iter().flat_map(|chunk| chunk.iter()).filter(|row| row.namespace == namespace) {
            let event = row.stored.event;
            if let Some(place) = self.wanted.get_mut(event.id()).and_then(|of_id| of_id.get_mut(event.source())) {
                self.missing -= usize::from(place.is_none());
                *place = Some(row.stored.to_stored());
            }
        }
        // The youngest segments come last, and mostly young events are corrected.
        for segment in view.segments.iter().rev() {
            for table in segment.tables_of(namespace) {
                if self.missing == 0 {
                    return Ok(());
                }
                self.search_table(segment, table)?;
            }
        }
        Ok(())
    }

    fn search_table(&mut self, segment: &Segment, table: &Table) -> Result<(), StoreError> {
        let mut reader = segment.reader(table);
        for block in &table.blocks {
            let ids = reader.ids(block)?;
            let mut rows: Vec<usize> = (0..block.rows).filter(|row| self.wanted.contains_key(ids.get(*row))).collect();
            if rows.is_empty() {
                continue;
            }
            let sources = reader.sources(block)?;
            rows.retain(|row| {
                self.wanted.get(ids.get(*row)).is_some_and(|of_id| of_id.contains_key(sources.get(*row)))
            });
            for stored in reader.events(block, rows.into_iter())? {
                let (source, id) = (stored.event.source().to_owned(), stored.event.id().to_owned());
                if let Some(place) = self.wanted.get_mut(&id).and_then(|of_id| of_id.get_mut(&source)) {
                    self.missing -= usize::from(place.is_none());
                    *place = Some(stored);
                }
            }
        }
        Ok(())
    }
}
