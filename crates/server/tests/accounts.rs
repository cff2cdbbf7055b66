//! Every accepted event is accounted for, and kept for as long as it is wanted: `reconcile` and `retention`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_meter, event, options, run, send, server, stderr, stdout};
use serde_json::Value;
use std::fs;
use std::process::Output;
use tallystick_testkit::TestServer;

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", stderr(output)))
}

fn counted(server: &TestServer) -> Value {
    let reply = server.get("/api/v1/meters/tokens/query");
    assert_eq!(reply.status, 200, "{}", reply.body);
    let answer: Value = serde_json::from_str(&reply.body).unwrap();
    answer["data"].as_array().unwrap().iter().map(|row| row["value"].as_i64().unwrap()).sum::<i64>().into()
}

#[test]
fn reconcile_tells_what_became_of_each_event_also_after_a_kill() {
    let mut server = server();
    create_meter(&server);
    send(&server, &event("1", "a", "2024-01-01T00:00:00Z", "1"));
    send(&server, &event("2", "a", "2024-01-01T00:00:00Z", "\"many\""));
    send(&server, &event("1", "a", "2024-01-01T00:00:00Z", "1"));
    // The tally of a repeated event goes with the next event to the disk.
    send(&server, &event("3", "b", "2024-01-01T00:00:00Z", "2"));
    for round in 0..2 {
        let told = server.command(&["reconcile", "--json"]);
        assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
        let report = json(&told);
        let numbers: Vec<_> = report["rows"].as_array().unwrap().iter().collect();
        let sum = |name: &str| numbers.iter().map(|row| row[name].as_u64().unwrap()).sum::<u64>();
        let all = ["accepted", "counted", "duplicate", "unmatched", "invalid"].map(sum);
        assert_eq!((all, &report["balanced"]), ([4, 2, 1, 0, 1], &true.into()), "round {round}");
        let text = stdout(&server.command(&["reconcile"]));
        assert!(text.contains("not_numeric=1") && text.ends_with("every accepted event is accounted for\n"), "{text}");
        server.kill_9();
        server.restart();
    }
}

#[test]
fn old_events_go_when_retention_is_applied_and_do_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("tally.toml"), folder.path().join("data"));
    fs::write(&config, "[[retention]]\nevent_type = \"prompt\"\nkeep = \"400d\"\n").unwrap();
    let old = event("1", "a", "2020-01-01T00:00:00Z", "1");
    let mut server = options().data_dir(&data).start();
    create_meter(&server);
    send(&server, &old);
    send(&server, &event("2", "a", "2100-01-01T00:00:00Z", "2"));
    let beside = run(&["retention", "--data-dir", data.to_str().unwrap()], &[]);
    assert!(stdout(&beside).starts_with("no [[retention]] is configured"), "{}", stderr(&beside));
    server.stop();
    let retention = |more: &[&str]| {
        let place = ["--config", config.to_str().unwrap(), "--data-dir", data.to_str().unwrap(), "--json"];
        let output = run(&[&["retention"], more, &place[..]].concat(), &[]);
        assert!(output.status.success(), "{}", stderr(&output));
        json(&output)
    };
    for dry in [&[][..], &["--dry-run"]] {
        let told = retention(dry);
        assert_eq!((&told["applied"], &told["rules"][0]["events"]), (&false.into(), &1.into()));
        assert_eq!(told["rules"][0]["oldest"], "2020-01-01T00:00:00Z");
    }
    server.restart();
    assert_eq!(counted(&server), 3, "looking changes nothing");
    server.stop();
    assert_eq!(retention(&["--apply"])["applied"], true);
    assert_eq!(retention(&[])["rules"][0]["events"], 0);
    server.restart();
    assert_eq!(counted(&server), 2);
    // It is known, so it is a repeated event; one that is new and too old does not count either.
    send(&server, &old);
    send(&server, &event("3", "a", "2020-01-01T00:00:00Z", "4"));
    assert_eq!(counted(&server), 2);
    let told = server.command(&["reconcile"]);
    assert_eq!(told.status.code(), Some(0), "{}", stdout(&told));
    assert!(stdout(&told).contains("expired=2"), "{}", stdout(&told));
}

#[test]
fn a_server_applies_its_own_rules_at_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tally.toml");
    fs::write(&config, "[[retention]]\nevent_type = \"prompt\"\nkeep = \"400d\"\n").unwrap();
    let data = folder.path().join("data");
    let mut server = options().data_dir(&data).start();
    create_meter(&server);
    send(&server, &event("1", "a", "2020-01-01T00:00:00Z", "1"));
    send(&server, &event("2", "a", "2100-01-01T00:00:00Z", "2"));
    server.stop();
    let server = options().data_dir(&data).arg("--config").arg(config.to_str().unwrap()).start();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while counted(&server) != 2 {
        assert!(std::time::Instant::now() < deadline, "the rule was not applied");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let beside = run(&["retention", "--json", "--data-dir", data.to_str().unwrap()], &[]);
    assert_eq!(json(&beside)["rules"][0]["type"], "prompt", "the running server's rules are told");
}
