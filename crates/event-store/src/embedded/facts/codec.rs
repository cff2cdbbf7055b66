//! Facts as bytes: the same in the log and in the facts file.
//!
//! A record begins with its kind. Numbers are little endian, lengths take 7 bits per byte, texts are a length and their
//! bytes; an optional text writes length + 1, and 0 for none.
//!
//! | kind | fields |
//! | --- | --- |
//! | 16 retract, 17 amend | namespace, id, source, type, subject, time, acceptance, data, extras, reason, actor, known at |
//! | 18 cut-off | namespace, type, time |
//! | 19 tally | namespace, hour, type, source, new, duplicates, expired |
//! | 20 dropped | rows, sum of their identities (16 bytes) |

use super::ledger::{LedgerKey, Tally};
use super::{CorrectionRecord, Fact};
use crate::correction::Change;
use tallystick_domain::event::{Event, EventParts, StoredEvent};
use tallystick_domain::{Instant, Namespace};

/// The first kind of a fact; lower ones are events' in the log.
pub(crate) const FIRST_KIND: u8 = RETRACT;
const RETRACT: u8 = 16;
const AMEND: u8 = 17;
const CUT_OFF: u8 = 18;
const TALLY: u8 = 19;
const DROPPED: u8 = 20;

/// Why bytes are no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// They are not what was written.
    Broken,
    /// A kind that only a newer program knows.
    Newer(u8),
}

/// Appends a fact.
pub(crate) fn encode(fact: &Fact, out: &mut Vec<u8>) {
    match fact {
        Fact::Correction(record) => put_correction(out, record),
        Fact::CutOff { namespace, event_type, before } => {
            out.push(CUT_OFF);
            put_text(out, namespace.as_str());
            put_text(out, event_type);
            put_instant(out, *before);
        }
        Fact::Tally { key, tally } => {
            out.push(TALLY);
            put_text(out, key.namespace.as_str());
            put_instant(out, key.hour);
            put_text(out, &key.event_type);
            put_text(out, &key.source);
            [tally.new, tally.duplicates, tally.expired].into_iter().for_each(|count| put_number(out, count));
        }
        Fact::Dropped { rows, identities } => {
            out.push(DROPPED);
            put_number(out, *rows);
            out.extend_from_slice(&identities.to_le_bytes());
        }
    }
}

fn put_correction(out: &mut Vec<u8>, record: &CorrectionRecord) {
    let event = &record.event.event;
    out.push(if record.is_retraction { RETRACT } else { AMEND });
    put_text(out, record.namespace.as_str());
    [event.id(), event.source(), event.event_type(), event.subject()].into_iter().for_each(|text| put_text(out, text));
    put_instant(out, event.time());
    put_instant(out, record.event.ingested_at);
    [event.data(), event.extras()].into_iter().for_each(|text| put_optional(out, text));
    [&record.reason, &record.actor].into_iter().for_each(|text| put_text(out, text));
    put_instant(out, record.known_at);
}

/// Reads facts that fill `bytes` exactly.
pub(crate) fn decode_all(bytes: &[u8]) -> Result<Vec<Fact>, Unread> {
    let mut reader = Reader { rest: bytes };
    let mut facts = Vec::new();
    while let Some((kind, rest)) = reader.rest.split_first() {
        reader.rest = rest;
        facts.push(reader.fact(*kind)?);
    }
    Ok(facts)
}

