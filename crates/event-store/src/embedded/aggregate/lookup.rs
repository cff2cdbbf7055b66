//! Answers about the values of rows, found once per distinct value: the code of a text, or whether a filter passes.
//!
//! Invariant: the answer for a row is the one that domain's functions give for its event.

use crate::embedded::segment::{CodedTexts, Column, Dictionary, DictionaryId, Kind, Kinds, Texts};
use hashbrown::HashMap;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tallystick_domain::Quantity;
use tallystick_domain::json::Leaf;
use tallystick_domain::meter::{Dimension, Filter, JsonPath, NotCounted, dimension_leaf, distinct_leaf, numeric_leaf};

/// The answer for a row without a text.
pub(super) const NONE: u32 = u32::MAX;
/// The answer of a filter that lets a row pass.
pub(super) const PASSES: u32 = 1;
/// Not asked yet.
const UNKNOWN: u32 = u32::MAX - 1;
/// How many answers about numbers are remembered.
const MAX_NUMBERS: usize = 1 << 16;
const KINDS: usize = Kind::Object as usize + 1;

/// Answers by row.
#[derive(Clone, Copy)]
pub(super) enum Answers<'a> {
    /// The same for every row.
    All(u32),
    /// One for each row.
    Each(&'a [u32]),
}

/// How a value becomes a text.
#[derive(Clone, Copy)]
enum Reading<'p> {
    /// For grouping and filtering.
    Dimension,
    /// For telling values apart.
    Distinct(&'p JsonPath),
    /// Why it does not count, `""` when it does.
    Reason(&'p JsonPath, bool),
    /// The customer of a subject.
    Owner(Option<&'p BTreeMap<String, String>>),
}

/// What becomes of a text.
enum Target<'p> {
    /// Its code in a dictionary.
    Codes(Dictionary),
    /// Whether it passes.
    Filter(&'p Filter),
    /// Whether it is one of the subjects that customers own.
    Owned(&'p BTreeMap<String, String>),
}

/// Answers about the values of one column, remembered from block to block.
pub(super) struct Lookup<'p> {
    reading: Reading<'p>,
    target: Target<'p>,
    /// Whose texts `of_texts` is about.
    shared: Option<DictionaryId>,
    of_texts: Vec<u32>,
    of_kinds: [u32; KINDS],
    of_numbers: HashMap<(i64, u32), u32>,
    /// The answer for all rows at hand, if it is one.
    of_all: Option<u32>,
    of_rows: Vec<u32>,
}

impl<'p> Lookup<'p> {
    /// Codes of the texts of a dimension.
    pub fn codes(dimension: &'p Dimension, owners: Option<&'p BTreeMap<String, String>>) -> Self {
        Self::new(Reading::of(dimension, owners), Target::Codes(Dictionary::default()))
    }

    /// Codes of the texts that tell values apart.
    pub fn distinct(path: &'p JsonPath) -> Self {
        Self::new(Reading::Distinct(path), Target::Codes(Dictionary::default()))
    }

    /// Whether the texts of a dimension pass a filter.
    pub fn filter(dimension: &'p Dimension, filter: &'p Filter, owners: Option<&'p BTreeMap<String, String>>) -> Self {
        Self::new(Reading::of(dimension, owners), Target::Filter(filter))
    }

    /// Whether subjects are owned by a customer.
    pub fn owned(owners: &'p BTreeMap<String, String>) -> Self {
        Self::new(Reading::Dimension, Target::Owned(owners))
    }

    fn new(reading: Reading<'p>, target: Target<'p>) -> Self {
        Self {
            reading,
            target,
            shared: None,
            of_texts: Vec::new(),
            of_kinds: [UNKNOWN; KINDS],
            of_numbers: HashMap::new(),
            of_all: None,
            of_rows: Vec::new(),
        }
    }

    /// How many codes were given out.
    pub fn known(&self) -> usize {
        if let Target::Codes(dictionary) = &self.target { dictionary.texts().len() } else { 0 }
    }

    /// The code of a text of another query's dictionary.
    pub fn code_of(&mut self, text: &str) -> u32 {
        if let Target::Codes(dictionary) = &mut self.target { dictionary.code(text) } else { NONE }
    }

    /// The texts by code.
    pub fn into_texts(self) -> Texts {
        if let Target::Codes(dictionary) = self.target { dictionary.into_texts() } else { Texts::default() }
    }

    /// About how many bytes it holds.
    pub fn weight(&self) -> usize {
        let codes = if let Target::Codes(dictionary) = &self.target {
            dictionary.texts().total_len() + 20 * dictionary.texts().len()
        } else {
            0
        };
        codes + 4 * (self.of_texts.capacity() + self.of_rows.capacity()) + 24 * self.of_numbers.capacity()
    }

    /// The answers for the rows that were asked about last.
    pub fn answers(&self) -> Answers<'_> {
        self.of_all.map_or(Answers::Each(&self.of_rows), Answers::All)
    }

    /// Asks about rows that have one subject.
    pub fn ask_subject(&mut self, subject: &str) {
        self.of_all = Some(self.ask(Some(Leaf::Text(subject.into()))));
    }

    /// Asks about the subjects of rows.
    pub fn ask_subjects(&mut self, subjects: &CodedTexts) {
        let codes = subjects.codes.iter().map(|code| *code as usize);
        self.ask_text_codes(&subjects.texts, subjects.shared, codes);
    }

    /// Asks about the values of a column.
    pub fn ask_column(&mut self, column: &Column) {
        match &column.kinds {
            Kinds::All(Kind::Text) => {
                let codes = column.values.iter().map(|code| *code as usize);
                self.ask_text_codes(&column.texts, column.shared, codes);
            }
            Kinds::All(Kind::Number) if !self.numbers_are_alike() => {
                self.of_all = None;
                let mut rows = std::mem::take(&mut self.of_rows);
                rows.clear();
                rows.extend(column.values.iter().map(|value| self.of_number(*value, column.scale)));
                self.of_rows = rows;
            }
            Kinds::All(kind) => self.of_all = Some(self.of_kind(*kind)),
            Kinds::Each(kinds) => self.ask_mixed(column, kinds),
        }
    }

    /// Prepares for questions about single texts.
    pub fn turn_to_subjects(&mut self, subjects: &CodedTexts) {
        self.turn_to(&subjects.texts, subjects.shared);
    }

    fn ask_mixed(&mut self, column: &Column, kinds: &[Kind]) {
        self.turn_to(&column.texts, column.shared);
        let numbers_are_alike = self.numbers_are_alike();
        self.of_all = None;
        let mut rows = std::mem::take(&mut self.of_rows);
        rows.clear();
        rows.extend(kinds.iter().zip(&column.values).map(|(kind, value)| match kind {
            Kind::Text => self.of_code(&column.texts, *value as usize),
            Kind::Number if !numbers_are_alike => self.of_number(*value, column.scale),
            other => self.of_kind(*other),
        }));
        self.of_rows = rows;
    }

    fn ask_text_codes(
        &mut self,
        texts: &Texts,
        shared: Option<DictionaryId>,
        codes: impl ExactSizeIterator<Item = usize> + Clone,
    ) {
        self.turn_to(texts, shared);
        let mut others = codes.clone();
        self.of_all =
            others.next().filter(|first| others.all(|code| code == *first)).map(|code| self.of_code(texts, code));
        if self.of_all.is_some() {
            return;
        }
        let mut rows = std::mem::take(&mut self.of_rows);
        rows.clear();
        if texts.len() <= codes.len() {
            for code in 0..texts.len() {
                self.of_code(texts, code);
            }
            let of_texts = &self.of_texts[..];
            rows.extend(codes.map(|code| of_texts[code]));
        } else {
            rows.extend(codes.map(|code| self.of_code(texts, code)));
        }
        self.of_rows = rows;
    }

    /// Forgets the answers about other texts.
    fn turn_to(&mut self, texts: &Texts, shared: Option<DictionaryId>) {
        if shared.is_none() || shared != self.shared {
            self.shared = shared;
            self.of_texts.clear();
            self.of_texts.resize(texts.len(), UNKNOWN);
        }
    }

    /// The answer about a text by its code; the texts are those that the lookup turned to.
    #[inline]
    pub fn of_code(&mut self, texts: &Texts, code: usize) -> u32 {
        let known = self.of_texts[code];
        if known != UNKNOWN {
            return known;
        }
        let answer = self.ask(Some(Leaf::Text(texts.get(code).into())));
        self.of_texts[code] = answer;
        answer
    }

    fn of_number(&mut self, mantissa: i64, scale: u32) -> u32 {
        if let Some(answer) = self.of_numbers.get(&(mantissa, scale)) {
            return *answer;
        }
        // Every 64-bit mantissa fits a quantity.
        let number = Quantity::from_parts(i128::from(mantissa), scale).unwrap_or(Quantity::ZERO);
        let answer = self.ask(Some(Leaf::Number(&number.to_string())));
        if self.of_numbers.len() >= MAX_NUMBERS {
            self.of_numbers.clear();
        }
        self.of_numbers.insert((mantissa, scale), answer);
        answer
    }

    /// The answer about what has no value of its own; about any number if they are alike.
    fn of_kind(&mut self, kind: Kind) -> u32 {
        if self.of_kinds[kind as usize] == UNKNOWN {
            let leaf = if kind == Kind::Number { Some(Leaf::Number("0")) } else { kind.leaf() };
            self.of_kinds[kind as usize] = self.ask(leaf);
        }
        self.of_kinds[kind as usize]
    }

    /// Whether one number answers for all.
    fn numbers_are_alike(&self) -> bool {
        matches!(self.reading, Reading::Reason(..))
    }

    fn ask(&mut self, leaf: Option<Leaf<'_>>) -> u32 {
        let Some(text) = self.reading.text(leaf) else { return NONE };
        match &mut self.target {
            Target::Codes(dictionary) => dictionary.code(&text),
            Target::Filter(filter) => u32::from(filter.matches(&text)) * PASSES,
            Target::Owned(owners) => u32::from(owners.contains_key(&*text)) * PASSES,
        }
    }
}

impl<'p> Reading<'p> {
    fn of(dimension: &'p Dimension, owners: Option<&'p BTreeMap<String, String>>) -> Self {
        match dimension {
            Dimension::Subject | Dimension::Property(_) => Reading::Dimension,
            Dimension::Customer => Reading::Owner(owners),
            Dimension::NotCounted { path, numeric } => Reading::Reason(path, *numeric),
        }
    }

    fn text<'l>(&self, leaf: Option<Leaf<'l>>) -> Option<Cow<'l, str>>
    where
        'p: 'l,
    {
        match (self, leaf) {
            (Reading::Dimension, leaf) => Some(leaf.map_or("".into(), dimension_leaf)),
            (Reading::Distinct(path), leaf) => distinct_leaf(leaf?, path).ok(),
            (Reading::Owner(owners), leaf) => {
                let subject = leaf.map_or("".into(), dimension_leaf);
                let owner = owners.and_then(|owners| owners.get(&*subject));
                Some(owner.map_or("", String::as_str).into())
            }
            (Reading::Reason(..), None) => Some(NotCounted::NoData.code().into()),
            (Reading::Reason(path, true), Some(leaf)) => {
                Some(numeric_leaf(&leaf, path).err().map_or("", |reason| reason.code()).into())
            }
            (Reading::Reason(path, false), Some(leaf)) => {
                Some(distinct_leaf(leaf, path).err().map_or("", |reason| reason.code()).into())
            }
        }
    }
}
