//! The directory of format 1, which is read and never written: each block is a group of its own, and the checksums of
//! the chunks stand in the directory.

use super::bytes::{Corrupt, Reader};
use super::directory::{Block, Group, HEADER_LEN, PARTS, Part, Table, get_block_head, get_names, get_tables};

/// How many parts format 1 has; it knows no shapes.
const OLD_PARTS: usize = Part::Shape as usize;

/// Reads the directory; the blocks must fill the file from the header to `end`.
pub(super) fn decode(bytes: &[u8], end: u64) -> Result<Vec<Table>, Corrupt> {
    let mut reader = Reader::new(bytes);
    let mut offset = HEADER_LEN;
    let tables = get_tables(&mut reader, |reader| get_table(reader, &mut offset))?;
    reader.finish()?;
    if offset == end { Ok(tables) } else { Err(Corrupt("chunks do not fill the file")) }
}

fn get_table(reader: &mut Reader<'_>, offset: &mut u64) -> Result<Table, Corrupt> {
    let mut table = get_names(reader)?;
    for number in 0..reader.count()? {
        let (mut block, group) = get_block(reader, table.paths.len(), *offset)?;
        block.group = number as u32;
        *offset = offset.checked_add(group.len()).ok_or(Corrupt("chunks do not fill the file"))?;
        table.blocks.push(block);
        table.groups.push(group);
    }
    Ok(table)
}

fn get_block(reader: &mut Reader<'_>, path_count: usize, offset: u64) -> Result<(Block, Group), Corrupt> {
    let mut block = get_block_head(reader)?;
    let mut chunks = vec![(0, 0); PARTS + path_count];
    for chunk in &mut chunks[..OLD_PARTS] {
        *chunk = get_chunk(reader)?;
    }
    let mut before = None;
    for _ in 0..reader.count()? {
        let path = usize::try_from(reader.varint()?).ok().filter(|path| *path < path_count);
        let path = path.ok_or(Corrupt("a column has an unknown path"))?;
        if before >= Some(path) {
            return Err(Corrupt("columns are out of order"));
        }
        before = Some(path);
        let chunk = get_chunk(reader)?;
        // An empty column sends readers to the data. Here, so does a column that is not there.
        block.all_paths_known &= chunk.0 > 0;
        chunks[PARTS + path] = chunk;
    }
    let (mut ends, mut end) = (Vec::with_capacity(chunks.len()), 0u32);
    for (len, _) in &chunks {
        end = end.checked_add(*len).ok_or(Corrupt("a chunk is too long"))?;
        ends.push(end);
    }
    let checksums = chunks.iter().map(|(_, checksum)| *checksum).collect();
    Ok((block, Group { offset, blocks: 1, ends, checksums }))
}

/// Length and checksum.
fn get_chunk(reader: &mut Reader<'_>) -> Result<(u32, u32), Corrupt> {
    let len = u32::try_from(reader.varint()?).map_err(|_| Corrupt("a chunk is too long"))?;
    Ok((len, reader.u32_le()?))
}
