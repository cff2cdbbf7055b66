//! A chunk of rows in memory, with the columns that queries have asked for.
//!
//! Invariant: what is derived from the rows is forgotten when the rows change, which they do only while nobody else
//! holds the chunk. Derived columns take no more than their pool has.

use super::budget::{Held, MemoryPool};
use super::lock;
use super::rows::Rows;
use super::segment::{CodedTexts, Column, ColumnBuilder};
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use tallystick_domain::Namespace;
use tallystick_domain::event::EventRef;
use tallystick_domain::json::lookup;
use tallystick_domain::meter::JsonPath;

/// Rows, and what was derived from them.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    rows: Rows,
    tables: Mutex<Vec<Arc<ChunkTable>>>,
}

/// The rows of one namespace and type in a chunk, by columns.
#[derive(Debug)]
pub(crate) struct ChunkTable {
    namespace: Namespace,
    event_type: Box<str>,
    /// Their places in the chunk.
    places: Vec<u32>,
    /// Times in microseconds.
    pub times: Vec<i64>,
    /// The earliest and the latest time.
    pub span: (i64, i64),
    /// Subjects.
    pub subjects: CodedTexts,
    columns: Mutex<Vec<Kept>>,
    _held: Held,
}

#[derive(Debug)]
struct Kept {
    path: JsonPath,
    column: Arc<Column>,
    _held: Held,
}

impl From<Rows> for Chunk {
    fn from(rows: Rows) -> Self {
        Self { rows, tables: Mutex::default() }
    }
}

impl Deref for Chunk {
    type Target = Rows;

    fn deref(&self) -> &Rows {
        &self.rows
    }
}

impl Chunk {
    /// The rows, to be changed.
    pub fn rows_mut(&mut self) -> &mut Rows {
        self.tables = Mutex::default();
        &mut self.rows
    }

    /// The rows of a namespace and type. They are kept if `pool` has room for them.
    pub fn table(&self, namespace: &Namespace, event_type: &str, pool: &Arc<MemoryPool>) -> Arc<ChunkTable> {
        let mut tables = lock(&self.tables);
        let known = tables.iter().find(|table| table.namespace == *namespace && *table.event_type == *event_type);
        if let Some(table) = known {
            return Arc::clone(table);
        }
        let mut table = ChunkTable::of(&self.rows, namespace, event_type, pool);
        match table._held.grow_to(table.weight()) {
            Ok(()) => {
                let table = Arc::new(table);
                tables.push(Arc::clone(&table));
                table
            }
            Err(_) => {
                table._held = pool.start();
                Arc::new(table)
            }
        }
    }
}

impl ChunkTable {
    fn of(rows: &Rows, namespace: &Namespace, event_type: &str, pool: &Arc<MemoryPool>) -> Self {
        let (mut places, mut times) = (Vec::new(), Vec::new());
        for (place, row) in rows.iter().enumerate() {
            if row.stored.event.event_type() == event_type && row.namespace == namespace {
                places.push(place as u32);
                times.push(row.stored.event.time().as_micros());
            }
        }
        let span = times.iter().fold((i64::MAX, i64::MIN), |(first, last), time| (first.min(*time), last.max(*time)));
        let events = places.iter().map(|place| rows.get(*place as usize).stored.event);
        Self {
            namespace: namespace.clone(),
            event_type: event_type.into(),
            subjects: CodedTexts::of(events.map(|event| event.subject())),
            places,
            times,
            span,
            columns: Mutex::default(),
            _held: pool.start(),
        }
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.places.len()
    }

    /// The event of a row; `chunk` is the one that the table is of.
    pub fn event<'c>(&self, chunk: &'c Chunk, row: usize) -> EventRef<'c> {
        chunk.rows.get(self.places[row] as usize).stored.event
    }

    /// The values at a path if they are kept.
    pub fn known_column(&self, path: &JsonPath) -> Option<Arc<Column>> {
        lock(&self.columns).iter().find(|kept| kept.path == *path).map(|kept| Arc::clone(&kept.column))
    }

    /// The values at a path. They are kept if `pool` has room for them.
    pub fn column(&self, chunk: &Chunk, path: &JsonPath, pool: &Arc<MemoryPool>) -> Arc<Column> {
        if let Some(column) = self.known_column(path) {
            return column;
        }
        let column = Arc::new(self.column_at(chunk, path, 0..self.rows()));
        let mut held = pool.start();
        if held.grow_to(column_weight(&column)).is_ok() {
            lock(&self.columns).push(Kept { path: path.clone(), column: Arc::clone(&column), _held: held });
        }
        column
    }

    /// The values at a path in some rows; the path leads nowhere in the others.
    pub fn column_at(&self, chunk: &Chunk, path: &JsonPath, rows: impl Iterator<Item = usize>) -> Column {
        let has_data = (0..self.rows()).map(|row| self.event(chunk, row).data().is_some());
        let mut builder = ColumnBuilder::new(has_data);
        for row in rows {
            if let Some(text) = self.event(chunk, row).data() {
                builder.set(row, lookup(text, path));
            }
        }
        builder.finish()
    }

    fn weight(&self) -> usize {
        16 * self.places.len() + self.subjects.texts.total_len() + 8 * self.subjects.texts.len()
    }
}

fn column_weight(column: &Column) -> usize {
    9 * column.rows() + column.texts.total_len() + 8 * column.texts.len()
}
