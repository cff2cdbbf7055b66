//! The footer of a segment: which tables it has, and where their blocks and chunks are.

use super::bytes::{Corrupt, Reader, put_signed, put_text, put_varint};
use tallystick_domain::{Instant, Namespace};

/// The first bytes of a segment.
pub(super) const MAGIC: &[u8; 8] = b"TALLYSEG";
/// The last bytes of a segment.
pub(super) const END_MAGIC: &[u8; 8] = b"GESYLLAT";
/// The format that is written, and the only one that is read.
pub(super) const VERSION: u32 = 1;
/// Magic and version.
pub(super) const HEADER_LEN: u64 = 12;
/// Length and checksum of the footer, and the end magic.
pub(super) const TRAILER_LEN: u64 = 20;

/// The parts that every row has, in the order of their chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Time,
    IngestedAt,
    Subject,
    Source,
    Id,
    Data,
    Extras,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 7] =
        [Part::Time, Part::IngestedAt, Part::Subject, Part::Source, Part::Id, Part::Data, Part::Extras];
}

/// Length and checksum of a chunk. Chunks follow each other without gaps, so lengths tell where they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ChunkRef {
    pub len: u32,
    pub crc: u32,
}

/// The earliest and the latest of some instants, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// The earliest.
    pub first: Instant,
    /// The latest.
    pub last: Instant,
}

impl Span {
    /// The span of no instant at all.
    pub const EMPTY: Span = Span { first: Instant::MAX, last: Instant::MIN };

    /// Widens the span to hold an instant.
    pub fn include(&mut self, instant: Instant) {
        self.first = self.first.min(instant);
        self.last = self.last.max(instant);
    }

    /// Widens the span to hold another.
    pub fn include_span(&mut self, other: Span) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }

    fn put(self, out: &mut Vec<u8>) {
        put_signed(out, self.first.as_micros());
        put_varint(out, self.last.as_micros().wrapping_sub(self.first.as_micros()) as u64);
    }

    fn get(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let first = reader.signed()?;
        let last = first.wrapping_add(reader.varint()? as i64);
        match (Instant::from_micros(first), Instant::from_micros(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last }),
            _ => Err(Corrupt("a time is outside of the stored years")),
        }
    }
}

/// Up to [`super::writer::BLOCK_ROWS`] consecutive rows of a table.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Number of rows, at least one.
    pub rows: usize,
    /// Event times.
    pub times: Span,
    /// Moments of acceptance.
    pub ingested: Span,
    /// Subject of the first row.
    pub first_subject: Box<str>,
    /// Subject of the last row.
    pub last_subject: Box<str>,
    /// Whether some rows have no data.
    pub some_without_data: bool,
    /// Whether a path without a column leads nowhere in all rows.
    pub all_paths_known: bool,
    /// Where the first chunk starts.
    pub(super) offset: u64,
    pub(super) parts: [ChunkRef; Part::ALL.len()],
    /// Property columns, by position of their path in [`Table::paths`], ascending.
    pub(super) columns: Vec<(u32, ChunkRef)>,
}

/// All rows of one namespace and type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Whose events they are.
    pub namespace: Namespace,
    /// Their type.
    pub event_type: Box<str>,
    /// Member names from the root of the data, for each path that has columns.
    pub paths: Vec<Vec<Box<str>>>,
    /// Its blocks in row order.
    pub blocks: Vec<Block>,
}

impl Block {
    /// Where a part's chunk is.
    pub(super) fn part(&self, part: Part) -> (u64, ChunkRef) {
        let before: u64 = self.parts[..part as usize].iter().map(|chunk| u64::from(chunk.len)).sum();
        (self.offset + before, self.parts[part as usize])
    }

    /// Where the column chunk of a path is.
    pub(super) fn column(&self, path: u32) -> Option<(u64, ChunkRef)> {
        let at = self.columns.binary_search_by_key(&path, |(known, _)| *known).ok()?;
        let columns = self.columns[..at].iter().map(|(_, chunk)| chunk);
        let before: u64 = self.parts.iter().chain(columns).map(|chunk| u64::from(chunk.len)).sum();
        Some((self.offset + before, self.columns[at].1))
    }

    /// Length of all its chunks.
    pub fn len(&self) -> u64 {
        self.parts.iter().chain(self.columns.iter().map(|(_, chunk)| chunk)).map(|chunk| u64::from(chunk.len)).sum()
    }
}

/// Writes the directory of all tables, which are sorted by namespace and type.
pub(super) fn encode(tables: &[Table]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, tables.len() as u64);
    for table in tables {
        put_text(&mut out, table.namespace.as_str());
        put_text(&mut out, &table.event_type);
        put_varint(&mut out, table.paths.len() as u64);
        for path in &table.paths {
            put_varint(&mut out, path.len() as u64);
            path.iter().for_each(|name| put_text(&mut out, name));
        }
        put_varint(&mut out, table.blocks.len() as u64);
        table.blocks.iter().for_each(|block| put_block(&mut out, block));
    }
    out
}

