//! The facts file under fuzzing.

use super::{MemoryDisk, understood};
use crate::embedded::disk::Disk;
use crate::embedded::facts::masks::{Instead, Masks};
use crate::embedded::facts::{CorrectionRecord, Fact, Facts, Standing, codec, file};
use crate::embedded::identity::Secret;
use crate::embedded::row::RowRef;
use std::path::Path;

/// A file that says that it holds more bytes than this is left alone: unpacking it would only cost time.
const MOST_BYTES: u64 = 1 << 20;

/// Reads facts. `Some` is their number. The first byte says what the others are: a facts file if it is odd, else the facts
/// in it before they are compressed.
///
/// Facts that were read can be written and are the same; a cut-off never moves back; a retracted event is not seen, an
/// amended one with the data of its newest amendment.
pub fn facts(bytes: &[u8]) -> Option<u64> {
    let (head, rest) = bytes.split_first()?;
    let (path, secret) = (Path::new("1.facts"), Secret::new([7; 16]));
    let bytes = if head % 2 == 1 { rest.to_vec() } else { written(u64::from(*head), rest) };
    let promised = bytes.get(20..28).and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
    if promised.is_some_and(|promised| promised > MOST_BYTES) {
        return None;
    }
    let (facts, list) = understood(path, file::decode(path, &bytes, bytes.len() as u64, &secret))?;
    is_written_again(&facts, &list, &secret);
    let mut masks = Masks::default();
    list.iter().for_each(|fact| masks.apply(&secret, fact));
    for fact in &list {
        match fact {
            Fact::Correction(record) => is_heeded(record, &facts, &masks, &secret),
            Fact::CutOff { namespace, event_type, before } => {
                let cut_off = facts.cut_off(namespace, event_type);
                assert!(cut_off >= Some(*before), "a cut-off moved back");
                let mask = masks.of(namespace, event_type);
                assert_eq!(mask.and_then(|mask| mask.cut_off()), cut_off, "queries heed another cut-off");
            }
            Fact::Tally { .. } | Fact::Dropped { .. } => {}
        }
    }
    Some(list.len() as u64)
}

/// The file with these facts.
pub(super) fn written(sequence: u64, facts: &[u8]) -> Vec<u8> {
    let (disk, path) = (MemoryDisk::default(), Path::new("1.facts"));
    file::write(&disk, path, sequence, facts).expect("facts can be written");
    disk.read(path).expect("the file is there")
}

fn is_written_again(facts: &Facts, list: &[Fact], secret: &Secret) {
    let mut bytes = Vec::new();
    list.iter().for_each(|fact| codec::encode(fact, &mut bytes));
    assert!(codec::decode_all(&bytes).as_deref() == Ok(list), "other facts are decoded");
    let (path, encoded) = (Path::new("2.facts"), facts.encode(&[]));
    let bytes = written(facts.sequence, &encoded);
    let (again, _) = file::decode(path, &bytes, bytes.len() as u64, secret).expect("what was written can be read");
    assert!(again.encode(&[]) == encoded && again.ledger == facts.ledger, "what was written is not what was read");
    assert_eq!(again.sequence, facts.sequence);
    assert!(facts.dropped.0 == 0 || again.dropped == facts.dropped, "other rows were dropped");
}

/// What is said last of an event is what is seen of it.
fn is_heeded(record: &CorrectionRecord, facts: &Facts, masks: &Masks, secret: &Secret) {
    let event = &record.event.event;
    let identity = secret.identity(record.namespace.as_str(), event.source(), event.id());
    let chain = facts.corrections(identity);
    let place = |record: &CorrectionRecord| {
        let event = &record.event.event;
        (event.event_type().to_owned(), event.subject().to_owned(), event.time())
    };
    // An event that is in another place is none that this store could have written.
    if chain.iter().any(|other| place(other) != place(record)) {
        return;
    }
    assert!(chain.iter().any(|known| **known == *record), "a correction is lost");
    let row = RowRef { namespace: &record.namespace, stored: record.event.view() };
    assert!(!masks.shows(row), "a corrected row is seen");
    let mask = masks.of(&record.namespace, event.event_type()).expect("the type has facts");
    match (facts.standing(identity), mask.instead(&event.view())) {
        (Standing::Retracted, Instead::Nothing) => {}
        (Standing::Amended(data), Instead::Other(seen)) => assert_eq!(data.as_deref(), seen.event.data()),
        (standing, _) => panic!("an event that is {standing:?} is seen as something else"),
    }
}
