//! Rows that are in the log but in no segment yet.
//!
//! Invariant: a chunk that a reader holds is never changed. Rows are moved into the last chunk only while nobody else
//! holds it, so a reader takes all rows by cloning a few pointers, and never makes the writer copy a row.

use super::dedupe::IdentitySet;
use super::row::Row;
use std::sync::Arc;
use tallystick_domain::event::Event;

/// Rows of a full chunk.
const CHUNK_ROWS: usize = 4096;

/// How many chunks from the end are looked at for joining.
const JOIN_DEPTH: usize = 16;

/// The rows that are being collected.
#[derive(Default)]
pub(crate) struct Memtable {
    pub chunks: Vec<Arc<Vec<Row>>>,
    pub rows: u64,
    pub bytes: usize,
}

/// Rows that are being sealed, with their identities.
pub(crate) struct Frozen {
    /// Counts the frozen memtables of this process.
    pub generation: u64,
    pub memtable: Memtable,
    pub identities: Arc<IdentitySet>,
    /// The last log frame that holds one of its rows.
    pub last_sequence: u64,
}

/// About how many bytes a row takes in memory, with its identity and what the allocator adds.
pub(crate) fn row_weight(event: &Event) -> usize {
    event.weight() + 112
}

impl Memtable {
    /// Takes in the rows of a group.
    pub fn push(&mut self, mut rows: Vec<Row>, bytes: usize) {
        self.rows += rows.len() as u64;
        self.bytes += bytes;
        let tail = self.chunks.last_mut().and_then(Arc::get_mut);
        match tail.filter(|tail| tail.len() + rows.len() <= CHUNK_ROWS) {
            Some(tail) => tail.append(&mut rows),
            None => self.chunks.push(Arc::new(rows)),
        }
        self.join_small_chunks();
    }

    /// Readers that come often leave small chunks behind; similar neighbours are joined, so that there are few of them
    /// and a row moves a logarithmic number of times.
    fn join_small_chunks(&mut self) {
        let count = self.chunks.len();
        for at in (count.saturating_sub(JOIN_DEPTH).max(1)..count).rev() {
            let [before, last] = &mut self.chunks[at - 1..=at] else { return };
            if before.len() + last.len() > CHUNK_ROWS || before.len() > 2 * last.len() {
                continue;
            }
            if let (Some(before), Some(last)) = (Arc::get_mut(before), Arc::get_mut(last)) {
                before.append(last);
                self.chunks.remove(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_domain::event::{EventParts, StoredEvent};
    use tallystick_domain::{Instant, Namespace};

    fn row(n: usize) -> Row {
        let parts = EventParts {
            id: n.to_string(),
            source: "s".into(),
            event_type: "t".into(),
            subject: "c".into(),
            time: Instant::MIN,
            data: None,
            extras: None,
        };
        let stored = StoredEvent { event: Event::from_store(parts), ingested_at: Instant::MIN };
        Row { namespace: Namespace::default_namespace(), stored }
    }

    fn ids(chunks: &[Arc<Vec<Row>>]) -> Vec<String> {
        chunks.iter().flat_map(|chunk| chunk.iter()).map(|row| row.stored.event.id().to_owned()).collect()
    }

    #[test]
    fn a_reader_keeps_what_it_took_and_rows_stay_in_order() {
        let mut memtable = Memtable::default();
        let mut held = Vec::new();
        for n in 0..300 {
            memtable.push(vec![row(2 * n), row(2 * n + 1)], 10);
            held.push((2 * n + 2, memtable.chunks.clone()));
            if n % 7 == 0 {
                held.drain(..held.len() / 2);
            }
        }
        for (count, chunks) in &held {
            assert_eq!(ids(chunks), (0..*count).map(|n| n.to_string()).collect::<Vec<_>>());
        }
        assert_eq!((memtable.rows, memtable.bytes), (600, 3000));
    }

    #[test]
    fn chunks_are_few_and_bounded() {
        let mut memtable = Memtable::default();
        for n in 0..20_000 {
            let reader = memtable.chunks.last().cloned();
            memtable.push(vec![row(n)], 1);
            drop(reader);
        }
        assert!(memtable.chunks.len() < 40, "{} chunks", memtable.chunks.len());
        assert!(memtable.chunks.iter().all(|chunk| chunk.len() <= CHUNK_ROWS));
        assert_eq!(ids(&memtable.chunks).len(), 20_000);
    }
}
