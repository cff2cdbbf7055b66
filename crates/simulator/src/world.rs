//! A store on a faulty disk, and the model beside it.

use crate::audit::assert_names;
use crate::facts::{Asked, SentFacts};
use crate::generate::batch;
use crate::model::{Identity, Model};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tallystick_domain::Namespace;
use tallystick_domain::event::StoredEvent;
use tallystick_event_store::faulty::{Fault, FaultyDisk, Harm, Random, Trigger};
use tallystick_event_store::{AppendError, SteppedStore, StoreError, StoreOptions, Ticket};

/// A batch that was sent.
pub(crate) struct Sent {
    pub name: Namespace,
    pub events: Vec<StoredEvent>,
    ticket: Ticket,
}

/// What waits for the writer.
pub(crate) enum Waiting {
    Batch(Sent),
    Facts(SentFacts),
}

/// Everything of one history.
pub(crate) struct World {
    pub disk: FaultyDisk,
    pub random: Random,
    pub options: StoreOptions,
    pub opened: Option<SteppedStore>,
    pub model: Model,
    /// What waits for its answer, in the order of sending.
    pub waiting: Vec<Waiting>,
    /// Batches whose senders were not told that they are stored.
    open: Vec<(Namespace, Vec<StoredEvent>)>,
    /// New identities of each batch that got no answer: after a start all of them are there, or none.
    whole: Vec<(Namespace, Vec<Identity>)>,
    /// Facts whose senders were not told that they are recorded: after a start they may be. In the order of sending.
    pub unsure: Vec<(Namespace, Asked)>,
    /// How many corrections were asked for, so that each has a reason of its own.
    pub asked: u64,
    /// Something may fail since the process began: a fault is scheduled, or was.
    pub excused: bool,
    /// The disk may be full since the process began.
    pub bounded: bool,
    /// The disk has a bound now.
    capped: bool,
    /// How many events were acknowledged as new.
    pub stored: u64,
    /// Batches that were refused as the disk was full.
    pub full: u64,
    /// Batches that were refused as the store had stopped.
    pub stopped: u64,
    /// How often a store was opened.
    pub starts: u64,
    /// Facts that were acknowledged as recorded.
    pub facts: u64,
}

impl World {
    /// A world with an empty disk and an open store.
    pub fn new(seed: u64) -> Self {
        let mut world = Self::unopened(seed);
        world.start();
        world
    }

    /// A world whose disk says that it synced and did not.
    pub fn on_a_lying_disk(seed: u64) -> Self {
        let mut world = Self::unopened(seed);
        world.disk.lie_about_syncs();
        world.start();
        world
    }

    /// A world with an empty disk, whose store was never opened.
    pub fn unopened(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let disk = FaultyDisk::new(random.word());
        let options = StoreOptions {
            wal_file_bytes: 16 << 10,
            memtable_bytes: *random.pick(&[2 << 10, 8 << 10, 32 << 10]),
            queue_bytes: 128 << 10,
            merge_fan: 2 + random.below(2) as usize,
            // Threads would read in another order each time.
            query_threads: 1,
            query_cache_bytes: *random.pick(&[0, 4 << 10, 1 << 20]),
            live_counters: *random.pick(&[0, 8, 1000]),
            disk: Arc::new(disk.clone()),
            ..StoreOptions::new([7; 16])
        };
        Self {
            disk,
            random,
            options,
            opened: None,
            model: Model::default(),
            waiting: Vec::new(),
            open: Vec::new(),
            whole: Vec::new(),
            unsure: Vec::new(),
            asked: 0,
            excused: false,
            bounded: false,
            capped: false,
            stored: 0,
            full: 0,
            stopped: 0,
            starts: 0,
            facts: 0,
        }
    }

    /// The directory of the store.
    pub fn dir() -> PathBuf {
        PathBuf::from("/srv/tallystick/events")
    }

    /// Lets something go wrong from now on.
    pub fn schedule(&mut self, fault: Fault) {
        self.excused |= !matches!(fault.harm, Harm::PowerCut | Harm::Kill | Harm::Short);
        self.disk.schedule(fault);
    }

    /// Bounds the disk to what is used and a little.
    pub fn bound(&mut self) {
        (self.bounded, self.capped) = (true, true);
        let room = self.random.below(48 << 10);
        self.disk.set_capacity(Some(self.disk.used() + room));
    }

