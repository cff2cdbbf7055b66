//! Traces to a collector, over OTLP with HTTP and protobuf.
//!
//! Invariant: a collector that is slow or away costs spans and never a request; nothing but what the access log has is sent.

use crate::config::TelemetryConfig;
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use tallystick_http_kit::TraceContext;
use tallystick_http_kit::access_log::{Finished, Observer};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

/// How long a collector may take to answer, and how long the last spans may take at the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// More of a collector's answer is not read.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// What makes spans and sends them, on a thread of its own.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Starts the export. No connection is made before there is something to send.
    pub fn start(config: &TelemetryConfig) -> Result<Self, String> {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Sender(agent.build().new_agent()))
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(format!("{}/v1/traces", config.endpoint.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()
            .map_err(|error| format!("telemetry.endpoint: {error}"))?;
        let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let resource = Resource::builder().with_service_name(config.service_name.clone()).with_attribute(version);
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(1.0 / config.sample_one_in as f64))))
            .with_resource(resource.build())
            .with_batch_exporter(exporter);
        Ok(Self(provider.build()))
    }

    /// The layer that turns our spans, and no library's, into exported ones. Lines of the log are not attached to them.
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    {
        let layer = tracing_opentelemetry::layer().with_tracer(self.0.tracer("tallystick"));
        let layer = layer.with_location(false).with_threads(false).with_target(false).with_tracked_inactivity(false);
        layer.with_filter(filter_fn(|metadata| metadata.is_span() && metadata.target().starts_with("tallystick")))
    }

    /// Sends what is left.
    pub fn finish(self) {
        if let Err(error) = self.0.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

/// Takes a request's span into its sender's trace, and writes the ids into the log.
pub fn adopt(span: &Span, sent: Option<&TraceContext>) {
    if let Some(parent) = sent.and_then(remote) {
        // Fails only for a span that was started already, or that nobody exports.
        let _ = span.set_parent(Context::new().with_remote_span_context(parent));
    }
    span.record("otel.kind", "server");
    // From here on the span has its ids.
    let context = span.context();
    let ids = context.span().span_context().clone();
    if !ids.is_valid() {
        return;
    }
    if sent.is_none() {
        span.record("trace_id", ids.trace_id().to_string());
    }
    span.record("span_id", ids.span_id().to_string());
}

fn remote(sent: &TraceContext) -> Option<SpanContext> {
    let trace = TraceId::from_hex(sent.trace_id()).ok()?;
    let parent = SpanId::from_hex(sent.parent_id()).ok()?;
    let flags = if sent.is_sampled() { TraceFlags::SAMPLED } else { TraceFlags::default() };
    // A state that cannot be read is left out, the trace goes on.
    let state = TraceState::from_str(sent.state()).unwrap_or_default();
    Some(SpanContext::new(trace, parent, flags, true, state))
}

/// Tells the request's own span what is known of the answer, and then somebody else.
pub struct SpanObserver(pub Arc<dyn Observer>);

impl Observer for SpanObserver {
    fn finished(&self, request: &Finished<'_>) {
        describe(request);
        self.0.finished(request);
    }
}

/// Gives the span of a finished request its name and what is known of the answer.
fn describe(request: &Finished<'_>) {
    let span = Span::current();
    let context = span.context();
    let exported = context.span();
    if !exported.is_recording() {
        return;
    }
    exported.update_name(format!("{} {}", request.method, request.route));
    span.set_attribute("http.request.method", request.method.to_string());
    span.set_attribute("http.route", request.route.to_string());
    span.set_attribute("http.response.status_code", i64::from(request.status.as_u16()));
    if request.status.is_server_error() {
        span.set_status(Status::error(""));
    }
}

/// Sends with the client that the command line uses too. It blocks, which is what the exporter's own thread is for.
#[derive(Debug)]
struct Sender(ureq::Agent);

#[async_trait::async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = answer.into_parts();
        let bytes = body.with_config().limit(MAX_ANSWER_BYTES).read_to_vec()?;
        Ok(Response::from_parts(parts, bytes.into()))
    }
}
