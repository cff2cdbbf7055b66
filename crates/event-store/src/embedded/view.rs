//! What a query looks at: one consistent set of rows, held for as long as the query runs.

use super::facts::masks::Masks;
use super::rows::Rows;
use super::segment::Segment;
use std::sync::Arc;

/// All rows of the store at one moment, each exactly once: sealed ones in segments, the others in chunks.
#[derive(Clone, Default)]
pub(crate) struct View {
    /// Sealed rows.
    pub segments: Vec<Arc<Segment>>,
    /// Rows that are only in the log and in memory, in order of arrival.
    pub chunks: Vec<Arc<Rows>>,
    /// Which of these rows are not seen, and what is seen in their place.
    pub masks: Arc<Masks>,
}

/// How much a query may hold in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryLimits {
    /// Rows of the answer.
    pub max_groups: usize,
    /// Distinct values over all groups.
    pub max_distinct: usize,
}
