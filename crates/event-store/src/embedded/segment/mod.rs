//! Immutable columnar files of events.

use super::row::Row;
use crate::StoreError;
use std::path::Path;
use std::sync::Arc;
use tallystick_domain::Instant;

/// What a segment holds, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentMeta {
    /// Number of events.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Time of the earliest event.
    pub first: Instant,
    /// Time of the latest event.
    pub last: Instant,
}

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment {
    meta: SegmentMeta,
}

fn unwritten() -> StoreError {
    StoreError::Stopped { reason: "segments cannot be written yet".into() }
}

/// Writes a segment.
pub(crate) fn write_segment(
    _path: &Path,
    _rows: &mut dyn Iterator<Item = Result<Row, StoreError>>,
) -> Result<SegmentMeta, StoreError> {
    Err(unwritten())
}

impl Segment {
    /// Opens a segment.
    pub fn open(_path: &Path) -> Result<Segment, StoreError> {
        Err(unwritten())
    }

    /// What it holds.
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// All rows in segment order.
    pub fn rows(self: &Arc<Self>) -> impl Iterator<Item = Result<Row, StoreError>> + use<> {
        std::iter::once(Err(unwritten()))
    }

    /// Re-reads and checks everything.
    pub fn verify(&self) -> Result<u64, StoreError> {
        Err(unwritten())
    }
}

/// Merges segments.
pub(crate) fn merge_segments(_path: &Path, _inputs: &[Arc<Segment>]) -> Result<SegmentMeta, StoreError> {
    Err(unwritten())
}
