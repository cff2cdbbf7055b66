//! The check of a whole store: every file is read again, counted, and compared with the others.
//!
//! Things are compared that a damaged or lost file cannot keep equal: the rows of the segments with the identities of the
//! runs (their number, and the sum of all identities, computed anew from each row), the files with the MANIFEST, what is
//! only in the log with the runs (an identity must not be in both), and in a store that is open, what is only in the log
//! with the rows in memory (their number, and the sum of keyed hashes over all that they hold).

use super::codec::Payload;
use super::dedupe::Run;
use super::disk::HostDisk;
use super::facts::file as facts_file;
use super::files::Layout;
use super::identity::Secret;
use super::lock;
use super::manifest::Manifest;
use super::row::{Row, RowRef, RowView};
use super::segment::Segment;
use super::shared::Shared;
use super::wal::{self, Marks};
use crate::StoreError;
use crate::report::{Damage, Progress, Unit, Verification, Watch};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Rows or keys between two looks at the watch.
const LOOK_EVERY: u64 = 4096;
/// How often the log of a running store is read again when a file of it seems damaged: the writer may just have taken it
/// for new frames.
const LOG_ATTEMPTS: usize = 5;

/// The files of one moment, and where they are.
struct Subject {
    layout: Layout,
    secret: Secret,
    segments: Vec<Arc<Segment>>,
    runs: Vec<Arc<Run>>,
    /// Expired rows that are gone, and the sum of their identities, which are not.
    dropped: (u64, u128),
}

/// Checks a store that is open in this process.
pub(crate) fn verify_open(shared: &Shared, watch: Watch<'_>) -> Result<Verification, StoreError> {
    let mut report = Verification::default();
    let subject = {
        let facts = lock(&shared.facts);
        let catalog = lock(&shared.catalog);
        match Manifest::read(&shared.layout) {
            Ok(Some(written)) if written == *catalog => {}
            Ok(_) => report.damage(&shared.layout.manifest(), "it is not the MANIFEST that this store wrote"),
            Err(error) => report.note(error)?,
        }
        if let Some(entry) = catalog.facts {
            let path = shared.layout.facts(entry.number);
            let opened = facts_file::open(shared.layout.disk(), &path, entry.bytes, &shared.secret);
            report.keep(opened, &path, |_| true);
        }
        let live = lock(&shared.live);
        Subject {
            dropped: facts.dropped,
            layout: shared.layout.clone(),
            secret: shared.secret,
            segments: live.segments.iter().map(|live| live.segment.clone()).collect(),
            runs: live.runs.iter().map(|live| live.run.clone()).collect(),
        }
    };
    subject.check_sealed(&mut report, watch)?;
    check_running_log(shared, &subject, &mut report)?;
    Ok(report)
}

/// Checks a store that nobody has open, and changes nothing. Files that the MANIFEST does not name are no part of it.
pub(crate) fn verify_closed(dir: &Path, watch: Watch<'_>) -> Result<Verification, StoreError> {
    let layout = Layout::new(Arc::new(HostDisk), dir);
    let mut report = Verification::default();
    // A backup has none, and nobody works in it.
    let _held = if layout.disk().exists(&dir.join("LOCK")) { Some(layout.lock()?) } else { None };
    let manifest = match Manifest::read(&layout) {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            report.damage(&layout.manifest(), "it is missing");
            return Ok(report);
        }
        Err(error) => {
            report.note(error)?;
            return Ok(report);
        }
    };
    let segments = manifest.segments.iter().filter_map(|entry| {
        let path = layout.segment(entry.number);
        report.keep(Segment::open(layout.disk(), &path), &path, |segment| *segment.meta() == entry.meta)
    });
    let segments = segments.collect();
    let runs = manifest.runs.iter().filter_map(|entry| {
        let path = layout.run(entry.number);
        report.keep(Run::open(layout.disk(), &path), &path, |run| run.keys() == entry.keys)
    });
    let runs = runs.collect();
    let facts = manifest.facts.and_then(|entry| {
        let path = layout.facts(entry.number);
        report.keep(facts_file::open(layout.disk(), &path, entry.bytes, &manifest.secret), &path, |_| true)
    });
    let dropped = facts.map_or((0, 0), |facts| facts.0.dropped);
    let subject = Subject { layout, secret: manifest.secret, segments, runs, dropped };
    subject.check_sealed(&mut report, watch)?;
    let marks = Marks { low: manifest.low, durable: manifest.durable };
    let runs = subject.sound_runs(&report);
    match subject.check_log(marks, u64::MAX, runs, None) {
        Ok(found) => report.add_log(found, &subject.layout),
        Err(error) => report.note(error)?,
    }
    Ok(report)
}

