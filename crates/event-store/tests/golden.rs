//! Stores as earlier versions wrote them, opened by this one: every format that was ever released stays readable.
//!
//! `tests/golden/vN/store` is a store directory of format N, `tests/golden/vN/content.txt` what is in it. A new format
//! gets a new directory from `write_golden_store`; what is there is never written again.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod common;

use common::*;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use tallystick_domain::event::{Event, EventParts, StoredEvent};
use tallystick_domain::meter::{AggregatePlan, Aggregation, Dimension, JsonPath};
use tallystick_event_store::{EventStore, StoreOptions};

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
        dimensions: vec![Dimension::Property(JsonPath::parse("$.model").unwrap())],
        filters: vec![],
        customers: None,
    }
}

fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Run once when a format changes, then give the new directory its name:
/// `cargo test -p tallystick-event-store --test golden -- --ignored`.
#[test]
#[ignore = "writes the files of a new format"]
fn write_golden_store() {
    let target = golden_dir().join("new");
    assert!(!target.exists(), "{} waits for its name", target.display());
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path(), StoreOptions { merge_fan: 8, ..unsealed() });
    append_golden(&store, 0, 40);
    store.flush_now().unwrap();
    append_golden(&store, 40, 64);
    store.flush_now().unwrap();
    append_golden(&store, 64, 72);
    let content = content(&store);
    store.close().unwrap();
    crash_copy(scratch.path(), &target.join("store"));
    fs::remove_file(target.join("store/LOCK")).unwrap();
    fs::write(target.join("content.txt"), content).unwrap();
}

#[test]
fn stores_of_every_format_are_read_and_written_on() {
    let mut found = 0;
    for version in fs::read_dir(golden_dir()).unwrap() {
        let version = version.unwrap().path();
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
        store.close().unwrap();
        let store = open(dir.path(), unsealed());
        assert_eq!((content(&store), store.verify().unwrap()), (want, 72));
        found += 1;
    }
    assert!(found > 0);
}
