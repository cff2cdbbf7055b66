//! The configuration: file, environment and flags become one checked value.
//!
//! Invariant: the environment is read here and nowhere else; a value that exists was checked, and every option stands
//! in `config.default.toml` with its default.

mod environment;
mod fault;
mod idempotency;
mod listener;
mod load;
mod meter;
mod portal;
mod retention;
mod telemetry;

pub use environment::{client_key, process_environment};
pub use fault::ConfigError;
pub use idempotency::IdempotencyConfig;
pub use listener::ListenerConfig;
pub use load::{Overrides, load};
pub use meter::{MeterConfig, file_word, meter_faults, parse_aggregation};
pub use portal::PortalConfig;
pub use retention::RetentionConfig;
pub use telemetry::TelemetryConfig;

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tallystick_domain::meter::MeterDefinition;
use tallystick_engine::{Clock, EngineConfig, Limits, StoreTuning};
use tallystick_http_kit::{HttpLimits, RateLimits};

/// The file that documents every option; error messages quote it.
pub const DEFAULT_FILE: &str = include_str!("../../../../config.default.toml");

/// What a server is started with. `config.default.toml` says what each option means, its unit and its bounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Folder of the embedded stores.
    pub data_dir: PathBuf,
    /// URL of the state store; empty for the file in `data_dir`.
    pub state_url: String,
    /// Whether to serve a foreign address without any key.
    pub insecure: bool,
    /// How long to go on serving after readiness is off.
    pub shutdown_drain_ms: u64,
    /// How long requests in flight may take after that.
    pub shutdown_grace_ms: u64,
    /// The log on stderr.
    pub log: LogConfig,
    /// What a request may ask for.
    pub limits: LimitsConfig,
    /// Sizes of the event store.
    pub store: StoreConfig,
    /// Tokens for customers' own pages.
    pub portal: PortalConfig,
    /// Answers that are kept for writes that are sent again.
    pub idempotency: IdempotencyConfig,
    /// Export of traces.
    pub telemetry: TelemetryConfig,
    /// Declared meters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<MeterConfig>,
    /// How long events are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retention: Vec<RetentionConfig>,
    /// Addresses at which one dialect alone is served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listener: Vec<ListenerConfig>,
}

/// The section `log`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Form of the lines.
    pub format: LogFormat,
    /// Level, or a list of levels by module.
    pub level: String,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Lines for people.
    Pretty,
}

/// The section `limits`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Requests of one API key per second; 0 for any number.
    pub requests_per_second: u32,
    /// Requests of one API key at once; 0 for those of a second.
    pub requests_burst: u32,
    /// Bytes of a path with its query.
    pub uri_bytes: usize,
    /// Bytes of a body after decompression.
    pub body_bytes: usize,
    /// Bytes of a compressed body as it is sent.
    pub compressed_body_bytes: usize,
    /// Events in one request.
    pub batch_events: usize,
    /// Levels of nesting in JSON.
    pub json_depth: usize,
    /// Rows of one query.
    pub query_groups: usize,
    /// Distinct values that one query holds.
    pub query_distinct_values: usize,
    /// Bytes that all running queries hold together.
    pub query_memory_bytes: usize,
    /// Threads of one query; 0 for one per core.
    pub query_threads: usize,
    /// Bytes of partial results that are kept.
    pub query_cache_bytes: usize,
    /// Totals of single subjects that are kept up to date.
    pub live_counters: usize,
    /// Customers whose entitlements are kept in memory for checks.
    pub checked_customers: usize,
    /// Queries at the same time.
    pub concurrent_queries: usize,
    /// Open connections.
    pub connections: usize,
    /// Time for which a connection may be idle, and for the head of a request.
    pub idle_timeout_ms: u64,
    /// Time for the body of a request.
    pub body_timeout_ms: u64,
}

