//! What the suites of the store share: events, small stores, crashes, and the model that the store is compared with.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use tallystick_domain::event::{Event, EventParts, EventQuery, StoredEvent};
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{
    AppendError, Appended, Change, Corrected, Correction, EventStore, StoreError, StoreOptions,
};

pub const BLOCK: usize = 4096;

pub fn namespace(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

pub fn at(micros: i64) -> Instant {
    Instant::from_micros(1_700_000_000_000_000 + micros).unwrap()
}

pub fn event(source: &str, id: &str, data: &str) -> StoredEvent {
    event_at(source, id, "c", 0, data)
}

pub fn event_at(source: &str, id: &str, subject: &str, micros: i64, data: &str) -> StoredEvent {
    let parts = EventParts {
        id: id.into(),
        source: source.into(),
        event_type: "t".into(),
        subject: subject.into(),
        time: at(micros),
        data: Some(data.into()),
        extras: None,
    };
    StoredEvent { event: Event::new(parts, 16).unwrap(), ingested_at: at(micros + 5) }
}

/// A batch of `count` events whose ids start with `name`.
pub fn batch(name: &str, count: usize) -> Vec<StoredEvent> {
    (0..count).map(|n| event_at("s", &format!("{name}-{n}"), "c", n as i64, &format!(r#"{{"v":{n}}}"#))).collect()
}

/// Events whose texts hardly compress.
pub fn noisy_batch(name: &str, count: usize) -> Vec<StoredEvent> {
    let noise = |n: usize| {
        (0..8u64)
            .map(|k| (n as u64 * 8 + k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .fold(String::new(), |text, word| format!("{text}{word:x}"))
    };
    (0..count)
        .map(|n| event_at("s", &format!("{name}-{n}"), "c", n as i64, &format!(r#"{{"v":"{}"}}"#, noise(n))))
        .collect()
}

/// A store whose files are small enough that every limit is met soon.
pub fn small() -> StoreOptions {
    StoreOptions { wal_file_bytes: 16 << 10, memtable_bytes: 32 << 10, merge_fan: 2, ..StoreOptions::new([42; 16]) }
}

/// A store that never seals by itself.
pub fn unsealed() -> StoreOptions {
    StoreOptions { memtable_bytes: 64 << 20, wal_file_bytes: 32 << 10, ..small() }
}

pub fn open(dir: &Path, options: StoreOptions) -> EventStore {
    EventStore::open_embedded(dir, options).unwrap_or_else(|error| panic!("{error}"))
}

pub fn open_error(dir: &Path, options: StoreOptions) -> StoreError {
    match EventStore::open_embedded(dir, options) {
        Ok(_) => panic!("{} must not open", dir.display()),
        Err(error) => error,
    }
}

pub fn append(store: &EventStore, name: &Namespace, events: Vec<StoredEvent>) -> Result<Appended, AppendError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.append(name, events))
}

pub fn append_ok(store: &EventStore, events: Vec<StoredEvent>) -> Appended {
    append(store, &Namespace::default_namespace(), events).unwrap()
}

/// Appends batches one after the other, each a frame of its own.
pub fn append_batches(store: &EventStore, name: &str, batches: usize, count: usize) {
    for n in 0..batches {
        append_ok(store, batch(&format!("{name}{n}"), count));
    }
}

pub fn everything(name: &Namespace) -> EventQuery {
    EventQuery {
        namespace: name.clone(),
        fields: vec![],
        time: None,
        ingested_at: None,
        after: None,
        limit: usize::MAX,
    }
}

/// The ids of all events of the default namespace, in listing order.
pub fn ids(store: &EventStore) -> Vec<String> {
    let listed = store.list(&everything(&Namespace::default_namespace())).unwrap();
    listed.iter().map(|stored| stored.event.id().to_owned()).collect()
}

pub fn sorted_ids(store: &EventStore) -> Vec<String> {
    let mut ids = ids(store);
    ids.sort();
    ids
}

/// What a crash leaves: the files as they are now. Nothing must be appended meanwhile; sealing and merging may go on, so
/// the copy is taken again if the MANIFEST changed under it.
pub fn crash_copy(from: &Path, to: &Path) {
    let manifest = || fs::read(from.join("MANIFEST")).unwrap();
    for _ in 0..1000 {
        let before = manifest();
        fs::remove_dir_all(to).ok();
        if copy_files(from, to).is_ok() && manifest() == before {
            return;
        }
    }
    panic!("the store never rests");
}

fn copy_files(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_files(&entry.path(), &target)?,
            false => drop(fs::copy(entry.path(), target)?),
        }
    }
    Ok(())
}

/// The files of a sub-directory, by name.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

pub fn flip_bit(path: &Path, byte: usize, bit: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[byte] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
}

/// The bytes of `now` that differ from `before`, as a range from the first to the last of them.
pub fn changed_range(before: &[u8], now: &[u8]) -> std::ops::Range<usize> {
    let differs = |at: &usize| before.get(*at) != now.get(*at);
    let first = (0..now.len()).find(differs).unwrap();
    let last = (0..now.len()).rev().find(differs).unwrap();
    first..last + 1
}

pub fn retraction(source: &str, id: &str) -> Correction {
    correction(source, id, Change::Retract)
}

pub fn amendment(source: &str, id: &str, data: &str) -> Correction {
    correction(source, id, Change::Amend { data: Some(data.into()) })
}

pub fn correction(source: &str, id: &str, change: Change) -> Correction {
    let (reason, actor) = (format!("{id} was wrong"), "someone".to_owned());
    Correction { source: source.into(), id: id.into(), change, reason, actor, known_at: at(77) }
}

/// The same event with other data.
pub fn with_data(stored: &StoredEvent, data: Option<&str>) -> StoredEvent {
    let event = &stored.event;
    let parts = EventParts {
        id: event.id().into(),
        source: event.source().into(),
        event_type: event.event_type().into(),
        subject: event.subject().into(),
        time: event.time(),
        data: data.map(String::from),
        extras: event.extras().map(String::from),
    };
    StoredEvent { event: Event::from_store(parts), ingested_at: stored.ingested_at }
}

/// Waits until it holds; the tests end either way.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

type Identity = (String, String);
/// When a correction became known, and what is seen of the event from then on.
type SeenFrom = (Instant, Option<StoredEvent>);

/// The unique events of every namespace: the first one stays. Then what became known of them.
#[derive(Clone, Default)]
pub struct Model {
    events: BTreeMap<Namespace, BTreeMap<Identity, StoredEvent>>,
    retracted: BTreeSet<(Namespace, Identity)>,
    amended: BTreeMap<(Namespace, Identity), StoredEvent>,
    /// The corrections of each event, in the order of their recording.
    corrections: BTreeMap<(Namespace, Identity), Vec<SeenFrom>>,
    cut_offs: BTreeMap<(Namespace, String), Instant>,
}

impl Model {
    pub fn append(&mut self, name: &Namespace, events: &[StoredEvent]) -> Appended {
        let known = self.events.entry(name.clone()).or_default();
        let before = known.len();
        for stored in events {
            let identity = (stored.event.source().to_owned(), stored.event.id().to_owned());
            known.entry(identity).or_insert_with(|| stored.clone());
        }
        let stored = (known.len() - before) as u64;
        Appended { stored, duplicates: events.len() as u64 - stored }
    }

    pub fn correct(&mut self, name: &Namespace, correction: &Correction) -> Corrected {
        let identity = (correction.source.clone(), correction.id.clone());
        let Some(original) = self.events.get(name).and_then(|known| known.get(&identity)) else {
            return Corrected::NoSuchEvent;
        };
        let key = (name.clone(), identity);
        let current = self.amended.get(&key).unwrap_or(original).clone();
        if self.has_expired(name, &current) {
            return Corrected::Expired;
        }
        let mut recorded = |key, seen| self.corrections.entry(key).or_default().push((correction.known_at, seen));
        match &correction.change {
            Change::Retract if self.retracted.insert(key.clone()) => {
                recorded(key, None);
                Corrected::Recorded
            }
            Change::Retract => Corrected::AlreadySo,
            Change::Amend { .. } if self.retracted.contains(&key) => Corrected::Retracted,
            Change::Amend { data } if data.as_deref() == current.event.data() => Corrected::AlreadySo,
            Change::Amend { data } => {
                let amended = with_data(&current, data.as_deref());
                recorded(key.clone(), Some(amended.clone()));
                self.amended.insert(key, amended);
                Corrected::Recorded
            }
        }
    }

    pub fn expire(&mut self, name: &Namespace, event_type: &str, before: Instant) {
        let known = self.cut_offs.entry((name.clone(), event_type.to_owned())).or_insert(before);
        *known = before.max(*known);
    }

    fn has_expired(&self, name: &Namespace, stored: &StoredEvent) -> bool {
        let cut_off = self.cut_offs.get(&(name.clone(), stored.event.event_type().to_owned()));
        cut_off.is_some_and(|cut_off| stored.event.time() < *cut_off)
    }

    /// The events that count, as they are now.
    pub fn of(&self, name: &Namespace) -> Vec<&StoredEvent> {
        let known = self.events.get(name).into_iter().flatten();
        let current = known.filter_map(|(identity, original)| {
            let key = (name.clone(), identity.clone());
            let is_retracted = self.retracted.contains(&key);
            (!is_retracted).then(|| self.amended.get(&key).unwrap_or(original))
        });
        current.filter(|stored| !self.has_expired(name, stored)).collect()
    }

    /// The events that counted at an instant, as they were known then, but for those that expired since.
    pub fn known_until(&self, name: &Namespace, until: Instant) -> Vec<&StoredEvent> {
        let known = self.events.get(name).into_iter().flatten();
        let seen = known.filter_map(|(identity, original)| {
            let mut corrections = self.corrections.get(&(name.clone(), identity.clone())).into_iter().flatten();
            let last = corrections.rfind(|(known_at, _)| *known_at <= until);
            last.map_or(Some(original), |(_, seen)| seen.as_ref())
        });
        seen.filter(|stored| stored.ingested_at <= until && !self.has_expired(name, stored)).collect()
    }

    /// All events that did not expire, as they were accepted, and how many corrections each has.
    pub fn histories(&self, name: &Namespace) -> Vec<(&StoredEvent, usize)> {
        let known = self.events.get(name).into_iter().flatten();
        let with_count = known.map(|(identity, original)| {
            let corrections = self.corrections.get(&(name.clone(), identity.clone()));
            (original, corrections.map_or(0, Vec::len))
        });
        with_count.filter(|(stored, _)| !self.has_expired(name, stored)).collect()
    }

    pub fn len(&self) -> u64 {
        self.events.values().map(|known| known.len() as u64).sum()
    }
}
