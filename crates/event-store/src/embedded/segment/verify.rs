//! The whole check of a segment: what the directory says against what the chunks hold.

use super::column::{Column, Kind, Kinds};
use super::directory::{Block, HEADER_LEN, NumberStats, Span};
use super::paths::Paths;
use super::reader::BlockReader;
use super::{Segment, Table, check_header};
use crate::StoreError;
use crate::embedded::row::{Row, segment_order};
use tallystick_domain::Quantity;

impl Segment {
    /// Checks it and gives the number of rows.
    #[cfg(test)]
    pub fn verify(&self) -> Result<u64, StoreError> {
        self.verify_rows(&mut |_| Ok(()))
    }

    /// Reads everything again and checks it: checksums, order, and that the directory describes the rows. Hands out
    /// every row and gives their number.
    pub fn verify_rows(&self, each: &mut dyn FnMut(&Row) -> Result<(), StoreError>) -> Result<u64, StoreError> {
        let mut header = [0; HEADER_LEN as usize];
        self.read_at(&mut header, 0)?;
        check_header(&self.path, &header)?;
        let mut before: Option<Row> = None;
        let mut count = 0;
        for table in &self.tables {
            let mut reader = self.reader(table);
            for place in 0..table.dictionaries.len() {
                reader.verify_dictionary(place)?;
            }
            for block in &table.blocks {
                for row in self.verify_block(table, block, &mut reader)? {
                    if before.as_ref().is_some_and(|before| segment_order(before, &row).is_ge()) {
                        return Err(reader.damaged(block, "rows are out of order"));
                    }
                    each(&row)?;
                    before = Some(row);
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    fn verify_block(&self, table: &Table, block: &Block, reader: &mut BlockReader<'_>) -> Result<Vec<Row>, StoreError> {
        let events = reader.events(block, 0..block.rows)?;
        let (mut times, mut ingested) = (Span::EMPTY, Span::EMPTY);
        for stored in &events {
            times.include(stored.event.time());
            ingested.include(stored.ingested_at);
        }
        let subject = |at: usize| events[at].event.subject();
        if (times, ingested) != (block.times, block.ingested) {
            return Err(reader.damaged(block, "times do not fit the directory"));
        }
        if subject(0) != &*block.first_subject || subject(block.rows - 1) != &*block.last_subject {
            return Err(reader.damaged(block, "subjects do not fit the directory"));
        }
        let split = Paths::of(&table.paths).split(events.iter().map(|stored| stored.event.data()));
        let columns = reader.all_columns(block)?;
        if block.all_paths_known {
            let stored = |path: usize| columns.get(path).is_some_and(Option::is_some);
            let is_lacking = |(path, made): (usize, &Option<Column>)| made.is_some() && !stored(path);
            if !split.all_paths_known || split.columns.iter().enumerate().any(is_lacking) {
                return Err(reader.damaged(block, "a property column is missing"));
            }
        }
        for (path, stored) in columns.iter().enumerate() {
            let Some(stored) = stored else { continue };
            if !split.columns.get(path).and_then(Option::as_ref).is_some_and(|made| says_the_same(made, stored)) {
                return Err(reader.damaged(block, "a property column does not fit the data"));
            }
        }
        for (path, numbers) in &block.numbers {
            let column = columns.get(*path as usize).and_then(Option::as_ref);
            let found = column.filter(|column| column.kinds == Kinds::All(Kind::Number));
            if found.map(|column| NumberStats::of(&column.values, column.scale)) != Some(*numbers) {
                return Err(reader.damaged(block, "numbers do not fit the directory"));
            }
        }
        Ok(events.into_iter().map(|stored| Row { namespace: table.namespace.clone(), stored }).collect())
    }
}

/// Whether two columns give the same answers, whatever their scales and dictionaries are.
fn says_the_same(left: &Column, right: &Column) -> bool {
    let number = |column: &Column, row: usize| Quantity::from_parts(i128::from(column.values[row]), column.scale).ok();
    let text = |column: &Column, row: usize| column.texts.get(column.values[row] as usize).to_owned();
    (0..left.rows()).all(|row| match (left.kinds.get(row), right.kinds.get(row)) {
        (Kind::Number, Kind::Number) => number(left, row) == number(right, row),
        (Kind::Text, Kind::Text) => text(left, row) == text(right, row),
        (Kind::Number, Kind::Text) => number(left, row).is_some_and(|number| number.to_string() == text(right, row)),
        (Kind::Text, Kind::Number) => number(right, row).is_some_and(|number| number.to_string() == text(left, row)),
        (left, right) => left == right,
    })
}
