//! A name for every request: in the log, in the response and in error bodies; and the trace that it belongs to, in the log.

use crate::trace_context::TraceContext;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tallystick_domain::Instant;
use tracing::Span;
use tracing::field::Empty;

/// The header that carries it, both ways.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The longest id that is taken over from a sender.
const MAX_LENGTH: usize = 128;

/// The name of one request, an extension of the request and of its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RequestId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes over a sender's id when it is safe to print: 1 to 128 of letters, digits and `-_.:/`.
    fn accept(value: &HeaderValue) -> Option<Self> {
        let text = value.to_str().ok()?;
        let printable = |c: u8| c.is_ascii_alphanumeric() || b"-_.:/".contains(&c);
        (!text.is_empty() && text.len() <= MAX_LENGTH && text.bytes().all(printable)).then(|| Self(text.into()))
    }
}

/// What takes a request's span into a trace, with the context that its sender gave. It may record `trace_id`, `span_id` and
/// `otel.kind`, which are empty otherwise.
pub type Adopt = fn(&Span, Option<&TraceContext>);

/// Makes ids that are unique over the starts of a server: when it was started, and a running number.
pub struct RequestIds {
    started_at: Instant,
    issued: AtomicU64,
    adopt: Option<Adopt>,
}

impl RequestIds {
    /// Ids of a server that was started at this moment.
    pub fn new(started_at: Instant) -> Arc<Self> {
        Self::with_traces(started_at, None)
    }

    /// The same, whose spans are taken into traces.
    pub fn with_traces(started_at: Instant, adopt: Option<Adopt>) -> Arc<Self> {
        Arc::new(Self { started_at, issued: AtomicU64::new(0), adopt })
    }

    /// The name that a sender gave its request, or a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> RequestId {
        headers.get(HEADER).and_then(RequestId::accept).unwrap_or_else(|| self.next())
    }

    /// The span of a request.
    pub(crate) fn span(&self, id: &RequestId, headers: &HeaderMap) -> Span {
        span(id, TraceContext::of(headers).as_ref(), self.adopt)
    }

    fn next(&self) -> RequestId {
        let number = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        RequestId(format!("{:x}-{number:06}", self.started_at.as_micros()).into())
    }
}

/// The request's span. Its fields are in every line of the log that is written for the request.
fn span(id: &RequestId, context: Option<&TraceContext>, adopt: Option<Adopt>) -> Span {
    let span = tracing::info_span!(
        "request",
        request_id = %id,
        trace_id = Empty,
        parent_id = Empty,
        span_id = Empty,
        otel.kind = Empty
    );
    if let Some(context) = context {
        span.record("trace_id", context.trace_id());
        span.record("parent_id", context.parent_id());
    }
    if let Some(adopt) = adopt {
        adopt(&span, context);
    }
    span
}