/// The section `store`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// Unsealed events in memory.
    pub memtable_bytes: usize,
    /// One file of the write-ahead log.
    pub wal_file_bytes: u64,
    /// Events that wait to be written.
    pub queue_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits::default();
        let store = StoreTuning::default();
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8888)),
            data_dir: PathBuf::from("tallystick-data"),
            state_url: String::new(),
            insecure: false,
            shutdown_drain_ms: 0,
            shutdown_grace_ms: 30_000,
            log: LogConfig { format: LogFormat::Json, level: "info".into() },
            limits: LimitsConfig {
                requests_per_second: 0,
                requests_burst: 0,
                uri_bytes: 65_534,
                body_bytes: 64 << 20,
                compressed_body_bytes: 16 << 20,
                batch_events: limits.batch_events,
                json_depth: limits.json_depth,
                query_groups: limits.query_groups,
                query_distinct_values: limits.query_distinct_values,
                query_memory_bytes: limits.query_memory_bytes,
                query_threads: limits.query_threads,
                query_cache_bytes: limits.query_cache_bytes,
                live_counters: limits.live_counters,
                checked_customers: limits.checked_customers,
                concurrent_queries: limits.concurrent_queries,
                connections: 4096,
                idle_timeout_ms: 75_000,
                body_timeout_ms: 60_000,
            },
            store: StoreConfig {
                memtable_bytes: store.memtable_bytes,
                wal_file_bytes: store.wal_file_bytes,
                queue_bytes: store.queue_bytes,
            },
            portal: PortalConfig::default(),
            idempotency: IdempotencyConfig::default(),
            telemetry: TelemetryConfig::default(),
            meters: Vec::new(),
            retention: Vec::new(),
            listener: Vec::new(),
        }
    }
}

impl Config {
    /// Whether only this machine can reach the server.
    pub fn is_loopback(&self) -> bool {
        self.addresses().all(|address| address.ip().to_canonical().is_loopback())
    }

