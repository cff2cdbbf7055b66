//! Ids: the random bits of a UUID of version 4, the 16 bytes of any other, or a text.

use super::bits::{PLAIN, pack, unpack};
use super::bytes::{Corrupt, Reader};
use super::ints::{get_codes, put_codes};
use super::sheet::arrange;
use super::texts::Texts;
use std::cmp::Ordering;

/// A text that is no UUID.
const OTHER: u8 = 0;
/// A UUID in lowercase with hyphens.
const UUID: u8 = 1;
/// One of version 4: all but 122 of its bits are always the same.
const RANDOM: u8 = 2;
/// The bits of a UUID that say that it is of version 4, and what they are.
const FIXED_MASK: u128 = 0xf000_c000_0000_0000_0000;
const FIXED: u128 = 0x4000_8000_0000_0000_0000;
/// Half of the random bits.
const HALF: u32 = 61;

/// Ids of rows, as short as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ids {
    forms: Vec<u8>,
    /// The bits of a UUID, or the position of another text.
    values: Vec<u128>,
    others: Texts,
}

impl Ids {
    /// How many.
    pub fn len(&self) -> usize {
        self.forms.len()
    }

    /// Appends one.
    pub fn push(&mut self, id: &str) {
        match uuid_bits(id) {
            Some(uuid) => {
                self.forms.push(if uuid & FIXED_MASK == FIXED { RANDOM } else { UUID });
                self.values.push(uuid);
            }
            None => self.push_other(id),
        }
    }

    fn push_other(&mut self, id: &str) {
        self.forms.push(OTHER);
        self.values.push(self.others.len() as u128);
        self.others.push(id);
    }

    /// Appends some of another's.
    pub fn extend(&mut self, from: &Ids, rows: std::ops::Range<usize>) {
        if from.others.len() == 0 {
            self.forms.extend_from_slice(&from.forms[rows.clone()]);
            return self.values.extend_from_slice(&from.values[rows]);
        }
        for row in rows {
            match from.forms[row] {
                OTHER => self.push_other(from.other(row)),
                form => {
                    self.forms.push(form);
                    self.values.push(from.values[row]);
                }
            }
        }
    }

    /// Brings them into another order, given by the place that each has now.
    pub fn arrange(&mut self, order: &[u32]) {
        arrange(&mut self.forms, order);
        arrange(&mut self.values, order);
    }

    /// Compares one of them with one of another's, as texts.
    pub fn compare(&self, row: usize, other: &Ids, at: usize) -> Ordering {
        match (self.forms[row], other.forms[at]) {
            (OTHER, OTHER) => self.other(row).cmp(other.other(at)),
            (OTHER, _) | (_, OTHER) => self.text(row).cmp(&other.text(at)),
            // Digits in lowercase are in the order of their values, and the hyphens stand at the same places.
            _ => self.values[row].cmp(&other.values[at]),
        }
    }

    /// The id of a row that is no UUID.
    fn other(&self, row: usize) -> &str {
        self.others.get(self.values[row] as usize)
    }

    fn text(&self, row: usize) -> String {
        let mut text = String::new();
        self.write(row, &mut text);
        text
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.forms.clear();
        self.values.clear();
        self.others.clear();
    }

    /// The id of a row, which must exist, at the end of `text`.
    pub fn write(&self, row: usize, text: &mut String) {
        match self.forms[row] {
            OTHER => text.push_str(self.other(row)),
            _ => write_uuid(self.values[row], text),
        }
    }

    /// All of them as texts.
    pub fn to_texts(&self) -> Texts {
        let (mut texts, mut text) = (Texts::default(), String::with_capacity(36));
        for row in 0..self.len() {
            text.clear();
            self.write(row, &mut text);
            texts.push(&text);
        }
        texts
    }

    /// Appends some of them, and says whether compressing may make them shorter; how many they are is not written.
    pub fn put(&self, out: &mut Vec<u8>, rows: std::ops::Range<usize>) -> bool {
        let forms = &self.forms[rows.clone()];
        put_codes(out, forms.iter().map(|form| u32::from(*form)), 3);
        let of = |wanted: u8| rows.clone().filter(move |row| self.forms[*row] == wanted).map(|row| self.values[row]);
        let halves = |bits: u128| {
            let bits = (bits & ((1 << 62) - 1)) | (bits >> 64 & 0xfff) << 62 | (bits >> 80) << 74;
            [bits as u64 & mask(), (bits >> HALF) as u64]
        };
        pack(out, of(RANDOM).flat_map(halves), HALF);
        of(UUID).for_each(|bits| out.extend_from_slice(&bits.to_be_bytes()));
        let others = || of(OTHER).map(|at| self.others.get(at as usize));
        Texts::put(out, others());
        forms.iter().any(|form| *form != RANDOM)
    }

