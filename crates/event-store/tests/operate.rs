//! What the people who run the store rely on: the check of everything, backups, the copy in another format, the numbers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::*;
use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tallystick_domain::Namespace;
use tallystick_event_store::{EventStore, Progress, StoreError, Verification};

fn go_on(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A store with several segments and runs, and with events that are only in the log.
fn filled(dir: &Path) -> EventStore {
    let store = open(dir, small());
    append_batches(&store, "a", 40, 20);
    store.flush_now().unwrap();
    append_batches(&store, "tail", 3, 5);
    assert!(store.stats().segments > 0 && store.stats().memtable_rows > 0);
    store
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path, extension)),
            false if path.extension().is_some_and(|found| found == extension) => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

fn flip(path: &Path, at: u64) {
    let mut bytes = fs::read(path).unwrap();
    let place = (at % bytes.len() as u64) as usize;
    bytes[place] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

fn only_damage(report: &Verification) -> &Path {
    assert_eq!(report.damages.len(), 1, "{:?}", report.damages);
    &report.damages[0].path
}

#[test]
fn a_sound_store_is_counted_the_same_open_and_closed() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let open = store.verify_all(&go_on).unwrap();
    assert_eq!(open.damages, []);
    assert_eq!((open.segment_rows + open.log_rows, open.identities), (815, open.segment_rows));
    assert!(open.log_rows >= 15 && open.bytes > 0 && open.runs > 0);
    assert!(matches!(EventStore::verify_closed(dir.path(), &go_on), Err(StoreError::Locked { .. })));
    store.close().unwrap();
    let closed = EventStore::verify_closed(dir.path(), &go_on).unwrap();
    assert_eq!(closed.damages, []);
    assert_eq!(closed.segment_rows + closed.log_rows, 815);
}

#[test]
fn each_damaged_file_is_named_and_the_others_are_still_read() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).close().unwrap();
    let (segments, runs) = (files(dir.path(), "seg"), files(dir.path(), "run"));
    for path in segments.iter().chain(&runs) {
        for at in [40, 700, u64::MAX / 3] {
            let good = fs::read(path).unwrap();
            flip(path, at);
            let report = EventStore::verify_closed(dir.path(), &go_on).unwrap();
            assert_eq!(only_damage(&report), path);
            fs::write(path, good).unwrap();
        }
    }
    for path in [&segments[0], &runs[0]] {
        flip(path, 100);
    }
    let report = EventStore::verify_closed(dir.path(), &go_on).unwrap();
    let named: BTreeSet<_> = report.damages.iter().map(|damage| damage.path.as_path()).collect();
    assert_eq!(named, BTreeSet::from([segments[0].as_path(), runs[0].as_path()]));
}

#[test]
fn a_missing_file_and_a_damaged_manifest_or_log_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    append_batches(&store, "more", 4, 5);
    store.close().unwrap();
    let manifest = dir.path().join("MANIFEST");
    let good = fs::read(&manifest).unwrap();
    flip(&manifest, 60);
    assert_eq!(only_damage(&EventStore::verify_closed(dir.path(), &go_on).unwrap()), manifest);
    fs::write(&manifest, good).unwrap();
    let segment = files(dir.path(), "seg").remove(0);
    let away = dir.path().join("away");
    fs::rename(&segment, &away).unwrap();
    assert_eq!(only_damage(&EventStore::verify_closed(dir.path(), &go_on).unwrap()), segment);
    fs::rename(&away, &segment).unwrap();
    assert_eq!(EventStore::verify_closed(dir.path(), &go_on).unwrap().damages, []);
    // Every frame of the log that is not sealed was durable when the store was closed.
    for log in files(dir.path(), "wal") {
        let bytes = fs::read(&log).unwrap();
        let mut broken = bytes.clone();
        broken[BLOCK..].iter_mut().for_each(|byte| *byte = !*byte);
        fs::write(&log, broken).unwrap();
        let report = EventStore::verify_closed(dir.path(), &go_on).unwrap();
        let is_spare = report.damages.is_empty() && report.log_rows > 0;
        assert!(is_spare || only_damage(&report).starts_with(dir.path().join("wal")), "{report:?}");
        fs::write(&log, bytes).unwrap();
    }
}

#[test]
fn a_run_of_other_identities_is_found_though_its_checksums_fit() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (dir, name) in [(&dir, "one"), (&other, "two")] {
        let store = open(dir.path(), unsealed());
        append_batches(&store, name, 1, 50);
        store.flush_now().unwrap();
        store.close().unwrap();
    }
    fs::copy(&files(other.path(), "run")[0], &files(dir.path(), "run")[0]).unwrap();
    let report = EventStore::verify_closed(dir.path(), &go_on).unwrap();
    assert_eq!(only_damage(&report), dir.path().join("MANIFEST"));
    assert!(report.damages[0].what.contains("identities"), "{:?}", report.damages);
}

#[test]
fn a_running_store_is_sound_while_events_come_and_segments_are_merged() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                append_ok(&store, batch(&format!("busy{n}"), 30));
                if done.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        for _ in 0..15 {
            assert_eq!(store.verify_all(&go_on).unwrap().damages, []);
        }
        done.store(true, Ordering::SeqCst);
    });
}

#[test]
fn who_watches_sees_it_go_on_and_can_end_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let last = AtomicU64::new(0);
    let watch = |progress: Progress| {
        assert!(progress.done <= progress.total, "{progress:?}");
        last.store(progress.done, Ordering::SeqCst);
        ControlFlow::Continue(())
    };
    store.verify_all(&watch).unwrap();
    assert!(last.load(Ordering::SeqCst) > 0);
    let end = |_: Progress| ControlFlow::Break(());
    assert!(matches!(store.verify_all(&end), Err(StoreError::Cancelled)));
    let target = tempfile::tempdir().unwrap();
    assert!(matches!(store.backup(target.path(), &end), Err(StoreError::Cancelled)));
    assert!(!target.path().join("MANIFEST").exists(), "what was not finished is no store");
}

