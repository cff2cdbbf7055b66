//! Reservations: hold back a part of a balance for usage whose size is not known yet, then commit the usage or let go.

use crate::balance::Access;
use crate::caller::Caller;
use crate::engine::Engine;
use crate::entitlements::missing;
use crate::error::{EngineError, Fault};
use crate::holdings::Holdings;
use crate::ingest::NewEvent;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tallystick_domain::customer::Customer;
use tallystick_domain::entitlement::{Outcome, Reservation, ReservationDraft};
use tallystick_domain::key::Scope;
use tallystick_domain::{EntitlementId, Instant, Namespace, Quantity, ReservationId};

/// Reservations of different entitlements wait for each other in so many lines.
const LINES: usize = 64;

/// What is held back. The store has the same, so that it is known again after a restart.
#[derive(Default)]
pub(crate) struct Held {
    parts: Mutex<HashMap<(Namespace, EntitlementId), Vec<Part>>>,
    /// How many parts there are, so that who asks without any waits for nobody.
    count: AtomicUsize,
    /// Whoever reserves from a balance is alone between looking at it and holding a part of it back.
    lines: Lines,
}

struct Lines([tokio::sync::Mutex<()>; LINES]);

impl Default for Lines {
    fn default() -> Self {
        Self(std::array::from_fn(|_| tokio::sync::Mutex::default()))
    }
}

struct Part {
    id: ReservationId,
    amount: Quantity,
    expires_at: Instant,
}

impl Held {
    /// Holds back what a reservation says.
    pub fn add(&self, ns: &Namespace, made: &Reservation) {
        let mut all = self.lock();
        let parts = all.entry((ns.clone(), made.entitlement)).or_default();
        let before = parts.len();
        parts.retain(|part| made.created_at < part.expires_at);
        let dropped = before - parts.len();
        parts.push(Part { id: made.id, amount: made.amount, expires_at: made.expires_at });
        self.count.fetch_add(1, Ordering::Release);
        self.count.fetch_sub(dropped, Ordering::Release);
    }

    /// Lets go of what a reservation held back.
    fn remove(&self, ns: &Namespace, ended: &Reservation) {
        let mut all = self.lock();
        let key = (ns.clone(), ended.entitlement);
        let Some(parts) = all.get_mut(&key) else { return };
        let before = parts.len();
        parts.retain(|part| part.id != ended.id);
        self.count.fetch_sub(before - parts.len(), Ordering::Release);
        if parts.is_empty() {
            all.remove(&key);
        }
    }

