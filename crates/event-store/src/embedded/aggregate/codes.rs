//! The codes that a query gives to texts: those of a book as far as it goes, and its own behind them.
//!
//! Invariant: a text has one code, and a code one text.

use super::books::{Book, BookKey, Books};
use crate::embedded::segment::{Dictionary, DictionaryId, Texts};
use std::sync::Arc;

/// Fewer texts are looked up as fast as they are found in a book.
const WORTH_A_BOOK: usize = 256;

/// Texts with codes from 0.
pub(super) struct Codes<'p> {
    shelf: Option<(&'p Books, BookKey)>,
    book: Option<Arc<Book>>,
    own: Dictionary,
    learned: Vec<(DictionaryId, Arc<[u32]>)>,
}

/// The texts of a query by code.
#[derive(Debug, Default)]
pub(super) struct CodeTexts {
    book: Option<Arc<Book>>,
    own: Texts,
    /// The codes that kept texts have in a lineage of books; [`NOWHERE`] if they have none.
    in_lineage: Option<(u64, Vec<u32>)>,
}

/// No book goes as far.
const NOWHERE: u32 = u32::MAX;

impl<'p> Codes<'p> {
    /// Codes for the texts of a column, of which there may be a book.
    pub fn new(books: &'p Books, key: Option<BookKey>) -> Self {
        let book = key.as_ref().and_then(|key| books.get(key));
        let shelf = key.map(|key| (books, key));
        Self { shelf, book, own: Dictionary::default(), learned: Vec::new() }
    }

    /// How many codes were given out.
    pub fn len(&self) -> usize {
        self.in_book() + self.own.texts().len()
    }

    fn in_book(&self) -> usize {
        self.book.as_ref().map_or(0, |book| book.len())
    }

    /// About how many bytes they take besides the book.
    pub fn weight(&self) -> usize {
        let learned: usize = self.learned.iter().map(|(_, codes)| 4 * codes.len()).sum();
        self.own.texts().total_len() + 20 * self.own.texts().len() + learned
    }

    /// The code of a text; a new one if it was not seen before.
    pub fn code(&mut self, text: &str) -> u32 {
        match self.book.as_ref().and_then(|book| book.code(text)) {
            Some(code) => code,
            None => self.in_book() as u32 + self.own.code(text),
        }
    }

    /// The codes of all texts of a dictionary, if they are known.
    pub fn of_dictionary(&self, dictionary: DictionaryId) -> Option<&[u32]> {
        self.book.as_ref().and_then(|book| book.codes_of(dictionary))
    }

    /// The lineage of the book, if all of these codes are in it.
    pub fn lineage_of(&self, codes: &[u32]) -> Option<u64> {
        let book = self.book.as_ref()?;
        codes.iter().all(|code| (*code as usize) < book.len()).then(|| book.lineage())
    }

    /// Whether the codes of a dictionary are worth being learned.
    pub fn wants(&self, dictionary: DictionaryId, texts: usize) -> bool {
        self.shelf.is_some() && texts >= WORTH_A_BOOK && self.of_dictionary(dictionary).is_none()
    }

    /// Notes the codes of all texts of a dictionary for later queries.
    pub fn learn(&mut self, dictionary: DictionaryId, codes: &[u32]) {
        self.learned.push((dictionary, codes.into()));
    }

    /// The code here of a text that has a code in another query.
    pub fn translate(&mut self, texts: &CodeTexts, code: u32) -> u32 {
        if let (Some(own), Some((lineage, codes))) = (&self.book, &texts.in_lineage)
            && own.lineage() == *lineage
            && (codes[code as usize] as usize) < own.len()
        {
            return codes[code as usize];
        }
        let common = match (&self.book, &texts.book) {
            (Some(own), Some(other)) => own.common_with(other),
            _ => 0,
        };
        if (code as usize) < common { code } else { self.code(texts.get(code)) }
    }

    /// The texts by code. What was learned goes into the book.
    pub fn into_texts(self) -> CodeTexts {
        let own = self.own.into_texts();
        let shelf = self.shelf.filter(|_| !self.learned.is_empty());
        match shelf.and_then(|(books, key)| books.extend(&key, self.book.as_ref(), &own, self.learned)) {
            Some(longer) => CodeTexts { book: Some(longer), ..CodeTexts::default() },
            None => CodeTexts { book: self.book, own, in_lineage: None },
        }
    }
}

impl CodeTexts {
    /// The text of a code.
    pub fn get(&self, code: u32) -> &str {
        match &self.book {
            Some(book) if (code as usize) < book.len() => book.text(code),
            Some(book) => self.own.get(code as usize - book.len()),
            None => self.own.get(code as usize),
        }
    }

    /// About how many bytes they take.
    pub fn weight(&self) -> usize {
        let in_lineage = self.in_lineage.as_ref().map_or(0, |(_, codes)| 4 * codes.len());
        self.own.total_len() + 8 * self.own.len() + in_lineage + self.book.as_ref().map_or(0, |book| book.weight())
    }

    /// Only the texts of some codes, which are the positions of these codes from now on.
    pub fn only(&self, codes: &[u32]) -> Self {
        let in_lineage = self.book.as_ref().map(|book| {
            let in_book = |code: &u32| if (*code as usize) < book.len() { *code } else { NOWHERE };
            (book.lineage(), codes.iter().map(in_book).collect())
        });
        Self { book: None, own: codes.iter().map(|code| self.get(*code)).collect(), in_lineage }
    }
}