impl Subject {
    /// Reads all segments and runs, and compares their rows and identities.
    fn check_sealed(&self, report: &mut Verification, watch: Watch<'_>) -> Result<(), StoreError> {
        let (mut of_rows, mut of_keys) = (0u128, 0u128);
        let total = self.segments.iter().map(|segment| segment.meta().bytes).sum();
        let mut meter = Meter { watch, phase: "events", done: 0, total, seen: 0 };
        for segment in &self.segments {
            let meta = segment.meta();
            let mut each = |row: &Row| {
                of_rows = of_rows.wrapping_add(identity_of(&self.secret, row.view()));
                meter.advance(meta.rows, meta.bytes)
            };
            match segment.verify_rows(&mut each) {
                Ok(rows) => report.segment_rows += rows,
                Err(error) => report.note(error)?,
            }
            report.segments += 1;
            meter.finish_file(meta.bytes)?;
        }
        let total = self.runs.iter().map(|run| run.bytes()).sum();
        let mut meter = Meter { watch, phase: "identities", done: 0, total, seen: 0 };
        for run in &self.runs {
            let mut each = |key: u128| {
                of_keys = of_keys.wrapping_add(key);
                meter.advance(run.keys(), run.bytes())
            };
            match run.verify_keys(&mut each) {
                Ok(keys) => report.identities += keys,
                Err(error) => report.note(error)?,
            }
            report.runs += 1;
            meter.finish_file(run.bytes())?;
        }
        let sizes =
            self.segments.iter().map(|segment| segment.meta().bytes).chain(self.runs.iter().map(|run| run.bytes()));
        report.bytes = sizes.sum();
        // With a damaged file the counts cannot be equal; that file is what has to be named.
        let all_rows = (report.segment_rows + self.dropped.0, of_rows.wrapping_add(self.dropped.1));
        if report.damages.is_empty() && all_rows != (report.identities, of_keys) {
            let (rows, keys) = (all_rows.0, report.identities);
            let what = match rows == keys {
                true => format!(
                    "the {rows} identities of the runs are not those of the events in the segments and of the expired ones"
                ),
                false => format!("the segments hold {rows} events with those that expired, the runs {keys} identities"),
            };
            report.damage(&self.layout.manifest(), &what);
        }
        Ok(())
    }

    /// The runs that can be asked for identities: none, if a file is damaged, as it was named already.
    fn sound_runs(&self, report: &Verification) -> &[Arc<Run>] {
        if report.damages.is_empty() { &self.runs } else { &[] }
    }

    /// Reads the frames above the low-water mark; none of their identities may be in a run. The first of them must hold what
    /// is in memory; frames behind these came later.
    fn check_log(
        &self,
        marks: Marks,
        last: u64,
        runs: &[Arc<Run>],
        memory: Option<&Content>,
    ) -> Result<InLog, StoreError> {
        let mut found = InLog { is_in_memory: memory.is_none_or(|memory| memory.rows == 0), ..InLog::default() };
        let mut content = Content::default();
        let mut take = |_, Payload { rows, .. }: Payload| {
            found.frames += 1;
            found.rows += rows.len() as u64;
            for row in rows.iter() {
                let identity = identity_of(&self.secret, row);
                for run in runs {
                    found.sealed_too += u64::from(run.contains(identity)?);
                }
            }
            if let Some(memory) = memory.filter(|memory| content.rows < memory.rows) {
                rows.iter().for_each(|row| content.add(&self.secret, row));
                found.is_in_memory = content == *memory;
            }
            Ok(())
        };
        wal::check(&self.layout, self.secret, marks, last, &mut take)?;
        Ok(found)
    }
}

/// What the log holds above the low-water mark.
#[derive(Default)]
struct InLog {
    frames: u64,
    rows: u64,
    /// Rows whose identity is in a run, although they are in no segment.
    sealed_too: u64,
    /// Whether the rows in memory are those of the first frames; they are, if there is no memory to look at.
    is_in_memory: bool,
}

/// Some rows, whatever their order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Content {
    rows: u64,
    /// The sum of keyed hashes over all that a row holds.
    sum: u64,
}

