//! Every limit of a request is crossed over HTTP: the answer is an error that names the option.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_meter, event};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use tallystick_testkit::server::{call, request};
use tallystick_testkit::{Reply, TestServer};

const BATCH: &str = "application/cloudevents-batch+json";

#[track_caller]
fn assert_names(reply: &Reply, status: u16, option: &str, value: &str) {
    assert_eq!(reply.status, status, "{option}: {}", reply.body);
    assert!(reply.body.contains(option) && reply.body.contains(value), "{option}: {}", reply.body);
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{option}");
}

fn batch(server: &TestServer, events: &[String]) -> Reply {
    server.post("/api/v1/events", BATCH, &format!("[{}]", events.join(",")))
}

/// Announces a body and sends a part of it.
fn slow(server: &TestServer) -> String {
    let address = server.url().strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "POST /api/v1/events HTTP/1.1\r\nHost: {address}\r\nContent-Type: {BATCH}\r\nContent-Length: 100\r\n\
         Connection: close\r\n\r\n[{{"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn every_limit_that_is_crossed_is_named() {
    let server = common::options()
        .env("TALLYSTICK_LIMITS__URI_BYTES", "1024")
        .env("TALLYSTICK_LIMITS__BODY_BYTES", "4000")
        .env("TALLYSTICK_LIMITS__COMPRESSED_BODY_BYTES", "1024")
        .env("TALLYSTICK_LIMITS__BODY_TIMEOUT_MS", "300")
        .env("TALLYSTICK_LIMITS__BATCH_EVENTS", "5")
        .env("TALLYSTICK_LIMITS__JSON_DEPTH", "3")
        .env("TALLYSTICK_LIMITS__QUERY_GROUPS", "4")
        .env("TALLYSTICK_LIMITS__QUERY_DISTINCT_VALUES", "4")
        .start();
    create_meter(&server);
    let unique = r#"{"slug":"models","aggregation":"UNIQUE_COUNT","eventType":"prompt","valueProperty":"$.model"}"#;
    assert_eq!(server.post("/api/v1/meters", "application/json", unique).status, 201);
    let events: Vec<_> =
        (0..6).map(|n| event(&n.to_string(), &n.to_string(), &format!("2024-01-0{}T00:00:00Z", n + 1), "1")).collect();

    let long = server.get(&format!("/api/v1/meters?page={}", "1".repeat(1024)));
    assert_names(&long, 414, "limits.uri_bytes", "1024");
    assert_names(&batch(&server, &events), 413, "limits.batch_events", "5");
    assert_names(&batch(&server, &vec![" ".repeat(2000); 3]), 413, "limits.body_bytes", "4000");
    let sent = vec![7; 1025];
    let packed = request("POST", server.url(), "/api/v1/events")
        .header("content-type", BATCH)
        .header("content-encoding", "gzip");
    assert_names(&call(packed, Some(&sent)), 413, "limits.compressed_body_bytes", "1024");
    let mut spaces = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    spaces.write_all(&vec![b' '; 4001]).unwrap();
    let bomb = request("POST", server.url(), "/api/v1/events")
        .header("content-type", BATCH)
        .header("content-encoding", "gzip");
    assert_names(&call(bomb, Some(&spaces.finish().unwrap())), 413, "limits.body_bytes", "4000");
    let nested = event("deep", "s", "2024-01-01T00:00:00Z", r#"{"a":{"b":{}}}"#);
    assert_names(&batch(&server, &[nested]), 400, "limits.json_depth", "3");
    let late = slow(&server);
    assert!(late.starts_with("HTTP/1.1 408") && late.contains("limits.body_timeout_ms"), "{late}");

    assert_eq!(batch(&server, &events[..3]).status, 204);
    assert_eq!(batch(&server, &events[3..]).status, 204);
    // The windows of an answer are among its rows.
    for rows in ["groupBy=subject", "windowSize=DAY"] {
        let refused = server.get(&format!("/api/v1/meters/tokens/query?{rows}"));
        assert_names(&refused, 400, "limits.query_groups", "4");
    }
    assert_names(&server.get("/api/v1/meters/models/query"), 400, "limits.query_distinct_values", "4");
    // What stays inside of all limits is served.
    let narrow = server.get("/api/v1/meters/tokens/query?subject=1&windowSize=DAY");
    assert_eq!(narrow.status, 200, "{}", narrow.body);
}

#[test]
fn a_caller_that_asks_too_often_is_told_when_to_come_back() {
    let server = common::options()
        .env("TALLYSTICK_LIMITS__REQUESTS_PER_SECOND", "1")
        .env("TALLYSTICK_LIMITS__REQUESTS_BURST", "3")
        .start();
    let replies: Vec<_> = (0..60).map(|_| server.get("/api/v1/meters")).collect();
    let refused = replies.iter().find(|reply| reply.status == 429).expect("sixty requests do not take a minute");
    assert_names(refused, 429, "limits.requests_per_second", "3");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"default\";q=3;w=3"));
    assert_eq!(refused.header("ratelimit"), Some("\"default\";r=0;t=1"));
    let count = replies.iter().filter(|reply| reply.status == 429).count();
    // What an operator looks at is not counted.
    for _ in 0..5 {
        assert_eq!(server.get("/healthz").status, 200);
        assert_eq!(server.get("/readyz").status, 200);
        let metrics = server.get("/metrics");
        assert_eq!((metrics.status, metrics.header("ratelimit")), (200, None));
        assert!(
            metrics.body.contains(&format!("tallystick_http_rate_limited_requests_total {count}\n")),
            "{}",
            metrics.body
        );
    }
}
