//! A copy of the store that opens as a prefix of what was acknowledged.
//!
//! What is in memory is sealed first; then the segments and runs of one moment are held and copied through their open
//! files, so merging goes on and may take their names away. They hold exactly the frames of the log up to the low-water
//! mark of that moment, so the copy needs no log. Its MANIFEST is written last: without it the directory is no store.
//!
//! Files are copied, not linked: a link would share every later fault of the disk with its original.

use super::disk::{Access, Disk};
use super::facts::file as facts_file;
use super::files::{Layout, sync_dir};
use super::lock;
use super::manifest::{FactsEntry, Manifest};
use super::shared::{LiveRun, LiveSegment, Shared};
use crate::StoreError;
use crate::report::{CopiedFile, EventsBackup, Progress, Unit, Watch};
use std::ops::ControlFlow;
use std::path::Path;

/// Fills a buffer from a place in an open file.
type Reading<'r> = &'r dyn Fn(&mut [u8], u64) -> Result<(), StoreError>;

/// Bytes that are read and written at a time.
const STEP: usize = 1 << 20;

/// Copies what is sealed into `dir`, which must not hold a store.
pub(crate) fn copy_sealed(shared: &Shared, dir: &Path, watch: Watch<'_>) -> Result<EventsBackup, StoreError> {
    let Held { manifest, segments, runs, facts } = hold(shared)?;
    let target = Layout::new(shared.layout.shared_disk(), dir);
    refuse_store(&target)?;
    target.create_dirs()?;
    let total = segments.iter().map(|live| live.segment.meta().bytes).chain(runs.iter().map(|live| live.run.bytes()));
    let mut copier = Copier { disk: target.disk(), root: dir, watch, done: 0, total: total.sum(), files: Vec::new() };
    for LiveSegment { number, segment } in &segments {
        let bytes = segment.meta().bytes;
        copier.copy(&target.segment(*number), bytes, &|buffer, offset| segment.read_raw(buffer, offset))?;
    }
    for LiveRun { number, run } in &runs {
        copier.copy(&target.run(*number), run.bytes(), &|buffer, offset| run.read_raw(buffer, offset))?;
    }
    if let Some((entry, bytes)) = facts {
        // Taken while the MANIFEST named it: it is replaced with every seal.
        let read = |buffer: &mut [u8], offset: u64| {
            let from = offset as usize;
            buffer.copy_from_slice(&bytes[from..from + buffer.len()]);
            Ok(())
        };
        copier.copy(&target.facts(entry.number), bytes.len() as u64, &read)?;
    }
    sync_dir(target.disk(), &target.facts_dir())?;
    sync_dir(target.disk(), &target.segments_dir())?;
    sync_dir(target.disk(), &target.dedupe_dir())?;
    manifest.write(&target)?;
    let mut files = copier.files;
    files.push(described(target.disk(), dir, &target.manifest())?);
    let events = manifest.segments.iter().map(|entry| entry.meta.rows).sum();
    Ok(EventsBackup { events, sequence: manifest.low, files })
}

/// What is copied.
struct Held {
    manifest: Manifest,
    segments: Vec<LiveSegment>,
    runs: Vec<LiveRun>,
    facts: Option<(FactsEntry, Vec<u8>)>,
}

/// The sealed files of this moment, and a MANIFEST that names them and no frame of the log beyond them. Facts of later
/// frames come along: the numbers of those frames are not used again, so that no fact of the copy is taken for one of them.
fn hold(shared: &Shared) -> Result<Held, StoreError> {
    let catalog = lock(&shared.catalog);
    let live = lock(&shared.live);
    let mut manifest = catalog.clone();
    let facts = match catalog.facts {
        None => None,
        Some(entry) => {
            let path = shared.layout.facts(entry.number);
            let bytes = shared.layout.disk().read(&path).map_err(StoreError::io("cannot read", &path))?;
            let (facts, _) = facts_file::decode(&path, &bytes, entry.bytes, &shared.secret)?;
            manifest.low = manifest.low.max(facts.sequence);
            Some((entry, bytes))
        }
    };
    manifest.durable = manifest.low;
    Ok(Held { manifest, segments: live.segments.clone(), runs: live.runs.clone(), facts })
}

/// A store that is there is never written over.
fn refuse_store(target: &Layout) -> Result<(), StoreError> {
    let path = target.manifest();
    match target.disk().exists(&path) {
        true => Err(StoreError::io("cannot write over", &path)(std::io::ErrorKind::AlreadyExists.into())),
        false => Ok(()),
    }
}

struct Copier<'a> {
    disk: &'a dyn Disk,
    root: &'a Path,
    watch: Watch<'a>,
    done: u64,
    total: u64,
    files: Vec<CopiedFile>,
}

impl Copier<'_> {
    /// Writes a new file with what `read` gives, and makes it durable.
    fn copy(&mut self, path: &Path, bytes: u64, read: Reading<'_>) -> Result<(), StoreError> {
        let file = self.disk.create(path, Access::Owner).map_err(StoreError::io("cannot create", path))?;
        let (mut offset, mut crc32c) = (0, 0);
        let mut buffer = vec![0; STEP];
        while offset < bytes {
            let step = usize::try_from(bytes - offset).unwrap_or(STEP).min(STEP);
            let part = &mut buffer[..step];
            read(part, offset)?;
            file.write_all_at(part, offset).map_err(StoreError::io("cannot write", path))?;
            crc32c = crc32c::crc32c_append(crc32c, part);
            offset += step as u64;
            self.done += step as u64;
            let progress = Progress { phase: "copying", unit: Unit::Bytes, done: self.done, total: self.total };
            if (self.watch)(progress) == ControlFlow::Break(()) {
                return Err(StoreError::Cancelled);
            }
        }
        file.sync_all().map_err(StoreError::io("cannot write", path))?;
        self.files.push(CopiedFile { path: inside(self.root, path), bytes, crc32c });
        Ok(())
    }
}

fn described(disk: &dyn Disk, root: &Path, path: &Path) -> Result<CopiedFile, StoreError> {
    let bytes = disk.read(path).map_err(StoreError::io("cannot read", path))?;
    Ok(CopiedFile { path: inside(root, path), bytes: bytes.len() as u64, crc32c: crc32c::crc32c(&bytes) })
}

fn inside(root: &Path, path: &Path) -> std::path::PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_path_buf()
}
