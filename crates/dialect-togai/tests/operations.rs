//! What is served, what is not, and that the document, the routes and the documentation agree on it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use tallystick_dialect_togai::operations::{Published, is_served, published};
use tallystick_domain::key::Scope;
use tallystick_domain::{Instant, Namespace};
use tallystick_engine::{Clock, Engine, EngineConfig, IdempotencyTuning, KeyAdmin, Limits, PortalTuning, StoreTuning};
use tallystick_http_kit::HttpLimits;
use tempfile::TempDir;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;

const DOCUMENTATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dialects/togai.md");
const NOT_SERVED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/not-served.txt");
const TABLE_START: &str = "<!-- operations: start -->\n";
const TABLE_END: &str = "<!-- operations: end -->";

/// A door over an engine of its own.
struct Door {
    app: Router,
    document: OpenApi,
    dir: TempDir,
}

impl Door {
    async fn open() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::parse_rfc3339("2024-06-01T00:00:00Z").unwrap();
        let config = EngineConfig {
            data_dir: dir.path().to_path_buf(),
            state_url: None,
            require_key: false,
            limits: Limits::default(),
            store: StoreTuning { memtable_bytes: 1 << 20, wal_file_bytes: 1 << 20, queue_bytes: 1 << 20 },
            meters: vec![],
            retention: vec![],
            portal: PortalTuning::default(),
            idempotency: IdempotencyTuning::default(),
            clock: Clock::Fixed(Arc::new(AtomicI64::new(now.as_micros()))),
        };
        let engine = Engine::open(config).await.unwrap();
        let (app, document) = tallystick_dialect_togai::router(engine, HttpLimits::default()).split_for_parts();
        Self { app, document, dir }
    }

    /// The status and the message of the answer.
    async fn call(&self, method: &str, path: &str, key: Option<&str>) -> (StatusCode, String) {
        let mut request = Request::builder().method(method).uri(path).header(CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header(AUTHORIZATION, format!("Bearer {key}"));
        }
        let body = if matches!(method, "GET" | "DELETE") { Body::empty() } else { Body::from("{}") };
        let answer = self.app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        (status, body["message"].as_str().unwrap_or_default().to_owned())
    }
}

/// A path with something in the place of its parameters.
fn filled(path: &str) -> String {
    path.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect::<Vec<_>>().join("/")
}

#[test]
fn all_151_operations_are_known() {
    let all = published();
    assert_eq!(all.len(), 151);
    let unique: BTreeSet<_> = all.iter().map(|operation| (operation.method, operation.path)).collect();
    assert_eq!(unique.len(), 151);
}

#[tokio::test]
async fn every_published_operation_has_a_route_and_unserved_ones_say_so() {
    let door = Door::open().await;
    for operation in published() {
        let (status, message) = door.call(operation.method, &filled(operation.path), None).await;
        if is_served(&door.document, &operation) {
            assert!(
                status != 501 && status != 405 && message != "there is no such operation",
                "{operation:?}: {status}"
            );
        } else {
            assert_eq!(status, 501, "{operation:?}");
            assert!(message.contains(operation.id), "{operation:?}: {message}");
        }
    }
    let (status, message) = door.call("GET", "/nothing/at/all", None).await;
    assert_eq!((status.as_u16(), message.as_str()), (404, "there is no such operation"));
}

#[tokio::test]
async fn no_operation_answers_without_a_key_or_with_a_wrong_one() {
    let door = Door::open().await;
    let admin = KeyAdmin::open(door.dir.path(), None).await.unwrap();
    admin.create(Namespace::default_namespace(), "k", vec![Scope::Admin]).await.unwrap();
    for key in [None, Some("tsk_wrong")] {
        for operation in published() {
            let (status, message) = door.call(operation.method, &filled(operation.path), key).await;
            assert_eq!(status, 401, "{operation:?}");
            assert!(!message.is_empty(), "{operation:?}");
        }
    }
}

#[tokio::test]
async fn operation_ids_are_unique_and_every_reference_leads_somewhere() {
    let document = Door::open().await.document;
    let text = document.to_json().unwrap();
    let ids: Vec<_> = text.split("\"operationId\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    assert!(ids.iter().all(|id| id.starts_with("togai_")), "{ids:?}");
    for reference in text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.components.as_ref().unwrap().schemas.contains_key(reference), "{reference}");
    }
}

#[tokio::test]
async fn the_list_of_what_is_not_served_is_true() {
    let document = Door::open().await.document;
    let mut actual = String::new();
    for operation in published().iter().filter(|operation| !is_served(&document, operation)) {
        writeln!(actual, "{} {} {}", operation.method, operation.path, operation.id).unwrap();
    }
    let committed = std::fs::read_to_string(NOT_SERVED).unwrap();
    assert_eq!(committed, actual, "take out of {NOT_SERVED} what is served now, and add nothing to it");
}

#[tokio::test]
async fn the_documentation_lists_every_operation() {
    let document = Door::open().await.document;
    let text = std::fs::read_to_string(DOCUMENTATION).unwrap();
    let (_, rest) = text.split_once(TABLE_START).expect("the documentation has a table");
    let (committed, _) = rest.split_once(TABLE_END).expect("the table ends");
    let (mut lines, mut served) = (String::new(), 0);
    let all = published();
    for operation @ Published { method, path, id } in &all {
        let is_served = is_served(&document, operation);
        served += usize::from(is_served);
        writeln!(lines, "| `{method} {path}` | `{id}` | {} |", if is_served { "yes" } else { "501" }).unwrap();
    }
    let head = "| operation | function of the client | served |\n| --- | --- | --- |\n";
    let actual = format!("{served} of {} operations are served.\n\n{head}{lines}", all.len());
    assert_eq!(committed, actual, "the table between the marks in {DOCUMENTATION} must be:\n{actual}");
}
