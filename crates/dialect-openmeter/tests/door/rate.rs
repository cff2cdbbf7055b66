//! Requests of one caller in a time. The buckets refill so slowly that no test waits for it.

use crate::support::{Door, EVENT};
use axum::body::{Body, Bytes};
use std::time::Duration;
use tallystick_domain::key::Scope;
use tallystick_engine::Limits;
use tallystick_http_kit::{HttpLimits, RateLimits};

/// A door that answers so many requests of a caller, and then none for an hour.
async fn door(burst: u32) -> Door {
    let limits = HttpLimits { rate: RateLimits::new(Duration::from_secs(3600), burst), ..HttpLimits::default() };
    Door::open_with(Limits::default(), limits).await
}

#[tokio::test]
async fn each_key_has_a_bucket_of_its_own() {
    let mut door = door(2).await;
    let (first, second) = (door.make_key("default", Scope::Admin).await, door.make_key("default", Scope::Ingest).await);
    for key in [first, second] {
        door.key = Some(key);
        for left in [1, 0] {
            let answer = door.get("/api/v1/events").await;
            assert_ne!(answer.status, 429);
            assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=2;w=7200");
            let time = if left == 1 { 3600 } else { 7200 };
            assert_eq!(answer.header("ratelimit"), format!("\"default\";r={left};t={time}"));
        }
        let refused = door.get("/api/v1/events").await.expect(429);
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert!(refused.detail().contains("limits.requests_per_second"), "{}", refused.text);
        assert!(refused.json()["instance"].as_str().unwrap().starts_with("urn:request:"));
        let wait: u32 = refused.header("retry-after").parse().unwrap();
        assert!((3500..=3600).contains(&wait), "{wait}");
        assert_eq!(refused.header("ratelimit"), format!("\"default\";r=0;t={wait}"));
    }
    // Who is not known has no bucket to empty.
    door.key = Some("tsk_wrong".into());
    for _ in 0..4 {
        assert_eq!(door.get("/api/v1/events").await.expect(401).header("ratelimit"), "");
    }
}

#[tokio::test]
async fn callers_without_a_key_share_one_bucket() {
    let door = door(1).await;
    door.get("/api/v1/meters").await.expect(200);
    door.get("/api/v1/subjects").await.expect(429);
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_not_read() {
    let door = door(1).await;
    door.get("/api/v1/meters").await.expect(200);
    let never = futures_util::stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, std::io::Error>>> {
        panic!("the body was read")
    });
    door.ingest(EVENT, Body::from_stream(never)).await.expect(429);
}

#[tokio::test]
async fn an_answer_that_comes_again_takes_a_place_too_and_a_refusal_keeps_no_key() {
    let door = door(2).await;
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    let create = async || door.call("POST", "/api/v1/customers", &headers, r#"{"key":"c","name":"C"}"#).await;
    create().await.expect(201);
    let again = create().await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), again.header("ratelimit")), ("true", "\"default\";r=0;t=7200"));
    assert_eq!(create().await.expect(429).header("idempotency-replayed"), "");
}

#[tokio::test]
async fn all_portal_tokens_of_a_subject_share_a_bucket() {
    let mut door = door(4).await;
    door.meter("total", "SUM").await;
    let mut tokens = Vec::new();
    for subject in ["a", "a", "b"] {
        let made = door.post("/api/v1/portal/tokens", format!(r#"{{"subject":"{subject}"}}"#)).await.expect(200);
        tokens.push(made.json()["token"].as_str().unwrap().to_string());
    }
    let path = "/api/v1/portal/meters/total/query";
    for (token, status) in [(0, 200), (1, 200), (0, 200), (0, 200), (1, 429), (2, 200)] {
        door.key = Some(tokens[token].clone());
        let answer = door.call("GET", path, &[("origin", "https://a.example.com")], Body::empty()).await.expect(status);
        assert_eq!(answer.header("access-control-allow-origin"), "https://a.example.com");
        assert!(answer.header("ratelimit").starts_with("\"default\";r="), "{:?}", answer.headers);
    }
    door.key = None;
    door.get(path).await.expect(401);
}
