//! Merges segments to one.
//!
//! Tables that are all regular are merged column by column: nothing is made to a text and taken apart again. What is not
//! regular, such as a segment of format 1, is merged row by row.

use super::recode::Recode;
use super::rows::TableRows;
use super::writer::Writer;
use super::{Segment, SegmentMeta, Table};
use crate::StoreError;
use crate::embedded::disk::Disk;
use crate::embedded::row::{Row, segment_order};
use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};
use std::path::Path;
use std::sync::Arc;
use tallystick_domain::Namespace;

/// A table of an input.
pub(super) type Part<'s> = (&'s Segment, &'s Table);

/// Tells which rows are kept.
pub(crate) type Keep<'k> = &'k mut dyn FnMut(&Row) -> bool;

/// Writes the rows of all inputs to one segment, or those of them that `keep` wants; then every row is looked at.
pub(crate) fn merge_segments(
    disk: &dyn Disk,
    path: &Path,
    inputs: &[Arc<Segment>],
    mut keep: Option<Keep<'_>>,
) -> Result<SegmentMeta, StoreError> {
    let failed = || StoreError::io("cannot write", path);
    let mut writer = Writer::create(disk, path).map_err(failed())?;
    let tables = inputs.iter().flat_map(|input| &input.tables);
    let names: BTreeSet<(&Namespace, &str)> = tables.map(|table| (&table.namespace, &*table.event_type)).collect();
    for (namespace, event_type) in names {
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(inputs.len());
        for input in inputs {
            let segment: &Segment = input;
            parts.extend(segment.table(namespace, event_type).map(|table| (segment, table)));
        }
        let recode = if keep.is_none() { Recode::plan(&parts)? } else { None };
        match recode {
            Some(recode) => recode.run(path, &mut writer)?,
            None => {
                merge_rows(path, &mut writer, &parts, &mut |row| keep.as_mut().is_none_or(|keep| keep(row)))?;
            }
        }
    }
    writer.finish().map_err(failed())
}

/// Merges row by row, holding one block of each.
fn merge_rows(path: &Path, writer: &mut Writer, parts: &[Part<'_>], keep: Keep<'_>) -> Result<(), StoreError> {
    let failed = || StoreError::io("cannot write", path);
    let mut sources: Vec<_> = parts.iter().map(|(segment, table)| segment.table_rows(table)).collect();
    let mut heads = BinaryHeap::new();
    let mut rows = TableRows::default();
    for (source, rows) in sources.iter_mut().enumerate() {
        if let Some(row) = rows.next().transpose()? {
            heads.push(Reverse(Head { row, source }));
        }
    }
    while let Some(Reverse(Head { row, source })) = heads.pop() {
        if keep(&row) {
            rows.push(writer, &row).map_err(failed())?;
        }
        if let Some(row) = sources[source].next().transpose()? {
            heads.push(Reverse(Head { row, source }));
        }
    }
    rows.end(writer).map_err(failed())
}

/// The next row of a source.
struct Head {
    row: Row,
    source: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        segment_order(&self.row, &other.row).then(self.source.cmp(&other.source))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}
