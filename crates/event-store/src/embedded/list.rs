//! Lists events of a view, newest first.

use super::view::View;
use crate::QueryError;
use tallystick_domain::event::{EventQuery, StoredEvent};

/// A page of events.
pub(crate) fn list(view: &View, query: &EventQuery) -> Result<Vec<StoredEvent>, QueryError> {
    let rows = view.chunks.iter().flat_map(|chunk| chunk.iter()).filter(|row| row.namespace == query.namespace);
    Ok(query.run(rows.map(|row| &row.stored)))
}