    /// Takes the bound away.
    pub fn unbound(&mut self) {
        self.capped = false;
        self.disk.set_capacity(None);
    }

    pub fn store(&mut self) -> &mut SteppedStore {
        self.opened.as_mut().expect("a store is open")
    }

    /// Sends a new batch.
    pub fn send_some(&mut self) {
        let (name, mut events) = batch(&mut self.random);
        // What was retracted or expired must stay so when it is sent again.
        let hidden = self.model.hidden(&name);
        if !hidden.is_empty() && self.random.one_in(4) {
            events.push((*self.random.pick(&hidden)).clone());
        }
        self.send(name, events);
    }

    /// Sends one of the batches again whose senders do not know what became of them.
    pub fn send_again(&mut self) {
        if !self.open.is_empty() {
            let at = self.random.below(self.open.len() as u64) as usize;
            let (name, events) = self.open.swap_remove(at);
            self.send(name, events);
        }
    }

    pub fn send(&mut self, name: Namespace, events: Vec<StoredEvent>) {
        match self.store().submit(&name, &events) {
            Ok(ticket) => self.waiting.push(Waiting::Batch(Sent { name, events, ticket })),
            Err(AppendError::Overloaded) => self.open.push((name, events)),
            Err(AppendError::TooLarge { .. }) => {}
            Err(AppendError::Stopped(reason)) => {
                assert!(self.store().fault().is_some(), "it says it stopped: {reason}");
                self.open.push((name, events));
            }
            Err(error @ AppendError::Full(_)) => panic!("nothing was tried yet: {error}"),
        }
    }

    /// The writer takes what waits, and every answer must be the model's.
    pub fn write(&mut self) {
        self.store().step_writer();
        self.collect();
        self.check_fault();
    }

