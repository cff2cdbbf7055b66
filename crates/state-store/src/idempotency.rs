//! Idempotency keys at rest: who holds one, how far its request is, and what was answered.
//!
//! Invariant: what a key stands for is written at most once. Only the attempt that holds the key can write, and the
//! transaction that writes marks the key (`Write::begin`). A key that is marked is never handed to another attempt.

use crate::StateStore;
use crate::column::{self, Columns, text};
use crate::error::{StateError, failed};
use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, Transaction};
use std::collections::BTreeMap;
use tallystick_domain::idempotency::IdempotencyKey;
use tallystick_domain::{Instant, Namespace};

/// How many expired keys one transaction removes, so that no writer waits long for it.
const FORGET_AT_ONCE: u64 = 1000;

/// A key, held by one attempt to do what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Whose namespace is written.
    pub namespace: Namespace,
    /// Whose key it is; others may use the same text for something else.
    pub actor: String,
    /// The key.
    pub key: IdempotencyKey,
    /// The running server, by a text that no other one has.
    pub process: String,
    /// The attempt, by a text that no other one has.
    pub attempt: String,
}

/// What was answered. What its parts mean is the caller's affair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnswer {
    /// A number.
    pub code: u16,
    /// Texts by name.
    pub labels: BTreeMap<String, String>,
    /// The answer itself; `None` when it was not kept.
    pub body: Option<String>,
}

/// What became of an attempt to hold a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// It is held now: go on.
    Held,
    /// It was answered.
    Answered(KeptAnswer),
    /// It stands for another request.
    OtherRequest,
    /// Another attempt holds it.
    InFlight,
    /// Its write was done, but no answer was kept.
    AnswerLost,
}

impl StateStore {
    /// Tries to hold a key for a request, which its fingerprint identifies. An attempt whose lease is over and that has not
    /// written anything loses the key; so does, on a store that only one server uses, one of an earlier start.
    pub async fn reserve(
        &self,
        wanted: &Reservation,
        fingerprint: &str,
        now: Instant,
        lease_until: Instant,
        expires_at: Instant,
    ) -> Result<Reserved, StateError> {
        const RESERVE: &str = "INSERT INTO idempotency_keys \
             (namespace, actor, id, fingerprint, process, attempt, phase, lease_until, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, 'reserved', $7, $8) \
             ON CONFLICT (namespace, actor, id) DO UPDATE SET fingerprint = excluded.fingerprint, \
             process = excluded.process, attempt = excluded.attempt, phase = 'reserved', \
             lease_until = excluded.lease_until, expires_at = excluded.expires_at, code = NULL, labels = NULL, body = NULL \
             WHERE idempotency_keys.expires_at <= $9 OR (idempotency_keys.phase = 'reserved' \
             AND idempotency_keys.fingerprint = excluded.fingerprint AND (idempotency_keys.lease_until <= $9 \
             OR ($10 = 1 AND idempotency_keys.process <> excluded.process)))";
        let one_server = self.backend.one_writer();
        let (_turn, mut tx) = self.begin_write().await?;
        let reserved = sqlx::query(RESERVE)
            .bind(wanted.namespace.as_str())
            .bind(text(&wanted.actor))
            .bind(wanted.key.as_str())
            .bind(fingerprint)
            .bind(&wanted.process)
            .bind(&wanted.attempt)
            .bind(column::instant(lease_until))
            .bind(column::instant(expires_at))
            .bind(column::instant(now))
            .bind(i64::from(one_server))
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
        if reserved.rows_affected() > 0 {
            tx.commit().await.map_err(failed)?;
            return Ok(Reserved::Held);
        }
        const STORED: &str = "SELECT id, fingerprint, process, phase, lease_until, code, labels, body \
             FROM idempotency_keys WHERE namespace = $1 AND actor = $2 AND id = $3";
        let query = sqlx::query(STORED).bind(wanted.namespace.as_str()).bind(text(&wanted.actor));
        let stored = query.bind(wanted.key.as_str()).fetch_optional(&mut *tx).await.map_err(failed)?;
        // A key that was given back in this moment is free for the next attempt.
        let Some(row) = stored else { return Ok(Reserved::InFlight) };
        let columns = Columns::of("idempotency_keys", &row);
        if columns.text("fingerprint")? != fingerprint {
            return Ok(Reserved::OtherRequest);
        }
        let holder_may_live =
            columns.instant("lease_until")? > now && !(one_server && columns.text("process")? != wanted.process);
        match (columns.text("phase")?.as_str(), holder_may_live) {
            ("answered", _) => answer(&columns).map(|kept| kept.map_or(Reserved::AnswerLost, Reserved::Answered)),
            ("reserved", _) | ("written", true) => Ok(Reserved::InFlight),
            ("written", false) => Ok(Reserved::AnswerLost),
            (other, _) => Err(columns.corrupt("phase", format!("{other:?} is not a phase"))),
        }
    }

