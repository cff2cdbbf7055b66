//! What the store must hold, may hold, and must not hold.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::event::StoredEvent;
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{Appended, Change, Corrected, Correction, RecordedCorrection};

/// What tells an event from others of its namespace: source and id.
pub(crate) type Identity = (String, String);

/// What is known of one identity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// It was acknowledged, or found after a start: it must be there, with these bytes.
    pub present: Option<StoredEvent>,
    /// It was sent so and got no answer that says stored: after the next start one of these may be there.
    pub ghosts: Vec<StoredEvent>,
    /// Its corrections, which were acknowledged or found after a start.
    pub corrections: Vec<RecordedCorrection>,
    /// As it counts now, unless it was retracted.
    now: Option<StoredEvent>,
}

impl Known {
    fn of(present: StoredEvent) -> Self {
        Self { now: Some(present.clone()), present: Some(present), ..Self::default() }
    }

    fn is_absent(&self) -> bool {
        self.present.is_none() && self.ghosts.is_empty()
    }

    fn is_retracted(&self) -> bool {
        self.present.is_some() && self.now.is_none()
    }

    /// Decides about a correction of an event that did not expire.
    fn correct(&mut self, correction: &Correction) -> Corrected {
        let Some(now) = &self.now else {
            return match correction.change {
                Change::Retract => Corrected::AlreadySo,
                Change::Amend { .. } => Corrected::Retracted,
            };
        };
        self.now = match &correction.change {
            Change::Retract => None,
            Change::Amend { data } if data.as_deref() == now.event.data() => return Corrected::AlreadySo,
            Change::Amend { data } => {
                Some(StoredEvent { event: now.event.with_data(data.as_deref()), ingested_at: now.ingested_at })
            }
        };
        let Correction { change, reason, actor, known_at, .. } = correction.clone();
        self.corrections.push(RecordedCorrection { change, reason, actor, known_at });
        Corrected::Recorded
    }
}

/// How many events of a namespace count, and why others do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub seen: u64,
    pub retracted: u64,
    /// Before the cut-off of their type, retracted or not.
    pub expired: u64,
}

impl Counts {
    pub fn all(self) -> u64 {
        self.seen + self.retracted + self.expired
    }
}

/// All namespaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    known: BTreeMap<Namespace, BTreeMap<Identity, Known>>,
    cut_offs: BTreeMap<(Namespace, String), Instant>,
}

fn identity(stored: &StoredEvent) -> Identity {
    (stored.event.source().to_owned(), stored.event.id().to_owned())
}

impl Model {
    fn of(&mut self, name: &Namespace, stored: &StoredEvent) -> &mut Known {
        self.known.entry(name.clone()).or_default().entry(identity(stored)).or_default()
    }

    /// A batch was acknowledged; returns the numbers that the answer must have.
    pub fn accept(&mut self, name: &Namespace, events: &[StoredEvent]) -> Appended {
        let mut appended = Appended::default();
        for stored in events {
            let known = self.of(name, stored);
            if known.present.is_some() {
                appended.duplicates += 1;
            } else {
                *known = Known::of(stored.clone());
                appended.stored += 1;
            }
        }
        appended
    }

    /// A batch was refused, or got no answer.
    pub fn leave_open(&mut self, name: &Namespace, events: &[StoredEvent]) {
        for stored in events {
            let known = self.of(name, stored);
            if known.present.is_none() {
                known.ghosts.push(stored.clone());
            }
        }
    }

    /// Corrections were acknowledged; returns what the answers must be.
    pub fn correct(&mut self, name: &Namespace, corrections: &[Correction]) -> Vec<Corrected> {
        corrections.iter().map(|correction| self.correct_one(name, correction)).collect()
    }

    fn correct_one(&mut self, name: &Namespace, correction: &Correction) -> Corrected {
        let identity = (correction.source.clone(), correction.id.clone());
        let known = self.known.get_mut(name).and_then(|known| known.get_mut(&identity));
        match known.and_then(|known| Some((known.present.clone()?, known))) {
            None => Corrected::NoSuchEvent,
            Some((present, _)) if has_expired(&self.cut_offs, name, &present) => Corrected::Expired,
            Some((_, known)) => known.correct(correction),
        }
    }