impl Content {
    fn add(&mut self, secret: &Secret, row: RowRef<'_>) {
        let (event, mut bytes) = (row.stored.event, Vec::new());
        let texts = [row.namespace.as_str(), event.id(), event.source(), event.event_type(), event.subject()];
        for text in texts.into_iter().map(Some).chain([event.data(), event.extras()]) {
            bytes.extend_from_slice(&text.map_or(u64::MAX, |text| text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
        for time in [event.time(), row.stored.ingested_at] {
            bytes.extend_from_slice(&time.as_micros().to_le_bytes());
        }
        self.rows += 1;
        self.sum = self.sum.wrapping_add(secret.tag(&bytes));
    }
}

/// The rows in memory, and the frames of the log that are not sealed at the same moment.
fn in_memory(shared: &Shared) -> (Marks, Content) {
    let (low, chunks) = {
        // What is sealed leaves memory in the moment in which the mark moves.
        let catalog = lock(&shared.catalog);
        let view = shared.view();
        (catalog.low, view.chunks)
    };
    let mut content = Content::default();
    chunks.iter().flat_map(|chunk| chunk.iter()).for_each(|row| content.add(&shared.secret, row));
    (Marks { low, durable: shared.durable.load(Ordering::Acquire) }, content)
}

/// While the store works, a file of the log may be taken for new frames as soon as all its old ones are sealed. So only
/// what was durable before is read, and what looks damaged is read again.
fn check_running_log(shared: &Shared, subject: &Subject, report: &mut Verification) -> Result<(), StoreError> {
    let mut attempts = 0;
    let runs = subject.sound_runs(report);
    loop {
        let (marks, memory) = in_memory(shared);
        let checked = subject.check_log(marks, marks.durable, runs, Some(&memory));
        attempts += usize::from(shared.low.load(Ordering::Acquire) == marks.low);
        match checked {
            Ok(found) if found.is_in_memory || attempts >= LOG_ATTEMPTS => {
                report.add_log(found, &subject.layout);
                report.memory_rows = memory.rows;
                return Ok(());
            }
            Err(error) if attempts >= LOG_ATTEMPTS => return report.note(error),
            _ => {}
        }
    }
}

fn identity_of(secret: &Secret, row: RowRef<'_>) -> u128 {
    let event = row.stored.event;
    secret.identity(row.namespace.as_str(), event.source(), event.id())
}

impl Verification {
    fn damage(&mut self, path: &Path, what: &str) {
        self.damages.push(Damage { path: path.to_path_buf(), what: what.to_owned() });
    }

    /// Notes what is wrong with a file and goes on; ends the check when it was cancelled.
    fn note(&mut self, error: StoreError) -> Result<(), StoreError> {
        match error {
            StoreError::Damaged { path, offset, what } => self.damage(&path, &format!("at byte {offset}: {what}")),
            StoreError::Io { action, path, source } => self.damage(&path, &format!("{action} it: {source}")),
            StoreError::Newer { ref path, .. } => {
                let (path, what) = (path.clone(), error.to_string());
                self.damage(&path, &what);
            }
            other => return Err(other),
        }
        Ok(())
    }

    /// Keeps a file that could be opened and is the one that the MANIFEST names.
    fn keep<T>(&mut self, opened: Result<T, StoreError>, path: &Path, is_named: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        match opened {
            Ok(file) if is_named(&file) => return Some(Arc::new(file)),
            Ok(_) => self.damage(path, "it is not the file that the MANIFEST names"),
            Err(error) => {
                // Opening is never cancelled, so every fault can be noted.
                if let Err(other) = self.note(error) {
                    self.damage(path, &other.to_string());
                }
            }
        }
        None
    }

    fn add_log(&mut self, found: InLog, layout: &Layout) {
        self.log_frames = found.frames;
        self.log_rows = found.rows;
        if found.sealed_too > 0 {
            let what = format!("{} of its events are in a run, but in no segment", found.sealed_too);
            self.damage(&layout.wal_dir(), &what);
        }
        if !found.is_in_memory {
            self.damage(&layout.wal_dir(), "its events are not those in memory, which queries see");
        }
    }
}

/// Counts what was read, file by file, and asks now and then whether to go on.
struct Meter<'a> {
    watch: Watch<'a>,
    phase: &'static str,
    done: u64,
    total: u64,
    seen: u64,
}

impl Meter<'_> {
    /// Another item of a file that has `items` of them in `bytes`.
    fn advance(&mut self, items: u64, bytes: u64) -> Result<(), StoreError> {
        self.seen += 1;
        if !self.seen.is_multiple_of(LOOK_EVERY) {
            return Ok(());
        }
        let part = u128::from(bytes) * u128::from(self.seen) / u128::from(items.max(1));
        self.tell(self.done + u64::try_from(part).unwrap_or(bytes).min(bytes))
    }

    fn finish_file(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.seen = 0;
        self.done += bytes;
        self.tell(self.done)
    }

    fn tell(&self, done: u64) -> Result<(), StoreError> {
        let progress = Progress { phase: self.phase, unit: Unit::Bytes, done, total: self.total };
        match (self.watch)(progress) {
            std::ops::ControlFlow::Continue(()) => Ok(()),
            std::ops::ControlFlow::Break(()) => Err(StoreError::Cancelled),
        }
    }
}
