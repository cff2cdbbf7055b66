//! The process is killed under load, again and again on the same directory: what it had acknowledged is there, once.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod common;

use common::*;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tallystick_event_store::StoreOptions;

const BATCH: usize = 7;

fn options() -> StoreOptions {
    StoreOptions { wal_file_bytes: 64 << 10, ..small() }
}

/// The victim: appends and says so, until it is killed. It works in the directory that it is started in.
#[test]
#[ignore = "started and killed by the test below"]
fn victim() {
    let store = open(Path::new("events"), options());
    let start = store.stats().events;
    println!("open {start}");
    for n in 0.. {
        let name = format!("b{start}-{n}");
        append_ok(&store, batch(&name, BATCH));
        println!("ok {name}");
        std::io::stdout().flush().unwrap();
    }
}

/// Runs a victim for a while; returns the batches that it acknowledged.
fn run_and_kill(dir: &Path, life: Duration) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["victim", "--exact", "--ignored", "--nocapture"])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("open ")), "the victim opens the store");
    let reader = std::thread::spawn(move || {
        let acknowledged = lines.filter_map(|line| line.strip_prefix("ok ").map(str::to_owned));
        acknowledged.collect::<Vec<_>>()
    });
    std::thread::sleep(life);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

#[test]
fn acknowledged_events_survive_kill_9_exactly_once_and_in_whole_batches() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for life_ms in [3, 30, 110, 7, 60, 1, 170, 45, 90, 15] {
        acknowledged.extend(run_and_kill(dir.path(), Duration::from_millis(life_ms)));
    }
    assert!(acknowledged.len() > 100, "{} batches only", acknowledged.len());
    let store = open(&dir.path().join("events"), options());
    let seen = ids(&store);
    let unique: BTreeSet<_> = seen.iter().cloned().collect();
    assert_eq!(unique.len(), seen.len(), "no event twice");
    assert_eq!(seen.len() % BATCH, 0, "whole batches");
    for name in &acknowledged {
        assert!((0..BATCH).all(|n| unique.contains(&format!("{name}-{n}"))), "{name} is missing");
        assert_eq!(append_ok(&store, batch(name, BATCH)).duplicates, BATCH as u64);
    }
    assert!(store.stats().segment_rows > 0, "sealing was under way too");
    store.flush_now().unwrap();
    assert_eq!(store.verify().unwrap(), seen.len() as u64);
}
