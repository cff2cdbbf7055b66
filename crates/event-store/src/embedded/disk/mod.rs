//! The disk, as the store sees it: every byte that the store reads or writes goes through here.
//!
//! Invariant: no other file of the embedded store touches the file system, which a test asserts; so what a faulty disk
//! can do to the store can be tried out. What is written counts as lasting only after the sync that covers it: a file's
//! bytes after the file's sync, a directory's entries after [`Disk::sync_dir`].

#[cfg(any(test, feature = "faults"))]
pub mod faulty;
mod host;
#[cfg(test)]
mod tests;
mod writing;

pub use host::HostDisk;
pub(crate) use writing::Writing;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Who may read a file that is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The user of the process and nobody else.
    Owner,
    /// Whoever the umask of the process lets.
    Umask,
}

/// Where files lie. Paths are used as they are given; the store's are below its own directory.
pub trait Disk: Debug + Send + Sync {
    /// Opens a file that exists, to be read.
    ///
    /// # Errors
    /// What the system answers; `NotFound` if there is no such file.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that exists, to be read and written.
    ///
    /// # Errors
    /// What the system answers; `NotFound` if there is no such file.
    fn open_writable(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an empty file, to be read and written; what stood there before is cut off.
    ///
    /// # Errors
    /// What the system answers.
    fn create(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file to be written and leaves its bytes as they are; creates it if there is none.
    ///
    /// # Errors
    /// What the system answers.
    fn open_or_create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a directory and those above it; one that exists is fine.
    ///
    /// # Errors
    /// What the system answers.
    fn create_dirs(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file another name, and takes the place of a file of that name.
    ///
    /// # Errors
    /// What the system answers.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Who has it open can still read it.
    ///
    /// # Errors
    /// What the system answers; `NotFound` if there is no such file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// The paths of what lies in a directory, in no order.
    ///
    /// # Errors
    /// What the system answers.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;

    /// Makes the entries of a directory last: what was created, renamed and removed in it.
    ///
    /// # Errors
    /// What the system answers.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Whether there is a file or directory of this name that can be seen.
    fn exists(&self, path: &Path) -> bool;

    /// All bytes of a file.
    ///
    /// # Errors
    /// What the system answers; `NotFound` if there is no such file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let len = usize::try_from(file.len()?).map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}

/// An open file. It is read and written by position, so that many readers share one without a lock.
#[allow(clippy::len_without_is_empty, reason = "the length asks the system, and is never asked to be zero")]
pub trait DiskFile: Debug + Send + Sync {
    /// Reads some bytes at `offset`, maybe fewer than fit; none at the end of the file.
    ///
    /// # Errors
    /// What the system answers.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes some of `bytes` at `offset`, and says how many.
    ///
    /// # Errors
    /// What the system answers.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the bytes of the file last, and its length.
    ///
    /// # Errors
    /// What the system answers. It is not known what lasts then, and asking again does not tell.
    fn sync_data(&self) -> io::Result<()>;

    /// As [`DiskFile::sync_data`], and makes all else last that the system keeps about the file.
    ///
    /// # Errors
    /// What the system answers.
    fn sync_all(&self) -> io::Result<()>;

    /// Number of bytes.
    ///
    /// # Errors
    /// What the system answers.
    fn len(&self) -> io::Result<u64>;

    /// Takes the file for this process; the lock lasts as long as the file is open. `false` if another one has it.
    ///
    /// # Errors
    /// What the system answers.
    fn try_lock(&self) -> io::Result<bool>;

    /// Fills `bytes` from `offset` on.
    ///
    /// # Errors
    /// What the system answers; `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.read_at(bytes, offset) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "failed to fill whole buffer")),
                Ok(count) => {
                    bytes = &mut bytes[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes all of `bytes` from `offset` on.
    ///
    /// # Errors
    /// What the system answers; some of the bytes may be written then.
    fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::WriteZero, "failed to write whole buffer")),
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
