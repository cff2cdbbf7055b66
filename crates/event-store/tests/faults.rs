//! A full disk and a failing one. A device file in the place where the store makes its next file answers as such a disk:
//! `/dev/full` has no space, `/dev/zero` takes every write and cannot be synced.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod common;

use common::*;
use std::os::unix::fs::symlink;
use std::path::Path;
use tallystick_event_store::{AppendError, EventStore, StoreError, StoreOptions};

fn append_one(store: &EventStore, id: &str) -> Result<(), AppendError> {
    append(store, &namespace("default"), vec![event("s", id, "{}")]).map(drop)
}

/// A store that never seals by itself and makes a log file only when it needs it.
fn unhurried() -> StoreOptions {
    StoreOptions { log_ahead: false, ..unsealed() }
}

#[test]
fn a_full_disk_for_the_log_refuses_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unhurried());
    symlink("/dev/full", dir.path().join("wal/0000000000000001.wal")).unwrap();
    let refused = append_one(&store, "a").unwrap_err();
    assert!(matches!(refused, AppendError::Full(_)), "{refused}");
    assert!(store.check_writable().is_ok() && ids(&store).is_empty(), "nothing of it is stored");
    // The failed attempt removed its file, and with it the full disk.
    append_one(&store, "a").unwrap();
    append_one(&store, "b").unwrap();
    drop(store);
    assert_eq!(sorted_ids(&open(dir.path(), unhurried())), ["a", "b"]);
}

#[test]
fn a_disk_that_cannot_sync_stops_the_store_for_good_and_queries_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), unhurried());
    append_one(&store, "before").unwrap();
    symlink("/dev/zero", dir.path().join("wal/0000000000000002.wal")).unwrap();
    let refused = (0..20).find_map(|n| append_one(&store, &format!("more-{n}")).err()).expect("the second file fails");
    assert!(matches!(&refused, AppendError::Stopped(reason) if reason.contains("0000000000000002.wal")), "{refused}");
    let stored = ids(&store);
    assert!(stored.contains(&"before".to_string()));
    assert!(matches!(append_one(&store, "again"), Err(AppendError::Stopped(_))), "it does not try again");
    assert!(matches!(store.check_writable(), Err(StoreError::Stopped { .. })));
    assert!(matches!(store.flush_now(), Err(StoreError::Stopped { .. })));
    assert!(store.close().is_err(), "it did not end well");
    let _ = std::fs::remove_file(dir.path().join("wal/0000000000000002.wal"));
    let reopened = open(dir.path(), unhurried());
    assert_eq!(ids(&reopened), stored, "what was acknowledged is there");
    append_one(&reopened, "again").unwrap();
}

/// Fills the memtable until the store refuses for want of space.
fn fill_until_refused(store: &EventStore) -> (Vec<String>, AppendError) {
    let mut stored = Vec::new();
    for n in 0..2000 {
        let name = format!("fill{n}");
        match append(store, &namespace("default"), batch(&name, 10)) {
            Ok(_) => stored.extend(batch(&name, 10).iter().map(|stored| stored.event.id().to_owned())),
            Err(error) => return (stored, error),
        }
    }
    panic!("the store never refused");
}

fn full_while_sealing(blocked: impl Fn(&Path) -> Vec<std::path::PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), small());
    let links = blocked(dir.path());
    links.iter().for_each(|link| symlink("/dev/full", link).unwrap());
    let (stored, refused) = fill_until_refused(&store);
    assert!(matches!(refused, AppendError::Full(_)), "{refused}");
    let bound = 3 * 32 * 1024 + 64 * 1024;
    assert!(store.stats().memtable_bytes < bound, "{} bytes in memory", store.stats().memtable_bytes);
    assert_eq!((store.stats().segments, ids(&store).len()), (0, stored.len()), "queries go on");
    assert!(store.flush_now().is_err());
    // Space returns.
    links.iter().for_each(|link| drop(std::fs::remove_file(link)));
    eventually("the store seals", || store.stats().segments > 0);
    eventually("the store accepts", || append_one(&store, "after").is_ok());
    store.flush_now().unwrap();
    assert_eq!(store.stats().segment_rows, stored.len() as u64 + 1);
    assert_eq!(store.verify().unwrap(), stored.len() as u64 + 1);
}

#[test]
fn a_full_disk_for_segments_refuses_bounds_memory_and_recovers() {
    full_while_sealing(|dir| (1..400).map(|n| dir.join(format!("segments/{n:016x}.seg"))).collect());
}

#[test]
fn a_full_disk_for_runs_refuses_bounds_memory_and_recovers() {
    full_while_sealing(|dir| (1..400).map(|n| dir.join(format!("dedupe/{n:016x}.run"))).collect());
}

#[test]
fn a_full_disk_for_the_manifest_refuses_bounds_memory_and_recovers() {
    full_while_sealing(|dir| vec![dir.join("MANIFEST.new")]);
}
