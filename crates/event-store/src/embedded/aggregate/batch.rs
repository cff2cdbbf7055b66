//! Up to a block of events of one namespace and type, seen by columns, wherever they are. What a block needs is read when
//! it is asked for, into the memory of the block before.

use crate::StoreError;
use crate::embedded::segment::{Block, BlockReader, Bodies, CodedTexts, Column, ColumnBuilder, Segment, Table, Texts};
use tallystick_domain::event::StoredEvent;
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
}

struct Loaded<'p> {
    path: &'p JsonPath,
    column: Column,
    is_current: bool,
}

enum Place<'v> {
    Nowhere,
    Stored { reader: BlockReader<'v>, block: &'v Block },
    Memory { events: Vec<&'v StoredEvent>, span: (i64, i64) },
}

/// Sources and ids by row.
pub(super) enum Identities<'a> {
    Stored(CodedTexts, Texts),
    Memory(&'a [&'a StoredEvent]),
}

impl Identities<'_> {
    /// Source and id of a row, which must exist.
    pub fn get(&self, row: usize) -> (&str, &str) {
        match self {
            Identities::Stored(sources, ids) => (sources.get(row), ids.get(row)),
            Identities::Memory(events) => (events[row].event.source(), events[row].event.id()),
        }
    }
}

impl<'v, 'p> Batch<'v, 'p> {
    /// No events yet.
    pub fn new() -> Self {
        Self {
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
            self.columns.push(Loaded { path, column: Column::default(), is_current: false });
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

    /// Turns to events in memory.
    pub fn turn_to_memory(&mut self, events: Vec<&'v StoredEvent>) {
        let times = events.iter().map(|stored| stored.event.time().as_micros());
        let span = times.fold((i64::MAX, i64::MIN), |(first, last), time| (first.min(time), last.max(time)));
        self.place = Place::Memory { events, span };
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
            Place::Memory { events, .. } => events.len(),
        }
    }

    /// The earliest and the latest time in microseconds.
    pub fn span(&self) -> (i64, i64) {
        match &self.place {
            Place::Nowhere => (i64::MAX, i64::MIN),
            Place::Stored { block, .. } => (block.times.first.as_micros(), block.times.last.as_micros()),
            Place::Memory { span, .. } => *span,
        }
    }

    /// The subject, if it is known without a look to be that of all events.
    pub fn only_subject(&self) -> Option<&'v str> {
        match &self.place {
            Place::Stored { block, .. } => (block.first_subject == block.last_subject).then_some(&*block.first_subject),
            _ => None,
        }
    }

    /// Times in microseconds.
    pub fn times(&mut self) -> Result<&[i64], StoreError> {
        if !std::mem::replace(&mut self.has_times, true) {
            match &mut self.place {
                Place::Nowhere => self.times.clear(),
                Place::Stored { reader, block } => reader.times_into(block, &mut self.times)?,
                Place::Memory { events, .. } => {
                    self.times.clear();
                    self.times.extend(events.iter().map(|stored| stored.event.time().as_micros()));
                }
            }
        }
        Ok(&self.times)
    }

    /// Subjects.
    pub fn subjects(&mut self) -> Result<&CodedTexts, StoreError> {
        if !std::mem::replace(&mut self.has_subjects, true) {
            match &mut self.place {
                Place::Nowhere => self.subjects = CodedTexts::default(),
                Place::Stored { reader, block } => reader.subjects_into(block, &mut self.subjects)?,
                Place::Memory { events, .. } => {
                    self.subjects = CodedTexts::of(events.iter().map(|stored| stored.event.subject()));
                }
            }
        }
        Ok(&self.subjects)
    }

    /// Sources and ids.
    pub fn identities(&mut self) -> Result<Identities<'_>, StoreError> {
        match &mut self.place {
            Place::Nowhere => Ok(Identities::Memory(&[])),
            Place::Stored { reader, block, .. } => Ok(Identities::Stored(reader.sources(block)?, reader.ids(block)?)),
            Place::Memory { events, .. } => Ok(Identities::Memory(events)),
        }
    }

    /// The values at the path of a slot.
    pub fn column(&mut self, slot: usize) -> Result<&Column, StoreError> {
        let Self { place, columns, data, .. } = self;
        let Loaded { path, column, is_current } = &mut columns[slot];
        if !std::mem::replace(is_current, true) {
            match place {
                Place::Nowhere => *column = Column::default(),
                Place::Stored { reader, block } => {
                    if !reader.column_into(block, path, column)? {
                        let data = match data {
                            Some(data) => data,
                            None => data.insert(reader.data(block)?),
                        };
                        *column = column_of(block.rows, |row| data.get(row), path);
                    }
                }
                Place::Memory { events, .. } => {
                    *column = column_of(events.len(), |row| events[row].event.data(), path);
                }
            }
        }
        Ok(&self.columns[slot].column)
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
