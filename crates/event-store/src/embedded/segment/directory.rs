//! The footer of a segment: which tables it has, and where their blocks and chunks are.

use super::bytes::{Corrupt, Reader, put_signed, put_text, put_varint};
use super::shape::{MAX_SHAPES, Shape, Style};
use std::sync::Arc;
use tallystick_domain::{Instant, Namespace};

/// The first bytes of a segment.
pub(super) const MAGIC: &[u8; 8] = b"TALLYSEG";
/// The last bytes of a segment.
pub(super) const END_MAGIC: &[u8; 8] = b"GESYLLAT";
/// The format that is written. Format 1 is read, too.
pub(super) const VERSION: u32 = 2;
/// Magic and version.
pub(super) const HEADER_LEN: u64 = 12;
/// Length and checksum of the footer, and the end magic.
pub(super) const TRAILER_LEN: u64 = 20;
/// The most blocks of a group.
pub(super) const GROUP_BLOCKS: usize = 32;

/// The parts that every row has, in the order of their chunks; the columns of paths follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Time,
    IngestedAt,
    Subject,
    Source,
    Id,
    Data,
    Extras,
    Shape,
}

/// How many parts there are.
pub(super) const PARTS: usize = Part::ALL.len();

impl Part {
    /// All of them.
    pub const ALL: [Part; 8] =
        [Part::Time, Part::IngestedAt, Part::Subject, Part::Source, Part::Id, Part::Data, Part::Extras, Part::Shape];
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

    pub(super) fn put(self, out: &mut Vec<u8>) {
        put_signed(out, self.first.as_micros());
        put_varint(out, self.last.as_micros().wrapping_sub(self.first.as_micros()) as u64);
    }

    pub(super) fn get(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
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
    pub first_subject: Arc<str>,
    /// Subject of the last row.
    pub last_subject: Arc<str>,
    /// Whether some rows have no data.
    pub some_without_data: bool,
    /// Whether a path without a column leads nowhere in all rows.
    pub all_paths_known: bool,
    /// For each path, by position, at which every row has a number: what the numbers are together.
    pub(super) numbers: Vec<(u32, NumberStats)>,
    /// The position of its group in the table.
    pub(super) group: u32,
    /// Its position in the group.
    pub(super) at: u32,
}

/// The numbers of a column that has one in every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NumberStats {
    /// Digits after the decimal point of all mantissas.
    pub scale: u32,
    /// The least mantissa.
    pub least: i64,
    /// The greatest mantissa.
    pub greatest: i64,
    /// The sum of the mantissas.
    pub sum: i128,
}

impl NumberStats {
    /// Of some mantissas, of which there is at least one.
    pub fn of(values: &[i64], scale: u32) -> Self {
        let least = values.iter().copied().min().unwrap_or_default();
        let greatest = values.iter().copied().max().unwrap_or_default();
        Self { scale, least, greatest, sum: values.iter().map(|value| i128::from(*value)).sum() }
    }

    /// How far from zero the mantissas are at most.
    pub fn greatest_distance(&self) -> u64 {
        self.least.unsigned_abs().max(self.greatest.unsigned_abs())
    }

    fn put(self, out: &mut Vec<u8>) {
        out.push(self.scale as u8);
        put_signed(out, self.least);
        put_varint(out, self.greatest.wrapping_sub(self.least) as u64);
        out.extend_from_slice(&self.sum.to_le_bytes()[..10]);
    }

    fn get(reader: &mut Reader<'_>, rows: usize) -> Result<Self, Corrupt> {
        let scale = u32::from(reader.byte()?);
        let least = reader.signed()?;
        let greatest = least.wrapping_add(reader.varint()? as i64);
        // The sum of 1024 values of 64 bits has at most 74 bits.
        let mut sum = [0; 16];
        sum[..10].copy_from_slice(reader.bytes(10)?);
        let sum = i128::from_le_bytes(sum) << 48 >> 48;
        let rows = rows as i128;
        let range = i128::from(least) * rows..=i128::from(greatest) * rows;
        if scale > tallystick_domain::quantity::MAX_SCALE || !range.contains(&sum) {
            return Err(Corrupt("numbers of a block are not possible"));
        }
        Ok(Self { scale, least, greatest, sum })
    }
}

/// Consecutive blocks of a table whose chunks lie column by column, so that one read gets a column of all of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Where the first chunk starts.
    pub offset: u64,
    /// How many blocks it has.
    pub blocks: usize,
    /// Where each chunk ends, from the offset: of all blocks of the first column, then of the second, and so on.
    pub ends: Vec<u32>,
    /// The checksums of the chunks, if they do not stand in front of the chunks.
    pub checksums: Vec<u32>,
}

impl Group {
    /// Where the chunks of a column are in the file, for blocks `from..to` of the group.
    pub fn place(&self, column: usize, from: usize, to: usize) -> (u64, usize) {
        let end = |chunk: usize| chunk.checked_sub(1).map_or(0, |before| self.ends[before]);
        let first = column * self.blocks;
        let (start, end) = (end(first + from), end(first + to));
        (self.offset + u64::from(start), (end - start) as usize)
    }

