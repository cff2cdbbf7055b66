//! What happened to each request, for the log and for metrics. Paths are patterns, so nothing is labelled per customer.

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use tallystick_engine::monotonic;

/// The pattern of a request that no route took.
pub const UNMATCHED: &str = "unmatched";

/// A finished request.
#[derive(Clone, Debug)]
pub struct Finished<'a> {
    /// The method.
    pub method: &'a Method,
    /// The pattern of the route, for example `/api/v1/meters/{meterIdOrSlug}`.
    pub route: &'a str,
    /// The answer's status.
    pub status: StatusCode,
    /// Time until the answer's head was ready.
    pub duration: Duration,
}

/// Whoever wants to know of finished requests.
pub trait Observer: Send + Sync + 'static {
    /// Is told of each; must not block.
    fn finished(&self, request: &Finished<'_>);
}

/// Middleware: measures, logs and reports. Must be a `Router::layer`, which knows the matched route.
pub async fn watch(State(observer): State<Arc<dyn Observer>>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let started = monotonic();
    let response = next.run(request).await;
    let route = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let finished = Finished { method: &method, route, status: response.status(), duration: started.elapsed() };
    tracing::info!(
        method = %finished.method,
        route = finished.route,
        status = finished.status.as_u16(),
        duration_us = u64::try_from(finished.duration.as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    observer.finished(&finished);
    response
}
