//! What is to go wrong, and when.

use std::ffi::OsStr;
use std::path::Path;

/// What a file is for, told from its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file of the write-ahead log.
    Log,
    /// A sealed file of events.
    Segment,
    /// A file of identities.
    Run,
    /// The MANIFEST, or the next one.
    Manifest,
    /// A facts file.
    Facts,
    /// A directory, or a file of another name.
    Other,
}

impl FileKind {
    /// The kind of a path.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(OsStr::to_str) {
            Some("wal") => Self::Log,
            Some("seg") => Self::Segment,
            Some("run") => Self::Run,
            Some("facts") => Self::Facts,
            _ if path.file_stem() == Some(OsStr::new("MANIFEST")) => Self::Manifest,
            _ => Self::Other,
        }
    }
}

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Opening a file that exists.
    Open,
    /// Reading bytes.
    Read,
    /// Listing a directory.
    List,
    /// Creating a file or emptying it.
    Create,
    /// Creating a directory.
    CreateDir,
    /// Writing bytes.
    Write,
    /// Making a file last.
    Sync,
    /// Making a directory last.
    SyncDir,
    /// Giving a file another name.
    Rename,
    /// Removing a file.
    Remove,
}

impl Action {
    /// Whether it changes what is on the disk or what lasts. Only these are counted: a crash between two reads is the
    /// same as one before the next change.
    pub fn is_change(self) -> bool {
        !matches!(self, Self::Open | Self::Read | Self::List)
    }
}

/// When a fault strikes. Each strikes once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// At the change of this number; see [`super::FaultyDisk::changes`].
    Change(u64),
    /// At the `nth` time from now, counted from 1, that this is done to a file of this kind.
    Nth {
        /// What is done.
        action: Action,
        /// To which files.
        kind: FileKind,
        /// How many times, this one included.
        nth: u64,
    },
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// The power fails in the middle: a write is torn at any byte, a sync covers a part. Nothing works until
    /// [`super::FaultyDisk::restart`].
    PowerCut,
    /// The process dies in the middle, and the machine goes on: what was written stays readable, also what was not
    /// synced. Nothing works until [`super::FaultyDisk::start_process`].
    Kill,
    /// An input/output error. A failed sync of a file drops what it should have made last, and the next one succeeds;
    /// what a failed sync of a directory should have made last may still do so later.
    Fail,
    /// No space, although there is some.
    Full,
    /// A read or a write that does a part only, which is no error.
    Short,
}

/// A fault that is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// When.
    pub on: Trigger,
    /// What.
    pub harm: Harm,
}

/// The faults to come, and what was done until now.
#[derive(Debug, Default)]
pub(super) struct Plan {
    faults: Vec<Fault>,
    /// Changes until now.
    pub changes: u64,
}

impl Plan {
    pub fn schedule(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub fn clear(&mut self) {
        self.faults.clear();
    }

    /// Notes what is about to be done; returns what is to go wrong with it.
    pub fn next(&mut self, action: Action, path: &Path) -> Option<Harm> {
        if action.is_change() {
            self.changes += 1;
        }
        let changes = self.changes;
        let mut struck = None;
        self.faults.retain_mut(|fault| {
            let strikes = match &mut fault.on {
                Trigger::Change(number) => action.is_change() && *number == changes,
                Trigger::Nth { action: wanted, kind, nth } if *wanted == action && *kind == FileKind::of(path) => {
                    *nth = nth.saturating_sub(1);
                    *nth == 0
                }
                Trigger::Nth { .. } => false,
            };
            if strikes && struck.is_none() {
                struck = Some(fault.harm);
                return false;
            }
            true
        });
        struck
    }
}
