//! Entitlements over real stores: balances are what the rules say of the events, whatever is remembered.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod balances;
mod model;
mod place;
mod reserving;
mod telling;
