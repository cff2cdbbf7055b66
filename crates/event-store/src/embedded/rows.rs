//! Rows in memory: heads of a fixed size, and all texts in one string.
//!
//! Invariant: a row is read as it was pushed, and pushing never changes rows before it. A row needs no allocation of its
//! own, neither to be kept nor to be read.

use super::row::RowRef;
use tallystick_domain::event::{EventParts, EventRef, StoredRef};
use tallystick_domain::{Instant, Namespace};

/// The length of a text that is not there.
const ABSENT: u32 = u32::MAX;

/// Rows in the order in which they came. All texts together take less than 4 GiB.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    heads: Vec<Head>,
    /// The texts of all rows without gaps: id, source, type, subject, data, extras.
    texts: String,
    /// Namespaces in the order of their rows; one is repeated where another was in between.
    namespaces: Vec<Namespace>,
}

/// What a row has besides its texts.
#[derive(Clone, Copy, Debug)]
struct Head {
    time: Instant,
    ingested_at: Instant,
    /// The place of its namespace.
    namespace: u32,
    /// Where its texts begin, and their lengths.
    start: u32,
    lengths: [u32; 6],
}

impl Head {
    fn texts_len(&self) -> usize {
        self.lengths.iter().filter(|len| **len != ABSENT).map(|len| *len as usize).sum()
    }
}

/// About how many bytes a row takes in memory, with its identity.
pub(crate) fn row_weight(row: StoredRef<'_>) -> usize {
    texts_of(&row.event).iter().flatten().map(|text| text.len()).sum::<usize>() + WEIGHT_OF_HEAD
}

/// A head, and an identity in a hash set that is not full.
const WEIGHT_OF_HEAD: usize = size_of::<Head>() + 40;

fn texts_of<'a>(event: &EventRef<'a>) -> [Option<&'a str>; 6] {
    let [id, source, event_type, subject] = [event.id(), event.source(), event.event_type(), event.subject()].map(Some);
    [id, source, event_type, subject, event.data(), event.extras()]
}

impl Rows {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// The bytes of all texts.
    pub fn texts_len(&self) -> usize {
        self.texts.len()
    }

    /// About how many bytes the rows take in memory, with their identities.
    pub fn weight(&self) -> usize {
        self.texts.len() + self.len() * WEIGHT_OF_HEAD
    }

    /// A row, which must exist.
    pub fn get(&self, row: usize) -> RowRef<'_> {
        let head = &self.heads[row];
        let mut rest = &self.texts[head.start as usize..];
        let mut next = |len: u32| {
            if len == ABSENT {
                return None;
            }
            let (text, after) = rest.split_at(len as usize);
            rest = after;
            Some(text)
        };
        let [id, source, event_type, subject, data, extras] = head.lengths.map(&mut next);
        let event = EventRef::from_store(EventParts {
            id: id.unwrap_or_default(),
            source: source.unwrap_or_default(),
            event_type: event_type.unwrap_or_default(),
            subject: subject.unwrap_or_default(),
            time: head.time,
            data,
            extras,
        });
        let stored = StoredRef { event, ingested_at: head.ingested_at };
        RowRef { namespace: &self.namespaces[head.namespace as usize], stored }
    }

    /// All rows in order.
    pub fn iter(&self) -> impl Iterator<Item = RowRef<'_>> + Clone {
        (0..self.len()).map(|row| self.get(row))
    }

    /// Makes room for as many rows with so many bytes of texts.
    pub fn reserve(&mut self, rows: usize, texts: usize) {
        self.heads.reserve(rows);
        self.texts.reserve(texts);
    }

    /// Appends a row.
    pub fn push(&mut self, row: RowRef<'_>) {
        let start = self.texts.len() as u32;
        let lengths = texts_of(&row.stored.event).map(|text| {
            text.map_or(ABSENT, |text| {
                self.texts.push_str(text);
                text.len() as u32
            })
        });
        let namespace = self.place_of(row.namespace);
        let (time, ingested_at) = (row.stored.event.time(), row.stored.ingested_at);
        self.heads.push(Head { time, ingested_at, namespace, start, lengths });
    }

    /// Appends the rows of `other` from `from` up to `to`: their texts in one piece.
    pub fn append(&mut self, other: &Rows, from: usize, to: usize) {
        let heads = &other.heads[from..to];
        let (Some(first), Some(last)) = (heads.first(), heads.last()) else { return };
        let texts = first.start as usize..last.start as usize + last.texts_len();
        let base = self.texts.len() as u32;
        self.texts.push_str(&other.texts[texts]);
        let mut known = (u32::MAX, 0);
        for head in heads {
            if known.0 != head.namespace {
                known = (head.namespace, self.place_of(&other.namespaces[head.namespace as usize]));
            }
            self.heads.push(Head { start: head.start - first.start + base, namespace: known.1, ..*head });
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
            let weight: usize = whole.iter().map(|row| row_weight(row.stored)).sum();
            prop_assert_eq!((joined.weight(), joined.texts_len()), (weight, whole.texts_len()));
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
