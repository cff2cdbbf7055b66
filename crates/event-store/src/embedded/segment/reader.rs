//! Reads columns and rows of an open segment.

use super::Segment;
use super::bytes::{Corrupt, Reader};
use super::chunk::{checked, unpack};
use super::chunks::Chunks;
use super::column::Column;
use super::dictionary::{get_sorted, held, hold};
use super::directory::{Block, NumberStats, PARTS, Part, Table};
use super::ids::Ids;
use super::ints::{get_ints, get_ints_into};
use super::rebuild::{Rebuild, Written};
use super::shape::Renderer;
use super::texts::{Bodies, CodedTexts, DictionaryId, Texts};
use crate::StoreError;
use crate::embedded::row::Row;
use std::sync::Arc;
use tallystick_domain::event::{Event, EventParts, StoredEvent};
use tallystick_domain::meter::{JsonPath, Step};
use tallystick_domain::{Instant, Namespace};

impl Segment {
    /// The rows of one of its tables in segment order.
    pub fn table_rows<'s>(&'s self, table: &'s Table) -> impl Iterator<Item = Result<Row, StoreError>> + use<'s> {
        let mut reader = self.reader(table);
        table.blocks.iter().flat_map(move |block| {
            let row = |stored| Ok(Row { namespace: table.namespace.clone(), stored });
            match reader.events(block, 0..block.rows) {
                Ok(events) => events.into_iter().map(row).collect(),
                Err(error) => vec![Err(error)],
            }
        })
    }

    /// Reads blocks of one of its tables.
    pub fn reader<'s>(&'s self, table: &'s Table) -> BlockReader<'s> {
        BlockReader {
            chunks: Chunks::new(self, table),
            dictionaries: Vec::new(),
            positions: Vec::new(),
            renderers: None,
        }
    }
}

/// Reads what a table's blocks hold, column by column. Each `…_into` writes into memory of the caller, so that a scan of
/// many blocks allocates little; blocks that are read one after the other are read ahead.
pub(crate) struct BlockReader<'s> {
    chunks: Chunks<'s>,
    /// Shared texts of subjects, of sources, and by path, once they were needed.
    dictionaries: Vec<Option<Dictionary>>,
    /// Positions of the paths that were asked for, if the table has them.
    positions: Vec<(JsonPath, Option<usize>)>,
    /// Once a data text was needed: most queries need none.
    renderers: Option<Vec<Renderer>>,
}

type Dictionary = (DictionaryId, Arc<Texts>);

