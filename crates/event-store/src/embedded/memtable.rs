//! Rows that are in the log but in no segment yet.
//!
//! Invariant: a chunk that a reader holds is never changed. Rows are moved into the last chunk only while nobody else
//! holds it, so a reader takes all rows by cloning a few pointers, and never makes the writer copy a chunk.

use super::chunk::Chunk;
use super::dedupe::IdentitySet;
use super::rows::Rows;
use std::sync::Arc;

/// Rows of a full chunk.
const CHUNK_ROWS: usize = 4096;

/// Rows from which on a batch is a chunk of its own, which takes no copying.
const OWN_CHUNK_ROWS: usize = 512;

/// Bytes of texts after which a chunk takes in no other, so that large events make short chunks.
const CHUNK_BYTES: usize = 4 << 20;

/// How many chunks from the end are looked at for joining.
const JOIN_DEPTH: usize = 16;

/// The rows that are being collected.
#[derive(Default)]
pub(crate) struct Memtable {
    pub chunks: Vec<Arc<Chunk>>,
    pub rows: u64,
    /// About how many bytes the rows take, and those of facts that only the log has.
    pub bytes: usize,
    /// Facts that came between the rows; sealing puts them into the facts file.
    pub facts: u64,
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

impl Memtable {
    /// Takes in the rows of a batch.
    pub fn push(&mut self, rows: Rows) {
        if rows.is_empty() {
            return;
        }
        self.rows += rows.len() as u64;
        self.bytes += rows.weight();
        if rows.len() >= OWN_CHUNK_ROWS {
            return self.start_chunks(rows);
        }
        match self.open_chunk(&rows) {
            Some(chunk) => {
                let chunk = chunk.rows_mut();
                chunk.reserve_up_to(CHUNK_ROWS, CHUNK_BYTES);
                chunk.append(&rows, 0, rows.len());
            }
            None => self.start_chunks(rows),
        }
        self.join_small_chunks();
    }

    /// The last chunk, if nobody else holds it and there is room.
    fn open_chunk(&mut self, rows: &Rows) -> Option<&mut Chunk> {
        self.chunks.last_mut().and_then(Arc::get_mut).filter(|last| fit_together(last, rows))
    }

    fn start_chunks(&mut self, rows: Rows) {
        if rows.len() <= CHUNK_ROWS {
            return self.chunks.push(Arc::new(rows.into()));
        }
        for from in (0..rows.len()).step_by(CHUNK_ROWS) {
            let mut chunk = Rows::default();
            chunk.append(&rows, from, rows.len().min(from + CHUNK_ROWS));
            self.chunks.push(Arc::new(chunk.into()));
        }
    }

    /// Readers that come often leave small chunks behind; similar neighbours are joined, so that there are few of them
    /// and a row moves a logarithmic number of times.
    fn join_small_chunks(&mut self) {
        let count = self.chunks.len();
        for at in (count.saturating_sub(JOIN_DEPTH).max(1)..count).rev() {
            let [before, last] = &mut self.chunks[at - 1..=at] else { return };
            if !fit_together(before, last) || before.len() > 2 * last.len() || last.len() >= OWN_CHUNK_ROWS {
                continue;
            }
            if let (Some(before), Some(last)) = (Arc::get_mut(before), Arc::get_mut(last)) {
                before.rows_mut().append(last, 0, last.len());
                self.chunks.remove(at);
            }
        }
    }
}

fn fit_together(before: &Rows, after: &Rows) -> bool {
    before.len() + after.len() <= CHUNK_ROWS && before.texts_len() + after.texts_len() <= CHUNK_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::sample::plain_row;
    use tallystick_domain::Instant;

    fn rows(from: usize, to: usize, data: &str) -> Rows {
        Rows::of(&(from..to).map(|n| plain_row(n, "c", Instant::MIN, data)).collect::<Vec<_>>())
    }

    fn ids(chunks: &[Arc<Chunk>]) -> Vec<String> {
        chunks.iter().flat_map(|chunk| chunk.iter()).map(|row| row.stored.event.id().to_owned()).collect()
    }

    fn first_ids(count: usize) -> Vec<String> {
        ids(&[Arc::new(rows(0, count, "{}").into())])
    }

    #[test]
    fn a_reader_keeps_what_it_took_and_rows_stay_in_order() {
        let mut memtable = Memtable::default();
        let mut held = Vec::new();
        for n in 0..300 {
            memtable.push(rows(2 * n, 2 * n + 2, "{}"));
            held.push((2 * n + 2, memtable.chunks.clone()));
            if n % 7 == 0 {
                held.drain(..held.len() / 2);
            }
        }
        for (count, chunks) in &held {
            assert_eq!(ids(chunks), first_ids(*count));
        }
        assert_eq!((memtable.rows, memtable.bytes), (600, rows(0, 600, "{}").weight()));
    }

    #[test]
    fn chunks_are_few_and_bounded() {
        let mut memtable = Memtable::default();
        for n in 0..20_000 {
            let reader = memtable.chunks.last().cloned();
            memtable.push(rows(n, n + 1, "{}"));
            drop(reader);
        }
        assert!(memtable.chunks.len() < 40, "{} chunks", memtable.chunks.len());
        assert!(memtable.chunks.iter().all(|chunk| chunk.len() <= CHUNK_ROWS));
        assert_eq!(ids(&memtable.chunks).len(), 20_000);
    }

    #[test]
    fn large_batches_are_chunks_and_large_events_make_short_ones() {
        let mut memtable = Memtable::default();
        (0..3).for_each(|n| memtable.push(rows(n * 600, n * 600 + 600, "{}")));
        assert_eq!(memtable.chunks.iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [600, 600, 600]);
        let mut memtable = Memtable::default();
        memtable.push(rows(0, 10_000, "{}"));
        assert_eq!(memtable.chunks.iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [4096, 4096, 1808]);
        assert_eq!(ids(&memtable.chunks), first_ids(10_000));
        let mut memtable = Memtable::default();
        let large = format!(r#"{{"v":"{}"}}"#, "x".repeat(1 << 20));
        (0..10).for_each(|n| memtable.push(rows(n, n + 1, &large)));
        assert!(memtable.chunks.iter().all(|chunk| chunk.len() <= 3), "{} chunks", memtable.chunks.len());
        assert_eq!(ids(&memtable.chunks), first_ids(10));
    }
}
