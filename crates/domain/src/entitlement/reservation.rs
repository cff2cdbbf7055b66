//! Reservations: what is held back of a balance for usage whose size is not known yet.

use super::entitlement::EntitlementFault;
use crate::quantity::Quantity;
use crate::time::Instant;
use crate::{EntitlementId, ReservationId};

/// How long a reservation lasts if nothing else is asked for: a minute.
const DEFAULT_LIFE_US: i64 = 60_000_000;
/// The longest life: a day.
const MAX_LIFE_US: i64 = 86_400_000_000;
/// The shortest life: a second.
const MIN_LIFE_US: i64 = 1_000_000;

/// An amount that is held back. It takes nothing from grants: it only lets other reservations and checks see less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Identity.
    pub id: ReservationId,
    /// The entitlement.
    pub entitlement: EntitlementId,
    /// How much is held back; more than nothing.
    pub amount: Quantity,
    /// When it was made.
    pub created_at: Instant,
    /// From when on it holds nothing back any more.
    pub expires_at: Instant,
    /// How it was ended, if somebody ended it.
    pub outcome: Option<Outcome>,
}

/// How a reservation was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was given back.
    Released {
        /// When.
        at: Instant,
    },
    /// The usage came.
    Committed {
        /// When.
        at: Instant,
        /// The source of the usage event.
        event_source: String,
        /// The id of the usage event.
        event_id: String,
    },
}

/// A reservation as a request describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReservationDraft {
    /// How much to hold back.
    pub amount: Quantity,
    /// For how long, in microseconds; a minute if absent.
    pub life_us: Option<i64>,
}

impl ReservationDraft {
    /// For how long, in microseconds.
    fn life(self) -> i64 {
        self.life_us.unwrap_or(DEFAULT_LIFE_US)
    }
}

impl Reservation {
    /// Builds a reservation.
    ///
    /// # Errors
    /// All that is wrong with the draft.
    pub fn define(
        id: ReservationId,
        entitlement: EntitlementId,
        draft: ReservationDraft,
        now: Instant,
    ) -> Result<Self, Vec<EntitlementFault>> {
        let mut faults = Vec::new();
        if !draft.amount.is_positive() {
            faults.push(EntitlementFault {
                field: "amount",
                code: "reservation_amount_must_be_positive",
                message: "amount must be more than zero".into(),
            });
        }
        if !(MIN_LIFE_US..=MAX_LIFE_US).contains(&draft.life()) {
            faults.push(EntitlementFault {
                field: "expiresIn",
                code: "reservation_life_out_of_range",
                message: "expiresIn must be between PT1S and P1D".into(),
            });
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let expires_at = now.saturating_add_micros(draft.life());
        Ok(Self { id, entitlement, amount: draft.amount, created_at: now, expires_at, outcome: None })
    }

    /// Whether it holds something back at a moment.
    pub fn holds_at(&self, now: Instant) -> bool {
        self.outcome.is_none() && now < self.expires_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entitlement::burn_down::testing::{at, q};

    fn define(amount: &str, life_us: Option<i64>) -> Result<Reservation, Vec<&'static str>> {
        let draft = ReservationDraft { amount: q(amount), life_us };
        let ids = (ReservationId::from_parts(0, 1), EntitlementId::from_parts(0, 1));
        let made = Reservation::define(ids.0, ids.1, draft, at("2025-01-01"));
        made.map_err(|faults| faults.iter().map(|fault| fault.code).collect())
    }

    #[test]
    fn one_holds_its_amount_for_a_minute_unless_it_is_ended() {
        let made = define("0.5", None).unwrap();
        assert!(made.holds_at(at("2025-01-01T00:00:59.999999")) && !made.holds_at(at("2025-01-01T00:01:00")));
        let ended = Reservation { outcome: Some(Outcome::Released { at: at("2025-01-01") }), ..made };
        assert!(!ended.holds_at(at("2025-01-01")));
    }

    #[test]
    fn amounts_and_lives_have_bounds_and_all_faults_are_told() {
        let (amount, life) = ("reservation_amount_must_be_positive", "reservation_life_out_of_range");
        assert_eq!(define("0", Some(999_999)), Err(vec![amount, life]));
        assert_eq!(define("-1", None), Err(vec![amount]));
        assert_eq!(define("1", Some(MAX_LIFE_US + 1)), Err(vec![life]));
        assert!(define("1", Some(MIN_LIFE_US)).is_ok() && define("1", Some(MAX_LIFE_US)).is_ok());
    }
}
