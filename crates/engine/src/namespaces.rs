//! Namespaces: one for each customer of the operator, made by the operator alone.

use crate::clock::Clock;
use crate::engine::{OpenError, open_state_alone};
use crate::error::EngineError;
use std::path::Path;
use tallystick_domain::{Instant, Namespace};
use tallystick_state_store::StateStore;

/// Management of namespaces without an event store, so that it works beside a running server.
pub struct NamespaceAdmin {
    state: StateStore,
    clock: Clock,
}

impl NamespaceAdmin {
    /// Opens the state store that a server with the same folder and URL uses.
    pub async fn open(data_dir: &Path, state_url: Option<&str>) -> Result<Self, OpenError> {
        Ok(Self { state: open_state_alone(data_dir, state_url).await?, clock: Clock::System })
    }

    /// Makes a namespace. It is empty, and nobody has a key for it yet.
    ///
    /// # Errors
    /// [`EngineError::Conflict`] if there is one of this name.
    pub async fn create(&self, namespace: &Namespace) -> Result<(), EngineError> {
        Ok(self.state.insert_namespace(namespace, self.clock.now()).await?)
    }

    /// All namespaces by name, each with when it was made; the default one was always there.
    pub async fn list(&self) -> Result<Vec<(Namespace, Option<Instant>)>, EngineError> {
        Ok(self.state.list_namespaces().await?)
    }
}
