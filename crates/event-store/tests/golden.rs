//! Stores as earlier versions wrote them, opened by this one: every format that was ever released stays readable.
//!
//! `tests/golden/vN/store` is the directory of a store, `tests/golden/vN/content.txt` what is in it; the events of
//! `tests/golden/vN-corrected` were corrected and expired. Whenever the format of one of their files changes,
//! `write_golden_stores` adds the next directories; what is there is never written again.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod common;

use common::*;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tallystick_domain::event::{Event, EventParts, StoredEvent};
use tallystick_domain::meter::{AggregatePlan, Aggregation, Dimension, JsonPath};
use tallystick_event_store::{Change, Corrected, Correction, EventStore, StoreOptions};

const NAMESPACES: [&str; 2] = ["default", "tenant-1"];
/// Data texts of every kind: regular ones, other notations, every JSON type, and none.
const DATA: [Option<&str>; 14] = [
    Some(r#"{"model":"small","tokens":12.5000,"user":"u-1","region":"eu"}"#),
    Some(r#"{"model":"large","tokens":0.0001,"user":"u-2","region":"us"}"#),
    Some(r#"{"model":"small","tokens":-7.2500,"user":"u-1","region":"eu"}"#),
    Some(r#"{"tokens":"3.5","model":"small"}"#),
    Some(r#"{ "tokens" : 1e2 , "model" : "x" }"#),
    Some(r#"{"tokens":"many","model":null,"deep":{"a":{"b":1.25}},"list":[1,{"c":2}]}"#),
    Some(r#"{"tokens":7922816251426433759354395033,"model":true}"#),
    Some(r#"{"tokens":123456789012345678901234567890123456789,"model":false}"#),
    Some(r#"{"tokens":0.0000000000000000000000000001,"deep":7}"#),
    Some(r#"{"model":"\u0078\n","tokens":-0}"#),
    Some("{}"),
    None,
    Some(r#"{"tokens":5.00,"model":"small"}"#),
    Some(r#"{"tokens":9223372036854775807,"model":""}"#),
];

fn golden_event(number: usize) -> StoredEvent {
    let odd_time = if number.is_multiple_of(5) { 123_457 } else { number as i64 * 61_000 };
    let parts = EventParts {
        id: match number % 4 {
            0 => format!("id-{number}"),
            1 => format!("{number:08X}-0000-4000-8000-00000000ABCD"),
            2 => format!("{number:08x}-1111-7222-9333-0123456789ab"),
            _ => format!("{number:08x}-5a5a-4b4b-8c8c-{:012x}", number * 7_654_321),
        },
        source: ["api", "batch", "ü"][number % 3].into(),
        event_type: ["prompt", "storage"][usize::from(number.is_multiple_of(7))].into(),
        subject: format!("customer-{}", number % 4),
        time: at(odd_time * (1 + number as i64 % 6)),
        data: DATA[number % DATA.len()].map(str::to_owned),
        extras: number.is_multiple_of(6).then(|| format!(r#"{{"traceparent":"00-{number}"}}"#)),
    };
    StoredEvent { event: Event::new(parts, 16).unwrap(), ingested_at: at(odd_time + 1_234_567) }
}

/// Events `from..to`, spread over the namespaces.
fn append_golden(store: &EventStore, from: usize, to: usize) {
    for (place, name) in NAMESPACES.iter().enumerate() {
        let events = (from..to).filter(|number| number % NAMESPACES.len() == place).map(golden_event).collect();
        append(store, &namespace(name), events).unwrap();
    }
}

/// Everything in the store, and some totals, as text.
fn content(store: &EventStore) -> String {
    let mut text = String::new();
    for name in NAMESPACES {
        let mut listed = store.list(&everything(&namespace(name))).unwrap();
        listed.reverse();
        for StoredEvent { event, ingested_at } in listed {
            let (time, ingested) = (event.time().as_micros(), ingested_at.as_micros());
            let (source, id, subject) = (event.source(), event.id(), event.subject());
            let (event_type, data, extras) = (event.event_type(), event.data(), event.extras());
            writeln!(text, "{name} {event_type} {subject} {time} {ingested} {source} {id} {data:?} {extras:?}")
                .unwrap();
        }
        for (aggregation, path) in [(Aggregation::Count, None), (Aggregation::Sum, Some("$.tokens"))] {
            for row in store.aggregate(&plan(name, aggregation, path)).unwrap() {
                writeln!(text, "{name} {aggregation:?} {:?} {}", row.group, row.value).unwrap();
            }
        }
    }
    text
}

fn plan(name: &str, aggregation: Aggregation, path: Option<&str>) -> AggregatePlan {
    AggregatePlan {
        namespace: namespace(name),
        event_type: "prompt".into(),
        aggregation,
        value: path.map(|path| JsonPath::parse(path).unwrap()),
        from: None,
        to: None,
        windows: None,
        known_until: None,
        dimensions: vec![Dimension::Property(JsonPath::parse("$.model").unwrap())],
        filters: vec![],
        customers: None,
    }
}

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A kind of golden store.
struct Kind {
    /// What stands behind the version in the name of its directory.
    suffix: &'static str,
    /// A store as this version writes it.
    write: fn(&Path) -> EventStore,
    /// What is compared.
    content: fn(&EventStore) -> String,
}

const PLAIN: Kind = Kind { suffix: "", write: write_store, content };
const CORRECTED: Kind = Kind { suffix: "-corrected", write: write_corrected_store, content: corrected_content };

impl Kind {
    /// The directory of a version.
    fn dir(&self, version: usize) -> PathBuf {
        golden_dir().join(format!("v{version}{}", self.suffix))
    }

    /// The directories of all versions, the oldest first. Not every version has one of every kind.
    fn stores(&self) -> Vec<PathBuf> {
        (1..=files(&golden_dir()).len()).map(|version| self.dir(version)).filter(|dir| dir.exists()).collect()
    }
}

/// Two segments and runs, and a log with what is not sealed.
fn write_store(dir: &Path) -> EventStore {
    let store = open(dir, StoreOptions { merge_fan: 8, ..unsealed() });
    append_golden(&store, 0, 40);
    store.flush_now().unwrap();
    append_golden(&store, 40, 64);
    store.flush_now().unwrap();
    append_golden(&store, 64, 72);
    store
}

/// The same, with corrections and cut-offs in the facts file and in the log, and expired rows that are sealed, dropped and
/// in memory.
fn write_corrected_store(dir: &Path) -> EventStore {
    let store = open(dir, StoreOptions { merge_fan: 8, ..unsealed() });
    append_golden(&store, 0, 40);
    store.flush_now().unwrap();
    let amend = |data: &str| Change::Amend { data: Some(data.into()) };
    correct_golden(&store, 1, Change::Retract);
    correct_golden(&store, 2, amend(r#"{"model":"small","tokens":0.5}"#));
    correct_golden(&store, 3, amend(r#"{"tokens":"9.75","model":"new"}"#));
    correct_golden(&store, 3, Change::Amend { data: None });
    correct_golden(&store, 4, amend("{}"));
    correct_golden(&store, 4, Change::Retract);
    store.expire(&namespace("default"), "storage", at(3_000_000)).unwrap();
    append_golden(&store, 40, 64);
    store.flush_now().unwrap();
    append_golden(&store, 64, 72);
    correct_golden(&store, 2, amend(r#"{"model":"small","tokens":0.25}"#));
    correct_golden(&store, 50, Change::Retract);
    correct_golden(&store, 65, amend(r#"{"model":"large","tokens":100.0001}"#));
    correct_golden(&store, 66, Change::Retract);
    store.expire(&namespace("tenant-1"), "storage", at(1_000_000)).unwrap();
    store
}

fn correct_golden(store: &EventStore, number: usize, change: Change) {
    assert_eq!(correct(store, number, change), Corrected::Recorded, "event {number}");
}

fn correct(store: &EventStore, number: usize, change: Change) -> Corrected {
    let StoredEvent { event, ingested_at } = golden_event(number);
    let (reason, actor) = (format!("{number} was wrong"), format!("actor {}", number % 3));
    let (source, id) = (event.source().to_owned(), event.id().to_owned());
    let correction = Correction { source, id, change, reason, actor, known_at: ingested_at };
    store.correct(&namespace(NAMESPACES[number % NAMESPACES.len()]), vec![correction]).unwrap()[0]
}

/// What counts, the corrections of each event, and the cut-offs.
fn corrected_content(store: &EventStore) -> String {
    let mut text = content(store);
    for number in 0..112 {
        let (name, stored) = (NAMESPACES[number % NAMESPACES.len()], golden_event(number));
        let history = store.history(&namespace(name), stored.event.source(), stored.event.id()).unwrap();
        for correction in history.into_iter().flat_map(|history| history.corrections) {
            let (reason, actor, known_at) = (correction.reason, correction.actor, correction.known_at.as_micros());
            writeln!(text, "{name} {number} {:?} {reason:?} {actor:?} {known_at}", correction.change).unwrap();
        }
    }
    for name in NAMESPACES {
        for event_type in ["prompt", "storage"] {
            let cut_off = store.cut_off(&namespace(name), event_type).map(|cut_off| cut_off.as_micros());
            writeln!(text, "{name} {event_type} from {cut_off:?}").unwrap();
        }
    }
    text
}

/// The format of every kind of file in a store's directory, as the files say it.
fn formats(store: &Path) -> BTreeSet<(&'static str, u32)> {
    let number = |bytes: &[u8], at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let behind = |bytes: &[u8], magic: &[u8; 4]| {
        let at = bytes.windows(4).rposition(|window| window == magic).unwrap();
        number(bytes, at + 4)
    };
    let manifest = fs::read_to_string(store.join("MANIFEST")).unwrap();
    let title = manifest.lines().next().unwrap();
    let mut formats = BTreeSet::from([("MANIFEST", title.rsplit(' ').next().unwrap().parse().unwrap())]);
    let all = |folder: &str| files(&store.join(folder)).into_iter().map(|path| fs::read(path).unwrap());
    formats.extend(all("segments").map(|bytes| ("segment", number(&bytes, 8))));
    formats.extend(all("dedupe").map(|bytes| ("run", behind(&bytes, b"TSDR"))));
    // A log file that was never used is all zeros.
    let used = all("wal").filter(|bytes| bytes.starts_with(b"TSWL"));
    formats.extend(used.map(|bytes| ("log", number(&bytes, 4))));
    if store.join("facts").exists() {
        formats.extend(all("facts").map(|bytes| ("facts", number(&bytes, 8))));
    }
    formats
}

/// What this version writes and no golden store of a kind has.
fn formats_without_a_store(kind: &Kind, written: &Path) -> Vec<(&'static str, u32)> {
    let known: BTreeSet<_> = kind.stores().iter().flat_map(|version| formats(&version.join("store"))).collect();
    formats(written).difference(&known).copied().collect()
}

/// Run when a format has changed: `cargo test -p tallystick-event-store --test golden -- --ignored`.
#[test]
#[ignore = "writes the files of a new format"]
fn write_golden_stores() {
    let mut written = 0;
    for kind in [PLAIN, CORRECTED] {
        let scratch = tempfile::tempdir().unwrap();
        let store = (kind.write)(scratch.path());
        let content = (kind.content)(&store);
        store.close().unwrap();
        if formats_without_a_store(&kind, scratch.path()).is_empty() {
            continue;
        }
        let version = PLAIN.stores().len() + usize::from(kind.suffix == PLAIN.suffix);
        let target = kind.dir(version);
        assert!(!target.exists(), "{} is there: it is never written again", target.display());
        crash_copy(scratch.path(), &target.join("store"));
        fs::remove_file(target.join("store/LOCK")).unwrap();
        fs::write(target.join("content.txt"), content).unwrap();
        written += 1;
    }
    assert!(written > 0, "every format that is written has its golden stores");
}

#[test]
fn every_format_that_is_written_has_its_golden_stores() {
    for kind in [PLAIN, CORRECTED] {
        let scratch = tempfile::tempdir().unwrap();
        (kind.write)(scratch.path()).close().unwrap();
        let missing = formats_without_a_store(&kind, scratch.path());
        let how = "add one: cargo test -p tallystick-event-store --test golden -- --ignored";
        assert!(missing.is_empty(), "no golden store v*{} has {missing:?}; {how}", kind.suffix);
    }
}

#[test]
fn what_was_corrected_and_expired_stays_so_in_stores_of_every_format() {
    let fresh = tempfile::tempdir().unwrap();
    let all = write_corrected_store(fresh.path());
    append_golden(&all, 72, 112);
    let want_all = corrected_content(&all);
    assert!(!CORRECTED.stores().is_empty());
    for version in CORRECTED.stores() {
        let want = fs::read_to_string(version.join("content.txt")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        crash_copy(&version.join("store"), dir.path());
        let store = open(dir.path(), StoreOptions { merge_fan: 4, ..unsealed() });
        assert_eq!(corrected_content(&store), want, "{}", version.display());
        let sent = |store: &EventStore| store.stats().events + store.stats().dropped_rows;
        assert_eq!(store.verify().unwrap() + store.stats().dropped_rows, 64);
        let dropped = store.stats().dropped_rows;
        assert!(dropped > 0, "no row had gone");
        // Neither what is sent again nor a further correction brings anything back.
        append_golden(&store, 0, 72);
        assert_eq!(correct(&store, 66, Change::Amend { data: None }), Corrected::Retracted);
        assert_eq!(correct(&store, 1, Change::Retract), Corrected::AlreadySo);
        assert_eq!(correct(&store, 14, Change::Retract), Corrected::Expired);
        store.expire(&namespace("default"), "storage", at(1_000_000)).unwrap();
        store.flush_now().unwrap();
        assert_eq!((corrected_content(&store), sent(&store)), (want.clone(), 72));
        // Small segments, so that those of the golden store are among those that are merged.
        for from in (72..112).step_by(10) {
            append_golden(&store, from, from + 10);
            store.flush_now().unwrap();
        }
        wait_for_a_merge(&store);
        assert!(store.stats().dropped_rows > dropped, "no row was dropped");
        assert_eq!((corrected_content(&store), sent(&store)), (want_all.clone(), 112));
        store.close().unwrap();
        let store = open(dir.path(), unsealed());
        assert_eq!(corrected_content(&store), want_all);
        append_golden(&store, 0, 112);
        assert_eq!((corrected_content(&store), sent(&store)), (want_all.clone(), 112));
        assert_eq!(store.verify().unwrap() + store.stats().dropped_rows, 112);
    }
}

#[test]
fn stores_of_every_format_are_read_and_written_on() {
    let fresh = tempfile::tempdir().unwrap();
    let all = write_store(fresh.path());
    append_golden(&all, 72, 112);
    let (want_all, mut found) = (content(&all), 0);
    for version in PLAIN.stores() {
        let want = fs::read_to_string(version.join("content.txt")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        crash_copy(&version.join("store"), dir.path());
        let store = open(dir.path(), StoreOptions { merge_fan: 2, ..unsealed() });
        assert_eq!(content(&store), want, "{}", version.display());
        assert_eq!(store.verify().unwrap(), 64);
        // The same events again: nothing counts twice.
        append_golden(&store, 0, 72);
        store.flush_now().unwrap();
        assert_eq!((content(&store), store.stats().events), (want.clone(), 72));
        // More events, and everything merged into files of the format that is written now.
        append_golden(&store, 72, 112);
        store.flush_now().unwrap();
        wait_for_a_merge(&store);
        assert_eq!((content(&store), store.stats().events), (want_all.clone(), 112));
        store.close().unwrap();
        let store = open(dir.path(), unsealed());
        assert_eq!((content(&store), store.verify().unwrap()), (want_all.clone(), 112));
        append_golden(&store, 0, 112);
        assert_eq!(store.stats().events, 112, "an identity was lost");
        found += 1;
    }
    assert!(found > 0);
}

fn wait_for_a_merge(store: &EventStore) {
    let started = Instant::now();
    while store.stats().segment_merges == 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "nothing is merged");
        std::thread::sleep(Duration::from_millis(5));
    }
}
