//! Reads chunks and rows of an open segment.

use super::Segment;
use super::bytes::{Corrupt, Reader};
use super::chunk::unpack;
use super::column::Column;
use super::directory::{Block, ChunkRef, Part, Table};
use super::ints::{get_ints, get_ints_into};
use super::texts::{Bodies, CodedTexts, Texts, get_ids};
use crate::StoreError;
use crate::embedded::row::Row;
use std::sync::Arc;
use tallystick_domain::Instant;
use tallystick_domain::event::{Event, EventParts, StoredEvent};
use tallystick_domain::meter::{JsonPath, Step};

impl Segment {
    /// All rows in segment order.
    pub fn rows(self: &Arc<Self>) -> impl Iterator<Item = Result<Row, StoreError>> + use<> {
        Rows { segment: Arc::clone(self), table: 0, block: 0, rows: Vec::new().into_iter(), failed: false }
    }

    /// Reads blocks of one of its tables.
    pub fn reader<'s>(&'s self, table: &'s Table) -> BlockReader<'s> {
        BlockReader { segment: self, table }
    }

    pub(super) fn chunk<T>(
        &self,
        (offset, chunk): (u64, ChunkRef),
        decode: impl FnOnce(&mut Reader<'_>) -> Result<T, Corrupt>,
    ) -> Result<T, StoreError> {
        let mut bytes = vec![0; chunk.len as usize];
        self.file.read_exact_at(&mut bytes, offset).map_err(StoreError::io("cannot read", &self.path))?;
        if crc32c::crc32c(&bytes) != chunk.crc {
            return Err(self.damaged(offset, "the checksum does not fit"));
        }
        let decoded = unpack(bytes).and_then(|payload| {
            let mut reader = Reader::new(&payload);
            let value = decode(&mut reader)?;
            reader.finish()?;
            Ok(value)
        });
        decoded.map_err(|error| self.damaged(offset, error.0))
    }

    pub(super) fn damaged(&self, offset: u64, what: &str) -> StoreError {
        StoreError::damaged(&self.path, offset, what)
    }
}

/// Reads what a table's blocks hold, column by column. Each `…_into` writes into memory of the caller, so that a scan of
/// many blocks allocates little.
pub(crate) struct BlockReader<'s> {
    segment: &'s Segment,
    table: &'s Table,
}

