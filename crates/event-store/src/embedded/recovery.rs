//! Opening a store: MANIFEST, segments and runs, then what only the log knows.

use super::codec::Payload;
use super::dedupe::{IdentitySet, Run};
use super::disk::DiskFile;
use super::facts::ledger::{Counting, Ledger, Tally};
use super::facts::{Fact, file as facts_file};
use super::files::{self, Layout, numbered_files, remove, remove_leftovers};
use super::flush::seal;
use super::identity::Secret;
use super::lock;
use super::manifest::Manifest;
use super::memtable::{Frozen, Memtable};
use super::options::StoreOptions;
use super::row::RowRef;
use super::rows::Rows;
use super::segment::Segment;
use super::shared::{Live, LiveRun, LiveSegment, Shared};
use super::wal::{self, Wal};
use crate::StoreError;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tallystick_domain::Instant;

/// A store that is read and ready for its threads.
pub(crate) struct Opened {
    pub shared: Arc<Shared>,
    pub wal: Wal,
    /// Identities of the rows that the log gave back.
    pub identities: IdentitySet,
    /// Holds the directory.
    pub lock: Arc<dyn DiskFile>,
}

/// Opens the store in a directory, or creates it there.
pub(crate) fn open(dir: &Path, options: StoreOptions) -> Result<Opened, StoreError> {
    let layout = Layout::new(options.disk.clone(), dir);
    layout.create_dirs()?;
    let lock_file = layout.lock()?;
    let manifest = match Manifest::read(&layout)? {
        Some(manifest) => manifest,
        None => create(&layout, &options)?,
    };
    remove_unknown_files(&layout, &manifest)?;
    let shared = Arc::new(Shared::new(layout, options, manifest));
    open_sealed(&shared)?;
    let (wal, identities) = replay(&shared)?;
    Ok(Opened { shared, wal, identities, lock: lock_file })
}

/// Writes the first MANIFEST, unless files show that there was one.
fn create(layout: &Layout, options: &StoreOptions) -> Result<Manifest, StoreError> {
    let dirs = [layout.wal_dir(), layout.segments_dir(), layout.dedupe_dir(), layout.facts_dir()];
    for (dir, extension) in dirs.into_iter().zip(["wal", "seg", "run", "facts"]) {
        if let Some((_, path)) = numbered_files(layout.disk(), &dir, extension)?.first() {
            let what = format!("it is missing, but {} is there", path.display());
            return Err(StoreError::damaged(&layout.manifest(), 0, what));
        }
    }
    let manifest = Manifest::empty(Secret::new(options.identity_secret));
    manifest.write(layout)?;
    Ok(manifest)
}

fn remove_unknown_files(layout: &Layout, manifest: &Manifest) -> Result<(), StoreError> {
    remove(layout.disk(), &layout.manifest().with_extension("new"))?;
    let segments: HashSet<u64> = manifest.segments.iter().map(|entry| entry.number).collect();
    let runs: HashSet<u64> = manifest.runs.iter().map(|entry| entry.number).collect();
    remove_leftovers(layout.disk(), &layout.segments_dir(), "seg", &segments)?;
    remove_leftovers(layout.disk(), &layout.dedupe_dir(), "run", &runs)?;
    let facts: HashSet<u64> = manifest.facts.iter().map(|entry| entry.number).collect();
    remove_leftovers(layout.disk(), &layout.facts_dir(), "facts", &facts)
}

