//! Events: in, listed, corrected.

mod correction;
mod ingest;
mod item;
mod list;
mod payload;
mod place;

pub(crate) use correction::*;
pub(crate) use ingest::*;
pub(crate) use list::*;
pub(crate) use payload::read_time;
