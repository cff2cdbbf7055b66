//! Checking and copying a whole store, for the people who run it.

use crate::backend::Backend;
use crate::error::failed;
use crate::{StateError, StateStore, StateUrl, connect, migrate};
use sqlx::{AnyConnection, Connection, Row};
use std::path::Path;

impl StateStore {
    /// Checks the database: on SQLite every page, index and reference, on PostgreSQL that it answers and is fully migrated.
    /// Returns what is wrong, nothing if all is well.
    pub async fn check_integrity(&self) -> Result<Vec<String>, StateError> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        check(&mut connection, self.backend).await
    }

    /// Like [`StateStore::check_integrity`], without migrating anything. A file that is part of a backup is not even
    /// written to by the database library.
    pub async fn check_closed(url: &StateUrl, is_backup: bool) -> Result<Vec<String>, StateError> {
        sqlx::any::install_default_drivers();
        let options = if is_backup { url.read_only_options()? } else { url.connect_options()? };
        let mut connection = connect(&options).await?;
        let found = check(&mut connection, Backend::of(url)).await;
        let closed = connection.close().await.map_err(failed);
        let found = found?;
        closed.map(|()| found)
    }

    /// Writes a copy of the store as of one moment into a new file and makes it durable. Returns whether there is such a
    /// file: a PostgreSQL database has its own tools.
    pub async fn copy_to(&self, path: &Path) -> Result<bool, StateError> {
        if self.backend != Backend::Sqlite {
            return Ok(false);
        }
        let name = path
            .to_str()
            .ok_or_else(|| StateError::Unavailable(format!("the path {} is not valid UTF-8", path.display())))?;
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        sqlx::query("VACUUM INTO $1").bind(name).execute(&mut *connection).await.map_err(failed)?;
        let synced = std::fs::File::open(path).and_then(|file| file.sync_all());
        synced.map_err(|error| StateError::Unavailable(format!("cannot make {} durable: {error}", path.display())))?;
        Ok(true)
    }
}

async fn check(connection: &mut AnyConnection, backend: Backend) -> Result<Vec<String>, StateError> {
    let mut found = Vec::new();
    if backend == Backend::Sqlite {
        for pragma in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
            match sqlx::query(pragma).fetch_all(&mut *connection).await {
                Ok(rows) => found.extend(rows.iter().filter_map(|row| line(row, pragma))),
                // A page that is damaged badly enough ends the check itself.
                Err(error) => found.push(format!("{pragma}: {error}")),
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
    }
    match migrate::check_finished(connection).await {
        Err(error @ (StateError::HalfMigrated { .. } | StateError::Corrupt(_))) => found.push(error.to_string()),
        other => other?,
    }
    Ok(found)
}

/// What a row of a check says; `ok` says nothing.
fn line(row: &sqlx::any::AnyRow, pragma: &str) -> Option<String> {
    match row.try_get::<String, _>(0) {
        Ok(text) if text == "ok" => None,
        Ok(text) if pragma.contains("foreign") => Some(format!("table {text} refers to a row that is not there")),
        Ok(text) => Some(text),
        Err(error) => Some(format!("{pragma}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_is_whole_and_a_damaged_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let original = StateUrl::Sqlite(dir.path().join("state.sqlite"));
        let store = StateStore::open(&original).await.unwrap();
        assert_eq!(store.check_integrity().await.unwrap(), Vec::<String>::new());
        let copy = dir.path().join("copy.sqlite");
        assert!(store.copy_to(&copy).await.unwrap());
        assert!(store.copy_to(&copy).await.is_err(), "a file that is there is not replaced");
        let url = StateUrl::Sqlite(copy.clone());
        assert_eq!(StateStore::check_closed(&url, true).await.unwrap(), Vec::<String>::new());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().filter(is_copy).count(), 1);
        let mut bytes = std::fs::read(&copy).unwrap();
        // Everything behind the page of the schema.
        bytes[4096..].fill(0xff);
        std::fs::write(&copy, bytes).unwrap();
        let outcome = StateStore::check_closed(&url, true).await;
        assert!(outcome.as_ref().map_or(true, |faults| !faults.is_empty()), "{outcome:?}");
    }

    fn is_copy(entry: &std::io::Result<std::fs::DirEntry>) -> bool {
        entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("copy.sqlite")
    }
}
