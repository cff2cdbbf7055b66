//! Lists events of a view, newest first, holding no more than the page and one block.
//!
//! Invariant: the page is that of domain's `EventQuery::run` over the same events.

use super::facts::masks::Mask;
use super::segment::{Block, Segment, Table};
use super::view::View;
use crate::{QueryError, QueryProgress, StoreError};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use tallystick_domain::Instant;
use tallystick_domain::event::{EventField, EventQuery, StoredEvent, StoredRef};
use tallystick_domain::meter::Filter;

/// A page of the events of a view.
pub(crate) fn list(
    view: &View,
    query: &EventQuery,
    progress: Option<&QueryProgress>,
) -> Result<Vec<StoredEvent>, QueryError> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let mut page = Page { query, blocks: candidates(view, query), found: BinaryHeap::new() };
    if let Some(progress) = progress {
        progress.expect_rows(page.blocks.iter().map(|candidate| candidate.block.rows).sum());
    }
    let rows = view.chunks.iter().flat_map(|chunk| chunk.iter()).filter(|row| *row.namespace == query.namespace);
    let seen = rows.filter(|row| view.masks.shows(*row)).map(|row| row.stored);
    let amended = view.masks.of_namespace(&query.namespace).flat_map(Mask::amended).map(StoredEvent::view);
    for stored in seen.chain(amended).filter(|stored| query.matches(*stored)) {
        page.offer(Key::of(stored), Place::Memory(stored));
    }
    for at in 0..page.blocks.len() {
        if !page.may_take(page.blocks[at].block.times.last) {
            break;
        }
        page.search(at)?;
        if let Some(progress) = progress {
            progress.looked_at(page.blocks[at].block.rows);
        }
    }
    Ok(page.events()?)
}

/// A block that may hold wanted events.
#[derive(Clone, Copy)]
struct Candidate<'v> {
    segment: &'v Segment,
    table: &'v Table,
    block: &'v Block,
    mask: Option<&'v Mask>,
}

/// The best events so far.
struct Page<'v> {
    query: &'v EventQuery,
    /// Those with the latest events first.
    blocks: Vec<Candidate<'v>>,
    /// Up to the limit; the last in listing order is on top.
    found: BinaryHeap<Entry<'v>>,
}

struct Entry<'v> {
    time: Instant,
    source: Box<str>,
    id: Box<str>,
    place: Place<'v>,
}

#[derive(Clone, Copy)]
enum Place<'v> {
    Memory(StoredRef<'v>),
    Stored { candidate: usize, row: usize },
}

/// A place in listing order, as [`tallystick_domain::event::EventPosition`], borrowed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key<'k> {
    time: Instant,
    source: &'k str,
    id: &'k str,
}

/// Blocks that may hold wanted events, by what their directories say; those with the latest events first.
fn candidates<'v>(view: &'v View, query: &EventQuery) -> Vec<Candidate<'v>> {
    let (from, through) = query.time.as_ref().map_or((Instant::MIN, Instant::MAX), |filter| filter.bounds());
    let through = query.after.as_ref().map_or(through, |position| through.min(position.time));
    let (known_from, known_through) =
        query.ingested_at.as_ref().map_or((Instant::MIN, Instant::MAX), |filter| filter.bounds());
    let may_hold = |block: &Block| {
        let subjects = &*block.first_subject..=&*block.last_subject;
        from <= block.times.last
            && block.times.first <= through
            && known_from <= block.ingested.last
            && block.ingested.first <= known_through
            && filters(query, EventField::Subject)
                .all(|filter| filter.exact_texts().is_none_or(|texts| texts.iter().any(|text| subjects.contains(text))))
    };
    let mut found = Vec::new();
    for segment in &view.segments {
        for table in segment.tables_of(&query.namespace) {
            if filters(query, EventField::Type).all(|filter| filter.matches(&table.event_type)) {
                let mask = view.masks.of(&table.namespace, &table.event_type);
                let is_seen = |block: &Block| mask.is_none_or(|mask| !mask.has_expired(block.times.last));
                let blocks = table.blocks.iter().filter(|block| is_seen(block) && may_hold(block));
                found.extend(blocks.map(|block| Candidate { segment, table, block, mask }));
            }
        }
    }
    found.sort_by_key(|candidate| std::cmp::Reverse(candidate.block.times.last));
    found
}

