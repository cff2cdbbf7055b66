//! Error bodies of what the vendor's client cannot provoke.

use crate::support::{Door, NOBODY};
use std::time::Duration;
use tallystick_http_kit::{HttpLimits, RateLimits};

#[tokio::test]
async fn unknown_paths_and_methods_have_bodies_too() {
    let door = Door::open().await;
    for path in ["/v1", "/v1/", "/v1/nothing", "/v1/payouts/x", "/v1/meters/a/b", "/v1//nothing//at/all"] {
        let answer = door.get(path).await.expect(404);
        assert_eq!(answer.code(), "not_found", "{path}");
    }
    let answer = door.call("PUT", "/v1/meters", "{}").await.expect(405);
    assert_eq!((answer.code().as_str(), answer.headers["allow"].to_str().unwrap()), ("error", "POST,GET,HEAD"));
}

#[tokio::test]
async fn doubled_slashes_lead_to_the_same_operation() {
    let door = Door::open().await;
    let made = door.post("/v1//meters", r#"{"name":"x"}"#).await.expect(201).json();
    let id = made["meter_id"].as_str().unwrap();
    assert_eq!(door.get(&format!("/v1///meters//{id}")).await.expect(200).json(), made);
    assert_eq!(door.get("/v1//meters?limit=1").await.expect(200).json()["pagination"]["limit"], 1);
    assert_eq!(door.get(&format!("/v1//meters/{NOBODY}")).await.expect(404).code(), "not_found");
}

#[tokio::test]
async fn a_limit_on_requests_says_when_to_come_back() {
    let rate = RateLimits::new(Duration::from_secs(3600), 1);
    let door = Door::open_with(HttpLimits { rate, ..HttpLimits::default() }).await;
    door.get("/v1//meters").await.expect(200);
    let answer = door.get("/v1/meters").await.expect(429);
    assert_eq!(answer.code(), "rate_limit_exceeded");
    let header = |name: &str| answer.headers[name].to_str().unwrap().to_string();
    assert_eq!((header("x-ratelimit-limit").as_str(), header("x-ratelimit-window-seconds").as_str()), ("1", "3600"));
    assert_eq!(header("x-ratelimit-policy"), "1;w=3600");
    assert!(header("retry-after").parse::<u32>().unwrap() > 3000);
}

#[tokio::test]
async fn a_path_that_is_too_long_names_the_limit() {
    let door = Door::open_with(HttpLimits { uri_bytes: 64, ..HttpLimits::default() }).await;
    let answer = door.get(&format!("/v1/meters?sort={}", "x".repeat(64))).await.expect(414);
    assert!(answer.code() == "error" && answer.text.contains("limits.uri_bytes"), "{}", answer.text);
}

#[tokio::test]
async fn a_body_that_is_too_large_names_the_limit() {
    let door = Door::open_with(HttpLimits { body_bytes: 64, ..HttpLimits::default() }).await;
    let answer = door.post("/v1/meters", format!(r#"{{"name":"{}"}}"#, "x".repeat(100))).await.expect(400);
    assert!(answer.code() == "bad_request" && answer.text.contains("limits.body_bytes"), "{}", answer.text);
}
