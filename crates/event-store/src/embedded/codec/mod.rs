//! Rows and facts as bytes, for the log.
//!
//! A payload of format 2: the texts of all events as they are in memory, then one record after the other, then the
//! number of bytes of the texts (4 bytes). A record begins with its kind. Kind 0 is an event: its time in microseconds (8
//! bytes), then the lengths of id, source, type, subject, data and extras, which lie in this order in the texts; data and
//! extras write length + 1, and 0 for none. Kind 1 says whose the events behind it are and when they were accepted: the
//! moment in microseconds (8 bytes), length and bytes of the namespace. All numbers are little endian; lengths take 7
//! bits per byte, least first. Kinds from 16 on are facts, as [`facts::codec`](super::facts::codec) writes them.

mod bytes;
mod v1;

use super::facts::Fact;
use super::facts::codec::{self as facts_codec, FIRST_KIND, Unread};
use super::rows::Rows;
use bytes::{Reader, length_len, put_length};
use tallystick_domain::event::EventBatch;
use tallystick_domain::{Instant, Namespace};

/// A record with an event.
const EVENT: u8 = 0;
/// A record with namespace and acceptance.
const ORIGIN: u8 = 1;
/// Bytes behind the records.
const TRAILER: usize = 4;

/// What a payload holds.
#[derive(Default)]
pub(crate) struct Payload {
    pub rows: Rows,
    pub facts: Vec<Fact>,
}

/// Why a payload with a good checksum was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misread {
    /// It is not what was written.
    Broken,
    /// It has a record of a kind that only a newer program knows.
    Newer(u8),
}

/// How many bytes the rows take in a payload of their own.
pub(crate) fn encoded_len(rows: &Rows) -> usize {
    let mut len = TRAILER + rows.texts_len();
    let mut known = None;
    for (origin, (_, lengths)) in rows.origins().zip(rows.events().heads()) {
        if known.replace(origin) != Some(origin) {
            let namespace = origin.0.as_str().len();
            len += 9 + length_len(namespace) + namespace;
        }
        len += 9 + as_written(lengths).map(length_len).iter().sum::<usize>();
    }
    len
}

/// The lengths as numbers: data and extras may be absent.
fn as_written(lengths: [Option<u32>; 6]) -> [usize; 6] {
    let [id, source, event_type, subject, data, extras] = lengths.map(|len| len.map(|len| len as usize));
    let texts = [id, source, event_type, subject].map(Option::unwrap_or_default);
    let optional = [data, extras].map(|len| len.map_or(0, |len| len + 1));
    [texts[0], texts[1], texts[2], texts[3], optional[0], optional[1]]
}

/// Puts a payload together, behind some bytes that are left free.
#[derive(Debug)]
pub(crate) struct Encoder {
    free: usize,
    /// The free bytes, and the texts.
    bytes: Vec<u8>,
    records: Vec<u8>,
    origin: Option<(Namespace, Instant)>,
    events: u32,
}

impl Encoder {
    /// With nothing in it behind `free` bytes.
    pub fn new(free: usize) -> Self {
        Self { free, bytes: vec![0; free], records: Vec::new(), origin: None, events: 0 }
    }

    /// Begins again.
    pub fn clear(&mut self) {
        self.bytes.truncate(self.free);
        self.records.clear();
        self.origin = None;
        self.events = 0;
    }

    /// How many events were added.
    pub fn events(&self) -> u32 {
        self.events
    }

    /// How many bytes the payload has so far.
    pub fn payload_len(&self) -> usize {
        self.bytes.len() - self.free + self.records.len() + TRAILER
    }

    /// Adds facts.
    pub fn add_facts(&mut self, facts: &[Fact]) {
        facts.iter().for_each(|fact| facts_codec::encode(fact, &mut self.records));
    }

    /// Adds facts if the payload stays within `limit`; says whether it does.
    pub fn add_facts_within(&mut self, facts: &[Fact], limit: usize) -> bool {
        let before = self.records.len();
        self.add_facts(facts);
        let fits = self.payload_len() <= limit;
        if !fits {
            self.records.truncate(before);
        }
        fits
    }

