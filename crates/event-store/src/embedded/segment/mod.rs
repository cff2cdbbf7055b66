//! Immutable columnar files of events.
//!
//! Invariant: a row that is read equals the row that was written, or the read fails: every byte is under a checksum.
//! The format is described in `docs/internals/segment-format.md`.

mod bits;
mod bytes;
mod chunk;
mod chunks;
mod column;
mod dictionary;
mod directory;
mod directory_v1;
mod encode;
mod gather;
mod ids;
#[cfg(any(test, feature = "fuzzing"))]
mod in_turn;
mod ints;
#[cfg(test)]
mod measure;
mod merge;
mod parse;
mod paths;
mod reader;
mod rebuild;
mod recode;
mod rows;
mod shape;
mod sheet;
mod sizes;
#[cfg(test)]
mod tests;
mod texts;
mod verify;
mod writer;

pub(crate) use column::{Column, ColumnBuilder, Kind, Kinds};
pub(crate) use directory::{Block, NumberStats, Span, Table};
pub(crate) use gather::Gathered;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use in_turn::write_segment;
pub(crate) use merge::merge_segments;
pub(crate) use reader::BlockReader;
pub use sizes::SegmentSizes;
pub(crate) use texts::{Bodies, CodedTexts, Dictionary, DictionaryId, Texts};

use crate::StoreError;
use crate::embedded::disk::{Disk, DiskFile};
use chunk::unpack;
use directory::{END_MAGIC, HEADER_LEN, MAGIC, TRAILER_LEN, VERSION};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tallystick_domain::{Instant, Namespace};

/// What a segment holds, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentMeta {
    /// Number of events.
    pub rows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Time of the earliest event.
    pub first: Instant,
    /// Time of the latest event.
    pub last: Instant,
}

impl SegmentMeta {
    fn of(tables: &[Table], bytes: u64) -> Self {
        let (mut rows, mut times) = (0, Span::EMPTY);
        for block in tables.iter().flat_map(|table| &table.blocks) {
            rows += block.rows as u64;
            times.include_span(block.times);
        }
        Self { rows, bytes, first: times.first, last: times.last }
    }
}

/// An open segment: the file and its directory. Events are read from the file when they are asked for.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Tells it from every other segment that was ever open in this process.
    number: u64,
    format: u32,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    meta: SegmentMeta,
    tables: Vec<Table>,
}

impl Segment {
    /// Opens a segment and checks that it is complete and its directory sound.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Segment, StoreError> {
        let file = disk.open(path).map_err(StoreError::io("cannot open", path))?;
        let len = file.len().map_err(StoreError::io("cannot read", path))?;
        let read = |offset: u64, count: u64| {
            let mut bytes = vec![0; count as usize];
            file.read_exact_at(&mut bytes, offset).map_err(StoreError::io("cannot read", path))?;
            Ok::<_, StoreError>(bytes)
        };
        if len < HEADER_LEN + TRAILER_LEN {
            return Err(StoreError::damaged(path, len, "the file is too short for a segment"));
        }
        let format = check_header(path, &read(0, HEADER_LEN)?)?;
        let trailer = read(len - TRAILER_LEN, TRAILER_LEN)?;
        if trailer[12..] != END_MAGIC[..] {
            return Err(StoreError::damaged(path, len - 8, "the end of the segment is missing"));
        }
        let footer_len = trailer[..8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if footer_len > len - HEADER_LEN - TRAILER_LEN {
            return Err(StoreError::damaged(path, len - TRAILER_LEN, "the footer is longer than the file"));
        }
        let footer_at = len - TRAILER_LEN - footer_len;
        let footer = read(footer_at, footer_len)?;
        if crc32c::crc32c(&footer).to_le_bytes() != trailer[8..12] {
            return Err(StoreError::damaged(path, footer_at, "the checksum of the footer does not fit"));
        }
        let mut unpacked = Vec::new();
        let tables = unpack(&footer, &mut unpacked).and_then(|directory| match format {
            1 => directory_v1::decode(directory, footer_at),
            _ => directory::decode(directory, footer_at),
        });
        let tables = tables.map_err(|error| StoreError::damaged(path, footer_at, error.0))?;
        let number = OPENED.fetch_add(1, Ordering::Relaxed);
        Ok(Segment { number, format, path: path.to_path_buf(), meta: SegmentMeta::of(&tables, len), file, tables })
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), StoreError> {
        self.file.read_exact_at(bytes, offset).map_err(StoreError::io("cannot read", &self.path))
    }

    fn damaged(&self, offset: u64, what: &str) -> StoreError {
        StoreError::damaged(&self.path, offset, what)
    }

    /// What it holds.
    pub fn meta(&self) -> &SegmentMeta {
        &self.meta
    }

    /// Bytes of the file as they are, whatever became of its name.
    pub fn read_raw(&self, bytes: &mut [u8], offset: u64) -> Result<(), StoreError> {
        self.file.read_exact_at(bytes, offset).map_err(StoreError::io("cannot read", &self.path))
    }

    /// All tables, sorted by namespace and type.
    pub fn tables(&self) -> &[Table] {
        &self.tables
    }

    /// The tables of a namespace, by type.
    pub fn tables_of(&self, namespace: &Namespace) -> &[Table] {
        let from = self.tables.partition_point(|table| table.namespace < *namespace);
        let count = self.tables[from..].partition_point(|table| table.namespace == *namespace);
        &self.tables[from..from + count]
    }

    /// The table of a namespace and type.
    pub fn table(&self, namespace: &Namespace, event_type: &str) -> Option<&Table> {
        let tables = self.tables_of(namespace);
        let at = tables.binary_search_by(|table| (*table.event_type).cmp(event_type)).ok()?;
        Some(&tables[at])
    }
}

/// How many segments were opened.
static OPENED: AtomicU64 = AtomicU64::new(0);

impl Drop for Segment {
    fn drop(&mut self) {
        dictionary::let_go(self.number);
    }
}

/// The format of a segment that begins like this.
fn check_header(path: &Path, header: &[u8]) -> Result<u32, StoreError> {
    if header[..8] != MAGIC[..] {
        return Err(StoreError::damaged(path, 0, "this is not a segment"));
    }
    match u32::from_le_bytes([header[8], header[9], header[10], header[11]]) {
        known @ 1..=VERSION => Ok(known),
        0 => Err(StoreError::damaged(path, 8, "no segment has format 0")),
        found => Err(StoreError::Newer { path: path.to_path_buf(), found, known: VERSION }),
    }
}
