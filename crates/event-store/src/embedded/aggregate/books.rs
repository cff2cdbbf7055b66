//! Codes that the dictionaries of a column have in common, kept from query to query, so that texts that many segments
//! share are not looked up again in each of them.
//!
//! Invariant: what a book says follows from immutable dictionaries alone: a code stands for the same text in all books of
//! one lineage, and of two of them the longer one begins as the shorter one. Books take no more bytes than the limit.

use crate::embedded::lock;
use crate::embedded::segment::{Dictionary, DictionaryId, Texts};
use hashbrown::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tallystick_domain::Namespace;
use tallystick_domain::meter::JsonPath;

/// What a text takes besides its bytes.
const WEIGHT_OF_TEXT: usize = 20;
/// What a book takes besides its texts.
const WEIGHT_OF_BOOK: usize = 400;

/// The column whose texts a book is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BookKey {
    /// Whose events.
    pub namespace: Namespace,
    /// Their type.
    pub event_type: String,
    /// The path in their data; `None` for subjects.
    pub path: Option<JsonPath>,
}

/// Texts with codes, and the codes of the texts of some dictionaries.
#[derive(Debug)]
pub(crate) struct Book {
    lineage: u64,
    texts: Arc<Dictionary>,
    of_dictionaries: HashMap<DictionaryId, Arc<[u32]>>,
}

/// The books of a store.
#[derive(Debug)]
pub(crate) struct Books {
    limit: usize,
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    key: BookKey,
    book: Arc<Book>,
    bytes: usize,
}

static LINEAGES: AtomicU64 = AtomicU64::new(0);

impl Book {
    /// How many texts have codes.
    pub fn len(&self) -> usize {
        self.texts.texts().len()
    }

    /// The text of a code.
    pub fn text(&self, code: u32) -> &str {
        self.texts.texts().get(code as usize)
    }

    /// The code of a text.
    pub fn code(&self, text: &str) -> Option<u32> {
        self.texts.position(text)
    }

    /// The codes of all texts of a dictionary.
    pub fn codes_of(&self, dictionary: DictionaryId) -> Option<&[u32]> {
        self.of_dictionaries.get(&dictionary).map(|codes| &**codes)
    }

    /// What its codes mean is the same in all books with this number, as far as they go.
    pub fn lineage(&self) -> u64 {
        self.lineage
    }

    /// Up to which code both say the same.
    pub fn common_with(&self, other: &Book) -> usize {
        if self.lineage == other.lineage { self.len().min(other.len()) } else { 0 }
    }

    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        let texts = self.texts.texts();
        let codes: usize = self.of_dictionaries.values().map(|codes| 4 * codes.len()).sum();
        WEIGHT_OF_BOOK + texts.total_len() + WEIGHT_OF_TEXT * texts.len() + codes
    }
}

impl Books {
    /// Keeps up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    /// The book of a column, if there is one.
    pub fn get(&self, key: &BookKey) -> Option<Arc<Book>> {
        let mut kept = lock(&self.kept);
        let at = kept.iter().position(|kept| kept.key == *key)?;
        // The one that was used last comes last.
        kept[at..].rotate_left(1);
        kept.last().map(|kept| Arc::clone(&kept.book))
    }

    /// Adds what a query found out: `more` texts behind those of `base`, and the codes of dictionaries. The longer book;
    /// nothing happens if another query was faster, or if there is no room, and it will be found out again.
    pub fn extend(
        &self,
        key: &BookKey,
        base: Option<&Arc<Book>>,
        more: &Texts,
        learned: Vec<(DictionaryId, Arc<[u32]>)>,
    ) -> Option<Arc<Book>> {
        let mut texts = base.map_or_else(Dictionary::default, |base| (*base.texts).clone());
        more.iter().for_each(|text| {
            texts.code(text);
        });
        let lineage = base.map_or_else(|| LINEAGES.fetch_add(1, Ordering::Relaxed), |base| base.lineage);
        let mut of_dictionaries = base.map_or_else(HashMap::new, |base| base.of_dictionaries.clone());
        of_dictionaries.extend(learned);
        let book = Arc::new(Book { lineage, texts: Arc::new(texts), of_dictionaries });
        let mut kept = lock(&self.kept);
        let at = kept.iter().position(|kept| kept.key == *key);
        if at.map(|at| Arc::as_ptr(&kept[at].book)) != base.map(Arc::as_ptr) {
            return None;
        }
        // A book that became too large begins anew with the next query.
        at.map(|at| kept.remove(at));
        let bytes = book.weight();
        if bytes > self.limit / 2 {
            return None;
        }
        kept.push(Kept { key: key.clone(), book: Arc::clone(&book), bytes });
        while kept.iter().map(|kept| kept.bytes).sum::<usize>() > self.limit {
            kept.remove(0);
        }
        Some(book)
    }