    /// The length of all its chunks.
    pub fn len(&self) -> u64 {
        self.ends.last().map_or(0, |end| u64::from(*end))
    }
}

/// Where the texts are that all blocks of a table share for a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DictionaryRef {
    pub offset: u64,
    pub len: u32,
}

/// All rows of one namespace and type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// Whose events they are.
    pub namespace: Namespace,
    /// Their type.
    pub event_type: Box<str>,
    /// Its position in the segment.
    pub(super) number: u32,
    /// Member names from the root of the data, for each path that has columns.
    pub paths: Vec<Vec<Box<str>>>,
    /// Its blocks in row order.
    pub blocks: Vec<Block>,
    pub(super) groups: Vec<Group>,
    /// Shared texts of subjects, of sources, and by path. Of length 0 where blocks have texts of their own.
    pub(super) dictionaries: Vec<DictionaryRef>,
    pub(super) shapes: Vec<Shape>,
}

impl Table {
    /// Where the chunks of a block's group start, to name the place of a fault.
    pub(super) fn offset(&self, block: &Block) -> u64 {
        self.groups.get(block.group as usize).map_or(0, |group| group.offset)
    }

    /// Length of all chunks of a block.
    pub fn bytes_of(&self, block: &Block) -> u64 {
        let Some(group) = self.groups.get(block.group as usize) else { return 0 };
        let at = block.at as usize;
        (0..PARTS + self.paths.len()).map(|column| group.place(column, at, at + 1).1 as u64).sum()
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
        put_varint(&mut out, table.shapes.len() as u64);
        table.shapes.iter().for_each(|shape| put_shape(&mut out, shape));
        put_varint(&mut out, table.groups.len() as u64);
        let mut blocks = table.blocks.iter();
        for group in &table.groups {
            put_varint(&mut out, group.blocks as u64);
            blocks.by_ref().take(group.blocks).for_each(|block| put_block(&mut out, block));
            let starts = std::iter::once(0).chain(group.ends.iter().copied());
            group.ends.iter().zip(starts).for_each(|(end, start)| put_varint(&mut out, u64::from(end - start)));
        }
        table.dictionaries.iter().for_each(|place| put_varint(&mut out, u64::from(place.len)));
    }
    out
}

fn put_shape(out: &mut Vec<u8>, shape: &Shape) {
    out.push(u8::from(shape.style.colon) | u8::from(shape.style.comma) << 1);
    put_varint(out, shape.members.len() as u64);
    shape.members.iter().for_each(|path| put_varint(out, u64::from(*path)));
}

fn put_block(out: &mut Vec<u8>, block: &Block) {
    put_varint(out, block.rows as u64);
    block.times.put(out);
    block.ingested.put(out);
    put_text(out, &block.first_subject);
    put_text(out, &block.last_subject);
    out.push(u8::from(block.some_without_data) | u8::from(block.all_paths_known) << 1);
    put_varint(out, block.numbers.len() as u64);
    for (path, stats) in &block.numbers {
        put_varint(out, u64::from(*path));
        stats.put(out);
    }
}

/// Reads the directory; chunks and dictionaries must fill the file from the header to `end`.
pub(super) fn decode(bytes: &[u8], end: u64) -> Result<Vec<Table>, Corrupt> {
    let mut reader = Reader::new(bytes);
    let mut offset = HEADER_LEN;
    let tables = get_tables(&mut reader, |reader| get_table(reader, &mut offset))?;
    reader.finish()?;
    if offset == end { Ok(tables) } else { Err(Corrupt("chunks do not fill the file")) }
}

