//! API keys: made, listed, revoked and recognised. Secrets are shown once and stored hashed.

use crate::clock::{Clock, monotonic, random_bytes};
use crate::engine::{Engine, OpenError, open_state};
use crate::error::EngineError;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tallystick_domain::key::{ApiKey, Scope};
use tallystick_domain::{KeyId, Namespace};
use tallystick_state_store::StateStore;

/// How long the keys in memory are believed: a revoked key stops working after at most this time.
const KEY_RING_LIFE: Duration = Duration::from_millis(50);
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
        Ok(Self { state: open_state(data_dir, state_url).await?, clock: Clock::System })
    }

    /// Makes a key.
    pub async fn create(&self, namespace: Namespace, name: &str, scopes: Vec<Scope>) -> Result<CreatedKey, EngineError> {
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
        Ok(CreatedKey { key, secret })
    }

    /// All keys, revoked ones too, newest last.
    pub async fn list(&self) -> Result<Vec<ApiKey>, EngineError> {
        Ok(self.state.list_keys().await?)
    }

    /// Revokes a key. Revoking twice is an error, since the second caller may mean another key.
    pub async fn revoke(&self, id: &str) -> Result<(), EngineError> {
        let missing = || EngineError::NotFound { what: "live API key", key: id.to_string() };
        let key_id = KeyId::parse(id).ok_or_else(missing)?;
        if self.state.revoke_key(key_id, self.clock.now()).await? { Ok(()) } else { Err(missing()) }
    }
}

/// The live keys as of a moment.
pub(crate) struct KeyRing {
    loaded_at: std::time::Instant,
    by_hash: HashMap<String, ApiKey>,
}

impl Engine {
    pub(crate) async fn find_live_key(&self, secret: &str) -> Result<Option<ApiKey>, EngineError> {
        let hash = secret_hash(secret);
        let ring = self.key_ring().await?;
        if let Some(key) = ring.by_hash.get(&hash) {
            return Ok(Some(key.clone()));
        }
        // A key that was made a moment ago is not in memory yet.
        let found = self.state().find_key(&hash).await?;
        Ok(found.filter(|key| key.revoked_at.is_none()))
    }

    /// Whether a caller without a key is let in.
    pub(crate) async fn is_open(&self) -> Result<bool, EngineError> {
        Ok(!self.config().require_key && self.key_ring().await?.by_hash.is_empty())
    }

    /// Whether any key exists that was not revoked.
    pub async fn has_live_keys(&self) -> Result<bool, EngineError> {
        Ok(!self.key_ring().await?.by_hash.is_empty())
    }

    async fn key_ring(&self) -> Result<Arc<KeyRing>, EngineError> {
        let mut held = self.key_ring_slot().lock().await;
        if let Some(ring) = held.as_ref().filter(|ring| ring.loaded_at.elapsed() < KEY_RING_LIFE) {
            return Ok(Arc::clone(ring));
        }
        let loaded_at = monotonic();
        let by_hash = self.state().live_keys().await?;
        let ring = Arc::new(KeyRing { loaded_at, by_hash });
        *held = Some(Arc::clone(&ring));
        Ok(ring)
    }
}

fn secret_hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
