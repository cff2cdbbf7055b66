//! Everything that is not a usage event, on SQLite or PostgreSQL.
//!
//! Invariant: every write is one transaction, with its outbox row, and marks the idempotency key that stands for it; both backends pass one suite (`tests/contract.rs`).
//! There is one SQL text for both. See `docs/internals/state-store.md` for the tables and for how to add a migration.

mod aliases;
mod backend;
mod balances;
mod column;
mod customer_subjects;
mod customers;
mod entitlements;
mod error;
mod event_schemas;
mod features;
mod grants;
mod idempotency;
mod keys;
mod meters;
mod migrate;
mod namespaces;
mod outbox;
mod portal;
mod reservations;
mod search;
mod subjects;
mod upkeep;
mod url;
mod writer;

pub use customer_subjects::SubjectEdits;
pub use customers::{CustomerListing, CustomerOrder, CustomerText};
pub use entitlements::EntitlementListing;
pub use error::StateError;
pub use features::{FeatureListing, FeatureOrder, FeatureText};
pub use grants::{GrantListing, GrantOrder};
pub use idempotency::{KeptAnswer, Reservation, Reserved};
pub use url::StateUrl;
pub use writer::Writer;

use backend::Backend;
use error::failed;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, Connection, Executor, Transaction};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{sleep, timeout};

/// How long to wait for a connection to be made, or for one of the pool to become free.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the readiness check waits for its write.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// How often to ask SQLite for its write-ahead log while another process holds the file, and how long to wait in between:
/// ten seconds in all.
const WAL_ATTEMPTS: u32 = 500;
const WAL_PAUSE: Duration = Duration::from_millis(20);

/// An open state store. A clone is cheap and shares the connections.
#[derive(Clone, Debug)]
pub struct StateStore {
    pool: AnyPool,
    backend: Backend,
    turn: Arc<Mutex<()>>,
}

impl StateStore {
    /// Opens a store, creates it when it is missing (on SQLite with its directory) and runs the pending migrations.
    ///
    /// # Errors
    /// [`StateError::Newer`] and [`StateError::HalfMigrated`] leave the store as it was. [`StateError::Unavailable`] names
    /// the store, without its password, and the reason.
    pub async fn open(url: &StateUrl) -> Result<Self, StateError> {
        sqlx::any::install_default_drivers();
        let backend = Backend::of(url);
        if let StateUrl::Sqlite(path) = url {
            create_directory(path)?;
        }
        let options = url.connect_options()?;
        let named = |error| match error {
            StateError::Unavailable(reason) => {
                StateError::Unavailable(format!("cannot open the state store {url}: {reason}"))
            }
            other => other,
        };
        let mut connection = connect(&options).await.map_err(named)?;
        if backend == Backend::Sqlite {
            enable_wal(&mut connection).await.map_err(named)?;
        }
        migrate::run(&mut connection, backend).await.map_err(named)?;
        let pool = AnyPoolOptions::new()
            .max_connections(backend.max_connections())
            .acquire_timeout(CONNECT_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move { connection.execute(sqlx::raw_sql(backend.session())).await.map(drop) })
            })
            .connect_with(options)
            .await
            .map_err(failed)
            .map_err(named)?;
        // Closed only now: on SQLite the last connection to go would fold the log into the database in between.
        connection.close().await.map_err(failed).map_err(named)?;
        Ok(Self { pool, backend, turn: Arc::default() })
    }

    /// The backend's name: `sqlite` or `postgres`.
    pub fn backend_name(&self) -> &'static str {
        self.backend.name()
    }

    /// Commits a small write, so that a full disk, a read-only store and a lost connection are noticed, and checks that no
    /// migration is half done.
    pub async fn check_writable(&self) -> Result<(), StateError> {
        timeout(PROBE_TIMEOUT, self.probe()).await.unwrap_or_else(|_| {
            Err(StateError::Unavailable(format!(
                "the state store did not complete a write within {} seconds",
                PROBE_TIMEOUT.as_secs()
            )))
        })
    }

    /// Closes all connections after what they are doing; later calls on any clone are [`StateError::Unavailable`].
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn probe(&self) -> Result<(), StateError> {
        let (_turn, mut tx) = self.begin_write().await?;
        migrate::check_finished(&mut tx).await?;
        sqlx::query(
            "INSERT INTO write_probe (id, writes) VALUES (1, 1) \
             ON CONFLICT (id) DO UPDATE SET writes = write_probe.writes + 1",
        )
        .execute(&mut *tx)
        .await
        .map_err(failed)?;
        tx.commit().await.map_err(failed)
    }

    /// Begins a transaction that will write, when it is this writer's turn. The turn must outlive the transaction.
    async fn begin_write(&self) -> Result<(Option<OwnedMutexGuard<()>>, Transaction<'static, Any>), StateError> {
        let turn = match self.backend.one_writer() {
            true => Some(self.turn.clone().lock_owned().await),
            false => None,
        };
        let tx = self.pool.begin_with(self.backend.begin_write()).await.map_err(failed)?;
        Ok((turn, tx))
    }
}

async fn connect(options: &AnyConnectOptions) -> Result<AnyConnection, StateError> {
    match timeout(CONNECT_TIMEOUT, AnyConnection::connect_with(options)).await {
        Ok(connected) => connected.map_err(failed),
        Err(_) => Err(StateError::Unavailable(format!("no answer within {} seconds", CONNECT_TIMEOUT.as_secs()))),
    }
}

fn create_directory(path: &Path) -> Result<(), StateError> {
    let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) else { return Ok(()) };
    std::fs::create_dir_all(directory).map_err(|error| {
        StateError::Unavailable(format!(
            "cannot create the directory {} for the state store: {error}",
            directory.display()
        ))
    })
}

/// Turns the write-ahead log on: readers and the writer do not block each other, and a commit is one fsync. When several
/// processes create the same file, SQLite refuses all but one of them at once instead of letting them wait, so ask again.
async fn enable_wal(connection: &mut AnyConnection) -> Result<(), StateError> {
    let mut attempt = 1;
    loop {
        let mode = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL").fetch_one(&mut *connection).await;
        match mode {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(StateError::Unavailable(format!(
                    "SQLite cannot use a write-ahead log here (it stays in mode {mode}): use a local file system, not a \
                     network one"
                )));
            }
            Err(error) if attempt < WAL_ATTEMPTS && backend::is_sqlite_busy(&error) => {
                attempt += 1;
                sleep(WAL_PAUSE).await;
            }
            Err(error) => return Err(failed(error)),
        }
    }
}
