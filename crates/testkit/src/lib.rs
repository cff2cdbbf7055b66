//! Started servers and PostgreSQL for tests.
//!
//! Invariant: what a test starts listens on this machine only and ends with the test, however it ends.

pub mod kill;
pub mod postgres;
pub mod server;

pub use server::{Exited, Reply, ServerOptions, TestServer};
