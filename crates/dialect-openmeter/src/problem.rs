//! Error bodies: `application/problem+json` with the vendor's detail prefixes.

use crate::amount::Amount;
use crate::v3::InvalidParameter;
use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_domain::quantity::Quantity;
use tallystick_engine::{EngineError, Fault};
use tallystick_http_kit::{Refusal, RequestId};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

const OF_BODY: &str = "request body has an error: ";

/// An error, until its body is drawn: each version of the API has a form of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(crate) status: StatusCode,
    /// What the first versions write before the text.
    prefix: &'static str,
    pub(crate) text: Option<String>,
    pub(crate) faults: Vec<ValidationError>,
    /// What is wrong, as the third version lists it.
    pub(crate) parameters: Vec<InvalidParameter>,
    obstacle: Option<Box<Obstacle>>,
    retry_after_s: Option<u32>,
}

/// What contradicts a request, besides words.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Obstacle {
    /// The id of what stands in the way.
    Entity(String),
    /// So much is left where more is wanted.
    Left(Quantity),
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ValidationError {
    /// What is wrong and what would be right.
    pub message: String,
    /// Always `critical`: nothing of the request was done.
    #[schema(value_type = String)]
    pub severity: &'static str,
    /// A stable word for the kind of fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub code: Option<&'static str>,
    /// JSONPath of the field at fault, for example `$[3].subject`.
    pub field: String,
}

/// An error body as RFC 9457 describes it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Body<'a> {
    /// Always `about:blank`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'a str,
    /// The status.
    status: u16,
    /// What was wrong, where, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// `urn:request:` and the request's id, which the log has too.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Further facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<Extensions<'a>>,
}

/// Further facts of an error.
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemExtensions)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Extensions<'a> {
    /// Everything that is wrong with the request.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    validation_errors: &'a [ValidationError],
    /// The id of what stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    conflicting_entity_id: Option<&'a str>,
    /// How much is left where too little is.
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Amount>,
}

