//! The texts of a column that all blocks of a table share: stored once, sorted, and held while they are used.

use super::bytes::{Corrupt, Reader, put_varint};
use super::texts::{DictionaryId, Texts};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The most texts of a shared dictionary; a column with more has a dictionary in each block.
const MAX_TEXTS: usize = 1 << 17;
/// The most bytes of them together.
const MAX_BYTES: usize = 4 << 20;
/// Bytes of dictionaries that stay in memory for the next query, in all segments of the process together.
const HELD_BYTES: usize = 32 << 20;

/// Whether texts are few and short enough to be shared.
pub(super) fn may_hold(texts: &Texts) -> bool {
    texts.len() <= MAX_TEXTS && texts.total_len() <= MAX_BYTES
}

/// Appends texts in ascending order, each as what differs from the one before.
pub(super) fn put_sorted<'a>(out: &mut Vec<u8>, texts: impl ExactSizeIterator<Item = &'a str>) {
    put_varint(out, texts.len() as u64);
    let (mut lengths, mut rests, mut before) = (Vec::new(), Vec::new(), "");
    for text in texts {
        let shared = text.bytes().zip(before.bytes()).take_while(|(left, right)| left == right).count();
        put_varint(out, shared as u64);
        put_varint(&mut lengths, (text.len() - shared) as u64);
        rests.extend_from_slice(&text.as_bytes()[shared..]);
        before = text;
    }
    out.extend(lengths);
    out.extend(rests);
}

/// Reads all of them.
pub(super) fn get_sorted(reader: &mut Reader<'_>) -> Result<Texts, Corrupt> {
    let count = reader.count()?;
    if count > MAX_TEXTS {
        return Err(Corrupt("a dictionary has too many texts"));
    }
    let mut lengths = || (0..count).map(|_| reader.varint()).collect::<Result<Vec<u64>, Corrupt>>();
    let (shared, rests) = (lengths()?, lengths()?);
    let (mut texts, mut before) = (Texts::default(), Vec::new());
    for (shared, rest) in shared.into_iter().zip(rests) {
        let kept = usize::try_from(shared).ok().filter(|shared| *shared <= before.len());
        let (kept, rest) = kept.zip(usize::try_from(rest).ok()).ok_or(Corrupt("a dictionary has a wrong length"))?;
        let rest = reader.bytes(rest)?;
        // What is shared is the same up to there, so the order is decided by what follows.
        let ascends = texts.len() == 0 || rest > &before[kept..];
        before.truncate(kept);
        before.extend_from_slice(rest);
        if !ascends || texts.total_len() + before.len() > MAX_BYTES {
            return Err(Corrupt("a dictionary is out of order or too long"));
        }
        texts.push(std::str::from_utf8(&before).map_err(|_| Corrupt("a text is not UTF-8"))?);
    }
    Ok(texts)
}

/// A dictionary in memory, and when it was asked for last.
struct Held {
    texts: Arc<Texts>,
    used: u64,
}

/// The dictionaries that were used last.
#[derive(Default)]
struct Cache {
    held: HashMap<DictionaryId, Held>,
    bytes: usize,
    clock: u64,
}

static CACHE: Mutex<Option<Cache>> = Mutex::new(None);

fn with_cache<T>(work: impl FnOnce(&mut Cache) -> T) -> T {
    work(CACHE.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

fn bytes_of(texts: &Texts) -> usize {
    texts.total_len() + texts.len() * size_of::<usize>() + size_of::<Held>()
}

/// The dictionary of this name, if it is in memory.
pub(super) fn held(name: DictionaryId) -> Option<Arc<Texts>> {
    with_cache(|cache| {
        cache.clock += 1;
        let held = cache.held.get_mut(&name)?;
        held.used = cache.clock;
        Some(Arc::clone(&held.texts))
    })
}

/// Keeps a dictionary in memory, and lets those go that were not used for longest when there are too many.
pub(super) fn hold(name: DictionaryId, texts: &Arc<Texts>) {
    with_cache(|cache| {
        cache.clock += 1;
        cache.bytes += bytes_of(texts);
        let held = Held { texts: Arc::clone(texts), used: cache.clock };
        if let Some(before) = cache.held.insert(name, held) {
            cache.bytes -= bytes_of(&before.texts);
        }
        while cache.bytes > HELD_BYTES {
            let Some(oldest) = cache.held.iter().min_by_key(|(_, held)| held.used).map(|(name, _)| *name) else {
                break;
            };
            cache.bytes -= cache.held.remove(&oldest).map_or(0, |held| bytes_of(&held.texts));
        }
    });
}

/// Lets all dictionaries of a segment go.
pub(super) fn let_go(segment: u64) {
    with_cache(|cache| {
        cache.held.retain(|name, _| name.segment != segment);
        cache.bytes = cache.held.values().map(|held| bytes_of(&held.texts)).sum();
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn sorted_texts_round_trip(texts in prop::collection::btree_set("[ab]{0,6}|\\PC{0,9}", 0..80)) {
            let mut out = Vec::new();
            put_sorted(&mut out, texts.iter().map(String::as_str));
            let mut reader = Reader::new(&out);
            let read = get_sorted(&mut reader).unwrap();
            prop_assert_eq!(read.iter().map(str::to_owned).collect::<BTreeSet<_>>(), texts);
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes: Vec<u8>) {
            let _ = get_sorted(&mut Reader::new(&bytes));
        }
    }

    #[test]
    fn texts_out_of_order_are_refused() {
        for wrong in [["b", "a"], ["a", "a"], ["ab", "a"]] {
            let mut out = Vec::new();
            put_sorted(&mut out, wrong.into_iter());
            assert!(get_sorted(&mut Reader::new(&out)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let name = |column| DictionaryId { segment: u64::MAX, table: 0, column };
        let large = Arc::new(Texts::from_iter(["x".repeat(HELD_BYTES / 3).as_str()]));
        (0..2).for_each(|column| hold(name(column), &large));
        assert!(held(name(0)).is_some());
        hold(name(2), &large);
        assert_eq!([0, 1, 2].map(|column| held(name(column)).is_some()), [true, false, true]);
        let_go(u64::MAX);
        assert!(held(name(0)).is_none());
    }
}
