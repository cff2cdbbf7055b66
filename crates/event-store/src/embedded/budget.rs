//! How many bytes queries may hold at once.
//!
//! Invariant: what running queries account for never exceeds the limit; a query that would exceed it ends with an error
//! that names the option.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tallystick_domain::meter::PlanError;

/// Bytes are taken from the pool in pieces of this size.
const STEP: usize = 4 << 10;

/// Bytes that are held together, for example by all running queries of a store.
#[derive(Debug)]
pub(crate) struct MemoryPool {
    limit: usize,
    held: AtomicUsize,
}

/// What somebody holds of a pool; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    pool: Arc<MemoryPool>,
    bytes: usize,
}

impl MemoryPool {
    /// A pool of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, held: AtomicUsize::new(0) }
    }

    /// Nothing of it yet.
    pub fn start(self: &Arc<Self>) -> Held {
        Held { pool: Arc::clone(self), bytes: 0 }
    }

    /// How many bytes are held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Held {
    /// Holds at least this much from now on.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), PlanError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let more = (bytes - self.bytes).next_multiple_of(STEP);
        let before = self.pool.held.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        if before.saturating_add(more) > self.pool.limit {
            let what = "bytes of memory, which all running queries share (limits.query_memory_bytes)";
            return Err(PlanError::TooLarge { what, limit: self.pool.limit });
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.pool.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_share_the_bytes_and_give_them_back() {
        let pool = Arc::new(MemoryPool::new(4 * STEP));
        let (mut first, mut second) = (pool.start(), pool.start());
        assert_eq!(first.grow_to(3 * STEP), Ok(()));
        assert_eq!(first.grow_to(10), Ok(()));
        assert_eq!(second.grow_to(STEP), Ok(()));
        assert_eq!(pool.held(), 4 * STEP);
        let error = second.grow_to(STEP + 1).unwrap_err();
        assert!(error.to_string().contains("limits.query_memory_bytes"), "{error}");
        drop(second);
        assert_eq!(first.grow_to(4 * STEP), Ok(()));
        drop(first);
        assert_eq!(pool.held(), 0);
    }
}
