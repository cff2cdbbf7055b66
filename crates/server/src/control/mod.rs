//! The control socket: what the owner of the data does with a running server.
//!
//! Invariant: only who may open `control.sock` in the data directory, which its owner alone may (mode 0600), gets here;
//! nothing of it is reachable over HTTP. A request is one line of JSON and an answer lines of JSON: progress, events, and
//! in the end a result or an error. Lines and connections are bounded. [`perform`] does the same in a process that opened
//! the stores itself, so a command does not care which of the two it talks to.

mod client;
mod listener;
mod perform;
mod results;
mod wire;

pub use client::{Reached, ask, reach};
pub use listener::ControlSocket;
pub use perform::{Reporter, perform};
pub use results::{BackupResult, FileGroup, PartLine, RestoreResult, RetentionResult, StatsResult, VerifyResult};
pub use wire::{ExportedEvent, Line, ProgressLine, Request};

use std::path::{Path, PathBuf};

/// Where the socket of a data directory is.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}
