//! Sorting rows in memory for a segment: by integers first.
//!
//! Invariant: the order is [`segment_order`](super::row::segment_order).

use super::chunk::Chunk;
use super::row::RowRef;
use super::segment::Dictionary;
use hashbrown::HashMap;
use std::sync::Arc;
use tallystick_domain::Namespace;

/// What rows are compared by before their whole ids, so that comparing hardly ever looks at a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Rank of namespace and type.
    table: u32,
    /// Rank of the subject.
    subject: u32,
    time: i64,
    /// Rank of the source.
    source: u32,
    /// The first bytes of the id.
    id: u64,
}

/// The rows of chunks that `keep` wants, in segment order, each as the place of its chunk and its place in it. `keep` sees the
/// rows in the order in which they lie in memory.
pub(crate) fn segment_order_of(chunks: &[Arc<Chunk>], keep: &mut dyn FnMut(RowRef<'_>) -> bool) -> Vec<(u32, u32)> {
    let mut tables = Tables::default();
    let (mut subjects, mut sources) = (Dictionary::default(), Dictionary::default());
    let mut keyed: Vec<(Key, (u32, u32))> = Vec::with_capacity(chunks.iter().map(|chunk| chunk.len()).sum());
    for (chunk, rows) in chunks.iter().enumerate() {
        for (row, view) in rows.iter().enumerate() {
            if !keep(view) {
                continue;
            }
            let event = view.stored.event;
            let key = Key {
                table: tables.code(view),
                subject: subjects.code(event.subject()),
                time: event.time().as_micros(),
                source: sources.code(event.source()),
                id: first_bytes(event.id()),
            };
            keyed.push((key, (chunk as u32, row as u32)));
        }
    }
    let table_ranks = tables.ranks();
    let ranks = |texts: &Dictionary| ranks_of(&texts.texts().iter().collect::<Vec<_>>());
    let (subject_ranks, source_ranks) = (ranks(&subjects), ranks(&sources));
    for (key, _) in &mut keyed {
        key.table = table_ranks[key.table as usize];
        key.subject = subject_ranks[key.subject as usize];
        key.source = source_ranks[key.source as usize];
    }
    let id = |(chunk, row): (u32, u32)| chunks[chunk as usize].get(row as usize).stored.event.id();
    keyed.sort_unstable_by(|(left, left_row), (right, right_row)| {
        left.cmp(right).then_with(|| id(*left_row).cmp(id(*right_row)))
    });
    keyed.into_iter().map(|(_, row)| row).collect()
}

/// Up to eight bytes of a text as a number that is ordered as the texts are.
fn first_bytes(text: &str) -> u64 {
    let mut bytes = [0; 8];
    let len = text.len().min(8);
    bytes[..len].copy_from_slice(&text.as_bytes()[..len]);
    u64::from_be_bytes(bytes)
}

/// Pairs of namespace and type, each with a code from 0.
#[derive(Default)]
struct Tables<'a> {
    codes: HashMap<(&'a str, &'a str), u32>,
    met: Vec<(&'a Namespace, &'a str)>,
    /// The pair of the row before.
    last: Option<(&'a Namespace, &'a str, u32)>,
}

impl<'a> Tables<'a> {
    fn code(&mut self, row: RowRef<'a>) -> u32 {
        let event_type = row.stored.event.event_type();
        if let Some((namespace, known, code)) = self.last
            && (namespace, known) == (row.namespace, event_type)
        {
            return code;
        }
        let next = self.met.len() as u32;
        let code = *self.codes.entry((row.namespace.as_str(), event_type)).or_insert(next);
        if code == next {
            self.met.push((row.namespace, event_type));
        }
        self.last = Some((row.namespace, event_type, code));
        code
    }

    fn ranks(&self) -> Vec<u32> {
        ranks_of(&self.met)
    }
}

/// For each of some distinct values, how many of them are less.
fn ranks_of<T: Ord>(values: &[T]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    order.sort_unstable_by(|left, right| values[*left as usize].cmp(&values[*right as usize]));
    let mut ranks = vec![0; values.len()];
    for (rank, value) in order.into_iter().enumerate() {
        ranks[value as usize] = rank as u32;
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::sample;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn rows_of_chunks_come_in_segment_order(rows in sample::rows(120), cut in 0usize..120) {
            let (left, right) = rows.split_at(cut.min(rows.len()));
            let chunks = [left, right].map(super::super::rows::Rows::of).map(|rows| Arc::new(Chunk::from(rows)));
            let order = segment_order_of(&chunks, &mut |_| true);
            let got: Vec<_> = order.iter().map(|(chunk, row)| chunks[*chunk as usize].get(*row as usize).to_row()).collect();
            prop_assert_eq!(got, sample::sorted(rows));
        }
    }
}
