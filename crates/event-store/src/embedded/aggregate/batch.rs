//! Up to a block of events of one namespace and type, seen by columns, wherever they are. What a block needs is read when
//! it is asked for, into the memory of the block before.

use super::rows::Rows;
use crate::StoreError;
use crate::embedded::budget::MemoryPool;
use crate::embedded::chunk::{Chunk, ChunkTable};
use crate::embedded::facts::masks::Mask;
use crate::embedded::segment::{
    Block, BlockReader, Bodies, CodedTexts, Column, ColumnBuilder, NumberStats, Segment, Table, Texts,
};
use std::sync::Arc;
use tallystick_domain::Instant;
use tallystick_domain::json::lookup;
use tallystick_domain::meter::JsonPath;

/// The events at hand.
pub(super) struct Batch<'v, 'p> {
    place: Place<'v>,
    times: Vec<i64>,
    has_times: bool,
    subjects: CodedTexts,
    has_subjects: bool,
    /// The columns that the plan names.
    columns: Vec<Loaded<'p>>,
    /// The data texts of a block, once they were needed.
    data: Option<Bodies>,
    /// Where there may be room for columns of chunks in memory.
    pool: &'p Arc<MemoryPool>,
}

struct Loaded<'p> {
    path: &'p JsonPath,
    column: Column,
    /// The column of a chunk in memory, which is used as it is.
    of_chunk: Option<Arc<Column>>,
    is_current: bool,
}

impl Loaded<'_> {
    fn column(&self) -> &Column {
        self.of_chunk.as_deref().unwrap_or(&self.column)
    }
}

enum Place<'v> {
    Nowhere,
    Stored {
        reader: BlockReader<'v>,
        block: &'v Block,
    },
    /// `is_amended` if the events are those that are seen in the place of others.
    Memory {
        chunk: &'v Chunk,
        table: Arc<ChunkTable>,
        is_amended: bool,
    },
}

/// Sources and ids by row.
pub(super) enum Identities<'a> {
    Stored(CodedTexts, Texts),
    Memory(&'a Chunk, &'a ChunkTable),
}

impl Identities<'_> {
    /// Source and id of a row, which must exist.
    pub fn get(&self, row: usize) -> (&str, &str) {
        match self {
            Identities::Stored(sources, ids) => (sources.get(row), ids.get(row)),
            Identities::Memory(chunk, table) => {
                let event = table.event(chunk, row);
                (event.source(), event.id())
            }
        }
    }
}

impl<'v, 'p> Batch<'v, 'p> {
    /// No events yet.
    pub fn new(pool: &'p Arc<MemoryPool>) -> Self {
        Self {
            pool,
            place: Place::Nowhere,
            times: Vec::new(),
            has_times: false,
            subjects: CodedTexts::default(),
            has_subjects: false,
            columns: Vec::new(),
            data: None,
        }
    }

    /// The place of a path among the columns; it may be asked for from now on.
    pub fn slot_of(&mut self, path: &'p JsonPath) -> usize {
        self.columns.iter().position(|loaded| loaded.path == path).unwrap_or_else(|| {
            self.columns.push(Loaded { path, column: Column::default(), of_chunk: None, is_current: false });
            self.columns.len() - 1
        })
    }

    /// Turns to a block of a table of a segment; `is_first` unless the block before was of the same table.
    pub fn turn_to_block(&mut self, segment: &'v Segment, table: &'v Table, block: &'v Block, is_first: bool) {
        let before = std::mem::replace(&mut self.place, Place::Nowhere);
        self.place = match before {
            Place::Stored { reader, .. } if !is_first => Place::Stored { reader, block },
            _ => Place::Stored { reader: segment.reader(table), block },
        };
        self.forget();
    }

    /// Turns to the events of a chunk in memory.
    pub fn turn_to_chunk(&mut self, chunk: &'v Chunk, table: Arc<ChunkTable>, is_amended: bool) {
        self.place = Place::Memory { chunk, table, is_amended };
        self.forget();
    }

    fn forget(&mut self) {
        (self.has_times, self.has_subjects, self.data) = (false, false, None);
        self.columns.iter_mut().for_each(|loaded| loaded.is_current = false);
    }

    /// How many events.
    pub fn rows(&self) -> usize {
        match &self.place {
            Place::Nowhere => 0,
            Place::Stored { block, .. } => block.rows,
            Place::Memory { table, .. } => table.rows(),
        }
    }

    /// The earliest and the latest time in microseconds.
    pub fn span(&self) -> (i64, i64) {
        match &self.place {
            Place::Nowhere => (i64::MAX, i64::MIN),
            Place::Stored { block, .. } => (block.times.first.as_micros(), block.times.last.as_micros()),
            Place::Memory { table, .. } => table.span,
        }
    }

