//! Columns of texts: by dictionary, and as bodies that may be absent.

use super::bytes::{Corrupt, Reader, put_varint};
use super::ints::{IntWriter, get_codes_into, get_ints, put_codes};
use super::sheet::arrange;
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;
use std::sync::Arc;

/// Many texts in one allocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    bytes: String,
    ends: Vec<usize>,
}

impl Texts {
    /// How many.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The text at a position, which must exist.
    pub fn get(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends[at - 1] };
        &self.bytes[start..self.ends[at]]
    }

    /// Appends one.
    pub fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
    }

    /// All of them in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        (0..self.len()).map(|at| self.get(at))
    }

    /// How long they are together.
    pub fn total_len(&self) -> usize {
        self.bytes.len()
    }

    /// The position of a text among texts in ascending order.
    pub fn position(&self, text: &str) -> Option<u32> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle) < text { low = middle + 1 } else { high = middle }
        }
        (low < self.len() && self.get(low) == text).then_some(low as u32)
    }

    /// Forgets all of them and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Appends the lengths of texts and then the texts; how many they are is not written.
    pub(super) fn put<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a str> + Clone) {
        texts.clone().for_each(|text| put_varint(out, text.len() as u64));
        texts.for_each(|text| out.extend_from_slice(text.as_bytes()));
    }

    /// Reads `count` texts.
    pub(super) fn get_from(reader: &mut Reader<'_>, count: usize) -> Result<Self, Corrupt> {
        let lengths: Result<Vec<u64>, _> = (0..count).map(|_| reader.varint()).collect();
        Self::with_lengths(reader, lengths?.into_iter())
    }

    fn with_lengths(reader: &mut Reader<'_>, lengths: impl ExactSizeIterator<Item = u64>) -> Result<Self, Corrupt> {
        const TOO_LONG: Corrupt = Corrupt("texts are too long");
        let mut ends = Vec::with_capacity(lengths.len());
        let mut end = 0usize;
        for length in lengths {
            end = usize::try_from(length).ok().and_then(|length| end.checked_add(length)).ok_or(TOO_LONG)?;
            ends.push(end);
        }
        let bytes = std::str::from_utf8(reader.bytes(end)?).map_err(|_| Corrupt("a text is not UTF-8"))?;
        if ends.iter().any(|end| !bytes.is_char_boundary(*end)) {
            return Err(Corrupt("a text is not UTF-8"));
        }
        Ok(Self { bytes: bytes.into(), ends })
    }
}

impl<'a> FromIterator<&'a str> for Texts {
    fn from_iter<I: IntoIterator<Item = &'a str>>(all: I) -> Self {
        let mut texts = Self::default();
        all.into_iter().for_each(|text| texts.push(text));
        texts
    }
}

/// Names the texts that all blocks of a table share for one of its columns: what was found out about the texts of one
/// block holds for every other block whose texts have the same name. No two open segments have the same names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct DictionaryId {
    /// The open segment.
    pub segment: u64,
    /// Position of the table in the segment.
    pub table: u32,
    /// Which of the table's dictionaries it is.
    pub column: u32,
}

/// A text per row, each distinct text held once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CodedTexts {
    /// The distinct texts.
    pub texts: Arc<Texts>,
    /// Per row, the position of its text.
    pub codes: Vec<u32>,
    /// Whose texts these are, if all blocks of the table share them.
    pub shared: Option<DictionaryId>,
}

