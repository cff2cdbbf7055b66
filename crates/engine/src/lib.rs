//! The one API that every dialect and worker calls: commands and queries in plain data.
//!
//! Invariant: one method = one transaction = one outcome; never names HTTP, JSON or a vendor. Every method takes a
//! [`Caller`], and every lookup is made in the caller's namespace; those in `operate.rs` are for the operator alone.

mod access_query;
mod aliases;
mod balance;
mod balances;
mod caller;
mod checks;
mod clock;
mod config;
mod corrections;
mod customer_subjects;
mod customers;
mod engine;
mod entitled;
mod entitlements;
mod error;
mod event_counts;
mod event_schemas;
mod events;
mod features;
mod grants;
mod holdings;
mod idempotency;
mod ingest;
mod judging;
mod jwt;
mod keys;
mod meters;
mod namespaces;
mod operate;
mod portal;
mod progress;
mod query;
mod reconcile;
mod reported;
mod reservations;
mod retention;
mod subjects;
mod today;
mod usage;

pub use access_query::{AccessPage, AccessQuery, CustomerAccess, FeatureAccess, PagePlace};
pub use aliases::MAX_ALIASES;
pub use balance::{Access, BalanceHistory, HistoryQuery, MeteredAccess};
pub use balances::MeterBalance;
pub use caller::Caller;
pub use clock::{Clock, monotonic};
pub use config::{EngineConfig, IdempotencyTuning, Limits, PortalTuning, StoreTuning};
pub use corrections::NewCorrection;
pub use customer_subjects::{CustomerPatch, KnownSubject, NewSubject};
pub use customers::{CustomerListing, CustomerOrder, CustomerPage, CustomerText};
pub use engine::{Drift, Engine, EngineStats, OpenError};
pub use entitled::Entitled;
pub use entitlements::{EntitlementListing, EntitlementPage, EntitlementView, FeatureRef};
pub use error::{EngineError, Fault, InvalidEvent};
pub use event_counts::EventCount;
pub use events::{EventListing, ListedEvent};
pub use features::{FeatureListing, FeatureOrder, FeaturePage, FeatureText};
pub use grants::{GrantListing, GrantOrder, GrantPage};
pub use idempotency::{Attempt, KeptAnswer};
pub use ingest::{IngestReport, NewEvent, check_events};
pub use keys::{CreatedKey, KeyAdmin};
pub use meters::MeterRef;
pub use namespaces::NamespaceAdmin;
pub use operate::{Checked, EVENTS_DIR, STATE_FILE, StateCheck, verify_backup, verify_closed};
pub use portal::{CreatedPortalToken, PortalCaller, PortalTokenDraft};
pub use progress::{ImportPart, OperationProgress};
pub use query::{Coverage, MeterQuery, MeterResult, MeterRow, NotCountedGroup};
pub use reconcile::ReconciledHour;
pub use reported::Reported;
pub use retention::{Retention, RetentionRule};
pub use subjects::MAX_SUBJECTS;
pub use tallystick_event_store::{
    Change, CopiedFile, Corrected, Damage, EventsBackup, HistogramSnapshot, Progress, RecordedCorrection, SegmentSizes,
    StoreContent, StoreError, StoreHistograms, StoreStats, Unit, Verification, Watch,
};
