//! Writes a segment in one pass: one group of blocks and the directory are all that is held.

use super::SegmentMeta;
use super::chunk::checksum_at;
use super::dictionary::put_sorted;
use super::directory::{
    DictionaryRef, END_MAGIC, GROUP_BLOCKS, Group, HEADER_LEN, MAGIC, PARTS, TRAILER_LEN, Table, VERSION, encode,
};
use super::encode::{EncodedBlock, Encoder, Shared};
use super::shape::Shape;
use super::sheet::Sheet;
use crate::embedded::disk::{Access, Disk, Writing};
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::Path;
use tallystick_domain::Namespace;

/// The most rows of a block.
pub(super) const BLOCK_ROWS: usize = 1024;
/// A block is closed when its rows weigh this many bytes, so that large events do not make large blocks.
pub(super) const BLOCK_BYTES: usize = 4 << 20;
/// A group is closed when its chunks take this many bytes.
const GROUP_BYTES: usize = 8 << 20;

/// What is known about a table when all of its rows were seen.
pub(super) struct TableEnd<'t> {
    pub paths: Vec<Vec<Box<str>>>,
    pub shapes: Vec<Shape>,
    /// For subjects, for sources, and by path: the sorted texts, if all blocks share them.
    pub dictionaries: Vec<Option<Vec<&'t str>>>,
}

/// Writes tables, which come in order.
pub(super) struct Writer {
    file: BufWriter<Writing>,
    offset: u64,
    encoder: Encoder,
    tables: Vec<Table>,
    /// Blocks that are not in the file yet.
    group: Vec<EncodedBlock>,
    group_bytes: usize,
}

impl Writer {
    /// Begins a file; what stood there before is overwritten.
    pub fn create(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        let file = Writing::new(disk.create(path, Access::Umask)?);
        let mut file = BufWriter::with_capacity(1 << 18, file);
        file.write_all(MAGIC)?;
        file.write_all(&VERSION.to_le_bytes())?;
        let (encoder, tables, group) = (Encoder::new()?, Vec::new(), Vec::new());
        Ok(Self { file, offset: HEADER_LEN, encoder, tables, group, group_bytes: 0 })
    }

    /// Begins a table.
    pub fn start_table(&mut self, namespace: Namespace, event_type: Box<str>) {
        self.tables.push(Table {
            namespace,
            event_type,
            number: self.tables.len() as u32,
            paths: Vec::new(),
            blocks: Vec::new(),
            groups: Vec::new(),
            dictionaries: Vec::new(),
            shapes: Vec::new(),
        });
    }

    /// Appends a block to the table that was begun.
    pub fn push_block(&mut self, sheet: &Sheet, rows: Range<usize>, shared: &Shared) -> io::Result<()> {
        let block = self.encoder.block(sheet, rows, shared)?;
        self.group_bytes += block.chunks.iter().map(Vec::len).sum::<usize>();
        self.group.push(block);
        if self.group.len() == GROUP_BLOCKS || self.group_bytes >= GROUP_BYTES { self.end_group() } else { Ok(()) }
    }

    fn end_group(&mut self) -> io::Result<()> {
        let blocks = std::mem::take(&mut self.group);
        self.group_bytes = 0;
        let Some(table) = self.tables.last_mut().filter(|_| !blocks.is_empty()) else { return Ok(()) };
        let columns = blocks.iter().map(|block| block.chunks.len()).max().unwrap_or(PARTS);
        let mut group = Group { offset: self.offset, blocks: blocks.len(), ends: Vec::new(), checksums: Vec::new() };
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a group of events is longer than 4 GiB");
        for column in 0..columns {
            for block in &blocks {
                let chunk = block.chunks.get(column).map_or(&[][..], Vec::as_slice);
                if !chunk.is_empty() {
                    self.file.write_all(&checksum_at(self.offset, chunk).to_le_bytes())?;
                    self.file.write_all(chunk)?;
                    self.offset += chunk.len() as u64 + 4;
                }
                group.ends.push(u32::try_from(self.offset - group.offset).map_err(too_long)?);
            }
        }
        let number = table.groups.len() as u32;
        table.groups.push(group);
        for (at, mut encoded) in blocks.into_iter().enumerate() {
            (encoded.block.group, encoded.block.at) = (number, at as u32);
            table.blocks.push(encoded.block);
        }
        Ok(())
    }

    /// Completes the table that was begun.
    pub fn end_table(&mut self, end: TableEnd<'_>) -> io::Result<()> {
        self.end_group()?;
        let places = 2 + end.paths.len();
        let mut dictionaries = Vec::with_capacity(places);
        for place in 0..places {
            let mut chunk = Vec::new();
            if let Some(Some(texts)) = end.dictionaries.get(place) {
                let mut payload = Vec::new();
                put_sorted(&mut payload, texts.iter().copied());
                let packed = self.encoder.pack(&payload)?;
                chunk.extend_from_slice(&checksum_at(self.offset, &packed).to_le_bytes());
                chunk.extend(packed);
                self.file.write_all(&chunk)?;
            }
            dictionaries.push(DictionaryRef { offset: self.offset, len: chunk.len() as u32 });
            self.offset += chunk.len() as u64;
        }
        let Some(table) = self.tables.last_mut() else { return Ok(()) };
        for group in &mut table.groups {
            // Paths that were met after a group was written have no chunks in it.
            let end = group.ends.last().copied().unwrap_or_default();
            group.ends.resize(group.blocks * (PARTS + places - 2), end);
        }
        (table.paths, table.shapes, table.dictionaries) = (end.paths, end.shapes, dictionaries);
        Ok(())
    }

    /// Completes the file and makes it durable.
    pub fn finish(mut self) -> io::Result<SegmentMeta> {
        let footer = self.encoder.pack(&encode(&self.tables))?;
        self.file.write_all(&footer)?;
        self.file.write_all(&(footer.len() as u64).to_le_bytes())?;
        self.file.write_all(&crc32c::crc32c(&footer).to_le_bytes())?;
        self.file.write_all(END_MAGIC)?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(SegmentMeta::of(&self.tables, self.offset + footer.len() as u64 + TRAILER_LEN))
    }
}
