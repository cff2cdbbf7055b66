//! A chunk of rows in memory, with the columns that queries have asked for.
//!
//! Invariant: what is derived from the rows is forgotten when the rows change, which they do only while nobody else
//! holds the chunk. Derived columns take no more than their pool has.

use super::budget::{Held, MemoryPool};
use super::lock;
use super::rows::Rows;
use super::segment::{CodedTexts, Column, ColumnBuilder, Texts};
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
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
    index: SubjectIndex,
    columns: Mutex<Vec<Kept>>,
    /// The table that it has some rows of, and which.
    whole: Option<(Arc<ChunkTable>, Vec<u32>)>,
    _held: Held,
}

/// The rows of each subject.
#[derive(Debug, Default)]
struct SubjectIndex {
    /// Codes of subjects by their texts.
    codes: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Rows, by subject and then ascending.
    rows: Vec<u32>,
    /// By code, where the rows of a subject begin; and where all of them end.
    starts: Vec<u32>,
}

#[derive(Debug)]
struct Kept {
    path: JsonPath,
    column: Arc<Column>,
    /// The codes of its texts in a lineage of books.
    codes: Option<(u64, Arc<[u32]>)>,
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
        let subjects = CodedTexts::of(events.map(|event| event.subject()));
        Self {
            namespace: namespace.clone(),
            event_type: event_type.into(),
            index: SubjectIndex::of(&subjects),
            subjects,
            places,
            times,
            span,
            columns: Mutex::default(),
            whole: None,
            _held: pool.start(),
        }
    }

    /// The rows of some subjects, which differ. What is derived from them is not kept.
    pub fn of_subjects(self: &Arc<Self>, subjects: &[&str], pool: &Arc<MemoryPool>) -> Self {
        let found = subjects.iter().flat_map(|subject| self.index.rows_of(&self.subjects, subject));
        let mut rows: Vec<u32> = found.copied().collect();
        rows.sort_unstable();
        let times: Vec<i64> = rows.iter().map(|row| self.times[*row as usize]).collect();
        let codes = rows.iter().map(|row| self.subjects.codes[*row as usize]).collect();
        Self {
            namespace: self.namespace.clone(),
            event_type: self.event_type.clone(),
            places: rows.iter().map(|row| self.places[*row as usize]).collect(),
            span: times.iter().fold((i64::MAX, i64::MIN), |(first, last), time| (first.min(*time), last.max(*time))),
            times,
            subjects: CodedTexts { texts: Arc::clone(&self.subjects.texts), codes, shared: None },
            index: SubjectIndex::default(),
            columns: Mutex::default(),
            whole: Some((Arc::clone(self), rows)),
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

    /// Moments of acceptance in microseconds, by row; `chunk` is the one that the table is of.
    pub fn ingested<'c>(&'c self, chunk: &'c Chunk) -> impl Iterator<Item = i64> + 'c {
        self.places.iter().map(|place| chunk.rows.get(*place as usize).stored.ingested_at.as_micros())
    }

    /// The values at a path if they are kept.
    pub fn known_column(&self, path: &JsonPath) -> Option<Arc<Column>> {
        let known = lock(&self.columns).iter().find(|kept| kept.path == *path).map(|kept| Arc::clone(&kept.column));
        known.or_else(|| {
            let (whole, rows) = self.whole.as_ref()?;
            Some(Arc::new(whole.known_column(path)?.only(rows)))
        })
    }

    /// The values at a path. They are kept if `pool` has room for them.
    pub fn column(&self, chunk: &Chunk, path: &JsonPath, pool: &Arc<MemoryPool>) -> Arc<Column> {
        if let Some(column) = self.known_column(path) {
            return column;
        }
        let column = Arc::new(self.column_at(chunk, path, 0..self.rows()));
        let mut held = pool.start();
        if held.grow_to(column_weight(&column)).is_ok() {
            let kept = Kept { path: path.clone(), column: Arc::clone(&column), codes: None, _held: held };
            lock(&self.columns).push(kept);
        }
        column
    }

    /// The codes of the texts of a kept column in a lineage of books, if they were kept.
    pub fn known_codes(&self, texts: &Arc<Texts>, lineage: u64) -> Option<Arc<[u32]>> {
        let columns = lock(&self.columns);
        let (of, codes) = columns.iter().find(|kept| Arc::ptr_eq(&kept.column.texts, texts))?.codes.as_ref()?;
        (*of == lineage).then(|| Arc::clone(codes))
    }

    /// Keeps the codes of all texts of a column, if that is kept.
    pub fn keep_codes(&self, texts: &Arc<Texts>, lineage: u64, codes: &[u32]) {
        let mut columns = lock(&self.columns);
        if let Some(kept) = columns.iter_mut().find(|kept| Arc::ptr_eq(&kept.column.texts, texts)) {
            kept.codes = Some((lineage, codes.into()));
        }
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
        20 * self.places.len() + self.subjects.texts.total_len() + 20 * self.subjects.texts.len()
    }
}

impl SubjectIndex {
    fn of(subjects: &CodedTexts) -> Self {
        let hasher = DefaultHashBuilder::default();
        let hash = |code: &u32| hasher.hash_one(subjects.texts.get(*code as usize));
        let mut codes = HashTable::with_capacity(subjects.texts.len());
        (0..subjects.texts.len() as u32).for_each(|code| {
            codes.insert_unique(hash(&code), code, hash);
        });
        let mut starts = vec![0; subjects.texts.len() + 1];
        subjects.codes.iter().for_each(|code| starts[*code as usize + 1] += 1);
        (1..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
        let (mut next, mut rows) = (starts.clone(), vec![0; subjects.codes.len()]);
        for (row, code) in subjects.codes.iter().enumerate() {
            let place = &mut next[*code as usize];
            rows[*place as usize] = row as u32;
            *place += 1;
        }
        Self { codes, hasher, rows, starts }
    }

    fn rows_of(&self, subjects: &CodedTexts, subject: &str) -> &[u32] {
        let is_subject = |code: &u32| subjects.texts.get(*code as usize) == subject;
        match self.codes.find(self.hasher.hash_one(subject), is_subject) {
            Some(code) => &self.rows[self.starts[*code as usize] as usize..self.starts[*code as usize + 1] as usize],
            None => &[],
        }
    }
}

fn column_weight(column: &Column) -> usize {
    // Each text has a code, too.
    9 * column.rows() + column.texts.total_len() + 12 * column.texts.len()
}
