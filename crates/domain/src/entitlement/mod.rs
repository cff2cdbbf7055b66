//! Entitlements: what a customer may use of a feature, and how much is left.
//!
//! Invariant: burn order = priority, expiry, creation, id; balance from a snapshot equals balance from zero; Σ burned +
//! overage = usage. Usage is passed in, so the same rules hold for usage that came late.

pub mod burn_down;
#[allow(clippy::module_inception, reason = "the room is named after its main thing")]
mod entitlement;
pub mod grant;
pub mod history;
mod reservation;
mod stretch;
pub mod usage_period;

pub use burn_down::{Counting, Rules, Run, Segment, State, Usage};
pub use entitlement::{
    Entitlement, EntitlementDraft, EntitlementFault, GrantDraft, Issue, Kind, KindDraft, KindName, MeasureFrom,
    Metered, MeteredDraft, ResetDraft, can_be_balanced,
};
pub use grant::{Expiration, ExpirationUnit, Grant};
pub use reservation::{Outcome, Reservation, ReservationDraft};
pub use stretch::{Standing, Stretch};
pub use usage_period::{Reset, UsagePeriods};
