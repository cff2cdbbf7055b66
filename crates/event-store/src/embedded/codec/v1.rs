//! Reads payloads of format 1: rows one after the other, each with its texts in it: namespace, time and acceptance in
//! microseconds (8 bytes each), id, source, type, subject, data, extras. Texts are a length and their bytes; data and
//! extras have length + 1, and 0 for none.

use super::bytes::Reader;
use crate::embedded::row::RowRef;
use crate::embedded::rows::Rows;
use tallystick_domain::Namespace;
use tallystick_domain::event::{EventParts, EventRef, StoredRef};

/// Reads `count` rows that fill `bytes` exactly; `None` if they do not.
pub(super) fn decode_all(bytes: &[u8], count: usize) -> Option<Rows> {
    let mut reader = Reader { rest: bytes };
    let mut rows = Rows::default();
    // A row takes at least 24 bytes, so a wrong count cannot ask for much memory.
    rows.reserve(count.min(bytes.len() / 24 + 1), bytes.len());
    for _ in 0..count {
        take_row(&mut reader, &mut rows)?;
    }
    reader.rest.is_empty().then_some(rows)
}

fn take_row(reader: &mut Reader<'_>, rows: &mut Rows) -> Option<()> {
    let namespace = Namespace::parse(reader.text()?).ok()?;
    let time = reader.instant()?;
    let ingested_at = reader.instant()?;
    let event = EventRef::from_store(EventParts {
        id: reader.text()?,
        source: reader.text()?,
        event_type: reader.text()?,
        subject: reader.text()?,
        time,
        data: optional_text(reader)?,
        extras: optional_text(reader)?,
    });
    rows.push(RowRef { namespace: &namespace, stored: StoredRef { event, ingested_at } });
    Some(())
}

fn optional_text<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a str>> {
    match reader.length()?.checked_sub(1) {
        None => Some(None),
        Some(len) => std::str::from_utf8(reader.take(len)?).ok().map(Some),
    }
}