#[test]
fn a_backup_under_load_opens_as_a_prefix_and_knows_its_identities() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let before = store.stats().events;
    let target = tempfile::tempdir().unwrap();
    let (done, made) = (AtomicBool::new(false), AtomicU64::new(0));
    let backup = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                append_ok(&store, batch(&format!("busy{}", made.fetch_add(1, Ordering::SeqCst)), 10));
            }
        });
        while made.load(Ordering::SeqCst) < 20 {
            std::thread::yield_now();
        }
        let backup = store.backup(target.path(), &go_on).unwrap();
        done.store(true, Ordering::SeqCst);
        backup
    });
    assert!(backup.events >= before + 190 && files(target.path(), "wal").is_empty());
    for file in &backup.files {
        let bytes = fs::read(target.path().join(&file.path)).unwrap();
        assert_eq!((bytes.len() as u64, crc32c::crc32c(&bytes)), (file.bytes, file.crc32c), "{:?}", file.path);
    }
    let checked = EventStore::verify_closed(target.path(), &go_on).unwrap();
    assert_eq!((checked.damages.len(), checked.segment_rows), (0, backup.events));
    let copy = open(target.path(), small());
    let of_batch = |id: &str| id.strip_prefix("busy").and_then(|rest| rest.split('-').next()?.parse::<u64>().ok());
    let kept: BTreeSet<u64> = ids(&copy).iter().filter_map(|id| of_batch(id)).collect();
    assert!(kept.iter().copied().eq(0..kept.len() as u64), "batches in the order in which they were acknowledged");
    for n in 0..kept.len() {
        assert_eq!(append_ok(&copy, batch(&format!("busy{n}"), 10)).duplicates, 10);
    }
    assert_eq!(append_ok(&copy, batch("new", 7)).stored, 7);
    copy.close().unwrap();
    assert_eq!(ids(&open(target.path(), small())).len() as u64, backup.events + 7);
}

#[test]
fn a_backup_does_not_go_over_a_store() {
    let (dir, target) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = filled(dir.path());
    store.backup(target.path(), &go_on).unwrap();
    let taken = fs::read(target.path().join("MANIFEST")).unwrap();
    assert!(matches!(store.backup(target.path(), &go_on), Err(StoreError::Io { .. })));
    assert_eq!(fs::read(target.path().join("MANIFEST")).unwrap(), taken);
}

#[test]
fn an_export_hands_out_every_event_once_type_by_type() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    append(&store, &namespace("other"), batch("x", 11)).unwrap();
    let mut seen: Vec<(String, String)> = Vec::new();
    store
        .export(&mut |namespace, stored| {
            seen.push((namespace.to_string(), stored.event.id().to_owned()));
            Ok(())
        })
        .unwrap();
    let namespaces: Vec<_> = seen.iter().map(|(namespace, _)| namespace).collect();
    assert!(namespaces.is_sorted());
    let unique: BTreeSet<_> = seen.iter().collect();
    assert_eq!((unique.len(), seen.len()), (826, 826));
    let mut count = 0;
    let ended = store.export(&mut |_, _| {
        count += 1;
        if count == 5 { Err(StoreError::Cancelled) } else { Ok(()) }
    });
    assert!(matches!(ended, Err(StoreError::Cancelled)) && count == 5);
}

#[test]
fn the_content_adds_up_by_file_and_by_type() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    append(&store, &namespace("other"), batch("x", 11)).unwrap();
    let (content, stats) = (store.content().unwrap(), store.stats());
    assert_eq!(content.segments.iter().map(|segment| segment.rows).sum::<u64>(), stats.segment_rows);
    assert_eq!(content.segments.iter().map(|segment| segment.bytes).sum::<u64>(), stats.segment_bytes);
    assert_eq!(content.runs.iter().map(|run| run.bytes).sum::<u64>(), stats.run_bytes);
    let on_disk: u64 = files(dir.path(), "run").iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert_eq!(stats.run_bytes, on_disk);
    let types: Vec<_> =
        content.types.iter().map(|of| (of.namespace.as_str(), of.event_type.as_str(), of.events)).collect();
    assert_eq!(types, [(Namespace::default_namespace().as_str(), "t", 815), ("other", "t", 11)]);
    assert_eq!((content.types[1].first, content.types[1].last), (at(0), at(10)));
    assert!(content.sample.events > 0 && content.sample.raw_bytes > content.sample.stored_bytes);
}

#[test]
fn what_happens_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    let before = (store.stats(), store.histograms());
    append_ok(&store, batch("a0", 20));
    append_ok(&store, batch("fresh", 20));
    ids(&store);
    let (stats, histograms) = (store.stats(), store.histograms());
    assert_eq!(stats.duplicates, before.0.duplicates + 20);
    assert!(stats.filter_lookups >= before.0.filter_lookups + 40);
    assert!(stats.filter_passes >= before.0.filter_passes + 20);
    assert!(stats.filter_passes < stats.filter_lookups);
    assert_eq!(histograms.group_rows.count(), before.1.group_rows.count() + 1);
    assert_eq!(histograms.group_rows.sum, before.1.group_rows.sum + 20);
    assert_eq!(histograms.sync_us.count(), stats.groups);
    assert_eq!(histograms.list_us.count(), before.1.list_us.count() + 1);
}
