//! `/metrics`, and answers in plain text for what belongs to no dialect.

use crate::metrics::{CONTENT_TYPE, Metrics};
use axum::extract::{FromRef, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use tallystick_domain::key::Scope;
use tallystick_engine::{Engine, EngineError};
use tallystick_http_kit::{Authenticated, Refusal};

/// What the route reads.
#[derive(Clone)]
pub struct MetricsState {
    /// Recognises the caller.
    pub engine: Engine,
    /// The figures.
    pub metrics: Arc<Metrics>,
}

impl FromRef<MetricsState> for Engine {
    fn from_ref(state: &MetricsState) -> Self {
        state.engine.clone()
    }
}

/// Metrics
///
/// Figures of the whole server for Prometheus. Needs a key with the scope `admin` from the first key on.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "Operations", security(("apiKey" = [])),
    responses(
        (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"),
        (status = 401, description = "The API key is missing, unknown or revoked", body = String, content_type = "text/plain"),
        (status = 403, description = "The API key lacks the scope", body = String, content_type = "text/plain"),
        (status = 500, description = "The server failed; its log says why", body = String, content_type = "text/plain"),
        (status = 503, description = "The server cannot do it now", body = String, content_type = "text/plain")
    )
)]
pub async fn metrics(
    caller: Authenticated<Plain>,
    State(state): State<MetricsState>,
) -> Result<impl IntoResponse, Plain> {
    // The figures are sums over all namespaces, so reading one of them is not enough.
    caller.require(Scope::Admin).map_err(|error| Plain(error.into()))?;
    let text = state.metrics.render().map_err(|_| Plain(Refusal::Panicked))?;
    Ok(([(CONTENT_TYPE_HEADER, CONTENT_TYPE)], text))
}

/// The answer to a path that nobody serves.
pub async fn no_such_route() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there is no such path; /docs shows those that there are\n")
}

/// A refusal as plain text.
pub struct Plain(Refusal);

impl From<Refusal> for Plain {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Plain {
    fn into_response(self) -> Response {
        let text = format!("{}\n", self.0);
        match self.0 {
            Refusal::Engine(EngineError::Unauthenticated(_)) => {
                (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], text).into_response()
            }
            Refusal::Engine(EngineError::Forbidden { .. }) => (StatusCode::FORBIDDEN, text).into_response(),
            Refusal::Engine(_) => (StatusCode::SERVICE_UNAVAILABLE, text).into_response(),
            _ => (StatusCode::INTERNAL_SERVER_ERROR, text).into_response(),
        }
    }
}
