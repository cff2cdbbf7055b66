//! Reservations at rest.

use crate::column::{self, Columns, text};
use crate::error::{StateError, failed};
use crate::outbox::{Change, Entity, Write};
use crate::{StateStore, Writer};
use sqlx::any::AnyRow;
use tallystick_domain::entitlement::{Outcome, Reservation};
use tallystick_domain::{EntitlementId, Instant, Namespace, Quantity, ReservationId};

/// How long a reservation is kept after it expired, so that usage that comes late can still be committed: 30 days.
const KEPT_US: i64 = 30 * 86_400_000_000;

/// Reservations that are removed in one transaction, so that no writer waits for long.
const FORGET_AT_ONCE: u64 = 1000;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT namespace, id, entitlement_id, amount, created_at, expires_at, released_at, committed_at, event_source, ",
            "event_id FROM reservations ",
            $rest
        )
    };
}

impl StateStore {
    /// Stores a new reservation.
    pub async fn insert_reservation(&self, by: Writer<'_>, reservation: &Reservation) -> Result<(), StateError> {
        const INSERT: &str = "INSERT INTO reservations (namespace, id, entitlement_id, amount, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6)";
        let (ns, id, at) = (by.namespace(), reservation.id.to_string(), reservation.created_at);
        let mut write = Write::begin(self, by).await?;
        sqlx::query(INSERT)
            .bind(ns.as_str())
            .bind(&id)
            .bind(reservation.entitlement.to_string())
            .bind(reservation.amount.to_string())
            .bind(column::instant(at))
            .bind(column::instant(reservation.expires_at))
            .execute(&mut *write.tx)
            .await
            .map_err(failed)?;
        write.commit(Entity::Reservation, &id, Change::Created, at).await
    }

    /// Removes reservations that expired more than 30 days ago, some at once; says how many those were.
    pub async fn forget_reservations(&self, now: Instant) -> Result<u64, StateError> {
        const FORGET: &str = "DELETE FROM reservations WHERE expires_at < $1 AND (namespace, id) IN \
             (SELECT namespace, id FROM reservations WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)";
        let before = column::instant(now.saturating_add_micros(-KEPT_US));
        let mut forgotten = 0;
        loop {
            let (_turn, mut tx) = self.begin_write().await?;
            let query = sqlx::query(FORGET).bind(before).bind(FORGET_AT_ONCE as i64);
            let removed = query.execute(&mut *tx).await.map_err(failed)?.rows_affected();
            tx.commit().await.map_err(failed)?;
            forgotten += removed;
            if removed < FORGET_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }

    /// Ends a reservation; `false` when there is none that nobody ended before.
    pub async fn end_reservation(
        &self,
        by: Writer<'_>,
        id: ReservationId,
        outcome: &Outcome,
    ) -> Result<bool, StateError> {
        const END: &str = "UPDATE reservations SET released_at = $3, committed_at = $4, event_source = $5, event_id = $6 \
             WHERE namespace = $1 AND id = $2 AND released_at IS NULL AND committed_at IS NULL";
        let (released, committed, source, event, at) = match outcome {
            Outcome::Released { at } => (Some(column::instant(*at)), None, None, None, *at),
            Outcome::Committed { at, event_source, event_id } => {
                (None, Some(column::instant(*at)), Some(text(event_source)), Some(text(event_id)), *at)
            }
        };
        let mut write = Write::begin(self, by).await?;
        let query = sqlx::query(END).bind(by.namespace().as_str()).bind(id.to_string());
        let query = query.bind(released).bind(committed).bind(source).bind(event);
        if query.execute(&mut *write.tx).await.map_err(failed)?.rows_affected() == 0 {
            return Ok(false);
        }
        write.commit(Entity::Reservation, &id.to_string(), Change::Updated, at).await?;
        Ok(true)
    }

    /// The reservation with this id.
    pub async fn get_reservation(&self, ns: &Namespace, id: ReservationId) -> Result<Option<Reservation>, StateError> {
        let query = sqlx::query(select!("WHERE namespace = $1 AND id = $2")).bind(ns.as_str()).bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// The reservations of all namespaces that hold something back at a moment.
    pub async fn reservations_held(&self, at: Instant) -> Result<Vec<(Namespace, Reservation)>, StateError> {
        let query = sqlx::query(select!("WHERE expires_at > $1 AND released_at IS NULL AND committed_at IS NULL"));
        let rows = query.bind(column::instant(at)).fetch_all(&self.pool).await.map_err(failed)?;
        let of = |row| {
            let columns = Columns::of("reservations", row);
            Ok((columns.parsed("namespace", Namespace::parse)?, read(row)?))
        };
        rows.iter().map(of).collect()
    }
}

fn read(row: &AnyRow) -> Result<Reservation, StateError> {
    let columns = Columns::of("reservations", row);
    let missing = |column: &str| columns.corrupt(column, "it is missing");
    let outcome = match (columns.optional_instant("released_at")?, columns.optional_instant("committed_at")?) {
        (None, None) => None,
        (Some(at), None) => Some(Outcome::Released { at }),
        (None, Some(at)) => Some(Outcome::Committed {
            at,
            event_source: columns.optional_text("event_source")?.ok_or_else(|| missing("event_source"))?,
            event_id: columns.optional_text("event_id")?.ok_or_else(|| missing("event_id"))?,
        }),
        (Some(_), Some(_)) => return Err(columns.corrupt("released_at", "it was committed and released")),
    };
    Ok(Reservation {
        id: columns.parsed("id", |text| ReservationId::parse(text).ok_or("it is not a ULID"))?,
        entitlement: columns.parsed("entitlement_id", |text| EntitlementId::parse(text).ok_or("it is not a ULID"))?,
        amount: columns.parsed("amount", Quantity::parse)?,
        created_at: columns.instant("created_at")?,
        expires_at: columns.instant("expires_at")?,
        outcome,
    })
}
