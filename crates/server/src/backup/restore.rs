//! From a backup to a data directory.

use super::description::{DescribedFile, Description};
use super::{make_empty_dir, read_pieces, sync_dir};
use crate::control::{RestoreResult, VerifyResult};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use tallystick_engine::{EVENTS_DIR, Progress, STATE_FILE, Unit, Watch, verify_backup};
use tokio::runtime::Handle;

/// Why there is no data directory.
#[derive(Debug)]
pub enum RestoreError {
    /// Nothing was tried.
    Refused(String),
    /// The backup is damaged. Nothing was written.
    Damaged(Box<VerifyResult>),
    /// Writing failed; what was written is not complete.
    Failed(String),
}

/// Checks a backup as a whole, then copies it into an empty or new folder. Blocks.
pub fn restore(dir: &Path, target: &Path, runtime: &Handle, watch: Watch<'_>) -> Result<RestoreResult, RestoreError> {
    let description = Description::read(dir).map_err(RestoreError::Refused)?;
    check(dir, &description, runtime, watch)?;
    make_empty_dir(target).map_err(RestoreError::Refused)?;
    let failed = |error: io::Error| {
        let target = target.display();
        RestoreError::Failed(format!("{error}; what is in {target} is not complete: remove it and try again"))
    };
    let mut copier = Copier { dir, target, watch, done: 0, total: description.bytes() };
    // Without its MANIFEST, which is copied last, the event store refuses to open.
    let (manifest, others): (Vec<_>, Vec<_>) =
        description.files.iter().partition(|file| file.path == Path::new(EVENTS_DIR).join("MANIFEST"));
    others.into_iter().chain(manifest).try_for_each(|file| copier.copy(file)).map_err(failed)?;
    sync_all_dirs(target, &description).map_err(failed)?;
    Ok(RestoreResult {
        data_dir: target.to_path_buf(),
        events: description.events,
        files: description.files.len() as u64,
        bytes: description.bytes(),
        state: description.state,
    })
}

/// Reads every file of a backup and checks it as a store is checked.
fn check(dir: &Path, description: &Description, runtime: &Handle, watch: Watch<'_>) -> Result<(), RestoreError> {
    let refused = |error: &dyn std::fmt::Display| RestoreError::Refused(error.to_string());
    let mut damaged = Vec::new();
    let mut done = 0;
    for file in &description.files {
        let path = dir.join(&file.path);
        match DescribedFile::read(dir, &file.path) {
            Ok(found) if found == *file => {}
            Ok(_) => damaged.push((path, "it is not the file that was backed up".to_owned())),
            Err(error) => damaged.push((path, error.to_string())),
        }
        done += file.bytes;
        let progress = Progress { phase: "reading", unit: Unit::Bytes, done, total: description.bytes() };
        if watch(progress).is_break() {
            return Err(refused(&"ended"));
        }
    }
    if !damaged.is_empty() {
        let mut result = VerifyResult::default();
        result.add_damaged(damaged);
        return Err(RestoreError::Damaged(Box::new(result)));
    }
    let checked = verify_backup(dir, runtime, watch).map_err(|error| refused(&error))?;
    let events = checked.events.segment_rows;
    let mut result = VerifyResult::of(checked, &dir.join(STATE_FILE).display().to_string());
    if result.ok && events != description.events {
        let what = format!("it holds {events} events and was made with {}", description.events);
        damaged.push((dir.join(EVENTS_DIR), what));
    }
    result.add_damaged(damaged);
    if result.ok { Ok(()) } else { Err(RestoreError::Damaged(Box::new(result))) }
}

struct Copier<'a> {
    dir: &'a Path,
    target: &'a Path,
    watch: Watch<'a>,
    done: u64,
    total: u64,
}

impl Copier<'_> {
    /// Writes a new file, makes it last, and sees that it is what the description says.
    fn copy(&mut self, file: &DescribedFile) -> io::Result<()> {
        let path = self.target.join(&file.path);
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        let mut out = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?;
        let mut crc = 0;
        read_pieces(&self.dir.join(&file.path), &mut |piece| {
            crc = crc32c::crc32c_append(crc, piece);
            self.done += piece.len() as u64;
            let progress =
                Progress { phase: "copying", unit: Unit::Bytes, done: self.done.min(self.total), total: self.total };
            match (self.watch)(progress) {
                ControlFlow::Continue(()) => out.write_all(piece),
                ControlFlow::Break(()) => Err(io::Error::other("ended")),
            }
        })?;
        if format!("{crc:08x}") != file.crc32c {
            return Err(io::Error::other(format!("{} changed while it was read", file.path.display())));
        }
        out.sync_all()
    }
}

fn sync_all_dirs(target: &Path, description: &Description) -> io::Result<()> {
    // The event store makes this one too, but a restored directory is complete by itself.
    let log = target.join(EVENTS_DIR).join("wal");
    DirBuilder::new().recursive(true).mode(0o700).create(&log)?;
    let mut dirs: Vec<PathBuf> =
        description.files.iter().filter_map(|file| Some(target.join(file.path.parent()?))).collect();
    dirs.extend([log, target.join(EVENTS_DIR), target.to_path_buf()]);
    dirs.sort();
    dirs.dedup();
    dirs.iter().try_for_each(|dir| sync_dir(dir))?;
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_dir)
}
