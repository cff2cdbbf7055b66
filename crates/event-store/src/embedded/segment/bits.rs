//! Values of a fixed number of bits, one behind the other without gaps, the first in the lowest bits.
//!
//! Eight values of `w` bits fill `w` bytes, so values are taken apart eight at a time by loops whose width and shifts the
//! compiler knows, and go straight to where they are wanted: no branch and no bounds check per value.

use super::bytes::{Corrupt, Reader};

/// How many values are taken apart together.
pub(super) const GROUP: usize = 32;
/// How many bytes behind a group are read with it, and do not count.
const SLACK: usize = 8;

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

/// What packed values are taken apart as.
pub(super) trait Value: Copy + Default {
    /// The value of a packed number.
    fn of(packed: u64, line: Line) -> Self;
}

/// How a packed number becomes an integer: so many units from a base. All arithmetic wraps.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// The integer of 0.
    pub base: i64,
    /// How far apart two neighbours are.
    pub unit: u64,
}

/// Leaves numbers as they are.
pub(super) const PLAIN: Line = Line { base: 0, unit: 1 };

impl Line {
    /// The integer of a number.
    #[inline]
    pub fn at(self, packed: u64) -> i64 {
        self.base.wrapping_add(packed.wrapping_mul(self.unit) as i64)
    }
}

impl Value for i64 {
    #[inline]
    fn of(packed: u64, line: Line) -> Self {
        line.at(packed)
    }
}

impl Value for u64 {
    #[inline]
    fn of(packed: u64, _: Line) -> Self {
        packed
    }
}

impl Value for u32 {
    #[inline]
    fn of(packed: u64, _: Line) -> Self {
        packed as u32
    }
}

/// Takes `count` values of `width` bits apart. They come behind the first `from` values, in the place of what was there.
pub(super) fn unpack<V: Value>(
    reader: &mut Reader<'_>,
    count: usize,
    width: u32,
    line: Line,
    from: usize,
    values: &mut Vec<V>,
) -> Result<(), Corrupt> {
    let packed = reader.bytes(checked_len(count, width)?)?;
    values.resize(from + count, V::default());
    unpack_to(packed, width, line, &mut values[from..]);
    Ok(())
}

/// Takes groups of values apart that have a width each, the last of `count` values being in a shorter one, and hands them
/// to `take`.
pub(super) fn unpack_groups(
    reader: &mut Reader<'_>,
    count: usize,
    widths: &[u8],
    mut take: impl FnMut(&[u64]),
) -> Result<(), Corrupt> {
    let lens = widths.iter().enumerate().map(|(at, width)| {
        let in_group = GROUP.min(count - at * GROUP);
        Ok((in_group, u32::from(*width), checked_len(in_group, u32::from(*width))?))
    });
    let total: Result<usize, Corrupt> = lens.clone().map(|group| group.map(|(_, _, len)| len)).sum();
    let mut packed = reader.bytes(total?)?;
    for group in lens {
        let (in_group, width, len) = group?;
        let mut values = [0; GROUP];
        match packed.len() >= len + SLACK && in_group == GROUP {
            true => Table::<u64>::WIDTHS[width as usize](packed, PLAIN, &mut values),
            false => unpack_to(&packed[..len], width, PLAIN, &mut values[..in_group]),
        }
        take(&values[..in_group]);
        packed = &packed[len..];
    }
    Ok(())
}

fn checked_len(count: usize, width: u32) -> Result<usize, Corrupt> {
    if width > 64 {
        return Err(Corrupt("an integer is wider than 64 bits"));
    }
    Ok(count.checked_mul(width as usize).ok_or(Corrupt("it ends too early"))?.div_ceil(8))
}

