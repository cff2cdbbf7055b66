//! A door that tests can talk to, and what it answers.

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use tallystick_domain::key::Scope;
use tallystick_domain::{Instant, Namespace};
use tallystick_engine::{
    Clock, Engine, EngineConfig, IdempotencyTuning, KeyAdmin, Limits, NamespaceAdmin, PortalTuning, StoreTuning,
};
use tallystick_http_kit::{Front, HttpLimits, request_id};
use tempfile::TempDir;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;

/// The moment at which tests take place.
pub const NOW: &str = "2024-06-01T00:00:00Z";
/// An id that nothing has.
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000001";

/// A door over an engine of its own.
pub struct Door {
    app: Router,
    dir: TempDir,
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
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The code of an error body, which has the shape that the vendor's client reads.
    #[track_caller]
    pub fn code(&self) -> String {
        let body = self.json();
        let error = body["error"].as_object().unwrap_or_else(|| panic!("{}", self.text));
        assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "details", "message"], "{}", self.text);
        assert!(error["details"].is_null() || error["details"].is_object(), "{}", self.text);
        assert_eq!(body["request_id"].as_str(), self.headers["x-request-id"].to_str().ok(), "{}", self.text);
        error["code"].as_str().unwrap().to_string()
    }
}

impl Door {
    pub async fn open() -> Self {
        Self::open_with(HttpLimits::default()).await
    }

    pub async fn open_with(limits: HttpLimits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Instant::parse_rfc3339(NOW).unwrap().as_micros();
        let config = EngineConfig {
            data_dir: dir.path().to_path_buf(),
            state_url: None,
            require_key: false,
            limits: Limits::default(),
            store: StoreTuning { memtable_bytes: 1 << 20, wal_file_bytes: 4 << 20, queue_bytes: 8 << 20 },
            meters: vec![],
            retention: vec![],
            portal: PortalTuning::default(),
            idempotency: IdempotencyTuning::default(),
            clock: Clock::Fixed(Arc::new(AtomicI64::new(now))),
        };
        let engine = Engine::open(config).await.unwrap();
        let ids = request_id::RequestIds::new(engine.now());
        let (router, document) = tallystick_dialect_lomi::router(engine, limits).split_for_parts();
        let app = router.layer(Front::naming(ids));
        Self { app, dir, document, key: None }
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

    pub async fn call(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        let mut request = Request::new(body.into());
        *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
        *request.uri_mut() = path.parse().unwrap_or_else(|error| panic!("{error}: {path}"));
        request.headers_mut().insert(CONTENT_TYPE, "application/json".parse().unwrap());
        if let Some(key) = &self.key {
            request.headers_mut().insert(AUTHORIZATION, format!("Bearer {key}").parse().unwrap());
        }
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.call("POST", path, body).await
    }

    /// The id of a new meter.
    pub async fn meter(&self, body: &str) -> String {
        let made = self.post("/v1/meters", body.to_string()).await.expect(201);
        made.json()["meter_id"].as_str().unwrap().to_string()
    }

    /// The id of a new customer.
    pub async fn customer(&self) -> String {
        let made = self.post("/v1/customers", r#"{"name":"ACME"}"#).await.expect(201);
        made.json()["customer_id"].as_str().unwrap().to_string()
    }
}