    /// All addresses that are listened on.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        [self.listen].into_iter().chain(self.listener.iter().map(|listener| listener.listen))
    }

    /// The state store's URL, if one was named.
    pub fn state_url(&self) -> Option<&str> {
        Some(self.state_url.as_str()).filter(|url| !url.is_empty())
    }

    /// What the doors hold a request to. Each call makes buckets of its own, which all doors of a server must share.
    pub fn http_limits(&self) -> HttpLimits {
        HttpLimits {
            uri_bytes: self.limits.uri_bytes,
            sent_body_bytes: self.limits.compressed_body_bytes,
            body_bytes: self.limits.body_bytes,
            body_timeout: Duration::from_millis(self.limits.body_timeout_ms),
            portal_origins: self.portal.cors_origins.clone(),
            rate: RateLimits::per_second(self.limits.requests_per_second, self.limits.requests_burst),
        }
    }

    /// What the engine is opened with.
    pub fn engine(&self) -> Result<EngineConfig, ConfigError> {
        let meters: Result<Vec<MeterDefinition>, _> = self.meters.iter().map(MeterConfig::definition).collect();
        Ok(EngineConfig {
            data_dir: self.data_dir.clone(),
            state_url: self.state_url().map(str::to_string),
            // Revoking the last key must not open an address that others can reach.
            require_key: !self.is_loopback() && !self.insecure,
            limits: Limits {
                batch_events: self.limits.batch_events,
                json_depth: self.limits.json_depth,
                query_groups: self.limits.query_groups,
                query_distinct_values: self.limits.query_distinct_values,
                query_memory_bytes: self.limits.query_memory_bytes,
                query_threads: self.limits.query_threads,
                query_cache_bytes: self.limits.query_cache_bytes,
                live_counters: self.limits.live_counters,
                checked_customers: self.limits.checked_customers,
                concurrent_queries: self.limits.concurrent_queries,
            },
            store: StoreTuning {
                memtable_bytes: self.store.memtable_bytes,
                wal_file_bytes: self.store.wal_file_bytes,
                queue_bytes: self.store.queue_bytes,
            },
            portal: self.portal.tuning(),
            idempotency: self.idempotency.tuning(),
            meters: meters?,
            retention: self.retention.iter().map(RetentionConfig::rule).collect::<Result<_, _>>()?,
            clock: Clock::System,
        })
    }

    /// The options whose value is outside of its bounds, with the key of each.
    fn out_of_bounds(&self) -> Option<(&'static str, String)> {
        let limits = &self.limits;
        let store = &self.store;
        let bounded: [(&'static str, u64, u64, u64); 25] = [
            ("limits.requests_per_second", u64::from(limits.requests_per_second), 0, MAX_PER_SECOND),
            ("limits.requests_burst", u64::from(limits.requests_burst), 0, MAX_PER_SECOND),
            ("limits.uri_bytes", limits.uri_bytes as u64, 1024, MAX_URI_BYTES),
            ("limits.body_bytes", limits.body_bytes as u64, 1024, u64::MAX),
            ("limits.compressed_body_bytes", limits.compressed_body_bytes as u64, 1024, u64::MAX),
            ("limits.batch_events", limits.batch_events as u64, 1, u64::MAX),
            ("limits.json_depth", limits.json_depth as u64, 1, 127),
            ("limits.query_groups", limits.query_groups as u64, 1, u64::MAX),
            ("limits.query_distinct_values", limits.query_distinct_values as u64, 1, u64::MAX),
            ("limits.query_memory_bytes", limits.query_memory_bytes as u64, 1 << 20, u64::MAX),
            ("limits.query_threads", limits.query_threads as u64, 0, 1024),
            ("limits.query_cache_bytes", limits.query_cache_bytes as u64, 0, u64::MAX),
            ("limits.live_counters", limits.live_counters as u64, 0, 1 << 31),
            ("limits.checked_customers", limits.checked_customers as u64, 1, 1 << 28),
            ("limits.concurrent_queries", limits.concurrent_queries as u64, 1, MAX_PERMITS),
            ("limits.connections", limits.connections as u64, 1, MAX_PERMITS),
            ("limits.idle_timeout_ms", limits.idle_timeout_ms, 1, u64::MAX),
            ("limits.body_timeout_ms", limits.body_timeout_ms, 1, u64::MAX),
            ("store.memtable_bytes", store.memtable_bytes as u64, 65_536, u64::MAX),
            ("store.wal_file_bytes", store.wal_file_bytes, 65_536, 1 << 30),
            ("portal.token_lifetime_ms", self.portal.token_lifetime_ms, 1, MAX_TOKEN_LIFETIME_MS),
            ("idempotency.keep_hours", u64::from(self.idempotency.keep_hours), 24, MAX_KEEP_HOURS),
            ("idempotency.answer_bytes", self.idempotency.answer_bytes as u64, 0, MAX_ANSWER_BYTES),
            ("store.queue_bytes", store.queue_bytes as u64, 65_536, u64::MAX),
            ("telemetry.sample_one_in", self.telemetry.sample_one_in, 1, u64::MAX),
        ];
        if let Some(fault) = self.portal.fault().or_else(|| self.telemetry.fault()) {
            return Some(fault);
        }
        let outside = bounded.into_iter().find(|(_, value, least, most)| value < least || value > most);
        outside.map(|(key, value, _, _)| (key, format!("{value} is out of bounds")))
    }
}

/// A hundred years.
const MAX_TOKEN_LIFETIME_MS: u64 = 3_155_760_000_000;

/// More than a server answers.
const MAX_PER_SECOND: u64 = 1_000_000;

/// What fits the head of a request, of which the HTTP library reads some 400 KiB; it knows no URIs beyond 65534 bytes.
const MAX_URI_BYTES: u64 = 65_534;

/// A year.
const MAX_KEEP_HOURS: u64 = 8784;

/// What a row of the state store may hold without a thought.
const MAX_ANSWER_BYTES: u64 = 64 << 20;

/// What a semaphore of the runtime can count to.
const MAX_PERMITS: u64 = 1 << 28;
