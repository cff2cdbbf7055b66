//! What a query looks at: one consistent set of rows, held for as long as the query runs.

use super::chunk::Chunk;
use super::facts::masks::Masks;
use super::segment::Segment;
use std::sync::Arc;

/// All rows of the store at one moment, each exactly once: sealed ones in segments, the others in chunks.
#[derive(Clone, Default)]
pub(crate) struct View {
    /// Sealed rows.
    pub segments: Vec<Arc<Segment>>,
    /// Rows that are only in the log and in memory, in order of arrival.
    pub chunks: Vec<Arc<Chunk>>,
    /// Which of these rows are not seen, and what is seen in their place.
    pub masks: Arc<Masks>,
}
