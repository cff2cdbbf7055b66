//! Merges segments to one, holding one block of each.

use super::{Segment, SegmentMeta, write_segment};
use crate::StoreError;
use crate::embedded::disk::Disk;
use crate::embedded::row::{Row, segment_order};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::path::Path;
use std::sync::Arc;

/// Writes the rows of all inputs that `keep` wants to one segment.
pub(crate) fn merge_segments(
    disk: &dyn Disk,
    path: &Path,
    inputs: &[Arc<Segment>],
    keep: &mut dyn FnMut(&Row) -> bool,
) -> Result<SegmentMeta, StoreError> {
    let mut merge =
        Merge { sources: inputs.iter().map(Segment::rows).collect(), heads: BinaryHeap::new(), error: None };
    for source in 0..inputs.len() {
        merge.advance(source);
    }
    write_segment(disk, path, &mut merge.filter(|row| row.as_ref().map_or(true, &mut *keep)))
}

struct Merge<I> {
    sources: Vec<I>,
    heads: BinaryHeap<Reverse<Head>>,
    error: Option<StoreError>,
}

/// The next row of a source.
struct Head {
    row: Row,
    source: usize,
}

impl<I: Iterator<Item = Result<Row, StoreError>>> Merge<I> {
    fn advance(&mut self, source: usize) {
        match self.sources[source].next() {
            Some(Ok(row)) => self.heads.push(Reverse(Head { row, source })),
            Some(Err(error)) => self.error = Some(error),
            None => {}
        }
    }
}

impl<I: Iterator<Item = Result<Row, StoreError>>> Iterator for Merge<I> {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.error.take() {
            return Some(Err(error));
        }
        let Reverse(Head { row, source }) = self.heads.pop()?;
        self.advance(source);
        Some(Ok(row))
    }
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        segment_order(&self.row, &other.row).then(self.source.cmp(&other.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}
