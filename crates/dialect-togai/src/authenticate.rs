//! `/authenticate`: the token with which the other operations are called.

use crate::door::Caller;
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tallystick_engine::EngineError;
use tallystick_http_kit::auth::{api_key, bearer};
use utoipa::ToSchema;

/// The token of an open server, which asks nobody for one.
const OPEN: &str = "none-needed";

/// A token.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiTokenResponse)]
struct Token<'a> {
    /// To be sent as `Authorization: Bearer TOKEN`.
    token: &'a str,
}

/// Get a token
///
/// The API key itself: it is a token already, and is valid until it is revoked.
#[utoipa::path(
    post,
    path = "/authenticate",
    operation_id = "togai_authenticate",
    tag = "Togai authentication",
    responses((status = 200, description = "The token.", body = Token), Refused),
)]
pub(crate) async fn authenticate(_: Caller, headers: HeaderMap) -> Result<Response, Problem> {
    let token = secret(&headers)?.unwrap_or(OPEN);
    Ok(Json(Token { token }).into_response())
}

fn secret(headers: &HeaderMap) -> Result<Option<&str>, EngineError> {
    Ok(match bearer(headers)? {
        Some(secret) => Some(secret),
        None => api_key(headers)?,
    })
}
