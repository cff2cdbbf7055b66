//! Events: taken in as CloudEvents, listed with the reason why one does not count.

mod binary;
pub(crate) mod cursor;
mod envelope;
mod ingest;
mod item;
mod list;
pub(crate) mod plain;
pub(crate) mod structured;

pub use ingest::parse_only;
pub(crate) use ingest::{__path_ingest_events, ingest_events, read_one, refused_event, take_in};
pub(crate) use item::{CloudEvent, IngestBody, event_of};
pub(crate) use list::{__path_list_events, __path_list_events_v2, list_events, list_events_v2};
pub(crate) use structured::Specversion;
