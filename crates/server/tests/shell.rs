//! What surrounds a server in operation: health checks, completions, manual pages, and the trace in the log.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_key, run, server, stderr, stdout};
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use tallystick_testkit::server::{call, request};

#[test]
fn health_says_whether_a_server_takes_requests_and_needs_no_key() {
    let server = server();
    create_key(server.data_dir(), "admin");
    let asked = server.command(&["health"]);
    assert_eq!((asked.status.code(), stdout(&asked).as_str()), (Some(0), "ready\n"), "{}", stderr(&asked));
}

#[test]
fn health_fails_without_a_server_and_when_one_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let silent = run(&["health", "--server", &url, "--timeout-ms", "200"], &[]);
    assert_eq!((silent.status.code(), stdout(&silent).as_str()), (Some(1), ""), "{}", stderr(&silent));
    drop(listener);
    let nobody = run(&["health", "--server", &url], &[]);
    assert_eq!((nobody.status.code(), stderr(&nobody).contains("no server answers")), (Some(1), true));
    assert_eq!(run(&["health", "--timeout-ms", "0"], &[]).status.code(), Some(2));
}

#[test]
fn health_fails_when_the_answer_is_not_that_of_a_ready_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let busy = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::Read::read(&mut stream, &mut [0; 1024]).unwrap();
        let answer = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9\r\n\r\nnot ready";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let asked = run(&["health", "--server", &url], &[]);
    busy.join().unwrap();
    assert_eq!(asked.status.code(), Some(1));
    assert!(stderr(&asked).contains("not ready (status 503)"), "{}", stderr(&asked));
}

#[test]
fn bash_reads_its_completions() {
    let script = run(&["completions", "bash"], &[]);
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    bash.stdin.take().unwrap().write_all(&script.stdout).unwrap();
    let checked = bash.wait_with_output().unwrap();
    assert!(checked.status.success() && stdout(&script).contains("--data-dir"), "{}", stderr(&checked));
    assert_eq!(run(&["completions", "tcsh"], &[]).status.code(), Some(2));
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    let written = run(&["man", "--dir", pages.to_str().unwrap()], &[]);
    assert!(written.status.success(), "{}", stderr(&written));
    let text = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap();
    assert!(text("tallystick-serve.1").contains("insecure"));
    assert!(text("tallystick-keys-create.1").contains("namespace"));
    assert_eq!(stdout(&run(&["man"], &[])), text("tallystick.1"));
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

#[test]
fn a_senders_trace_is_in_the_log_and_a_wrong_one_changes_nothing() {
    let mut server = server();
    let parents = [
        format!("00-{TRACE}-00f067aa0ba902b7-01"),
        "00-nonsense-01".to_string(),
        format!("00-{}-1-01", "0".repeat(32)),
    ];
    for (path, parent) in ["/api/v1/meters", "/api/v1/subjects", "/api/v1/features"].into_iter().zip(parents) {
        let asked = request("GET", server.url(), path).header("traceparent", parent);
        assert_eq!(call(asked.header("tracestate", "x".repeat(4000)), None).status, 200);
    }
    let log = server.stop().stderr;
    let line = |path: &str| -> serde_json::Value {
        let found = log.lines().find(|line| line.contains(&format!("\"route\":\"{path}\""))).unwrap();
        serde_json::from_str(found).unwrap()
    };
    let span = &line("/api/v1/meters")["span"];
    assert_eq!((&span["trace_id"], &span["parent_id"]), (&TRACE.into(), &"00f067aa0ba902b7".into()));
    assert!(span["request_id"].is_string());
    for path in ["/api/v1/subjects", "/api/v1/features"] {
        assert!(line(path)["span"].get("trace_id").is_none(), "{path}");
    }
    assert!(!log.contains("nonsense") && !log.contains("xxx"));
}