fn filters(query: &EventQuery, wanted: EventField) -> impl Iterator<Item = &Filter> {
    query.fields.iter().filter(move |(field, _)| *field == wanted).map(|(_, filter)| filter)
}

impl<'v> Page<'v> {
    /// Whether an event of this time can still come onto the page.
    fn may_take(&self, time: Instant) -> bool {
        self.found.len() < self.query.limit || self.found.peek().is_some_and(|last| last.time <= time)
    }

    fn offer(&mut self, key: Key<'_>, place: Place<'v>) {
        if self.found.len() == self.query.limit {
            if self.found.peek().is_some_and(|last| last.key() <= key) {
                return;
            }
            self.found.pop();
        }
        self.found.push(Entry { time: key.time, source: key.source.into(), id: key.id.into(), place });
    }

    fn search(&mut self, candidate: usize) -> Result<(), StoreError> {
        let Candidate { segment, table, block, mask } = self.blocks[candidate];
        let mut reader = segment.reader(table);
        let times = reader.times(block)?;
        let instants: Vec<Instant> = times.iter().filter_map(|micros| Instant::from_micros(*micros)).collect();
        let is_in_time = |time: Instant| {
            self.may_take(time)
                && mask.is_none_or(|mask| !mask.has_expired(time))
                && self.query.time.as_ref().is_none_or(|filter| filter.matches(time))
                && self.query.after.as_ref().is_none_or(|position| time <= position.time)
        };
        let mut rows: Vec<usize> = (0..instants.len()).filter(|row| is_in_time(instants[*row])).collect();
        if let Some(filter) = self.query.ingested_at.as_ref().filter(|_| !rows.is_empty()) {
            let ingested = reader.ingested(block, &times)?;
            rows.retain(|row| Instant::from_micros(ingested[*row]).is_some_and(|at| filter.matches(at)));
        }
        if filters(self.query, EventField::Subject).next().is_some() && !rows.is_empty() {
            let subjects = reader.subjects(block)?;
            rows.retain(|row| {
                filters(self.query, EventField::Subject).all(|filter| filter.matches(subjects.get(*row)))
            });
        }
        if let Some(mask) = mask.filter(|_| !rows.is_empty()) {
            let corrected = mask.corrected_rows(&mut reader, block)?;
            rows.retain(|row| corrected.binary_search(row).is_err());
        }
        if rows.is_empty() {
            return Ok(());
        }
        let (sources, ids) = (reader.sources(block)?, reader.ids(block)?);
        for row in rows {
            let key = Key { time: instants[row], source: sources.get(row), id: ids.get(row) };
            if self.is_wanted(&key) {
                self.offer(key, Place::Stored { candidate, row });
            }
        }
        Ok(())
    }

    fn is_wanted(&self, key: &Key<'_>) -> bool {
        let after = self.query.after.as_ref();
        after.is_none_or(|position| *key > Key { time: position.time, source: &position.source, id: &position.id })
            && filters(self.query, EventField::Source).all(|filter| filter.matches(key.source))
            && filters(self.query, EventField::Id).all(|filter| filter.matches(key.id))
    }

    /// The events in listing order; each block is read once.
    fn events(self) -> Result<Vec<StoredEvent>, StoreError> {
        let entries = self.found.into_sorted_vec();
        let mut events: Vec<Option<StoredEvent>> = vec![None; entries.len()];
        let mut stored = Vec::new();
        for (position, entry) in entries.iter().enumerate() {
            match entry.place {
                Place::Memory(event) => events[position] = Some(event.to_stored()),
                Place::Stored { candidate, row } => stored.push((candidate, row, position)),
            }
        }
        stored.sort_unstable();
        for of_block in stored.chunk_by(|left, right| left.0 == right.0) {
            let Candidate { segment, table, block, .. } = self.blocks[of_block[0].0];
            let read = segment.reader(table).events(block, of_block.iter().map(|(_, row, _)| *row))?;
            for (event, (_, _, position)) in read.into_iter().zip(of_block) {
                events[*position] = Some(event);
            }
        }
        Ok(events.into_iter().flatten().collect())
    }
}

