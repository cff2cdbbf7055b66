//! A split-block Bloom filter over identities.
//!
//! Identities are uniform already, so their own bits choose the block (the high half) and the bits in it (the low).

/// Bits per key by the number of keys, and how often the filter is wrong: there are many small runs, whose wrong answers
/// cost a read each, and few large ones, whose filters take the memory.
fn bits_per_key(keys: u64) -> u64 {
    match keys {
        // One in 600.
        0..1_000_000 => 14,
        // One in 60.
        1_000_000..3_000_000 => 9,
        // One in 25.
        3_000_000.. => 7,
    }
}

/// Words of one block; each key sets one bit in every word, so a look-up touches one cache line.
const WORDS: usize = 8;
/// Odd multipliers, one per word, that spread the low half of a key.
const SPREAD: [u32; WORDS] =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// The filter of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bloom {
    blocks: Vec<[u32; WORDS]>,
}

impl Bloom {
    /// An empty filter for `keys` keys.
    pub fn for_keys(keys: u64) -> Self {
        let blocks = (keys * bits_per_key(keys)).div_ceil(32 * WORDS as u64).max(1);
        Self { blocks: vec![[0; WORDS]; usize::try_from(blocks).unwrap_or(usize::MAX)] }
    }

    pub fn insert(&mut self, key: u128) {
        let at = self.block_of(key);
        for (word, mask) in self.blocks[at].iter_mut().zip(masks(key)) {
            *word |= mask;
        }
    }

    /// `false` is certain, `true` is likely.
    pub fn may_contain(&self, key: u128) -> bool {
        let words = self.blocks[self.block_of(key)];
        let missing = words.iter().zip(masks(key)).fold(0, |missing, (word, mask)| missing | (mask & !word));
        missing == 0
    }

    fn block_of(&self, key: u128) -> usize {
        let high = key >> 64 & 0xffff_ffff;
        ((high as u64 * self.blocks.len() as u64) >> 32) as usize
    }

    /// Bytes that it takes.
    pub fn memory(&self) -> usize {
        self.blocks.len() * size_of::<[u32; WORDS]>()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        self.blocks.iter().flatten().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// The filter from its bytes; `None` if they are no whole number of blocks.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<{ 4 * WORDS }>();
        if chunks.is_empty() || !rest.is_empty() {
            return None;
        }
        let block = |chunk: &[u8; 4 * WORDS]| {
            let mut words = [0; WORDS];
            for (word, bytes) in words.iter_mut().zip(chunk.as_chunks::<4>().0) {
                *word = u32::from_le_bytes(*bytes);
            }
            words
        };
        Some(Self { blocks: chunks.iter().map(block).collect() })
    }
}

fn masks(key: u128) -> [u32; WORDS] {
    SPREAD.map(|odd| 1 << ((key as u32).wrapping_mul(odd) >> 27))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::identity::Secret;

    #[test]
    fn knows_every_key_and_few_others() {
        let secret = Secret::new([1; 16]);
        let key = |n: u32| secret.identity("ns", "s", &n.to_string());
        // As large as if each key had so many bits.
        let false_answers = |bits: u64| {
            let mut bloom = Bloom::for_keys(20_000 * bits / bits_per_key(20_000));
            (0..20_000).for_each(|n| bloom.insert(key(n)));
            (20_000..120_000).filter(|n| bloom.may_contain(key(*n))).count()
        };
        let wrong = [14, 9, 7].map(false_answers);
        assert!(wrong[0] < 300 && wrong[1] < 2_400 && wrong[2] < 6_000, "{wrong:?} of 100000 false answers");
        let mut bloom = Bloom::for_keys(20_000);
        (0..20_000).for_each(|n| bloom.insert(key(n)));
        assert!((0..20_000).all(|n| bloom.may_contain(key(n))));
        assert_eq!(Bloom::from_bytes(&bloom.to_bytes()), Some(bloom));
        assert_eq!(Bloom::from_bytes(&[0; 33]), None);
    }
}
