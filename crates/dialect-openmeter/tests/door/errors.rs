//! Error bodies, keys and routes that are none.

use crate::support::{Door, EVENT};
use axum::body::Body;
use tallystick_domain::key::Scope;

#[tokio::test]
async fn an_error_carries_the_requests_id() {
    let door = Door::open().await;
    let answer =
        door.call("GET", "/api/v1/meters/nope", &[("x-request-id", "host/AbC-1")], Body::empty()).await.expect(404);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(answer.header("x-request-id"), "host/AbC-1");
    insta::assert_snapshot!(answer.text);
    for bad in ["", "a b", "é", "<script>", &"x".repeat(129)] {
        let answer = door.call("GET", "/api/v1/meters/nope", &[("x-request-id", bad)], Body::empty()).await.expect(404);
        let made = answer.header("x-request-id").to_string();
        assert!(!made.is_empty() && made != bad);
        assert_eq!(answer.json()["instance"], format!("urn:request:{made}"));
    }
    let (first, second) = (door.get("/api/v1/meters").await, door.get("/api/v1/meters").await);
    assert_ne!(first.header("x-request-id"), second.header("x-request-id"));
}

#[tokio::test]
async fn a_path_that_is_no_operation_is_404_and_a_wrong_method_405() {
    let door = Door::open().await;
    for path in ["/api/v1/nothing", "/api/v1/events/1", "/api/v9/events", "/api/v1/meters/a/b", "/api/v1/"] {
        let answer = door.get(path).await.expect(404);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        assert_eq!((answer.json()["title"].as_str(), answer.json().get("detail")), (Some("Not Found"), None));
    }
    for (method, path, allowed) in [
        ("DELETE", "/api/v1/events", vec!["GET", "HEAD", "POST"]),
        ("PATCH", "/api/v1/meters/a", vec!["DELETE", "GET", "HEAD", "PUT"]),
        ("PUT", "/api/v1/addons", vec!["GET", "HEAD", "POST"]),
    ] {
        let answer = door.call(method, path, &[], Body::empty()).await.expect(405);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!((answer.json()["title"].as_str(), answer.json().get("detail")), (Some("Method Not Allowed"), None));
        assert!(answer.json()["instance"].as_str().unwrap().starts_with("urn:request:"));
        let mut named: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        named.sort_unstable();
        assert_eq!(named, allowed, "{method} {path}");
    }
}

#[tokio::test]
async fn keys_open_what_they_are_for() {
    let mut door = Door::open().await;
    let ingest = door.make_key("default", Scope::Ingest).await;
    let read = door.make_key("default", Scope::Read).await;
    let admin = door.make_key("default", Scope::Admin).await;
    let one = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c"}"#;
    let meter = r#"{"slug":"a","aggregation":"COUNT","eventType":"t"}"#;
    for (key, ingests, reads, creates) in [
        (None, 401, 401, 401),
        (Some("tsk_wrong".to_string()), 401, 401, 401),
        (Some(ingest), 204, 403, 403),
        (Some(read), 403, 200, 403),
        (Some(admin), 204, 200, 201),
    ] {
        door.key = key;
        let answers = [
            door.ingest(EVENT, one).await.expect(ingests),
            door.get("/api/v2/events").await.expect(reads),
            door.post("/api/v1/meters", meter).await.expect(creates),
        ];
        for answer in answers {
            match answer.status.as_u16() {
                401 => {
                    assert!(answer.detail().starts_with("unauthorized error: "));
                    assert_eq!(answer.header("www-authenticate"), "Bearer");
                }
                403 => assert!(answer.detail().starts_with("forbidden error: "), "{}", answer.detail()),
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn a_key_without_the_scope_is_refused_before_the_body_is_read() {
    let mut door = Door::open().await;
    door.key = Some(door.make_key("default", Scope::Read).await);
    door.ingest(EVENT, "nonsense").await.expect(403);
}