    /// Forgets the codes of dictionaries that are no longer open.
    pub fn forget(&self, is_open: impl Fn(DictionaryId) -> bool) {
        for kept in &mut *lock(&self.kept) {
            let book = &kept.book;
            if book.of_dictionaries.keys().all(|dictionary| is_open(*dictionary)) {
                continue;
            }
            let open = book.of_dictionaries.iter().filter(|(dictionary, _)| is_open(**dictionary));
            let of_dictionaries = open.map(|(dictionary, codes)| (*dictionary, Arc::clone(codes))).collect();
            let book = Book { lineage: book.lineage, texts: Arc::clone(&book.texts), of_dictionaries };
            (kept.bytes, kept.book) = (book.weight(), Arc::new(book));
        }
    }

    /// Bytes that are kept.
    pub fn bytes(&self) -> u64 {
        lock(&self.kept).iter().map(|kept| kept.bytes as u64).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(event_type: &str) -> BookKey {
        BookKey { namespace: Namespace::default_namespace(), event_type: event_type.into(), path: None }
    }

    fn dictionary(segment: u64) -> DictionaryId {
        DictionaryId { segment, table: 0, column: 0 }
    }

    fn learned(segment: u64, codes: &[u32]) -> Vec<(DictionaryId, Arc<[u32]>)> {
        vec![(dictionary(segment), codes.into())]
    }

    #[test]
    fn a_book_grows_behind_its_end_and_by_one_query_at_a_time() {
        let books = Books::new(10_000);
        books.extend(&key("t"), None, &Texts::from_iter(["a", "b"]), learned(1, &[0, 1]));
        let first = books.get(&key("t")).unwrap();
        books.extend(&key("t"), Some(&first), &Texts::from_iter(["c"]), learned(2, &[1, 2]));
        for slower in [Some(&first), None] {
            assert!(books.extend(&key("t"), slower, &Texts::from_iter(["d"]), learned(3, &[2])).is_none());
        }
        let second = books.get(&key("t")).unwrap();
        assert_eq!((second.len(), second.text(2), second.code("c"), second.code("d")), (3, "c", Some(2), None));
        assert_eq!(second.codes_of(dictionary(2)), Some(&[1, 2][..]));
        assert_eq!(second.codes_of(dictionary(3)), None);
        assert_eq!((second.common_with(&first), first.common_with(&second)), (2, 2));
        books.extend(&key("u"), None, &Texts::from_iter(["x"]), learned(4, &[0]));
        assert_eq!(books.get(&key("u")).unwrap().common_with(&second), 0, "codes of another column");
    }

    #[test]
    fn dictionaries_that_are_gone_are_forgotten_and_the_texts_stay() {
        let books = Books::new(10_000);
        books.extend(&key("t"), None, &Texts::from_iter(["a"]), learned(1, &[0]));
        let before = books.get(&key("t")).unwrap();
        books.extend(&key("t"), Some(&before), &Texts::default(), learned(2, &[0]));
        books.forget(|dictionary| dictionary.segment == 2);
        let book = books.get(&key("t")).unwrap();
        assert_eq!((book.codes_of(dictionary(1)), book.codes_of(dictionary(2))), (None, Some(&[0][..])));
        assert_eq!(book.common_with(&before), 1);
    }

    #[test]
    fn books_that_were_not_used_for_longest_make_room() {
        let books = Books::new(3000);
        let texts = Texts::from_iter(["x".repeat(400).as_str()]);
        for name in ["a", "b", "c"] {
            assert!(books.extend(&key(name), None, &texts, learned(1, &[0])).is_some());
        }
        assert!(books.get(&key("a")).is_some());
        books.extend(&key("d"), None, &texts, learned(1, &[0]));
        let known = ["a", "b", "c", "d"].map(|name| books.get(&key(name)).is_some());
        assert_eq!(known, [true, false, true, true]);
        assert!(books.bytes() <= 3000);
        let large = Texts::from_iter(["x".repeat(1500).as_str()]);
        books.extend(&key("e"), None, &large, learned(1, &[0]));
        assert!(books.get(&key("e")).is_none(), "it would leave no room for others");
    }
}