impl BlockReader<'_> {
    /// Event times in microseconds.
    pub fn times(&mut self, block: &Block) -> Result<Vec<i64>, StoreError> {
        let mut times = Vec::with_capacity(block.rows);
        self.times_into(block, &mut times)?;
        Ok(times)
    }

    /// Event times in microseconds, in the place of what was there.
    pub fn times_into(&mut self, block: &Block, times: &mut Vec<i64>) -> Result<(), StoreError> {
        self.part(block, Part::Time, |reader, _| get_ints_into(reader, block.rows, 0, times))
    }

    /// Moments of acceptance in microseconds; `times` are those of the same block.
    pub fn ingested(&mut self, block: &Block, times: &[i64]) -> Result<Vec<i64>, StoreError> {
        self.part(block, Part::IngestedAt, |reader, _| {
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
        self.coded_into(block, Part::Subject, 0, subjects)
    }

    /// Sources.
    pub fn sources(&mut self, block: &Block) -> Result<CodedTexts, StoreError> {
        let mut sources = CodedTexts::default();
        self.coded_into(block, Part::Source, 1, &mut sources)?;
        Ok(sources)
    }

    fn coded_into(
        &mut self,
        block: &Block,
        part: Part,
        place: usize,
        coded: &mut CodedTexts,
    ) -> Result<(), StoreError> {
        self.load_dictionary(place)?;
        self.part(block, part, |reader, dictionaries| match &dictionaries[place] {
            Some(shared) => coded.read_shared(reader, block.rows, shared),
            None => coded.read(reader, block.rows),
        })
    }

    /// Ids.
    pub fn ids(&mut self, block: &Block) -> Result<Texts, StoreError> {
        Ok(self.raw_ids(block)?.to_texts())
    }

    /// Ids as they are stored.
    pub(super) fn raw_ids(&mut self, block: &Block) -> Result<Ids, StoreError> {
        let format = self.chunks.segment.format;
        self.part(block, Part::Id, |reader, _| Ids::get_from(reader, block.rows, format))
    }

    /// Data texts.
    pub fn data(&mut self, block: &Block) -> Result<Bodies, StoreError> {
        self.data_of(block, 0..block.rows)
    }

    fn data_of(&mut self, block: &Block, rows: impl Iterator<Item = usize>) -> Result<Bodies, StoreError> {
        let rest = self.rest(block)?;
        let mut bodies = Bodies::default();
        if self.chunks.segment.format == 1 {
            rows.for_each(|row| bodies.push(rest.get(row)));
            return Ok(bodies);
        }
        let written = self.written(block)?;
        let columns = if written.needs_columns() { self.all_columns(block)? } else { Vec::new() };
        let Table { shapes, paths, .. } = self.chunks.table;
        let made = || shapes.iter().map(|shape| Renderer::new(shape, paths)).collect();
        let renderers = self.renderers.get_or_insert_with(made);
        let rebuild = Rebuild { written: &written, rest: &rest, columns: &columns, renderers };
        let mut text = String::new();
        for row in rows {
            text.clear();
            let made = rebuild.write(row, &mut text);
            let made = made.map_err(|error| self.chunks.damaged(block, error.0))?;
            bodies.push(made.then_some(text.as_str()));
        }
        Ok(bodies)
    }

    /// The texts that are kept as they are.
    pub(super) fn rest(&mut self, block: &Block) -> Result<Bodies, StoreError> {
        self.bodies(block, Part::Data)
    }

    /// How the data of a block was written.
    pub(super) fn written(&mut self, block: &Block) -> Result<Written, StoreError> {
        let path_count = self.chunks.table.paths.len();
        self.part(block, Part::Shape, |reader, _| Written::get_from(reader, block.rows, path_count))
    }

    /// The columns of all paths, by path.
    pub(super) fn all_columns(&mut self, block: &Block) -> Result<Vec<Option<Column>>, StoreError> {
        let path_count = self.chunks.table.paths.len();
        let read = |path: usize| {
            let mut column = Column::default();
            Ok(self.path_into(block, path, &mut column)?.then_some(column))
        };
        (0..path_count).map(read).collect()
    }

    /// Texts of further attributes.
    pub fn extras(&mut self, block: &Block) -> Result<Bodies, StoreError> {
        self.bodies(block, Part::Extras)
    }

    /// The values at a path, or `None` where only the data has them.
    #[cfg(test)]
    pub fn column(&mut self, block: &Block, path: &JsonPath) -> Result<Option<Column>, StoreError> {
        let mut column = Column::default();
        Ok(self.column_into(block, path, &mut column)?.then_some(column))
    }

    /// The values at a path, in the place of what was there. False where only the data has them.
    pub fn column_into(&mut self, block: &Block, path: &JsonPath, column: &mut Column) -> Result<bool, StoreError> {
        if path.steps().is_empty() || !path.steps().iter().all(|step| matches!(step, Step::Member(_))) {
            return Ok(false);
        }
        if let Some(path) = self.position(path)
            && self.path_into(block, path, column)?
        {
            return Ok(true);
        }
        let leads_nowhere = block.all_paths_known && !block.some_without_data;
        if leads_nowhere {
            column.set_missing(block.rows);
        }
        Ok(leads_nowhere)
    }

    /// What the numbers at a path are together, if every row of the block has one there.
    pub fn numbers(&mut self, block: &Block, path: &JsonPath) -> Option<NumberStats> {
        let path = self.position(path)? as u32;
        block.numbers.iter().find(|(known, _)| *known == path).map(|(_, stats)| *stats)
    }

    /// The position of a path, which is looked for once.
    fn position(&mut self, path: &JsonPath) -> Option<usize> {
        if let Some((_, position)) = self.positions.iter().find(|(known, _)| known == path) {
            return *position;
        }
        let is_wanted = |names: &Vec<Box<str>>| {
            let steps = path.steps().iter();
            names.len() == path.steps().len() && steps.zip(names).all(|(step, name)| is_member(step, name))
        };
        let position = self.chunks.table.paths.iter().position(is_wanted);
        self.positions.push((path.clone(), position));
        position
    }

    /// The column of a path by its position. False if the block has none.
    pub(super) fn path_into(&mut self, block: &Block, path: usize, column: &mut Column) -> Result<bool, StoreError> {
        if !self.chunks.has(block, PARTS + path) {
            return Ok(false);
        }
        self.load_dictionary(2 + path)?;
        let format = self.chunks.segment.format;
        self.chunk(block, PARTS + path, |reader, dictionaries| {
            column.read(reader, block.rows, format, dictionaries[2 + path].as_ref())
        })?;
        Ok(true)
    }

    /// The events of a block at the given rows.
    pub fn events(
        &mut self,
        block: &Block,
        rows: impl Iterator<Item = usize> + Clone,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let times = self.times(block)?;
        let ingested = self.ingested(block, &times)?;
        let (subjects, sources, ids) = (self.subjects(block)?, self.sources(block)?, self.raw_ids(block)?);
        let (data, extras) = (self.data_of(block, rows.clone())?, self.extras(block)?);
        let instant = |micros: i64| {
            Instant::from_micros(micros).ok_or_else(|| self.damaged(block, "a time is outside of the stored years"))
        };
        rows.enumerate()
            .map(|(place, row)| {
                let mut id = String::new();
                ids.write(row, &mut id);
                let parts = EventParts {
                    id,
                    source: sources.get(row).into(),
                    event_type: self.chunks.table.event_type.to_string(),
                    subject: subjects.get(row).into(),
                    time: instant(times[row])?,
                    data: data.get(place).map(str::to_owned),
                    extras: extras.get(row).map(str::to_owned),
                };
                Ok(StoredEvent { event: Event::from_store(parts), ingested_at: instant(ingested[row])? })
            })
            .collect()
    }

    /// Namespace and type of the table.
    pub(super) fn name(&self) -> (Namespace, Box<str>) {
        (self.chunks.table.namespace.clone(), self.chunks.table.event_type.clone())
    }

    fn bodies(&mut self, block: &Block, part: Part) -> Result<Bodies, StoreError> {
        if !self.chunks.has(block, part as usize) {
            return Ok(Bodies::absent(block.rows));
        }
        self.part(block, part, |reader, _| Bodies::get_from(reader, block.rows))
    }

    /// Texts that all blocks share for subjects (0), sources (1) or the path at a position (plus 2).
    pub(super) fn dictionary(&mut self, place: usize) -> Result<Option<&Dictionary>, StoreError> {
        self.load_dictionary(place)?;
        Ok(self.dictionaries[place].as_ref())
    }

    fn load_dictionary(&mut self, place: usize) -> Result<(), StoreError> {
        let Chunks { segment, table, .. } = self.chunks;
        if self.dictionaries.is_empty() {
            self.dictionaries.resize(table.dictionaries.len(), None);
        }
        let found = table.dictionaries[place];
        if found.len == 0 || self.dictionaries[place].is_some() {
            return Ok(());
        }
        let name = DictionaryId { segment: segment.number, table: table.number, column: place as u32 };
        let texts = match held(name) {
            Some(texts) => texts,
            None => {
                let texts = Arc::new(self.read_dictionary(place)?);
                hold(name, &texts);
                texts
            }
        };
        self.dictionaries[place] = Some((name, texts));
        Ok(())
    }

    fn read_dictionary(&self, place: usize) -> Result<Texts, StoreError> {
        let Chunks { segment, table, .. } = self.chunks;
        let found = table.dictionaries[place];
        let mut bytes = vec![0; found.len as usize];
        segment.read_at(&mut bytes, found.offset)?;
        let mut unpacked = Vec::new();
        let payload = checked(found.offset, &bytes).and_then(|chunk| unpack(chunk, &mut unpacked));
        let texts = payload.and_then(|payload| read_all(payload, get_sorted));
        texts.map_err(|error| segment.damaged(found.offset, error.0))
    }

    /// Reads a dictionary again, even if it is in memory.
    pub(super) fn verify_dictionary(&self, place: usize) -> Result<(), StoreError> {
        if self.chunks.table.dictionaries[place].len > 0 {
            self.read_dictionary(place)?;
        }
        Ok(())
    }

    fn part<T>(
        &mut self,
        block: &Block,
        part: Part,
        decode: impl FnOnce(&mut Reader<'_>, &[Option<Dictionary>]) -> Result<T, Corrupt>,
    ) -> Result<T, StoreError> {
        self.chunk(block, part as usize, decode)
    }

    fn chunk<T>(
        &mut self,
        block: &Block,
        column: usize,
        decode: impl FnOnce(&mut Reader<'_>, &[Option<Dictionary>]) -> Result<T, Corrupt>,
    ) -> Result<T, StoreError> {
        let segment = self.chunks.segment;
        let (offset, payload) = self.chunks.payload(block, column)?;
        let decoded = read_all(payload, |reader| decode(reader, &self.dictionaries));
        decoded.map_err(|error| segment.damaged(offset, error.0))
    }

    pub(super) fn damaged(&self, block: &Block, what: &str) -> StoreError {
        self.chunks.damaged(block, what)
    }
}

/// Decodes a payload, all of it.
fn read_all<T>(payload: &[u8], decode: impl FnOnce(&mut Reader<'_>) -> Result<T, Corrupt>) -> Result<T, Corrupt> {
    let mut reader = Reader::new(payload);
    let value = decode(&mut reader)?;
    reader.finish()?;
    Ok(value)
}

fn is_member(step: &Step, name: &str) -> bool {
    matches!(step, Step::Member(member) if **member == *name)
}
