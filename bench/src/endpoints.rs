//! The upper bounds: the product's HTTP stack with nothing behind it, and with nothing but its parser behind it.

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io::Write;
use std::time::Duration;
use tallystick_dialect_openmeter::parse_only;
use tallystick_engine::Limits;
use tallystick_http_kit::{HttpLimits, body};
use tokio::net::TcpListener;

/// Which upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Endpoint {
    /// Takes the body off the connection and answers 204.
    Noop,
    /// Reads, parses and checks the body as an ingest does and forgets it.
    Parse,
}

/// Bodies from this size on are parsed beside the async threads, as the product does.
const PARSE_ASIDE_BYTES: usize = 1 << 20;

/// Serves on a free port until the process is ended; the first line on stdout says where, as the product's does.
pub fn serve(endpoint: Endpoint) -> Result<()> {
    let app = match endpoint {
        Endpoint::Noop => Router::new()
            .route("/api/v1/events", post(noop))
            .route("/api/v2/customers/{customer}/entitlements/{feature}/value", get(noop)),
        Endpoint::Parse => Router::new().route("/api/v1/events", post(parse)),
    };
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(accept(app))
}

/// As the product's listener: HTTP/1.1 with its timer and without Nagle's delay.
async fn accept(app: Router) -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "  listening on  http://{}", listener.local_addr()?)?;
    out.flush()?;
    drop(out);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(75));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app.clone()));
        // A connection that breaks is the client's to notice.
        tokio::spawn(async move { drop(connection.await) });
    }
}

async fn noop(body: Body) -> StatusCode {
    drop(axum::body::to_bytes(body, usize::MAX).await);
    StatusCode::NO_CONTENT
}

async fn parse(headers: HeaderMap, sent: Body) -> StatusCode {
    let Ok(bytes) = body::read(&headers, sent, &HttpLimits::default()).await else {
        return StatusCode::BAD_REQUEST;
    };
    let parse = move || parse_only(&bytes, &Limits::default());
    let parsed = match headers.get("content-length").and_then(|length| length.to_str().ok()?.parse().ok()) {
        Some(0..=PARSE_ASIDE_BYTES) => parse(),
        _ => tokio::task::spawn_blocking(parse).await.ok().flatten(),
    };
    parsed.map_or(StatusCode::BAD_REQUEST, |_| StatusCode::NO_CONTENT)
}
