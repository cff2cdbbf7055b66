//! Blocks of sorted keys by the scheme of Elias and Fano: of each key the low bits as they are, and the high bits, which
//! only ever grow, as a list of steps with one bit each. Any key of a block is found without reading the others.

/// The most keys of a block.
pub(super) const BLOCK_KEYS: usize = 256;
/// The most bits of a key.
pub(super) const KEY_BITS: u32 = 96;
/// One byte for the number of low bits, and four for the checksum.
const FIXED: usize = 5;

/// Appends a block of keys that ascend. The first one is not in it: it stands in the index.
pub(super) fn put_block(out: &mut Vec<u8>, number: u64, keys: &[u128]) {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return };
    let start = out.len();
    let low_bits = ((last - first) / keys.len() as u128).checked_ilog2().unwrap_or(0);
    out.push(low_bits as u8);
    let mut pending = (0u128, 0u32);
    for key in &keys[1..] {
        push_bits(out, &mut pending, (key - first) & mask(low_bits), low_bits);
    }
    if pending.1 > 0 {
        out.extend_from_slice(&pending.0.to_le_bytes()[..pending.1.div_ceil(8) as usize]);
    }
    let steps = out.len();
    let high = |key: &u128| ((key - first) >> low_bits) as usize;
    out.resize(steps + (high(last) + keys.len()).div_ceil(8), 0);
    for (at, key) in keys[1..].iter().enumerate() {
        let bit = high(key) + at;
        out[steps + bit / 8] |= 1 << (bit % 8);
    }
    let checksum = checksum(number, &out[start..]);
    out.extend_from_slice(&checksum.to_le_bytes());
}

/// A block whose checksum was found right.
pub(super) struct Block<'b> {
    first: u128,
    count: usize,
    low_bits: u32,
    low: &'b [u8],
    steps: &'b [u8],
}

