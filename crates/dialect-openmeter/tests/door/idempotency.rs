//! `Idempotency-Key` on every write: done once, answered the same each time.

use crate::support::{Answer, BATCH, Door, EVENT, JSON, NOW};
use axum::body::Body;
use futures_util::future::join_all;
use std::collections::BTreeSet;
use tallystick_domain::idempotency::IdempotencyKey;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{Aggregation, MeterDefinition};
use tallystick_engine::{Attempt, Limits};
use tallystick_http_kit::HttpLimits;

const CUSTOMER: &str = r#"{"key":"acme","name":"ACME"}"#;

async fn keyed(door: &Door, key: &str, method: &str, path: &str, body: impl Into<Body>) -> Answer {
    door.call(method, path, &[("content-type", JSON), ("idempotency-key", key)], body).await
}

#[track_caller]
fn assert_replay(first: &Answer, second: &Answer) {
    assert_eq!(second.header("idempotency-replayed"), "true", "{}", second.text);
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!((first.status, &first.text), (second.status, &second.text));
    for name in ["content-type", "location", "tallystick-accepted", "tallystick-duplicates"] {
        assert_eq!(first.header(name), second.header(name), "{name}");
    }
}

#[tokio::test]
async fn every_kind_of_write_is_done_once_and_answered_the_same_again() {
    let door = Door::open().await;
    let meter = r#"{"slug":"total","aggregation":"COUNT","eventType":"t"}"#;
    let event = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c"}"#;
    let metered = r#"{"type":"metered","featureKey":"f","usagePeriod":{"interval":"DAY"},"measureUsageFrom":"2024-05-31T00:00:00Z"}"#;
    let correction = r#"{"source":"s","id":"1","reason":"wrong"}"#;
    let writes = [
        ("POST", "/api/v1/meters", meter, 201),
        ("PUT", "/api/v1/meters/total", r#"{"description":"all"}"#, 200),
        ("POST", "/api/v1/features", r#"{"key":"f","name":"F","meterSlug":"total"}"#, 201),
        ("POST", "/api/v1/customers", CUSTOMER, 201),
        ("PUT", "/api/v1/customers/acme", r#"{"key":"acme","name":"Acme"}"#, 200),
        ("POST", "/api/v1/subjects", r#"[{"key":"c"}]"#, 200),
        ("POST", "/api/v2/customers/acme/entitlements", metered, 201),
        (
            "POST",
            "/api/v2/customers/acme/entitlements/f/grants",
            r#"{"amount":1,"effectiveAt":"2024-06-01T00:00:00Z"}"#,
            201,
        ),
        ("PUT", "/api/v1/subjects/acme/entitlements/f/override", metered, 201),
        ("POST", "/api/v2/customers/acme/entitlements/f/reset", "{}", 204),
        ("DELETE", "/api/v2/customers/acme/entitlements/f", "", 204),
        ("POST", "/api/v1/portal/tokens/invalidate", r#"{"subject":"c"}"#, 204),
        ("POST", "/api/v1/events", event, 204),
        ("POST", "/api/v1/events/retract", correction, 200),
        ("DELETE", "/api/v1/subjects/c", "", 204),
        ("DELETE", "/api/v1/customers/acme", "", 204),
        ("DELETE", "/api/v1/features/f", "", 204),
        ("DELETE", "/api/v1/meters/total", "", 204),
    ];
    for (number, (method, path, body, status)) in writes.into_iter().enumerate() {
        let key = format!("\"write-{number}\"");
        let first = keyed(&door, &key, method, path, body).await.expect(status);
        // Without the quotes it is the same key.
        let second = keyed(&door, key.trim_matches('"'), method, path, body).await.expect(status);
        assert_replay(&first, &second);
    }
    assert_eq!(door.get("/api/v1/customers?includeDeleted=true").await.json()["totalCount"], 1);
}

#[tokio::test]
async fn a_refusal_for_what_the_request_says_is_kept_too() {
    let door = Door::open().await;
    let first = keyed(&door, "k", "POST", "/api/v1/customers", "{}").await.expect(400);
    let second = keyed(&door, "k", "POST", "/api/v1/customers", "{}").await.expect(400);
    assert_replay(&first, &second);
    let first = keyed(&door, "k2", "DELETE", "/api/v1/customers/nobody", "").await.expect(404);
    door.post("/api/v1/customers", r#"{"key":"nobody","name":"N"}"#).await.expect(201);
    assert_replay(&first, &keyed(&door, "k2", "DELETE", "/api/v1/customers/nobody", "").await);
}

#[tokio::test]
async fn a_key_stands_for_one_request_only() {
    let door = Door::open().await;
    keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER).await.expect(201);
    for (method, path, body) in [
        ("POST", "/api/v1/customers", r#"{"key":"other","name":"Other"}"#),
        ("POST", "/api/v1/customers?a=b", CUSTOMER),
        ("PUT", "/api/v1/customers/acme", CUSTOMER),
        ("POST", "/api/v1/features", CUSTOMER),
    ] {
        let refused = keyed(&door, "k", method, path, body).await.expect(422);
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert!(refused.detail().contains("Idempotency-Key"), "{}", refused.text);
        assert!(refused.json()["instance"].as_str().unwrap().starts_with("urn:request:"));
    }
    let headers = [("content-type", "application/json; charset=utf-8"), ("idempotency-key", "k")];
    door.call("POST", "/api/v1/customers", &headers, CUSTOMER).await.expect(422);
    // An event in binary mode is in its headers.
    let binary = |id: &'static str| {
        [
            ("ce-id", id),
            ("ce-source", "s"),
            ("ce-type", "t"),
            ("ce-subject", "c"),
            ("ce-specversion", "1.0"),
            ("idempotency-key", "e"),
        ]
    };
    door.call("POST", "/api/v1/events", &binary("1"), "").await.expect(204);
    door.call("POST", "/api/v1/events", &binary("2"), "").await.expect(422);
}

#[tokio::test]
async fn a_key_that_is_none_is_400_and_names_the_header() {
    let door = Door::open().await;
    for key in ["", "\"\"", "a b", "\"a", &"k".repeat(256)] {
        let refused = keyed(&door, key, "POST", "/api/v1/customers", CUSTOMER).await.expect(400);
        assert!(refused.detail().contains("Idempotency-Key"), "{}", refused.text);
    }
    keyed(&door, &"k".repeat(255), "POST", "/api/v1/customers", CUSTOMER).await.expect(201);
}

#[tokio::test]
async fn what_only_reads_takes_no_notice_of_keys() {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    for key in ["k", "\"not a key"] {
        for _ in 0..2 {
            let read = keyed(&door, key, "GET", "/api/v1/meters", "").await.expect(200);
            let asked = keyed(&door, key, "POST", "/api/v1/meters/total/query", "{}").await.expect(200);
            assert_eq!((read.header("idempotency-replayed"), asked.header("idempotency-replayed")), ("", ""));
        }
    }
}

#[tokio::test]
async fn a_foreign_key_sees_nothing_of_another_callers_answer() {
    let mut door = Door::open().await;
    let mine = door.make_key("default", Scope::Admin).await;
    let others = [door.make_key("default", Scope::Admin).await, door.make_key("other", Scope::Admin).await];
    door.key = Some(mine);
    let first = keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER).await.expect(201);
    for (other, status) in others.into_iter().zip([409, 201]) {
        door.key = Some(other);
        let answer = keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER).await.expect(status);
        assert_eq!(answer.header("idempotency-replayed"), "");
        assert!(!answer.text.contains(first.json()["id"].as_str().unwrap()) || status == 409, "{}", answer.text);
    }
    door.key = Some("tsk_wrong".into());
    keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER).await.expect(401);
    // Who may write nothing is told so, whatever the key.
    door.key = Some(door.make_key("default", Scope::Read).await);
    keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER).await.expect(403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_is_done() {
    let door = Door::open().await;
    // One that was done again would be told that the customer exists, without a Retry-After.
    let sent = (0..16).map(|_| keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER));
    let answers = join_all(sent).await;
    let mut customers = BTreeSet::new();
    for answer in answers {
        match answer.status.as_u16() {
            201 => drop(customers.insert(answer.json()["id"].as_str().unwrap().to_string())),
            _ => assert_eq!(answer.expect(409).header("retry-after"), "1"),
        }
    }
    assert_eq!(customers.len(), 1);
    assert_eq!(door.get("/api/v1/customers").await.json()["totalCount"], 1);
}

/// The fingerprint of a request is the door's affair: one that was held without it is taken for another request, so the tests
/// below hold the key through the door first.
#[tokio::test]
async fn a_write_whose_answer_was_lost_is_not_done_again() {
    let door = Door::open_with_answers(0).await;
    keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER).await.expect(201);
    for _ in 0..2 {
        let lost = keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER).await.expect(409);
        assert!(lost.detail().contains("was done") && lost.detail().contains("list"), "{}", lost.text);
        assert_eq!(lost.header("retry-after"), "");
    }
    assert_eq!(door.get("/api/v1/customers").await.json()["totalCount"], 1);
}

