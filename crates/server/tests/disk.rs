//! The disk and the clock of the machine, as bad as they get: full, read-only, set back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_meter, event, options, send};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};
use tallystick_engine::{Clock, Engine, EngineConfig, Limits, NewEvent, StoreTuning};
use tallystick_testkit::TestServer;
use tempfile::TempDir;

const BATCH: &str = "application/cloudevents-batch+json";

/// A small disk of its own, in memory; unmounted in the end.
struct SmallDisk {
    dir: TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let disk = Self { dir: tempfile::tempdir().unwrap() };
        disk.run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        disk
    }

    fn remount(&self, how: &str) {
        self.run("mount", &["-o", &format!("remount,{how}")]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = Command::new(program).args(arguments).arg(self.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "a disk to try things on is mounted by root only: {said}");
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // At once for new users, and for the server when it has ended.
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(std::thread::panicking() || unmounted.unwrap().success(), "the disk stays mounted");
    }
}

/// A batch whose events hardly compress, with one token each.
fn noisy_batch(number: usize) -> String {
    let noise = |seed: usize| -> String {
        (1..30).map(|word| format!("{:016x}", (seed * 31 + word).wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
    };
    let events = (0..100).map(|at| {
        let subject = noise(number * 100 + at);
        event(&format!("{number}-{at}"), &subject, "2024-01-01T00:00:00Z", "1")
    });
    format!("[{}]", events.collect::<Vec<_>>().join(","))
}

/// The sum of all tokens, which is the number of events.
fn total(server: &TestServer) -> String {
    let reply = server.get("/api/v1/meters/tokens/query");
    assert_eq!(reply.status, 200, "{}", reply.body);
    let value = reply.body.split("\"value\":").nth(1).unwrap_or_default();
    value.split(',').next().unwrap_or_default().to_string()
}

#[test]
fn a_full_disk_answers_507_serves_reads_and_takes_more_when_there_is_space() {
    let disk = SmallDisk::mount("24m");
    let ballast = disk.path().join("ballast");
    std::fs::write(&ballast, vec![1; 12 << 20]).unwrap();
    let mut server = options()
        .data_dir(disk.path().join("data"))
        .env("TALLYSTICK_STORE__MEMTABLE_BYTES", "1000000")
        .env("TALLYSTICK_STORE__WAL_FILE_BYTES", "1000000")
        .env("TALLYSTICK_LOG__LEVEL", "error")
        .start();
    create_meter(&server);
    let mut sent = 0;
    let refused = loop {
        let reply = server.post("/api/v1/events", BATCH, &noisy_batch(sent));
        if reply.status != 204 {
            break reply;
        }
        sent += 1;
        assert!(sent < 1000, "the disk never fills");
    };
    assert_eq!(refused.status, 507, "after {sent} batches: {}", refused.body);
    assert!(sent > 20, "{sent} batches only");
    // Reads go on, and nothing of the refused batch is there.
    for _ in 0..3 {
        assert_eq!(total(&server), (sent * 100).to_string());
        assert_eq!(server.post("/api/v1/events", BATCH, &noisy_batch(sent)).status, 507);
    }
    assert!(server.get("/api/v2/events?limit=10").body.contains("\"ingestedAt\""));
    // Space returns, and with it the store, without a restart.
    std::fs::remove_file(&ballast).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.post("/api/v1/events", BATCH, &noisy_batch(sent)).status != 204 {
        assert!(Instant::now() < deadline, "it stays full");
        std::thread::sleep(Duration::from_millis(50));
    }
    sent += 1;
    assert_eq!(total(&server), (sent * 100).to_string());
    assert_eq!(server.get("/readyz").status, 200);
    server.kill_9();
    server.restart();
    assert_eq!(total(&server), (sent * 100).to_string());
    for number in 0..sent {
        assert_eq!(server.post("/api/v1/events", BATCH, &noisy_batch(number)).status, 204);
    }
    assert_eq!(total(&server), (sent * 100).to_string(), "what is sent again is known");
}

#[test]
fn a_read_only_disk_is_refused_by_name_and_nothing_is_lost() {
    let disk = SmallDisk::mount("24m");
    let dir = disk.path().join("data");
    let mut server = options().data_dir(&dir).env("TALLYSTICK_STORE__WAL_FILE_BYTES", "1000000").start();
    create_meter(&server);
    send(&server, &event("1", "a", "2024-01-01T00:00:00Z", "1"));
    server.stop();
    disk.remount("ro");
    let exited = server.try_restart().unwrap_err();
    let expected = format!("the data directory {} is not writable", dir.display());
    assert!(exited.code == Some(2) && exited.stderr.contains(&expected), "{exited:?}");
    assert!(exited.stderr.contains("Read-only file system") && !exited.stderr.contains("panicked"), "{exited:?}");
    disk.remount("rw");
    server.restart();
    assert_eq!(total(&server), "1");
}

/// An engine whose clock is years ahead stores events in a data folder.
fn store_in_the_future(dir: &Path) {
    let ahead = tallystick_domain::Instant::parse_rfc3339("2150-01-01T00:00:00Z").unwrap();
    let config = EngineConfig {
        data_dir: dir.to_path_buf(),
        state_url: None,
        require_key: false,
        limits: Limits::default(),
        store: StoreTuning { memtable_bytes: 1 << 20, wal_file_bytes: 1 << 20, queue_bytes: 1 << 20 },
        meters: vec![],
        retention: vec![],
        portal: tallystick_engine::PortalTuning::default(),
        idempotency: tallystick_engine::IdempotencyTuning::default(),
        clock: Clock::Fixed(Arc::new(AtomicI64::new(ahead.as_micros()))),
    };
    let new_event = |id: &str| NewEvent {
        id: id.into(),
        source: "test".into(),
        event_type: "prompt".into(),
        subject: "s".into(),
        // Without a time of its own it gets that of the clock.
        time: None,
        data: Some(r#"{"tokens":1}"#.into()),
        ..NewEvent::default()
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let engine = Engine::open(config).await.unwrap();
        let caller = engine.authenticate(None).await.unwrap();
        let report = engine.ingest(&caller, vec![new_event("ahead-1"), new_event("ahead-2")]).await.unwrap();
        assert_eq!(report.stored, 2);
        engine.close().await.unwrap();
    });
}

#[test]
fn a_clock_that_was_set_back_loses_nothing_and_counts_nothing_twice() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    store_in_the_future(&dir);
    // To this server, the clock jumped back by more than a century.
    let mut server = options().data_dir(&dir).start();
    create_meter(&server);
    let without_time = |id: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"test","type":"prompt","subject":"s","data":{{"tokens":1}}}}"#
        )
    };
    send(&server, &without_time("back-1"));
    send(&server, &without_time("ahead-1"));
    for _ in 0..2 {
        assert_eq!(total(&server), "3");
        let listed = server.get("/api/v2/events?limit=100").body;
        for id in ["ahead-1", "ahead-2", "back-1"] {
            assert_eq!(listed.matches(&format!("\"{id}\"")).count(), 1, "{listed}");
        }
        assert_eq!(listed.matches("\"ingestedAt\":\"2150-01-01").count(), 2, "{listed}");
        let exited = server.stop();
        assert!(exited.code == Some(0) && !exited.stderr.contains("panicked"), "{exited:?}");
        server.restart();
    }
}
