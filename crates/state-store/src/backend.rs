//! The few differences between SQLite and PostgreSQL. Everything else has one SQL text.

use crate::StateUrl;

/// Which database holds the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

impl Backend {
    pub(crate) fn of(url: &StateUrl) -> Self {
        match url {
            StateUrl::Sqlite(_) => Backend::Sqlite,
            StateUrl::Postgres(_) => Backend::Postgres,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Backend::Sqlite => "sqlite",
            Backend::Postgres => "postgres",
        }
    }

    /// How many connections a server keeps at most. On SQLite each one is a thread, and only reads run side by side.
    pub(crate) fn max_connections(self) -> u32 {
        match self {
            Backend::Sqlite => 4,
            Backend::Postgres => 10,
        }
    }

    /// Opens a transaction that will write. A deferred transaction of SQLite that reads first cannot always become a writing
    /// one; PostgreSQL has no such word.
    pub(crate) fn begin_write(self) -> &'static str {
        match self {
            Backend::Sqlite => "BEGIN IMMEDIATE",
            Backend::Postgres => "BEGIN",
        }
    }

    /// Whether writers queue inside of this process. SQLite has one write lock, and waits for it by polling: without a queue
    /// an unlucky writer waits until it fails.
    pub(crate) fn one_writer(self) -> bool {
        self == Backend::Sqlite
    }

    /// Run once on each connection of the pool. SQLite: a commit is on disk when it returns. PostgreSQL: no statement waits
    /// for ever, and a server that lost its network does not hold its row locks for hours.
    pub(crate) fn session(self) -> &'static str {
        match self {
            Backend::Sqlite => {
                "PRAGMA busy_timeout = 10000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; \
                 PRAGMA trusted_schema = OFF"
            }
            Backend::Postgres => "SET statement_timeout = '30s'; SET idle_in_transaction_session_timeout = '30s'",
        }
    }

    /// Run once on the connection that migrates, which may have to wait, at most ten minutes, while another server migrates.
    pub(crate) fn migration_session(self) -> &'static str {
        match self {
            Backend::Sqlite => "PRAGMA busy_timeout = 600000; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON",
            Backend::Postgres => {
                "SET statement_timeout = 0; SET lock_timeout = '10min'; SET client_min_messages = warning"
            }
        }
    }

    /// Run first in the transaction that migrates. SQLite's transaction is exclusive already and its "binary" collation is
    /// built in. On PostgreSQL an advisory lock lets one server migrate at a time, and "binary" is a name for the collation
    /// "C", so that both sort by bytes and not by the language of the database.
    pub(crate) fn migration_prelude(self) -> &'static str {
        match self {
            Backend::Sqlite => "",
            Backend::Postgres => {
                "SELECT pg_advisory_xact_lock(7809632112907284); \
                 CREATE COLLATION IF NOT EXISTS \"binary\" FROM \"C\""
            }
        }
    }
}

/// Whether SQLite found the file locked: SQLITE_BUSY, or one of its extended codes.
pub(crate) fn is_sqlite_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|cause| cause.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StateStore;

    #[tokio::test]
    async fn every_sqlite_connection_commits_to_disk_and_waits_for_its_turn() {
        let directory = tempfile::tempdir().unwrap();
        let store = StateStore::open(&StateUrl::Sqlite(directory.path().join("state.sqlite"))).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..Backend::Sqlite.max_connections() {
            let mut connection = store.pool.acquire().await.unwrap();
            for (pragma, expected) in
                [("PRAGMA synchronous", 2), ("PRAGMA foreign_keys", 1), ("PRAGMA busy_timeout", 10_000)]
            {
                let value: i64 = sqlx::query_scalar(pragma).fetch_one(&mut *connection).await.unwrap();
                assert_eq!(value, expected, "{pragma}");
            }
            held.push(connection);
        }
    }
}
