//! The layers in front of handlers, some of them over a real connection.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use axum::body::Body;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Extension, Router};
use http_body_util::BodyExt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tallystick_domain::Instant;
use tallystick_http_kit::access_log::{Finished, Observer};
use tallystick_http_kit::request_id::RequestIds;
use tallystick_http_kit::{Front, HttpLimits, Refusal, RequestId, body, panic};
use tower::ServiceExt;

/// A dialect that draws a refusal as plain text.
struct Plain(Refusal);

impl From<Refusal> for Plain {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Plain {
    fn into_response(self) -> Response {
        let status = match self.0 {
            Refusal::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        (status, self.0.to_string()).into_response()
    }
}

#[derive(Default)]
struct Recorder(Mutex<Vec<(Method, String, u16)>>);

impl Observer for Recorder {
    fn finished(&self, request: &Finished<'_>) {
        let seen = (request.method.clone(), request.route.to_string(), request.status.as_u16());
        self.0.lock().unwrap().push(seen);
    }
}

async fn measure(request: Request) -> Result<String, Plain> {
    let (parts, body) = request.into_parts();
    let limits = HttpLimits { body_bytes: 1 << 20, ..HttpLimits::default() };
    let bytes = body::read(&parts.headers, body, &limits).await?;
    Ok(bytes.len().to_string())
}

fn app(recorder: Arc<Recorder>) -> Router {
    let observer: Arc<dyn Observer> = recorder;
    let broken = async || -> String { panic!("a secret detail") };
    Router::new()
        .route("/length", any(measure))
        .route("/items/{id}", get(|Extension(id): Extension<RequestId>| async move { id.to_string() }))
        .route("/broken", get(broken))
        .layer(panic::catch::<Plain>())
        .layer(Front::new(RequestIds::new(Instant::from_micros(255).unwrap()), observer))
}

async fn call(app: &Router, path: &str) -> (StatusCode, String, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap().to_string();
    let status = response.status();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    (status, id, String::from_utf8(text.to_vec()).unwrap())
}

#[tokio::test]
async fn a_panic_costs_one_request_and_says_nothing() {
    let app = app(Arc::default());
    let (status, _, text) = call(&app, "/broken").await;
    assert_eq!(status, 500);
    assert!(!text.contains("secret"), "{text}");
    assert_eq!(call(&app, "/items/1").await.0, 200);
}

#[tokio::test]
async fn handlers_and_responses_have_the_same_id() {
    let app = app(Arc::default());
    assert_eq!(call(&app, "/items/1").await, (StatusCode::OK, "ff-000001".into(), "ff-000001".into()));
    assert_eq!(call(&app, "/items/1").await.1, "ff-000002");
}

#[tokio::test]
async fn requests_are_reported_by_their_pattern() {
    let recorder = Arc::new(Recorder::default());
    let app = app(Arc::clone(&recorder));
    for path in ["/items/customer-1", "/items/customer-2", "/nowhere/customer-3", "/broken"] {
        call(&app, path).await;
    }
    let seen: Vec<_> = recorder.0.lock().unwrap().iter().map(|(_, route, status)| (route.clone(), *status)).collect();
    let expected = [("/items/{id}", 200), ("/items/{id}", 200), ("unmatched", 404), ("/broken", 500)];
    assert_eq!(seen, expected.map(|(route, status)| (route.to_string(), status)));
}

async fn serve() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app(Arc::default())).await });
    address
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// A client that writes everything before it reads anything, as most do.
fn write_then_read(address: SocketAddr, head: &str, length: usize) -> String {
    let mut stream = connect(address);
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = vec![b' '; 64 << 10];
    for _ in 0..length / chunk.len() {
        stream.write_all(&chunk).unwrap();
    }
    let mut answer = [0; 16];
    stream.read_exact(&mut answer).unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_of_too_much_gets_the_answer_and_no_broken_connection() {
    let address = serve().await;
    let length = 32 << 20;
    let announced = format!("POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
    let until_closed = "POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2000000\r\n".to_string();
    for head in [announced, until_closed] {
        let sent = tokio::task::spawn_blocking(move || write_then_read(address, &head, length));
        assert_eq!(sent.await.unwrap(), "HTTP/1.1 413 Pay");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_asks_first_is_refused_before_it_sends() {
    let address = serve().await;
    let asked = tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        let head = "POST /length HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1000000000\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    });
    assert_eq!(asked.await.unwrap(), "HTTP/1.1 413");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_harms_nobody() {
    let address = serve().await;
    tokio::task::spawn_blocking(move || {
        let mut stream = connect(address);
        stream.write_all(b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc").unwrap();
        drop(stream);
        let mut next = connect(address);
        next.write_all(b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc")
            .unwrap();
        let mut answer = String::new();
        next.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n3"), "{answer}");
    })
    .await
    .unwrap();
}
