//! Figures for Prometheus. Labels are closed sets: route patterns, methods, classes of status; never a customer, a
//! subject or a namespace.

use axum::http::Method;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use std::fmt;
use std::sync::Arc;
use tallystick_engine::{Engine, EngineStats, HistogramSnapshot, StoreHistograms};
use tallystick_http_kit::RateLimits;
use tallystick_http_kit::access_log::{Finished, Observer};

/// The format that [`Metrics::render`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the duration buckets, in seconds.
const DURATION_BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
    method: &'static str,
}

/// What is measured here and what the engine measures, in one registry.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

impl Metrics {
    /// A registry that reads the engine's figures whenever it is asked.
    pub fn new(engine: Engine, rate: RateLimits) -> Arc<Self> {
        let mut registry = Registry::with_prefix("tallystick");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running program", build);
        let requests = Family::default();
        registry.register("http_requests", "Requests by route, method and class of status", requests.clone());
        let durations: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS));
        registry.register("http_request_duration_seconds", "Time until the head of the answer", durations.clone());
        registry.register_collector(Box::new(EngineFigures(engine)));
        registry.register_collector(Box::new(RateFigures(rate)));
        Arc::new(Self { registry, requests, durations })
    }

    /// All figures as text.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Observer for Metrics {
    fn finished(&self, request: &Finished<'_>) {
        let (route, method) = (request.route.to_string(), method_label(request.method));
        let status = status_label(request.status.as_u16());
        self.requests.get_or_create(&RequestLabels { route: route.clone(), method, status }).inc();
        self.durations.get_or_create(&RouteLabels { route, method }).observe(request.duration.as_secs_f64());
    }
}

/// A sender can make up methods; they share one label.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn status_label(status: u16) -> &'static str {
    match status {
        ..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

struct EngineFigures(Engine);

impl fmt::Debug for EngineFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EngineFigures")
    }
}

impl Collector for EngineFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let stats = self.0.stats();
        for (name, help, value) in counters(&stats) {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric_type::COUNTER)?)?;
        }
        for (name, help, unit, snapshot) in histograms(&self.0.histograms()) {
            let metric = StoredHistogram { snapshot, unit };
            metric.encode(encoder.encode_descriptor(name, help, None, metric_type::HISTOGRAM)?)?;
        }
        let queries = encoder.encode_descriptor(
            "store_query_duration_seconds",
            "Time to answer from the event store, by kind of query",
            None,
            metric_type::HISTOGRAM,
        )?;
        encode_queries(queries, self.0.histograms())?;
        for (name, help, value) in gauges(&stats) {
            let metric = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            metric.encode(encoder.encode_descriptor(name, help, None, metric_type::GAUGE)?)?;
        }
        Ok(())
    }
}

/// Without a label per key: a server can have thousands.
#[derive(Debug)]
struct RateFigures(RateLimits);

impl Collector for RateFigures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Requests that were refused because their caller made more than it may (429)";
        let refused = encoder.encode_descriptor("http_rate_limited_requests", help, None, metric_type::COUNTER)?;
        ConstCounter::new(self.0.refused()).encode(refused)
    }
}

mod metric_type {
    use super::MetricType;
    pub const COUNTER: MetricType = MetricType::Counter;
    pub const GAUGE: MetricType = MetricType::Gauge;
    pub const HISTOGRAM: MetricType = MetricType::Histogram;
}

/// What the numbers of a histogram are.
#[derive(Clone, Copy, Debug)]
enum Scale {
    /// Shown as they are.
    Count,
    /// Microseconds, shown as seconds.
    Microseconds,
}

/// A histogram that the store recorded.
struct StoredHistogram {
    snapshot: HistogramSnapshot,
    unit: Scale,
}

