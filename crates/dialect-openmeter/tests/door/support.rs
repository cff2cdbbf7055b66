//! A door that tests can talk to, and what they say.

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tallystick_domain::key::Scope;
use tallystick_domain::{Instant, Namespace};
use tallystick_engine::{
    Clock, Engine, EngineConfig, IdempotencyTuning, KeyAdmin, Limits, NamespaceAdmin, StoreTuning,
};
use tallystick_http_kit::{Front, HttpLimits, request_id};
use tempfile::TempDir;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;

/// The moment at which tests take place.
pub const NOW: &str = "2024-06-01T00:00:00Z";
pub const EVENT: &str = "application/cloudevents+json";
pub const BATCH: &str = "application/cloudevents-batch+json";
pub const JSON: &str = "application/json";

pub fn at(text: &str) -> Instant {
    Instant::parse_rfc3339(text).unwrap()
}

/// A door over an engine of its own.
pub struct Door {
    app: Router,
    clock: Arc<AtomicI64>,
    dir: TempDir,
    /// The engine behind the door.
    pub engine: Engine,
    /// What the door says of itself.
    pub document: OpenApi,
    /// The key that is sent with every request.
    pub key: Option<String>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    #[track_caller]
    pub fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_string()
    }

    /// The fields that the answer names as faulty.
    #[track_caller]
    pub fn faulty_fields(&self) -> Vec<String> {
        let faults = self.json()["extensions"]["validationErrors"].as_array().cloned().unwrap_or_default();
        faults.iter().map(|fault| fault["field"].as_str().unwrap().to_string()).collect()
    }
}

impl Answer {
    /// What the third version's `invalid_parameters` say: the field, its source and the rule.
    #[track_caller]
    pub fn rules(&self) -> Vec<String> {
        let faults = self.json()["invalid_parameters"].as_array().cloned().unwrap_or_default();
        let text = |fault: &Value, name: &str| fault[name].as_str().unwrap().to_string();
        faults
            .iter()
            .map(|one| format!("{} {} {}", text(one, "field"), text(one, "source"), text(one, "rule")))
            .collect()
    }
}

impl Door {
    pub async fn open() -> Self {
        Self::open_with(Limits::default(), HttpLimits::default()).await
    }

    pub async fn open_with(limits: Limits, http_limits: HttpLimits) -> Self {
        Self::open_as(limits, http_limits, IdempotencyTuning::default()).await
    }

    /// A door that keeps answers of idempotency keys up to so many bytes.
    pub async fn open_with_answers(answer_bytes: usize) -> Self {
        let idempotency = IdempotencyTuning { answer_bytes, ..IdempotencyTuning::default() };
        Self::open_as(Limits::default(), HttpLimits::default(), idempotency).await
    }

    async fn open_as(limits: Limits, http_limits: HttpLimits, idempotency: IdempotencyTuning) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(at(NOW).as_micros()));
        let config = EngineConfig {
            data_dir: dir.path().to_path_buf(),
            state_url: None,
            require_key: false,
            limits,
            store: StoreTuning { memtable_bytes: 1 << 20, wal_file_bytes: 4 << 20, queue_bytes: 8 << 20 },
            meters: vec![],
            retention: vec![],
            portal: tallystick_engine::PortalTuning::default(),
            idempotency,
            clock: Clock::Fixed(Arc::clone(&clock)),
        };
        let engine = Engine::open(config).await.unwrap();
        let ids = request_id::RequestIds::new(engine.now());
        let (router, document) = tallystick_dialect_openmeter::router(engine.clone(), http_limits).split_for_parts();
        let app = router.layer(Front::naming(ids));
        Self { app, clock, dir, engine, document, key: None }
    }

    /// Makes a key; from now on a key is needed.
    pub async fn make_key(&self, namespace: &str, scope: Scope) -> String {
        let admin = KeyAdmin::open(self.dir.path(), None).await.unwrap();
        let namespace = Namespace::parse(namespace).unwrap();
        let namespaces = NamespaceAdmin::open(self.dir.path(), None).await.unwrap();
        if namespaces.list().await.unwrap().iter().all(|(known, _)| *known != namespace) {
            namespaces.create(&namespace).await.unwrap();
        }
        admin.create(namespace, "test", vec![scope]).await.unwrap().secret
    }

    pub fn set_clock(&self, text: &str) {
        self.clock.store(at(text).as_micros(), Ordering::SeqCst);
    }

    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        if let Some(key) = &self.key {
            request.headers_mut().insert(AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
        }
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::new(body.into());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = path.parse().unwrap_or_else(|error| panic!("{error}: {path}"));
        for (name, value) in headers {
            let name: axum::http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        self.send(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.call("POST", path, &[(CONTENT_TYPE.as_str(), JSON)], body).await
    }

    /// Sends a body to the ingest operation.
    pub async fn ingest(&self, content_type: &str, body: impl Into<Body>) -> Answer {
        self.call("POST", "/api/v1/events", &[(CONTENT_TYPE.as_str(), content_type)], body).await
    }

    /// Stores one event of type `t` and source `s`.
    #[track_caller]
    pub fn event(&self, id: &str, subject: &str, time: &str, data: &str) -> impl Future<Output = ()> {
        let body = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"t","subject":"{subject}","time":"{time}","data":{data}}}"#
        );
        async move {
            self.ingest(EVENT, body).await.expect(204);
        }
    }

    /// Creates a meter over events of type `t` with its value at `$.v` and the dimensions `m` and `n`.
    pub async fn meter(&self, slug: &str, aggregation: &str) {
        let value = if aggregation == "COUNT" { "" } else { r#","valueProperty":"$.v""# };
        let body = format!(
            r#"{{"slug":"{slug}","aggregation":"{aggregation}","eventType":"t","groupBy":{{"m":"$.m","n":"$.n"}}{value}}}"#
        );
        self.post("/api/v1/meters", body).await.expect(201);
    }

    /// The ids of all events, newest first.
    pub async fn ids(&self) -> Vec<String> {
        ids_of(&self.get("/api/v2/events").await.expect(200).json())
    }
}

/// The ids of the events of an answer, of either version.
pub fn ids_of(body: &Value) -> Vec<String> {
    let items = body.as_array().or_else(|| body["items"].as_array()).unwrap();
    items.iter().map(|item| item["event"]["id"].as_str().unwrap().to_string()).collect()
}

/// A text for use in a query string.
pub fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
