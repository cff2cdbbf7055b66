//! Corrections and cut-offs: asked for, answered, and settled after a start.
//!
//! Each correction has a reason of its own, so that what a store recorded says which of them it is.

use crate::generate::{TYPES, any_identity, change, cut_off, everything, namespaces};
use crate::model::Identity;
use crate::world::{Waiting, World};
use std::collections::BTreeSet;
use tallystick_domain::event::StoredEvent;
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{
    AppendError, CorrectError, Corrected, Correction, EventHistory, FactsAnswer, FactsTicket, QueryError,
};

/// What somebody wants to be recorded.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Corrections(Vec<Correction>),
    CutOff { event_type: String, before: Instant },
}

/// Facts that were handed over.
pub(crate) struct SentFacts {
    pub name: Namespace,
    pub asked: Asked,
    ticket: FactsTicket,
}

impl World {
    /// Asks for some corrections that are recorded together.
    pub fn correct_some(&mut self) {
        let name = self.random.pick(&namespaces()).clone();
        let corrections: Vec<_> = (0..=self.random.below(3)).map(|_| self.any_correction(&name)).collect();
        match self.store().submit_corrections(&name, corrections.clone()) {
            Ok(ticket) => {
                self.waiting.push(Waiting::Facts(SentFacts { name, asked: Asked::Corrections(corrections), ticket }))
            }
            Err(CorrectError::Append(error)) => self.check_not_asked(&error),
            Err(CorrectError::Store(error)) => self.excuse(&QueryError::Store(error)),
        }
    }

    /// Asks for a cut-off.
    pub fn expire_some(&mut self) {
        let (name, event_type, before) = cut_off(&mut self.random);
        match self.store().submit_cut_off(&name, &event_type, before) {
            Ok(ticket) => {
                let asked = Asked::CutOff { event_type, before };
                self.waiting.push(Waiting::Facts(SentFacts { name, asked, ticket }));
            }
            Err(error) => self.check_not_asked(&error),
        }
    }

    /// A correction of an event that is there, mostly; or of one that waits to be stored, or of none.
    fn any_correction(&mut self, name: &Namespace) -> Correction {
        let waiting = self.waiting.iter().filter_map(|waiting| match waiting {
            Waiting::Batch(sent) if sent.name == *name => Some(&sent.events),
            _ => None,
        });
        let waiting: Vec<&StoredEvent> = waiting.flatten().collect();
        let seen = self.model.seen(name);
        let from = match self.random.below(8) {
            0 => Vec::new(),
            1 => self.model.hidden(name),
            2 | 3 if !waiting.is_empty() => waiting,
            _ => seen,
        };
        let picked = (!from.is_empty()).then(|| (*self.random.pick(&from)).clone());
        let (source, id) = match &picked {
            Some(stored) => (stored.event.source().to_owned(), stored.event.id().to_owned()),
            None => any_identity(&mut self.random),
        };
        let change = change(&mut self.random, picked.as_ref().and_then(|stored| stored.event.data()));
        self.asked += 1;
        let known_at = Instant::from_micros(self.asked as i64).expect("a moment");
        Correction { source, id, change, reason: format!("reason {}", self.asked), actor: "someone".into(), known_at }
    }

    fn check_not_asked(&mut self, error: &AppendError) {
        match error {
            AppendError::Overloaded | AppendError::TooLarge { .. } => {}
            AppendError::Stopped(reason) => assert!(self.is_stopped(), "it says it stopped: {reason}"),
            AppendError::Full(_) => panic!("nothing was tried yet: {error}"),
        }
    }

    /// Takes the answer to facts; gives back what was looked up again, to wait behind all others.
    pub fn collect_facts(&mut self, sent: SentFacts) -> Option<SentFacts> {
        let SentFacts { name, asked, ticket } = sent;
        match ticket.answer(self.opened.as_ref()) {
            FactsAnswer::None(ticket) => self.waiting.push(Waiting::Facts(SentFacts { name, asked, ticket })),
            FactsAnswer::Again(ticket) => return Some(SentFacts { name, asked, ticket }),
            FactsAnswer::Done(done) => {
                self.facts += done.iter().filter(|corrected| **corrected == Corrected::Recorded).count() as u64;
                assert_eq!(done, self.apply(&name, &asked), "the answer to {asked:?}");
            }
            FactsAnswer::Refused(CorrectError::Store(error)) => self.excuse(&QueryError::Store(error)),
            FactsAnswer::Refused(CorrectError::Append(error)) => {
                self.count_refusal(&error);
                // On a full disk nothing is recorded, for good.
                if matches!(error, AppendError::Stopped(_)) {
                    self.unsure.push((name, asked));
                }
            }
        }
        None
    }

    fn apply(&mut self, name: &Namespace, asked: &Asked) -> Vec<Corrected> {
        match asked {
            Asked::Corrections(corrections) => self.model.correct(name, corrections),
            Asked::CutOff { event_type, before } => vec![self.model.expire(name, event_type, *before)],
        }
    }

