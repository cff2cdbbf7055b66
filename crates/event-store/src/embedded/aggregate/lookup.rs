//! Answers about the values of rows, found once per distinct value: the code of a text, or whether a filter passes.
//!
//! Invariant: the answer for a row is the one that domain's functions give for its event.

use super::books::{BookKey, Books};
use super::codes::{CodeTexts, Codes};
use crate::embedded::segment::{CodedTexts, Column, DictionaryId, Kind, Kinds, Texts};
use hashbrown::HashMap;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use tallystick_domain::Quantity;
use tallystick_domain::json::Leaf;
use tallystick_domain::meter::{
    AggregatePlan, Dimension, Filter, JsonPath, NotCounted, dimension_leaf, distinct_leaf, numeric_leaf,
};

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
    /// Its code.
    Codes(Codes<'p>),
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
    /// These texts, if the answers about them are codes that later queries want.
    to_learn: Option<(DictionaryId, Arc<Texts>)>,
    of_kinds: [u32; KINDS],
    of_numbers: HashMap<(i64, u32), u32>,
    /// The answer for all rows at hand, if it is one.
    of_all: Option<u32>,
    of_rows: Vec<u32>,
}

impl<'p> Lookup<'p> {
    /// Codes of the texts of a dimension.
    pub fn codes(dimension: &'p Dimension, plan: &'p AggregatePlan, books: &'p Books) -> Self {
        let column = match dimension {
            Dimension::Subject => Some(None),
            Dimension::Property(path) => Some(Some(path)),
            Dimension::Customer | Dimension::NotCounted { .. } => None,
        };
        let codes = Codes::new(books, column.map(|path| book_key(plan, path)));
        Self::new(Reading::of(dimension, plan.customers.as_deref()), Target::Codes(codes))
    }

