//! Opening, closing and watching the engine.

use crate::checks::Checks;
use crate::clock::{Clock, random_bytes};
use crate::config::{EngineConfig, Limits};
use crate::error::EngineError;
use crate::judging::Judges;
use crate::keys::{KeyRingSlot, hex};
use crate::operate::{EVENTS_DIR, STATE_FILE};
use crate::progress::ProgressBook;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tallystick_domain::meter::{Meter, MeterFault};
use tallystick_domain::{MeterId, Namespace};
use tallystick_event_store::{EventStore, StoreError, StoreOptions, StoreStats};
use tallystick_state_store::{StateError, StateStore, StateUrl, Writer};
use tokio::sync::Semaphore;

/// The engine: cheap to clone, shared by every dialect.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    config: EngineConfig,
    state: StateStore,
    events: EventStore,
    key_ring: KeyRingSlot,
    process: String,
    query_slots: Arc<Semaphore>,
    drift: Vec<Drift>,
    counters: Counters,
    progress: ProgressBook,
    checks: Checks,
    judges: Judges,
}

/// What was counted since the start.
#[derive(Default)]
pub(crate) struct Counters {
    pub accepted: AtomicU64,
    pub duplicates: AtomicU64,
    pub invalid: AtomicU64,
}

/// What an engine did since it was opened.
#[derive(Clone, Debug, Default)]
pub struct EngineStats {
    /// Events stored.
    pub events_accepted: u64,
    /// Events that were stored before.
    pub events_duplicate: u64,
    /// Events that were refused.
    pub events_invalid: u64,
    /// Checks of entitlements that were answered from memory.
    pub checks_remembered: u64,
    /// Checks of entitlements that were computed from the events.
    pub checks_computed: u64,
    /// Names by which customers are kept for checks.
    pub checked_names: u64,
    /// The event store's own figures.
    pub store: StoreStats,
}

/// A declared meter that the store holds differently. The stored one stays in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The meter.
    pub slug: String,
    /// The fields that differ.
    pub fields: Vec<&'static str>,
}

/// Why an engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The data folder cannot be made.
    #[error("cannot create the data directory {path}: {source}")]
    DataDir {
        /// The folder.
        path: String,
        /// The answer of the operating system.
        source: std::io::Error,
    },
    /// The data folder cannot be written.
    #[error("the data directory {path} is not writable by this user: {source}")]
    NotWritable {
        /// The folder.
        path: String,
        /// The answer of the operating system.
        source: std::io::Error,
    },
    /// The state store cannot be opened.
    #[error(transparent)]
    State(#[from] StateError),
    /// The event store cannot be opened.
    #[error(transparent)]
    Events(#[from] StoreError),
    /// State is there and the usage events are not.
    #[error(
        "there are meters, but no usage events: {path} is missing. Mount or restore it. To start without any usage, create \
         it as an empty folder"
    )]
    EventsMissing {
        /// Where they should be.
        path: String,
    },
    /// A declared meter is invalid.
    #[error("declared meter {slug:?}: {}", faults.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("; "))]
    DeclaredMeter {
        /// The meter.
        slug: String,
        /// What is wrong with it, all of it.
        faults: Vec<MeterFault>,
    },
    /// The operating system has no randomness.
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

