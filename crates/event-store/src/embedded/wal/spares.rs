//! Log files for the next use, made ahead so that an append does not wait for one.
//!
//! Invariant: a spare file is filled with its bytes on disk and named in its directory for good, so that using it allocates
//! nothing. Its frames, if it has any, are sealed elsewhere.

use super::LogFile;
use crate::StoreError;
use crate::embedded::disk::{Access, Disk, DiskFile, Writing};
use crate::embedded::files::{self, sync_dir};
use crate::embedded::lock;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Files that are kept for their next use; more are removed.
const MOST_KEPT: usize = 3;
/// Zeros that are written before they are made to last, so that other files' syncs do not wait long.
const STEP_BYTES: usize = 4 << 20;
/// How long to wait before a file is tried again that could not be made: an attempt on a full disk takes what space is left
/// for a moment, so it must be rare.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The spare files of one log.
pub(crate) struct Spares {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file_len: u64,
    /// Held while a file is made: who needs one at that moment waits for it and makes no second one.
    state: Mutex<State>,
    taken: Condvar,
    ended: AtomicBool,
    kept: AtomicU64,
}

struct State {
    files: Vec<LogFile>,
    next_number: u64,
}

impl Spares {
    /// Those that were found; `next_number` is that of no file yet.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        file_len: u64,
        found: Vec<LogFile>,
        next_number: u64,
    ) -> Result<Self, StoreError> {
        let (mut files, mut dropped): (Vec<_>, Vec<_>) = found.into_iter().partition(|file| file.len == file_len);
        dropped.extend(files.drain(MOST_KEPT.min(files.len())..));
        dropped.iter().try_for_each(|file| files::remove(&*disk, &file.path))?;
        let kept = AtomicU64::new(files.len() as u64);
        let state = Mutex::new(State { files, next_number });
        Ok(Self { disk, dir, file_len, state, taken: Condvar::new(), ended: AtomicBool::new(false), kept })
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// The length of a file.
    pub(super) fn file_len(&self) -> u64 {
        self.file_len
    }

    /// Takes one; makes it if there is none.
    pub(super) fn take(&self) -> Result<LogFile, StoreError> {
        let mut state = lock(&self.state);
        let taken = match state.files.pop() {
            Some(file) => file,
            None => self.make(&mut state)?,
        };
        self.count_in(&state);
        self.taken.notify_all();
        Ok(taken)
    }

    /// Keeps a file for its next use, or removes it. Gives it back while another one is being made.
    pub(super) fn give(&self, freed: LogFile) -> Result<Option<LogFile>, StoreError> {
        let mut state = match self.state.try_lock() {
            Ok(state) => state,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => return Ok(Some(freed)),
        };
        if freed.len != self.file_len || state.files.len() >= MOST_KEPT {
            drop(state);
            return files::remove(&*self.disk, &freed.path).map(|()| None);
        }
        state.files.push(freed);
        self.count_in(&state);
        Ok(None)
    }

    /// Makes sure that one is there whenever the last was taken, until [`Spares::end`].
    pub fn keep_one_ready(&self) {
        let mut state = lock(&self.state);
        while !self.ended.load(Ordering::Acquire) {
            if !state.files.is_empty() {
                state = self.taken.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            match self.make(&mut state) {
                Ok(file) => state.files.push(file),
                Err(error) => {
                    // Who needs the file meets the same error, and says so.
                    tracing::warn!(%error, "a log file could not be made ahead; trying again");
                    state = self.taken.wait_timeout(state, RETRY_AFTER).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
            self.count_in(&state);
        }
    }

    /// What [`Spares::keep_one_ready`] would do next, once.
    #[cfg(any(test, feature = "faults"))]
    pub fn step(&self) {
        let mut state = lock(&self.state);
        if state.files.is_empty()
            && let Ok(file) = self.make(&mut state)
        {
            state.files.push(file);
        }
        self.count_in(&state);
    }

    /// Ends [`Spares::keep_one_ready`].
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // Taking the lock makes sure that nobody is between looking at the flag and waiting.
        drop(lock(&self.state));
        self.taken.notify_all();
    }

    fn count_in(&self, state: &MutexGuard<'_, State>) {
        self.kept.store(state.files.len() as u64, Ordering::Relaxed);
    }

    /// Makes a file that holds its zeros on disk: later writes into it need no new block, which halves a sync.
    fn make(&self, state: &mut State) -> Result<LogFile, StoreError> {
        let path = self.dir.join(format!("{:016x}.wal", state.next_number));
        let made = zeroed_file(&*self.disk, &path, self.file_len)
            .and_then(|file| sync_dir(&*self.disk, &self.dir).map(|()| file));
        match made {
            Ok(file) => {
                state.next_number += 1;
                Ok(LogFile { path, file, len: self.file_len })
            }
            Err(error) => {
                // What is left of the attempt only takes space; the next one truncates it anyway.
                let _ = files::remove(&*self.disk, &path);
                Err(error)
            }
        }
    }
}

fn zeroed_file(disk: &dyn Disk, path: &Path, len: u64) -> Result<Arc<dyn DiskFile>, StoreError> {
    let file = disk.create(path, Access::Owner).map_err(StoreError::io("cannot create", path))?;
    let mut writing = Writing::new(file.clone());
    let zeros = vec![0; 1 << 20];
    let (mut left, mut unsynced) = (len, 0);
    while left > 0 {
        let step = left.min(zeros.len() as u64) as usize;
        writing.write_all(&zeros[..step]).map_err(StoreError::io("cannot write", path))?;
        left -= step as u64;
        unsynced += step;
        if unsynced >= STEP_BYTES {
            file.sync_data().map_err(StoreError::io("cannot write", path))?;
            unsynced = 0;
        }
    }
    file.sync_all().map_err(StoreError::io("cannot write", path))?;
    Ok(file)
}
