//! API keys at rest: the hash of the secret, never the secret.

use crate::column::{self, Columns, text};
use crate::error::{StateError, conflict_or_failed, failed};
use crate::outbox::{Change, Entity, Write};
use crate::{StateStore, Writer};
use sqlx::any::AnyRow;
use tallystick_domain::key::{ApiKey, Scope};
use tallystick_domain::{Instant, KeyId, Namespace};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT namespace, id, name, scopes, created_at, revoked_at FROM api_keys ", $rest)
    };
}

impl StateStore {
    /// Stores a new key. A stored id or secret is a [`StateError::Conflict`].
    pub async fn insert_key(&self, key: &ApiKey, secret_hash: &str) -> Result<(), StateError> {
        let mut write = Write::begin(self, Writer::of(&key.namespace)).await?;
        let id = key.id.to_string();
        sqlx::query(
            "INSERT INTO api_keys (namespace, id, name, scopes, secret_hash, created_at, revoked_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(key.namespace.as_str())
        .bind(&id)
        .bind(text(&key.name))
        .bind(column::list(key.scopes.iter().map(|scope| scope.as_str())))
        .bind(text(secret_hash))
        .bind(column::instant(key.created_at))
        .bind(key.revoked_at.map(column::instant))
        .execute(&mut *write.tx)
        .await
        .map_err(|error| conflict_or_failed(error, || format!("a key with the id {id} or the same secret")))?;
        write.commit(Entity::Key, &id, Change::Created, key.created_at).await
    }

    /// All keys of all namespaces, revoked ones too, the newest last.
    pub async fn list_keys(&self) -> Result<Vec<ApiKey>, StateError> {
        let rows = sqlx::query(select!("ORDER BY created_at, id")).fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// The key with this secret, also when it is revoked: the caller looks at `revoked_at`.
    pub async fn find_key(&self, secret_hash: &str) -> Result<Option<ApiKey>, StateError> {
        let row = sqlx::query(select!("WHERE secret_hash = $1"))
            .bind(text(secret_hash))
            .fetch_optional(&self.pool)
            .await
            .map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// Revokes a key; `false` when there is no such key. A key that is revoked already keeps its first time.
    pub async fn revoke_key(&self, id: KeyId, at: Instant) -> Result<bool, StateError> {
        let id = id.to_string();
        let row = sqlx::query("SELECT id, namespace FROM api_keys WHERE id = $1")
            .bind(&id)
            .fetch_optional(&self.pool)
            .await
            .map_err(failed)?;
        let Some(row) = row else { return Ok(false) };
        let namespace = Columns::of("api_keys", &row).parsed("namespace", Namespace::parse)?;
        let mut write = Write::begin(self, Writer::of(&namespace)).await?;
        let revoked =
            sqlx::query("UPDATE api_keys SET revoked_at = $3 WHERE namespace = $1 AND id = $2 AND revoked_at IS NULL")
                .bind(namespace.as_str())
                .bind(&id)
                .bind(column::instant(at))
                .execute(&mut *write.tx)
                .await
                .map_err(failed)?;
        if revoked.rows_affected() > 0 {
            write.commit(Entity::Key, &id, Change::Revoked, at).await?;
        }
        Ok(true)
    }
}

fn read(row: &AnyRow) -> Result<ApiKey, StateError> {
    let columns = Columns::of("api_keys", row);
    let scopes = columns
        .list("scopes")?
        .into_iter()
        .map(|name| Scope::parse(&name).ok_or_else(|| columns.corrupt("scopes", format!("{name:?} is not a scope"))));
    Ok(ApiKey {
        id: columns.parsed("id", |text| KeyId::parse(text).ok_or("it is not a ULID"))?,
        namespace: columns.parsed("namespace", Namespace::parse)?,
        name: columns.text("name")?,
        scopes: scopes.collect::<Result<_, _>>()?,
        created_at: columns.instant("created_at")?,
        revoked_at: columns.optional_instant("revoked_at")?,
    })
}
