//! How large the parts of the store may grow.

use super::disk::{Disk, HostDisk};
use std::sync::Arc;

/// The least size of a log file: below it a single ordinary batch would not fit.
const LEAST_WAL_FILE_BYTES: u64 = 16 << 10;
/// The largest size of a log file; lengths inside of it are 32 bits wide.
const LARGEST_WAL_FILE_BYTES: u64 = 1 << 30;

/// How the embedded store is set up.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Size of one log file in bytes (64 MiB); also the bound of one batch. Held between 16 KiB and 1 GiB.
    pub wal_file_bytes: u64,
    /// Bytes of rows in memory after which they are sealed into a segment (64 MiB). Up to three times as much is in
    /// memory while sealing is slower than ingest.
    pub memtable_bytes: usize,
    /// Bytes of batches that may wait to be stored (64 MiB).
    pub queue_bytes: usize,
    /// The most rows of one query's answer (100,000).
    pub max_groups: usize,
    /// The most distinct values that one query may hold (10,000,000).
    pub max_distinct: usize,
    /// Bytes that all running queries may hold together (512 MiB).
    pub query_memory_bytes: usize,
    /// The most threads of one query; 0 takes as many as there are cores, up to 8.
    pub query_threads: usize,
    /// Bytes of partial results that are kept for queries that come again (64 MiB); 0 keeps none.
    pub query_cache_bytes: usize,
    /// About how many totals of single subjects are kept up to date (1,000,000); 0 keeps none.
    pub live_counters: usize,
    /// Segments of similar size are merged when there are more than this many of them (8). At least 2.
    pub merge_fan: usize,
    /// Whether a thread makes the next file of the log ahead, so that no append waits for it (yes). Without it, the
    /// append that needs the file makes it.
    pub log_ahead: bool,
    /// Random bytes for the secret of a store that is created by this call; an existing store keeps its own.
    pub identity_secret: [u8; 16],
    /// Where the files are: the file system of this machine, unless a test has another one.
    pub disk: Arc<dyn Disk>,
}

impl StoreOptions {
    /// The defaults, with random bytes for a store that does not exist yet.
    pub fn new(identity_secret: [u8; 16]) -> Self {
        Self {
            wal_file_bytes: 64 << 20,
            memtable_bytes: 64 << 20,
            queue_bytes: 64 << 20,
            max_groups: 100_000,
            max_distinct: 10_000_000,
            query_memory_bytes: 512 << 20,
            query_threads: 0,
            query_cache_bytes: 64 << 20,
            live_counters: 1_000_000,
            merge_fan: 8,
            log_ahead: true,
            identity_secret,
            disk: Arc::new(HostDisk),
        }
    }

    /// The size of a log file in whole blocks, within its bounds.
    pub(crate) fn wal_file_len(&self) -> u64 {
        self.wal_file_bytes.clamp(LEAST_WAL_FILE_BYTES, LARGEST_WAL_FILE_BYTES).next_multiple_of(4096)
    }
}
