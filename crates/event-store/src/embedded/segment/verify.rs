//! The whole check of a segment: what the directory says against what the chunks hold.

use super::column::Column;
use super::directory::HEADER_LEN;
use super::directory::{Block, Span};
use super::paths::Paths;
use super::{Segment, Table, check_header};
use crate::StoreError;
use crate::embedded::row::{Row, segment_order};

impl Segment {
    /// Reads everything again and checks it: checksums, order, and that the directory describes the rows. Gives the
    /// number of rows.
    pub fn verify(&self) -> Result<u64, StoreError> {
        let mut header = [0; HEADER_LEN as usize];
        self.file.read_exact_at(&mut header, 0).map_err(StoreError::io("cannot read", &self.path))?;
        check_header(&self.path, &header)?;
        let mut before: Option<Row> = None;
        let mut count = 0;
        for table in &self.tables {
            for block in &table.blocks {
                for row in self.verify_block(table, block)? {
                    if before.as_ref().is_some_and(|before| segment_order(before, &row).is_ge()) {
                        return Err(self.damaged(block.offset, "rows are out of order"));
                    }
                    before = Some(row);
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    fn verify_block(&self, table: &Table, block: &Block) -> Result<Vec<Row>, StoreError> {
        let events = self.reader(table).events(block, 0..block.rows)?;
        let (mut times, mut ingested) = (Span::EMPTY, Span::EMPTY);
        for stored in &events {
            times.include(stored.event.time());
            ingested.include(stored.ingested_at);
        }
        let subject = |at: usize| events[at].event.subject();
        if (times, ingested) != (block.times, block.ingested) {
            return Err(self.damaged(block.offset, "times do not fit the directory"));
        }
        if subject(0) != &*block.first_subject || subject(block.rows - 1) != &*block.last_subject {
            return Err(self.damaged(block.offset, "subjects do not fit the directory"));
        }
        let split = Paths::of(&table.paths).split(events.iter().map(|stored| stored.event.data()));
        for (path, chunk) in &block.columns {
            let Some(place) = block.column(*path).filter(|_| chunk.len > 0) else { continue };
            let stored = self.chunk(place, |reader| {
                let mut column = Column::default();
                column.read(reader, block.rows).map(|()| column)
            })?;
            if split.columns.get(*path as usize).and_then(Option::as_ref) != Some(&stored) {
                return Err(self.damaged(place.0, "a property column does not fit the data"));
            }
        }
        Ok(events.into_iter().map(|stored| Row { namespace: table.namespace.clone(), stored }).collect())
    }
}