    /// Takes the answers that are there.
    pub fn collect(&mut self) {
        let mut again = Vec::new();
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Batch(sent) => self.collect_batch(sent),
                Waiting::Facts(sent) => again.extend(self.collect_facts(sent)),
            }
        }
        self.waiting.extend(again.into_iter().map(Waiting::Facts));
    }

    fn collect_batch(&mut self, mut sent: Sent) {
        match sent.ticket.answer() {
            None => self.waiting.push(Waiting::Batch(sent)),
            Some(Ok(appended)) => {
                let expected = self.model.accept(&sent.name, &sent.events);
                assert_eq!(appended, expected, "the answer to {:?}", sent.events);
                self.stored += appended.stored;
            }
            Some(Err(error)) => {
                self.count_refusal(&error);
                self.model.leave_open(&sent.name, &sent.events);
                self.open.push((sent.name, sent.events));
            }
        }
    }

    /// A full disk must be one.
    pub fn count_refusal(&mut self, error: &AppendError) {
        match error {
            AppendError::Full(reason) => {
                assert!(self.bounded || self.excused, "the disk is not full: {reason}");
                self.full += 1;
            }
            _ => self.stopped += 1,
        }
    }

    /// A store may stop only after a fault; a full disk is none.
    pub fn check_fault(&mut self) {
        let ended = self.disk.ended().is_some();
        if let Some(reason) = self.opened.as_ref().and_then(SteppedStore::fault) {
            assert!(self.excused || ended, "the store stopped without a fault: {reason}");
        }
    }

    /// Whether the store does not accept any more.
    pub fn is_stopped(&self) -> bool {
        self.opened.as_ref().is_some_and(|store| store.fault().is_some())
    }

    /// Ends the process and the store with it, and takes note of what got no answer.
    pub fn end_process(&mut self) {
        self.collect();
        // Without a word to the disk: that is gone for this process.
        self.opened = None;
        let mut earlier = BTreeSet::new();
        self.whole.clear();
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Batch(sent) => {
                    self.whole.push((sent.name.clone(), self.model.fresh(&sent.name, &sent.events, &mut earlier)));
                    self.model.leave_open(&sent.name, &sent.events);
                    self.open.push((sent.name, sent.events));
                }
                Waiting::Facts(sent) => self.unsure.push((sent.name, sent.asked)),
            }
        }
    }

    /// The process is killed; what it wrote stays readable.
    pub fn kill(&mut self) {
        self.disk.start_process();
        self.end_process();
        self.start();
    }

    /// The power is cut.
    pub fn cut_power(&mut self) {
        let seed = self.random.word();
        self.disk.restart(seed);
        self.end_process();
        self.start();
    }

    /// Goes on after a fault that ended the process, if one did.
    pub fn revive(&mut self) -> bool {
        match self.disk.ended() {
            None => return false,
            Some(Harm::Kill) => self.kill(),
            Some(_) => self.cut_power(),
        }
        true
    }

    /// Closes the store and opens it again.
    pub fn reopen(&mut self) {
        let closed = self.opened.take().expect("a store is open").close();
        self.collect();
        if let Err(error) = closed {
            let excused = self.excused || self.bounded || self.disk.ended().is_some();
            assert!(excused, "closing failed without a fault: {error}");
        }
        self.end_process();
        if !self.revive() {
            self.disk.start_process();
            self.start();
        }
    }

    /// Opens the store and settles what was open. Faults that hit the opening are survived too.
    pub fn start(&mut self) {
        for attempt in 0.. {
            assert!(attempt < 50, "the store never opens");
            self.starts += 1;
            match SteppedStore::open(&Self::dir(), self.options.clone()) {
                Ok(store) => {
                    self.opened = Some(store);
                    break;
                }
                Err(error) => self.after_failed_start(&error),
            }
        }
        self.excused = false;
        self.bounded = self.capped;
        self.disk.clear_faults();
        self.settle();
        for (name, identities) in self.whole.drain(..) {
            let there = identities.iter().filter(|identity| self.model.holds(&name, identity)).count();
            assert!(there == 0 || there == identities.len(), "{name}: a part of a batch is there: {identities:?}");
        }
    }

    fn after_failed_start(&mut self, error: &StoreError) {
        match self.disk.ended() {
            Some(Harm::Kill) => self.disk.start_process(),
            Some(_) => {
                let seed = self.random.word();
                self.disk.restart(seed);
            }
            None => {
                let excused = self.excused || self.bounded;
                assert!(excused, "the store does not open: {error}\n{}", self.disk.log());
                // An operator looks after the disk.
                self.disk.clear_faults();
                self.unbound();
                self.disk.start_process();
            }
        }
    }

    /// Another crash soon, which the next start may meet.
    pub fn crash_soon(&mut self, harm: Harm) {
        let on = Trigger::Change(self.disk.changes() + 1 + self.random.below(14));
        self.schedule(Fault { on, harm });
    }

    /// Lets every thread work until nothing is left to do.
    pub fn drain(&mut self) {
        loop {
            let wrote = self.store().step_writer();
            self.collect();
            let sealed = self.store().step_sealer();
            let merged = self.store().step_merger();
            if !(wrote || sealed || merged) {
                return;
            }
        }
    }

    /// Heals the disk, has everything sent again that is open, and checks all there is to check.
    pub fn finish(&mut self) {
        self.disk.clear_faults();
        self.unbound();
        if !self.revive() && self.is_stopped() {
            self.reopen();
        }
        self.drain();
        while !self.open.is_empty() {
            self.send_again();
            self.drain();
        }
        (self.excused, self.bounded) = (false, false);
        self.audit();
        self.store().request_seal().expect("the store accepts");
        self.drain();
        self.verify();
        self.audit();
        self.audit_copy();
        self.reopen();
        self.audit();
        self.cut_power();
        self.audit();
    }

    /// Closes the store, which must end well.
    pub fn close(&mut self) {
        self.drain();
        let closed = self.opened.take().expect("a store is open").close();
        closed.unwrap_or_else(|error| panic!("a clean end: {error}"));
        self.disk.start_process();
    }

    /// Opens the store on a damaged disk; the error must name the file.
    pub fn open_damaged(&mut self, damaged: &Path) -> bool {
        match SteppedStore::open(&Self::dir(), self.options.clone()) {
            Ok(store) => self.opened = Some(store),
            Err(error) => assert_names(&error, damaged),
        }
        self.opened.is_some()
    }

    /// Drops the store as a kill does.
    pub fn drop_store(&mut self) {
        self.opened = None;
        self.disk.start_process();
    }
}
