//! Error bodies: `{"error": {"code", "message", "details"}, "request_id"}`, where details are an object or null.

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use tallystick_engine::{EngineError, Fault, InvalidEvent};
use tallystick_http_kit::{Refusal, RequestId};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

/// The core's words for fields, and the vendor's.
const FIELDS: [(&str, &str); 13] = [
    ("amount", "units"),
    ("billingAddress.country", "country"),
    ("data", "properties"),
    ("eventType", "filter"),
    ("id", "transaction_id"),
    ("meter", "meter_id"),
    ("meterSlug", "meter_id"),
    ("primaryEmail", "email"),
    ("slug", "name"),
    ("subject", "customer_id"),
    ("time", "timestamp"),
    ("type", "code"),
    ("valueProperty", "aggregation"),
];

/// An error, until its body is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    message: String,
    /// What is wrong, by field.
    details: BTreeMap<String, String>,
    retry_after_s: Option<u32>,
    /// How many requests may come in which time, and how it is promised.
    limit: Option<(u32, Duration)>,
}

/// An error body.
#[derive(Serialize, ToSchema)]
#[schema(as = LomiError)]
pub(crate) struct Body<'a> {
    /// What went wrong.
    error: Inner<'a>,
    /// The request's id, which the log and the header `X-Request-Id` have too.
    request_id: Option<String>,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
#[schema(as = LomiErrorDetail)]
pub(crate) struct Inner<'a> {
    /// A stable word for the kind of error.
    code: &'static str,
    /// What was wrong and what to do.
    message: &'a str,
    /// What is wrong, by field.
    #[schema(value_type = Option<Object>)]
    details: Option<&'a BTreeMap<String, String>>,
}

impl Problem {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), details: BTreeMap::new(), retry_after_s: None, limit: None }
    }

    /// A request that breaks a rule: 400.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// A field that breaks a rule: 400.
    pub(crate) fn field(name: &str, message: impl Into<String>) -> Self {
        Self::fields([(name.to_string(), message.into())].into())
    }

    /// Fields that break rules: 400.
    pub(crate) fn fields(details: BTreeMap<String, String>) -> Self {
        let told: Vec<_> = details.iter().map(|(field, message)| format!("{field}: {message}")).collect();
        Self { details, ..Self::bad_request(told.join("; ")) }
    }

    /// Something that is not in the caller's namespace: 404.
    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    /// Something that contradicts what is stored: 409.
    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, message)
    }

    /// A path that is no operation: 404.
    pub(crate) fn no_such_route() -> Self {
        let message = "there is no such operation, or it is not served: docs/dialects/lomi.md lists those that are";
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// A body that is no JSON by its media type: 415.
    pub(crate) fn not_json() -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
    }

    /// Details of a server fault go to the log, which knows the request's id, and never to the caller.
    fn internal(cause: &str) -> Self {
        tracing::error!(cause, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the server failed; its log has the details")
    }

    fn code(&self) -> &'static str {
        match self.status.as_u16() {
            400 => "bad_request",
            401 => "unauthorized",
            403 => "forbidden",
            404 => "not_found",
            409 => "conflict",
            429 => "rate_limit_exceeded",
            500 => "internal_error",
            503 => "service_unavailable",
            _ => "error",
        }
    }

    fn draw(&self, request_id: Option<&RequestId>) -> Response {
        let details = (!self.details.is_empty()).then_some(&self.details);
        let error = Inner { code: self.code(), message: &self.message, details };
        let body = Body { error, request_id: request_id.map(RequestId::to_string) };
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some((most, window)) = self.limit {
            let seconds = window.as_secs() + u64::from(window.subsec_nanos() > 0);
            headers.insert(HeaderName::from_static("x-ratelimit-limit"), most.into());
            headers.insert(HeaderName::from_static("x-ratelimit-window-seconds"), seconds.into());
            if let Ok(policy) = HeaderValue::try_from(format!("{most};w={seconds}")) {
                headers.insert(HeaderName::from_static("x-ratelimit-policy"), policy);
            }
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Draws the body without the request's id; [`name_requests`] draws it again with it.
    fn into_response(self) -> Response {
        let mut response = self.draw(None);
        response.extensions_mut().insert(self);
        response
    }
}

/// Gives every error body the request's id, and a body to the router's own 405.
pub(crate) fn name_requests(response: Response, id: Option<&RequestId>) -> Response {
    match response.extensions().get::<Problem>() {
        Some(problem) => problem.draw(id),
        None if response.status() == StatusCode::METHOD_NOT_ALLOWED => {
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the path has no such method");
            let mut drawn = problem.draw(id);
            drawn.headers_mut().extend(
                response
                    .headers()
                    .get(axum::http::header::ALLOW)
                    .map(|allowed| (axum::http::header::ALLOW, allowed.clone())),
            );
            drawn
        }
        None => response,
    }
}

/// Draws the refusal of a request that did not reach the door's own layers.
pub(crate) fn draw(refusal: Refusal, request_id: Option<&RequestId>) -> Response {
    Problem::from(refusal).draw(request_id)
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        let text = error.to_string();
        match error {
            EngineError::Unauthenticated(_) => Self::new(StatusCode::UNAUTHORIZED, text),
            EngineError::Forbidden { .. } => Self::new(StatusCode::FORBIDDEN, text),
            EngineError::Invalid(faults) => Self::fields(faults.into_iter().map(of_fault).collect()),
            EngineError::InvalidEvents(events) => Self::fields(events.into_iter().map(of_event).collect()),
            EngineError::NotFound { what, .. } => Self::not_found(what),
            // What was deleted is not there: the vendor has no other word for it.
            EngineError::Gone(_) => Self::new(StatusCode::NOT_FOUND, "it was deleted"),
            EngineError::Conflict(_) | EngineError::Overlap { .. } | EngineError::NotEnough { .. } => {
                Self::conflict(text)
            }
            EngineError::TooLarge(_) => Self::bad_request(text),
            EngineError::Overloaded(_) => Self::unavailable(text, 1),
            EngineError::StorageFull(_) => Self::unavailable(text, 60),
            EngineError::Unavailable(cause) => {
                tracing::error!(cause, "a store is not available");
                Self::unavailable("a store of the server is not available; its log has the reason", 5)
            }
            EngineError::Internal(cause) => Self::internal(&cause),
        }
    }
}