/// Opens what the MANIFEST names, and refuses a file that is not the one it means.
fn open_sealed(shared: &Shared) -> Result<(), StoreError> {
    let mut facts = lock(&shared.facts);
    let catalog = lock(&shared.catalog);
    let mut live = lock(&shared.live);
    if let Some(entry) = catalog.facts {
        let path = shared.layout.facts(entry.number);
        let (read, list) = facts_file::open(shared.layout.disk(), &path, entry.bytes, &shared.secret)?;
        let masks = Arc::make_mut(&mut live.masks);
        list.iter().for_each(|fact| masks.apply(&shared.secret, fact));
        *facts = read;
    }
    for entry in &catalog.segments {
        let path = shared.layout.segment(entry.number);
        let segment = Segment::open(shared.layout.disk(), &path)?;
        if *segment.meta() != entry.meta {
            return Err(StoreError::damaged(&path, 0, "it is not the segment that the MANIFEST names"));
        }
        live.segments.push(LiveSegment { number: entry.number, segment: Arc::new(segment) });
    }
    if catalog.facts.is_none() {
        // A store of an earlier version had no ledger.
        facts.ledger = count_sealed(&live)?;
    }
    for entry in &catalog.runs {
        let path = shared.layout.run(entry.number);
        let run = Run::open(shared.layout.disk(), &path)?;
        if run.keys() != entry.keys {
            return Err(StoreError::damaged(&path, 0, "it is not the run that the MANIFEST names"));
        }
        live.runs.push(LiveRun { number: entry.number, run: Arc::new(run) });
    }
    Ok(())
}

/// The ledger of sealed rows.
fn count_sealed(live: &Live) -> Result<Ledger, StoreError> {
    let mut counting = Counting::default();
    let one = Tally { new: 1, ..Tally::default() };
    for segment in live.segments.iter().map(|live| &live.segment) {
        for table in segment.tables() {
            let mut reader = segment.reader(table);
            for block in &table.blocks {
                let times = reader.times(block)?;
                let (ingested, sources) = (reader.ingested(block, &times)?, reader.sources(block)?);
                for (row, micros) in ingested.into_iter().enumerate() {
                    if let Some(at) = Instant::from_micros(micros) {
                        counting.count(&table.namespace, at, &table.event_type, sources.get(row), one);
                    }
                }
            }
        }
    }
    Ok(counting.finish())
}

/// Reads the log into memory. What is more than a memtable is sealed on the way, so a start needs no more memory than
/// the run before it.
fn replay(shared: &Shared) -> Result<(Wal, IdentitySet), StoreError> {
    let marks = {
        let catalog = lock(&shared.catalog);
        wal::Marks { low: catalog.low, durable: catalog.durable }
    };
    let mut collected = Collected::default();
    let mut take = |sequence: u64, Payload { rows, facts }: Payload| {
        if collected.memtable.rows > 0 && collected.memtable.bytes >= shared.options.memtable_bytes {
            collected.seal(shared)?;
        }
        collected.add(shared, sequence, rows);
        collected.add_facts(shared, sequence, facts);
        Ok(())
    };
    let file_len = shared.options.wal_file_len();
    let wal = wal::recover(&shared.layout, shared.secret, marks, file_len, &mut take)?;
    shared.durable.store(wal.last_sequence(), Ordering::Release);
    lock(&shared.live).active = collected.memtable;
    Ok((wal, collected.identities))
}

#[derive(Default)]
struct Collected {
    memtable: Memtable,
    identities: IdentitySet,
    last_sequence: u64,
}