impl Engine {
    /// Opens both stores and creates the declared meters that are missing.
    pub async fn open(config: EngineConfig) -> Result<Self, OpenError> {
        let declared = define_meters(&config)?;
        prepare_data_dir(&config.data_dir)?;
        let state = open_state(&config.data_dir, config.state_url.as_deref()).await?;
        let mut options = StoreOptions::new(random_bytes()?);
        options.memtable_bytes = config.store.memtable_bytes;
        options.wal_file_bytes = config.store.wal_file_bytes;
        options.queue_bytes = config.store.queue_bytes;
        options.max_groups = config.limits.query_groups;
        options.max_distinct = config.limits.query_distinct_values;
        options.query_memory_bytes = config.limits.query_memory_bytes;
        options.query_threads = config.limits.query_threads;
        options.query_cache_bytes = config.limits.query_cache_bytes;
        options.live_counters = config.limits.live_counters;
        let dir = config.data_dir.join(EVENTS_DIR);
        // A volume that is not mounted must not look like a new store: what is sent again would count again.
        if !dir.exists() && state.has_meters().await? {
            return Err(OpenError::EventsMissing { path: dir.display().to_string() });
        }
        let opening = tokio::task::spawn_blocking(move || EventStore::open_embedded(&dir, options)).await;
        let events = opening.map_err(|error| StoreError::Stopped { reason: error.to_string() })??;
        let checks = Checks::new(config.limits.checked_customers);
        for (namespace, reservation) in state.reservations_held(config.clock.now()).await? {
            checks.held.add(&namespace, &reservation);
        }
        let process = hex(&random_bytes::<16>()?);
        let drift = declare_meters(&state, &config, declared).await?;
        Ok(Self(Arc::new(Inner {
            query_slots: Arc::new(Semaphore::new(config.limits.concurrent_queries.max(1))),
            config,
            state,
            events,
            key_ring: KeyRingSlot::default(),
            process,
            drift,
            counters: Counters::default(),
            progress: ProgressBook::default(),
            checks,
            judges: Judges::default(),
        })))
    }

    pub(crate) fn config(&self) -> &EngineConfig {
        &self.0.config
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.config.clock
    }

    pub(crate) fn state(&self) -> &StateStore {
        &self.0.state
    }

    pub(crate) fn events(&self) -> &EventStore {
        &self.0.events
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.0.counters
    }

    pub(crate) fn checks(&self) -> &Checks {
        &self.0.checks
    }

    pub(crate) fn judges(&self) -> &Judges {
        &self.0.judges
    }

    pub(crate) fn progress_book(&self) -> &ProgressBook {
        &self.0.progress
    }

    /// This start of the server, by a text that no other one has.
    pub(crate) fn process(&self) -> &str {
        &self.0.process
    }

    pub(crate) fn key_ring_slot(&self) -> &KeyRingSlot {
        &self.0.key_ring
    }

    /// Runs a read of the event store off the async threads, a bounded number at a time.
    pub(crate) async fn read_events<T: Send + 'static>(
        &self,
        read: impl FnOnce(&EventStore) -> Result<T, tallystick_event_store::QueryError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let slots = Arc::clone(&self.0.query_slots);
        let slot = slots.acquire_owned().await.map_err(|error| EngineError::Unavailable(error.to_string()))?;
        let engine = self.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _slot = slot;
            read(engine.events())
        });
        Ok(reading.await.map_err(|error| EngineError::Internal(format!("a query failed: {error}")))??)
    }

    /// The time and the randomness of a new id.
    pub(crate) fn id_parts(&self) -> Result<(u64, u128), EngineError> {
        let random = random_bytes().map_err(|error| EngineError::Unavailable(format!("no randomness: {error}")))?;
        let time_ms = u64::try_from(self.clock().now().as_micros() / 1000).unwrap_or(0);
        Ok((time_ms, u128::from_le_bytes(random)))
    }

    /// The current instant, by the engine's clock.
    pub fn now(&self) -> tallystick_domain::Instant {
        self.clock().now()
    }

    /// What a request may ask for, so that a door can stop reading what would be refused.
    pub fn limits(&self) -> &Limits {
        &self.0.config.limits
    }

    /// Declared meters that the store holds differently.
    pub fn drift(&self) -> &[Drift] {
        &self.0.drift
    }

    /// Whether both stores can be written; otherwise why not.
    pub async fn readiness(&self) -> Result<(), String> {
        self.state().check_writable().await.map_err(|error| error.to_string())?;
        self.events().check_writable().map_err(|error| error.to_string())
    }

    /// Figures for operators.
    pub fn stats(&self) -> EngineStats {
        let (checks_remembered, checks_computed) = self.checks().counts();
        EngineStats {
            checks_remembered,
            checks_computed,
            events_accepted: self.counters().accepted.load(Ordering::Relaxed),
            events_duplicate: self.counters().duplicates.load(Ordering::Relaxed),
            events_invalid: self.counters().invalid.load(Ordering::Relaxed),
            checked_names: self.checks().len() as u64,
            store: self.events().stats(),
        }
    }

    /// Stores everything that was acknowledged and stops.
    pub async fn close(&self) -> Result<(), String> {
        let engine = self.clone();
        let closing = tokio::task::spawn_blocking(move || engine.events().close()).await;
        closing.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}