impl Problem {
    fn unavailable(message: impl Into<String>, retry_after_s: u32) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message) }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Engine(error) => error.into(),
            Refusal::BodyTooLarge { .. }
            | Refusal::BadEncoding { .. }
            | Refusal::BodyInterrupted(_)
            | Refusal::BadQuery(_)
            | Refusal::BadIdempotencyKey(_) => Self::bad_request(text),
            Refusal::UnsupportedEncoding(_) => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text),
            Refusal::BodyTimeout(_) => Self::new(StatusCode::REQUEST_TIMEOUT, text),
            Refusal::UriTooLong { .. } => Self::new(StatusCode::URI_TOO_LONG, text),
            Refusal::TooManyRequests { burst, period, wait_s } => {
                let limit = Some((burst, period.saturating_mul(burst)));
                let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, text);
                Self { retry_after_s: Some(wait_s), limit, ..problem }
            }
            Refusal::IdempotencyKeyReused => Self::new(StatusCode::UNPROCESSABLE_ENTITY, text),
            Refusal::IdempotencyKeyInFlight => Self { retry_after_s: Some(1), ..Self::conflict(text) },
            Refusal::IdempotentAnswerLost => Self::conflict(text),
            Refusal::Panicked => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed because of a defect of the server")
            }
        }
    }
}

fn named(field: &str) -> String {
    let known = FIELDS.iter().find(|(core, _)| *core == field);
    known.map_or(field, |(_, vendor)| *vendor).to_string()
}

fn of_fault(fault: Fault) -> (String, String) {
    (named(&fault.field), fault.message)
}

fn of_event(event: InvalidEvent) -> (String, String) {
    (named(event.fault.field), event.fault.message)
}

/// The answers that every operation can give, for the document.
pub(crate) struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let answers = [
            (400, "The request breaks a rule; the details say which, by field."),
            (401, "The API key is missing, unknown or revoked."),
            (403, "The API key lacks the scope."),
            (405, "The path has no such method; the Allow header names those it has."),
            (408, "The body did not arrive in time."),
            (409, "The request contradicts what is stored."),
            (414, "The path and its query are longer than limits.uri_bytes."),
            (415, "The body is not JSON, or its content encoding is not read."),
            (422, "The Idempotency-Key was sent with another request before."),
            (429, "The caller makes requests faster than it may; Retry-After says when to come back."),
            (500, "The server failed; its log has the details under the request's id."),
            (503, "The server cannot do it now; Retry-After says when to come back."),
        ];
        answers.into_iter().map(|(status, text)| (status.to_string(), RefOr::T(problem_answer(text)))).collect()
    }
}

/// 404 where something is named.
pub(crate) struct NotFound;

impl IntoResponses for NotFound {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        BTreeMap::from([("404".into(), RefOr::T(problem_answer("There is no such thing in the key's namespace.")))])
    }
}

fn problem_answer(text: &str) -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("LomiError"))).build();
    ResponseBuilder::new().description(text).content("application/json", content).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(refusal: impl Into<Refusal>) -> (u16, &'static str, Option<u32>) {
        let problem = Problem::from(refusal.into());
        (problem.status.as_u16(), problem.code(), problem.retry_after_s)
    }

    #[test]
    fn every_refusal_has_a_status_and_a_code_of_the_vendors() {
        let text = || String::from("why");
        for (refusal, wanted) in [
            (Refusal::Panicked, (500, "internal_error", None)),
            (EngineError::Internal(text()).into(), (500, "internal_error", None)),
            (EngineError::Unavailable(text()).into(), (503, "service_unavailable", Some(5))),
            (EngineError::Overloaded(text()).into(), (503, "service_unavailable", Some(1))),
            (EngineError::StorageFull(text()).into(), (503, "service_unavailable", Some(60))),
            (EngineError::TooLarge(text()).into(), (400, "bad_request", None)),
            (EngineError::Gone(text()).into(), (404, "not_found", None)),
            (EngineError::Conflict(text()).into(), (409, "conflict", None)),
            (Refusal::IdempotencyKeyInFlight, (409, "conflict", Some(1))),
            (Refusal::IdempotencyKeyReused, (422, "error", None)),
            (Refusal::BodyTimeout(Duration::from_secs(1)), (408, "error", None)),
        ] {
            assert_eq!(told(refusal.clone()), wanted, "{refusal:?}");
        }
    }

    #[test]
    fn what_is_wrong_inside_of_the_server_is_not_told() {
        for error in [EngineError::Internal("secret".into()), EngineError::Unavailable("secret".into())] {
            assert!(!Problem::from(error).message.contains("secret"));
        }
    }

    #[test]
    fn faults_have_the_vendors_names_of_fields() {
        let faults = vec![Fault::new("eventType", "a"), Fault::new("amount", "b"), Fault::new("name", "c")];
        let problem = Problem::from(EngineError::Invalid(faults));
        assert_eq!(problem.details.keys().collect::<Vec<_>>(), ["filter", "name", "units"]);
    }
}