impl<'k> Key<'k> {
    fn of(stored: StoredRef<'k>) -> Self {
        Self { time: stored.event.time(), source: stored.event.source(), id: stored.event.id() }
    }
}

impl Ord for Key<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.time.cmp(&self.time).then_with(|| self.source.cmp(other.source)).then_with(|| self.id.cmp(other.id))
    }
}

impl PartialOrd for Key<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Entry<'_> {
    fn key(&self) -> Key<'_> {
        Key { time: self.time, source: &self.source, id: &self.id }
    }
}

impl Ord for Entry<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Entry<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Entry<'_> {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::sample::{instant, row_of_page, rows, split};
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use tallystick_domain::Namespace;
    use tallystick_domain::event::{EventPosition, TimeFilter};
    use tallystick_domain::meter::LikePattern;
    use tempfile::TempDir;

    fn time_filter() -> impl Strategy<Value = TimeFilter> {
        let leaf = prop_oneof![
            instant().prop_map(TimeFilter::After),
            instant().prop_map(TimeFilter::From),
            instant().prop_map(TimeFilter::Before),
            instant().prop_map(TimeFilter::Through),
        ];
        leaf.prop_recursive(2, 6, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(TimeFilter::All),
                prop::collection::vec(inner, 0..3).prop_map(TimeFilter::Any),
            ]
        })
    }

    fn field() -> impl Strategy<Value = (EventField, Filter)> {
        let texts = prop::sample::subsequence(vec!["a", "b", "c", "t", "other", "s", "r", "ä"], 0..4);
        let texts = texts.prop_map(|texts| texts.into_iter().map(String::from).collect::<BTreeSet<_>>());
        let fields = [EventField::Id, EventField::Source, EventField::Subject, EventField::Type];
        let filter = prop_oneof![
            texts.clone().prop_map(Filter::In),
            texts.prop_map(Filter::NotIn),
            "[abst0-9]".prop_map(Filter::Eq),
            "[abst0-9]".prop_map(Filter::Gte),
            "[abst0-9]%".prop_map(|pattern| Filter::Like(LikePattern::new(&pattern, false))),
        ];
        (prop::sample::select(fields.to_vec()), filter)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_page_is_that_of_the_reference(
            rows in rows(120),
            places in prop::collection::vec(0usize..6, 120),
            fields in prop::collection::vec(field(), 0..3),
            time in prop::option::of(time_filter()),
            ingested_at in prop::option::weighted(0.3, time_filter()),
            after in prop::option::of(0usize..120),
            limit in prop_oneof![0usize..4, 0usize..150],
        ) {
            let dir = TempDir::new().unwrap();
            let namespace = Namespace::default_namespace();
            let after = after.and_then(|at| rows.get(at)).map(|row| EventPosition::of(&row.stored));
            let query = EventQuery { namespace, fields, time, ingested_at, after, limit };
            let of_namespace = rows.iter().filter(|row| row.namespace == query.namespace);
            let want = query.run(of_namespace.map(|row| &row.stored));
            prop_assert_eq!(list(&split(dir.path(), &rows, &places), &query, None).unwrap(), want);
        }
    }

    #[test]
    fn pages_follow_each_other_over_several_blocks() {
        let dir = TempDir::new().unwrap();
        let rows: Vec<_> = (0..5000).map(row_of_page).collect();
        let places: Vec<usize> = (0..5000).map(|number| number % 3).collect();
        let view = split(dir.path(), &rows, &places);
        let namespace = Namespace::default_namespace();
        let mut query =
            EventQuery { namespace, fields: vec![], time: None, ingested_at: None, after: None, limit: 700 };
        let mut seen = Vec::new();
        loop {
            let page = list(&view, &query, None).unwrap();
            let Some(last) = page.last() else { break };
            query.after = Some(EventPosition::of(last));
            seen.extend(page);
        }
        query = EventQuery { after: None, limit: 5000, ..query };
        assert_eq!(seen, query.run(rows.iter().map(|row| &row.stored)));
    }
}
