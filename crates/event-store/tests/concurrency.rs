//! Many senders, readers in between, and bounds on memory.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod common;

use common::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tallystick_domain::Namespace;
use tallystick_domain::meter::{AggregatePlan, Aggregation};
use tallystick_event_store::{AppendError, EventStore, LiveKey, LiveMeasure, StoreOptions};

#[test]
fn one_of_many_equal_events_sent_at_once_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    for round in 0..20 {
        let events = batch(&format!("round-{round}"), 3);
        let reports = runtime.block_on(async {
            let send = |_| {
                let (store, events) = (store.clone(), events.clone());
                tokio::spawn(async move { store.append(&Namespace::default_namespace(), events).await.unwrap() })
            };
            let tasks: Vec<_> = (0..64).map(send).collect();
            let mut reports = Vec::new();
            for task in tasks {
                reports.push(task.await.unwrap());
            }
            reports
        });
        assert_eq!(reports.iter().map(|report| report.stored).sum::<u64>(), 3);
        assert_eq!(reports.iter().map(|report| report.duplicates).sum::<u64>(), 63 * 3);
        if round % 5 == 4 {
            store.flush_now().unwrap();
        }
    }
    assert_eq!(ids(&store).len(), 60);
    assert!(store.stats().groups < 20 * 64, "senders share a sync");
}

/// The number of all events of `batch`, kept under a key of this number.
fn count_key(number: i64) -> LiveKey {
    LiveKey {
        measure: Arc::new(LiveMeasure {
            namespace: Namespace::default_namespace(),
            event_type: "t".into(),
            aggregation: Aggregation::Count,
            value: None,
            filters: vec![],
        }),
        subject: "c".into(),
        from: Some(at(-number)),
    }
}

/// The same number, by a query.
fn count_by_query(store: &EventStore) -> i128 {
    let plan = AggregatePlan {
        namespace: Namespace::default_namespace(),
        event_type: "t".into(),
        from: None,
        to: None,
        aggregation: Aggregation::Count,
        value: None,
        dimensions: vec![],
        filters: vec![],
        customers: None,
        windows: None,
        known_until: None,
    };
    store.aggregate(&plan).unwrap().first().map_or(0, |row| row.value.mantissa())
}

#[test]
fn a_live_total_that_starts_while_events_come_in_misses_none_and_counts_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    let (done, acknowledged, started) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let bases = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for reader in 0..2i64 {
            let (store, acknowledged, done, started, bases) = (&store, &acknowledged, &done, &started, &bases);
            scope.spawn(move || {
                let mut number = 0;
                while !done.load(Ordering::SeqCst) {
                    let before = acknowledged.load(Ordering::SeqCst) as i128;
                    // Half of the keys are new to both readers, the others are of both.
                    let key = number + reader * (number % 2) * 1_000_000;
                    let counted = store.live_count(&count_key(key)).unwrap().unwrap();
                    let total = counted.total.map_or(0, |total| total.mantissa());
                    assert!(total >= before, "{before} were acknowledged, {total} are counted");
                    // What had come before a start is the same for whoever asks, also while another is reading it.
                    let base = total - i128::from(counted.seen);
                    let known = *bases.lock().unwrap().entry((key, counted.start)).or_insert(base);
                    assert_eq!(known, base, "{counted:?}");
                    number += 1;
                    started.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        for round in 0..150 {
            acknowledged.fetch_add(append_ok(&store, batch(&format!("r{round}"), 7)).stored as usize, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    });
    let kept = store.stats().live_counters;
    assert!(kept > 10, "{kept}");
    let known =
        |number| store.known_total(&count_key(number)).map(|total| total.unwrap().map(|total| total.mantissa()));
    let all = (0..started.into_inner() as i64).flat_map(|number| [number, number + 1_000_000]);
    let all: Vec<i64> = all.filter(|number| known(*number).is_some()).collect();
    assert_eq!(all.len() as u64, kept);
    assert!(all.iter().all(|number| known(*number) == Some(Some(150 * 7))));
    store.flush_now().unwrap();
    assert_eq!(known(all[0]), Some(Some(150 * 7)), "sealing changes no total");
}

#[test]
fn a_query_sees_what_a_count_told_before_and_a_count_what_a_query_saw() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    let (done, compared) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let count = || store.live_count(&count_key(0)).unwrap().unwrap().total.map_or(0, |total| total.mantissa());
            while !done.load(Ordering::SeqCst) {
                let (before, queried, after) = (count(), count_by_query(&store), count());
                assert!(before <= queried && queried <= after, "{before}, {queried}, {after}");
                compared.fetch_add(1, Ordering::SeqCst);
            }
        });
        append_batches(&store, "r", 100, 40);
        eventually("counts and queries", || compared.load(Ordering::SeqCst) > 10);
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn every_reader_sees_every_acknowledged_event_exactly_once_at_every_moment() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    let (done, acknowledged, reads) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    let before = acknowledged.load(Ordering::SeqCst);
                    let seen = ids(&store);
                    let unique: BTreeSet<_> = seen.iter().collect();
                    assert_eq!(unique.len(), seen.len(), "no event twice");
                    assert!(seen.len() >= before, "{before} were acknowledged, {} are seen", seen.len());
                    assert_eq!(seen.len() % 5, 0, "a batch is seen as a whole");
                    reads.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut n = 0;
        // Until everything that moves rows has happened under the readers' eyes.
        while (store.stats().segment_merges < 3 || store.stats().run_merges < 1 || reads.load(Ordering::SeqCst) < 20)
            && Instant::now() < deadline
        {
            append_ok(&store, batch(&format!("b{n}"), 5));
            acknowledged.fetch_add(5, Ordering::SeqCst);
            n += 1;
            if n % 20 == 0 {
                store.flush_now().unwrap();
            }
        }
        done.store(true, Ordering::SeqCst);
    });
    let stats = store.stats();
    assert!(stats.segment_merges >= 3 && stats.run_merges >= 1, "{stats:?}");
    store.flush_now().unwrap();
    let sent = acknowledged.load(Ordering::SeqCst);
    assert_eq!((ids(&store).len(), store.verify().unwrap()), (sent, sent as u64));
}

