//! What an engine is opened with: plain data, filled from the configuration by the server.

use crate::clock::Clock;
use crate::retention::RetentionRule;
use std::path::PathBuf;
use tallystick_domain::meter::MeterDefinition;

/// Everything that an engine needs to start.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Folder of the embedded stores; created when missing.
    pub data_dir: PathBuf,
    /// Where state is kept: `postgres://…` or `sqlite:PATH`; `state.sqlite` in the data folder when absent.
    pub state_url: Option<String>,
    /// Whether a caller without a key is refused even while no key exists.
    pub require_key: bool,
    /// What a request may ask for.
    pub limits: Limits,
    /// Sizes of the event store.
    pub store: StoreTuning,
    /// Meters that the operator declared; created when missing, compared when present.
    pub meters: Vec<MeterDefinition>,
    /// How long events are kept; all of them for ever where no rule says otherwise.
    pub retention: Vec<RetentionRule>,
    /// Tokens for customers' own pages.
    pub portal: PortalTuning,
    /// How long answers are kept for requests that are sent again.
    pub idempotency: IdempotencyTuning,
    /// Where "now" comes from.
    pub clock: Clock,
}

/// Tokens for customers' own pages.
#[derive(Clone, PartialEq, Eq)]
pub struct PortalTuning {
    /// What signs them; when absent, a secret that all servers on the state store share is made and kept there.
    pub token_secret: Option<String>,
    /// How long a token lives that does not say when it expires, in microseconds.
    pub token_lifetime_us: i64,
}

impl std::fmt::Debug for PortalTuning {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PortalTuning").field("token_lifetime_us", &self.token_lifetime_us).finish_non_exhaustive()
    }
}

impl Default for PortalTuning {
    fn default() -> Self {
        Self { token_secret: None, token_lifetime_us: 3_600_000_000 }
    }
}

/// Answers that are kept for requests that are sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyTuning {
    /// How long an answer is kept, in microseconds.
    pub keep_us: i64,
    /// The longest answer that is kept, in bytes; of a longer one is known only that the request was done.
    pub answer_bytes: usize,
}

impl Default for IdempotencyTuning {
    fn default() -> Self {
        Self { keep_us: 24 * 3_600_000_000, answer_bytes: 1 << 20 }
    }
}

/// What a request may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Events in one batch.
    pub batch_events: usize,
    /// Nesting of event data.
    pub json_depth: usize,
    /// Rows of one query.
    pub query_groups: usize,
    /// Distinct values that one query may hold in memory.
    pub query_distinct_values: usize,
    /// Bytes that all running queries may hold together.
    pub query_memory_bytes: usize,
    /// Threads of one query; 0 for one per core, up to 8.
    pub query_threads: usize,
    /// Bytes of partial results that are kept; 0 keeps none.
    pub query_cache_bytes: usize,
    /// Totals of single subjects that are kept up to date; 0 keeps none.
    pub live_counters: usize,
    /// Customers whose entitlements are kept in memory for checks.
    pub checked_customers: usize,
    /// Queries that run at the same time; further ones wait.
    pub concurrent_queries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_events: 10_000,
            json_depth: 64,
            query_groups: 100_000,
            query_distinct_values: 10_000_000,
            query_memory_bytes: 512 << 20,
            query_threads: 0,
            query_cache_bytes: 64 << 20,
            live_counters: 1_000_000,
            checked_customers: 300_000,
            concurrent_queries: 8,
        }
    }
}

/// Sizes of the event store, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreTuning {
    /// Unsealed events held in memory.
    pub memtable_bytes: usize,
    /// One file of the write-ahead log.
    pub wal_file_bytes: u64,
    /// Events that wait to be written; beyond it, senders are told to come back.
    pub queue_bytes: usize,
}

impl Default for StoreTuning {
    fn default() -> Self {
        Self { memtable_bytes: 64 << 20, wal_file_bytes: 64 << 20, queue_bytes: 64 << 20 }
    }
}
