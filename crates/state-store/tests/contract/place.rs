//! Where the suite opens its stores, and a look behind them.

use sqlx::any::{AnyConnectOptions, AnyRow};
use sqlx::{AnyConnection, ConnectOptions, Connection, Row};
use tallystick_state_store::{StateStore, StateUrl};
use tallystick_testkit::postgres::Postgres;
use tempfile::TempDir;

/// An empty place for a store, which outlives the stores opened on it.
pub enum Place {
    Sqlite(TempDir),
    Postgres(Postgres),
}

impl Place {
    pub fn sqlite() -> Self {
        Place::Sqlite(tempfile::tempdir().unwrap())
    }

    pub fn postgres() -> Self {
        Place::Postgres(Postgres::start())
    }

    pub fn url(&self) -> StateUrl {
        match self {
            // A directory that is missing, with characters that mean something in a URL.
            Place::Sqlite(directory) => StateUrl::Sqlite(directory.path().join("ü %41?#/./state.sqlite")),
            Place::Postgres(postgres) => StateUrl::parse(postgres.url()).unwrap(),
        }
    }

    pub async fn open(&self) -> StateStore {
        StateStore::open(&self.url()).await.unwrap()
    }

    /// A connection beside the store, to look at its tables and to damage them.
    pub async fn connection(&self) -> AnyConnection {
        let url = match self {
            Place::Sqlite(directory) => {
                let path = directory.path().join("ü %41?#/state.sqlite");
                format!("sqlite:{}", path.to_str().unwrap().replace('%', "%25").replace('?', "%3F").replace('#', "%23"))
            }
            Place::Postgres(postgres) => postgres.url().to_owned(),
        };
        url.parse::<AnyConnectOptions>().unwrap().connect().await.unwrap()
    }

    /// Runs statements beside the store.
    pub async fn damage(&self, sql: &'static str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    pub async fn rows(&self, sql: &'static str) -> Vec<AnyRow> {
        let mut connection = self.connection().await;
        let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        rows
    }

    /// The outbox as `namespace/position entity id change at`.
    pub async fn outbox(&self) -> Vec<String> {
        let rows = self
            .rows("SELECT namespace, position, entity, entity_id, change, at FROM outbox ORDER BY namespace, position")
            .await;
        let show = |row: &AnyRow| {
            let text = |column: &str| row.get::<String, _>(column);
            let number = |column: &str| row.get::<i64, _>(column);
            format!(
                "{}/{} {} {} {} {}",
                text("namespace"),
                number("position"),
                text("entity"),
                text("entity_id"),
                text("change"),
                number("at")
            )
        };
        rows.iter().map(show).collect()
    }
}
