//! What the store must hold, may hold, and must not hold.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::Namespace;
use tallystick_domain::event::StoredEvent;
use tallystick_event_store::Appended;

/// What tells an event from others of its namespace: source and id.
pub(crate) type Identity = (String, String);

/// What is known of one identity.
#[derive(Clone, Debug, Default)]
struct Known {
    /// It was acknowledged, or seen after a start: it must be there, with these bytes.
    present: Option<StoredEvent>,
    /// It was sent so and got no answer that says stored: after the next start one of these may be there.
    ghosts: Vec<StoredEvent>,
}

impl Known {
    fn is_absent(&self) -> bool {
        self.present.is_none() && self.ghosts.is_empty()
    }
}

/// All namespaces.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    known: BTreeMap<Namespace, BTreeMap<Identity, Known>>,
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
                *known = Known { present: Some(stored.clone()), ghosts: Vec::new() };
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

    /// The identities of a batch that are neither there nor open, but for the batches that wait: they come and go together.
    pub fn fresh(&self, name: &Namespace, events: &[StoredEvent], earlier: &mut BTreeSet<Identity>) -> Vec<Identity> {
        let known = self.known.get(name);
        let is_new = |identity: &Identity| known.and_then(|known| known.get(identity)).is_none_or(Known::is_absent);
        let identities = events.iter().map(identity);
        identities.filter(|identity| is_new(identity) && earlier.insert(identity.clone())).collect()
    }

    /// Settles what was open by what a store lists after its start.
    pub fn settle(&mut self, name: &Namespace, listed: &[StoredEvent]) {
        let known = self.known.entry(name.clone()).or_default();
        let mut seen = BTreeSet::new();
        for stored in listed {
            let identity = identity(stored);
            assert!(seen.insert(identity.clone()), "{name}: {identity:?} is there twice");
            let Some(known) = known.get_mut(&identity) else { panic!("{name}: {identity:?} was never sent") };
            match &known.present {
                Some(present) => assert_eq!(present, stored, "{name}: not what was acknowledged"),
                None => assert!(known.ghosts.contains(stored), "{name}: nobody sent {stored:?} so"),
            }
            *known = Known { present: Some(stored.clone()), ghosts: Vec::new() };
        }
        for (identity, known) in known.iter_mut() {
            let lost = known.present.is_some() && !seen.contains(identity);
            assert!(!lost, "{name}: {identity:?} was acknowledged and is lost");
            known.ghosts.clear();
        }
    }

    /// What must be there now.
    pub fn present(&self, name: &Namespace) -> Vec<&StoredEvent> {
        let known = self.known.get(name).into_iter().flat_map(BTreeMap::values);
        known.filter_map(|known| known.present.as_ref()).collect()
    }

    /// Whether this one must be there now.
    pub fn holds(&self, name: &Namespace, identity: &Identity) -> bool {
        let known = self.known.get(name).and_then(|known| known.get(identity));
        known.is_some_and(|known| known.present.is_some())
    }

    /// How many events must be there now.
    pub fn len(&self) -> u64 {
        self.known.keys().map(|name| self.present(name).len() as u64).sum()
    }
}