impl<'b> Block<'b> {
    /// Checks the bytes of a block; `first` is its first key, `count` how many it has.
    pub fn check(bytes: &'b [u8], number: u64, first: u128, count: usize) -> Result<Self, &'static str> {
        let Some((content, sum)) = bytes.split_last_chunk::<4>().filter(|_| bytes.len() > FIXED) else {
            return Err("the block is too short");
        };
        if checksum(number, content).to_le_bytes() != *sum {
            return Err("the checksum of the block does not fit");
        }
        let (low_bits, rest) = (u32::from(content[0]), &content[1..]);
        let low_len = ((count - 1) * low_bits as usize).div_ceil(8);
        let (low, steps) = rest.split_at_checked(low_len).ok_or("the block is too short")?;
        let ones: u32 = steps.iter().map(|byte| byte.count_ones()).sum();
        if low_bits > KEY_BITS || ones as usize != count - 1 {
            return Err("the block has a wrong number of keys");
        }
        Ok(Self { first, count, low_bits, low, steps })
    }

    /// Whether it holds a key that is not below its first.
    pub fn contains(&self, key: u128) -> bool {
        let distance = key - self.first;
        if distance == 0 {
            return true;
        }
        let (high, low) = (distance >> self.low_bits, distance & mask(self.low_bits));
        let Ok(high) = usize::try_from(high) else { return false };
        let Some((mut at, mut bit)) = self.seek(high) else { return false };
        while at < self.count - 1 && self.step(bit) {
            if self.low(at) == low {
                return true;
            }
            (at, bit) = (at + 1, bit + 1);
        }
        false
    }

    /// The first key with these high bits, if there is one, and the place of its step: behind `high` steps of zero.
    fn seek(&self, high: usize) -> Option<(usize, usize)> {
        let (mut zeros, mut from) = (0, 0);
        for bytes in self.steps.chunks(8) {
            let mut word = [0xff; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            let here = u64::from_le_bytes(word).count_zeros() as usize;
            if zeros + here >= high {
                break;
            }
            zeros += here;
            from += 64;
        }
        let mut bit = from;
        while zeros < high {
            if bit >= self.steps.len() * 8 {
                return None;
            }
            zeros += usize::from(!self.step(bit));
            bit += 1;
        }
        Some((bit - high, bit))
    }

    fn step(&self, bit: usize) -> bool {
        self.steps.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1)
    }

    /// The low bits of a key after the first.
    fn low(&self, at: usize) -> u128 {
        let bit = at * self.low_bits as usize;
        let from = bit / 8;
        let mut word = [0; 16];
        match self.low.get(from..).and_then(|rest| rest.first_chunk()) {
            Some(whole) => word = *whole,
            None => {
                let rest = self.low.get(from..).unwrap_or_default();
                word[..rest.len()].copy_from_slice(rest);
            }
        }
        u128::from_le_bytes(word) >> (bit % 8) & mask(self.low_bits)
    }

    /// Appends all keys to a list; false if they do not ascend.
    pub fn keys(&self, keys: &mut Vec<u128>) -> bool {
        keys.push(self.first);
        let (mut at, mut before, mut ascend) = (0, self.first, true);
        for (number, byte) in self.steps.iter().enumerate() {
            let mut byte = *byte;
            while byte != 0 {
                let bit = number * 8 + byte.trailing_zeros() as usize;
                byte &= byte - 1;
                let high = (bit - at) as u128;
                let distance = high.checked_shl(self.low_bits).unwrap_or(u128::MAX) | self.low(at);
                let key = self.first.saturating_add(distance);
                ascend &= key > before && key <= mask(KEY_BITS);
                before = key;
                keys.push(key);
                at += 1;
            }
        }
        ascend
    }
}

fn mask(bits: u32) -> u128 {
    (1 << bits) - 1
}

fn push_bits(out: &mut Vec<u8>, (pending, filled): &mut (u128, u32), bits: u128, width: u32) {
    // At most 7 bits wait, so up to 96 more fit.
    *pending |= bits << *filled;
    *filled += width;
    let whole = (*filled / 8) as usize;
    out.extend_from_slice(&pending.to_le_bytes()[..whole]);
    *pending = pending.checked_shr(8 * whole as u32).unwrap_or(0);
    *filled %= 8;
}

/// Over the number of the block as well, so that a block that came to another place is noticed.
fn checksum(number: u64, content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(keys: &[u128]) -> Vec<u8> {
        let mut out = Vec::new();
        put_block(&mut out, 7, keys);
        out
    }

    fn keys() -> impl Strategy<Value = Vec<u128>> {
        let key = prop_oneof![0..1u128 << 96, 0..600u128, (1u128 << 96) - 600..1u128 << 96];
        prop::collection::btree_set(key, 1..BLOCK_KEYS).prop_map(|keys| keys.into_iter().collect())
    }

    proptest! {
        #[test]
        fn keys_round_trip_and_are_found(keys in keys(), others in prop::collection::vec(0..1u128 << 96, 20)) {
            let out = written(&keys);
            let block = Block::check(&out, 7, keys[0], keys.len()).unwrap();
            let mut read = Vec::new();
            prop_assert!(block.keys(&mut read));
            prop_assert_eq!(&read, &keys);
            let near = keys.iter().flat_map(|key| [*key, key + 1]);
            for key in near.chain(others).filter(|key| *key >= keys[0]) {
                prop_assert_eq!(block.contains(key), keys.contains(&key), "{}", key);
            }
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes: Vec<u8>, key in 0..1u128 << 96, count in 1usize..300) {
            let mut bytes = bytes;
            bytes.extend_from_slice(&checksum(7, &bytes).to_le_bytes());
            if let Ok(block) = Block::check(&bytes, 7, 0, count) {
                block.contains(key);
                block.keys(&mut Vec::new());
            }
        }
    }

    #[test]
    fn a_key_takes_two_bits_more_than_its_share() {
        let keys: Vec<u128> = (0..256u128).map(|n| (n << 72) + ((n * 7919) << 50)).collect();
        let len = written(&keys).len();
        assert!(len <= 256 * 75 / 8 + FIXED, "{len}");
    }

    #[test]
    fn a_block_at_another_place_is_refused() {
        let out = written(&[1, 2, 3]);
        assert!(Block::check(&out, 7, 1, 3).is_ok());
        assert!(Block::check(&out, 8, 1, 3).is_err());
        assert!(Block::check(&out, 7, 1, 4).is_err());
    }
}