    /// Settles what was open by what a store knows after its start, and compares the rest.
    pub fn settle(&mut self) {
        let unsure = std::mem::take(&mut self.unsure);
        for name in namespaces() {
            self.settle_cut_offs(&name, &unsure);
            self.settle_events(&name);
        }
        let mut touched = BTreeSet::new();
        for (name, asked) in &unsure {
            if let Asked::Corrections(corrections) = asked {
                touched.extend(corrections.iter().map(|one| (name.clone(), (one.source.clone(), one.id.clone()))));
                self.settle_corrections(name, corrections);
            }
        }
        for name in namespaces() {
            let known = self.model.of_namespace(&name).filter(|(_, known)| !known.corrections.is_empty());
            touched.extend(known.map(|(identity, _)| (name.clone(), identity.clone())));
        }
        touched.iter().for_each(|(name, identity)| self.compare_history(name, identity));
        namespaces().iter().for_each(|name| self.compare_events(name));
    }

    /// A cut-off is where it was acknowledged, or where somebody wanted it.
    fn settle_cut_offs(&mut self, name: &Namespace, unsure: &[(Namespace, Asked)]) {
        for event_type in TYPES {
            let (found, known) = (self.store().store().cut_off(name, event_type), self.model.cut_off(name, event_type));
            if found == known {
                continue;
            }
            let wanted = unsure.iter().any(|(of, asked)| {
                let is_it = |of_type: &str, before| of_type == event_type && Some(before) == found;
                of == name && matches!(asked, Asked::CutOff { event_type, before } if is_it(event_type, *before))
            });
            assert!(wanted && found > known, "{name}: the cut-off of {event_type} is {found:?}, and was {known:?}");
            let before = found.expect("it is later than none");
            self.model.expire(name, event_type, before);
        }
    }

    /// Events whose senders got no answer are there as somebody sent them, or not at all.
    fn settle_events(&mut self, name: &Namespace) {
        let open: Vec<(Identity, Vec<StoredEvent>)> = {
            let open = self.model.of_namespace(name).filter(|(_, known)| !known.ghosts.is_empty());
            open.map(|(identity, known)| (identity.clone(), known.ghosts.clone())).collect()
        };
        for (identity, ghosts) in open {
            if !self.knows(name, &identity) {
                self.model.settle(name, &identity, None);
                continue;
            }
            let found = self.history(name, &identity).and_then(|history| history.original);
            let present = match found {
                Some(found) => ghosts.into_iter().find(|ghost| *ghost == found),
                // Its row is gone, which one of those that expired may have been.
                None => ghosts.into_iter().find(|ghost| self.model.has_expired(name, ghost)),
            };
            assert!(present.is_some(), "{name}: {identity:?} is known, and nobody sent it so");
            self.model.settle(name, &identity, present);
        }
    }

    /// Corrections that were asked for together are recorded together, or none is.
    fn settle_corrections(&mut self, name: &Namespace, corrections: &[Correction]) {
        let is_recorded = corrections.iter().any(|one| {
            let history = self.history(name, &(one.source.clone(), one.id.clone()));
            history.is_some_and(|history| history.corrections.iter().any(|recorded| recorded.reason == one.reason))
        });
        if is_recorded {
            self.model.correct(name, corrections);
        }
    }

    /// The corrections of an event are those that were recorded, in their order, and it was what it was.
    fn compare_history(&mut self, name: &Namespace, identity: &Identity) {
        let found = self.history(name, identity);
        let Some((present, corrections)) = self.model.get(name, identity).and_then(|known| {
            let present = known.present.clone()?;
            Some((present, known.corrections.clone()))
        }) else {
            assert_eq!(found, None, "{name}: {identity:?} is not there");
            return;
        };
        let has_expired = self.model.has_expired(name, &present);
        match &found {
            None => assert!(has_expired && corrections.is_empty(), "{name}: {identity:?} has no history"),
            Some(found) => {
                assert_eq!(found.corrections, corrections, "{name}: the corrections of {identity:?}");
                match &found.original {
                    None => assert!(has_expired, "{name}: {identity:?} is gone"),
                    Some(original) => assert_eq!(*original, present, "{name}: not what was acknowledged"),
                }
            }
        }
    }

    /// What is seen is what counts, once; what is hidden is known all the same.
    fn compare_events(&mut self, name: &Namespace) {
        let query = everything(name);
        let listed = self.store().store().list(&query).unwrap_or_else(|error| panic!("after a start: {error}"));
        let identities = listed.iter().map(|stored| (stored.event.source(), stored.event.id()));
        let mut seen = BTreeSet::new();
        identities.for_each(|identity| assert!(seen.insert(identity), "{name}: {identity:?} is there twice"));
        assert_eq!(listed, query.run(self.model.seen(name)), "{name}: what was acknowledged, and no other");
        let hidden = self.model.hidden(name).into_iter();
        let hidden: Vec<_> = hidden.map(|stored| (stored.event.source().into(), stored.event.id().into())).collect();
        for identity in hidden {
            assert!(self.knows(name, &identity), "{name}: {identity:?} was hidden and is forgotten");
        }
    }

    fn knows(&mut self, name: &Namespace, (source, id): &Identity) -> bool {
        self.store().knows(name, source, id).unwrap_or_else(|error| panic!("after a start: {error}"))
    }

    fn history(&mut self, name: &Namespace, (source, id): &Identity) -> Option<EventHistory> {
        let history = self.store().store().history(name, source, id);
        history.unwrap_or_else(|error| panic!("after a start: {error}"))
    }
}
