//! Writes a segment in one pass: one block of rows and the directory are all that is held.

use super::SegmentMeta;
use super::bytes::put_varint;
use super::chunk::{Packer, Worth};
use super::column::Column;
use super::directory::{
    Block, ChunkRef, END_MAGIC, HEADER_LEN, MAGIC, Part, Span, TRAILER_LEN, Table, VERSION, encode,
};
use super::ints::put_ints;
use super::paths::Paths;
use super::texts::{CodedTexts, put_bodies, put_ids};
use crate::StoreError;
use crate::embedded::disk::{Access, Disk, Writing};
use crate::embedded::row::{Row, segment_order};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use tallystick_domain::event::StoredEvent;

/// The most rows of a block.
pub(super) const BLOCK_ROWS: usize = 1024;
/// A block is closed when its rows weigh this many bytes, so that large events do not make large blocks.
const BLOCK_BYTES: usize = 4 << 20;

/// Writes rows, which come in segment order and without duplicates, to a new file at `path` and syncs it. What stood
/// there before is overwritten: the file counts only once the manifest names it.
pub(crate) fn write_segment(
    disk: &dyn Disk,
    path: &Path,
    rows: &mut dyn Iterator<Item = Result<Row, StoreError>>,
) -> Result<SegmentMeta, StoreError> {
    let failed = || StoreError::io("cannot write", path);
    let mut writer = Writer::create(disk, path).map_err(failed())?;
    for row in rows {
        writer.push(row?).map_err(failed())?;
    }
    writer.finish().map_err(failed())
}

struct Writer {
    file: BufWriter<Writing>,
    offset: u64,
    packer: Packer,
    tables: Vec<Table>,
    /// The paths of the last table.
    paths: Paths,
    /// Rows of the block that is being filled, all of one table.
    rows: Vec<Row>,
    weight: usize,
    /// The last row of the block before.
    before: Option<Row>,
}