    /// Codes of the texts that tell values apart.
    pub fn distinct(path: &'p JsonPath, plan: &'p AggregatePlan, books: &'p Books) -> Self {
        let codes = Codes::new(books, Some(book_key(plan, Some(path))));
        Self::new(Reading::Distinct(path), Target::Codes(codes))
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
            to_learn: None,
            of_kinds: [UNKNOWN; KINDS],
            of_numbers: HashMap::new(),
            of_all: None,
            of_rows: Vec::new(),
        }
    }

    /// How many codes were given out.
    pub fn known(&self) -> usize {
        if let Target::Codes(codes) = &self.target { codes.len() } else { 0 }
    }

    /// The code here of a text that has a code in another query.
    pub fn translate(&mut self, texts: &CodeTexts, code: u32) -> u32 {
        if let Target::Codes(codes) = &mut self.target { codes.translate(texts, code) } else { NONE }
    }

    /// The texts by code.
    pub fn into_texts(mut self) -> CodeTexts {
        self.leave();
        if let Target::Codes(codes) = self.target { codes.into_texts() } else { CodeTexts::default() }
    }

    /// About how many bytes it holds.
    pub fn weight(&self) -> usize {
        let codes = if let Target::Codes(codes) = &self.target { codes.weight() } else { 0 };
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
        self.ask_subject_codes(subjects, &subjects.codes);
    }

    /// Asks about some of these subjects, by their codes.
    pub fn ask_subject_codes(&mut self, subjects: &CodedTexts, codes: &[u32]) {
        let codes = codes.iter().map(|code| *code as usize);
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

    fn ask_mixed(&mut self, column: &Column, kinds: &[Kind]) {
        self.turn_to(&column.texts, column.shared);
        let met = kinds.iter().fold(0, |met, kind| met | 1u32.wrapping_shl(*kind as u32));
        let has = |kind: Kind| met & (1 << kind as u32) != 0;
        let one_by_one = has(Kind::Number) && !self.numbers_are_alike();
        self.of_all = None;
        let mut rows = std::mem::take(&mut self.of_rows);
        if one_by_one || column.texts.len() > kinds.len() {
            rows.clear();
            rows.extend(kinds.iter().zip(&column.values).map(|(kind, value)| match kind {
                Kind::Text => self.of_code(&column.texts, *value as usize),
                Kind::Number if one_by_one => self.of_number(*value, column.scale),
                other => self.of_kind(*other),
            }));
        } else {
            let others = Kind::ALL.into_iter().filter(|kind| *kind != Kind::Text && has(*kind));
            others.for_each(|kind| {
                self.of_kind(kind);
            });
            (0..column.texts.len()).for_each(|code| {
                self.of_code(&column.texts, code);
            });
            // One table of all answers, so that no row needs a branch: it would often be predicted wrongly.
            let answers = [&self.of_kinds[..], &self.of_texts[..]].concat();
            let mut places: [(usize, i64); KINDS] = std::array::from_fn(|kind| (kind, 0));
            places[Kind::Text as usize] = (KINDS, -1);
            rows.resize(kinds.len(), 0);
            for ((answer, kind), value) in rows.iter_mut().zip(kinds).zip(&column.values) {
                let (first, mask) = places[*kind as usize];
                *answer = answers[first + (value & mask) as usize];
            }
        }
        self.of_rows = rows;
    }

    fn ask_text_codes(
        &mut self,
        texts: &Arc<Texts>,
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
        if texts.len() <= codes.len() {
            for code in 0..texts.len() {
                self.of_code(texts, code);
            }
            let of_texts = &self.of_texts[..];
            rows.resize(codes.len(), 0);
            rows.iter_mut().zip(codes).for_each(|(answer, code)| *answer = of_texts[code]);
        } else {
            rows.clear();
            rows.extend(codes.map(|code| self.of_code(texts, code)));
        }
        self.of_rows = rows;
    }

    /// Prepares for questions about some texts: forgets the answers about others.
    pub fn turn_to(&mut self, texts: &Arc<Texts>, shared: Option<DictionaryId>) {
        if shared.is_some() && shared == self.shared {
            return;
        }
        self.leave();
        self.shared = shared;
        self.of_texts.clear();
        if let (Target::Codes(codes), Some(dictionary)) = (&self.target, shared) {
            self.of_texts.extend_from_slice(codes.of_dictionary(dictionary).unwrap_or_default());
            self.to_learn = codes.wants(dictionary, texts.len()).then(|| (dictionary, Arc::clone(texts)));
        }
        self.of_texts.resize(texts.len(), UNKNOWN);
    }

    /// Takes over the codes of all texts at hand if they are known in the lineage of the book; whether they are.
    pub fn recall(&mut self, known: impl FnOnce(u64) -> Option<Arc<[u32]>>) -> bool {
        let Target::Codes(codes) = &self.target else { return false };
        let known = codes.lineage_of(&[]).and_then(known).filter(|known| known.len() == self.of_texts.len());
        // Those of a longer book may go further than this one.
        let known = known.filter(|known| codes.lineage_of(known).is_some());
        known.map(|known| self.of_texts.copy_from_slice(&known)).is_some()
    }

    /// The codes of all texts at hand, and the lineage that they are of, if all of them were asked for and are in the book.
    pub fn all_in_book(&self) -> Option<(u64, &[u32])> {
        let Target::Codes(codes) = &self.target else { return None };
        codes.lineage_of(&self.of_texts).map(|lineage| (lineage, &self.of_texts[..]))
    }

    /// Learns the codes of all texts at hand if at least half of them were asked for.
    fn leave(&mut self) {
        let Some((dictionary, texts)) = self.to_learn.take() else { return };
        let unknown = self.of_texts.iter().filter(|answer| **answer == UNKNOWN).count();
        if unknown > texts.len() / 2 {
            return;
        }
        (0..texts.len()).for_each(|code| {
            self.of_code(&texts, code);
        });
        if let Target::Codes(codes) = &mut self.target {
            codes.learn(dictionary, &self.of_texts);
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
            Target::Codes(codes) => codes.code(&text),
            Target::Filter(filter) => u32::from(filter.matches(&text)) * PASSES,
            Target::Owned(owners) => u32::from(owners.contains_key(&*text)) * PASSES,
        }
    }
}

fn book_key(plan: &AggregatePlan, path: Option<&JsonPath>) -> BookKey {
    BookKey { namespace: plan.namespace.clone(), event_type: plan.event_type.clone(), path: path.cloned() }
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
