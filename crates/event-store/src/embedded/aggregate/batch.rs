//! Up to a block of events of one namespace and type, seen by columns, wherever they are.

use crate::StoreError;
use crate::embedded::facts::masks::Mask;
use crate::embedded::segment::{Block, BlockReader, Bodies, CodedTexts, Column, ColumnBuilder, Segment, Table, Texts};
use std::rc::Rc;
use tallystick_domain::event::EventRef;
use tallystick_domain::json::lookup;
use tallystick_domain::meter::JsonPath;

/// Some events.
pub(super) struct Batch<'a, 'p> {
    place: Place<'a>,
    /// The columns that were asked for.
    columns: Vec<(&'p JsonPath, Rc<Column>)>,
}

enum Place<'a> {
    Stored {
        reader: BlockReader<'a>,
        block: &'a Block,
        /// The data texts, once they were needed.
        data: Option<Bodies>,
    },
    Memory(Vec<EventRef<'a>>),
}

/// Sources and ids by row.
pub(super) enum Identities<'a> {
    Stored(CodedTexts, Texts),
    Memory(&'a [EventRef<'a>]),
}

impl Identities<'_> {
    /// Source and id of a row, which must exist.
    pub fn get(&self, row: usize) -> (&str, &str) {
        match self {
            Identities::Stored(sources, ids) => (sources.get(row), ids.get(row)),
            Identities::Memory(events) => (events[row].source(), events[row].id()),
        }
    }
}

impl<'a, 'p> Batch<'a, 'p> {
    /// The events of a block.
    pub fn stored(segment: &'a Segment, table: &'a Table, block: &'a Block) -> Self {
        Self { place: Place::Stored { reader: segment.reader(table), block, data: None }, columns: Vec::new() }
    }

    /// Events in memory.
    pub fn in_memory(events: Vec<EventRef<'a>>) -> Self {
        Self { place: Place::Memory(events), columns: Vec::new() }
    }

    /// Times in microseconds.
    pub fn times(&mut self) -> Result<Vec<i64>, StoreError> {
        match &mut self.place {
            Place::Stored { reader, block, .. } => reader.times(block),
            Place::Memory(events) => Ok(events.iter().map(|event| event.time().as_micros()).collect()),
        }
    }

    /// Leaves out rows that a correction is about; events in memory are those that are seen.
    pub fn remove_corrected(&mut self, mask: &Mask, rows: &mut Vec<u32>) -> Result<(), StoreError> {
        if let Place::Stored { reader, block, .. } = &mut self.place {
            let corrected = mask.corrected_rows(reader, block)?;
            if !corrected.is_empty() {
                rows.retain(|row| corrected.binary_search(&(*row as usize)).is_err());
            }
        }
        Ok(())
    }

    /// Subjects.
    pub fn subjects(&mut self) -> Result<CodedTexts, StoreError> {
        match &mut self.place {
            Place::Stored { reader, block, .. } => Ok(reader.subjects(block)?.with_own_texts()),
            Place::Memory(events) => Ok(CodedTexts::of(events.iter().map(|event| event.subject()))),
        }
    }

    /// Sources and ids.
    pub fn identities(&mut self) -> Result<Identities<'_>, StoreError> {
        match &mut self.place {
            Place::Stored { reader, block, .. } => Ok(Identities::Stored(reader.sources(block)?, reader.ids(block)?)),
            Place::Memory(events) => Ok(Identities::Memory(events)),
        }
    }

    /// The values at a path.
    pub fn column(&mut self, path: &'p JsonPath) -> Result<Rc<Column>, StoreError> {
        if let Some((_, column)) = self.columns.iter().find(|(known, _)| *known == path) {
            return Ok(Rc::clone(column));
        }
        let column = Rc::new(self.load(path)?);
        self.columns.push((path, Rc::clone(&column)));
        Ok(column)
    }

    fn load(&mut self, path: &JsonPath) -> Result<Column, StoreError> {
        match &mut self.place {
            Place::Stored { reader, block, data } => {
                if let Some(column) = reader.column(block, path)? {
                    return Ok(column.with_own_texts());
                }
                let data = match data {
                    Some(data) => data,
                    None => data.insert(reader.data(block)?),
                };
                Ok(column_of(block.rows, |row| data.get(row), path))
            }
            Place::Memory(events) => Ok(column_of(events.len(), |row| events[row].data(), path)),
        }
    }
}

fn column_of<'t>(rows: usize, data: impl Fn(usize) -> Option<&'t str>, path: &JsonPath) -> Column {
    let mut builder = ColumnBuilder::new((0..rows).map(|row| data(row).is_some()));
    for row in 0..rows {
        if let Some(text) = data(row) {
            builder.set(row, lookup(text, path));
        }
    }
    builder.finish()
}
