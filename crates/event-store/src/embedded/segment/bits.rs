//! Values of a fixed number of bits, one behind the other without gaps, the first in the lowest bits.
//!
//! 64 values of `w` bits fill `w` words, so values are taken apart 64 at a time by loops whose width the compiler knows:
//! no branch and no bounds check per value.

use super::bytes::{Corrupt, Reader};

/// How many values are taken apart together.
const GROUP: usize = 64;

/// How many bits hold the value; 0 for zero.
pub(super) fn bits(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// How many bytes `count` values of `width` bits take.
pub(super) fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends values, none of which has more than `width` bits.
pub(super) fn pack(out: &mut Vec<u8>, values: impl Iterator<Item = u64>, width: u32) {
    let (mut pending, mut filled) = (0u64, 0u32);
    if width == 0 {
        return;
    }
    for value in values {
        pending |= value << filled;
        if filled + width >= 64 {
            out.extend_from_slice(&pending.to_le_bytes());
            // What did not fit; a shift by all 64 bits leaves nothing.
            pending = value.checked_shr(64 - filled).unwrap_or(0);
            filled = filled + width - 64;
        } else {
            filled += width;
        }
    }
    let rest = filled.div_ceil(8) as usize;
    out.extend_from_slice(&pending.to_le_bytes()[..rest]);
}

/// Takes `count` values of `width` bits apart and hands them to `take`, up to 64 at a time.
pub(super) fn unpack(
    reader: &mut Reader<'_>,
    count: usize,
    width: u32,
    mut take: impl FnMut(&[u64]),
) -> Result<(), Corrupt> {
    if width > 64 {
        return Err(Corrupt("an integer is wider than 64 bits"));
    }
    let len = count.checked_mul(width as usize).ok_or(Corrupt("it ends too early"))?.div_ceil(8);
    let packed = reader.bytes(len)?;
    let mut values = [0; GROUP];
    if width == 0 {
        (0..count).step_by(GROUP).for_each(|at| take(&values[..GROUP.min(count - at)]));
        return Ok(());
    }
    let unpack_group = WIDTHS[width as usize];
    let (whole, rest) = packed.split_at(count / GROUP * width as usize * 8);
    for group in whole.chunks_exact(width as usize * 8) {
        unpack_group(group, &mut values);
        take(&values);
    }
    let left = count % GROUP;
    if left > 0 {
        let mut padded = [0; GROUP * 8];
        padded[..rest.len()].copy_from_slice(rest);
        unpack_group(&padded[..width as usize * 8], &mut values);
        take(&values[..left]);
    }
    Ok(())
}

/// Takes 64 values of `W` bits apart, which are in the first `W` words of `packed`.
fn unpack_group<const W: usize>(packed: &[u8], values: &mut [u64; GROUP]) {
    let mut words = [0u64; W];
    for (word, bytes) in words.iter_mut().zip(packed.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    let mask = if W == 64 { u64::MAX } else { (1 << W) - 1 };
    for (at, value) in values.iter_mut().enumerate() {
        let (word, shift) = (at * W / 64, at * W % 64);
        let low = words[word] >> shift;
        let high = if shift + W > 64 { words[word + 1] << (64 - shift) } else { 0 };
        *value = (low | high) & mask;
    }
}

type UnpackGroup = fn(&[u8], &mut [u64; GROUP]);

macro_rules! widths {
    ($($width:literal)*) => { [|_, values| *values = [0; GROUP], $(unpack_group::<$width>),*] };
}

/// By width.
static WIDTHS: [UnpackGroup; 65] = widths!(
    1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
    33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64
);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_round_trip_at_every_width(width in 0u32..=64, values in prop::collection::vec(any::<u64>(), 0..300)) {
            let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
            let values: Vec<u64> = values.into_iter().map(|value| value & mask).collect();
            let mut out = vec![7];
            pack(&mut out, values.iter().copied(), width);
            prop_assert_eq!(out.len(), 1 + packed_len(values.len(), width));
            let (mut reader, mut read) = (Reader::new(&out[1..]), Vec::new());
            unpack(&mut reader, values.len(), width, |group| read.extend_from_slice(group)).unwrap();
            prop_assert_eq!(read, values);
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn what_is_too_short_or_too_wide_is_an_error() {
        assert!(unpack(&mut Reader::new(&[0; 7]), 8, 8, |_| ()).is_err());
        assert!(unpack(&mut Reader::new(&[0; 99]), 1, 65, |_| ()).is_err());
        assert!(unpack(&mut Reader::new(&[0; 99]), usize::MAX, 64, |_| ()).is_err());
    }
}
