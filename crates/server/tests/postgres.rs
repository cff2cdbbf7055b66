//! The real binary with its state on PostgreSQL: the same door, the same answers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_meter, event, options, run, send, stderr, stdout};
use tallystick_testkit::postgres::Postgres;

#[test]
fn state_lives_on_postgresql_and_survives_a_kill() {
    let database = Postgres::start();
    let mut server = options().arg("--state-url").arg(database.url()).start();
    create_meter(&server);
    send(&server, &event("1", "s", "2024-01-01T00:00:00Z", "2.5"));
    server.kill_9();
    assert!(!server.data_dir().join("state.sqlite").exists());
    server.restart();
    let answer = server.get("/api/v1/meters/tokens/query").body;
    assert!(answer.contains("\"value\":2.5,"), "{answer}");

    let arguments = ["keys", "create", "--name", "k", "--scope", "read", "--state-url", database.url(), "--data-dir"];
    let output = run(&[&arguments[..], &[server.data_dir().to_str().unwrap()]].concat(), &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let secret = stdout(&output).trim().to_string();
    assert_eq!(server.get("/api/v1/meters").status, 401);
    assert_eq!(server.call_with_key("GET", "/api/v1/meters", &secret).status, 200);
}

#[test]
fn verify_backup_and_restore_work_with_state_on_postgresql() {
    let database = Postgres::start();
    let mut server = options().arg("--state-url").arg(database.url()).start();
    create_meter(&server);
    send(&server, &event("1", "s", "2024-01-01T00:00:00Z", "2.5"));
    let folder = tempfile::tempdir().unwrap();
    let (data_dir, backup) = (server.data_dir().to_path_buf(), folder.path().join("backup"));
    let backup = backup.to_str().unwrap();
    let operate = |dir: &std::path::Path, command: &[&str]| {
        let to = ["--state-url", database.url(), "--data-dir", dir.to_str().unwrap()];
        let output = run(&[command, &to[..]].concat(), &[]);
        assert!(output.status.success(), "{command:?}: {}", stderr(&output));
        stdout(&output)
    };
    assert!(operate(&data_dir, &["verify"]).contains("postgres"));
    assert!(operate(&data_dir, &["backup", backup]).contains("pg_dump"));
    server.stop();
    assert!(operate(&data_dir, &["verify"]).contains("postgres"));
    let restored = folder.path().join("restored");
    assert!(operate(&restored, &["restore", backup]).contains("restore its dump"));
    assert!(!restored.join("state.sqlite").exists());
    let copy = options().data_dir(&restored).arg("--state-url").arg(database.url()).start();
    let answer = copy.get("/api/v1/meters/tokens/query").body;
    assert!(answer.contains("\"value\":2.5,"), "{answer}");
}

#[test]
fn a_database_that_cannot_be_reached_is_named_without_its_password() {
    let refused = options().arg("--state-url").arg("postgres://me:s3cret@127.0.0.1:1/db").try_start();
    let exited = refused.err().unwrap();
    assert_ne!(exited.code, Some(0));
    assert!(exited.stderr.contains("127.0.0.1:1") && !exited.stderr.contains("s3cret"), "{}", exited.stderr);
}
