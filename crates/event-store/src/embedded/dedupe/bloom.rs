//! A split-block Bloom filter over identities: about one false answer in sixty at 9 bits per key.
//!
//! Identities are uniform already, so their own bits choose the block (the high half) and the bits in it (the low).

/// Bits per key.
const BITS_PER_KEY: u64 = 9;
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
        let blocks = (keys * BITS_PER_KEY).div_ceil(32 * WORDS as u64).max(1);
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
        self.blocks[self.block_of(key)].iter().zip(masks(key)).all(|(word, mask)| word & mask != 0)
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
        let mut bloom = Bloom::for_keys(20_000);
        (0..20_000).for_each(|n| bloom.insert(key(n)));
        assert!((0..20_000).all(|n| bloom.may_contain(key(n))));
        let wrong = (20_000..120_000).filter(|n| bloom.may_contain(key(*n))).count();
        assert!(wrong < 2_400, "{wrong} of 100000 false answers");
        assert_eq!(Bloom::from_bytes(&bloom.to_bytes()), Some(bloom));
        assert_eq!(Bloom::from_bytes(&[0; 33]), None);
    }
}