impl CodedTexts {
    /// Codes texts in the order of their first appearance.
    pub fn of<'a>(rows: impl Iterator<Item = &'a str>) -> Self {
        let mut dictionary = Dictionary::default();
        let codes = rows.map(|text| dictionary.code(text)).collect();
        Self { texts: Arc::new(dictionary.into_texts()), codes, shared: None }
    }

    /// The text of a row, which must exist.
    pub fn get(&self, row: usize) -> &str {
        self.texts.get(self.codes[row] as usize)
    }

    /// Reads `count` rows, in the place of what was there.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<(), Corrupt> {
        let known = reader.count()?;
        self.texts = Arc::new(Texts::get_from(reader, known)?);
        self.read_codes(reader, count, None)
    }

    /// Reads `count` rows whose texts are those of the table, in the place of what was there.
    pub(super) fn read_shared(
        &mut self,
        reader: &mut Reader<'_>,
        count: usize,
        (name, texts): &(DictionaryId, Arc<Texts>),
    ) -> Result<(), Corrupt> {
        if self.shared != Some(*name) {
            self.texts = Arc::clone(texts);
        }
        self.read_codes(reader, count, Some(*name))
    }

    fn read_codes(
        &mut self,
        reader: &mut Reader<'_>,
        count: usize,
        shared: Option<DictionaryId>,
    ) -> Result<(), Corrupt> {
        self.shared = shared;
        get_codes_into(reader, count, self.texts.len(), 0, &mut self.codes)
    }
}

/// Distinct texts, each with a code from 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dictionary {
    texts: Texts,
    table: HashTable<(Head, u32)>,
    hasher: DefaultHashBuilder,
}

/// What tells short texts apart without looking at them: the first and last bytes and the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Head {
    first: u64,
    last: u64,
    len: u32,
}

impl Head {
    /// Texts up to this length are equal if their heads are.
    const WHOLE: u32 = 16;

    fn of(text: &str) -> Self {
        let bytes = text.as_bytes();
        let number = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
        if bytes.len() >= 8 {
            let (first, last) = (number(bytes.first_chunk()), number(bytes.last_chunk()));
            return Self { first, last, len: bytes.len() as u32 };
        }
        let first = bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        Self { first, last: 0, len: bytes.len() as u32 }
    }

    /// Whether a text with the same head is the same.
    fn decides(self) -> bool {
        self.len <= Self::WHOLE
    }

    /// Whether `text`, whose head this is, is the text of a code with the head `known`.
    fn is_of(self, text: &str, known: Head, texts: &Texts, code: u32) -> bool {
        known == self && (self.decides() || texts.get(code as usize) == text)
    }

    fn hash(self, hasher: &DefaultHashBuilder, text: &str) -> u64 {
        if self.decides() { hasher.hash_one(self) } else { hasher.hash_one(text) }
    }
}

impl Dictionary {
    /// The code of a text; a new one if it was not seen before.
    pub fn code(&mut self, text: &str) -> u32 {
        let Self { texts, table, hasher } = self;
        let head = Head::of(text);
        let is_same = |(known, code): &(Head, u32)| head.is_of(text, *known, texts, *code);
        let rehash = |(head, code): &(Head, u32)| {
            let text = if head.decides() { "" } else { texts.get(*code as usize) };
            head.hash(hasher, text)
        };
        match table.entry(head.hash(hasher, text), is_same, rehash) {
            Entry::Occupied(entry) => entry.get().1,
            Entry::Vacant(entry) => {
                let code = texts.len() as u32;
                entry.insert((head, code));
                texts.push(text);
                code
            }
        }
    }

    /// The code of a text that was seen before.
    pub fn position(&self, text: &str) -> Option<u32> {
        let head = Head::of(text);
        let is_same = |(known, code): &(Head, u32)| head.is_of(text, *known, &self.texts, *code);
        self.table.find(head.hash(&self.hasher, text), is_same).map(|(_, code)| *code)
    }

    /// The texts by code.
    pub fn texts(&self) -> &Texts {
        &self.texts
    }

    /// Forgets all of them and keeps the memory.
    pub fn clear(&mut self) {
        self.texts.clear();
        self.table.clear();
    }

    /// The texts by code, without the means to add more.
    pub fn into_texts(self) -> Texts {
        self.texts
    }
}

/// A text or nothing per row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bodies {
    texts: Texts,
    present: Vec<bool>,
}

impl Bodies {
    /// `count` rows without a text.
    pub(super) fn absent(count: usize) -> Self {
        Self { texts: Texts { bytes: String::new(), ends: vec![0; count] }, present: vec![false; count] }
    }

    /// Appends a row.
    pub(super) fn push(&mut self, text: Option<&str>) {
        self.texts.push(text.unwrap_or_default());
        self.present.push(text.is_some());
    }