    /// Keeps the answer of a held key. Does nothing when the key is no longer held.
    pub async fn keep_answer(
        &self,
        held: &Reservation,
        answer: &KeptAnswer,
        expires_at: Instant,
    ) -> Result<(), StateError> {
        const KEEP: &str = "UPDATE idempotency_keys SET phase = 'answered', code = $5, labels = $6, body = $7, expires_at = $8 \
             WHERE namespace = $1 AND actor = $2 AND id = $3 AND attempt = $4 AND phase <> 'answered'";
        let (_turn, mut tx) = self.begin_write().await?;
        let labels = answer.labels.iter().map(|(name, value)| (name, value.as_str()));
        let kept = of_attempt(KEEP, held)
            .bind(i64::from(answer.code))
            .bind(column::map(labels))
            .bind(answer.body.as_deref().map(text))
            .bind(column::instant(expires_at));
        kept.execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await.map_err(failed)
    }

    /// Gives a held key back, unless what it stands for was written: the next attempt does it again.
    pub async fn give_back(&self, held: &Reservation) -> Result<(), StateError> {
        const GIVE_BACK: &str = "DELETE FROM idempotency_keys \
             WHERE namespace = $1 AND actor = $2 AND id = $3 AND attempt = $4 AND phase = 'reserved'";
        let (_turn, mut tx) = self.begin_write().await?;
        of_attempt(GIVE_BACK, held).execute(&mut *tx).await.map_err(failed)?;
        tx.commit().await.map_err(failed)
    }

    /// Removes the keys that have expired, and says how many those were.
    pub async fn forget_idempotency_keys(&self, now: Instant) -> Result<u64, StateError> {
        const FORGET: &str = "DELETE FROM idempotency_keys WHERE expires_at <= $1 AND (namespace, actor, id) IN \
             (SELECT namespace, actor, id FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)";
        let mut forgotten = 0;
        loop {
            let (_turn, mut tx) = self.begin_write().await?;
            let query = sqlx::query(FORGET).bind(column::instant(now)).bind(FORGET_AT_ONCE as i64);
            let removed = query.execute(&mut *tx).await.map_err(failed)?.rows_affected();
            tx.commit().await.map_err(failed)?;
            forgotten += removed;
            if removed < FORGET_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }
}

/// Marks a held key as written, in the transaction that writes. An attempt that lost its key writes nothing.
pub(crate) async fn mark_written(tx: &mut Transaction<'static, Any>, held: &Reservation) -> Result<(), StateError> {
    const MARK: &str = "UPDATE idempotency_keys SET phase = 'written' \
         WHERE namespace = $1 AND actor = $2 AND id = $3 AND attempt = $4 AND phase <> 'answered'";
    let marked = of_attempt(MARK, held).execute(&mut **tx).await.map_err(failed)?;
    if marked.rows_affected() == 0 {
        return Err(StateError::Superseded);
    }
    Ok(())
}

/// Binds $1 to $4: the key and the attempt that must hold it.
fn of_attempt<'q>(sql: &'static str, held: &'q Reservation) -> Query<'q, Any, AnyArguments> {
    let key = sqlx::query(sql).bind(held.namespace.as_str()).bind(text(&held.actor));
    key.bind(held.key.as_str()).bind(held.attempt.as_str())
}

/// The answer of a row, if one was kept.
fn answer(columns: &Columns<'_>) -> Result<Option<KeptAnswer>, StateError> {
    let Some(body) = columns.optional_text("body")? else { return Ok(None) };
    Ok(Some(KeptAnswer { code: columns.number("code")?, labels: columns.map("labels")?, body: Some(body) }))
}
