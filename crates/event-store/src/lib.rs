//! Usage events at rest and their aggregation.
//!
//! Invariant: a query equals domain's reference fold over the listed events; acknowledged means it survives kill -9.

mod correction;
mod embedded;
mod error;
mod histogram;
mod progress;
mod report;
mod store;

pub use correction::{
    Change, CorrectError, Corrected, Correction, EventHistory, Expirable, HourTally, RecordedCorrection,
};
/// A disk in memory that fails as disks do, for tests.
#[cfg(any(test, feature = "faults"))]
pub use embedded::disk::faulty;
pub use embedded::disk::{Access, Disk, DiskFile, HostDisk};
/// What the fuzz targets of the repository call.
#[cfg(any(test, feature = "fuzzing"))]
pub use embedded::fuzzing;
/// A store that is stepped by hand, for tests.
#[cfg(any(test, feature = "faults"))]
pub use embedded::stepped::{FactsAnswer, FactsTicket, SteppedStore, Ticket};
pub use embedded::{Counted, EmbeddedStore, LiveKey, LiveMeasure, SegmentSizes, StoreOptions};
pub use error::{AppendError, QueryError, StoreError};
pub use histogram::HistogramSnapshot;
pub use progress::QueryProgress;
pub use report::{
    CopiedFile, Damage, EventsBackup, Progress, RunContent, Sample, SegmentContent, StoreContent, TypeContent, Unit,
    Verification, Watch,
};
pub use store::{Appended, EventStore, StoreHistograms, StoreStats};
