//! Starting, refusing to start, and ending.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{BINARY, create_key, event, options, run, send, server, stderr};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tallystick_testkit::Exited;

/// A refusal names what is wrong, with the exit code for it and without a stack trace.
fn assert_refused(exited: &Exited, parts: &[&str]) {
    assert_eq!(exited.code, Some(2), "{exited:?}");
    for part in parts {
        assert!(exited.stderr.contains(part), "{part:?} is missing in: {}", exited.stderr);
    }
    assert!(!exited.stderr.contains("panicked") && !exited.stderr.contains("RUST_BACKTRACE"), "{}", exited.stderr);
}

#[test]
fn a_start_says_where_it_is_and_the_printed_command_works() {
    let server = server();
    let said = server.stdout();
    for part in [server.url(), server.data_dir().to_str().unwrap(), "/docs", "curl", "open to this machine"] {
        assert!(said.contains(part), "{part:?} is missing in: {said}");
    }
    let body = said.split("-d '").nth(1).unwrap().split('\'').next().unwrap();
    send(&server, body);
    assert!(server.get("/api/v1/events").body.contains("customer-1"));
}

#[test]
fn a_missing_data_folder_is_made() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("a/b");
    let server = options().data_dir(&dir).start();
    assert!(dir.is_dir());
    drop(server);
}

#[test]
fn an_unusable_data_folder_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    std::fs::write(&file, "").unwrap();
    // Below a regular file nobody can make a folder, whatever their rights.
    let exited = options().data_dir(file.join("data")).try_start().unwrap_err();
    assert_refused(&exited, &["data directory", file.to_str().unwrap()]);
}

#[test]
fn a_data_folder_in_use_is_refused() {
    let first = server();
    let exited = options().data_dir(first.data_dir()).try_start().unwrap_err();
    assert_refused(&exited, &["in use by another process", first.data_dir().to_str().unwrap()]);
    send(&first, &event("1", "a", "2024-01-01T00:00:00Z", "1"));
}

#[test]
fn a_folder_can_be_used_again_after_a_kill() {
    let mut server = server();
    server.kill_9();
    server.restart();
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn an_address_in_use_is_refused() {
    let first = server();
    let address = first.url().trim_start_matches("http://").to_string();
    let exited = options().listen(&address).try_start().unwrap_err();
    assert_refused(&exited, &[&address, "--listen"]);
}

#[test]
fn an_address_that_others_can_reach_needs_a_key() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let data_dir = dir.to_str().unwrap();
    let output = run(&["serve", "--listen", "0.0.0.0:0", "--data-dir", data_dir], &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("tallystick keys create") && said.contains(data_dir), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_newer_event_store_is_refused() {
    let mut server = server();
    send(&server, &event("1", "a", "2024-01-01T00:00:00Z", "1"));
    server.stop();
    let manifest = server.data_dir().join("events/MANIFEST");
    let written = std::fs::read_to_string(&manifest).unwrap();
    let newer = written.replace("tallystick-events 2\n", "tallystick-events 999\n");
    assert_ne!(newer, written);
    std::fs::write(&manifest, newer).unwrap();
    let exited = server.try_restart().unwrap_err();
    assert_refused(&exited, &["MANIFEST", "newer"]);
}

#[test]
fn a_damaged_configuration_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, "[limits]\nbody_bites = 1\n").unwrap();
    let exited = options().arg("--config").arg(path.to_str().unwrap()).try_start().unwrap_err();
    assert_refused(&exited, &["body_bites", path.to_str().unwrap(), "body_bytes"]);
    let exited = options().env("TALLYSTICK_LIMIT__BODY_BYTES", "1").try_start().unwrap_err();
    assert_refused(&exited, &["TALLYSTICK_LIMIT__BODY_BYTES"]);
    let exited = options().env("TALLYSTICK_STATE_URL", "mysql://x").try_start().unwrap_err();
    assert_refused(&exited, &["sqlite:PATH"]);
    let exited = options().env("TALLYSTICK_LOG__LEVEL", "info,=").try_start().unwrap_err();
    assert_refused(&exited, &["log.level"]);
}

#[test]
fn a_limit_of_the_configuration_is_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, "[limits]\nbatch_events = 2\nbody_bytes = 2000\n").unwrap();
    let server =
        options().arg("--config").arg(path.to_str().unwrap()).env("TALLYSTICK_LIMITS__BATCH_EVENTS", "1").start();
    let two =
        format!("[{},{}]", event("1", "a", "2024-01-01T00:00:00Z", "1"), event("2", "a", "2024-01-01T00:00:00Z", "1"));
    let reply = server.post("/api/v1/events", "application/cloudevents-batch+json", &two);
    assert_eq!(reply.status, 413, "{}", reply.body);
    let long = event("1", &"a".repeat(2000), "2024-01-01T00:00:00Z", "1");
    assert_eq!(server.post("/api/v1/events", "application/cloudevents+json", &long).status, 413);
}

