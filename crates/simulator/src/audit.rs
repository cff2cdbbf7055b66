//! What a store says, compared with what the model knows.

use crate::generate::{TYPES, everything, live_total, namespaces, plan};
use crate::model::Counts;
use crate::world::World;
use std::path::{Path, PathBuf};
use tallystick_domain::event::StoredEvent;
use tallystick_domain::meter::{AggregatePlan, fold};
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{QueryError, SteppedStore, StoreError};

impl World {
    /// Asks for everything, and compares with the model.
    pub fn audit(&mut self) {
        let expected = self.model.len();
        let stats = self.store().store().stats();
        assert_eq!(stats.events + stats.dropped_rows, expected, "the number of events");
        for name in namespaces() {
            self.audit_ledger(&name);
            let query = everything(&name);
            match self.store().store().list(&query) {
                Ok(listed) => assert_eq!(listed, query.run(self.model.seen(&name)), "the events of {name}"),
                Err(error) => self.excuse(&error),
            }
            for event_type in TYPES {
                let plan = plan(&mut self.random, &name, event_type);
                self.audit_live_total(&plan);
                let expected = fold(&plan, self.model.seen(&name));
                match (self.store().store().aggregate(&plan), expected) {
                    (Ok(rows), Ok(expected)) => assert_eq!(rows, expected, "{plan:?}"),
                    (Err(QueryError::Plan(_)), Err(_)) => {}
                    (Err(error @ QueryError::Store(_)), _) => self.excuse(&error),
                    (rows, expected) => panic!("{rows:?} instead of {expected:?} for {plan:?}"),
                }
            }
        }
    }

    /// The ledger must balance, and count each event for what it is.
    fn audit_ledger(&mut self, name: &Namespace) {
        let is_seen = |_: &StoredEvent| "seen";
        let tallies = match self.store().store().reconcile(name, Instant::MIN, Instant::MAX, &is_seen) {
            Ok(tallies) => tallies,
            Err(error) => return self.excuse(&QueryError::Store(error)),
        };
        let unbalanced: Vec<_> = tallies.iter().filter(|tally| !tally.balances()).collect();
        assert!(unbalanced.is_empty(), "{name}: the ledger does not balance: {unbalanced:?}");
        let of = |what: &str| tallies.iter().filter_map(|tally| tally.found.get(what)).sum::<u64>();
        let counted = Counts { seen: of("seen"), retracted: of("retracted"), expired: of("expired") };
        assert_eq!(counted, self.model.counts(name), "{name}: what became of the events");
    }

    /// The total of one subject, which is kept up to date from the first time on.
    fn audit_live_total(&mut self, plan: &AggregatePlan) {
        let (key, plan) = live_total(&mut self.random, plan);
        let expected = fold(&plan, self.model.seen(&plan.namespace));
        match (self.store().store().live_total(&key), expected) {
            (Ok(total), Ok(rows)) => {
                assert_eq!(total, rows.first().map(|row| row.value), "{key:?}");
                if let Some(counted) = self.store().store().known_count(&key) {
                    let counted = counted.map(|counted| (counted.total, counted.last));
                    assert_eq!(counted, Ok((total, rows.first().map(|row| row.last))), "{key:?}");
                }
            }
            (Err(QueryError::Plan(_)), Err(_)) => {}
            (Err(error @ QueryError::Store(_)), _) => self.excuse(&error),
            (total, expected) => panic!("{total:?} instead of {expected:?} for {key:?}"),
        }
    }

    pub fn excuse(&self, error: &QueryError) {
        assert!(self.excused || self.disk.ended().is_some(), "a query failed without a fault: {error}");
    }

    /// Compares with another order of things: each query is right or names the file. Returns how many failed.
    pub fn audit_damage(&mut self, damaged: &Path) -> u64 {
        let mut failed = 0;
        for name in namespaces() {
            for event_type in TYPES {
                let plan = plan(&mut self.random, &name, event_type);
                match (self.store().store().aggregate(&plan), fold(&plan, self.model.seen(&name))) {
                    (Ok(rows), Ok(expected)) => assert_eq!(rows, expected, "{plan:?}"),
                    (Err(QueryError::Plan(_)), Err(_)) => {}
                    (Err(QueryError::Store(error)), _) => {
                        assert_names(&error, damaged);
                        failed += 1;
                    }
                    (rows, expected) => panic!("{rows:?} instead of {expected:?} for {plan:?}"),
                }
            }
        }
        failed
    }

    /// Reads everything that is sealed, which must be all there is: every row is there, or was dropped as it expired.
    pub fn verify(&mut self) {
        let store = self.store().store();
        let verified = store.verify().unwrap_or_else(|error| panic!("after all: {error}"));
        let dropped = store.stats().dropped_rows;
        assert_eq!(verified + dropped, self.model.len(), "sealed events");
        let expired: u64 = namespaces().iter().map(|name| self.model.counts(name).expired).sum();
        assert!(dropped <= expired, "{dropped} rows were dropped, and {expired} events expired");
    }

    /// Copies the store, in which everything is sealed, and opens the copy: it must hold the same, and hide the same.
    pub fn audit_copy(&mut self) {
        let dir = PathBuf::from(format!("/srv/backup/{}", self.starts));
        let copied = self.store().copy_sealed(&dir);
        copied.unwrap_or_else(|error| panic!("a copy: {error}"));
        let copy = SteppedStore::open(&dir, self.options.clone()).unwrap_or_else(|error| panic!("a copy: {error}"));
        let original = self.opened.replace(copy);
        self.audit();
        for name in namespaces() {
            for stored in self.model.hidden(&name).into_iter().cloned().collect::<Vec<_>>() {
                self.send(name.clone(), vec![stored]);
                self.write();
            }
        }
        self.audit();
        self.opened = original;
    }
}

/// The error must say which file is not what it was.
pub(crate) fn assert_names(error: &StoreError, damaged: &Path) {
    let name = damaged.file_name().and_then(|name| name.to_str()).expect("a name of ours");
    assert!(error.to_string().contains(name), "{name} is damaged, but the error is: {error}");
}
