//! API keys: made, listed, revoked and recognised. Secrets are shown once and stored hashed.

use crate::caller::Caller;
use crate::clock::{Clock, monotonic, random_bytes};
use crate::engine::{Engine, OpenError, open_state_alone};
use crate::error::EngineError;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tallystick_domain::key::{ApiKey, Scope};
use tallystick_domain::{KeyId, Namespace};
use tallystick_state_store::StateStore;

/// How long a server believes the keys that it has in memory. [`KeyAdmin`] waits as long after a change, so that it is in
/// force everywhere when the call returns.
const KEY_RING_LIFE: Duration = Duration::from_millis(50);
/// The age at which they are read again ahead, so that no request waits for it while there are requests all the time.
const KEY_RING_AHEAD: Duration = Duration::from_millis(25);
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
        Ok(Self { state: open_state_alone(data_dir, state_url).await?, clock: Clock::System })
    }

    /// Makes a key of a namespace that exists; it is in force in every server on this store when the call returns.
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
        if !self.state.has_namespace(&namespace).await? {
            let message =
                format!("there is no namespace {namespace}: create it with 'tallystick namespaces create {namespace}'");
            return Err(EngineError::invalid("namespace", message));
        }
        let now = self.clock.now();
        let unavailable = |error: getrandom::Error| EngineError::Unavailable(format!("no randomness: {error}"));
        let secret_bytes: [u8; 32] = random_bytes().map_err(unavailable)?;
        let id_bytes: [u8; 16] = random_bytes().map_err(unavailable)?;
        let secret = format!("{SECRET_PREFIX}{}", hex(&secret_bytes));
        let time_ms = u64::try_from(now.as_micros() / 1000).unwrap_or(0);
        let id = KeyId::from_parts(time_ms, u128::from_le_bytes(id_bytes));
        let key = ApiKey { id, namespace, name: name.into(), scopes, created_at: now, revoked_at: None };
        self.state.insert_key(&key, &hex(&secret_hash(&secret))).await?;
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
    looked_up: Mutex<HashMap<SecretHash, Option<Caller>>>,
}

/// The newest key ring.
#[derive(Default)]
pub(crate) struct KeyRingSlot {
    ring: RwLock<Option<Arc<KeyRing>>>,
    /// Held while keys are read; who needs them waits instead of reading them again.
    reading: tokio::sync::Mutex<()>,
    reads_ahead: AtomicBool,
}

impl KeyRingSlot {
    /// The ring and its age, if it is still believed.
    fn believed(&self) -> Option<(Arc<KeyRing>, Duration)> {
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let age = ring.loaded_at.elapsed();
        (age < KEY_RING_LIFE).then_some((ring, age))
    }
}

impl Engine {
    /// The caller who has this secret, if its key was not revoked.
    pub(crate) async fn find_caller(&self, secret: &str) -> Result<Option<Caller>, EngineError> {
        let hash = secret_hash(secret);
        let ring = self.key_ring().await?;
        let known = lock(&ring.looked_up).get(&hash).cloned();
        if let Some(found) = known {
            return Ok(found);
        }
        let found = self.state().find_key(&hex(&hash)).await?.filter(|key| key.revoked_at.is_none());
        let caller = found.as_ref().map(Caller::of_key);
        let mut looked_up = lock(&ring.looked_up);
        if looked_up.len() < KEY_RING_ENTRIES {
            looked_up.insert(hash, caller.clone());
        }
        Ok(caller)
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
        let slot = self.key_ring_slot();
        let Some((ring, age)) = slot.believed() else {
            let _reading = slot.reading.lock().await;
            return match slot.believed() {
                Some((ring, _)) => Ok(ring),
                None => self.read_key_ring().await,
            };
        };
        if age >= KEY_RING_AHEAD && !slot.reads_ahead.swap(true, Ordering::AcqRel) {
            let engine = self.clone();
            tokio::spawn(async move {
                let _reading = engine.key_ring_slot().reading.lock().await;
                // A fault shows when the ring is needed and is not there.
                drop(engine.read_key_ring().await);
                engine.key_ring_slot().reads_ahead.store(false, Ordering::Release);
            });
        }
        Ok(ring)
    }

    async fn read_key_ring(&self) -> Result<Arc<KeyRing>, EngineError> {
        let loaded_at = monotonic();
        let any_live = self.state().list_keys().await?.iter().any(|key| key.revoked_at.is_none());
        let ring = Arc::new(KeyRing { loaded_at, any_live, looked_up: Mutex::default() });
        *self.key_ring_slot().ring.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&ring));
        Ok(ring)
    }
}

/// The map stays sound when a holder of the lock panicked: each entry is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type SecretHash = [u8; 32];

fn secret_hash(secret: &str) -> SecretHash {
    Sha256::digest(secret.as_bytes()).into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