/// Reads one fact of which the kind was read, and takes it off the front of `bytes`.
pub(crate) fn decode_one(kind: u8, bytes: &mut &[u8]) -> Result<Fact, Unread> {
    let mut reader = Reader { rest: bytes };
    let fact = reader.fact(kind)?;
    *bytes = reader.rest;
    Ok(fact)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn fact(&mut self, kind: u8) -> Result<Fact, Unread> {
        let fact = match kind {
            RETRACT | AMEND => self.correction(kind == RETRACT).map(|record| Fact::Correction(record.into())),
            CUT_OFF => self.cut_off(),
            TALLY => self.tally(),
            DROPPED => self.dropped(),
            newer => return Err(Unread::Newer(newer)),
        };
        fact.ok_or(Unread::Broken)
    }

    fn correction(&mut self, is_retraction: bool) -> Option<CorrectionRecord> {
        let namespace = self.namespace()?;
        let [id, source, event_type, subject] = [self.text()?, self.text()?, self.text()?, self.text()?];
        let time = self.instant()?;
        let ingested_at = self.instant()?;
        let [data, extras] = [self.optional()?, self.optional()?];
        let event = Event::from_store(EventParts { id, source, event_type, subject, time, data, extras });
        let [reason, actor] = [self.text()?, self.text()?];
        let event = StoredEvent { event, ingested_at };
        Some(CorrectionRecord { namespace, event, is_retraction, reason, actor, known_at: self.instant()? })
    }

    fn cut_off(&mut self) -> Option<Fact> {
        Some(Fact::CutOff { namespace: self.namespace()?, event_type: self.text()?.into(), before: self.instant()? })
    }

    fn tally(&mut self) -> Option<Fact> {
        let namespace = self.namespace()?;
        let hour = self.instant()?;
        let key = LedgerKey { namespace, hour, event_type: self.text()?.into(), source: self.text()?.into() };
        let tally = Tally { new: self.number()?, duplicates: self.number()?, expired: self.number()? };
        Some(Fact::Tally { key, tally })
    }

    fn dropped(&mut self) -> Option<Fact> {
        let rows = self.number()?;
        Some(Fact::Dropped { rows, identities: u128::from_le_bytes(self.take(16)?.try_into().ok()?) })
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.take(1)?.first()?;
            let part = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && part > 1 {
                return None;
            }
            value |= part << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn text_of(&mut self, len: u64) -> Option<String> {
        let bytes = self.take(usize::try_from(len).ok()?)?;
        std::str::from_utf8(bytes).ok().map(str::to_owned)
    }

    fn text(&mut self) -> Option<String> {
        let len = self.number()?;
        self.text_of(len)
    }

    fn optional(&mut self) -> Option<Option<String>> {
        match self.number()?.checked_sub(1) {
            None => Some(None),
            Some(len) => self.text_of(len).map(Some),
        }
    }

    fn namespace(&mut self) -> Option<Namespace> {
        Namespace::parse(&self.text()?).ok()
    }

    fn instant(&mut self) -> Option<Instant> {
        Instant::from_micros(i64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_optional(out: &mut Vec<u8>, text: Option<&str>) {
    put_number(out, text.map_or(0, |text| text.len() as u64 + 1));
    out.extend_from_slice(text.unwrap_or_default().as_bytes());
}

fn put_instant(out: &mut Vec<u8>, instant: Instant) {
    out.extend_from_slice(&instant.as_micros().to_le_bytes());
}

/// The change that a record describes.
pub(crate) fn change_of(record: &CorrectionRecord) -> Change {
    match record.is_retraction {
        true => Change::Retract,
        false => Change::Amend { data: record.event.event.data().map(str::to_owned) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::sample;
    use proptest::prelude::*;

    fn facts() -> impl Strategy<Value = Vec<Fact>> {
        let counts = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u128>());
        (sample::rows(12), any::<bool>(), "\\PC{0,20}", counts).prop_map(|(rows, is_retraction, text, counts)| {
            let mut facts = Vec::new();
            for row in rows {
                let (namespace, event_type) = (row.namespace.clone(), Box::<str>::from(row.stored.event.event_type()));
                let (time, source) = (row.stored.event.time(), Box::<str>::from(row.stored.event.source()));
                let (reason, actor) = (text.clone(), format!("by {text}"));
                let known_at = row.stored.ingested_at;
                let record = CorrectionRecord { namespace, event: row.stored, is_retraction, reason, actor, known_at };
                facts.push(Fact::Correction(record.into()));
                let namespace = row.namespace.clone();
                facts.push(Fact::CutOff { namespace, event_type: event_type.clone(), before: time });
                let key = LedgerKey { namespace: row.namespace, hour: known_at, event_type, source };
                let tally = Tally { new: counts.0, duplicates: counts.1, expired: counts.2 };
                facts.push(Fact::Tally { key, tally });
            }
            facts.push(Fact::Dropped { rows: counts.0, identities: counts.3 });
            facts
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn facts_round_trip_and_a_piece_of_them_is_none(facts in facts()) {
            let mut bytes = Vec::new();
            facts.iter().for_each(|fact| encode(fact, &mut bytes));
            prop_assert_eq!(decode_all(&bytes), Ok(facts));
            prop_assert_eq!(decode_all(&bytes[..bytes.len() - 1]), Err(Unread::Broken));
        }

        #[test]
        fn junk_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 15u8..22) {
            let _ = decode_all(&bytes);
            let _ = decode_all(&[&[kind], &bytes[..]].concat());
        }
    }

    #[test]
    fn a_kind_that_is_not_known_is_named() {
        assert_eq!(decode_all(&[99]), Err(Unread::Newer(99)));
    }
}