    /// Adds all rows.
    pub fn add(&mut self, rows: &Rows) {
        self.bytes.extend_from_slice(rows.events().texts().as_bytes());
        self.events += rows.len() as u32;
        for (origin, (time, lengths)) in rows.origins().zip(rows.events().heads()) {
            self.put_origin(origin);
            self.records.push(EVENT);
            self.records.extend_from_slice(&time.as_micros().to_le_bytes());
            as_written(lengths).iter().for_each(|len| put_length(&mut self.records, *len));
        }
    }

    fn put_origin(&mut self, (namespace, ingested_at): (&Namespace, Instant)) {
        if self.origin.as_ref().is_some_and(|(known, at)| (known, *at) == (namespace, ingested_at)) {
            return;
        }
        self.records.push(ORIGIN);
        self.records.extend_from_slice(&ingested_at.as_micros().to_le_bytes());
        put_length(&mut self.records, namespace.as_str().len());
        self.records.extend_from_slice(namespace.as_str().as_bytes());
        self.origin = Some((namespace.clone(), ingested_at));
    }

    /// The free bytes and the payload. [`Encoder::clear`] is due afterwards.
    pub fn finish(&mut self) -> &mut Vec<u8> {
        // A frame is smaller than 4 GiB.
        let texts_len = (self.bytes.len() - self.free) as u32;
        self.bytes.extend_from_slice(&self.records);
        self.bytes.extend_from_slice(&texts_len.to_le_bytes());
        &mut self.bytes
    }
}

/// Reads a payload of a log file of the given format, which has `count` events and nothing that does not fit.
pub(crate) fn decode(version: u32, payload: Vec<u8>, count: u32) -> Result<Payload, Misread> {
    match version {
        1 => {
            let rows = v1::decode_all(&payload, count as usize).ok_or(Misread::Broken)?;
            Ok(Payload { rows, facts: Vec::new() })
        }
        _ => decode_v2(payload, count as usize),
    }
}

fn decode_v2(mut payload: Vec<u8>, count: usize) -> Result<Payload, Misread> {
    let (content, trailer) = payload.split_last_chunk::<TRAILER>().ok_or(Misread::Broken)?;
    let texts_len = u32::from_le_bytes(*trailer) as usize;
    let (_, records) = content.split_at_checked(texts_len).ok_or(Misread::Broken)?;
    // A record takes at least 2 bytes, so a wrong count cannot ask for much memory.
    let mut read =
        Records { heads: Vec::with_capacity(count.min(records.len() / 2)), origins: Vec::new(), facts: Vec::new() };
    read.take_all(&mut Reader { rest: records })?;
    payload.truncate(texts_len);
    if read.heads.len() != count {
        return Err(Misread::Broken);
    }
    let texts = String::from_utf8(payload).map_err(|_| Misread::Broken)?;
    let events = EventBatch::from_heads(texts, read.heads.into_iter()).ok_or(Misread::Broken)?;
    let mut rows = Rows::without_origins(events);
    let ends = read.origins.iter().skip(1).map(|(_, _, from)| *from).chain([count]);
    for ((namespace, ingested_at, from), to) in read.origins.iter().zip(ends) {
        (*from..to).for_each(|_| rows.push_origin(namespace, *ingested_at));
    }
    Ok(Payload { rows, facts: read.facts })
}

/// What the records of a payload say.
struct Records {
    heads: Vec<(Instant, [Option<u32>; 6])>,
    /// Each with the number of events before it.
    origins: Vec<(Namespace, Instant, usize)>,
    facts: Vec<Fact>,
}

impl Records {
    fn take_all(&mut self, reader: &mut Reader<'_>) -> Result<(), Misread> {
        while let Some(kind) = reader.byte() {
            if kind >= FIRST_KIND {
                self.facts.push(take_fact(kind, reader)?);
                continue;
            }
            let read = match kind {
                EVENT if self.origins.is_empty() => None,
                EVENT => self.take_event(reader),
                ORIGIN => self.take_origin(reader),
                newer => return Err(Misread::Newer(newer)),
            };
            read.ok_or(Misread::Broken)?;
        }
        Ok(())
    }