fn put_block(out: &mut Vec<u8>, block: &Block) {
    put_varint(out, block.rows as u64);
    block.times.put(out);
    block.ingested.put(out);
    put_text(out, &block.first_subject);
    put_text(out, &block.last_subject);
    out.push(u8::from(block.some_without_data) | u8::from(block.all_paths_known) << 1);
    block.parts.iter().for_each(|chunk| put_chunk(out, *chunk));
    put_varint(out, block.columns.len() as u64);
    for (path, chunk) in &block.columns {
        put_varint(out, u64::from(*path));
        put_chunk(out, *chunk);
    }
}

fn put_chunk(out: &mut Vec<u8>, chunk: ChunkRef) {
    put_varint(out, u64::from(chunk.len));
    out.extend_from_slice(&chunk.crc.to_le_bytes());
}

/// Reads the directory; the blocks must fill the file from the header to `end`.
pub(super) fn decode(bytes: &[u8], end: u64) -> Result<Vec<Table>, Corrupt> {
    let mut reader = Reader::new(bytes);
    let mut offset = HEADER_LEN;
    let count = reader.count()?;
    let mut tables: Vec<Table> = Vec::with_capacity(count);
    for _ in 0..count {
        let table = get_table(&mut reader, &mut offset)?;
        let key = |table: &Table| (table.namespace.clone(), table.event_type.clone());
        if tables.last().is_some_and(|before| key(before) >= key(&table)) {
            return Err(Corrupt("tables are out of order"));
        }
        tables.push(table);
    }
    reader.finish()?;
    if offset == end { Ok(tables) } else { Err(Corrupt("chunks do not fill the file")) }
}

fn get_table(reader: &mut Reader<'_>, offset: &mut u64) -> Result<Table, Corrupt> {
    let namespace = Namespace::parse(reader.text()?).map_err(|_| Corrupt("a namespace is not valid"))?;
    let event_type = reader.text()?.into();
    let path_count = reader.count()?;
    let mut paths = Vec::with_capacity(path_count);
    for _ in 0..path_count {
        let names: Result<Vec<Box<str>>, Corrupt> = (0..reader.count()?).map(|_| Ok(reader.text()?.into())).collect();
        paths.push(names?);
    }
    let block_count = reader.count()?;
    let mut blocks = Vec::with_capacity(block_count);
    for _ in 0..block_count {
        blocks.push(get_block(reader, offset, paths.len())?);
    }
    Ok(Table { namespace, event_type, paths, blocks })
}

fn get_block(reader: &mut Reader<'_>, offset: &mut u64, path_count: usize) -> Result<Block, Corrupt> {
    let rows = reader.varint()? as usize;
    if rows == 0 || rows > super::writer::BLOCK_ROWS {
        return Err(Corrupt("a block has a wrong number of rows"));
    }
    let (times, ingested) = (Span::get(reader)?, Span::get(reader)?);
    let (first_subject, last_subject): (Box<str>, Box<str>) = (reader.text()?.into(), reader.text()?.into());
    if first_subject > last_subject {
        return Err(Corrupt("subjects are out of order"));
    }
    let flags = reader.byte()?;
    let mut parts = [ChunkRef::default(); Part::ALL.len()];
    for chunk in &mut parts {
        *chunk = get_chunk(reader)?;
    }
    let mut columns: Vec<(u32, ChunkRef)> = Vec::new();
    for _ in 0..reader.count()? {
        let path = u32::try_from(reader.varint()?).ok().filter(|path| (*path as usize) < path_count);
        let path = path.ok_or(Corrupt("a column has an unknown path"))?;
        if columns.last().is_some_and(|(before, _)| *before >= path) {
            return Err(Corrupt("columns are out of order"));
        }
        columns.push((path, get_chunk(reader)?));
    }
    let block = Block {
        rows,
        times,
        ingested,
        first_subject,
        last_subject,
        some_without_data: flags & 1 != 0,
        all_paths_known: flags & 2 != 0,
        offset: *offset,
        parts,
        columns,
    };
    *offset = offset.checked_add(block.len()).ok_or(Corrupt("chunks do not fill the file"))?;
    Ok(block)
}

fn get_chunk(reader: &mut Reader<'_>) -> Result<ChunkRef, Corrupt> {
    let len = u32::try_from(reader.varint()?).map_err(|_| Corrupt("a chunk is too long"))?;
    Ok(ChunkRef { len, crc: reader.u32_le()? })
}
