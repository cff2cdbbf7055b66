//! Transactions that write, each with its outbox row: who must react to a change reads the outbox, so it never sees a change
//! that was rolled back and never misses one that was committed.

use crate::error::{StateError, failed};
use crate::{StateStore, Writer, column, idempotency};
use sqlx::{Any, Transaction};
use tallystick_domain::{Instant, Namespace};
use tokio::sync::OwnedMutexGuard;

/// What kind of thing changed.
#[derive(Clone, Copy)]
pub(crate) enum Entity {
    Meter,
    Key,
    Customer,
    Subject,
    Feature,
    PortalToken,
    Secret,
    Namespace,
    Entitlement,
    Grant,
    Reservation,
    EventSchema,
    Alias,
}

impl Entity {
    fn as_str(self) -> &'static str {
        match self {
            Entity::Meter => "meter",
            Entity::Key => "key",
            Entity::Customer => "customer",
            Entity::Subject => "subject",
            Entity::Feature => "feature",
            Entity::PortalToken => "portal_token",
            Entity::Secret => "secret",
            Entity::Namespace => "namespace",
            Entity::Entitlement => "entitlement",
            Entity::Grant => "grant",
            Entity::Reservation => "reservation",
            Entity::EventSchema => "event_schema",
            Entity::Alias => "alias",
        }
    }
}

/// What happened to it.
#[derive(Clone, Copy)]
pub(crate) enum Change {
    Created,
    Updated,
    Deleted,
    Revoked,
    Archived,
    Voided,
}

impl Change {
    fn as_str(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Deleted => "deleted",
            Change::Revoked => "revoked",
            Change::Archived => "archived",
            Change::Voided => "voided",
        }
    }
}

/// A transaction that writes in one namespace. [`Write::commit`] is the only way to commit it; dropped, it rolls back.
pub(crate) struct Write {
    pub(crate) tx: Transaction<'static, Any>,
    namespace: Namespace,
    position: i64,
    // Declared last: the next writer's turn begins after this transaction has ended.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Write {
    /// Begins, and takes the namespace's next outbox position. That row lock makes the writers of a namespace queue, so
    /// positions have no gaps and appear in commit order: a reader that remembers a position misses nothing. A reserved
    /// idempotency key is marked first of all, so that what it stands for is written at most once.
    pub(crate) async fn begin(store: &StateStore, by: Writer<'_>) -> Result<Self, StateError> {
        let namespace = by.namespace();
        let (turn, mut tx) = store.begin_write().await?;
        let position = next_position(&mut tx, namespace).await?;
        if let Some(reservation) = by.reservation() {
            idempotency::mark_written(&mut tx, reservation).await?;
        }
        Ok(Self { tx, namespace: namespace.clone(), position, _turn: turn })
    }

    /// Writes the outbox row of one of several changes that are committed together; the last one goes with
    /// [`Write::commit`].
    pub(crate) async fn also(
        &mut self,
        entity: Entity,
        id: &str,
        change: Change,
        at: Instant,
    ) -> Result<(), StateError> {
        self.record(entity, id, change, at).await?;
        self.position = next_position(&mut self.tx, &self.namespace).await?;
        Ok(())
    }

    /// Writes the outbox row and commits.
    pub(crate) async fn commit(
        mut self,
        entity: Entity,
        id: &str,
        change: Change,
        at: Instant,
    ) -> Result<(), StateError> {
        self.record(entity, id, change, at).await?;
        self.tx.commit().await.map_err(failed)
    }

    async fn record(&mut self, entity: Entity, id: &str, change: Change, at: Instant) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO outbox (namespace, position, entity, entity_id, change, at) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(self.namespace.as_str())
        .bind(self.position)
        .bind(entity.as_str())
        .bind(id)
        .bind(change.as_str())
        .bind(column::instant(at))
        .execute(&mut *self.tx)
        .await
        .map(drop)
        .map_err(failed)
    }
}

async fn next_position(tx: &mut Transaction<'static, Any>, namespace: &Namespace) -> Result<i64, StateError> {
    sqlx::query_scalar(
        "INSERT INTO outbox_heads (namespace, last) VALUES ($1, 1) \
         ON CONFLICT (namespace) DO UPDATE SET last = outbox_heads.last + 1 RETURNING last",
    )
    .bind(namespace.as_str())
    .fetch_one(&mut **tx)
    .await
    .map_err(failed)
}
