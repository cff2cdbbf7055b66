//! The third version: `/api/v3/openmeter`.

mod access;
mod customers;
mod errors;
mod events;
mod features;
mod meters;
mod query;

use crate::support::{Answer, Door, JSON};
use axum::body::Body;
use serde_json::Value;

/// The path of something of this version.
pub fn at(rest: &str) -> String {
    format!("/api/v3/openmeter/{rest}")
}

pub async fn send(door: &Door, method: &str, rest: &str, body: &Value) -> Answer {
    door.call(method, &at(rest), &[("content-type", JSON)], body.to_string()).await
}

pub async fn delete(door: &Door, rest: &str) -> Answer {
    door.call("DELETE", &at(rest), &[], Body::empty()).await
}

/// The id of what an answer shows.
#[track_caller]
pub fn id_of(answer: &Value) -> String {
    answer["id"].as_str().unwrap().to_string()
}

/// The keys on a page, and the numbers of the page.
pub async fn page(door: &Door, rest: &str) -> (Vec<String>, Value) {
    let body = door.get(&at(rest)).await.expect(200).json();
    let keys = body["data"].as_array().unwrap().iter().map(|item| item["key"].as_str().unwrap_or("-").to_string());
    (keys.collect(), body["meta"]["page"].clone())
}

/// Asserts that lists are filtered and sorted as it says: parameters and the keys in their order.
pub async fn lists(door: &Door, kind: &str, cases: &[(&str, &str)]) {
    for (parameters, expected) in cases {
        let (keys, numbers) = page(door, &format!("{kind}?{parameters}")).await;
        assert_eq!(keys.join(" "), *expected, "{parameters}");
        if !parameters.contains("page") {
            assert_eq!(numbers["total"], keys.len(), "{parameters}");
        }
    }
}

/// Asserts what is wrong with requests for lists.
pub async fn refuses(door: &Door, kind: &str, cases: &[(&str, &[&str])]) {
    for (parameters, expected) in cases {
        let answer = door.get(&at(&format!("{kind}?{parameters}"))).await.expect(400);
        assert_eq!(answer.rules(), *expected, "{parameters}: {}", answer.text);
    }
}
