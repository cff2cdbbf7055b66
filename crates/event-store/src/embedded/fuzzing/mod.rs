//! What the fuzz targets of the repository call: each function takes any bytes for a file of the store.
//!
//! Invariant: a function returns, and what it says of the bytes is true; where the store's promise is broken, it panics.
//! The targets are built with a checksum that is the same for all bytes, so what is changed is read and not refused.

mod facts;
mod memory;
mod seeds;
#[cfg(test)]
mod tests;

pub use super::wal::fuzzing::wal_frame;
pub use facts::facts;
pub(crate) use memory::MemoryDisk;
pub(crate) use seeds::plain_row;
pub use seeds::seeds;

use super::dedupe::{IdentitySet, Run, write_run};
use super::files::Layout;
use super::manifest::Manifest;
use super::row::Row;
use super::segment::{Segment, merge_segments, write_segment};
use crate::StoreError;
use std::path::Path;
use std::sync::Arc;

/// Segments and runs that say that they hold more are left alone: they would only cost time.
const MOST: u64 = 8192;

/// Reads a segment. `Some` is the number of its rows, all of which were read, checked, written and merged again.
///
/// A segment that opens gives all rows that it says, or errors that name the file; it never gives more. What passes the
/// check is what the writer would have written: the same rows can be written and are read again.
pub fn segment(bytes: &[u8]) -> Option<u64> {
    let path = Path::new("1.seg");
    let disk = MemoryDisk::with(path, bytes);
    let segment = Arc::new(understood(path, Segment::open(&disk, path))?);
    let said = segment.meta().rows;
    if said > MOST {
        return None;
    }
    let mut rows = Vec::new();
    let mut end = None;
    for row in rows_of(&segment) {
        match row {
            Ok(row) => rows.push(row),
            Err(error) => end = Some(error),
        }
    }
    assert!(rows.len() as u64 <= said, "{} rows of {said}", rows.len());
    let mut seen = Vec::new();
    let verified = segment.verify_rows(&mut |row| {
        seen.push(row.clone());
        Ok(())
    });
    if let Some(error) = end {
        assert!(verified.is_err(), "a segment whose rows cannot be read passes the check");
        return understood(path, Err(error));
    }
    assert_eq!(rows.len() as u64, said);
    let count = understood(path, verified)?;
    assert!(count == said && seen == rows, "the check sees other rows");
    is_written_again(&disk, &segment, &rows);
    Some(count)
}

fn is_written_again(disk: &MemoryDisk, segment: &Arc<Segment>, rows: &[Row]) {
    let (copy, merged) = (Path::new("2.seg"), Path::new("3.seg"));
    let meta = write_segment(disk, copy, &mut rows.iter().cloned().map(Ok)).expect("the rows can be written");
    assert_eq!((meta.rows, meta.first, meta.last), (segment.meta().rows, segment.meta().first, segment.meta().last));
    merge_segments(disk, merged, std::slice::from_ref(segment), None).expect("one segment can be merged");
    for path in [copy, merged] {
        let again = Arc::new(Segment::open(disk, path).expect("what was written can be opened"));
        let count = again.verify_rows(&mut |_| Ok(())).expect("what was written is sound");
        assert_eq!(count, rows.len() as u64);
        assert!(rows_of(&again).map(|row| row.expect("every row can be read")).eq(rows.iter().cloned()));
    }
}

/// All rows, table by table.
fn rows_of(segment: &Segment) -> impl Iterator<Item = Result<Row, StoreError>> {
    segment.tables().iter().flat_map(|table| segment.table_rows(table))
}

/// Reads a run of identities. `Some` is their number: all were read, found, checked and written again.
///
/// A run says of no identity that it holds it unless it gives it out as well, and a run that passes the check finds all
/// of its own.
pub fn run(bytes: &[u8]) -> Option<u64> {
    let path = Path::new("1.run");
    let disk = MemoryDisk::with(path, bytes);
    let run = understood(path, Run::open(&disk, path))?;
    if run.keys() > MOST {
        return None;
    }
    let read: Vec<_> = run.iter().collect();
    let (keys, errors): (Vec<_>, Vec<_>) = read.into_iter().partition(Result::is_ok);
    let keys: Vec<u128> = keys.into_iter().flatten().collect();
    let set: IdentitySet = keys.iter().copied().collect();
    assert!(keys.len() as u64 <= run.keys(), "{} identities of {}", keys.len(), run.keys());
    let verified = run.verify_keys(&mut |_| Ok(()));
    assert!(errors.is_empty() || verified.is_err(), "a run whose blocks cannot be read passes the check");
    errors.into_iter().for_each(|error| assert!(understood(path, error).is_none()));
    for key in keys.iter().flat_map(|key| [*key, key ^ 1, key ^ (1 << 95)]).chain([0, u128::MAX >> 32]) {
        match run.contains(key) {
            Ok(false) => assert!(verified.is_err() || !set.contains(&key), "an identity is not found"),
            Ok(true) => assert!(set.contains(&key), "an identity is found that is not there"),
            Err(error) => assert!(understood::<()>(path, Err(error)).is_none()),
        }
    }
    let count = understood(path, verified)?;
    assert_eq!(count, keys.len() as u64);
    assert!(keys.is_sorted_by(|left, right| left < right), "the identities are not in order");
    let copy = Path::new("2.run");
    assert_eq!(write_run(&disk, copy, &set).expect("the identities can be written"), count);
    let again = Run::open(&disk, copy).expect("what was written can be opened");
    assert_eq!(again.verify_keys(&mut |_| Ok(())).expect("what was written is sound"), count);
    assert!(again.iter().map(|key| key.expect("every block can be read")).eq(keys));
    Some(count)
}

/// Reads a MANIFEST. `Some` is the number of files that it names: written and read again, it is the same.
pub fn manifest(bytes: &[u8]) -> Option<u64> {
    let dir = Path::new("events");
    let disk = Arc::new(MemoryDisk::with(&dir.join("MANIFEST"), bytes));
    let layout = Layout::new(disk, dir);
    let read = understood(&layout.manifest(), Manifest::read(&layout))?.expect("the file is there");
    read.write(&layout).expect("a MANIFEST can be written");
    let again = Manifest::read(&layout).expect("what was written can be read").expect("the file is there");
    assert!(again == read, "what was written is not what was read");
    Some((read.segments.len() + read.runs.len() + usize::from(read.facts.is_some())) as u64)
}

/// What was read, or nothing after an error, which must be damage or a later format and name the file.
pub(crate) fn understood<T>(path: &Path, read: Result<T, StoreError>) -> Option<T> {
    match read {
        Ok(value) => Some(value),
        Err(
            StoreError::Damaged { path: named, .. }
            | StoreError::Newer { path: named, .. }
            | StoreError::NewerRecord { path: named, .. },
        ) => {
            assert_eq!(named, path, "another file is named");
            None
        }
        Err(error) => panic!("no bytes of a file are a reason for this error: {error}"),
    }
}
