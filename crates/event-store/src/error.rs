//! What can go wrong in the store, in words that a person can act on.

use std::path::{Path, PathBuf};
use tallystick_domain::QuantityError;
use tallystick_domain::meter::PlanError;

/// A fault of the store itself.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused something.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried, for example `cannot read`.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The answer of the operating system.
        source: std::io::Error,
    },
    /// Bytes that are not what was written.
    #[error("{path} is damaged at byte {offset}: {what}. Restore this file from a backup; nothing was changed")]
    Damaged {
        /// The damaged file.
        path: PathBuf,
        /// Where the damage was noticed.
        offset: u64,
        /// What does not fit.
        what: String,
    },
    /// Another process works on the directory.
    #[error("{path} is in use by another process: stop it, or choose another data directory")]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The directory was written by a later version of the program.
    #[error("{path} has format {found}, this program reads up to {known}: start a newer tallystick")]
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format that is understood.
        known: u32,
    },
    /// The log has a record that only a later version of the program knows.
    #[error(
        "{path} has a record of kind {kind} at byte {offset}, which this program does not know: start a newer tallystick"
    )]
    NewerRecord {
        /// The file of the log.
        path: PathBuf,
        /// Where the group of the record begins.
        offset: u64,
        /// What the record says that it is.
        kind: u8,
    },
    /// Whoever watched a long piece of work ended it. Nothing was changed.
    #[error("the work was ended before it was done")]
    Cancelled,
    /// The store stopped accepting after a fault that must not be retried.
    #[error("the event store stopped accepting events: {reason}. Restart after the cause is removed")]
    Stopped {
        /// The fault.
        reason: String,
    },
}

impl StoreError {
    /// Wraps an answer of the operating system.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StoreError {
        move |source| StoreError::Io { action, path: path.to_path_buf(), source }
    }

    /// Reports damage.
    pub(crate) fn damaged(path: &Path, offset: u64, what: impl Into<String>) -> StoreError {
        StoreError::Damaged { path: path.to_path_buf(), offset, what: what.into() }
    }
}

/// Why events were not taken. None of the batch is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// More is waiting than may be held in memory.
    #[error("too many events are waiting to be stored; try again in a moment")]
    Overloaded,
    /// The disk is full; reading goes on.
    #[error("no space left for events: {0}")]
    Full(String),
    /// The store stopped accepting after a fault.
    #[error("the event store stopped accepting events: {0}")]
    Stopped(String),
    /// One batch is larger than the log can take in one piece.
    #[error("the batch takes {bytes} bytes, at most {limit} can be stored as one")]
    TooLarge {
        /// Size of the batch.
        bytes: usize,
        /// What would fit.
        limit: usize,
    },
}

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The plan itself has none.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<QuantityError> for QueryError {
    fn from(error: QuantityError) -> Self {
        Self::Plan(PlanError::overflow(&[], error))
    }
}
