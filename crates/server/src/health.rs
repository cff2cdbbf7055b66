//! Whether the server lives and whether it can take work.

use crate::shutdown::Leaving;
use axum::extract::State;
use axum::http::StatusCode;
use tallystick_engine::Engine;

/// Liveness
///
/// Answers while the process can answer at all.
#[utoipa::path(
    get, path = "/healthz", operation_id = "healthz", tag = "Operations", security(()),
    responses((status = 200, description = "The process answers", body = String, content_type = "text/plain"))
)]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// Readiness
///
/// Fails while the server is stopping and when a store cannot be written.
#[utoipa::path(
    get, path = "/readyz", operation_id = "readyz", tag = "Operations", security(()),
    responses(
        (status = 200, description = "Requests are taken", body = String, content_type = "text/plain"),
        (status = 503, description = "Requests should go elsewhere", body = String, content_type = "text/plain")
    )
)]
pub async fn readyz(State((engine, leaving)): State<(Engine, Leaving)>) -> (StatusCode, &'static str) {
    if leaving.has_begun() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready: the server is stopping\n");
    }
    match engine.readiness().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(reason) => {
            tracing::warn!(reason, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: a store cannot be written, the log says why\n")
        }
    }
}
