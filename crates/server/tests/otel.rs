//! Traces over OTLP, against a receiver that is a page of code.

#![cfg(feature = "otel")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::options;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tallystick_testkit::TestServer;
use tallystick_testkit::server::{call, request};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// One export: the head of the request and its protobuf.
struct Export {
    head: String,
    body: Vec<u8>,
}

impl Export {
    /// Protobuf keeps texts and ids as they are.
    fn holds(&self, bytes: &[u8]) -> bool {
        self.body.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// Takes exports on a free port, and answers each as it should be.
fn collector() -> (String, Receiver<Export>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let sender = sender.clone();
            std::thread::spawn(move || while receive(stream.as_ref().unwrap(), &sender).is_some() {});
        }
    });
    (url, receiver)
}

fn receive(stream: &TcpStream, exports: &Sender<Export>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap().trim().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n").ok()?;
    exports.send(Export { head: lower, body }).ok()
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

fn ask(server: &TestServer, path: &str, flags: &str) {
    let parent = format!("00-{TRACE}-{PARENT}-{flags}");
    let asked = request("GET", server.url(), path).header("traceparent", parent).header("tracestate", "vendor=opaque");
    assert_eq!(call(asked, None).status, 200);
}

/// The first export that holds a text; nobody waits for ever.
fn export_with(exports: &Receiver<Export>, text: &str) -> Export {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let export = exports.recv_timeout(left).expect("the span arrives");
        if export.holds(text.as_bytes()) {
            return export;
        }
    }
}

#[test]
fn a_request_is_a_span_of_its_senders_trace() {
    let (url, exports) = collector();
    let server = options().env("TALLYSTICK_TELEMETRY__ENDPOINT", &url).env("OTEL_BSP_SCHEDULE_DELAY", "100").start();
    ask(&server, "/api/v1/meters?includeDeleted=true", "01");
    let export = export_with(&exports, "GET /api/v1/meters");
    assert!(export.head.starts_with("post /v1/traces http/1.1"), "{}", export.head);
    assert!(export.head.contains("content-type: application/x-protobuf"), "{}", export.head);
    for id in [TRACE, PARENT] {
        assert!(export.holds(&bytes(id)), "{id} is not in the export");
    }
    for text in ["tallystick", "service.name", "http.route", "http.response.status_code", "vendor=opaque", "request_id"]
    {
        assert!(export.holds(text.as_bytes()), "{text} is not in the export");
    }
    assert!(!export.holds(b"includeDeleted"), "the query string is in the export");
    let line = server.stderr().lines().find(|line| line.contains(TRACE)).unwrap().to_string();
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(line["span"]["parent_id"], PARENT);
    let span = line["span"]["span_id"].as_str().unwrap();
    assert!(export.holds(&bytes(span)), "{span} of the log is not in the export");
}

#[test]
fn a_trace_that_begins_here_has_its_id_in_the_log_and_the_last_spans_leave_at_the_end() {
    let (url, exports) = collector();
    let mut server = options().env("TALLYSTICK_TELEMETRY__ENDPOINT", &url).start();
    assert_eq!(server.get("/api/v1/subjects").status, 200);
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let line = ended.stderr.lines().find(|line| line.contains("/api/v1/subjects")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    let trace = line["span"]["trace_id"].as_str().unwrap();
    assert!(export_with(&exports, "GET /api/v1/subjects").holds(&bytes(trace)));
}

#[test]
fn what_its_sender_does_not_record_is_not_exported() {
    let (url, exports) = collector();
    let mut server = options().env("TALLYSTICK_TELEMETRY__ENDPOINT", &url).start();
    ask(&server, "/api/v1/features", "00");
    ask(&server, "/api/v1/meters", "01");
    assert_eq!(server.stop().code, Some(0));
    let mut arrived = 0;
    while let Ok(export) = exports.recv_timeout(Duration::from_millis(200)) {
        assert!(!export.holds(b"/api/v1/features"));
        arrived += usize::from(export.holds(b"/api/v1/meters"));
    }
    assert_eq!(arrived, 1);
}

#[test]
fn a_collector_that_is_away_costs_no_request() {
    // Nobody listens there any more.
    let url = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let mut server = options().env("TALLYSTICK_TELEMETRY__ENDPOINT", &url).start();
    ask(&server, "/api/v1/meters", "01");
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}
