//! A stored event with its namespace, and the order in which segments keep rows.

use std::cmp::Ordering;
use tallystick_domain::Namespace;
use tallystick_domain::event::{StoredEvent, StoredRef};

/// One stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Whose event it is.
    pub namespace: Namespace,
    /// The event.
    pub stored: StoredEvent,
}

/// One stored event, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowRef<'a> {
    /// Whose event it is.
    pub namespace: &'a Namespace,
    /// The event.
    pub stored: StoredRef<'a>,
}

/// What can be seen as a row.
pub(crate) trait RowView {
    /// The row, borrowed.
    fn view(&self) -> RowRef<'_>;
}

impl RowView for Row {
    fn view(&self) -> RowRef<'_> {
        RowRef { namespace: &self.namespace, stored: self.stored.view() }
    }
}

impl RowView for RowRef<'_> {
    fn view(&self) -> RowRef<'_> {
        *self
    }
}

#[cfg(any(test, feature = "fuzzing"))]
impl RowRef<'_> {
    /// The row with texts of its own.
    pub fn to_row(self) -> Row {
        Row { namespace: self.namespace.clone(), stored: self.stored.to_stored() }
    }
}

/// Segment order: namespace, type, subject, time, source, id. No two rows of a store are equal in it.
pub(crate) fn segment_order<R: RowView>(left: &R, right: &R) -> Ordering {
    let (left, right) = (left.view(), right.view());
    let (a, b) = (left.stored.event, right.stored.event);
    left.namespace
        .cmp(right.namespace)
        .then_with(|| a.event_type().cmp(b.event_type()))
        .then_with(|| a.subject().cmp(b.subject()))
        .then_with(|| a.time().cmp(&b.time()))
        .then_with(|| a.source().cmp(b.source()))
        .then_with(|| a.id().cmp(b.id()))
}
