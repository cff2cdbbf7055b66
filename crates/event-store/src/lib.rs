//! Usage events at rest and their aggregation.
//!
//! Invariant: a query equals domain's reference fold over the listed events; acknowledged means it survives kill -9.

mod correction;
mod embedded;
mod error;
mod store;

pub use correction::{
    Change, CorrectError, Corrected, Correction, EventHistory, Expirable, HourTally, RecordedCorrection,
};
/// A disk in memory that fails as disks do, for tests.
#[cfg(any(test, feature = "faults"))]
pub use embedded::disk::faulty;
pub use embedded::disk::{Access, Disk, DiskFile, HostDisk};
/// A store that is stepped by hand, for tests.
#[cfg(any(test, feature = "faults"))]
pub use embedded::stepped::{SteppedStore, Ticket};
pub use embedded::{EmbeddedStore, LiveKey, StoreOptions};
pub use error::{AppendError, QueryError, StoreError};
pub use store::{Appended, EventStore, StoreStats};