/// Takes apart as many values as there are places. `packed` holds all of them, and `width` is at most 64.
fn unpack_to<V: Value>(packed: &[u8], width: u32, line: Line, values: &mut [V]) {
    let unpack_group = Table::<V>::WIDTHS[width as usize];
    let len = width as usize * GROUP / 8;
    let mut rest = packed;
    for group in values.chunks_mut(GROUP) {
        match group.first_chunk_mut() {
            Some(group) if rest.len() >= len + SLACK => {
                unpack_group(rest, line, group);
                rest = &rest[len..];
            }
            _ => {
                let (mut padded, mut all) = ([0; GROUP * 8 + SLACK], [V::default(); GROUP]);
                let here = rest.len().min(len);
                padded[..here].copy_from_slice(&rest[..here]);
                unpack_group(&padded, line, &mut all);
                group.copy_from_slice(&all[..group.len()]);
                rest = &rest[here..];
            }
        }
    }
}

/// Takes a group of values of `W` bits apart, which are in the first bytes of `packed`.
fn unpack_group<V: Value, const W: usize>(packed: &[u8], line: Line, values: &mut [V; GROUP]) {
    let mask = if W == 0 { 0 } else { u64::MAX >> (64 - W) };
    for (at, eight) in values.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let packed = &packed[at * W..at * W + W + SLACK];
        for (at, value) in eight.iter_mut().enumerate() {
            let (byte, shift) = (at * W / 8, at * W % 8);
            let low = packed[byte..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)) >> shift;
            let high = if shift + W > 64 { u64::from(packed[byte + 8]) << (64 - shift) } else { 0 };
            *value = V::of((low | high) & mask, line);
        }
    }
}

type UnpackGroup<V> = fn(&[u8], Line, &mut [V; GROUP]);

macro_rules! widths {
    ($($width:literal)*) => { [$(unpack_group::<V, $width>),*] };
}

struct Table<V>(V);

impl<V: Value> Table<V> {
    /// By width.
    const WIDTHS: [UnpackGroup<V>; 65] = widths!(
        0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
        33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64
    );
}

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
            // With and without bytes behind the values.
            for more in [0, 20] {
                let bytes = [&out[1..], &vec![0xff; more]].concat();
                let (mut reader, mut read) = (Reader::new(&bytes), vec![7, 8]);
                unpack(&mut reader, values.len(), width, PLAIN, 1, &mut read).unwrap();
                prop_assert_eq!(&read[1..], &values);
                prop_assert_eq!(reader.remaining().len(), more);
                let (mut reader, mut read) = (Reader::new(&bytes), vec![]);
                let line = Line { base: -5, unit: 3 };
                unpack(&mut reader, values.len(), width, line, 0, &mut read).unwrap();
                prop_assert!(read.iter().zip(&values).all(|(read, value): (&i64, _)| *read == line.at(*value)));
                prop_assert_eq!(read.len(), values.len());
            }
        }

        #[test]
        fn groups_have_a_width_each(
            groups in prop::collection::vec((0u32..=64, prop::collection::vec(any::<u64>(), GROUP)), 0..5),
            last in (0u32..=64, prop::collection::vec(any::<u64>(), 1..GROUP)),
        ) {
            let (mut out, mut widths, mut want) = (vec![], vec![], vec![]);
            for (width, values) in groups.into_iter().chain([last]) {
                let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
                let values: Vec<u64> = values.into_iter().map(|value| value & mask).collect();
                pack(&mut out, values.iter().copied(), width);
                widths.push(width as u8);
                want.extend(values);
            }
            let (mut reader, mut read) = (Reader::new(&out), vec![]);
            unpack_groups(&mut reader, want.len(), &widths, |group| read.extend_from_slice(group)).unwrap();
            prop_assert_eq!(read, want);
            prop_assert_eq!(reader.finish(), Ok(()));
        }
    }

    #[test]
    fn what_is_too_short_or_too_wide_is_an_error() {
        let unpack =
            |bytes: &[u8], count, width| unpack::<u64>(&mut Reader::new(bytes), count, width, PLAIN, 0, &mut vec![]);
        assert!(unpack(&[0; 7], 8, 8).is_err());
        assert!(unpack(&[0; 99], 1, 65).is_err());
        assert!(unpack(&[0; 99], usize::MAX, 64).is_err());
        assert!(unpack_groups(&mut Reader::new(&[0; 31]), 32, &[8], |_| ()).is_err());
        assert!(unpack_groups(&mut Reader::new(&[0; 999]), 32, &[65], |_| ()).is_err());
    }
}