#[test]
fn a_hundred_memtables_of_events_stay_queryable_in_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { memtable_bytes: 64 << 10, wal_file_bytes: 64 << 10, ..StoreOptions::new([1; 16]) };
    let bound = 3 * options.memtable_bytes as u64 + (64 << 10);
    let store = open(dir.path(), options.clone());
    let (mut sent, mut weight, mut most) = (0u64, 0usize, 0);
    while weight < 100 * options.memtable_bytes {
        let events = batch(&format!("b{sent}"), 50);
        weight += events.iter().map(|stored| stored.event.weight()).sum::<usize>();
        sent += append_ok(&store, events).stored;
        most = most.max(store.stats().memtable_bytes);
    }
    assert!(most <= bound, "{most} bytes of rows in memory, at most {bound} are allowed");
    store.flush_now().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.stats().runs > 8 || store.stats().segments > 40 {
        assert!(Instant::now() < deadline, "files are merged: {:?}", store.stats());
        std::thread::sleep(Duration::from_millis(5));
    }
    let stats = store.stats();
    assert_eq!((stats.events, stats.segment_rows, stats.memtable_bytes), (sent, sent, 0));
    assert!(stats.wal_files <= 6, "{} log files", stats.wal_files);
    assert_eq!(ids(&store).len() as u64, sent);
    assert_eq!(append_ok(&store, batch("b0", 50)).duplicates, 50, "the first events are still known");
    store.close().unwrap();
    let reopened = open(dir.path(), options);
    reopened.flush_now().unwrap();
    assert_eq!((ids(&reopened).len() as u64, reopened.verify().unwrap()), (sent, sent));
}

#[test]
fn files_that_were_merged_away_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    for n in 0..30 {
        append_ok(&store, batch(&format!("b{n}"), 5));
        store.flush_now().unwrap();
    }
    let on_disk = |folder: &str| files(&dir.path().join(folder)).len() as u64;
    let deadline = Instant::now() + Duration::from_secs(20);
    while store.stats().segments > 20
        || on_disk("segments") != store.stats().segments
        || on_disk("dedupe") != store.stats().runs
    {
        assert!(Instant::now() < deadline, "{:?}, {} files", store.stats(), on_disk("segments"));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(store.stats().segment_merges > 0);
}

#[test]
fn what_cannot_be_stored_as_one_is_refused_with_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    let large = vec![event("s", "large", &format!(r#"{{"v":"{}"}}"#, "x".repeat(20_000)))];
    let refused = append(&store, &namespace("default"), large).unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { limit, .. } if limit < 16 << 10), "{refused}");
    let options = StoreOptions { queue_bytes: 1000, ..small() };
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), options);
    let refused = append(&store, &namespace("default"), batch("b", 20)).unwrap_err();
    assert!(matches!(refused, AppendError::TooLarge { limit: 1000, .. }), "{refused}");
    assert_eq!(append_ok(&store, batch("b", 1)).stored, 1);
    assert_eq!(append_ok(&store, vec![]).stored, 0);
}
