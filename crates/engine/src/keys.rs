//! API keys: made, listed, revoked and recognised. Secrets are shown once and stored hashed.

use crate::clock::{Clock, monotonic, random_bytes};
use crate::engine::{Engine, OpenError, open_state, prepare_data_dir};
use crate::error::EngineError;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tallystick_domain::key::{ApiKey, Scope};
use tallystick_domain::{KeyId, Namespace};
use tallystick_state_store::StateStore;

/// How long a server believes the keys that it has in memory. [`KeyAdmin`] waits as long after a change, so that it is in
/// force everywhere when the call returns.
const KEY_RING_LIFE: Duration = Duration::from_millis(50);
/// How many secrets are remembered at a time, so that guesses cannot fill the memory.
const KEY_RING_ENTRIES: usize = 10_000;
const SECRET_PREFIX: &str = "tsk_";

/// A key that was just made.
#[derive(Clone, Debug)]
pub struct CreatedKey {
    /// The key as it is stored.
    pub key: ApiKey,
    /// Its secret, which cannot be shown again.
    pub secret: String,
}

/// Management of keys without an event store, so that it works beside a running server.
pub struct KeyAdmin {
    state: StateStore,
    clock: Clock,
}

impl KeyAdmin {
    /// Opens the state store that a server with the same folder and URL uses.
    pub async fn open(data_dir: &Path, state_url: Option<&str>) -> Result<Self, OpenError> {
        if state_url.is_none() {
            prepare_data_dir(data_dir)?;
        }
        Ok(Self { state: open_state(data_dir, state_url).await?, clock: Clock::System })
    }

    /// Makes a key; it is in force in every server on this store when the call returns.
    pub async fn create(
        &self,
        namespace: Namespace,
        name: &str,
        scopes: Vec<Scope>,
    ) -> Result<CreatedKey, EngineError> {
        if name.is_empty() || name.chars().count() > 256 {
            return Err(EngineError::invalid("name", "the key's name must have 1 to 256 characters"));
        }
        if scopes.is_empty() {
            return Err(EngineError::invalid("scope", "name at least one scope: ingest, read or admin"));
        }
        let now = self.clock.now();
        let unavailable = |error: getrandom::Error| EngineError::Unavailable(format!("no randomness: {error}"));
        let secret_bytes: [u8; 32] = random_bytes().map_err(unavailable)?;
        let id_bytes: [u8; 16] = random_bytes().map_err(unavailable)?;
        let secret = format!("{SECRET_PREFIX}{}", hex(&secret_bytes));
        let time_ms = u64::try_from(now.as_micros() / 1000).unwrap_or(0);
        let id = KeyId::from_parts(time_ms, u128::from_le_bytes(id_bytes));
        let key = ApiKey { id, namespace, name: name.into(), scopes, created_at: now, revoked_at: None };
        self.state.insert_key(&key, &secret_hash(&secret)).await?;
        tokio::time::sleep(KEY_RING_LIFE).await;
        Ok(CreatedKey { key, secret })
    }

    /// All keys, revoked ones too, newest last.
    pub async fn list(&self) -> Result<Vec<ApiKey>, EngineError> {
        Ok(self.state.list_keys().await?)
    }

    /// Revokes a key; it opens nothing any more when the call returns. Revoking it again changes nothing.
    pub async fn revoke(&self, id: &str) -> Result<(), EngineError> {
        let missing = || EngineError::NotFound { what: "API key", key: id.to_string() };
        let key_id = KeyId::parse(id).ok_or_else(missing)?;
        if !self.state.revoke_key(key_id, self.clock.now()).await? {
            return Err(missing());
        }
        tokio::time::sleep(KEY_RING_LIFE).await;
        Ok(())
    }
}

/// What was known of the keys at a moment, and the secrets that were looked up since.
pub(crate) struct KeyRing {
    loaded_at: std::time::Instant,
    any_live: bool,
    looked_up: Mutex<HashMap<String, Option<ApiKey>>>,
}

impl Engine {
    pub(crate) async fn find_live_key(&self, secret: &str) -> Result<Option<ApiKey>, EngineError> {
        let hash = secret_hash(secret);
        let ring = self.key_ring().await?;
        let known = lock(&ring.looked_up).get(&hash).cloned();
        if let Some(found) = known {
            return Ok(found);
        }
        let found = self.state().find_key(&hash).await?.filter(|key| key.revoked_at.is_none());
        let mut looked_up = lock(&ring.looked_up);
        if looked_up.len() < KEY_RING_ENTRIES {
            looked_up.insert(hash, found.clone());
        }
        Ok(found)
    }

    /// Whether a caller without a key is let in.
    pub(crate) async fn is_open(&self) -> Result<bool, EngineError> {
        Ok(!self.config().require_key && !self.has_live_keys().await?)
    }

    /// Whether any key exists that was not revoked.
    pub async fn has_live_keys(&self) -> Result<bool, EngineError> {
        Ok(self.key_ring().await?.any_live)
    }

    async fn key_ring(&self) -> Result<Arc<KeyRing>, EngineError> {
        let mut held = self.key_ring_slot().lock().await;
        if let Some(ring) = held.as_ref().filter(|ring| ring.loaded_at.elapsed() < KEY_RING_LIFE) {
            return Ok(Arc::clone(ring));
        }
        let loaded_at = monotonic();
        let any_live = self.state().list_keys().await?.iter().any(|key| key.revoked_at.is_none());
        let ring = Arc::new(KeyRing { loaded_at, any_live, looked_up: Mutex::default() });
        *held = Some(Arc::clone(&ring));
        Ok(ring)
    }
}

/// The map stays sound when a holder of the lock panicked: each entry is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn secret_hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