    /// The subject, if it is known without a look to be that of all events.
    pub fn only_subject(&self) -> Option<&'v str> {
        match &self.place {
            Place::Stored { block, .. } => (block.first_subject == block.last_subject).then_some(&*block.first_subject),
            _ => None,
        }
    }

    /// The table of a chunk, if that is where the events are.
    pub fn chunk_table(&self) -> Option<&Arc<ChunkTable>> {
        if let Place::Memory { table, .. } = &self.place { Some(table) } else { None }
    }

    /// Whether events of one subject are neighbours, and their times ascend.
    pub fn is_sorted(&self) -> bool {
        matches!(self.place, Place::Stored { .. })
    }

    /// Times in microseconds.
    pub fn times(&mut self) -> Result<&[i64], StoreError> {
        match &mut self.place {
            Place::Nowhere => return Ok(&[]),
            Place::Memory { table, .. } => return Ok(&table.times),
            Place::Stored { reader, block } => {
                if !self.has_times {
                    reader.times_into(block, &mut self.times)?;
                    self.has_times = true;
                }
            }
        }
        Ok(&self.times)
    }

    /// No event was accepted later.
    pub fn last_ingested(&self) -> Instant {
        match &self.place {
            Place::Stored { block, .. } => block.ingested.last,
            Place::Nowhere | Place::Memory { .. } => Instant::MAX,
        }
    }

    /// Moments of acceptance in microseconds.
    pub fn ingested(&mut self) -> Result<Vec<i64>, StoreError> {
        self.times()?;
        match &mut self.place {
            Place::Nowhere => Ok(Vec::new()),
            Place::Memory { chunk, table, .. } => Ok(table.ingested(chunk).collect()),
            Place::Stored { reader, block } => reader.ingested(block, &self.times),
        }
    }

    /// The rows that a correction is about, ascending.
    pub fn corrected(&mut self, mask: &Mask) -> Result<Vec<usize>, StoreError> {
        match &mut self.place {
            Place::Nowhere | Place::Memory { is_amended: true, .. } => Ok(Vec::new()),
            Place::Stored { reader, block } => mask.corrected_rows(reader, block),
            Place::Memory { chunk, table, .. } => {
                let is_corrected = |row: &usize| mask.is_corrected(&table.event(chunk, *row));
                Ok((0..table.rows()).filter(is_corrected).collect())
            }
        }
    }

    /// Subjects.
    pub fn subjects(&mut self) -> Result<&CodedTexts, StoreError> {
        match &mut self.place {
            Place::Nowhere => self.subjects = CodedTexts::default(),
            Place::Memory { table, .. } => return Ok(&table.subjects),
            Place::Stored { reader, block } => {
                if !self.has_subjects {
                    reader.subjects_into(block, &mut self.subjects)?;
                    self.has_subjects = true;
                }
            }
        }
        Ok(&self.subjects)
    }

    /// What the directory says of the numbers at the path of a slot, if each event has one at the same scale.
    pub fn numbers(&mut self, slot: usize) -> Option<NumberStats> {
        match &mut self.place {
            Place::Stored { reader, block } => reader.numbers(block, self.columns[slot].path),
            _ => None,
        }
    }

    /// Sources and ids; nothing without events.
    pub fn identities(&mut self) -> Result<Option<Identities<'_>>, StoreError> {
        Ok(match &mut self.place {
            Place::Nowhere => None,
            Place::Memory { chunk, table, .. } => Some(Identities::Memory(chunk, table)),
            Place::Stored { reader, block } => Some(Identities::Stored(reader.sources(block)?, reader.ids(block)?)),
        })
    }

    /// The values at the path of a slot in the given rows, of which there are never more for the same events; in others
    /// they may be missing.
    pub fn column(&mut self, slot: usize, rows: Rows<'_>) -> Result<&Column, StoreError> {
        self.load(slot, rows)?;
        Ok(self.columns[slot].column())
    }

    /// Times, and the values as [`Self::column`] gives them.
    pub fn times_and_column(&mut self, slot: usize, rows: Rows<'_>) -> Result<(&[i64], &Column), StoreError> {
        self.load(slot, rows)?;
        self.times()?;
        let times = match &self.place {
            Place::Nowhere => &[],
            Place::Memory { table, .. } => &table.times[..],
            Place::Stored { .. } => &self.times,
        };
        Ok((times, self.columns[slot].column()))
    }

    fn load(&mut self, slot: usize, rows: Rows<'_>) -> Result<(), StoreError> {
        let Self { place, columns, data, pool, .. } = self;
        let Loaded { path, column, of_chunk, is_current } = &mut columns[slot];
        if !*is_current {
            *of_chunk = None;
            match place {
                Place::Nowhere => *column = Column::default(),
                Place::Memory { chunk, table, .. } => match table.known_column(path) {
                    Some(known) => *of_chunk = Some(known),
                    // Not worth reading the data of all of them.
                    None if rows.len() < table.rows() / 8 => *column = table.column_at(chunk, path, rows.iter()),
                    None => *of_chunk = Some(table.column(chunk, path, pool)),
                },
                Place::Stored { reader, block } => {
                    if !reader.column_into(block, path, column)? {
                        let data = match data {
                            Some(data) => data,
                            None => data.insert(reader.data(block)?),
                        };
                        *column = column_of(block.rows, |row| data.get(row), path);
                    }
                }
            }
            *is_current = true;
        }
        Ok(())
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
