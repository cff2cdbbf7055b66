//! Backups: a folder from which a data directory can be made again.
//!
//! Invariant: a folder with a `BACKUP.json` is complete, as that file is written last; it names every other file with its
//! size and checksum. State is copied before events, so whatever the state says of usage is in the events too. Nothing is
//! ever written over: a folder that is not empty is refused.

mod description;
mod restore;

pub use description::{DESCRIPTION, Description};
pub use restore::{RestoreError, restore};

use crate::control::BackupResult;
use description::DescribedFile;
use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use tallystick_engine::{EVENTS_DIR, Engine, STATE_FILE, Watch};
use tokio::runtime::Handle;

/// Bytes that are read at a time.
const STEP: usize = 1 << 20;

/// Copies everything into an empty or new folder and describes it. Blocks.
pub fn take(engine: &Engine, runtime: &Handle, dir: &Path, watch: Watch<'_>) -> Result<BackupResult, String> {
    if !dir.is_absolute() {
        return Err(format!("the folder {} of the backup is not an absolute path", dir.display()));
    }
    make_empty_dir(dir)?;
    let failed = |error: &dyn std::fmt::Display| {
        format!("{error}; the backup in {} is not complete: remove it and try again", dir.display())
    };
    let taken_at = engine.now().to_string();
    let has_state = runtime.block_on(engine.backup_state(dir)).map_err(|error| failed(&error))?;
    let events = engine.backup_events(dir, watch).map_err(|error| failed(&error))?;
    let mut files = Vec::new();
    if has_state {
        files.push(DescribedFile::read(dir, Path::new(STATE_FILE)).map_err(|error| failed(&error))?);
    }
    files.extend(events.files.iter().map(|file| DescribedFile {
        path: Path::new(EVENTS_DIR).join(&file.path),
        bytes: file.bytes,
        crc32c: format!("{:08x}", file.crc32c),
    }));
    let description = Description::new(taken_at, events.events, events.sequence, engine.state_backend(), files);
    description.write(dir).map_err(|error| failed(&error))?;
    Ok(BackupResult {
        dir: dir.to_path_buf(),
        events: description.events,
        files: description.files.len() as u64,
        bytes: description.bytes(),
        state: description.state,
    })
}

/// Makes a folder for its owner alone, or takes one that is empty.
fn make_empty_dir(dir: &Path) -> Result<(), String> {
    match std::fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(format!("{} is not empty: name a new or an empty folder", dir.display())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
            made.map_err(|error| format!("cannot create {}: {error}", dir.display()))
        }
        Err(error) => Err(format!("cannot look into {}: {error}", dir.display())),
    }
}

/// Hands out the bytes of a file piece by piece.
fn read_pieces(path: &Path, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; STEP];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            count => take(&buffer[..count])?,
        }
    }
}

/// Makes the entries of a folder last.
fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
