//! Brings rows, which come in any order, into a segment.
//!
//! Rows are taken apart where they lie, one after the other; only then are the columns brought into segment order. Going
//! through whole rows in segment order would wait for memory at each of them. Invariant: the order is
//! [`segment_order`](crate::embedded::row::segment_order).

use super::SegmentMeta;
use super::parse::Parser;
use super::rows::{SHEET_BYTES, SHEET_ROWS, TableRows, end_table};
use super::sheet::Sheet;
use super::writer::{BLOCK_BYTES, BLOCK_ROWS, Writer};
use crate::StoreError;
use crate::embedded::chunk::Chunk;
use crate::embedded::disk::Disk;
use crate::embedded::row::RowRef;
use hashbrown::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tallystick_domain::Namespace;

/// Where a row lies: its chunk, and its place in it.
type Place = (u32, u32);

/// Rows of chunks, by table and column.
pub(crate) struct Gathered<'a> {
    chunks: &'a [Arc<Chunk>],
    tables: Vec<GatheredTable<'a>>,
}

impl<'a> Gathered<'a> {
    /// The rows that `keep` wants, which sees all rows in the order in which they lie in memory.
    pub fn of(chunks: &'a [Arc<Chunk>], keep: &mut dyn FnMut(RowRef<'_>) -> bool) -> Self {
        Self::within(Room { rows: SHEET_ROWS, text_bytes: SHEET_BYTES }, chunks, keep)
    }

    fn within(room: Room, chunks: &'a [Arc<Chunk>], keep: &mut dyn FnMut(RowRef<'_>) -> bool) -> Self {
        let mut tables = Tables::default();
        for (chunk, rows) in chunks.iter().enumerate() {
            for (at, row) in rows.iter().enumerate() {
                if keep(row) {
                    tables.of(row).push(row, (chunk as u32, at as u32), room);
                }
            }
        }
        let mut tables = tables.met;
        tables.sort_unstable_by_key(|table| (table.namespace, table.event_type));
        Self { chunks, tables }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Writes them to a new file at `path` and syncs it. What stood there before is overwritten: the file counts only once
    /// the manifest names it.
    pub fn write(self, disk: &dyn Disk, path: &Path) -> Result<SegmentMeta, StoreError> {
        let failed = || StoreError::io("cannot write", path);
        let mut writer = Writer::create(disk, path).map_err(failed())?;
        for table in self.tables {
            table.write(self.chunks, &mut writer).map_err(failed())?;
        }
        writer.finish().map_err(failed())
    }
}

/// What a sheet may hold.
#[derive(Clone, Copy)]
struct Room {
    rows: usize,
    /// Looked at each time that a block is full.
    text_bytes: usize,
}

/// The tables by namespace and type.
#[derive(Default)]
struct Tables<'a> {
    places: HashMap<(&'a Namespace, &'a str), usize>,
    met: Vec<GatheredTable<'a>>,
    /// That of the row before.
    last: usize,
}

impl<'a> Tables<'a> {
    fn of(&mut self, row: RowRef<'a>) -> &mut GatheredTable<'a> {
        let key = (row.namespace, row.stored.event.event_type());
        let is_last = self.met.get(self.last).is_some_and(|table| (table.namespace, table.event_type) == key);
        if !is_last {
            self.last = *self.places.entry(key).or_insert(self.met.len());
            if self.last == self.met.len() {
                self.met.push(GatheredTable::new(key));
            }
        }
        &mut self.met[self.last]
    }
}

/// The rows of a namespace and type.
struct GatheredTable<'a> {
    namespace: &'a Namespace,
    event_type: &'a str,
    parser: Parser,
    sheet: Sheet,
    places: Vec<Place>,
    /// What each row adds to its block, in bytes.
    weights: Vec<u32>,
    /// Whether the sheet has no room for their data.
    is_full: bool,
}

impl<'a> GatheredTable<'a> {
    fn new((namespace, event_type): (&'a Namespace, &'a str)) -> Self {
        let (parser, sheet) = (Parser::default(), Sheet::default());
        Self { namespace, event_type, parser, sheet, places: Vec::new(), weights: Vec::new(), is_full: false }
    }

    fn push(&mut self, row: RowRef<'_>, place: Place, room: Room) {
        self.places.push(place);
        self.weights.push(self.sheet.push_head(row));
        if self.is_full {
            return;
        }
        let event = row.stored.event;
        self.sheet.extras.push(event.extras());
        self.parser.push_data(&mut self.sheet, event.data());
        let ends_block = self.places.len().is_multiple_of(BLOCK_ROWS);
        if self.places.len() > room.rows || (ends_block && self.sheet.text_bytes() >= room.text_bytes) {
            self.is_full = true;
            self.sheet.forget_data();
        }
    }

    fn write(mut self, chunks: &[Arc<Chunk>], writer: &mut Writer) -> io::Result<()> {
        let order = order_of(&mut self.sheet)?;
        // What columns cannot hold at one scale is read again, a block at a time and in segment order.
        if self.is_full || self.sheet.columns.iter().any(|column| column.misfits) {
            let mut table = TableRows::default();
            for row in order {
                let (chunk, at) = self.places[row as usize];
                table.push(writer, &chunks[chunk as usize].get(at as usize))?;
            }
            return table.end(writer);
        }
        self.sheet.arrange(&order);
        writer.start_table(self.namespace.clone(), self.event_type.into());
        end_table(writer, self.parser, &self.sheet, &cuts(&order, &self.weights), true)
    }
}