    /// A cut-off was acknowledged; returns what the answer must be.
    pub fn expire(&mut self, name: &Namespace, event_type: &str, before: Instant) -> Corrected {
        let known = self.cut_offs.entry((name.clone(), event_type.to_owned())).or_insert(Instant::MIN);
        match before > *known {
            true => *known = before,
            false => return Corrected::AlreadySo,
        }
        Corrected::Recorded
    }

    /// The cut-off of a type.
    pub fn cut_off(&self, name: &Namespace, event_type: &str) -> Option<Instant> {
        self.cut_offs.get(&(name.clone(), event_type.to_owned())).copied()
    }

    /// Whether an event is before the cut-off of its type.
    pub fn has_expired(&self, name: &Namespace, stored: &StoredEvent) -> bool {
        has_expired(&self.cut_offs, name, stored)
    }

    /// The identities of a batch that are neither there nor open, but for the batches that wait: they come and go together.
    pub fn fresh(&self, name: &Namespace, events: &[StoredEvent], earlier: &mut BTreeSet<Identity>) -> Vec<Identity> {
        let is_new = |identity: &Identity| self.get(name, identity).is_none_or(Known::is_absent);
        let identities = events.iter().map(identity);
        identities.filter(|identity| is_new(identity) && earlier.insert(identity.clone())).collect()
    }

    /// What is known of an identity.
    pub fn get(&self, name: &Namespace, identity: &Identity) -> Option<&Known> {
        self.known.get(name)?.get(identity)
    }

    /// Everything that is known of a namespace.
    pub fn of_namespace(&self, name: &Namespace) -> impl Iterator<Item = (&Identity, &Known)> {
        self.known.get(name).into_iter().flatten()
    }

    /// Says of an open event whether it is there, and as what.
    pub fn settle(&mut self, name: &Namespace, identity: &Identity, present: Option<StoredEvent>) {
        let known = self.known.entry(name.clone()).or_default().entry(identity.clone()).or_default();
        *known = present.map(Known::of).unwrap_or_default();
    }

    /// What must be seen now.
    pub fn seen(&self, name: &Namespace) -> Vec<&StoredEvent> {
        let now = self.of_namespace(name).filter_map(|(_, known)| known.now.as_ref());
        now.filter(|stored| !self.has_expired(name, stored)).collect()
    }

    /// The events that are there and must not be seen, as they were accepted.
    pub fn hidden(&self, name: &Namespace) -> Vec<&StoredEvent> {
        let is_hidden = |known: &&Known, stored| known.is_retracted() || self.has_expired(name, stored);
        let known = self.of_namespace(name).map(|(_, known)| known);
        known.filter_map(|known| known.present.as_ref().filter(|stored| is_hidden(&known, stored))).collect()
    }

    /// How many events of a namespace there must be now.
    pub fn counts(&self, name: &Namespace) -> Counts {
        let mut counts = Counts::default();
        for (_, known) in self.of_namespace(name) {
            let Some(present) = &known.present else { continue };
            match (self.has_expired(name, present), known.is_retracted()) {
                (true, _) => counts.expired += 1,
                (false, true) => counts.retracted += 1,
                (false, false) => counts.seen += 1,
            }
        }
        counts
    }

    /// Whether this one must be there now, seen or not.
    pub fn holds(&self, name: &Namespace, identity: &Identity) -> bool {
        self.get(name, identity).is_some_and(|known| known.present.is_some())
    }

    /// How many events must be there now, seen or not.
    pub fn len(&self) -> u64 {
        self.known.keys().map(|name| self.counts(name).all()).sum()
    }
}

fn has_expired(cut_offs: &BTreeMap<(Namespace, String), Instant>, name: &Namespace, stored: &StoredEvent) -> bool {
    let cut_off = cut_offs.get(&(name.clone(), stored.event.event_type().to_owned()));
    cut_off.is_some_and(|cut_off| stored.event.time() < *cut_off)
}