impl Collected {
    fn add(&mut self, shared: &Shared, sequence: u64, rows: Rows) {
        let identity = |row: RowRef<'_>| {
            let event = row.stored.event;
            shared.secret.identity(row.namespace.as_str(), event.source(), event.id())
        };
        let is_new: Vec<bool> = rows.iter().map(|row| self.identities.insert(identity(row))).collect();
        self.memtable.push(if is_new.contains(&false) { rows.only(&is_new) } else { rows });
        self.last_sequence = sequence;
        shared.durable.fetch_max(sequence, Ordering::AcqRel);
    }

    /// Takes in facts of the log that the facts file does not have.
    fn add_facts(&mut self, shared: &Shared, sequence: u64, new: Vec<Fact>) {
        let mut facts = lock(&shared.facts);
        if new.is_empty() || sequence <= facts.sequence {
            return;
        }
        self.memtable.facts += new.len() as u64;
        let mut live = lock(&shared.live);
        let masks = Arc::make_mut(&mut live.masks);
        new.iter().for_each(|fact| masks.apply(&shared.secret, fact));
        new.into_iter().for_each(|fact| facts.apply(&shared.secret, fact));
        facts.sequence = sequence;
    }

    /// Seals what was collected. With a full disk it stays in memory, and so does everything after it, as sealing keeps
    /// the order of the log; the store opens and seals when there is space.
    fn seal(&mut self, shared: &Shared) -> Result<(), StoreError> {
        let full = std::mem::take(self);
        let frozen = Arc::new(Frozen {
            generation: 0,
            memtable: full.memtable,
            identities: Arc::new(full.identities),
            last_sequence: full.last_sequence,
        });
        let waiting = {
            let mut live = lock(&shared.live);
            live.frozen.push_back(frozen.clone());
            live.frozen.len()
        };
        match if waiting == 1 { seal(shared, &frozen) } else { Ok(()) } {
            Err(error) if !files::is_full(&error) => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::EmbeddedStore;
    use crate::embedded::sample::plain_row;
    use std::os::unix::fs::symlink;

    /// Everything that [`open`] does before it reads the log.
    fn prepared(dir: &Path, options: &StoreOptions) -> Shared {
        let layout = Layout::new(options.disk.clone(), dir);
        let manifest = Manifest::read(&layout).unwrap().unwrap();
        remove_unknown_files(&layout, &manifest).unwrap();
        let shared = Shared::new(layout, options.clone(), manifest);
        open_sealed(&shared).unwrap();
        shared
    }

    fn filled(dir: &Path, options: &StoreOptions) -> usize {
        let store = EmbeddedStore::open(dir, options.clone()).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for n in 0..60 {
            let rows: Vec<_> = (0..10).map(|k| plain_row(n * 10 + k, "c", Instant::MIN, "{}")).collect();
            let namespace = rows[0].namespace.clone();
            let events = rows.into_iter().map(|row| row.stored).collect();
            assert_eq!(runtime.block_on(store.append(&namespace, events)).unwrap().stored, 10);
        }
        600
    }

    #[test]
    fn a_long_log_is_sealed_on_the_way_so_that_a_start_takes_bounded_memory() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { wal_file_bytes: 64 << 10, ..StoreOptions::new([1; 16]) };
        let rows = filled(dir.path(), &options) as u64;
        let less = StoreOptions { memtable_bytes: 16 << 10, ..options };
        let shared = prepared(dir.path(), &less);
        let (_, identities) = replay(&shared).unwrap();
        let live = lock(&shared.live);
        let sealed: u64 = live.segments.iter().map(|live| live.segment.meta().rows).sum();
        assert!(live.segments.len() > 3 && live.frozen.is_empty() && live.active.bytes < 32 << 10);
        assert_eq!((sealed + live.active.rows, identities.len() as u64), (rows, live.active.rows));
    }

    #[test]
    fn a_start_without_space_keeps_everything_in_memory_and_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { wal_file_bytes: 64 << 10, ..StoreOptions::new([1; 16]) };
        let rows = filled(dir.path(), &options) as u64;
        let less = StoreOptions { memtable_bytes: 16 << 10, ..options };
        let shared = prepared(dir.path(), &less);
        // Only the first file finds no space; sealing the second before it would let the log forget both.
        let number = lock(&shared.catalog).next_file;
        symlink("/dev/full", shared.layout.segment(number)).unwrap();
        replay(&shared).unwrap();
        let live = lock(&shared.live);
        let waiting: u64 = live.frozen.iter().map(|frozen| frozen.memtable.rows).sum();
        assert!(live.segments.is_empty() && live.frozen.len() > 3);
        assert!(live.frozen.iter().is_sorted_by_key(|frozen| frozen.last_sequence));
        assert_eq!(waiting + live.active.rows, rows);
    }
}