#[test]
fn a_dialect_has_an_address_of_its_own_at_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, "[[listener]]\nlisten = '127.0.0.1:0'\ndialect = 'openmeter'\n").unwrap();
    let mut server = options().arg("--config").arg(path.to_str().unwrap()).start();
    let said = server.stdout();
    let line = said.lines().find(|line| line.trim_start().starts_with("OpenMeter")).unwrap();
    let url = line.split_whitespace().nth(1).unwrap().to_owned();
    assert_ne!(url, server.url());
    send(&server, &event("1", "a", "2024-01-01T00:00:00Z", "1"));
    let ask = |path: &str| {
        let asked = tallystick_testkit::server::call(tallystick_testkit::server::request("GET", &url, path), None);
        (asked.status, asked.body)
    };
    assert!(ask("/api/v2/events").1.contains("\"subject\":\"a\""));
    assert_eq!((ask("/readyz").0, ask("/openapi.json").0, ask("/metrics").0), (200, 200, 404));
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn an_address_of_a_dialect_that_is_not_served_or_that_others_can_reach_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    for (listen, dialect, parts) in [
        ("127.0.0.1:0", "acme", &["[[listener]] 127.0.0.1:0", "\"acme\" is not served", "openmeter"][..]),
        ("0.0.0.0:0", "openmeter", &["without an API key"][..]),
    ] {
        std::fs::write(&path, format!("[[listener]]\nlisten = '{listen}'\ndialect = '{dialect}'\n")).unwrap();
        assert_refused(&options().arg("--config").arg(path.to_str().unwrap()).try_start().unwrap_err(), parts);
    }
}

#[test]
fn declared_meters_exist_and_their_drift_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    let declared =
        "[[meters]]\nslug = 'tokens'\nevent_type = 'prompt'\naggregation = 'sum'\nvalue_property = '$.tokens'\n";
    std::fs::write(&path, declared).unwrap();
    let mut server = options().arg("--config").arg(path.to_str().unwrap()).start();
    assert!(server.get("/api/v1/meters/tokens").body.contains("\"eventType\":\"prompt\""));
    assert!(!server.stdout().contains("warning"));
    std::fs::write(&path, declared.replace("'prompt'", "'request'")).unwrap();
    server.stop();
    server.restart();
    assert!(server.stdout().contains("meter tokens") && server.stdout().contains("event_type"), "{}", server.stdout());
    assert!(server.get("/api/v1/meters/tokens").body.contains("\"eventType\":\"prompt\""));
}

#[test]
fn an_invalid_declared_meter_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, "[[meters]]\nslug = 'tokens'\nevent_type = 'prompt'\naggregation = 'sum'\n").unwrap();
    let exited = options().arg("--config").arg(path.to_str().unwrap()).try_start().unwrap_err();
    assert_refused(&exited, &["tokens", "value_property: is required"]);
}

#[test]
fn declared_meters_are_checked_before_the_store_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    let declared = "[[meters]]\nslug = 'tokens'\nevent_type = 'prompt'\naggregation = 'sum'\nvalue_property = '$.n'\n";
    let mut server = options().arg("--config").arg(path.to_str().unwrap());
    std::fs::write(&path, declared).unwrap();
    let data = dir.path().join("data");
    server = server.data_dir(&data);
    drop(server.clone().start());
    for (text, parts) in [
        (declared.repeat(2), ["tokens", "declared twice"]),
        (declared.replace("value_property = '$.n'\n", ""), ["tokens", "value_property: is required"]),
        (declared.replace("prompt", ""), ["tokens", "event_type: must not be empty"]),
        (format!("{declared}group_by = {{ n = '$.n' }}\n"), ["group_by.n", "same as value_property"]),
    ] {
        std::fs::write(&path, text).unwrap();
        assert_refused(&server.clone().try_start().unwrap_err(), &parts);
    }
}

#[cfg(unix)]
#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    std::fs::create_dir(&dir).unwrap();
    mode(parent.path(), 0o755);
    mode(&dir, 0o555);
    // To the superuser everything is writable: another user starts a copy that they can reach.
    let copy = parent.path().join("tallystick");
    let is_root = std::fs::metadata(&dir).unwrap().uid() == 0;
    let mut command = if is_root {
        std::fs::copy(BINARY, &copy).unwrap();
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&copy);
        command
    } else {
        std::process::Command::new(BINARY)
    };
    let output = command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&dir).output().unwrap();
    let said = stderr(&output);
    let expected = format!("the data directory {} is not writable by this user", dir.display());
    assert!(output.status.code() == Some(2) && said.contains(&expected), "{said}");
}

#[cfg(unix)]
#[test]
fn a_data_folder_that_is_made_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let server = server();
    let mode = std::fs::metadata(server.data_dir()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert_eq!(
        std::fs::read_dir(server.data_dir())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().contains("probe"))
            .count(),
        0
    );
}