    /// Appends some of another's rows.
    pub(super) fn extend(&mut self, from: &Bodies, rows: std::ops::Range<usize>) {
        if from.texts.total_len() == 0 {
            let count = self.texts.ends.len() + rows.len();
            self.texts.ends.resize(count, self.texts.bytes.len());
            return self.present.extend_from_slice(&from.present[rows]);
        }
        rows.for_each(|row| self.push(from.get(row)));
    }

    /// Brings the rows into another order, given by the place that each has now.
    pub(super) fn arrange(&mut self, order: &[u32]) {
        arrange(&mut self.present, order);
        if self.texts.total_len() > 0 {
            self.texts = order.iter().map(|row| self.texts.get(*row as usize)).collect();
        }
    }

    /// How long the texts are together.
    pub(super) fn total_len(&self) -> usize {
        self.texts.total_len()
    }

    /// Forgets all rows and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.present.clear();
    }

    /// The text of a row, which must exist.
    pub fn get(&self, row: usize) -> Option<&str> {
        self.present[row].then(|| self.texts.get(row))
    }

    /// Reads `count` rows; no bytes at all mean that no row has a text.
    pub(super) fn get_from(reader: &mut Reader<'_>, count: usize) -> Result<Self, Corrupt> {
        let lengths = get_ints(reader, count)?;
        if lengths.iter().any(|length| *length < 0) {
            return Err(Corrupt("a text has a negative length"));
        }
        let texts = Texts::with_lengths(reader, lengths.iter().map(|length| (*length as u64).saturating_sub(1)))?;
        Ok(Self { texts, present: lengths.into_iter().map(|length| length > 0).collect() })
    }
}

/// Appends bodies: lengths plus one, zero for none, then the texts. Nothing at all if no row has a text.
pub(super) fn put_bodies<'a>(
    out: &mut Vec<u8>,
    ints: &mut IntWriter,
    rows: impl Iterator<Item = Option<&'a str>> + Clone,
) {
    let lengths: Vec<i64> = rows.clone().map(|text| text.map_or(0, |text| text.len() as i64 + 1)).collect();
    if lengths.iter().all(|length| *length == 0) {
        return;
    }
    ints.put(out, &lengths);
    rows.flatten().for_each(|text| out.extend_from_slice(text.as_bytes()));
}

/// Appends texts of rows with a dictionary of their own; how many rows there are is not written.
pub(super) fn put_coded<'a>(out: &mut Vec<u8>, rows: impl Iterator<Item = &'a str>) {
    let coded = CodedTexts::of(rows);
    put_varint(out, coded.texts.len() as u64);
    Texts::put(out, coded.texts.iter());
    put_codes(out, coded.codes.iter().copied(), coded.texts.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn dictionaries_round_trip(rows in prop::collection::vec("[ab]{0,3}|\\PC{0,9}", 0..80)) {
            let mut out = Vec::new();
            put_coded(&mut out, rows.iter().map(String::as_str));
            let mut reader = Reader::new(&out);
            let mut read = CodedTexts::default();
            read.read(&mut reader, rows.len()).unwrap();
            prop_assert_eq!((0..rows.len()).map(|row| read.get(row)).collect::<Vec<_>>(), rows);
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn bodies_round_trip(rows in prop::collection::vec(prop::option::of("\\PC{0,20}"), 0..80)) {
            let mut out = Vec::new();
            put_bodies(&mut out, &mut IntWriter::default(), rows.iter().map(Option::as_deref));
            let read = if out.is_empty() { Bodies::absent(rows.len()) } else {
                Bodies::get_from(&mut Reader::new(&out), rows.len()).unwrap()
            };
            prop_assert_eq!((0..rows.len()).map(|row| read.get(row)).collect::<Vec<_>>(), rows.iter().map(Option::as_deref).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes: Vec<u8>, count in 0usize..200) {
            let _ = CodedTexts::default().read(&mut Reader::new(&bytes), count);
            let _ = Bodies::get_from(&mut Reader::new(&bytes), count);
        }
    }
}
