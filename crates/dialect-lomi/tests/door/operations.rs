//! What is served, what is not, and that the document, the routes and the documentation agree on it.

use crate::support::{Door, NOBODY};
use axum::body::Body;
use std::collections::BTreeSet;
use std::fmt::Write;
use tallystick_dialect_lomi::operations::{Published, is_served, published};
use tallystick_domain::key::Scope;
use utoipa::openapi::PathItem;

const DOCUMENTATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dialects/lomi.md");
const NOT_SERVED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/not-served.txt");
const TABLE_START: &str = "<!-- operations: start -->\n";
const TABLE_END: &str = "<!-- operations: end -->";

fn methods_of(item: &PathItem) -> Vec<(&'static str, String)> {
    let operations = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    let named = operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)));
    named.map(|(method, operation)| (method, operation.operation_id.clone().unwrap())).collect()
}

/// A path with an id in the place of its parameters.
fn filled(path: &str, id: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { id } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn body_for(method: &str) -> Body {
    if matches!(method, "GET" | "DELETE") { Body::empty() } else { Body::from("{}") }
}

#[test]
fn all_84_operations_are_known() {
    let all = published();
    let unique: BTreeSet<_> = all.iter().map(|operation| (operation.path, operation.method)).collect();
    assert_eq!((all.len(), unique.len()), (84, 84));
}

#[tokio::test]
async fn the_list_of_what_is_not_served_is_true() {
    let document = Door::open().await.document;
    let mut actual = String::new();
    for operation in published().into_iter().filter(|operation| !is_served(&document, operation)) {
        writeln!(actual, "{} {} {}", operation.method, operation.path, operation.id).unwrap();
    }
    let committed = std::fs::read_to_string(NOT_SERVED).unwrap();
    assert_eq!(committed, actual, "take out of {NOT_SERVED} what is served now, and add nothing to it");
}

#[tokio::test]
async fn what_is_served_has_a_route_and_what_is_not_says_so() {
    let door = Door::open().await;
    for operation in published() {
        let Published { method, path, .. } = operation;
        let answer = door.call(method, &filled(&format!("/v1{path}"), NOBODY), body_for(method)).await;
        assert_eq!(answer.text.contains("not served"), !is_served(&door.document, &operation), "{operation:?}");
        assert!(answer.status != 405 && answer.status != 501, "{operation:?}");
    }
}

#[tokio::test]
async fn the_documentation_lists_every_operation() {
    let document = Door::open().await.document;
    let text = std::fs::read_to_string(DOCUMENTATION).unwrap();
    let (_, rest) = text.split_once(TABLE_START).expect("the documentation has a table");
    let (committed, _) = rest.split_once(TABLE_END).expect("the table ends");
    let (mut lines, mut served) = (String::new(), 0);
    for operation in published() {
        let is_served = is_served(&document, &operation);
        served += usize::from(is_served);
        let Published { method, path, id } = operation;
        writeln!(lines, "| `{method} /v1{path}` | `{id}` | {} |", if is_served { "yes" } else { "404" }).unwrap();
    }
    let head = "| operation | function of the client | served |\n| --- | --- | --- |\n";
    let actual = format!("{served} of {} operations are served.\n\n{head}{lines}", published().len());
    assert_eq!(committed, actual, "the table between the marks in {DOCUMENTATION} must be:\n{actual}");
}

#[tokio::test]
async fn the_document_names_each_operation_once_and_every_reference_leads_somewhere() {
    let document = Door::open().await.document;
    let ids: Vec<_> = document.paths.paths.values().flat_map(methods_of).map(|(_, operation)| operation).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert!(ids.len() == 19 && ids.iter().all(|id| id.starts_with("lomi_")), "{ids:?}");
    let text = document.to_json().unwrap();
    for reference in text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.components.as_ref().unwrap().schemas.contains_key(reference), "{reference}");
    }
}

#[tokio::test]
async fn no_operation_answers_without_a_key_or_with_a_wrong_one() {
    let mut door = Door::open().await;
    door.make_key("default", Scope::Admin).await;
    for key in [None, Some("tsk_wrong".to_string())] {
        door.key = key;
        for (path, item) in door.document.paths.paths.clone() {
            for (method, operation) in methods_of(&item) {
                let answer = door.call(method, &filled(&path, NOBODY), body_for(method)).await;
                assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "unauthorized"), "{operation}");
            }
        }
    }
}

#[tokio::test]
async fn another_namespace_sees_nothing() {
    let mut door = Door::open().await;
    let meter = door.meter(r#"{"name":"secret"}"#).await;
    let customer = door.customer().await;
    let usage = format!(r#"{{"transaction_id":"secret","code":"secret","customer_id":"{customer}"}}"#);
    let event = door.post("/v1/usage-events", usage).await.expect(202).json()["event_id"].as_str().unwrap().to_string();
    let credit = format!(r#"{{"meter_id":"{meter}","customer_id":"{customer}","units":1}}"#);
    let balance = door.post("/v1/usage-billing/credits", credit).await.expect(201).json()["balance_id"]
        .as_str()
        .unwrap()
        .to_string();
    door.make_key("default", Scope::Admin).await;
    door.key = Some(door.make_key("other", Scope::Admin).await);
    for (path, item) in door.document.paths.paths.clone() {
        for (method, operation) in methods_of(&item) {
            for id in [&meter, &customer, &event, &balance] {
                let answer = door.call(method, &filled(&path, id), body_for(method)).await;
                assert!(!answer.text.contains("secret"), "{operation}: {}", answer.text);
                assert!(!path.contains('{') || answer.status == 404, "{operation}: {} {}", answer.status, answer.text);
            }
        }
    }
}
