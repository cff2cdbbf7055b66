//! Gets chunks out of the file. A reader that goes from block to block gets a column of a whole group with one read.

use super::Segment;
use super::chunk::{checked, unpack};
use super::directory::{Block, Group, Table};
use crate::StoreError;

/// The chunks of a table, with what was read ahead.
pub(super) struct Chunks<'s> {
    pub segment: &'s Segment,
    pub table: &'s Table,
    ahead: Vec<Ahead>,
    unpacked: Vec<u8>,
}

/// Consecutive chunks of one column.
#[derive(Default)]
struct Ahead {
    group: u32,
    /// Positions in the group.
    from: usize,
    to: usize,
    /// The block that comes next if blocks are read one after the other.
    next: Option<(u32, u32)>,
    bytes: Vec<u8>,
}

impl<'s> Chunks<'s> {
    /// Nothing was read yet.
    pub fn new(segment: &'s Segment, table: &'s Table) -> Self {
        Self { segment, table, ahead: Vec::new(), unpacked: Vec::new() }
    }

    /// The payload of a block's chunk, checked, and where in the file it is. Empty if the block has none.
    pub fn payload(&mut self, block: &Block, column: usize) -> Result<(u64, &[u8]), StoreError> {
        let Some(group) = self.table.groups.get(block.group as usize) else {
            return Err(self.segment.damaged(0, "a block is in no group"));
        };
        let at = block.at as usize;
        let (offset, len) = group.place(column, at, at + 1);
        if len == 0 {
            return Ok((offset, &[]));
        }
        if self.ahead.len() <= column {
            self.ahead.resize_with(column + 1, Ahead::default);
        }
        let ahead = &mut self.ahead[column];
        if ahead.group != block.group || !(ahead.from..ahead.to).contains(&at) {
            let to = if ahead.next == Some((block.group, block.at)) { group.blocks } else { at + 1 };
            let (start, len) = group.place(column, at, to);
            ahead.to = ahead.from;
            ahead.bytes.resize(len, 0);
            self.segment.read_at(&mut ahead.bytes, start)?;
            (ahead.group, ahead.from, ahead.to) = (block.group, at, to);
        }
        ahead.next = Some(if at + 1 == group.blocks { (block.group + 1, 0) } else { (block.group, block.at + 1) });
        let start = (offset - group.place(column, ahead.from, ahead.to).0) as usize;
        let bytes = &ahead.bytes[start..start + len];
        let chunk = match group.checksums.is_empty() {
            true => checked(offset, bytes),
            false => checked_v1(group, column * group.blocks + at, bytes),
        };
        let payload = chunk.and_then(|chunk| unpack(chunk, &mut self.unpacked));
        payload.map(|payload| (offset, payload)).map_err(|error| self.segment.damaged(offset, error.0))
    }

    /// What does not fit in the rows of a block.
    pub fn damaged(&self, block: &Block, what: &str) -> StoreError {
        self.segment.damaged(self.table.offset(block), what)
    }

    /// Whether a block has a chunk.
    pub fn has(&self, block: &Block, column: usize) -> bool {
        let group = self.table.groups.get(block.group as usize);
        group.is_some_and(|group| group.place(column, block.at as usize, block.at as usize + 1).1 > 0)
    }
}

fn checked_v1<'b>(group: &Group, chunk: usize, bytes: &'b [u8]) -> Result<&'b [u8], super::bytes::Corrupt> {
    if group.checksums[chunk] == crc32c::crc32c(bytes) {
        Ok(bytes)
    } else {
        Err(super::bytes::Corrupt("the checksum does not fit"))
    }
}
