//! Error bodies: `{"message": …}`, of at most 500 characters, as the vendor's client reads them.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_engine::EngineError;
use tallystick_http_kit::{Refusal, RequestId};
use utoipa::openapi::{Content, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// The most characters of a message: the client refuses to read a longer one.
const MAX_MESSAGE_CHARS: usize = 500;

/// An error of the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    retry_after_s: Option<u32>,
}

/// An error body.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiErrorResponse)]
pub(crate) struct Body<'a> {
    /// What was wrong and what to do.
    #[schema(max_length = 500)]
    message: &'a str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: shortened(message.into()), retry_after_s: None }
    }

    /// A request that cannot be understood, breaks a rule or contradicts what is stored: 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A field of the body or a parameter that breaks a rule: 400.
    pub(crate) fn field(name: &str, reason: impl AsRef<str>) -> Self {
        let shown: String = name.chars().take(80).collect();
        Self::bad_request(format!("{shown}: {}", reason.as_ref()))
    }

    /// Something that is not in the caller's namespace: 404.
    pub(crate) fn not_found(what: &str, name: &str) -> Self {
        let shown: String = name.chars().take(80).collect();
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found: {shown}"))
    }

    /// A path that is no operation: 404.
    pub(crate) fn no_such_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "there is no such operation")
    }

    /// A published operation that is not served: 501.
    pub(crate) fn not_served(operation_ids: &str) -> Self {
        let message = format!("operation {operation_ids} is not served by this version of Tallystick");
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}

/// The longest beginning that is short enough, with a mark where something is left out.
pub(crate) fn shortened(message: String) -> String {
    if message.chars().count() <= MAX_MESSAGE_CHARS {
        return message;
    }
    message.chars().take(MAX_MESSAGE_CHARS - 1).chain(['…']).collect()
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(Body { message: &self.message })).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Draws the refusal of a request that did not reach the door's own layers.
pub(crate) fn draw(refusal: Refusal, _: Option<&RequestId>) -> Response {
    Problem::from(refusal).into_response()
}

/// Gives the router's own 405 a body.
pub(crate) fn draw_wrong_method(response: Response, _: Option<&RequestId>) -> Response {
    match response.status() == StatusCode::METHOD_NOT_ALLOWED && response.headers().get("content-type").is_none() {
        true => {
            let mut drawn = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the path has no such method").into_response();
            if let Some(allowed) = response.headers().get("allow") {
                drawn.headers_mut().insert("allow", allowed.clone());
            }
            drawn
        }
        false => response,
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let text = error.to_string();
        match error {
            EngineError::Unauthenticated(_) => Self::new(StatusCode::UNAUTHORIZED, text),
            EngineError::Forbidden { .. } => Self::new(StatusCode::FORBIDDEN, text),
            EngineError::NotFound { .. } | EngineError::Gone(_) => Self::new(StatusCode::NOT_FOUND, text),
            // The vendor knows 409 of one operation only, which asks for it itself.
            EngineError::Invalid(_)
            | EngineError::InvalidEvents(_)
            | EngineError::Conflict(_)
            | EngineError::Overlap { .. }
            | EngineError::NotEnough { .. } => Self::bad_request(text),
            EngineError::TooLarge(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, text),
            EngineError::Overloaded(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, text).retry_after(1),
            EngineError::StorageFull(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, text).retry_after(60),
            EngineError::Unavailable(cause) => {
                tracing::error!(cause, "a store is not available");
                let message = "a store of the server is not available; its log has the reason";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message).retry_after(5)
            }
            EngineError::Internal(cause) => {
                tracing::error!(cause, "request failed");
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed; the server's log has the reason")
            }
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Engine(error) => error.into(),
            Refusal::BodyTooLarge { .. } | Refusal::IdempotencyKeyReused => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, text)
            }
            Refusal::UnsupportedEncoding(_) => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text),
            Refusal::BadEncoding { .. }
            | Refusal::BodyInterrupted(_)
            | Refusal::BadQuery(_)
            | Refusal::BadIdempotencyKey(_) => Self::bad_request(text),
            Refusal::BodyTimeout(_) => Self::new(StatusCode::REQUEST_TIMEOUT, text),
            Refusal::UriTooLong { .. } => Self::new(StatusCode::URI_TOO_LONG, text),
            Refusal::TooManyRequests { wait_s, .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, text).retry_after(wait_s)
            }
            Refusal::IdempotencyKeyInFlight => Self::new(StatusCode::CONFLICT, text).retry_after(1),
            Refusal::IdempotentAnswerLost => Self::new(StatusCode::CONFLICT, text),
            Refusal::Panicked => Self::new(StatusCode::INTERNAL_SERVER_ERROR, text),
        }
    }
}

/// The answers that every operation can give, for the document.
pub(crate) struct Refused;

/// Their statuses, with what they mean.
pub(crate) const REFUSED: [(&str, &str); 14] = [
    ("400", "The request breaks a rule or contradicts what is stored; the message says how."),
    ("401", "No key, or one that is unknown or revoked."),
    ("403", "The key lacks the scope."),
    ("404", "There is no such thing."),
    ("405", "The path has no such method."),
    ("408", "The body did not arrive in time."),
    ("409", "The same idempotency key is at work, or its answer is lost."),
    ("414", "The path and its query are too long."),
    ("415", "The body is encoded in a way that is not read."),
    ("422", "The body is larger than a limit allows."),
    ("429", "More requests than the caller may make."),
    ("500", "A defect of the server; its log has the reason."),
    ("501", "This version does not serve what was asked for."),
    ("503", "The server cannot do it now."),
];

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let served = REFUSED.into_iter().filter(|(status, _)| *status != "501");
        served.map(|(status, meaning)| (status.to_string(), answer(meaning).into())).collect()
    }
}

/// An answer with an error body.
pub(crate) fn answer(meaning: &str) -> utoipa::openapi::Response {
    let content = Content::new(Some(Ref::from_schema_name("TogaiErrorResponse")));
    ResponseBuilder::new().description(meaning).content("application/json", content).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_never_longer_than_the_client_reads() {
        let message = Problem::bad_request("é".repeat(501)).message;
        assert_eq!(message.chars().count(), 500);
        assert!(message.ends_with('…'));
        assert_eq!(Problem::bad_request("é".repeat(500)).message, "é".repeat(500));
    }
}