    /// What is held back of a balance at a moment; `None` if the sum has too many digits.
    pub fn sum(&self, ns: &Namespace, entitlement: EntitlementId, now: Instant) -> Option<Quantity> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Some(Quantity::ZERO);
        }
        let all = self.lock();
        let parts = all.get(&(ns.clone(), entitlement)).map_or(&[][..], Vec::as_slice);
        let held = parts.iter().filter(|part| now < part.expires_at);
        held.map(|part| part.amount).try_fold(Quantity::ZERO, |sum, amount| sum.plus(amount).ok())
    }

    /// As [`Held::sum`], for who can tell the user.
    pub fn sum_or_overflow(
        &self,
        ns: &Namespace,
        entitlement: EntitlementId,
        now: Instant,
    ) -> Result<Quantity, EngineError> {
        let overflow = || EngineError::invalid("amount", "what is reserved has more than 28 significant digits");
        self.sum(ns, entitlement, now).ok_or_else(overflow)
    }

    /// The line of an entitlement, in which whoever changes it by what it is now waits.
    pub fn line(&self, entitlement: EntitlementId) -> &tokio::sync::Mutex<()> {
        // The last characters of an id are random.
        let number = entitlement.to_string().bytes().rev().take(8).fold(0, |sum: usize, c| sum * 31 + usize::from(c));
        &self.lines.0[number % LINES]
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Namespace, EntitlementId), Vec<Part>>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    /// Holds back a part of what is left of a metered entitlement of a live customer. Refused with
    /// [`EngineError::NotEnough`] if less is left, unless the limit is soft.
    pub async fn reserve(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        draft: ReservationDraft,
    ) -> Result<Reservation, EngineError> {
        caller.require(Scope::Read)?;
        caller.require(Scope::Ingest)?;
        let entitlement = self.metered_id(caller, customer, id_or_feature).await?;
        let (time_ms, random) = self.id_parts()?;
        let id = ReservationId::from_parts(time_ms, random);
        let ns = caller.namespace();
        let _alone = self.checks().held.line(entitlement).lock().await;
        let reservation = Reservation::define(id, entitlement, draft, self.clock().now())?;
        let name = entitlement.to_string();
        let Some(Access::Metered(access)) = self.check(caller, customer, &name).await? else {
            return Err(EngineError::Conflict(format!("entitlement {name} is not in force any more")));
        };
        let left = access.standing.balance.minus(access.reserved).map_err(|_| too_many_digits())?;
        if !access.is_soft_limit && left < draft.amount {
            return Err(EngineError::NotEnough { left: left.max(Quantity::ZERO) });
        }
        access.reserved.plus(draft.amount).map_err(|_| too_many_digits())?;
        self.state().insert_reservation(caller.writer(), &reservation).await?;
        self.checks().held.add(ns, &reservation);
        Ok(reservation)
    }

    /// Stores the usage that a reservation was made for, and lets go of what it held back. The usage counts after the
    /// reservation expired too; the same event once more changes nothing.
    pub async fn commit_reservation(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        id: &str,
        event: NewEvent,
    ) -> Result<Reservation, EngineError> {
        caller.require(Scope::Ingest)?;
        let (reservation, loaded) = self.find_reservation(caller, customer, id_or_feature, id).await?;
        let same = |source: &str, id: &str| source == event.source && id == event.id;
        match &reservation.outcome {
            Some(Outcome::Released { at }) => {
                return Err(EngineError::Conflict(format!(
                    "reservation {id} was released at {at}: send a plain event"
                )));
            }
            Some(Outcome::Committed { at, event_source, event_id }) if !same(event_source, event_id) => {
                let message = format!("reservation {id} was committed at {at} with another event, {event_id:?}");
                return Err(EngineError::Conflict(message));
            }
            Some(Outcome::Committed { .. }) | None => {}
        }
        self.check_event(&event)?;
        self.check_usage(caller, &reservation, loaded, &event).await?;
        let (event_source, event_id) = (event.source.clone(), event.id.clone());
        self.ingest(caller, vec![event]).await?;
        let outcome = Outcome::Committed { at: self.clock().now(), event_source, event_id };
        self.end(caller, reservation, outcome).await
    }

    /// Lets go of what a reservation holds back. Once more changes nothing.
    pub async fn release_reservation(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        id: &str,
    ) -> Result<Reservation, EngineError> {
        caller.require(Scope::Ingest)?;
        let (reservation, _) = self.find_reservation(caller, customer, id_or_feature, id).await?;
        // Whoever commits it at the same time may be first.
        let ended = self.end(caller, reservation, Outcome::Released { at: self.clock().now() }).await?;
        match ended.outcome {
            Some(Outcome::Committed { at, .. }) => {
                Err(EngineError::Conflict(format!("reservation {id} was committed at {at} already")))
            }
            _ => Ok(ended),
        }
    }

    /// Forgets reservations that expired more than 30 days ago: usage cannot be committed to them any more. For the program itself.
    pub async fn forget_reservations(&self) -> Result<u64, EngineError> {
        Ok(self.state().forget_reservations(self.clock().now()).await?)
    }

    /// Ends a reservation that may have been ended in the same way before.
    async fn end(
        &self,
        caller: &Caller,
        reservation: Reservation,
        outcome: Outcome,
    ) -> Result<Reservation, EngineError> {
        if reservation.outcome.is_some() {
            return Ok(reservation);
        }
        let was_first = self.state().end_reservation(caller.writer(), reservation.id, &outcome).await?;
        self.checks().held.remove(caller.namespace(), &reservation);
        if was_first {
            return Ok(Reservation { outcome: Some(outcome), ..reservation });
        }
        let ended = self.state().get_reservation(caller.namespace(), reservation.id).await?;
        Ok(ended.unwrap_or(reservation))
    }

    /// The id of a metered entitlement of a live customer that is in force.
    async fn metered_id(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
    ) -> Result<EntitlementId, EngineError> {
        if let Some(id) = self.checks().metered_id(caller.namespace(), customer, id_or_feature, self.clock().now()) {
            return Ok(id);
        }
        let loaded = self.live_holdings(caller, customer).await?;
        let holding = crate::entitlements::pick(&loaded.holdings, id_or_feature, self.clock().now())?;
        holding.metered()?;
        Ok(holding.id())
    }

    /// A reservation of an entitlement that a path names, with all that its customer holds.
    async fn find_reservation(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        id: &str,
    ) -> Result<(Reservation, Holdings), EngineError> {
        let unknown = || EngineError::NotFound { what: "reservation", key: id.to_string() };
        let loaded = self.live_holdings(caller, customer).await?;
        let id = ReservationId::parse(id).ok_or_else(unknown)?;
        let reservation = self.state().get_reservation(caller.namespace(), id).await?.ok_or_else(unknown)?;
        let holding = loaded.holdings.iter().find(|holding| holding.id() == reservation.entitlement);
        let entitlement = &holding.ok_or_else(unknown)?.entitlement;
        let names = [&entitlement.feature_key, &entitlement.id.to_string(), &entitlement.feature.to_string()];
        match names.iter().any(|name| *name == id_or_feature) {
            true => Ok((reservation, loaded)),
            false => Err(missing(id_or_feature)),
        }
    }

    /// Refuses an event that would not count for the entitlement.
    async fn check_usage(
        &self,
        caller: &Caller,
        reservation: &Reservation,
        loaded: Holdings,
        event: &NewEvent,
    ) -> Result<(), EngineError> {
        let Holdings { customer, mut holdings } = loaded;
        let Some(place) = holdings.iter().position(|holding| holding.id() == reservation.entitlement) else {
            return Err(missing(&reservation.entitlement.to_string()));
        };
        let measured = self.measured(caller.namespace(), &customer, holdings.swap_remove(place)).await?;
        let plan = &measured.measure.plan;
        let mut faults = Vec::new();
        if event.event_type != plan.event_type {
            let message = format!("type must be {:?}, which the feature's meter counts", plan.event_type);
            faults.push(Fault::new("type", message));
        }
        if plan.customers.as_ref().is_some_and(|owners| !owners.contains_key(&event.subject)) {
            faults.push(Fault::new("subject", not_a_subject(&customer, &event.subject)));
        }
        if faults.is_empty() { Ok(()) } else { Err(EngineError::Invalid(faults)) }
    }
}

fn not_a_subject(customer: &Customer, subject: &str) -> String {
    let shown: String = subject.chars().take(80).collect();
    format!("subject {shown:?} is not one of customer {}: its usage would not count for it", customer.id)
}

fn too_many_digits() -> EngineError {
    EngineError::invalid("amount", "the amount and what is left have more than 28 significant digits together")
}
