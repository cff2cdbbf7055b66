//! Where things lie in the store's directory, and how they are made to last.

use super::disk::{Access, Disk, DiskFile};
use crate::StoreError;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The paths of one store, and the disk that they are on.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    disk: Arc<dyn Disk>,
    root: PathBuf,
}

impl Layout {
    pub fn new(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self { disk, root: root.to_path_buf() }
    }

    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    pub fn shared_disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }

    pub fn manifest(&self) -> PathBuf {
        self.root.join("MANIFEST")
    }

    pub fn wal_dir(&self) -> PathBuf {
        self.root.join("wal")
    }

    pub fn segments_dir(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub fn dedupe_dir(&self) -> PathBuf {
        self.root.join("dedupe")
    }

    pub fn facts_dir(&self) -> PathBuf {
        self.root.join("facts")
    }

    pub fn segment(&self, number: u64) -> PathBuf {
        self.segments_dir().join(format!("{number:016x}.seg"))
    }

    pub fn run(&self, number: u64) -> PathBuf {
        self.dedupe_dir().join(format!("{number:016x}.run"))
    }

    pub fn facts(&self, number: u64) -> PathBuf {
        self.facts_dir().join(format!("{number:016x}.facts"))
    }

    /// Creates the directories that are missing and makes their entries last. A parent that was there before may be closed
    /// to us.
    pub fn create_dirs(&self) -> Result<(), StoreError> {
        let missing: Vec<_> = self.root.ancestors().take_while(|dir| !self.disk.exists(dir)).collect();
        for dir in [self.root.clone(), self.wal_dir(), self.segments_dir(), self.dedupe_dir(), self.facts_dir()] {
            self.disk.create_dirs(&dir).map_err(StoreError::io("cannot create the directory", &dir))?;
        }
        // A process before may have made them and been killed; with a MANIFEST that is not possible any more.
        if !self.disk.exists(&self.manifest()) {
            for dir in self.root.ancestors() {
                self.keep_entry_of(dir, missing.contains(&dir))?;
            }
        }
        sync_dir(self.disk(), &self.root)
    }

    /// Makes a directory's entry in its parent last.
    fn keep_entry_of(&self, dir: &Path, is_new: bool) -> Result<(), StoreError> {
        let parent = match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) => Path::new("."),
            None => return Ok(()),
        };
        match sync_dir(self.disk(), parent) {
            Err(StoreError::Io { source, .. }) if !is_new && is_closed_to_us(&source) => Ok(()),
            synced => synced,
        }
    }

    /// Takes the directory for this process. The lock lasts as long as the returned file, also when killed.
    pub fn lock(&self) -> Result<Arc<dyn DiskFile>, StoreError> {
        let path = self.root.join("LOCK");
        let file = self.disk.open_or_create(&path).map_err(StoreError::io("cannot write", &path))?;
        match file.try_lock() {
            Ok(true) => Ok(file),
            Ok(false) => Err(StoreError::Locked { path }),
            Err(source) => Err(StoreError::Io { action: "cannot lock", path, source }),
        }
    }
}

/// Whether a directory cannot be opened or made to last by this process at all.
fn is_closed_to_us(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported)
}

/// The files of a directory that carry a number of ours and `extension`.
pub(crate) fn numbered_files(disk: &dyn Disk, dir: &Path, extension: &str) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for path in disk.list(dir).map_err(StoreError::io("cannot list", dir))? {
        let stem = path.file_stem().and_then(OsStr::to_str).filter(|stem| stem.len() == 16);
        let number = stem.and_then(|stem| u64::from_str_radix(stem, 16).ok());
        if let (Some(number), true) = (number, path.extension() == Some(OsStr::new(extension))) {
            found.push((number, path));
        }
    }
    Ok(found)
}

/// Removes what a crash left half made: files of ours that the MANIFEST does not know. Other files are left alone.
pub(crate) fn remove_leftovers(
    disk: &dyn Disk,
    dir: &Path,
    extension: &str,
    live: &HashSet<u64>,
) -> Result<(), StoreError> {
    for (number, path) in numbered_files(disk, dir, extension)? {
        if !live.contains(&number) {
            tracing::info!(path = %path.display(), "removing a file that was never finished");
            remove(disk, &path)?;
        }
    }
    Ok(())
}

/// Removes a file; one that is not there is fine.
pub(crate) fn remove(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("cannot remove", path)(error)),
        _ => Ok(()),
    }
}

/// Makes the entries of a directory last.
pub(crate) fn sync_dir(disk: &dyn Disk, dir: &Path) -> Result<(), StoreError> {
    disk.sync_dir(dir).map_err(StoreError::io("cannot make durable", dir))
}

/// Writes `bytes` to `next`, makes them last, and puts the file in the place of `path`. After an error before the
/// rename nothing has changed; an error after it is reported as [`StoreError::Stopped`], as it is not known what lasts.
pub(crate) fn replace_file(disk: &dyn Disk, path: &Path, next: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let file = disk.create(next, Access::Owner).map_err(StoreError::io("cannot write", next))?;
    file.write_all_at(bytes, 0).and_then(|()| file.sync_all()).map_err(StoreError::io("cannot write", next))?;
    disk.rename(next, path).map_err(StoreError::io("cannot replace", path))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    sync_dir(disk, dir).map_err(|error| StoreError::Stopped { reason: error.to_string() })
}

/// Whether the fault is a full disk or quota, after which the same thing may work later.
pub(crate) fn is_full(error: &StoreError) -> bool {
    let StoreError::Io { source, .. } = error else { return false };
    matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
