//! The rules of metering, as pure functions over plain data.
//!
//! Invariant: total and deterministic; no `now()`, no float for quantity or money; a value that exists is valid
//! (constructors parse). Nothing here reads a clock, a file, a socket or the environment.

pub mod currency;
pub mod customer;
pub mod details;
pub mod entitlement;
pub mod event;
pub mod expression;
pub mod feature;
pub mod id;
pub mod idempotency;
pub mod json;
pub mod key;
pub mod meter;
pub mod namespace;
pub mod portal;
pub mod quantity;
pub mod search;
pub mod subject;
pub mod time;

pub use id::{CustomerId, EntitlementId, FeatureId, GrantId, KeyId, MeterId, PortalTokenId, ReservationId, SubjectId};
pub use namespace::Namespace;
pub use quantity::{ExactSum, Quantity, QuantityError};
pub use time::{Instant, TimeError};
