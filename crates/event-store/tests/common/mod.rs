//! What the suites of the store share: events, small stores, crashes, and the model that the store is compared with.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tallystick_domain::event::{Event, EventParts, EventQuery, StoredEvent};
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{AppendError, Appended, EventStore, StoreError, StoreOptions};

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

/// The unique events of every namespace: the first one stays.
#[derive(Clone, Default)]
pub struct Model {
    events: BTreeMap<Namespace, BTreeMap<(String, String), StoredEvent>>,
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

    pub fn of(&self, name: &Namespace) -> Vec<&StoredEvent> {
        self.events.get(name).map_or_else(Vec::new, |known| known.values().collect())
    }

    pub fn len(&self) -> u64 {
        self.events.values().map(|known| known.len() as u64).sum()
    }
}