impl EncodeMetric for StoredHistogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let shown = |value: u64| match self.unit {
            Scale::Count => value as f64,
            Scale::Microseconds => value as f64 / 1e6,
        };
        let bounded = self.snapshot.buckets.iter().map(|(bound, count)| (shown(*bound), *count));
        let buckets: Vec<_> = bounded.chain([(f64::INFINITY, self.snapshot.above)]).collect();
        encoder.encode_histogram::<NoLabelSet>(shown(self.snapshot.sum), self.snapshot.count(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        metric_type::HISTOGRAM
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QueryLabels {
    kind: &'static str,
}

fn encode_queries(mut encoder: MetricEncoder<'_>, histograms: StoreHistograms) -> fmt::Result {
    let StoreHistograms { aggregate_us, list_us, live_us, .. } = histograms;
    for (kind, snapshot) in [("aggregate", aggregate_us), ("list", list_us), ("live", live_us)] {
        let labels = QueryLabels { kind };
        StoredHistogram { snapshot, unit: Scale::Microseconds }.encode(encoder.encode_family(&labels)?)?;
    }
    Ok(())
}

fn histograms(histograms: &StoreHistograms) -> [(&'static str, &'static str, Scale, HistogramSnapshot); 2] {
    [
        (
            "store_group_events",
            "New events of a group that was made durable with one sync",
            Scale::Count,
            histograms.group_rows.clone(),
        ),
        (
            "store_sync_duration_seconds",
            "Time to make a group durable",
            Scale::Microseconds,
            histograms.sync_us.clone(),
        ),
    ]
}

type Figure = (&'static str, &'static str, u64);

fn counters(stats: &EngineStats) -> [Figure; 11] {
    let store = &stats.store;
    [
        ("events_accepted", "Events that were stored since the start", stats.events_accepted),
        ("events_duplicate", "Events that were stored before", stats.events_duplicate),
        ("events_invalid", "Events that were refused", stats.events_invalid),
        ("checks_remembered", "Checks of entitlements that were answered from memory", stats.checks_remembered),
        ("checks_computed", "Checks of entitlements that were computed from the events", stats.checks_computed),
        ("store_groups", "Groups of batches that were made durable with one sync", store.groups),
        ("store_overload_refusals", "Batches that were told to come back", store.overloaded),
        ("store_filter_lookups", "Identities for which the filter of a file was asked", store.filter_lookups),
        (
            "store_filter_passes",
            "Identities that a filter could not rule out, so that the disk was read",
            store.filter_passes,
        ),
        ("store_segment_merges", "Merges of segments", store.segment_merges),
        ("store_run_merges", "Merges of identity files", store.run_merges),
    ]
}

fn gauges(stats: &EngineStats) -> [Figure; 14] {
    let store = &stats.store;
    [
        ("checked_names", "Names by which customers are kept for checks, two at most for each", stats.checked_names),
        ("store_events", "Events in the store", store.events),
        ("store_memtable_rows", "Events in memory and in the log only", store.memtable_rows),
        ("store_memtable_bytes", "Memory that these take", store.memtable_bytes),
        ("store_segments", "Sealed files of events", store.segments),
        ("store_segment_bytes", "Their size on disk", store.segment_bytes),
        ("store_merge_debt_segments", "Segments that wait to be merged", store.debt_segments),
        ("store_merge_debt_bytes", "Their size on disk", store.debt_bytes),
        ("store_runs", "Files of identities", store.runs),
        ("store_run_bytes", "Their size on disk", store.run_bytes),
        ("store_wal_files", "Files of the write-ahead log", store.wal_files),
        ("store_wal_bytes", "Their size on disk", store.wal_bytes),
        ("store_queue_bytes", "Bytes that wait to be written", store.queue_bytes),
        ("store_queue_batches", "Batches that wait to be written", store.queue_batches),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_closed_sets() {
        assert_eq!(method_label(&Method::from_bytes(b"MADEUP").unwrap()), "other");
        assert_eq!(method_label(&Method::DELETE), "DELETE");
        assert_eq!([status_label(204), status_label(404), status_label(503)], ["2xx", "4xx", "5xx"]);
    }
}