/// Reads tables, whose number comes first and whose names must ascend.
pub(super) fn get_tables(
    reader: &mut Reader<'_>,
    mut get: impl FnMut(&mut Reader<'_>) -> Result<Table, Corrupt>,
) -> Result<Vec<Table>, Corrupt> {
    let count = reader.count()?;
    let mut tables: Vec<Table> = Vec::with_capacity(count.min(1 << 10));
    for _ in 0..count {
        let mut table = get(reader)?;
        table.number = tables.len() as u32;
        let key = |table: &Table| (table.namespace.clone(), table.event_type.clone());
        if tables.last().is_some_and(|before| key(before) >= key(&table)) {
            return Err(Corrupt("tables are out of order"));
        }
        tables.push(table);
    }
    Ok(tables)
}

/// Reads the names of a table and its paths; everything else is empty.
pub(super) fn get_names(reader: &mut Reader<'_>) -> Result<Table, Corrupt> {
    let namespace = Namespace::parse(reader.text()?).map_err(|_| Corrupt("a namespace is not valid"))?;
    let event_type = reader.text()?.into();
    let path_count = reader.count()?;
    let mut paths = Vec::with_capacity(path_count.min(1 << 10));
    for _ in 0..path_count {
        let names: Result<Vec<Box<str>>, Corrupt> = (0..reader.count()?).map(|_| Ok(reader.text()?.into())).collect();
        paths.push(names?);
    }
    let dictionaries = vec![DictionaryRef::default(); 2 + path_count];
    let (blocks, groups, shapes) = (Vec::new(), Vec::new(), Vec::new());
    Ok(Table { namespace, event_type, number: 0, paths, blocks, groups, dictionaries, shapes })
}

fn get_table(reader: &mut Reader<'_>, offset: &mut u64) -> Result<Table, Corrupt> {
    let mut table = get_names(reader)?;
    let shape_count = reader.count()?;
    if shape_count > MAX_SHAPES {
        return Err(Corrupt("a table has too many shapes"));
    }
    for _ in 0..shape_count {
        table.shapes.push(get_shape(reader, table.paths.len())?);
    }
    for group in 0..reader.count()? {
        get_group(reader, &mut table, group, offset)?;
    }
    for place in &mut table.dictionaries {
        let len = u32::try_from(reader.varint()?).map_err(|_| Corrupt("a dictionary is too long"))?;
        *place = DictionaryRef { offset: *offset, len };
        *offset = offset.checked_add(u64::from(len)).ok_or(Corrupt("chunks do not fill the file"))?;
    }
    Ok(table)
}

fn get_shape(reader: &mut Reader<'_>, path_count: usize) -> Result<Shape, Corrupt> {
    let style = reader.byte()?;
    let path = |reader: &mut Reader<'_>| {
        let path = u32::try_from(reader.varint()?).ok().filter(|path| (*path as usize) < path_count);
        path.ok_or(Corrupt("a shape has an unknown path"))
    };
    let members: Result<Vec<u32>, Corrupt> = (0..reader.count()?).map(|_| path(reader)).collect();
    Ok(Shape { style: Style { colon: style & 1 != 0, comma: style & 2 != 0 }, members: members? })
}

fn get_group(reader: &mut Reader<'_>, table: &mut Table, group: usize, offset: &mut u64) -> Result<(), Corrupt> {
    let blocks = reader.count()?;
    if blocks == 0 || blocks > GROUP_BLOCKS {
        return Err(Corrupt("a group has a wrong number of blocks"));
    }
    for at in 0..blocks {
        let mut block = get_block(reader, table.paths.len())?;
        (block.group, block.at) = (group as u32, at as u32);
        if let Some(before) = table.blocks.last().filter(|before| before.last_subject == block.first_subject) {
            block.first_subject = Arc::clone(&before.last_subject);
        }
        if block.first_subject == block.last_subject {
            block.last_subject = Arc::clone(&block.first_subject);
        }
        table.blocks.push(block);
    }
    let chunks = blocks * (PARTS + table.paths.len());
    let (mut ends, mut end) = (Vec::with_capacity(chunks), 0u32);
    for _ in 0..chunks {
        let len = u32::try_from(reader.varint()?).ok();
        end = len.and_then(|len| end.checked_add(len)).ok_or(Corrupt("a chunk is too long"))?;
        ends.push(end);
    }
    table.groups.push(Group { offset: *offset, blocks, ends, checksums: Vec::new() });
    *offset = offset.checked_add(u64::from(end)).ok_or(Corrupt("chunks do not fill the file"))?;
    Ok(())
}

/// Reads what format 1 has at the start of a block, too.
pub(super) fn get_block_head(reader: &mut Reader<'_>) -> Result<Block, Corrupt> {
    let rows = reader.varint()? as usize;
    if rows == 0 || rows > super::writer::BLOCK_ROWS {
        return Err(Corrupt("a block has a wrong number of rows"));
    }
    let (times, ingested) = (Span::get(reader)?, Span::get(reader)?);
    let (first_subject, last_subject): (Arc<str>, Arc<str>) = (reader.text()?.into(), reader.text()?.into());
    if first_subject > last_subject {
        return Err(Corrupt("subjects are out of order"));
    }
    let flags = reader.byte()?;
    let (some_without_data, all_paths_known) = (flags & 1 != 0, flags & 2 != 0);
    let numbers = Vec::new();
    let (group, at) = (0, 0);
    Ok(Block {
        rows,
        times,
        ingested,
        first_subject,
        last_subject,
        some_without_data,
        all_paths_known,
        numbers,
        group,
        at,
    })
}

fn get_block(reader: &mut Reader<'_>, path_count: usize) -> Result<Block, Corrupt> {
    let mut block = get_block_head(reader)?;
    for _ in 0..reader.count()? {
        let path = u32::try_from(reader.varint()?).ok().filter(|path| (*path as usize) < path_count);
        let path = path.ok_or(Corrupt("a column has an unknown path"))?;
        block.numbers.push((path, NumberStats::get(reader, block.rows)?));
    }
    if block.numbers.is_sorted_by_key(|(path, _)| *path) { Ok(block) } else { Err(Corrupt("columns are out of order")) }
}