/// Where blocks end: at so many rows, or at so many bytes.
fn cuts(order: &[u32], weights: &[u32]) -> Vec<usize> {
    let (mut cuts, mut start, mut weight) = (Vec::new(), 0, 0);
    for (at, row) in order.iter().enumerate() {
        if at - start == BLOCK_ROWS || weight >= BLOCK_BYTES {
            cuts.push(at);
            (start, weight) = (at, 0);
        }
        weight += weights[*row as usize] as usize;
    }
    cuts.push(order.len());
    cuts
}

/// The rows of a sheet in segment order. The codes of its subjects and sources become those of sorted texts.
fn order_of(sheet: &mut Sheet) -> io::Result<Vec<u32>> {
    sheet.subjects.sort_texts();
    sheet.sources.sort_texts();
    let key = |row: usize| {
        let (subject, source) = (sheet.subjects.codes[row], sheet.sources.codes[row]);
        // As unsigned, in the same order.
        let time = sheet.times[row] as u64 ^ 1 << 63;
        (u128::from(subject) << 96 | u128::from(time) << 32 | u128::from(source), row as u32)
    };
    let mut keyed: Vec<(u128, u32)> = (0..sheet.times.len()).map(key).collect();
    let ids = |left: u32, right: u32| sheet.ids.compare(left as usize, &sheet.ids, right as usize);
    keyed.sort_unstable_by(|(left, left_row), (right, right_row)| {
        left.cmp(right).then_with(|| ids(*left_row, *right_row))
    });
    let is_twice = |pair: &[(u128, u32)]| pair[0].0 == pair[1].0 && ids(pair[0].1, pair[1].1).is_eq();
    if keyed.windows(2).any(is_twice) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "an event is there twice"));
    }
    Ok(keyed.into_iter().map(|(_, row)| row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::disk::HostDisk;
    use crate::embedded::row::Row;
    use crate::embedded::rows::Rows;
    use crate::embedded::sample::{plain_row, rows, sorted};
    use crate::embedded::segment::Segment;
    use proptest::prelude::*;
    use tallystick_domain::Instant;
    use tempfile::TempDir;

    /// What a segment of these rows holds, given in chunks of `len`, and how many blocks it has.
    fn written(rows: &[Row], len: usize) -> (Vec<Row>, usize) {
        written_within(Room { rows: SHEET_ROWS, text_bytes: SHEET_BYTES }, rows, len)
    }

    fn written_within(room: Room, rows: &[Row], len: usize) -> (Vec<Row>, usize) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("a");
        let chunks: Vec<_> = rows.chunks(len.max(1)).map(|rows| Arc::new(Chunk::from(Rows::of(rows)))).collect();
        let gathered = Gathered::within(room, &chunks, &mut |_| true);
        assert_eq!(gathered.is_empty(), rows.is_empty());
        let meta = gathered.write(&HostDisk, &path).unwrap();
        let segment = Segment::open(&HostDisk, &path).unwrap();
        assert_eq!((segment.verify().unwrap(), segment.meta()), (rows.len() as u64, &meta));
        let blocks = segment.tables.iter().map(|table| table.blocks.len()).sum();
        (segment.tables.iter().flat_map(|table| segment.table_rows(table)).map(Result::unwrap).collect(), blocks)
    }

    /// Rows of two namespaces, latest first, with this data.
    fn backwards(count: usize, data: impl Fn(usize) -> String) -> Vec<Row> {
        let row = |n: usize| {
            let time = Instant::from_micros((count - n) as i64).unwrap();
            let mut row = plain_row(n, &format!("subject-{}", n % 7), time, &data(n));
            if n.is_multiple_of(3) {
                row.namespace = Namespace::parse("other").unwrap();
            }
            row
        };
        (0..count).map(row).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(192))]

        #[test]
        fn rows_in_any_order_come_back_in_segment_order(rows in rows(120), len in 1usize..120) {
            prop_assert_eq!(written(&rows, len).0, sorted(rows));
        }
    }

    #[test]
    fn regular_rows_fill_blocks() {
        let rows = backwards(9000, |n| format!(r#"{{"model":"m{}","tokens":{n}.25}}"#, n % 3));
        assert_eq!(written(&rows, 4096), (sorted(rows), 3 + 6));
    }

    #[test]
    fn large_rows_end_blocks_early() {
        let rows = backwards(30, |_| format!(r#"{{"v":"{}"}}"#, "x".repeat(1 << 20)));
        let (back, blocks) = written(&rows, 7);
        assert_eq!((back, blocks), (sorted(rows), 3 + 5));
    }

    #[test]
    fn numbers_that_do_not_fit_one_scale_are_kept_as_they_came() {
        let numbers = ["1", "0.000000000000000001", "900000000000000000", "-7.50"];
        let rows = backwards(3000, |n| format!(r#"{{"v":{}}}"#, numbers[n % 4]));
        assert_eq!(written(&rows, 500).0, sorted(rows));
    }

    #[test]
    fn rows_that_have_no_room_in_a_sheet_are_written_all_the_same() {
        let rows = backwards(4000, |n| format!(r#"{{"user":"user-{n}","tokens":{n}.25}}"#));
        for room in [Room { rows: 700, text_bytes: SHEET_BYTES }, Room { rows: SHEET_ROWS, text_bytes: 1000 }] {
            assert_eq!(written_within(room, &rows, 600), (sorted(rows.clone()), 2 + 3));
        }
    }

    #[test]
    fn an_event_that_is_there_twice_is_an_error() {
        let row = plain_row(1, "c", Instant::MIN, "{}");
        let chunks = [Arc::new(Chunk::from(Rows::of(&[row.clone(), row])))];
        let dir = TempDir::new().unwrap();
        assert!(Gathered::of(&chunks, &mut |_| true).write(&HostDisk, &dir.path().join("a")).is_err());
    }
}
