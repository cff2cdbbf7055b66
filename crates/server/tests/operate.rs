//! The operator's commands, beside a running server and without one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_meter, event, options, run, send, server, stderr, stdout};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use tallystick_testkit::TestServer;
use tallystick_testkit::server::{agent, request, try_call_on};

/// Runs an operator's command on a data directory.
fn operate(data_dir: &Path, arguments: &[&str]) -> Output {
    run(&[arguments, &["--data-dir", data_dir.to_str().unwrap()]].concat(), &[])
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

fn batch(server: &TestServer, body: &str) {
    let reply = server.post("/api/v1/events", "application/cloudevents-batch+json", body);
    assert_eq!(reply.status, 204, "{}", reply.body);
}

fn body_of(ids: &[String]) -> String {
    let one = |id: &String| event(id, "customer", "2024-01-01T00:00:00Z", "1.25");
    format!("[{}]", ids.iter().map(one).collect::<Vec<_>>().join(","))
}

/// A server with small files, so that there are segments after some hundred events.
fn small() -> tallystick_testkit::ServerOptions {
    options().env("TALLYSTICK_STORE__MEMTABLE_BYTES", "100000").env("TALLYSTICK_STORE__WAL_FILE_BYTES", "200000")
}

fn fill(server: &TestServer, batches: usize) {
    for n in 0..batches {
        let ids: Vec<_> = (0..100).map(|at| format!("{n}-{at}")).collect();
        batch(server, &body_of(&ids));
    }
}

/// Fills a server of [`small`] until it has sealed something.
fn fill_and_seal(server: &TestServer) {
    fill(server, 20);
    let segments = server.data_dir().join("events/segments");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    // The MANIFEST names a segment that is complete.
    let is_sealed = || {
        let manifest = fs::read_to_string(server.data_dir().join("events/MANIFEST")).unwrap();
        manifest.lines().any(|line| line.starts_with("segment "))
    };
    while !is_sealed() {
        assert!(std::time::Instant::now() < deadline, "nothing was sealed in {}", segments.display());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|of| of == extension)).collect();
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_socket_is_the_owners_alone_and_goes_with_the_server() {
    let mut server = server();
    let socket = server.data_dir().join("control.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let ask = |line: &str| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    for wrong in ["{\"op\":\"drop\"}\n", "nonsense\n", "{\"op\":\"backup\",\"dir\":\"relative\"}\n"] {
        let answer = ask(wrong);
        assert!(answer.starts_with("{\"error\":") && answer.ends_with("}\n"), "{wrong}: {answer}");
    }
    assert!(!Path::new("relative").exists());
    // A line without end is not held: the server stops reading, and the connection ends.
    let mut endless = UnixStream::connect(&socket).unwrap();
    let chunk = vec![b'x'; 100_000];
    assert!((0..1000).any(|_| endless.write_all(&chunk).is_err()), "100 MB were taken");
    server.stop();
    assert!(!socket.exists());
    // What a killed server leaves is taken over by the next, and does not keep a command from working.
    let dir = tempfile::tempdir().unwrap();
    let mut killed = options().data_dir(dir.path().join("data")).start();
    killed.kill_9();
    assert!(dir.path().join("data/control.sock").exists());
    assert!(operate(&dir.path().join("data"), &["verify"]).status.success());
    killed.restart();
    assert!(operate(&dir.path().join("data"), &["verify"]).status.success());
}

#[test]
fn verify_finds_nothing_wrong_beside_a_server_and_without_one() {
    let mut server = small().start();
    fill_and_seal(&server);
    let data_dir = server.data_dir().to_path_buf();
    let running = operate(&data_dir, &["verify", "--json"]);
    assert_eq!(running.status.code(), Some(0), "{}", stderr(&running));
    let found = json(&running);
    let number = |name: &str| found[name].as_u64().unwrap();
    assert_eq!(number("segment_events") + number("log_events"), 2000);
    assert_eq!(number("identities"), number("segment_events"));
    assert_eq!(number("memory_events"), number("log_events"), "the log is compared with memory");
    assert!(number("segments") > 0 && found["state"] == "sqlite" && found["damaged"].as_array().unwrap().is_empty());
    server.stop();
    let stopped = operate(&data_dir, &["verify"]);
    assert_eq!(stopped.status.code(), Some(0), "{}", stderr(&stopped));
    assert!(stdout(&stopped).ends_with("everything is as it was written\n"), "{}", stdout(&stopped));
    let nothing = tempfile::tempdir().unwrap();
    let refused = operate(nothing.path(), &["verify"]);
    assert_eq!((refused.status.code(), stderr(&refused).contains("--data-dir")), (Some(2), true));
    assert_eq!(fs::read_dir(nothing.path()).unwrap().count(), 0, "looking makes nothing");
}

#[test]
fn verify_names_each_damaged_file() {
    let mut server = small().start();
    fill_and_seal(&server);
    let events = server.data_dir().join("events");
    let data_dir = server.data_dir().to_path_buf();
    let (segment, run) =
        (files(&events.join("segments"), "seg").remove(0), files(&events.join("dedupe"), "run").remove(0));
    flip(&segment, 300);
    let beside = operate(&data_dir, &["verify"]);
    assert_eq!(beside.status.code(), Some(1));
    assert!(stderr(&beside).contains(segment.to_str().unwrap()), "{}", stderr(&beside));
    server.kill_9();
    flip(&run, 300);
    let alone = operate(&data_dir, &["verify", "--json"]);
    assert_eq!(alone.status.code(), Some(1));
    let named: Vec<_> = json(&alone)["damaged"].as_array().unwrap().iter().map(|of| of["file"].to_string()).collect();
    assert_eq!(named.len(), 2, "{named:?}");
    assert!(named[0].contains(segment.to_str().unwrap()) && named[1].contains(run.to_str().unwrap()), "{named:?}");
}

#[test]
fn verify_checks_the_state_too() {
    let mut server = server();
    create_meter(&server);
    let data_dir = server.data_dir().to_path_buf();
    server.stop();
    // Looking at it folds SQLite's own log into the file.
    assert!(operate(&data_dir, &["verify"]).status.success());
    let state = data_dir.join("state.sqlite");
    let mut bytes = fs::read(&state).unwrap();
    let middle = bytes.len() / 2;
    assert!(bytes.len() > 16_384, "{} bytes", bytes.len());
    bytes[middle..middle + 3000].fill(0x55);
    fs::write(&state, bytes).unwrap();
    let output = operate(&data_dir, &["verify"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("state"), "{}", stderr(&output));
}

/// Sends batches until it is told to stop; notes what was acknowledged.
fn send_until(url: &str, name: &str, done: &AtomicBool, acknowledged: &Mutex<Vec<String>>) {
    let agent = agent();
    for n in 0.. {
        let ids: Vec<String> = (0..30).map(|at| format!("{name}-{n}-{at}")).collect();
        let post = request("POST", url, "/api/v1/events").header("content-type", "application/cloudevents-batch+json");
        let reply = try_call_on(&agent, post, Some(body_of(&ids).as_bytes())).unwrap();
        assert_eq!(reply.status, 204, "{}", reply.body);
        acknowledged.lock().unwrap().extend(ids);
        if done.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// How often each event is stored.
fn counts(server: &TestServer) -> BTreeMap<String, u64> {
    let mut found = BTreeMap::new();
    let output = operate(server.data_dir(), &["export", "--ndjson", "-"]);
    assert!(output.status.success(), "{}", stderr(&output));
    for line in stdout(&output).lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        *found.entry(event["id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    found
}

#[test]
fn a_backup_under_load_is_restored_with_everything_that_was_acknowledged_before() {
    let folder = tempfile::tempdir().unwrap();
    let server = small().start();
    create_meter(&server);
    let (backup, restored) = (folder.path().join("backup"), folder.path().join("restored"));
    let (done, acknowledged) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let before = std::thread::scope(|scope| {
        for sender in 0..4 {
            let (url, done, acknowledged) = (server.url(), &done, &acknowledged);
            scope.spawn(move || send_until(url, &format!("s{sender}"), done, acknowledged));
        }
        while acknowledged.lock().unwrap().len() < 3000 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let before = acknowledged.lock().unwrap().clone();
        let output = operate(server.data_dir(), &["backup", backup.to_str().unwrap(), "--json"]);
        done.store(true, Ordering::SeqCst);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(json(&output)["events"].as_u64().unwrap() >= before.len() as u64);
        before
    });
    let output = operate(&restored, &["restore", backup.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let copy = small().data_dir(&restored).start();
    let kept = counts(&copy);
    for id in &before {
        assert_eq!(kept.get(id), Some(&1), "{id} was acknowledged before the backup began");
    }
    let known = acknowledged.into_inner().unwrap();
    assert!(kept.values().all(|count| *count == 1) && kept.len() <= known.len());
    // The identities came along: what is sent again is known.
    for ids in before.chunks(500) {
        batch(&copy, &body_of(ids));
    }
    let metrics = copy.get("/metrics").body;
    let duplicates = format!("tallystick_events_duplicate_total {}", before.len());
    assert!(metrics.contains(&duplicates) && metrics.contains("tallystick_events_accepted_total 0"), "{metrics}");
    // So did the state, and the meter counts the same events.
    let answer: Value = serde_json::from_str(&copy.get("/api/v1/meters/tokens/query").body).unwrap();
    // Multiples of a quarter have an exact float.
    assert_eq!(answer["data"][0]["value"].as_f64().unwrap(), kept.len() as f64 * 1.25);
    assert!(operate(&restored, &["verify"]).status.success());
}

#[test]
fn a_backup_is_made_of_a_stopped_server_too_and_never_over_something() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = small().start();
    fill(&server, 5);
    let data_dir = server.data_dir().to_path_buf();
    server.kill_9();
    let backup = folder.path().join("backup");
    let made = operate(&data_dir, &["backup", backup.to_str().unwrap()]);
    assert!(made.status.success() && stdout(&made).contains("500 events"), "{}", stderr(&made));
    let again = operate(&data_dir, &["backup", backup.to_str().unwrap()]);
    assert_eq!((again.status.code(), stderr(&again).contains("not empty")), (Some(1), true));
    let over = operate(&data_dir, &["restore", backup.to_str().unwrap()]);
    assert_eq!((over.status.code(), stderr(&over).contains("not empty")), (Some(2), true));
    let mode = fs::metadata(&backup).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

#[test]
fn a_damaged_or_incomplete_backup_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = small().start();
    fill(&server, 10);
    let data_dir = server.data_dir().to_path_buf();
    server.stop();
    let (backup, target) = (folder.path().join("backup"), folder.path().join("target"));
    assert!(operate(&data_dir, &["backup", backup.to_str().unwrap()]).status.success());
    let restore = || operate(&target, &["restore", backup.to_str().unwrap()]);
    let segment = files(&backup.join("events/segments"), "seg").remove(0);
    for path in [segment, backup.join("state.sqlite"), backup.join("events/MANIFEST")] {
        let good = fs::read(&path).unwrap();
        flip(&path, 5000);
        let refused = restore();
        assert_eq!(refused.status.code(), Some(1), "{}", path.display());
        assert!(stderr(&refused).contains(path.to_str().unwrap()), "{}", stderr(&refused));
        assert!(!target.exists(), "nothing was written");
        fs::write(&path, good).unwrap();
    }
    let description = backup.join("BACKUP.json");
    let text = fs::read(&description).unwrap();
    fs::remove_file(&description).unwrap();
    let refused = restore();
    assert_eq!((refused.status.code(), target.exists()), (Some(2), false));
    fs::write(&description, text).unwrap();
    assert!(restore().status.success());
}

#[test]
fn stats_tell_the_same_beside_a_server_and_without_one() {
    let mut server = small().start();
    fill_and_seal(&server);
    let data_dir = server.data_dir().to_path_buf();
    let running = json(&operate(&data_dir, &["stats", "--json"]));
    assert_eq!(running["events"], 2000);
    assert_eq!((&running["types"][0]["type"], &running["types"][0]["events"]), (&"prompt".into(), &2000.into()));
    assert!(running["segments"]["files"].as_u64().unwrap() > 0 && running["log"]["bytes"].as_u64().unwrap() > 0);
    assert!(running["compression_milli"].as_u64().unwrap() > 1000);
    let (ids, index) = (&running["bytes_per_event_milli"], &running["bytes_per_event_with_index_milli"]);
    assert!(ids.as_u64().unwrap() < index.as_u64().unwrap());
    let parts: u64 = running["parts"].as_array().unwrap().iter().map(|part| part["bytes"].as_u64().unwrap()).sum();
    assert_eq!(parts, running["segments"]["bytes"].as_u64().unwrap());
    server.stop();
    let stopped = json(&operate(&data_dir, &["stats", "--json"]));
    assert_eq!((&stopped["events"], &stopped["types"]), (&running["events"], &running["types"]));
    let text = stdout(&operate(&data_dir, &["stats"]));
    assert!(text.contains("bytes per event") && text.contains("prompt") && text.contains("data.tokens"), "{text}");
}

#[test]
fn what_is_exported_can_be_ingested_again_and_counts_the_same() {
    let (first, second) = (server(), server());
    create_meter(&first);
    create_meter(&second);
    send(&first, &event("1", "a", "2024-01-01T00:00:00.123456Z", "0.1"));
    send(&first, &event("2", "b", "2024-01-02T00:00:00Z", "12345678901234567890.5"));
    send(
        &first,
        "{\"specversion\":\"1.0\",\"id\":\"3\",\"source\":\"x\",\"type\":\"prompt\",\"subject\":\"c\",\n \"ext\":\"é\",\"time\":\"2024-01-03T00:00:00Z\",\"data\":{\n\"tokens\": \"7.50\",\r\n \"model\":\"m\"}}",
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("all.ndjson");
    let written = operate(first.data_dir(), &["export", "--ndjson", file.to_str().unwrap()]);
    assert!(written.status.success() && stderr(&written).contains("3 events written"), "{}", stderr(&written));
    let again = operate(first.data_dir(), &["export", "--ndjson", file.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(2), "a file that is there is not replaced");
    let ingested = second.command(&["ingest", file.to_str().unwrap(), "--json"]);
    assert!(ingested.status.success(), "{}", stderr(&ingested));
    for path in ["/api/v1/meters/tokens/query", "/api/v1/meters/tokens/query?groupBy=model&windowSize=DAY"] {
        assert_eq!(first.get(path).body, second.get(path).body);
    }
    let events = |server: &TestServer| -> Vec<Value> {
        let listed: Vec<Value> = serde_json::from_str(&server.get("/api/v1/events").body).unwrap();
        listed.into_iter().map(|one| one["event"].clone()).collect()
    };
    assert_eq!(events(&first), events(&second));
}

#[test]
fn metrics_of_the_store_move_with_what_it_does() {
    let server = small().start();
    create_meter(&server);
    let read = |server: &TestServer| -> BTreeMap<String, f64> {
        let body = server.get("/metrics").body;
        let samples = body.lines().filter(|line| !line.starts_with('#'));
        samples
            .map(|line| line.rsplit_once(' ').unwrap())
            .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
            .collect()
    };
    let before = read(&server);
    fill(&server, 30);
    fill(&server, 30);
    assert_eq!(server.get("/api/v1/meters/tokens/query").status, 200);
    assert_eq!(server.get("/api/v1/events").status, 200);
    let after = read(&server);
    let moved = |name: &str| after[&format!("tallystick_{name}")] - before[&format!("tallystick_{name}")];
    assert_eq!((moved("events_accepted_total"), moved("events_duplicate_total")), (3000.0, 3000.0));
    assert_eq!(
        (moved("store_group_events_sum"), moved("store_group_events_count")),
        (3000.0, moved("store_groups_total"))
    );
    assert_eq!(moved("store_sync_duration_seconds_count"), moved("store_groups_total"));
    assert_eq!(moved("store_sync_duration_seconds_bucket{le=\"+Inf\"}"), moved("store_groups_total"));
    assert!(moved("store_sync_duration_seconds_sum") > 0.0);
    assert_eq!(moved("store_query_duration_seconds_count{kind=\"aggregate\"}"), 1.0);
    assert_eq!(moved("store_query_duration_seconds_count{kind=\"list\"}"), 1.0);
    for name in [
        "store_segments",
        "store_segment_bytes",
        "store_runs",
        "store_run_bytes",
        "store_filter_lookups_total",
        "store_filter_passes_total",
    ] {
        assert!(moved(name) > 0.0, "{name}");
    }
    assert!(after["tallystick_store_wal_files"] >= 1.0 && after["tallystick_store_memtable_bytes"] >= 0.0);
    for name in [
        "store_queue_bytes",
        "store_queue_batches",
        "store_merge_debt_segments",
        "store_merge_debt_bytes",
        "store_overload_refusals_total",
    ] {
        assert!(after.contains_key(&format!("tallystick_{name}")), "{name}");
    }
}

#[test]
fn too_much_at_once_is_told_to_come_back_and_nothing_is_lost() {
    let server = options().env("TALLYSTICK_STORE__QUEUE_BYTES", "65536").start();
    create_meter(&server);
    let refused = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..8)
            .map(|sender| {
                let (url, refused) = (server.url(), &refused);
                scope.spawn(move || {
                    let (agent, mut sent) = (agent(), 0u64);
                    while !refused.load(Ordering::SeqCst) && sent < 2_000 {
                        let ids: Vec<_> = (0..80).map(|at| format!("{sender}-{sent}-{at}")).collect();
                        let post = request("POST", url, "/api/v1/events")
                            .header("content-type", "application/cloudevents-batch+json");
                        let reply = try_call_on(&agent, post, Some(body_of(&ids).as_bytes())).unwrap();
                        match reply.status {
                            204 => sent += 1,
                            503 => {
                                let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
                                assert!((1..=60).contains(&seconds), "{}", reply.body);
                                refused.store(true, Ordering::SeqCst);
                            }
                            other => panic!("{other}: {}", reply.body),
                        }
                    }
                    sent
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum::<u64>()
    });
    assert!(refused.load(Ordering::SeqCst), "a queue for two batches takes in eight");
    let metrics = server.get("/metrics").body;
    let overloads =
        metrics.lines().find_map(|line| line.strip_prefix("tallystick_store_overload_refusals_total ")).unwrap();
    assert!(overloads.parse::<u64>().unwrap() >= 1);
    assert!(
        metrics.contains(&format!("tallystick_events_accepted_total {}", sent * 80)),
        "what was refused is not stored"
    );
    assert!(metrics.contains("tallystick_store_queue_bytes 0"), "{metrics}");
}
