//! Error bodies, keys and namespaces.

use super::{at, id_of, page, send};
use crate::support::{Door, EVENT, JSON};
use serde_json::{Value, json};
use tallystick_domain::key::Scope;

#[tokio::test]
async fn a_problem_has_the_published_form() {
    let door = Door::open().await;
    let answer = send(&door, "POST", "meters", &json!({"key": "a"})).await.expect(400);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    assert_eq!(
        (&body["type"], &body["title"], &body["status"]),
        (&json!("about:blank"), &json!("Bad Request"), &json!(400))
    );
    assert_eq!(body["instance"], format!("urn:request:{}", answer.header("x-request-id")));
    assert_eq!(body["detail"], "name: is missing; aggregation: is missing; event_type: is missing");
    let expected = json!({"field": "name", "rule": "required", "reason": "is missing", "source": "body"});
    assert_eq!((&body["invalid_parameters"][0], body.get("extensions")), (&expected, None));
}

#[tokio::test]
async fn what_is_no_operation_is_said_in_the_same_form() {
    let door = Door::open().await;
    for path in [at("nothing"), "/api/v3".into(), "/api/v3/meters".into(), at("meters/x/y/z")] {
        let answer = door.get(&path).await.expect(404);
        assert!(answer.json()["instance"].is_string(), "{path}: {}", answer.text);
    }
    assert_eq!(door.get(&at("nothing")).await.detail(), "there is no such operation");
    let answer = door.call("DELETE", &at("meters"), &[], "").await.expect(405);
    assert_eq!((answer.detail().is_empty(), answer.header("allow").is_empty()), (false, false));
    let answer = door.get(&at("plans")).await.expect(501);
    assert_eq!(answer.detail(), "operation Plans.List is not served by this version of Tallystick");
    // The first versions keep their own form.
    assert_eq!(door.get("/api/v1/nothing").await.expect(404).json().get("detail"), None);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_told_as_a_fault_of_the_body() {
    let door = Door::open().await;
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    for body in ["", "{", "[]", "null", r#"{"name":"a","name":"b"}"#, "\u{feff}{}", &deep] {
        let answer = door.call("POST", &at("meters"), &[("content-type", JSON)], body.to_string()).await.expect(400);
        assert_eq!(answer.rules().len(), 1, "{body}: {}", answer.text);
        assert!(answer.rules()[0].starts_with("body body "), "{body}: {}", answer.text);
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    door.call("POST", &at("meters"), &form, "a=b").await.expect(400);
    let encoding = [("content-type", JSON), ("content-encoding", "br")];
    door.call("POST", &at("meters"), &encoding, "{}").await.expect(415);
    assert_eq!(door.get(&at("meters?a=%FF")).await.expect(400).json()["status"], 400);
    // A small body makes no huge answer.
    let many: Value =
        (0..5000).map(|number| (format!("x{number}"), json!(1))).collect::<serde_json::Map<_, _>>().into();
    assert_eq!(send(&door, "POST", "meters", &many).await.expect(400).rules().len(), 100);
}

#[tokio::test]
async fn an_idempotency_key_stands_for_one_write() {
    let door = Door::open().await;
    let headers = [("content-type", JSON), ("idempotency-key", "k")];
    let body = r#"{"key":"acme","name":"A"}"#;
    let first = door.call("POST", &at("customers"), &headers, body).await.expect(201);
    let again = door.call("POST", &at("customers"), &headers, body).await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.text), ("true", &first.text));
    let reused = door.call("POST", &at("customers"), &headers, r#"{"key":"b","name":"B"}"#).await.expect(422);
    assert!(reused.detail().starts_with("this Idempotency-Key was sent with another request"), "{}", reused.text);
    assert!(reused.json()["instance"].is_string() && reused.json().get("extensions").is_none(), "{}", reused.text);
    // The same path of the first version is another request; a query only reads.
    door.call("POST", "/api/v1/customers", &headers, body).await.expect(422);
    door.meter("total", "SUM").await;
    let id = id_of(&door.get("/api/v1/meters/total").await.json());
    for body in ["{}", r#"{"granularity":"P1D"}"#] {
        door.call("POST", &at(&format!("meters/{id}/query")), &headers, body).await.expect(200);
    }
}

/// Every operation with what it needs to succeed. `MADE` stands for the id of its kind.
fn operations() -> Vec<(&'static str, &'static str, Value, Scope)> {
    vec![
        ("POST", "meters", json!({"key": "k", "name": "K", "aggregation": "count", "event_type": "t"}), Scope::Admin),
        ("GET", "meters", json!(null), Scope::Read),
        ("GET", "meters/MADE", json!(null), Scope::Read),
        ("PUT", "meters/MADE", json!({"name": "K"}), Scope::Admin),
        ("POST", "meters/MADE/query", json!({}), Scope::Read),
        ("GET", "events", json!(null), Scope::Read),
        ("POST", "events", json!({"id": "1", "source": "s", "type": "t", "subject": "c"}), Scope::Ingest),
        ("POST", "customers", json!({"key": "k", "name": "K"}), Scope::Admin),
        ("GET", "customers", json!(null), Scope::Read),
        ("GET", "customers/MADE", json!(null), Scope::Read),
        ("PUT", "customers/MADE", json!({"name": "K"}), Scope::Admin),
        ("GET", "customers/MADE/entitlement-access", json!(null), Scope::Read),
        ("POST", "entitlement-access/query", json!({"customer": {"keys": ["a"]}}), Scope::Read),
        ("POST", "features", json!({"key": "k", "name": "K"}), Scope::Admin),
        ("GET", "features", json!(null), Scope::Read),
        ("GET", "features/MADE", json!(null), Scope::Read),
        ("PATCH", "features/MADE", json!({}), Scope::Admin),
        ("DELETE", "features/MADE", json!(null), Scope::Admin),
        ("DELETE", "customers/MADE", json!(null), Scope::Admin),
        ("DELETE", "meters/MADE", json!(null), Scope::Admin),
    ]
}

/// The ids of one meter, customer and feature.
async fn make_one_of_each(door: &Door) -> Vec<(&'static str, String)> {
    let mut made = Vec::new();
    for (kind, body) in [
        ("meters", json!({"key": "a", "name": "secret", "aggregation": "count", "event_type": "t"})),
        ("customers", json!({"key": "a", "name": "secret"})),
        ("features", json!({"key": "a", "name": "secret"})),
    ] {
        made.push((kind, id_of(&send(door, "POST", kind, &body).await.expect(201).json())));
    }
    made
}

fn filled(path: &str, made: &[(&str, String)]) -> String {
    let kind = path.split('/').next().unwrap();
    let id = made.iter().find(|(known, _)| *known == kind).map_or("", |(_, id)| id);
    path.replace("MADE", id)
}

#[tokio::test]
async fn every_operation_is_walked() {
    let document = Door::open().await.document;
    let walked: Vec<String> =
        operations().iter().map(|(method, path, ..)| format!("{method} {}", path.replace("MADE", "{}"))).collect();
    let mut served = 0;
    for operation in tallystick_dialect_openmeter::operations::published_v3() {
        if tallystick_dialect_openmeter::operations::is_served(&document, &operation) {
            let path = operation.path.strip_prefix("/api/v3/openmeter/").unwrap();
            let path: Vec<_> = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
            let named = format!("{} {}", operation.method, path.join("/"));
            assert!(walked.contains(&named), "{named} is not walked");
            served += 1;
        }
    }
    // Two of the client's functions share the way in, and two the query.
    assert_eq!(served, walked.len() + 4);
}

#[tokio::test]
async fn a_key_does_what_its_scope_says_and_nothing_else() {
    let mut door = Door::open().await;
    let made = make_one_of_each(&door).await;
    for scope in [Scope::Read, Scope::Ingest, Scope::Admin] {
        door.key = Some(door.make_key("default", scope).await);
        for (method, path, body, needed) in operations() {
            let answer = send(&door, method, &filled(path, &made), &body).await;
            let may = needed == scope || scope == Scope::Admin;
            assert_eq!(answer.status != 403, may, "{scope:?} {method} {path}: {} {}", answer.status, answer.text);
            assert!(!may || answer.status.is_success(), "{scope:?} {method} {path}: {} {}", answer.status, answer.text);
        }
    }
}

#[tokio::test]
async fn another_namespaces_ids_are_no_ids() {
    let mut door = Door::open().await;
    let made = make_one_of_each(&door).await;
    let event = json!({"id": "secret", "source": "s", "type": "t", "subject": "c"});
    door.call("POST", &at("events"), &[("content-type", EVENT)], event.to_string()).await.expect(202);
    let own = door.make_key("default", Scope::Admin).await;
    door.key = Some(door.make_key("other", Scope::Admin).await);
    for (method, path, body, _) in operations() {
        let answer = send(&door, method, &filled(path, &made), &body).await;
        assert!(!answer.text.contains("secret"), "{method} {path}: {}", answer.text);
        let expected = if path.contains("MADE") { answer.status == 404 } else { answer.status.is_success() };
        assert!(expected, "{method} {path}: {} {}", answer.status, answer.text);
    }
    let meter = &made[0].1;
    let of_theirs = json!({"key": "x", "name": "X", "meter": {"id": meter}});
    send(&door, "POST", "features", &of_theirs).await.expect(404);
    let customer = &made[1].1;
    assert_eq!(door.get(&at(&format!("events?filter[customer_id]={customer}"))).await.status, 400);
    door.key = Some(own);
    for kind in ["meters", "customers", "features"] {
        assert_eq!(page(&door, kind).await.0, ["a"], "{kind}");
    }
}
