//! Usage events at rest and their aggregation.
//!
//! Invariant: a query equals domain's reference fold over the listed events; acknowledged means it survives kill -9.

mod embedded;
mod error;

pub use error::{AppendError, QueryError, StoreError};
