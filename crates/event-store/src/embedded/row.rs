//! A stored event with its namespace, and the order in which segments keep rows.

use std::cmp::Ordering;
use tallystick_domain::Namespace;
use tallystick_domain::event::StoredEvent;

/// One stored event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Whose event it is.
    pub namespace: Namespace,
    /// The event.
    pub stored: StoredEvent,
}

/// Segment order: namespace, type, subject, time, source, id. No two rows of a store are equal in it.
pub(crate) fn segment_order(left: &Row, right: &Row) -> Ordering {
    let (a, b) = (&left.stored.event, &right.stored.event);
    left.namespace
        .cmp(&right.namespace)
        .then_with(|| a.event_type().cmp(b.event_type()))
        .then_with(|| a.subject().cmp(b.subject()))
        .then_with(|| a.time().cmp(&b.time()))
        .then_with(|| a.source().cmp(b.source()))
        .then_with(|| a.id().cmp(b.id()))
}