#[tokio::test]
async fn the_text_of_a_portal_token_is_not_kept() {
    let door = Door::open().await;
    let create = r#"{"subject":"c"}"#;
    keyed(&door, "k", "POST", "/api/v1/portal/tokens", create).await.expect(200);
    let lost = keyed(&door, "k", "POST", "/api/v1/portal/tokens", create).await.expect(409);
    assert!(lost.detail().contains("was done"), "{}", lost.text);
    assert_eq!(door.get("/api/v1/portal/tokens").await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refusal_that_passes_leaves_the_key_free() {
    let door = Door::open().await;
    door.post("/api/v1/customers", CUSTOMER).await.expect(201);
    keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER).await.expect(409);
    door.call("DELETE", "/api/v1/customers/acme", &[], "").await.expect(204);
    let made = keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER).await.expect(201);
    assert_replay(&made, &keyed(&door, "k", "POST", "/api/v1/customers", CUSTOMER).await);
}

#[tokio::test]
async fn an_attempt_that_died_after_its_write_leaves_the_key_taken() {
    let door = Door::open().await;
    let caller = door.engine.authenticate(None).await.unwrap();
    let key = || IdempotencyKey::parse("k").unwrap();
    let definition = |slug: &str| MeterDefinition {
        id: None,
        judging: None,
        details: Default::default(),
        slug: slug.into(),
        name: None,
        description: None,
        aggregation: Aggregation::Count,
        event_type: "t".into(),
        event_from: None,
        value_property: None,
        group_by: Default::default(),
        metadata: None,
    };
    let attempt = |request: &'static [u8]| door.engine.attempt(&caller, key(), request);
    let Attempt::Do(first) = attempt(b"request").await.unwrap() else { panic!("the key is free") };
    door.engine.create_meter(&first, definition("a")).await.unwrap();
    assert!(matches!(attempt(b"request").await.unwrap(), Attempt::InFlight));
    // Its server is gone before it kept the answer, and after a while its lease is over.
    door.set_clock("2024-06-01T00:01:00Z");
    assert!(matches!(attempt(b"request").await.unwrap(), Attempt::AnswerLost));
    assert!(matches!(attempt(b"another").await.unwrap(), Attempt::OtherRequest));
    // Another one died before it wrote: its key is free, and it cannot write any more.
    door.set_clock("2024-06-03T00:00:00Z");
    let Attempt::Do(slow) = attempt(b"request").await.unwrap() else { panic!("the key has expired") };
    door.set_clock("2024-06-03T00:01:00Z");
    let Attempt::Do(quick) = attempt(b"request").await.unwrap() else { panic!("the lease is over") };
    let refused = door.engine.create_meter(&slow, definition("b")).await.unwrap_err();
    assert!(refused.to_string().contains("nothing was written by this one"), "{refused}");
    door.engine.create_meter(&quick, definition("b")).await.unwrap();
    assert_eq!(door.engine.list_meters(&caller, true).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_key_is_forgotten_after_a_day() {
    let door = Door::open().await;
    let event = |id: &str| format!(r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"t","subject":"c"}}"#);
    let send = async |key: &str, id: &str| {
        let headers = [("content-type", EVENT), ("idempotency-key", key)];
        door.call("POST", "/api/v1/events", &headers, event(id)).await
    };
    send("k", "1").await.expect(204);
    door.set_clock("2024-06-01T23:59:59Z");
    assert_eq!(send("k", "1").await.expect(204).header("tallystick-accepted"), "1");
    assert_eq!(door.engine.forget_idempotency_keys().await.unwrap(), 0);
    door.set_clock("2024-06-02T00:00:00Z");
    assert_eq!(door.engine.forget_idempotency_keys().await.unwrap(), 1);
    assert_eq!(send("k", "2").await.expect(204).header("idempotency-replayed"), "");
    door.set_clock(NOW);
}

#[tokio::test]
async fn a_body_is_compared_as_it_was_sent_and_read_as_ever() {
    let door = Door::open_with(Limits::default(), HttpLimits { sent_body_bytes: 1000, ..HttpLimits::default() }).await;
    let event = r#"[{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c"}]"#;
    let packed = zstd::encode_all(event.as_bytes(), 3).unwrap();
    let headers = [("content-type", BATCH), ("content-encoding", "zstd"), ("idempotency-key", "k")];
    let first = door.call("POST", "/api/v1/events", &headers, packed.clone()).await.expect(204);
    assert_eq!(first.header("tallystick-accepted"), "1");
    assert_replay(&first, &door.call("POST", "/api/v1/events", &headers, packed).await);
    let large = door.call("POST", "/api/v1/events", &headers, vec![7; 1001]).await.expect(413);
    assert!(large.detail().contains("compressed body"), "{}", large.text);
    let headers = [("content-type", BATCH), ("content-encoding", "br"), ("idempotency-key", "k")];
    door.call("POST", "/api/v1/events", &headers, "x").await.expect(415);
}

#[tokio::test]
async fn the_document_says_which_operations_take_a_key() {
    let document: serde_json::Value = serde_json::from_str(&Door::open().await.document.to_json().unwrap()).unwrap();
    let mut writes = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let takes_key = operation["parameters"].to_string().contains("\"Idempotency-Key\"");
            let answers = &operation["responses"];
            let is_served = answers.get("501").is_none();
            let only_reads = method == "get" || path.ends_with("/query");
            assert_eq!(takes_key, is_served && !only_reads, "{method} {path}");
            if takes_key {
                writes += 1;
                assert!(answers.get("409").is_some() && answers.get("422").is_some(), "{method} {path}: {answers}");
            }
        }
    }
    assert_eq!(writes, 39);
}
