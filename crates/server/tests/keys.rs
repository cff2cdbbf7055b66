//! API keys from the command line to the answer of a request.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_key, event, options, run, send, server, stderr, stdout};
use std::process::Command;
use tallystick_testkit::{Reply, TestServer};

fn post_event(server: &TestServer, key: Option<&str>) -> Reply {
    let mut request = tallystick_testkit::server::request("POST", server.url(), "/api/v1/events");
    if let Some(key) = key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let request = request.header("content-type", "application/cloudevents+json");
    let body = event("1", "a", "2024-01-01T00:00:00Z", "1");
    tallystick_testkit::server::call(request, Some(body.as_bytes()))
}

#[test]
fn from_the_first_key_on_a_key_is_needed_and_its_scope_counts() {
    let server = server();
    send(&server, &event("0", "a", "2024-01-01T00:00:00Z", "1"));
    let [ingest, read, admin] = ["ingest", "read", "admin"].map(|scope| create_key(server.data_dir(), scope));
    assert!(ingest.starts_with("tsk_"));

    let missing = server.get("/api/v1/meters");
    assert_eq!((missing.status, missing.header("www-authenticate")), (401, Some("Bearer")));
    assert!(missing.body.contains("tallystick keys create"), "{}", missing.body);
    assert_eq!(server.call_with_key("GET", "/api/v1/meters", "tsk_wrong").status, 401);

    assert_eq!(post_event(&server, Some(&ingest)).status, 204);
    assert_eq!(server.call_with_key("GET", "/api/v1/meters", &ingest).status, 403);
    assert_eq!(post_event(&server, Some(&read)).status, 403);
    assert_eq!(server.call_with_key("GET", "/api/v1/meters", &read).status, 200);
    assert_eq!(server.call_with_key("DELETE", "/api/v1/meters/none", &read).status, 403);
    assert_eq!(server.call_with_key("DELETE", "/api/v1/meters/none", &admin).status, 404);
}

#[test]
fn a_revoked_key_stops_working_beside_a_running_server() {
    let server = server();
    let data_dir = server.data_dir().to_str().unwrap().to_string();
    let (first, second) = (create_key(server.data_dir(), "admin"), create_key(server.data_dir(), "read"));
    assert_eq!(server.call_with_key("GET", "/api/v1/meters", &second).status, 200);
    let listed = stdout(&run(&["keys", "list", "--data-dir", &data_dir], &[]));
    assert!(!listed.contains("tsk_"), "{listed}");
    let row = listed.lines().find(|line| line.contains(" read ")).unwrap();
    let id = row.split_whitespace().next().unwrap();
    assert!(run(&["keys", "revoke", id, "--data-dir", &data_dir], &[]).status.success());
    assert_eq!(server.call_with_key("GET", "/api/v1/meters", &second).status, 401);
    assert_eq!(server.call_with_key("GET", "/api/v1/meters", &first).status, 200);
    let unknown = run(&["keys", "revoke", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "--data-dir", &data_dir], &[]);
    assert_eq!((unknown.status.code(), stderr(&unknown).contains("01ARZ3NDEKTSV4RRFFQ69G5FAV")), (Some(1), true));
}

#[test]
fn a_key_sees_its_namespace_only() {
    let server = server();
    let data_dir = server.data_dir().to_str().unwrap().to_string();
    let of = |namespace: &str| {
        let refused = run(
            &["keys", "create", "--name", "n", "--scope", "read", "--namespace", namespace, "--data-dir", &data_dir],
            &[],
        );
        let hint = format!("tallystick namespaces create {namespace}");
        assert_eq!((refused.status.code(), stderr(&refused).contains(&hint)), (Some(2), true), "{}", stderr(&refused));
        let made = run(&["namespaces", "create", namespace, "--data-dir", &data_dir], &[]);
        assert!(made.status.success(), "{}", stderr(&made));
        let arguments = ["keys", "create", "--name", "n", "--scope", "ingest,read,admin", "--namespace", namespace];
        stdout(&run(&[&arguments[..], &["--data-dir", &data_dir]].concat(), &[])).trim().to_string()
    };
    let (ours, theirs) = (of("ours"), of("theirs"));
    assert_eq!(post_event(&server, Some(&ours)).status, 204);
    assert!(server.call_with_key("GET", "/api/v2/events", &ours).body.contains("\"subject\":\"a\""));
    let again = run(&["namespaces", "create", "ours", "--data-dir", &data_dir], &[]);
    assert_eq!((again.status.code(), stderr(&again).contains("ours")), (Some(2), true), "{}", stderr(&again));
    let wrong = run(&["namespaces", "create", "A b", "--data-dir", &data_dir], &[]);
    assert_eq!((wrong.status.code(), stderr(&wrong).contains("1 to 64 of a-z")), (Some(2), true), "{}", stderr(&wrong));
    let listed = stdout(&run(&["namespaces", "list", "--data-dir", &data_dir], &[]));
    let names: Vec<_> = listed.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(names, ["default", "ours", "theirs"]);
    let metrics = server.get("/metrics").body;
    assert!(!metrics.contains("ours") && !metrics.contains("theirs"), "metrics are of all namespaces together");
    let of_others = server.call_with_key("GET", "/api/v2/events", &theirs);
    assert_eq!((of_others.status, of_others.body.contains("\"items\":[]")), (200, true), "{}", of_others.body);
}

#[test]
fn a_key_opens_an_address_that_others_can_reach() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let key = create_key(&dir, "admin");
    let server = options().data_dir(&dir).env("TALLYSTICK_INSECURE", "false").listen("0.0.0.0:0").start();
    assert!(server.stdout().contains("an API key is required"), "{}", server.stdout());
    assert_eq!(server.get("/api/v1/meters").status, 401);
    assert_eq!(server.call_with_key("GET", "/api/v1/meters", &key).status, 200);
}

#[test]
fn insecure_opens_it_without_a_key() {
    let server = options().listen("0.0.0.0:0").arg("--insecure").start();
    assert!(server.stdout().contains("OPEN TO EVERYBODY"), "{}", server.stdout());
    assert_eq!(server.get("/api/v1/meters").status, 200);
}

#[test]
fn the_client_commands_send_the_key_of_the_environment() {
    let server = server();
    let key = create_key(server.data_dir(), "admin");
    let refused = server.command(&["meters", "list"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("TALLYSTICK_KEY"), "{}", stderr(&refused));
    let mut command: Command = tallystick_testkit::server::bare_command(common::BINARY.as_ref());
    command.args(["meters", "list", "--server", server.url()]).env("TALLYSTICK_KEY", key);
    assert!(command.output().unwrap().status.success());
}

#[test]
fn wrong_key_commands_say_what_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let scope = run(&["keys", "create", "--name", "a", "--scope", "write", "--data-dir", data_dir], &[]);
    assert_eq!(scope.status.code(), Some(2));
    assert!(stderr(&scope).contains("ingest, read or admin"), "{}", stderr(&scope));
    let nowhere = run(&["keys", "list", "--data-dir", "/nowhere/at/all"], &[]);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(stderr(&nowhere).contains("--data-dir") && !std::path::Path::new("/nowhere").exists());
}