impl Problem {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::bare(status) }
    }

    fn prefixed(status: StatusCode, prefix: &'static str, text: impl Into<String>) -> Self {
        Self { prefix, ..Self::new(status, text) }
    }

    fn bare(status: StatusCode) -> Self {
        Self { status, prefix: "", text: None, faults: vec![], parameters: vec![], obstacle: None, retry_after_s: None }
    }

    /// A request that cannot be understood or breaks a rule: 400. The text is taken as it is.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// A request that breaks a rule of the service: 400 with the vendor's prefix.
    pub fn validation(detail: impl AsRef<str>) -> Self {
        Self::prefixed(StatusCode::BAD_REQUEST, "validation error: ", detail.as_ref())
    }

    /// A parameter that breaks a rule: 400. `place` is `query` or `path`.
    pub fn parameter(name: &str, place: &'static str, reason: impl AsRef<str>) -> Self {
        let reason = reason.as_ref();
        let text = format!("parameter \"{name}\" in {place} has an error: {reason}");
        Self::bad_request(text).with_parameters(vec![InvalidParameter::new(name, place, "invalid", reason)])
    }

    /// A body that breaks a rule: 400.
    pub fn body(reason: impl AsRef<str>) -> Self {
        let reason = reason.as_ref();
        Self::prefixed(StatusCode::BAD_REQUEST, OF_BODY, reason)
            .with_parameters(vec![InvalidParameter::new("body", "body", "invalid", reason)])
    }

    /// Something that is not in the caller's namespace: 404.
    pub fn not_found(what: impl AsRef<str>) -> Self {
        Self::prefixed(StatusCode::NOT_FOUND, "not found error: ", what.as_ref())
    }

    /// Something that contradicts what is stored: 409.
    fn conflict(text: impl Into<String>) -> Self {
        Self::prefixed(StatusCode::CONFLICT, "conflict error: ", text)
    }

    /// A path that is no operation: 404 without a detail.
    pub fn no_such_route() -> Self {
        Self::bare(StatusCode::NOT_FOUND)
    }

    /// A published operation that is not served: 501.
    pub fn not_served(operation_ids: &str) -> Self {
        let text = format!("operation {operation_ids} is not served by this version of Tallystick");
        Self::prefixed(StatusCode::NOT_IMPLEMENTED, "not implemented error: ", text)
    }

    /// The same problem with everything that is wrong as a list.
    pub fn with_faults(self, faults: Vec<ValidationError>) -> Self {
        Self { faults, ..self }
    }

    pub(crate) fn with_parameters(self, parameters: Vec<InvalidParameter>) -> Self {
        Self { parameters, ..self }
    }

    fn with_retry_after(self, seconds: u32) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }

    /// Details of a server fault go to the log, which knows the request's id, and never to the caller.
    fn internal(cause: &str) -> Self {
        tracing::error!(cause, "request failed");
        Self::bare(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn draw(&self, request_id: Option<&RequestId>) -> Response {
        let has_facts = !self.faults.is_empty() || self.obstacle.is_some();
        let (conflicting_entity_id, left) = match self.obstacle.as_deref() {
            Some(Obstacle::Entity(id)) => (Some(id.as_str()), None),
            Some(Obstacle::Left(left)) => (None, Some(Amount(*left))),
            None => (None, None),
        };
        let extensions = has_facts.then(|| Extensions { validation_errors: &self.faults, conflicting_entity_id, left });
        let detail = self.text.as_ref().map(|text| format!("{}{text}", self.prefix));
        let body = Body {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or_default(),
            status: self.status.as_u16(),
            detail: detail.as_deref(),
            instance: request_id.map(instance),
            extensions,
        };
        self.answer(self.status, body)
    }

    /// An answer with an error body, and the headers that go with it.
    pub(crate) fn answer(&self, status: StatusCode, body: impl Serialize) -> Response {
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Draws the body without an instance; [`name_instances`] draws it again with one.
    fn into_response(self) -> Response {
        let mut response = self.draw(None);
        response.extensions_mut().insert(self);
        response
    }
}

/// What names a request in an error body.
pub(crate) fn instance(id: &RequestId) -> String {
    format!("urn:request:{id}")
}

/// Gives an error body the request's id, and a body to the router's own 405.
pub(crate) fn name_instances(answer: Response, id: Option<&RequestId>) -> Response {
    redraw(answer, id, Problem::draw)
}

/// Draws the error bodies of a version of the API.
pub(crate) fn redraw(
    answer: Response,
    id: Option<&RequestId>,
    draw: fn(&Problem, Option<&RequestId>) -> Response,
) -> Response {
    match answer.extensions().get::<Problem>() {
        Some(problem) => draw(problem, id),
        None if answer.status() == StatusCode::METHOD_NOT_ALLOWED => {
            draw(&Problem::bare(StatusCode::METHOD_NOT_ALLOWED), id)
        }
        None => answer,
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
            EngineError::Unauthenticated(_) => Self::prefixed(StatusCode::UNAUTHORIZED, "unauthorized error: ", text),
            EngineError::Forbidden { .. } => Self::prefixed(StatusCode::FORBIDDEN, "forbidden error: ", text),
            EngineError::Invalid(faults) => {
                Self::validation(text).with_faults(faults.into_iter().map(ValidationError::from).collect())
            }
            EngineError::InvalidEvents(_) => Self::validation(text),
            EngineError::NotFound { .. } => Self::not_found(text),
            EngineError::Conflict(_) => Self::conflict(text),
            EngineError::Overlap { entitlement, .. } => {
                let obstacle = Some(Box::new(Obstacle::Entity(entitlement.to_string())));
                Self { obstacle, ..Self::conflict(text) }
            }
            EngineError::NotEnough { left } => {
                Self { obstacle: Some(Box::new(Obstacle::Left(left))), ..Self::conflict(text) }
            }
            EngineError::Gone(_) => {
                Self::prefixed(StatusCode::PRECONDITION_FAILED, "precondition failed error: ", text)
            }
            EngineError::TooLarge(_) => {
                Self::prefixed(StatusCode::PAYLOAD_TOO_LARGE, "request entity too large error: ", text)
            }
            EngineError::Overloaded(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, text).with_retry_after(1),
            EngineError::Unavailable(cause) => {
                tracing::error!(cause, "a store is not available");
                let detail = "a store of the server is not available; its log has the reason";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_retry_after(5)
            }
            EngineError::StorageFull(_) => Self::new(StatusCode::INSUFFICIENT_STORAGE, text),
            EngineError::Internal(cause) => Self::internal(&cause),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let text = refusal.to_string();
        match refusal {
            Refusal::Engine(error) => error.into(),
            Refusal::BodyTooLarge { .. } => {
                Self::prefixed(StatusCode::PAYLOAD_TOO_LARGE, "request entity too large error: ", text)
            }
            Refusal::UnsupportedEncoding(_) => Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text),
            Refusal::BadEncoding { .. } | Refusal::BodyInterrupted(_) => Self::body(text),
            Refusal::BodyTimeout(_) => Self::new(StatusCode::REQUEST_TIMEOUT, text),
            Refusal::BadQuery(_) | Refusal::BadIdempotencyKey(_) => Self::bad_request(text),
            Refusal::UriTooLong { .. } => Self::new(StatusCode::URI_TOO_LONG, format!("uri too long error: {text}")),
            Refusal::TooManyRequests { wait_s, .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, format!("too many requests error: {text}"))
                    .with_retry_after(wait_s)
            }
            Refusal::IdempotencyKeyReused => {
                Self::prefixed(StatusCode::UNPROCESSABLE_ENTITY, "unprocessable entity error: ", text)
            }
            Refusal::IdempotencyKeyInFlight => Self::conflict(text).with_retry_after(1),
            Refusal::IdempotentAnswerLost => Self::conflict(text),
            Refusal::Panicked => Self::bare(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl From<Fault> for ValidationError {
    fn from(fault: Fault) -> Self {
        // A member of a list begins with its index.
        let dot = if fault.field.starts_with('[') { "" } else { "." };
        let field = format!("${dot}{}", fault.field);
        Self { message: fault.message, severity: "critical", code: fault.code, field }
    }
}

/// The answers that every operation can give, for the document.
pub(crate) struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let answers = [
            (400, "The request breaks a rule; the detail says which."),
            (401, "The API key is missing, unknown or revoked."),
            (403, "The API key lacks the scope."),
            (405, "The path has no such method; the Allow header names those it has."),
            (408, "The body did not arrive in time."),
            (413, "The request is larger than a limit, which the detail names."),
            (414, "The path and its query are longer than limits.uri_bytes."),
            (415, "The body's content encoding is not read."),
            (429, "The caller makes requests faster than it may; Retry-After and RateLimit say when to come back."),
            (500, "The server failed; its log has the details under the request's id."),
            (503, "The server cannot do it now; Retry-After says when to come back."),
            (507, "No space is left for events."),
        ];
        answers.into_iter().map(|(status, text)| (status.to_string(), RefOr::T(problem_answer(text)))).collect()
    }
}

/// The document's description of an answer with an error body.
pub(crate) fn problem_answer(text: &str) -> utoipa::openapi::Response {
    problem_answer_of(text, "Problem")
}

/// The same with the body of another version of the API.
pub(crate) fn problem_answer_of(text: &str, schema: &str) -> utoipa::openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    ResponseBuilder::new().description(text).content("application/problem+json", content).build()
}
