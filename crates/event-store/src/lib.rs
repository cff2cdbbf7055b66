//! Usage events at rest and their aggregation.
//!
//! Invariant: a query equals domain's reference fold over the listed events; acknowledged means it survives kill -9.

mod correction;
mod embedded;
mod error;
mod store;

pub use correction::{Change, CorrectError, Corrected, Correction, EventHistory, Expirable, RecordedCorrection};
pub use embedded::disk::{Access, Disk, DiskFile, HostDisk};
pub use embedded::{EmbeddedStore, StoreOptions};
pub use error::{AppendError, QueryError, StoreError};
pub use store::{Appended, EventStore, StoreStats};
