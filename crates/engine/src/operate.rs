//! What the operator of the machine does with the stores: check, copy, describe and export them.
//!
//! There is no [`Caller`](crate::Caller) here: these methods see every namespace. They are for whoever owns the data
//! directory, who reaches them through its control socket or opens the stores himself, and never for a dialect.

use crate::engine::{Engine, OpenError, state_url_of};
use crate::error::EngineError;
use std::path::Path;
use tallystick_domain::Namespace;
use tallystick_domain::event::StoredRef;
use tallystick_event_store::{
    EventStore, EventsBackup, SegmentSizes, StoreContent, StoreError, StoreHistograms, Verification, Watch,
};
use tallystick_state_store::{StateStore, StateUrl};

/// The usage events of a data directory or a backup, in it.
pub const EVENTS_DIR: &str = "events";
/// The file of the state store, in a data directory or a backup.
pub const STATE_FILE: &str = "state.sqlite";

/// What a check of the state store found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateCheck {
    /// Its kind: `sqlite` or `postgres`.
    pub backend: &'static str,
    /// What is wrong with it; empty if all is well.
    pub faults: Vec<String>,
}

/// A full check of what was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// The usage events.
    pub events: Verification,
    /// Everything else; `None` if it is not there, as in a backup beside a PostgreSQL database.
    pub state: Option<StateCheck>,
}

impl Engine {
    /// Checks both stores while they work. Blocks; `runtime` runs what waits for the state store.
    pub fn verify(&self, runtime: &tokio::runtime::Handle, watch: Watch<'_>) -> Result<Checked, EngineError> {
        let backend = self.state().backend_name();
        let faults = runtime.block_on(self.state().check_integrity())?;
        let events = self.events().verify_all(watch).map_err(operator_error)?;
        Ok(Checked { events, state: Some(StateCheck { backend, faults }) })
    }

    /// Copies the state into the new file [`STATE_FILE`] of `dir`, as of one moment. Returns whether there is such a file:
    /// a PostgreSQL database has its own tools.
    ///
    /// Take it before the events: what it says of usage is then in the events that are copied after it.
    pub async fn backup_state(&self, dir: &Path) -> Result<bool, EngineError> {
        Ok(self.state().copy_to(&dir.join(STATE_FILE)).await?)
    }

    /// Copies all events that were acknowledged before the call into the folder [`EVENTS_DIR`] of `dir`. Blocks.
    pub fn backup_events(&self, dir: &Path, watch: Watch<'_>) -> Result<EventsBackup, EngineError> {
        self.events().backup(&dir.join(EVENTS_DIR), watch).map_err(operator_error)
    }

    /// The kind of the state store: `sqlite` or `postgres`.
    pub fn state_backend(&self) -> &'static str {
        self.state().backend_name()
    }

    /// What is stored, by file and by type. Blocks.
    pub fn content(&self) -> Result<StoreContent, EngineError> {
        self.events().content().map_err(operator_error)
    }

    /// What the bytes of sealed events are spent on.
    pub fn sizes(&self) -> SegmentSizes {
        self.events().sizes()
    }

    /// Sizes and durations since the start.
    pub fn histograms(&self) -> StoreHistograms {
        self.events().histograms()
    }

    /// Hands out every event of every namespace until `each` says that it wants no more. Blocks.
    pub fn export(&self, each: &mut dyn FnMut(&Namespace, StoredRef<'_>) -> bool) -> Result<(), EngineError> {
        let mut each = |namespace: &Namespace, stored: StoredRef<'_>| match each(namespace, stored) {
            true => Ok(()),
            false => Err(StoreError::Cancelled),
        };
        self.events().export(&mut each).map_err(operator_error)
    }
}

/// Checks the stores of a data directory that no server uses, and changes nothing in the events. Blocks.
///
/// # Errors
/// [`StoreError::Locked`] while a server uses them, and [`OpenError::State`] if the state store cannot be reached.
pub fn verify_closed(
    data_dir: &Path,
    state_url: Option<&str>,
    runtime: &tokio::runtime::Handle,
    watch: Watch<'_>,
) -> Result<Checked, OpenError> {
    let events = EventStore::verify_closed(&data_dir.join(EVENTS_DIR), watch)?;
    let url = state_url_of(data_dir, state_url)?;
    let state = match &url {
        // Looking at it must not create it.
        StateUrl::Sqlite(path) if !path.exists() => None,
        _ => Some(check_state(&url, false, runtime)?),
    };
    Ok(Checked { events, state })
}

/// Checks the stores in a backup and writes nothing to it. Blocks.
///
/// # Errors
/// [`OpenError::State`] if the state in it cannot be opened, and whatever ends the check of the events.
pub fn verify_backup(dir: &Path, runtime: &tokio::runtime::Handle, watch: Watch<'_>) -> Result<Checked, OpenError> {
    let events = EventStore::verify_closed(&dir.join(EVENTS_DIR), watch)?;
    let path = dir.join(STATE_FILE);
    let state = match path.exists() {
        true => Some(check_state(&StateUrl::Sqlite(path), true, runtime)?),
        false => None,
    };
    Ok(Checked { events, state })
}

fn check_state(url: &StateUrl, is_backup: bool, runtime: &tokio::runtime::Handle) -> Result<StateCheck, OpenError> {
    let backend = match url {
        StateUrl::Sqlite(_) => "sqlite",
        StateUrl::Postgres(_) => "postgres",
    };
    let faults = runtime.block_on(StateStore::check_closed(url, is_backup))?;
    Ok(StateCheck { backend, faults })
}

fn operator_error(error: StoreError) -> EngineError {
    match error {
        StoreError::Damaged { .. } | StoreError::Newer { .. } => EngineError::Internal(error.to_string()),
        other => EngineError::Unavailable(other.to_string()),
    }
}
