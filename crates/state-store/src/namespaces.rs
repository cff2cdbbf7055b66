//! Namespaces at rest. The default one is always there and has no row.

use crate::column::{self, Columns};
use crate::error::{StateError, conflict_or_failed, failed};
use crate::outbox::{Change, Entity, Write};
use crate::{StateStore, Writer};
use tallystick_domain::{Instant, Namespace};

impl StateStore {
    /// Stores a new namespace. One that is there is a [`StateError::Conflict`].
    pub async fn insert_namespace(&self, ns: &Namespace, at: Instant) -> Result<(), StateError> {
        let conflict = || format!("the namespace {ns}");
        if *ns == Namespace::default_namespace() {
            return Err(StateError::Conflict { what: conflict() });
        }
        let mut write = Write::begin(self, Writer::of(ns)).await?;
        sqlx::query("INSERT INTO namespaces (name, created_at) VALUES ($1, $2)")
            .bind(ns.as_str())
            .bind(column::instant(at))
            .execute(&mut *write.tx)
            .await
            .map_err(|error| conflict_or_failed(error, conflict))?;
        write.commit(Entity::Namespace, ns.as_str(), Change::Created, at).await
    }

    /// All namespaces by name, each with when it was made; the default one was always there.
    pub async fn list_namespaces(&self) -> Result<Vec<(Namespace, Option<Instant>)>, StateError> {
        let query = sqlx::query("SELECT name, created_at FROM namespaces");
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        let read = |row| {
            let columns = Columns::of("namespaces", row);
            Ok((columns.parsed("name", Namespace::parse)?, Some(columns.instant("created_at")?)))
        };
        let mut namespaces: Vec<_> = rows.iter().map(read).collect::<Result<_, StateError>>()?;
        namespaces.push((Namespace::default_namespace(), None));
        namespaces.sort();
        Ok(namespaces)
    }

    /// Whether there is a namespace.
    pub async fn has_namespace(&self, ns: &Namespace) -> Result<bool, StateError> {
        if *ns == Namespace::default_namespace() {
            return Ok(true);
        }
        let query = sqlx::query("SELECT name FROM namespaces WHERE name = $1").bind(ns.as_str());
        Ok(query.fetch_optional(&self.pool).await.map_err(failed)?.is_some())
    }
}
