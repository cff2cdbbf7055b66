//! Rows in memory: events in one piece, and for each whose it is and when it was accepted.
//!
//! Invariant: a row is read as it was pushed, and pushing never changes rows before it. A row needs no allocation of its
//! own, neither to be kept nor to be read.

use super::row::RowRef;
use tallystick_domain::event::{EventBatch, EventRef, StoredEvent, StoredRef};
use tallystick_domain::{Instant, Namespace};

/// Rows in the order in which they came. All texts together take less than 4 GiB.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    events: EventBatch,
    origins: Vec<Origin>,
    /// Namespaces in the order of their rows; one is repeated where another was in between.
    namespaces: Vec<Namespace>,
}

/// What the store adds to an event.
#[derive(Clone, Copy, Debug)]
struct Origin {
    ingested_at: Instant,
    /// The place of the namespace.
    namespace: u32,
}

/// What a row takes besides its texts: its heads, and an identity in a hash set that is not full.
const WEIGHT_OF_HEAD: usize = EventBatch::HEAD_BYTES + size_of::<Origin>() + 40;

/// Bytes of the texts of an event.
pub(crate) fn texts_len(event: EventRef<'_>) -> usize {
    let optional = [event.data(), event.extras()].into_iter().flatten();
    let texts = [event.id(), event.source(), event.event_type(), event.subject()].into_iter().chain(optional);
    texts.map(str::len).sum()
}

impl Rows {
    /// The events of a batch.
    pub fn of_batch(namespace: &Namespace, ingested_at: Instant, events: EventBatch) -> Self {
        let origins = vec![Origin { ingested_at, namespace: 0 }; events.len()];
        Self { events, origins, namespaces: vec![namespace.clone()] }
    }

    /// Events of one namespace.
    pub fn of_events(namespace: &Namespace, events: &[StoredEvent]) -> Self {
        let mut rows = Self::default();
        rows.reserve(events.len(), events.iter().map(|stored| texts_len(stored.event.view())).sum());
        events.iter().for_each(|stored| rows.push(RowRef { namespace, stored: stored.view() }));
        rows
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events.
    pub fn events(&self) -> &EventBatch {
        &self.events
    }

    /// The bytes of all texts.
    pub fn texts_len(&self) -> usize {
        self.events.texts().len()
    }

    /// About how many bytes the rows take in memory, with their identities.
    pub fn weight(&self) -> usize {
        self.texts_len() + self.len() * WEIGHT_OF_HEAD
    }

    /// A row, which must exist.
    pub fn get(&self, row: usize) -> RowRef<'_> {
        let Origin { ingested_at, namespace } = self.origins[row];
        let stored = StoredRef { event: self.events.get(row), ingested_at };
        RowRef { namespace: &self.namespaces[namespace as usize], stored }
    }

    /// All rows in order.
    pub fn iter(&self) -> impl Iterator<Item = RowRef<'_>> + Clone {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Of each row whose it is and when it was accepted.
    pub fn origins(&self) -> impl Iterator<Item = (&Namespace, Instant)> {
        self.origins.iter().map(|origin| (&self.namespaces[origin.namespace as usize], origin.ingested_at))
    }

    /// Makes room for as many rows with so many bytes of texts.
    pub fn reserve(&mut self, rows: usize, texts: usize) {
        self.events.reserve(rows, texts);
        self.origins.reserve(rows);
    }

    /// Makes room for `rows` rows like those that are there, with up to `texts` bytes, once there are enough to tell: a
    /// chunk that grows little by little would be copied again and again.
    pub fn reserve_up_to(&mut self, rows: usize, texts: usize) {
        const TELLING_ROWS: usize = 128;
        if self.len() < TELLING_ROWS || self.origins.capacity() >= rows {
            return;
        }
        let missing = rows.saturating_sub(self.len());
        let expected = (self.texts_len() / self.len() + 1) * missing;
        self.reserve(missing, expected.min(texts.saturating_sub(self.texts_len())));
    }

    /// Appends a row.
    pub fn push(&mut self, row: RowRef<'_>) {
        self.events.push(row.stored.event);
        self.push_origin(row.namespace, row.stored.ingested_at);
    }

    /// Appends the rows of `other` from `from` up to `to`: their texts in one piece.
    pub fn append(&mut self, other: &Rows, from: usize, to: usize) {
        self.events.append(&other.events, from, to);
        for of_one in other.origins[from..to].chunk_by(|left, right| left.namespace == right.namespace) {
            let namespace = self.place_of(&other.namespaces[of_one[0].namespace as usize]);
            self.origins.extend(of_one.iter().map(|origin| Origin { namespace, ..*origin }));
        }
    }

    /// The rows for which there is a `true`.
    pub fn only(&self, wanted: &[bool]) -> Rows {
        let mut rows = Rows::default();
        let mut at = 0;
        for run in wanted.chunk_by(|left, right| left == right) {
            if run[0] {
                rows.append(self, at, at + run.len());
            }
            at += run.len();
        }
        rows
    }

    /// Rows whose events are there already but for their origins, to be completed in order.
    pub(super) fn without_origins(events: EventBatch) -> Self {
        let origins = Vec::with_capacity(events.len());
        Self { events, origins, namespaces: Vec::new() }
    }

    /// Says whose the next event is and when it was accepted.
    pub(super) fn push_origin(&mut self, namespace: &Namespace, ingested_at: Instant) {
        let namespace = self.place_of(namespace);
        self.origins.push(Origin { ingested_at, namespace });
    }

    /// The place of a namespace: that of the last row, or a new one.
    fn place_of(&mut self, namespace: &Namespace) -> u32 {
        if self.namespaces.last() != Some(namespace) {
            self.namespaces.push(namespace.clone());
        }
        self.namespaces.len() as u32 - 1
    }
}

#[cfg(test)]
impl Rows {
    /// These rows.
    pub fn of(rows: &[super::row::Row]) -> Self {
        let mut all = Self::default();
        rows.iter().for_each(|row| all.push(super::row::RowView::view(row)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::row::Row;
    use crate::embedded::sample;
    use proptest::prelude::*;

    fn back(rows: &Rows) -> Vec<Row> {
        rows.iter().map(RowRef::to_row).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rows_are_read_as_they_were_pushed(rows in sample::rows(40), cuts in prop::collection::vec(0usize..40, 0..6)) {
            let whole = Rows::of(&rows);
            prop_assert_eq!(&back(&whole), &rows);
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(rows.len())).chain([0, rows.len()]).collect();
            cuts.sort_unstable();
            let mut joined = Rows::default();
            cuts.windows(2).for_each(|cut| joined.append(&whole, cut[0], cut[1]));
            prop_assert_eq!(back(&joined), rows);
            let texts: usize = whole.iter().map(|row| texts_len(row.stored.event)).sum();
            prop_assert_eq!((joined.weight(), joined.texts_len()), (whole.weight(), texts));
        }

        #[test]
        fn some_rows_are_those_that_are_wanted(rows in sample::rows(40), wanted in prop::collection::vec(any::<bool>(), 40)) {
            let wanted = &wanted[..rows.len()];
            let some = Rows::of(&rows).only(wanted);
            let want: Vec<Row> = rows.iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(row, _)| row.clone()).collect();
            prop_assert_eq!(some.is_empty(), want.is_empty());
            prop_assert_eq!(back(&some), want);
        }
    }
}
