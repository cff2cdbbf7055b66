//! Portal tokens at rest, and the secret that signs them.

use crate::column::{self, Columns, text};
use crate::error::{StateError, conflict_or_failed, failed};
use crate::outbox::{Change, Entity, Write};
use crate::{StateStore, Writer};
use sqlx::any::AnyRow;
use tallystick_domain::portal::PortalToken;
use tallystick_domain::{Instant, Namespace, PortalTokenId};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, subject, meters, created_at, expires_at, invalidated_at FROM portal_tokens WHERE namespace = $1 ",
            $rest
        )
    };
}

impl StateStore {
    /// Stores a new token, and forgets those that expired before a moment: they opened nothing any more.
    pub async fn insert_portal_token(
        &self,
        by: Writer<'_>,
        token: &PortalToken,
        forget_before: Instant,
    ) -> Result<(), StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        sqlx::query("DELETE FROM portal_tokens WHERE namespace = $1 AND expires_at < $2")
            .bind(ns.as_str())
            .bind(column::instant(forget_before))
            .execute(&mut *write.tx)
            .await
            .map_err(failed)?;
        let id = token.id.to_string();
        let meters = token.meters.as_ref().map(|meters| column::list(meters.iter().map(String::as_str)));
        sqlx::query(
            "INSERT INTO portal_tokens (namespace, id, subject, meters, created_at, expires_at, invalidated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(ns.as_str())
        .bind(&id)
        .bind(text(&token.subject))
        .bind(meters)
        .bind(column::instant(token.created_at))
        .bind(column::instant(token.expires_at))
        .bind(token.invalidated_at.map(column::instant))
        .execute(&mut *write.tx)
        .await
        .map_err(|error| conflict_or_failed(error, || format!("a portal token with the id {id}")))?;
        write.commit(Entity::PortalToken, &id, Change::Created, token.created_at).await
    }

    /// The token with this id, expired and invalidated ones too.
    pub async fn get_portal_token(&self, ns: &Namespace, id: PortalTokenId) -> Result<Option<PortalToken>, StateError> {
        let query = sqlx::query(select!("AND id = $2")).bind(ns.as_str()).bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// The tokens that were not invalidated, the newest first.
    pub async fn list_portal_tokens(&self, ns: &Namespace, limit: u32) -> Result<Vec<PortalToken>, StateError> {
        let query = sqlx::query(select!("AND invalidated_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $2"));
        let rows = query.bind(ns.as_str()).bind(i64::from(limit)).fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// Invalidates the tokens that have this id and this subject, where they are given.
    pub async fn invalidate_portal_tokens(
        &self,
        by: Writer<'_>,
        id: Option<PortalTokenId>,
        subject: Option<&str>,
        at: Instant,
    ) -> Result<(), StateError> {
        const WANTED: &str = select!(
            "AND invalidated_at IS NULL AND ($2 = '' OR id = $2) AND ($3 = 0 OR subject = $4) ORDER BY created_at, id"
        );
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        let query = sqlx::query(WANTED)
            .bind(ns.as_str())
            .bind(id.map(|id| id.to_string()).unwrap_or_default())
            .bind(i64::from(subject.is_some()))
            .bind(text(subject.unwrap_or_default()));
        let rows = query.fetch_all(&mut *write.tx).await.map_err(failed)?;
        let mut last: Option<String> = None;
        for row in &rows {
            let id = read(row)?.id.to_string();
            sqlx::query("UPDATE portal_tokens SET invalidated_at = $3 WHERE namespace = $1 AND id = $2")
                .bind(ns.as_str())
                .bind(&id)
                .bind(column::instant(at))
                .execute(&mut *write.tx)
                .await
                .map_err(failed)?;
            if let Some(id) = last.replace(id) {
                write.also(Entity::PortalToken, &id, Change::Revoked, at).await?;
            }
        }
        match last {
            Some(id) => write.commit(Entity::PortalToken, &id, Change::Revoked, at).await,
            None => Ok(()),
        }
    }

    /// The secret of this name that all servers on this store share. `fresh` becomes it when there is none.
    pub async fn shared_secret(&self, name: &str, fresh: &str, at: Instant) -> Result<String, StateError> {
        if let Some(stored) = self.find_secret(name).await? {
            return Ok(stored);
        }
        let mut write = Write::begin(self, Writer::of(&Namespace::default_namespace())).await?;
        let written =
            sqlx::query("INSERT INTO secrets (id, value, created_at) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING")
                .bind(text(name))
                .bind(text(fresh))
                .bind(column::instant(at))
                .execute(&mut *write.tx)
                .await
                .map_err(failed)?;
        if written.rows_affected() > 0 {
            write.commit(Entity::Secret, name, Change::Created, at).await?;
            return Ok(fresh.to_string());
        }
        drop(write);
        let stored = self.find_secret(name).await?;
        stored.ok_or_else(|| StateError::NotFound { what: format!("the secret {name}") })
    }

    /// The secret of this name, if there is one.
    pub async fn find_secret(&self, name: &str) -> Result<Option<String>, StateError> {
        let query = sqlx::query("SELECT id, value FROM secrets WHERE id = $1").bind(text(name));
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(|row| Columns::of("secrets", row).text("value")).transpose()
    }
}

fn read(row: &AnyRow) -> Result<PortalToken, StateError> {
    let columns = Columns::of("portal_tokens", row);
    Ok(PortalToken {
        id: columns.parsed("id", |text| PortalTokenId::parse(text).ok_or("it is not a ULID"))?,
        subject: columns.text("subject")?,
        meters: columns.optional_list("meters")?.map(|meters| meters.into_iter().collect()),
        created_at: columns.instant("created_at")?,
        expires_at: columns.instant("expires_at")?,
        invalidated_at: columns.optional_instant("invalidated_at")?,
    })
}
