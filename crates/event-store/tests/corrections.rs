//! Corrections and expiry: what was retracted or expired stays so, whatever happens to the files.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod common;

use common::*;
use std::path::Path;
use std::sync::Arc;
use tallystick_domain::event::StoredEvent;
use tallystick_domain::meter::{AggregatePlan, Aggregation, JsonPath};
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{
    Change, CorrectError, Corrected, Correction, EventStore, LiveKey, LiveMeasure, StoreOptions,
};

fn name() -> Namespace {
    Namespace::default_namespace()
}

fn correct(store: &EventStore, correction: Correction) -> Corrected {
    store.correct(&name(), vec![correction]).unwrap()[0]
}

fn listed(store: &EventStore) -> Vec<StoredEvent> {
    store.list(&everything(&name())).unwrap()
}

fn data(store: &EventStore) -> Vec<String> {
    listed(store).iter().map(|stored| stored.event.data().unwrap_or("none").to_owned()).collect()
}

/// The store after a crash, in a directory of its own.
fn after_crash(dir: &Path, options: &StoreOptions) -> (tempfile::TempDir, EventStore) {
    let copy = tempfile::tempdir().unwrap();
    crash_copy(dir, copy.path());
    let store = open(copy.path(), options.clone());
    (copy, store)
}

#[test]
fn twice_is_once_the_newest_amendment_wins_and_nothing_undoes_a_retraction() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unsealed());
    append_ok(&store, vec![event("s", "a", r#"{"v":1}"#), event("s", "b", r#"{"v":1}"#)]);
    for sealed in [false, true] {
        let id = if sealed { "a" } else { "b" };
        let amend = |v: usize| amendment("s", id, &format!(r#"{{"v":{v}}}"#));
        let steps = [
            (amend(1), Corrected::AlreadySo),
            (amend(2), Corrected::Recorded),
            (amend(2), Corrected::AlreadySo),
            (amend(3), Corrected::Recorded),
            (amend(1), Corrected::Recorded),
            (correction("s", id, Change::Amend { data: None }), Corrected::Recorded),
        ];
        for (step, expected) in steps {
            assert_eq!(correct(&store, step.clone()), expected, "{step:?}");
        }
        assert!(data(&store).contains(&"none".to_owned()));
        let steps = [
            (retraction("s", id), Corrected::Recorded),
            (retraction("s", id), Corrected::AlreadySo),
            (amend(5), Corrected::Retracted),
            (retraction("other", id), Corrected::NoSuchEvent),
        ];
        for (step, expected) in steps {
            assert_eq!(correct(&store, step.clone()), expected, "{step:?}");
        }
        store.flush_now().unwrap();
    }
    assert!(listed(&store).is_empty());
    let history = store.history(&name(), "s", "a").unwrap().unwrap();
    assert_eq!(history.original.unwrap().event.data(), Some(r#"{"v":1}"#));
    let changes: Vec<_> = history.corrections.iter().map(|correction| correction.change.clone()).collect();
    assert_eq!(changes.len(), 5);
    assert_eq!((&changes[4], &*history.corrections[4].reason), (&Change::Retract, "a was wrong"));
    assert_eq!((&*history.corrections[0].actor, history.corrections[0].known_at), ("someone", at(77)));
    assert!(store.history(&name(), "s", "c").unwrap().is_none());
    assert_eq!(store.correct(&namespace("tenant-b"), vec![retraction("s", "a")]).unwrap(), [Corrected::NoSuchEvent]);
}

#[test]
fn a_retracted_event_does_not_come_back_when_it_is_sent_again_merged_replayed_or_copied() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { merge_fan: 2, ..unsealed() };
    let store = open(dir.path(), options.clone());
    append_ok(&store, batch("x", 30));
    store.flush_now().unwrap();
    append_ok(&store, batch("y", 30));
    let expected = |store: &EventStore| {
        assert_eq!(append_ok(store, batch("x", 30)).duplicates, 30, "identities stay");
        assert_eq!(append_ok(store, batch("y", 30)).duplicates, 30);
        assert_eq!(listed(store).iter().filter(|stored| stored.event.id() == "y-4").count(), 1);
        let found = listed(store);
        assert_eq!(found.len(), 58);
        assert!(found.iter().all(|stored| stored.event.id() != "x-3" && stored.event.id() != "y-3"));
        assert!(found.iter().any(|stored| stored.event.id() == "x-4" && stored.event.data() == Some(r#"{"v":444}"#)));
        assert!(found.iter().any(|stored| stored.event.id() == "y-4" && stored.event.data() == Some(r#"{"v":444}"#)));
    };
    for of in ["x", "y"] {
        assert_eq!(correct(&store, retraction("s", &format!("{of}-3"))), Corrected::Recorded);
        assert_eq!(correct(&store, amendment("s", &format!("{of}-4"), r#"{"v":444}"#)), Corrected::Recorded);
    }
    expected(&store);
    let (crashed, replayed) = after_crash(dir.path(), &options);
    expected(&replayed);
    for round in 0..4 {
        append_ok(&replayed, vec![event("other", &format!("z-{round}"), "{}")]);
        assert_eq!(correct(&replayed, retraction("other", &format!("z-{round}"))), Corrected::Recorded);
        replayed.flush_now().unwrap();
    }
    eventually("segments are merged", || replayed.stats().segment_merges > 0);
    expected(&replayed);
    let (_copy, again) = after_crash(crashed.path(), &options);
    expected(&again);
    again.close().unwrap();
    replayed.close().unwrap();
    expected(&open(crashed.path(), options));
}

#[test]
fn corrections_without_any_event_are_sealed_and_the_log_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    append_ok(&store, batch("x", 3));
    store.flush_now().unwrap();
    for round in 0..300 {
        let text = format!(r#"{{"v":"{}{round}"}}"#, "long ".repeat(100));
        assert_eq!(correct(&store, amendment("s", "x-1", &text)), Corrected::Recorded);
    }
    store.flush_now().unwrap();
    assert!(store.stats().wal_files < 8, "{} files", store.stats().wal_files);
    let last = data(&store);
    store.close().unwrap();
    let store = open(dir.path(), small());
    assert_eq!((data(&store), store.history(&name(), "s", "x-1").unwrap().unwrap().corrections.len()), (last, 300));
    assert_eq!(files(&dir.path().join("facts")).len(), 1, "the old ones are gone");
}

#[test]
fn corrections_see_the_events_that_were_sent_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(dir.path(), unsealed()));
    let recorded: usize = std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            for n in 0..200 {
                append_ok(&store, vec![event("s", &format!("e-{n}"), "{}")]);
            }
        });
        let correcting = scope.spawn(|| {
            let try_all = || {
                let all = (0..200).map(|n| retraction("s", &format!("e-{n}"))).collect();
                let done = store.correct(&name(), all).unwrap();
                done.iter().filter(|corrected| **corrected == Corrected::Recorded).count()
            };
            let mut recorded = 0;
            while recorded < 200 {
                recorded += try_all();
            }
            recorded
        });
        sending.join().unwrap();
        correcting.join().unwrap()
    });
    assert_eq!((recorded, listed(&store).len(), store.stats().events), (200, 0, 200));
}

#[test]
fn what_is_too_large_for_the_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    append_ok(&store, batch("x", 1));
    let huge = amendment("s", "x-0", &format!(r#"{{"v":"{}"}}"#, "x".repeat(64 << 10)));
    assert!(matches!(store.correct(&name(), vec![huge]), Err(CorrectError::Append(_))));
    assert_eq!(data(&store), [r#"{"v":0}"#]);
}

#[test]
fn expired_events_are_gone_at_once_their_space_soon_and_their_identities_never() {
    let dir = tempfile::tempdir().unwrap();
    let options = unsealed();
    let store = open(dir.path(), options.clone());
    append_ok(&store, batch("old", 50));
    store.flush_now().unwrap();
    append_ok(&store, vec![event_at("s", "new", "c", 1000, "{}")]);
    let dry = store.expire_dry_run(&name(), "t", at(100)).unwrap();
    assert_eq!((dry.events, dry.oldest, dry.newest), (50, Some(at(0)), Some(at(49))));
    assert!(dry.bytes > 0 && dry.bytes < store.stats().segment_bytes);
    assert_eq!(store.expire_dry_run(&name(), "t", at(10)).unwrap().events, 10);
    assert_eq!(store.expire_dry_run(&name(), "other", at(100)).unwrap().events, 0);

    store.expire(&name(), "t", at(100)).unwrap();
    assert_eq!(ids(&store), ["new"]);
    assert_eq!(store.cut_off(&name(), "t"), Some(at(100)));
    store.expire(&name(), "t", at(7)).unwrap();
    assert_eq!(store.cut_off(&name(), "t"), Some(at(100)), "a cut-off never moves back");
    eventually("the segment is dropped", || store.stats().dropped_rows == 50 && store.stats().segments == 0);
    eventually("its file is removed", || files(&dir.path().join("segments")).is_empty());
    assert_eq!(store.expire_dry_run(&name(), "t", at(100)).unwrap().events, 0);
    assert_eq!(correct(&store, retraction("s", "old-1")), Corrected::Expired);

    let again = append_ok(&store, batch("old", 51));
    assert_eq!((again.stored, again.duplicates), (1, 50), "what expired is known, and what is new is taken");
    assert_eq!(ids(&store), ["new"]);
    let (_copy, crashed) = after_crash(dir.path(), &options);
    for store in [&store, &crashed] {
        store.flush_now().unwrap();
        assert_eq!((ids(store), append_ok(store, batch("old", 51)).duplicates), (vec!["new".to_owned()], 51));
        let stats = store.stats();
        assert_eq!((stats.events, stats.dropped_rows, store.verify().unwrap()), (1, 51, 1));
    }
}

#[test]
fn a_part_of_a_segment_expires_when_it_is_merged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), StoreOptions { merge_fan: 2, ..unsealed() });
    append_ok(&store, batch("a", 40));
    store.flush_now().unwrap();
    store.expire(&name(), "t", at(10)).unwrap();
    assert_eq!((ids(&store).len(), store.stats().events), (30, 40));
    for round in 0..3 {
        append_ok(&store, batch(&format!("b{round}"), 40));
        store.flush_now().unwrap();
    }
    eventually("merging drops them", || store.stats().segment_merges > 0 && store.stats().dropped_rows == 40);
    assert_eq!((ids(&store).len(), store.stats().events), (120, 120));
    assert_eq!(store.verify().unwrap(), 120);
}

#[test]
fn a_facts_file_that_is_damaged_or_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unsealed());
    append_ok(&store, batch("x", 3));
    correct(&store, retraction("s", "x-1"));
    store.flush_now().unwrap();
    store.close().unwrap();
    let path = files(&dir.path().join("facts"))[0].clone();
    flip_bit(&path, 60, 3);
    let error = open_error(dir.path(), unsealed()).to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = open_error(dir.path(), unsealed()).to_string();
    assert!(error.contains(path.to_str().unwrap()), "{error}");
}

fn value() -> JsonPath {
    JsonPath::parse("$.v").unwrap()
}

/// The sum of `$.v` over all events of the type, as they are known now or were then.
fn sum_as_of(store: &EventStore, known_until: Option<Instant>) -> String {
    let plan = AggregatePlan {
        namespace: name(),
        event_type: "t".into(),
        from: None,
        to: None,
        aggregation: Aggregation::Sum,
        value: Some(value()),
        dimensions: vec![],
        filters: vec![],
        customers: None,
        windows: None,
        known_until,
    };
    store.aggregate(&plan).unwrap().first().map_or("none".into(), |row| row.value.to_string())
}

/// The sum over all events of the type, and the live total of the subject `c`.
fn totals(store: &EventStore) -> (String, String) {
    let key = LiveKey {
        measure: Arc::new(LiveMeasure {
            namespace: name(),
            event_type: "t".into(),
            aggregation: Aggregation::Sum,
            value: Some(value()),
            filters: vec![],
        }),
        subject: "c".into(),
        from: None,
    };
    let sum = sum_as_of(store, None);
    // Asked twice: the second answer is the one that is being kept.
    let total = |_| store.live_total(&key).unwrap().map_or("none".into(), |total| total.to_string());
    let asked: Vec<String> = (0..2).map(total).collect();
    assert_eq!(asked[0], asked[1]);
    (sum, asked[0].clone())
}

#[test]
fn the_past_is_as_it_was_known_then_but_for_what_expired() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { wal_file_bytes: 4 << 20, ..unsealed() };
    let mut store = open(dir.path(), options.clone());
    // Accepted from 5 on, one each microsecond.
    append_ok(&store, (0..20_000).map(|n| event_at("s", &format!("e-{n}"), "c", n, r#"{"v":1}"#)).collect());
    let at_known = |micros: i64, change: Correction| Correction { known_at: at(micros), ..change };
    correct(&store, at_known(50_000, amendment("s", "e-100", r#"{"v":100}"#)));
    correct(&store, at_known(60_000, amendment("s", "e-100", r#"{"v":5}"#)));
    correct(&store, at_known(70_000, retraction("s", "e-100")));
    correct(&store, at_known(70_000, retraction("s", "e-101")));
    let past =
        [(4, "none"), (5, "1"), (14, "10"), (49_999, "20000"), (50_000, "20099"), (60_000, "20004"), (70_000, "19998")];
    for sealed in [false, true] {
        for (micros, expected) in past {
            assert_eq!(sum_as_of(&store, Some(at(micros))), expected, "at {micros}, sealed: {sealed}");
        }
        // Nothing of the past is kept for the present.
        assert_eq!(sum_as_of(&store, None), "19998");
        store.flush_now().unwrap();
    }
    store.expire(&name(), "t", at(1_000)).unwrap();
    store.close().unwrap();
    store = open(dir.path(), options);
    assert_eq!(sum_as_of(&store, Some(at(50_000))), "19000");
}

#[test]
fn an_event_is_listed_with_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unsealed());
    append_ok(
        &store,
        vec![event("s", "a", r#"{"v":1}"#), event("s", "b", r#"{"v":2}"#), event("s", "c", r#"{"v":3}"#)],
    );
    correct(&store, amendment("s", "a", r#"{"v":9}"#));
    correct(&store, retraction("s", "a"));
    correct(&store, retraction("s", "b"));
    for _ in 0..2 {
        let histories = store.list_histories(&everything(&name()), None).unwrap();
        let shown = histories.iter().map(|history| {
            let original = history.original.as_ref().unwrap();
            (original.event.data().unwrap(), history.corrections.iter().map(|known| &known.change).collect::<Vec<_>>())
        });
        let amended = Change::Amend { data: Some(r#"{"v":9}"#.into()) };
        let expected = [
            (r#"{"v":1}"#, vec![&amended, &Change::Retract]),
            (r#"{"v":2}"#, vec![&Change::Retract]),
            (r#"{"v":3}"#, vec![]),
        ];
        assert_eq!(shown.collect::<Vec<_>>(), expected);
        store.flush_now().unwrap();
    }
}

#[test]
fn kept_results_and_live_totals_do_not_outlive_a_correction_or_an_expiry() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), StoreOptions { wal_file_bytes: 4 << 20, ..unsealed() });
    let events = (0..20_000).map(|n| event_at("s", &format!("e-{n}"), "c", n, r#"{"v":1}"#)).collect();
    append_ok(&store, events);
    store.flush_now().unwrap();
    let both = |total: &str| (total.to_owned(), total.to_owned());
    for _ in 0..2 {
        assert_eq!(totals(&store), both("20000"));
    }
    correct(&store, retraction("s", "e-7"));
    assert_eq!(totals(&store), both("19999"));
    correct(&store, amendment("s", "e-19999", r#"{"v":5.5}"#));
    assert_eq!(totals(&store), both("20003.5"));
    store.expire(&name(), "t", at(10_000)).unwrap();
    assert_eq!(totals(&store), both("10004.5"));
    append_ok(
        &store,
        vec![event_at("s", "late", "c", 9_999, r#"{"v":1}"#), event_at("s", "new", "c", 3, r#"{"v":1}"#)],
    );
    assert_eq!(totals(&store), both("10004.5"), "what comes after it expired does not count");
    append_ok(&store, vec![event_at("s", "young", "c", 30_000, r#"{"v":1}"#)]);
    assert_eq!(totals(&store), both("10005.5"));
    store.flush_now().unwrap();
    store.close().unwrap();
    assert_eq!(totals(&open(dir.path(), unsealed())), both("10005.5"));
}

#[test]
fn a_restored_backup_keeps_what_was_corrected_and_expired_and_takes_further_facts() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path(), unsealed());
    let events = || (0..20).map(|n| event_at("s", &format!("e-{n}"), "c", n, r#"{"v":1}"#)).collect::<Vec<_>>();
    append_ok(&store, events());
    correct(&store, retraction("s", "e-7"));
    correct(&store, amendment("s", "e-8", r#"{"v":2}"#));
    store.expire(&name(), "t", at(5)).unwrap();
    let (wanted, target) = (data(&store), copy.path().join("copy"));
    assert_eq!(wanted.len(), 14);
    store.backup(&target, &|_| std::ops::ControlFlow::Continue(())).unwrap();
    store.close().unwrap();
    let restored = open(&target, unsealed());
    assert_eq!(data(&restored), wanted);
    assert_eq!(append_ok(&restored, events()).duplicates, 20, "what is gone is still known");
    assert_eq!(correct(&restored, retraction("s", "e-9")), Corrected::Recorded);
    assert_eq!(data(&restored).len(), 13);
    restored.close().unwrap();
    assert_eq!(data(&open(&target, unsealed())).len(), 13, "a fact that came after the restore lasts");
}