    fn take_event(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let time = reader.instant()?;
        let mut lengths = [None; 6];
        for len in &mut lengths[..4] {
            *len = Some(u32::try_from(reader.length()?).ok()?);
        }
        for len in &mut lengths[4..] {
            *len = reader.length()?.checked_sub(1).map(u32::try_from).transpose().ok()?;
        }
        self.heads.push((time, lengths));
        Some(())
    }

    fn take_origin(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        let ingested_at = reader.instant()?;
        let namespace = Namespace::parse(reader.text()?).ok()?;
        self.origins.push((namespace, ingested_at, self.heads.len()));
        Some(())
    }
}

fn take_fact(kind: u8, reader: &mut Reader<'_>) -> Result<Fact, Misread> {
    let read = facts_codec::decode_one(kind, &mut reader.rest);
    read.map_err(|unread| match unread {
        Unread::Broken => Misread::Broken,
        Unread::Newer(kind) => Misread::Newer(kind),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::row::{Row, RowRef};
    use crate::embedded::sample;
    use proptest::prelude::*;

    fn encoded(parts: &[&[Row]]) -> Vec<u8> {
        let mut encoder = Encoder::new(7);
        parts.iter().for_each(|rows| encoder.add(&Rows::of(rows)));
        assert_eq!(encoder.events() as usize, parts.iter().map(|rows| rows.len()).sum::<usize>());
        encoder.finish()[7..].to_vec()
    }

    fn decoded(bytes: &[u8], count: usize) -> Result<Vec<Row>, Misread> {
        decode(2, bytes.to_vec(), count as u32).map(|payload| payload.rows.iter().map(RowRef::to_row).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn rows_round_trip_and_their_length_is_foreseen(rows in sample::rows(30), cut in 0usize..30) {
            let (left, right) = rows.split_at(cut.min(rows.len()));
            let bytes = encoded(&[left, right]);
            prop_assert_eq!(decoded(&bytes, rows.len()), Ok(rows.clone()));
            prop_assert_eq!(encoded(&[&rows]).len(), encoded_len(&Rows::of(&rows)));
            prop_assert!(bytes.len() <= encoded_len(&Rows::of(left)) + encoded_len(&Rows::of(right)));
            prop_assert_eq!(decoded(&bytes, rows.len() + 1), Err(Misread::Broken));
            if !rows.is_empty() {
                prop_assert_eq!(decoded(&bytes, rows.len() - 1), Err(Misread::Broken));
                prop_assert!(decoded(&bytes[1..], rows.len()).is_err());
                prop_assert!(decoded(&bytes[..bytes.len() - 1], rows.len()).is_err());
            }
        }

        #[test]
        fn junk_never_panics(
            junk in prop::collection::vec(any::<u8>(), 0..200), version in 1u32..3, count in 0u32..1000,
            rows in sample::rows(8), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let _ = decode(version, junk, count);
            let mut bytes = encoded(&[&rows]);
            for (at, with) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= with;
            }
            let _ = decode(2, bytes, rows.len() as u32);
        }
    }

    #[test]
    fn a_kind_of_record_that_is_not_known_is_named() {
        let mut bytes = encoded(&[]);
        bytes.insert(0, 77);
        assert_eq!(decoded(&bytes, 0), Err(Misread::Newer(77)));
    }

    #[test]
    fn an_event_that_belongs_to_nobody_is_broken() {
        let rows = [sample::plain_row(1, "c", Instant::MIN, "{}")];
        let mut bytes = encoded(&[&rows]);
        let origin = Rows::of(&rows).texts_len()..Rows::of(&rows).texts_len() + 17;
        assert_eq!(&bytes[origin.clone()][10..], b"default");
        bytes.drain(origin);
        assert_eq!(decoded(&bytes, 1), Err(Misread::Broken));
    }
}
