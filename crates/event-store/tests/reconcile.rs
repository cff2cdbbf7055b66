//! The ledger and the recount: what was accepted is there, whatever became of it, and a lost event is seen.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod common;

use common::*;
use std::collections::BTreeMap;
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{EventStore, HourTally, StoreOptions};

fn tallies(store: &EventStore) -> Vec<HourTally> {
    let judge = |stored: &tallystick_domain::event::StoredEvent| match stored.event.data() {
        Some(text) if text.contains("bad") => "not_numeric",
        _ => "counted",
    };
    store.reconcile(&Namespace::default_namespace(), Instant::MIN, Instant::MAX, &judge).unwrap()
}

/// New, duplicates, and what was found, over all hours and sources.
fn sums(store: &EventStore) -> (u64, u64, BTreeMap<&'static str, u64>) {
    let mut sum = (0, 0, BTreeMap::new());
    for tally in tallies(store) {
        sum.0 += tally.new;
        sum.1 += tally.duplicates;
        for (what, count) in &tally.found {
            *sum.2.entry(*what).or_default() += count;
        }
    }
    sum
}

fn found(pairs: &[(&'static str, u64)]) -> BTreeMap<&'static str, u64> {
    pairs.iter().copied().collect()
}

#[test]
fn every_accepted_event_is_accounted_for_through_sealing_merging_expiry_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { merge_fan: 2, ..unsealed() };
    let mut store = open(dir.path(), options.clone());
    append_ok(&store, batch("a", 50));
    append_ok(&store, vec![event("other", "x", r#"{"v":"bad"}"#)]);
    append_ok(&store, batch("a", 20));
    let expected = (51, 20, found(&[("counted", 50), ("not_numeric", 1)]));
    assert_eq!(sums(&store), expected, "before anything is sealed");
    store.flush_now().unwrap();
    assert_eq!(sums(&store), expected);
    let name = Namespace::default_namespace();
    store.correct(&name, vec![retraction("s", "a-49"), amendment("s", "a-48", r#"{"v":"bad"}"#)]).unwrap();
    store.expire(&name, "t", at(10)).unwrap();
    // The other event happened at the beginning too.
    let expected = (51, 20, found(&[("counted", 38), ("expired", 11), ("not_numeric", 1), ("retracted", 1)]));
    assert_eq!(sums(&store), expected);
    for round in 0..3 {
        append_ok(&store, batch(&format!("m{round}"), 50));
        store.flush_now().unwrap();
    }
    eventually("merging drops them", || store.stats().dropped_rows == 41);
    let expected = (201, 20, found(&[("counted", 158), ("expired", 41), ("not_numeric", 1), ("retracted", 1)]));
    assert_eq!(sums(&store), expected);
    append_ok(&store, batch("a", 3));
    append_ok(&store, vec![event_at("s", "late", "c", 1, "{}")]);
    let expected = (202, 23, found(&[("counted", 158), ("expired", 42), ("not_numeric", 1), ("retracted", 1)]));
    for _ in 0..2 {
        assert_eq!(sums(&store), expected);
        assert!(tallies(&store).iter().all(HourTally::balances));
        store.close().unwrap();
        store = open(dir.path(), options.clone());
        store.flush_now().unwrap();
    }
}

#[test]
fn a_crash_loses_of_the_duplicates_only_those_that_no_frame_followed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unsealed());
    append_ok(&store, batch("a", 10));
    append_ok(&store, batch("a", 10));
    append_ok(&store, batch("b", 1));
    append_ok(&store, batch("a", 5));
    assert_eq!((sums(&store).0, sums(&store).1), (11, 15));
    let copy = tempfile::tempdir().unwrap();
    crash_copy(dir.path(), copy.path());
    let crashed = open(copy.path(), unsealed());
    assert_eq!((sums(&crashed).0, sums(&crashed).1), (11, 10));
    store.close().unwrap();
    assert_eq!(sums(&open(dir.path(), unsealed())).1, 15, "a clean end loses none");
}

#[test]
fn an_event_that_is_lost_behind_the_back_of_the_store_does_not_balance() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unsealed());
    append_ok(&store, batch("a", 10));
    store.flush_now().unwrap();
    append_ok(&store, batch("b", 1));
    store.flush_now().unwrap();
    store.close().unwrap();
    // As if the segment had never been there: whoever does this has to fit the MANIFEST too.
    let path = dir.path().join("MANIFEST");
    let text = std::fs::read_to_string(&path).unwrap();
    let kept: Vec<_> = text.lines().filter(|line| !line.starts_with("checksum")).collect();
    let lost = kept.iter().rposition(|line| line.starts_with("segment")).unwrap();
    let without: Vec<_> = kept.iter().enumerate().filter(|(place, _)| *place != lost).map(|(_, line)| *line).collect();
    let body = without.join("\n") + "\n";
    let checksum = crc32c::crc32c(body.as_bytes());
    std::fs::write(&path, format!("{body}checksum {checksum:08x}\n")).unwrap();
    let store = open(dir.path(), unsealed());
    assert_eq!((sums(&store).0, sums(&store).2), (11, found(&[("counted", 10)])));
    assert!(tallies(&store).iter().any(|tally| !tally.balances()));
}

#[test]
fn a_store_of_the_first_format_gets_its_ledger_from_its_segments() {
    let dir = tempfile::tempdir().unwrap();
    crash_copy(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1/store"), dir.path());
    let store = open(dir.path(), unsealed());
    let tallies = tallies(&store);
    assert!(tallies.len() > 1 && tallies.iter().all(HourTally::balances));
}
