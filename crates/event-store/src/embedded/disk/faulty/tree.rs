//! The names on the disk: those that last, and those that were given or taken since.

use super::random::Random;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// A file, by its number.
    File(u64),
    Dir,
}

type Names = BTreeMap<OsString, Entry>;

/// A change of a directory that was not made to last yet.
#[derive(Clone, Debug)]
enum Change {
    Add(OsString, Entry),
    Remove(OsString),
    /// Both names change at once.
    Rename(OsString, OsString, Entry),
}

impl Change {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(name, entry) => drop(names.insert(name.clone(), *entry)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Rename(from, to, entry) => {
                names.remove(from);
                names.insert(to.clone(), *entry);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Dir {
    current: Names,
    durable: Names,
    unsynced: Vec<Change>,
}

impl Dir {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }
}

/// All directories, by path. `/` is always there.
#[derive(Debug)]
pub(super) struct Tree {
    dirs: BTreeMap<PathBuf, Dir>,
}

impl Tree {
    pub fn new() -> Self {
        Self { dirs: BTreeMap::from([(PathBuf::from("/"), Dir::default())]) }
    }

    pub fn get(&self, path: &Path) -> io::Result<Entry> {
        if path == Path::new("/") {
            return Ok(Entry::Dir);
        }
        let (dir, name) = split(path)?;
        self.dirs.get(dir).and_then(|dir| dir.current.get(&name)).copied().ok_or_else(not_found)
    }

    pub fn file(&self, path: &Path) -> io::Result<u64> {
        match self.get(path)? {
            Entry::File(number) => Ok(number),
            Entry::Dir => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub fn add(&mut self, path: &Path, entry: Entry) -> io::Result<()> {
        let (dir, name) = split(path)?;
        self.dirs.get_mut(dir).ok_or_else(not_found)?.change(Change::Add(name, entry));
        if entry == Entry::Dir {
            self.dirs.insert(path.to_path_buf(), Dir::default());
        }
        Ok(())
    }

    pub fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        let (dir, name) = split(path)?;
        self.dirs.get_mut(dir).ok_or_else(not_found)?.change(Change::Remove(name));
        Ok(())
    }

    /// Renames within a directory.
    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let entry = Entry::File(self.file(from)?);
        let ((dir, old), (other, new)) = (split(from)?, split(to)?);
        if dir != other {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        self.dirs.get_mut(dir).ok_or_else(not_found)?.change(Change::Rename(old, new, entry));
        Ok(())
    }

    pub fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let names = &self.dirs.get(dir).ok_or_else(not_found)?.current;
        Ok(names.keys().map(|name| dir.join(name)).collect())
    }

    /// Every file, with its number.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        for (path, dir) in &self.dirs {
            for (name, entry) in &dir.current {
                if let Entry::File(number) = entry {
                    found.push((path.join(name), *number));
                }
            }
        }
        found
    }

    pub fn sync(&mut self, dir: &Path) -> io::Result<()> {
        let dir = self.dirs.get_mut(dir).ok_or_else(not_found)?;
        for change in std::mem::take(&mut dir.unsynced) {
            change.apply(&mut dir.durable);
        }
        Ok(())
    }

    /// What a power cut leaves: any of the changes that were not synced.
    pub fn lose_power(&mut self, random: &mut Random) {
        for dir in self.dirs.values_mut() {
            for change in std::mem::take(&mut dir.unsynced) {
                if random.one_in(2) {
                    change.apply(&mut dir.durable);
                }
            }
            dir.current.clone_from(&dir.durable);
        }
        // A directory without its name is gone with all that is in it. Parents come before what they hold.
        let paths: Vec<PathBuf> = self.dirs.keys().cloned().collect();
        for path in paths {
            if self.get(&path).is_err() {
                self.dirs.remove(&path);
            }
        }
    }
}

fn split(path: &Path) -> io::Result<(&Path, OsString)> {
    let name = path.file_name().ok_or_else(not_found)?;
    Ok((path.parent().ok_or_else(not_found)?, name.to_owned()))
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}
