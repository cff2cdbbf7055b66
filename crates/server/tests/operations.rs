//! Health, metrics, the API's document and its page.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_key, event, send, server};

#[test]
fn metrics_count_events_and_requests_by_pattern() {
    let server = server();
    common::create_meter(&server);
    let first = event("1", "customer-7", "2024-01-01T00:00:00Z", "1");
    send(&server, &first);
    send(&server, &first);
    assert_eq!(server.post("/api/v1/events", "application/cloudevents+json", "{}").status, 400);
    assert_eq!(server.get("/api/v1/meters/tokens").status, 200);
    assert_eq!(server.get("/nowhere/customer-7").status, 404);
    let reply = server.get("/metrics");
    assert!(reply.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    for line in [
        "tallystick_events_accepted_total 1",
        "tallystick_events_duplicate_total 1",
        "tallystick_store_events 1",
        concat!("tallystick_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        r#"tallystick_http_requests_total{route="/api/v1/events",method="POST",status="2xx"} 2"#,
        r#"tallystick_http_requests_total{route="/api/v1/events",method="POST",status="4xx"} 1"#,
        r#"tallystick_http_requests_total{route="/api/v1/meters/{meterIdOrSlug}",method="GET",status="2xx"} 1"#,
        r#"tallystick_http_requests_total{route="unmatched",method="GET",status="4xx"} 1"#,
        r#"tallystick_http_request_duration_seconds_count{route="/api/v1/events",method="POST"} 3"#,
    ] {
        assert!(reply.body.lines().any(|found| found == line), "{line} is missing in:\n{}", reply.body);
    }
    assert!(!reply.body.contains("customer-7") && reply.body.ends_with("# EOF\n"));
}

#[test]
fn the_guide_lists_every_metric() {
    let guide = include_str!("../../../docs/guide/operate.md");
    let server = server();
    server.get("/healthz");
    let text = server.get("/metrics").body;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let mut found = 0;
    for (name, kind) in types {
        let suffix = [("counter", "_total"), ("info", "_info")].iter().find(|(known, _)| *known == kind);
        let name = format!("{name}{}", suffix.map_or("", |(_, suffix)| suffix));
        assert!([format!("`{name}`"), format!("`{name}{{")].iter().any(|shown| guide.contains(shown)), "{name}");
        found += 1;
    }
    assert!(found > 20, "{text}");
}

#[test]
fn metrics_are_for_admins_from_the_first_key_on() {
    let server = server();
    assert_eq!(server.get("/metrics").status, 200);
    let (admin, read) = (create_key(server.data_dir(), "admin"), create_key(server.data_dir(), "read"));
    // A key works within a moment of its creation.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let refused = server.get("/metrics");
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, Some("Bearer")));
    assert_eq!(server.call_with_key("GET", "/metrics", &read).status, 403);
    assert_eq!(server.call_with_key("GET", "/metrics", &admin).status, 200);
    for open in ["/healthz", "/readyz", "/openapi.json", "/docs/"] {
        assert_eq!(server.get(open).status, 200, "{open}");
    }
}

#[test]
fn the_docs_page_needs_no_other_host() {
    let server = server();
    assert_eq!(server.get("/docs").header("location"), Some("/docs/"));
    let page = server.get("/docs/").body;
    assert!(!page.contains("://"), "{page}");
    let sources = page.split(['"', '\'']).filter(|text| text.ends_with(".js") || text.ends_with(".css"));
    let mut found = 0;
    for source in sources {
        let reply = server.get(&format!("/docs/{}", source.trim_start_matches("./")));
        assert_eq!(reply.status, 200, "{source}");
        found += 1;
    }
    assert!(found >= 4, "{page}");
    let start = server.get("/docs/swagger-initializer.js").body;
    assert!(start.contains("/openapi.json") && !start.contains("://"), "{start}");
    assert!(start.contains(r#""validatorUrl": "none""#), "{start}");
}

#[test]
fn the_document_covers_the_servers_own_routes_too() {
    let server = server();
    let document: serde_json::Value = serde_json::from_str(&server.get("/openapi.json").body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/events", "/api/v2/events", "/api/v1/meters"] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    assert!(document["components"]["securitySchemes"]["apiKey"].is_object());
    // Every operation that says that it is served is one that the router knows.
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(get) = methods.get("get").filter(|_| !path.contains('{')) else { continue };
        let reply = server.get(path);
        assert!(reply.status != 404 && reply.status != 405, "{path}: {}", reply.status);
        let promised = get["responses"].as_object().unwrap();
        let documented = promised.contains_key(&reply.status.to_string());
        assert!(documented, "{path} answers {} and documents {:?}", reply.status, promised.keys());
    }
}

#[test]
fn a_request_id_is_in_every_answer() {
    let server = server();
    for path in ["/healthz", "/nowhere", "/api/v1/meters/none", "/metrics", "/docs/"] {
        assert!(server.get(path).header("x-request-id").is_some_and(|id| !id.is_empty()), "{path}");
    }
}

#[test]
fn an_answer_to_a_wrong_path_or_method_says_so() {
    let server = server();
    let reply = server.get("/nowhere");
    assert_eq!((reply.status, reply.body.contains("/docs")), (404, true));
    assert_eq!(server.post("/healthz", "text/plain", "x").status, 405);
}

#[test]
fn a_server_that_holds_all_it_may_says_when_to_come_back_and_loses_nothing() {
    // There is room for one of these events at a time.
    let server = common::options().env("TALLYSTICK_STORE__QUEUE_BYTES", "65536").start();
    let text = "x".repeat(40_000);
    let body = |id: &str| event(id, &format!("c-{id}"), "2024-01-01T00:00:00Z", &format!("1,\"text\":\"{text}\""));
    let refused = std::sync::atomic::AtomicU64::new(0);
    let sender = |thread: usize| {
        for n in 0..40 {
            let body = body(&format!("{thread}-{n}"));
            let reply = loop {
                let reply = server.post("/api/v1/events", "application/cloudevents+json", &body);
                if reply.status != 503 {
                    break reply;
                }
                assert_eq!(reply.header("retry-after"), Some("1"));
                assert!(reply.body.contains("too many events are waiting"), "{}", reply.body);
                refused.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            };
            assert_eq!((reply.status, reply.header("tallystick-accepted")), (204, Some("1")), "{}", reply.body);
        }
    };
    std::thread::scope(|scope| {
        let sender = &sender;
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || sender(thread))).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    assert!(refused.into_inner() > 0, "nobody was told to come back");
    let metrics = server.get("/metrics").body;
    assert!(metrics.lines().any(|line| line == "tallystick_store_events 320"), "{metrics}");
}
