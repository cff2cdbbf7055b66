//! Rows as bytes, for the log.
//!
//! One row: namespace, time and acceptance in microseconds (8 bytes each, little endian), id, source, type, subject,
//! data, extras. Texts are a length and their bytes; data and extras write length + 1, and 0 for none. Lengths take 7
//! bits per byte, least first.

use super::row::RowRef;
use super::rows::Rows;
use tallystick_domain::event::{EventParts, EventRef, StoredRef};
use tallystick_domain::{Instant, Namespace};

/// How many bytes [`encode`] appends.
pub(crate) fn encoded_len(namespace: &Namespace, stored: StoredRef<'_>) -> usize {
    let event = stored.event;
    let texts = [namespace.as_str(), event.id(), event.source(), event.event_type(), event.subject()];
    let optional = [event.data(), event.extras()];
    16 + texts.iter().map(|text| length_len(text.len()) + text.len()).sum::<usize>()
        + optional.iter().map(|text| text.map_or(1, |text| length_len(text.len() + 1) + text.len())).sum::<usize>()
}

/// Appends a row.
pub(crate) fn encode(namespace: &Namespace, stored: StoredRef<'_>, out: &mut Vec<u8>) {
    let event = stored.event;
    put_text(out, namespace.as_str());
    out.extend_from_slice(&event.time().as_micros().to_le_bytes());
    out.extend_from_slice(&stored.ingested_at.as_micros().to_le_bytes());
    for text in [event.id(), event.source(), event.event_type(), event.subject()] {
        put_text(out, text);
    }
    for text in [event.data(), event.extras()] {
        put_length(out, text.map_or(0, |text| text.len() + 1));
        out.extend_from_slice(text.unwrap_or_default().as_bytes());
    }
}

/// Reads `count` rows that fill `bytes` exactly; `None` if they do not.
pub(crate) fn decode_all(bytes: &[u8], count: usize) -> Option<Rows> {
    let mut reader = Reader { rest: bytes };
    let mut rows = Rows::default();
    // A row takes at least 24 bytes, so a wrong count cannot ask for much memory.
    rows.reserve(count.min(bytes.len() / 24 + 1), bytes.len());
    let mut namespace = None;
    for _ in 0..count {
        reader.row(&mut namespace, &mut rows)?;
    }
    reader.rest.is_empty().then_some(rows)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads a row; `known` is the namespace of the row before.
    fn row(&mut self, known: &mut Option<Namespace>, rows: &mut Rows) -> Option<()> {
        let name = self.text()?;
        let namespace = match known {
            Some(namespace) if namespace.as_str() == name => namespace,
            _ => known.insert(Namespace::parse(name).ok()?),
        };
        let time = self.instant()?;
        let ingested_at = self.instant()?;
        let event = EventRef::from_store(EventParts {
            id: self.text()?,
            source: self.text()?,
            event_type: self.text()?,
            subject: self.text()?,
            time,
            data: self.optional_text()?,
            extras: self.optional_text()?,
        });
        rows.push(RowRef { namespace, stored: StoredRef { event, ingested_at } });
        Some(())
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn length(&mut self) -> Option<usize> {
        let mut value = 0u64;
        for shift in (0..35).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(value).ok();
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = self.length()?;
        std::str::from_utf8(self.take(len)?).ok()
    }

    fn optional_text(&mut self) -> Option<Option<&'a str>> {
        match self.length()?.checked_sub(1) {
            None => Some(None),
            Some(len) => Some(Some(std::str::from_utf8(self.take(len)?).ok()?)),
        }
    }

    fn instant(&mut self) -> Option<Instant> {
        Instant::from_micros(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn put_length(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn length_len(value: usize) -> usize {
    let bits = usize::BITS - value.leading_zeros();
    bits.max(1).div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tallystick_domain::event::{Event, StoredEvent};

    fn stored() -> impl Strategy<Value = StoredEvent> {
        let micros = Instant::MIN.as_micros()..=Instant::MAX.as_micros();
        let texts = ("\\PC{0,200}", "\\PC{0,20}", "\\PC{0,20}", "\\PC{0,20}");
        let optional = (prop::option::of("\\PC{0,300}"), prop::option::of("\\PC{0,20}"));
        (texts, optional, micros.clone(), micros).prop_map(|(texts, optional, time, ingested)| {
            let parts = EventParts {
                id: texts.0,
                source: texts.1,
                event_type: texts.2,
                subject: texts.3,
                time: Instant::from_micros(time).unwrap(),
                data: optional.0,
                extras: optional.1,
            };
            StoredEvent { event: Event::from_store(parts), ingested_at: Instant::from_micros(ingested).unwrap() }
        })
    }

    proptest! {
        #[test]
        fn rows_round_trip_and_their_length_is_foreseen(events in prop::collection::vec(stored(), 0..5)) {
            let namespace = Namespace::parse("tenant-1").unwrap();
            let mut bytes = Vec::new();
            for stored in &events {
                let before = bytes.len();
                encode(&namespace, stored.view(), &mut bytes);
                prop_assert_eq!(bytes.len() - before, encoded_len(&namespace, stored.view()));
            }
            let rows = decode_all(&bytes, events.len()).unwrap();
            prop_assert!(rows.iter().all(|row| *row.namespace == namespace));
            let back: Vec<_> = rows.iter().map(|row| row.stored.to_stored()).collect();
            prop_assert_eq!(back, events.clone());
            prop_assert!(decode_all(&bytes, events.len() + 1).is_none());
            if !events.is_empty() {
                prop_assert!(decode_all(&bytes, events.len() - 1).is_none());
                prop_assert!(decode_all(&bytes[..bytes.len() - 1], events.len()).is_none());
            }
        }

        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0usize..1000) {
            let _ = decode_all(&bytes, count);
        }
    }
}