#[test]
fn after_the_last_key_was_revoked_the_greeting_speaks_of_keys_in_force() {
    let mut server = server();
    create_key(server.data_dir(), "admin");
    server.restart();
    assert!(server.stdout().contains("an API key is required"));
    let data_dir = server.data_dir().to_str().unwrap().to_string();
    let listed = common::stdout(&run(&["keys", "list", "--data-dir", &data_dir], &[]));
    let id = listed.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(run(&["keys", "revoke", id, "--data-dir", &data_dir], &[]).status.success());
    server.restart();
    let said = server.stdout();
    assert!(said.contains("no API key is in force") && !said.contains("yet"), "{said}");
}

#[test]
fn connections_beyond_the_limit_wait() {
    let server = options().env("TALLYSTICK_LIMITS__CONNECTIONS", "2").start();
    let address = server.url().trim_start_matches("http://");
    let held: Vec<_> = (0..2).map(|_| TcpStream::connect(address).unwrap()).collect();
    let mut third = TcpStream::connect(address).unwrap();
    third.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    third.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut answer = String::new();
    assert!(third.read_to_string(&mut answer).is_err(), "{answer}");
    drop(held);
    third.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    third.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn sigterm_turns_readiness_off_and_keeps_what_was_acknowledged() {
    let mut server = options().env("TALLYSTICK_SHUTDOWN_DRAIN_MS", "60000").start();
    for id in 0..50 {
        send(&server, &event(&id.to_string(), "a", "2024-01-01T00:00:00Z", "1"));
    }
    server.terminate();
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while server.get("/readyz").status != 503 {
        assert!(std::time::Instant::now() < deadline, "readiness stays on");
    }
    assert_eq!(server.get("/healthz").status, 200);
    send(&server, &event("late", "a", "2024-01-01T00:00:00Z", "1"));
    // A second signal ends the drain.
    let exited = server.stop();
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    server.restart();
    let listed = server.get("/api/v2/events?limit=100").body;
    assert_eq!(listed.matches("\"ingestedAt\"").count(), 51, "{listed}");
}

#[test]
fn a_request_in_flight_finishes_after_sigterm() {
    let mut server = server();
    let body = event("slow", "a", "2024-01-01T00:00:00Z", "1");
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST /api/v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/cloudevents+json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body.as_bytes()[..10]).unwrap();
    // The head is read before any later request is answered on another connection.
    assert_eq!(server.get("/healthz").status, 200);
    server.terminate();
    std::thread::sleep(Duration::from_millis(300));
    stream.write_all(&body.as_bytes()[10..]).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert_eq!(server.wait().code, Some(0));
    server.restart();
    assert!(server.get("/api/v2/events").body.contains("\"slow\""));
}

#[test]
fn a_request_that_never_ends_is_cut_after_the_grace() {
    let mut server = options().env("TALLYSTICK_SHUTDOWN_GRACE_MS", "200").start();
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    stream.write_all(b"POST /api/v1/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{").unwrap();
    assert_eq!(server.get("/healthz").status, 200);
    let exited = server.stop();
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    assert!(exited.stderr.contains("shutdown_grace_ms"), "{}", exited.stderr);
}

#[test]
fn an_idle_connection_is_closed() {
    let server = options().env("TALLYSTICK_LIMITS__IDLE_TIMEOUT_MS", "100").start();
    let mut stream = TcpStream::connect(server.url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost").unwrap();
    let mut answer = Vec::new();
    // Closed, not timed out by the client.
    stream.read_to_end(&mut answer).unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}

#[test]
fn the_log_has_the_request_id_and_no_secret() {
    let mut server = server();
    let key = create_key(server.data_dir(), "admin");
    let reply = server.call_with_key("GET", "/api/v1/meters", &key);
    let id = reply.header("x-request-id").unwrap().to_string();
    let exited = server.stop();
    let line = exited.stderr.lines().find(|line| line.contains(&id)).unwrap_or_else(|| panic!("{}", exited.stderr));
    assert!(line.starts_with('{') && line.contains("/api/v1/meters") && line.contains("200"), "{line}");
    assert!(!exited.stderr.contains(&key) && !exited.stdout.contains(&key));
}

#[test]
fn the_log_can_be_pretty() {
    let mut server = options().env("TALLYSTICK_LOG__FORMAT", "pretty").start();
    server.get("/healthz");
    let said = server.stop().stderr;
    assert!(said.contains("route=\"/healthz\"") && said.contains("request_id="), "{said}");
    assert!(said.lines().all(|line| !line.starts_with('{') && !line.contains('\u{1b}')), "{said}");
}

#[test]
fn help_documents_the_exit_codes() {
    let output = run(&["--help"], &[]);
    assert!(common::stdout(&output).contains("Exit codes:"));
    let version = common::stdout(&run(&["--version"], &[]));
    assert_eq!(version.trim(), format!("tallystick {}", env!("CARGO_PKG_VERSION")), "{BINARY}");
}
