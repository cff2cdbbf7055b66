//! The door over real stores, without a server around it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod errors;
mod operations;
mod support;