impl BlockReader<'_> {
    /// Event times in microseconds.
    pub fn times(&mut self, block: &Block) -> Result<Vec<i64>, StoreError> {
        let mut times = Vec::with_capacity(block.rows);
        self.times_into(block, &mut times)?;
        Ok(times)
    }

    /// Event times in microseconds, in the place of what was there.
    pub fn times_into(&mut self, block: &Block, times: &mut Vec<i64>) -> Result<(), StoreError> {
        times.clear();
        self.part(block, Part::Time, |reader| get_ints_into(reader, block.rows, times))
    }

    /// Moments of acceptance in microseconds; `times` are those of the same block.
    pub fn ingested(&mut self, block: &Block, times: &[i64]) -> Result<Vec<i64>, StoreError> {
        self.part(block, Part::IngestedAt, |reader| {
            let as_delays = reader.byte()? == 1;
            let mut values = get_ints(reader, block.rows)?;
            if as_delays {
                values.iter_mut().zip(times).for_each(|(value, time)| *value = value.wrapping_add(*time));
            }
            Ok(values)
        })
    }

    /// Subjects.
    pub fn subjects(&mut self, block: &Block) -> Result<CodedTexts, StoreError> {
        let mut subjects = CodedTexts::default();
        self.subjects_into(block, &mut subjects)?;
        Ok(subjects)
    }

    /// Subjects, in the place of what was there.
    pub fn subjects_into(&mut self, block: &Block, subjects: &mut CodedTexts) -> Result<(), StoreError> {
        self.part(block, Part::Subject, |reader| subjects.read(reader, block.rows))
    }

    /// Sources.
    pub fn sources(&mut self, block: &Block) -> Result<CodedTexts, StoreError> {
        let mut sources = CodedTexts::default();
        self.part(block, Part::Source, |reader| sources.read(reader, block.rows))?;
        Ok(sources)
    }

    /// Ids.
    pub fn ids(&mut self, block: &Block) -> Result<Texts, StoreError> {
        self.part(block, Part::Id, |reader| get_ids(reader, block.rows))
    }

    /// Data texts.
    pub fn data(&mut self, block: &Block) -> Result<Bodies, StoreError> {
        self.bodies(block, Part::Data)
    }

    /// Texts of further attributes.
    pub fn extras(&mut self, block: &Block) -> Result<Bodies, StoreError> {
        self.bodies(block, Part::Extras)
    }

    /// The values at a path, or `None` where only the data has them.
    pub fn column(&mut self, block: &Block, path: &JsonPath) -> Result<Option<Column>, StoreError> {
        let mut column = Column::default();
        Ok(self.column_into(block, path, &mut column)?.then_some(column))
    }

    /// The values at a path, in the place of what was there. False where only the data has them.
    pub fn column_into(&mut self, block: &Block, path: &JsonPath, column: &mut Column) -> Result<bool, StoreError> {
        if path.steps().is_empty() || !path.steps().iter().all(|step| matches!(step, Step::Member(_))) {
            return Ok(false);
        }
        let is_wanted = |names: &Vec<Box<str>>| {
            let steps = path.steps().iter();
            names.len() == path.steps().len() && steps.zip(names).all(|(step, name)| is_member(step, name))
        };
        match self.table.paths.iter().position(is_wanted).and_then(|at| block.column(at as u32)) {
            Some((_, ChunkRef { len: 0, .. })) => Ok(false),
            Some(chunk) => {
                self.segment.chunk(chunk, |reader| column.read(reader, block.rows))?;
                Ok(true)
            }
            None if block.all_paths_known && !block.some_without_data => {
                column.set_missing(block.rows);
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// The events of a block at the given rows.
    pub fn events(&mut self, block: &Block, rows: impl Iterator<Item = usize>) -> Result<Vec<StoredEvent>, StoreError> {
        let times = self.times(block)?;
        let ingested = self.ingested(block, &times)?;
        let (subjects, sources, ids) = (self.subjects(block)?, self.sources(block)?, self.ids(block)?);
        let (data, extras) = (self.data(block)?, self.extras(block)?);
        let instant = |micros: i64| {
            Instant::from_micros(micros)
                .ok_or_else(|| self.segment.damaged(block.offset, "a time is outside of the stored years"))
        };
        rows.map(|row| {
            let parts = EventParts {
                id: ids.get(row).into(),
                source: sources.get(row).into(),
                event_type: self.table.event_type.to_string(),
                subject: subjects.get(row).into(),
                time: instant(times[row])?,
                data: data.get(row).map(str::to_owned),
                extras: extras.get(row).map(str::to_owned),
            };
            Ok(StoredEvent { event: Event::from_store(parts), ingested_at: instant(ingested[row])? })
        })
        .collect()
    }

    fn bodies(&mut self, block: &Block, part: Part) -> Result<Bodies, StoreError> {
        if block.part(part).1.len == 0 {
            return Ok(Bodies::absent(block.rows));
        }
        self.part(block, part, |reader| Bodies::get_from(reader, block.rows))
    }

    fn part<T>(
        &mut self,
        block: &Block,
        part: Part,
        decode: impl FnOnce(&mut Reader<'_>) -> Result<T, Corrupt>,
    ) -> Result<T, StoreError> {
        self.segment.chunk(block.part(part), decode)
    }
}

fn is_member(step: &Step, name: &str) -> bool {
    matches!(step, Step::Member(member) if **member == *name)
}

/// Reads one block after the other.
struct Rows {
    segment: Arc<Segment>,
    table: usize,
    block: usize,
    rows: std::vec::IntoIter<StoredEvent>,
    failed: bool,
}

impl Iterator for Rows {
    type Item = Result<Row, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.failed {
                return None;
            }
            let table = self.segment.tables.get(self.table)?;
            if let Some(stored) = self.rows.next() {
                return Some(Ok(Row { namespace: table.namespace.clone(), stored }));
            }
            let Some(block) = table.blocks.get(self.block) else {
                (self.table, self.block) = (self.table + 1, 0);
                continue;
            };
            match self.segment.reader(table).events(block, 0..block.rows) {
                Ok(events) => (self.rows, self.block) = (events.into_iter(), self.block + 1),
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
    }
}