impl Writer {
    fn create(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = Writing::new(disk.create(path, Access::Umask)?);
        let mut file = BufWriter::with_capacity(1 << 18, file);
        file.write_all(MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        Ok(Self {
            file,
            offset: HEADER_LEN,
            packer: Packer::new()?,
            tables: Vec::new(),
            paths: Paths::default(),
            rows: Vec::with_capacity(BLOCK_ROWS),
            weight: 0,
            before: None,
        })
    }

    fn push(&mut self, row: Row) -> io::Result<()> {
        if let Some(before) = self.rows.last().or(self.before.as_ref()) {
            if segment_order(before, &row).is_ge() {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "rows are not in segment order"));
            }
            let same_table =
                before.namespace == row.namespace && before.stored.event.event_type() == row.stored.event.event_type();
            if !same_table || self.rows.len() == BLOCK_ROWS || self.weight >= BLOCK_BYTES {
                self.end_block()?;
            }
        }
        self.weight += row.stored.event.weight();
        self.rows.push(row);
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        let Some(first) = self.rows.first() else { return Ok(()) };
        let (namespace, event_type) = (first.namespace.clone(), first.stored.event.event_type());
        let new =
            self.tables.last().is_none_or(|table| (&table.namespace, &*table.event_type) != (&namespace, event_type));
        if new {
            let event_type = event_type.into();
            self.end_table();
            self.tables.push(Table { namespace, event_type, paths: Vec::new(), blocks: Vec::new() });
        }
        let block = self.write_block()?;
        if let Some(table) = self.tables.last_mut() {
            table.blocks.push(block);
        }
        self.before = self.rows.pop();
        self.rows.clear();
        self.weight = 0;
        Ok(())
    }

    /// Gives the last table its paths, which are known only once all of its rows were seen.
    fn end_table(&mut self) {
        let paths = std::mem::take(&mut self.paths);
        if let Some(table) = self.tables.last_mut() {
            table.paths = paths.into_names();
        }
    }

    fn write_block(&mut self) -> io::Result<Block> {
        let offset = self.offset;
        let (mut times, mut ingested) = (Span::EMPTY, Span::EMPTY);
        for row in &self.rows {
            times.include(row.stored.event.time());
            ingested.include(row.stored.ingested_at);
        }
        let mut parts = [ChunkRef::default(); Part::ALL.len()];
        for part in Part::ALL {
            let payload = encode_part(part, &self.rows);
            let worth = if matches!(part, Part::Time) { Worth::Half } else { Worth::SevenEighths };
            parts[part as usize] = self.write_chunk(&payload, worth)?;
        }
        let split = self.paths.split(self.rows.iter().map(|row| row.stored.event.data()));
        let columns = self.write_columns(&split.columns)?;
        let subject = |row: Option<&Row>| row.map_or("", |row| row.stored.event.subject()).into();
        Ok(Block {
            rows: self.rows.len(),
            times,
            ingested,
            first_subject: subject(self.rows.first()),
            last_subject: subject(self.rows.last()),
            some_without_data: self.rows.iter().any(|row| row.stored.event.data().is_none()),
            all_paths_known: split.all_paths_known,
            offset,
            parts,
            columns,
        })
    }

    /// Writes the columns of a block. One with too much text gets an empty chunk, which sends readers to the data.
    fn write_columns(&mut self, columns: &[Option<Column>]) -> io::Result<Vec<(u32, ChunkRef)>> {
        let mut written = Vec::new();
        let mut payload = Vec::new();
        for (path, column) in columns.iter().enumerate().filter_map(|(path, column)| Some((path, column.as_ref()?))) {
            payload.clear();
            if column.is_worth_storing() {
                column.put(&mut payload);
            }
            written.push((path as u32, self.write_chunk(&payload, Worth::Half)?));
        }
        Ok(written)
    }

    fn write_chunk(&mut self, payload: &[u8], worth: Worth) -> io::Result<ChunkRef> {
        let chunk = self.packer.pack(payload, worth)?;
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a block of events is longer than 4 GiB");
        let len = u32::try_from(chunk.len()).map_err(too_long)?;
        u32::try_from(payload.len()).map_err(too_long)?;
        self.file.write_all(&chunk)?;
        self.offset += u64::from(len);
        Ok(ChunkRef { len, crc: crc32c::crc32c(&chunk) })
    }

    fn finish(mut self) -> io::Result<SegmentMeta> {
        self.end_block()?;
        self.end_table();
        let footer = self.packer.pack(&encode(&self.tables), Worth::SevenEighths)?;
        self.file.write_all(&footer)?;
        self.file.write_all(&(footer.len() as u64).to_le_bytes())?;
        self.file.write_all(&crc32c::crc32c(&footer).to_le_bytes())?;
        self.file.write_all(END_MAGIC)?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(SegmentMeta::of(&self.tables, self.offset + footer.len() as u64 + TRAILER_LEN))
    }
}

fn encode_part(part: Part, rows: &[Row]) -> Vec<u8> {
    let events = || rows.iter().map(|row| &row.stored);
    let time = |stored: &StoredEvent| stored.event.time().as_micros();
    let mut out = Vec::new();
    match part {
        Part::Time => put_ints(&mut out, &events().map(time).collect::<Vec<_>>()),
        Part::IngestedAt => put_ingested(&mut out, rows),
        Part::Subject => CodedTexts::of(events().map(|stored| stored.event.subject())).put(&mut out),
        Part::Source => CodedTexts::of(events().map(|stored| stored.event.source())).put(&mut out),
        Part::Id => put_ids(&mut out, events().map(|stored| stored.event.id())),
        Part::Data => put_bodies(&mut out, events().map(|stored| stored.event.data())),
        Part::Extras => put_bodies(&mut out, events().map(|stored| stored.event.extras())),
    }
    out
}

/// Writes the moments of acceptance as they are, or as the delay after the event's time if that is shorter.
fn put_ingested(out: &mut Vec<u8>, rows: &[Row]) {
    let plain: Vec<i64> = rows.iter().map(|row| row.stored.ingested_at.as_micros()).collect();
    let delays = plain.iter().zip(rows).map(|(at, row)| at - row.stored.event.time().as_micros());
    let (mut as_plain, mut as_delays) = (Vec::new(), Vec::new());
    put_varint(&mut as_plain, 0);
    put_ints(&mut as_plain, &plain);
    put_varint(&mut as_delays, 1);
    put_ints(&mut as_delays, &delays.collect::<Vec<_>>());
    out.extend(if as_plain.len() <= as_delays.len() { as_plain } else { as_delays });
}
