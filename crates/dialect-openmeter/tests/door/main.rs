//! The door over a real engine in a temporary folder: what goes in over the wire and what comes out.

#![allow(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

mod corrections;
mod customers;
mod encodings;
mod entitlements;
mod errors;
mod features;
mod hostile;
mod idempotency;
mod info;
mod ingest;
mod listing;
mod meters;
mod operations;
mod portal;
mod query;
mod rate;
mod reconciliation;
mod reservations;
mod subjects;
mod support;
mod v3;
mod values;
