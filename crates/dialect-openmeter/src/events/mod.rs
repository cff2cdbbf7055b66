//! Events: taken in as CloudEvents, listed with the reason why one does not count.

mod binary;
mod cursor;
mod envelope;
mod ingest;
mod item;
mod list;
mod plain;
mod structured;

pub use ingest::parse_only;
pub(crate) use ingest::{__path_ingest_events, ingest_events};
pub(crate) use list::{__path_list_events, __path_list_events_v2, list_events, list_events_v2};