/// Makes the data folder, for its owner alone, unless it is there, and sees whether it can be written.
pub(crate) fn prepare_data_dir(dir: &Path) -> Result<(), OpenError> {
    let path = || dir.display().to_string();
    create_data_dir(dir).map_err(|source| OpenError::DataDir { path: path(), source })?;
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    let probed = std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe));
    probed.map_err(|source| OpenError::NotWritable { path: path(), source })
}

fn create_data_dir(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    // Two commands may make it at the same time.
    builder.create(dir).or_else(|error| if dir.is_dir() { Ok(()) } else { Err(error) })
}

pub(crate) async fn open_state(data_dir: &Path, state_url: Option<&str>) -> Result<StateStore, OpenError> {
    Ok(StateStore::open(&state_url_of(data_dir, state_url)?).await?)
}

/// Opens the state of a server without its events, to manage a part of it beside a running server.
pub(crate) async fn open_state_alone(data_dir: &Path, state_url: Option<&str>) -> Result<StateStore, OpenError> {
    if state_url.is_none() {
        prepare_data_dir(data_dir)?;
    }
    open_state(data_dir, state_url).await
}

/// Where the state of a data folder is.
pub(crate) fn state_url_of(data_dir: &Path, state_url: Option<&str>) -> Result<StateUrl, StateError> {
    match state_url {
        Some(text) => StateUrl::parse(text),
        None => Ok(StateUrl::Sqlite(data_dir.join(STATE_FILE))),
    }
}

pub(crate) fn new_meter_id(clock: &Clock) -> Result<MeterId, getrandom::Error> {
    let time_ms = u64::try_from(clock.now().as_micros() / 1000).unwrap_or(0);
    Ok(MeterId::from_parts(time_ms, u128::from_le_bytes(random_bytes()?)))
}

/// The declared meters, each checked before anything is compared with the store.
fn define_meters(config: &EngineConfig) -> Result<Vec<Meter>, OpenError> {
    let mut meters: Vec<Meter> = Vec::new();
    for definition in &config.meters {
        let slug = &definition.slug;
        let refused = |faults| OpenError::DeclaredMeter { slug: slug.clone(), faults };
        if meters.iter().any(|meter| meter.slug == *slug) {
            let message = "slug is declared twice".to_string();
            return Err(refused(vec![MeterFault { field: "slug".into(), message }]));
        }
        let meter = Meter::define(new_meter_id(&config.clock)?, definition.clone(), config.clock.now());
        meters.push(meter.map_err(refused)?);
    }
    Ok(meters)
}

async fn declare_meters(
    state: &StateStore,
    config: &EngineConfig,
    declared: Vec<Meter>,
) -> Result<Vec<Drift>, OpenError> {
    let namespace = Namespace::default_namespace();
    let mut drift = Vec::new();
    for (definition, meter) in config.meters.iter().zip(declared) {
        let slug = definition.slug.clone();
        if let Some(stored) = state.find_meter(&namespace, &slug).await? {
            let fields = stored.drift_from(definition);
            if !fields.is_empty() {
                drift.push(Drift { slug, fields });
            }
            continue;
        }
        state.insert_meter(Writer::of(&namespace), &meter).await?;
    }
    Ok(drift)
}