    /// Reads `count` ids. Format 1 has no random ones.
    pub fn get_from(reader: &mut Reader<'_>, count: usize, format: u32) -> Result<Self, Corrupt> {
        let forms = get_codes(reader, count, if format == 1 { 2 } else { 3 })?;
        let forms: Vec<u8> = forms.into_iter().map(|form| form as u8).collect();
        let how_many = |wanted: u8| forms.iter().filter(|form| **form == wanted).count();
        let mut random: Vec<u64> = Vec::with_capacity(2 * how_many(RANDOM));
        unpack(reader, 2 * how_many(RANDOM), HALF, PLAIN, random.len(), &mut random)?;
        let mut random = random.as_chunks::<2>().0.iter().map(|[low, high]| {
            let bits = u128::from(*low) | u128::from(*high) << HALF;
            (bits & ((1 << 62) - 1)) | (bits >> 62 & 0xfff) << 64 | (bits >> 74) << 80 | FIXED
        });
        let mut uuids =
            reader.bytes(how_many(UUID) * 16)?.as_chunks().0.iter().map(|bytes| u128::from_be_bytes(*bytes));
        let others = Texts::get_from(reader, how_many(OTHER))?;
        let mut other = 0u128..;
        let value = |form: &u8| match *form {
            RANDOM => random.next().unwrap_or_default(),
            UUID => uuids.next().unwrap_or_default(),
            _ => other.next().unwrap_or_default(),
        };
        let values = forms.iter().map(value).collect();
        Ok(Self { forms, values, others })
    }
}

fn mask() -> u64 {
    (1 << HALF) - 1
}

/// Where a UUID in text form has hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// The value of a hexadecimal digit in lowercase; 255 for anything else.
static DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let mut at = 0;
    while at < 10 {
        digits[b'0' as usize + at] = at as u8;
        at += 1;
    }
    while at < 16 {
        digits[b'a' as usize + at - 10] = at as u8;
        at += 1;
    }
    digits
};

/// The bits of a UUID, if the text is its canonical form, so that it can be given back exactly.
fn uuid_bits(text: &str) -> Option<u128> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    if HYPHENS.iter().any(|at| text[*at] != b'-') {
        return None;
    }
    let (mut bits, mut seen) = (0u128, 0u8);
    for part in [0..8, 9..13, 14..18, 19..23, 24..36] {
        for digit in &text[part] {
            let value = DIGITS[usize::from(*digit)];
            seen |= value;
            bits = bits << 4 | u128::from(value & 15);
        }
    }
    (seen < 16).then_some(bits)
}

fn write_uuid(bits: u128, text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (at, byte) in bits.to_be_bytes().into_iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id() -> impl Strategy<Value = String> {
        prop_oneof![
            "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
            "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[0-9a-fA-F]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "\\PC{0,40}",
            "[0-9a-f-]{36}",
        ]
    }

    fn written(ids: &Ids) -> Vec<u8> {
        let mut out = Vec::new();
        ids.put(&mut out, 0..ids.len());
        out
    }

    #[test]
    fn a_random_uuid_takes_122_bits_and_any_other_16_bytes() {
        for (id, bits) in [("0123abcd-4567-49ef-a123-456789abcdef", 122), ("0123abcd-4567-89ef-0123-456789abcdef", 128)]
        {
            let mut ids = Ids::default();
            (0..100).for_each(|_| ids.push(id));
            let len = written(&ids).len();
            assert!(len <= 100 * bits / 8 + 5, "{len}");
        }
    }

    proptest! {
        #[test]
        fn ids_round_trip(texts in prop::collection::vec(id(), 0..80), from in 0usize..80) {
            let mut ids = Ids::default();
            texts.iter().for_each(|id| ids.push(id));
            let out = written(&ids);
            let mut reader = Reader::new(&out);
            let read = Ids::get_from(&mut reader, ids.len(), 2).unwrap();
            prop_assert_eq!(reader.finish(), Ok(()));
            prop_assert_eq!(&read, &ids);
            prop_assert_eq!(read.to_texts(), texts.iter().map(String::as_str).collect::<Texts>());
            let mut part = Ids::default();
            let from = from.min(texts.len());
            part.extend(&ids, from..texts.len());
            part.extend(&ids, 0..from);
            let turned = [&texts[from..], &texts[..from]].concat();
            let compared = texts.iter().enumerate().map(|(row, text)| (ids.compare(0, &ids, row), texts[0].cmp(text)));
            compared.for_each(|(got, want)| assert_eq!(got, want));
            let mut arranged = ids.clone();
            arranged.arrange(&(from..texts.len()).chain(0..from).map(|row| row as u32).collect::<Vec<_>>());
            prop_assert_eq!(arranged.to_texts(), part.to_texts());
            prop_assert_eq!(part.to_texts(), turned.iter().map(String::as_str).collect::<Texts>());
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes: Vec<u8>, count in 0usize..200) {
            let _ = Ids::get_from(&mut Reader::new(&bytes), count, 1);
            let _ = Ids::get_from(&mut Reader::new(&bytes), count, 2);
        }
    }
}
