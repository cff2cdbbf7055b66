//! Writes a segment of rows that are in order already, for tests of what reads it.

use super::SegmentMeta;
use super::rows::TableRows;
use super::writer::Writer;
use crate::StoreError;
use crate::embedded::disk::Disk;
use crate::embedded::row::RowView;
use std::path::Path;

/// Writes rows, which come in segment order and without duplicates, to a new file at `path` and syncs it. What stood
/// there before is overwritten.
pub(crate) fn write_segment<R: RowView>(
    disk: &dyn Disk,
    path: &Path,
    rows: impl Iterator<Item = Result<R, StoreError>>,
) -> Result<SegmentMeta, StoreError> {
    let failed = || StoreError::io("cannot write", path);
    let mut writer = Writer::create(disk, path).map_err(failed())?;
    let mut table = TableRows::default();
    for row in rows {
        table.push(&mut writer, &row?).map_err(failed())?;
    }
    table.end(&mut writer).map_err(failed())?;
    writer.finish().map_err(failed())
}
