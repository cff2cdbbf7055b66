//! Columns of integers: a base, a common unit, and then whatever of three layouts is the shortest.

use super::bytes::{Corrupt, Reader, put_signed, put_varint, unzigzag, varint_len, zigzag};

/// Fixed width per value.
const PACKED: u8 = 0;
/// Differences to the value before.
const DELTAS: u8 = 1;
/// The distinct values, and a code of fixed width per value.
const DISTINCT: u8 = 2;
/// The widest values that fit a word of 64 bits wherever in a byte they start.
const MAX_NARROW: usize = 57;
/// Codes of fixed width.
const CODES_PACKED: u8 = 0;
/// Codes with the length of their run.
const CODES_RUNS: u8 = 1;

/// Appends values; how many there are is not written.
pub(super) fn put_ints(out: &mut Vec<u8>, values: &[i64]) {
    let Some(base) = values.iter().copied().min() else { return };
    let mut steps: Vec<u64> = values.iter().map(|value| value.wrapping_sub(base) as u64).collect();
    let unit = steps.iter().fold(0, |unit, step| common_divisor(unit, *step)).max(1);
    steps.iter_mut().for_each(|step| *step /= unit);
    let width = bits(steps.iter().copied().max().unwrap_or(0));
    let packed_len = packed_bytes(steps.len(), width);
    let deltas_len: usize = deltas(&steps).map(varint_len).sum();
    let mut distinct = steps.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let code_width = bits(distinct.len() as u64 - 1);
    let distinct_len =
        varint_len(distinct.len() as u64) + packed_bytes(distinct.len(), width) + packed_bytes(steps.len(), code_width);
    // Fixed widths are read faster: the other layouts must save a quarter.
    let layouts = [(packed_len * 3 / 4, PACKED), (deltas_len, DELTAS), (distinct_len, DISTINCT)];
    let layout = layouts.iter().min().map_or(PACKED, |(_, layout)| *layout);
    out.push(layout);
    put_signed(out, base);
    put_varint(out, unit);
    match layout {
        DELTAS => deltas(&steps).for_each(|delta| put_varint(out, delta)),
        DISTINCT => {
            put_varint(out, distinct.len() as u64);
            out.push(width as u8);
            pack(out, distinct.iter().copied(), width);
            let code = |step: &u64| distinct.partition_point(|known| known < step) as u64;
            pack(out, steps.iter().map(code), code_width);
        }
        _ => {
            out.push(width as u8);
            pack(out, steps.iter().copied(), width);
        }
    }
}

/// Reads `count` values.
pub(super) fn get_ints(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, Corrupt> {
    let mut values = Vec::new();
    get_ints_into(reader, count, &mut values)?;
    Ok(values)
}

/// Appends `count` values to those that were read before.
pub(super) fn get_ints_into(reader: &mut Reader<'_>, count: usize, values: &mut Vec<i64>) -> Result<(), Corrupt> {
    if count == 0 {
        return Ok(());
    }
    let layout = reader.byte()?;
    let base = reader.signed()?;
    let unit = reader.varint()?;
    let value = |step: u64| base.wrapping_add(step.wrapping_mul(unit) as i64);
    match layout {
        PACKED => {
            let width = get_width(reader)?;
            unpack(reader, count, width, value, values)
        }
        DELTAS => {
            let mut step = 0u64;
            values.reserve(count.min(1 << 16));
            for _ in 0..count {
                step = step.wrapping_add(unzigzag(reader.varint()?) as u64);
                values.push(value(step));
            }
            Ok(())
        }
        DISTINCT => {
            let known = reader.count()?;
            let width = get_width(reader)?;
            let (mut distinct, mut codes) = (Vec::new(), Vec::new());
            unpack(reader, known, width, value, &mut distinct)?;
            let code_width = bits((known as u64).checked_sub(1).ok_or(Corrupt("a column has no values"))?);
            unpack(reader, count, code_width, |code| code as usize, &mut codes)?;
            if codes.iter().any(|code| *code >= distinct.len()) {
                return Err(Corrupt("a value has an unknown code"));
            }
            values.extend(codes.into_iter().map(|code| distinct[code]));
            Ok(())
        }
        _ => Err(Corrupt("a column has an unknown layout")),
    }
}

/// Appends codes below `known`; how many there are is not written.
pub(super) fn put_codes(out: &mut Vec<u8>, codes: &[u32], known: usize) {
    if known <= 1 || codes.is_empty() {
        return;
    }
    let width = bits(known as u64 - 1);
    let mut runs = Vec::new();
    for run in codes.chunk_by(|left, right| left == right) {
        put_varint(&mut runs, u64::from(run[0]));
        put_varint(&mut runs, run.len() as u64);
    }
    if runs.len() < packed_bytes(codes.len(), width) {
        out.push(CODES_RUNS);
        out.extend(runs);
    } else {
        out.push(CODES_PACKED);
        pack(out, codes.iter().map(|code| u64::from(*code)), width);
    }
}

/// Reads `count` codes below `known`.
pub(super) fn get_codes(reader: &mut Reader<'_>, count: usize, known: usize) -> Result<Vec<u32>, Corrupt> {
    let mut codes = Vec::new();
    get_codes_into(reader, count, known, &mut codes)?;
    Ok(codes)
}

/// Appends `count` codes below `known` to those that were read before.
pub(super) fn get_codes_into(
    reader: &mut Reader<'_>,
    count: usize,
    known: usize,
    codes: &mut Vec<u32>,
) -> Result<(), Corrupt> {
    let end = codes.len() + count;
    if known == 0 && count > 0 {
        return Err(Corrupt("codes without values"));
    }
    if known <= 1 || count == 0 {
        codes.resize(end, 0);
        return Ok(());
    }
    match reader.byte()? {
        CODES_PACKED => unpack(reader, count, bits(known as u64 - 1), |code| code as u32, codes)?,
        CODES_RUNS => get_runs(reader, end, codes)?,
        _ => return Err(Corrupt("codes have an unknown layout")),
    }
    let highest = codes[end - count..].iter().max();
    if highest.is_some_and(|code| *code as usize >= known) { Err(Corrupt("an unknown code")) } else { Ok(()) }
}

fn get_runs(reader: &mut Reader<'_>, end: usize, codes: &mut Vec<u32>) -> Result<(), Corrupt> {
    while codes.len() < end {
        let code = u32::try_from(reader.varint()?).map_err(|_| Corrupt("an unknown code"))?;
        let length = reader.varint()?;
        if length == 0 || length > (end - codes.len()) as u64 {
            return Err(Corrupt("a run of codes has the wrong length"));
        }
        codes.resize(codes.len() + length as usize, code);
    }
    Ok(())
}

fn deltas(steps: &[u64]) -> impl Iterator<Item = u64> + '_ {
    let before = std::iter::once(0).chain(steps.iter().copied());
    steps.iter().zip(before).map(|(step, before)| zigzag(step.wrapping_sub(before) as i64))
}

fn common_divisor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

/// How many bits hold the value; 0 for zero.
fn bits(value: u64) -> u32 {
    64 - value.leading_zeros()
}

fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

fn get_width(reader: &mut Reader<'_>) -> Result<u32, Corrupt> {
    let width = u32::from(reader.byte()?);
    if width > 64 { Err(Corrupt("an integer is wider than 64 bits")) } else { Ok(width) }
}

/// Appends values of `width` bits, least significant first, without gaps.
fn pack(out: &mut Vec<u8>, values: impl Iterator<Item = u64>, width: u32) {
    let (mut pending, mut filled) = (0u128, 0u32);
    for value in values {
        pending |= u128::from(value) << filled;
        filled += width;
        while filled >= 8 {
            out.push(pending as u8);
            pending >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        out.push(pending as u8);
    }
}

fn unpack<T>(
    reader: &mut Reader<'_>,
    count: usize,
    width: u32,
    map: impl Fn(u64) -> T,
    values: &mut Vec<T>,
) -> Result<(), Corrupt> {
    let packed = reader.bytes(packed_bytes(count, width))?;
    let width = width as usize;
    values.reserve(count);
    if width == 0 {
        values.extend((0..count).map(|_| map(0)));
    } else if width <= MAX_NARROW {
        // Padding lets every value be loaded as one whole word.
        let mut padded = Vec::with_capacity(packed.len() + 8);
        padded.extend_from_slice(packed);
        padded.extend_from_slice(&[0; 8]);
        let mask = (1u64 << width) - 1;
        values.extend((0..count).map(|index| {
            let at = index * width;
            map(load(&padded[at / 8..]) >> (at % 8) & mask)
        }));
    } else {
        let mut padded = packed.to_vec();
        padded.extend_from_slice(&[0; 16]);
        let mask = u64::MAX >> (64 - width);
        values.extend((0..count).map(|index| {
            let at = index * width;
            let wide = u128::from(load(&padded[at / 8..])) | u128::from(load(&padded[at / 8 + 8..])) << 64;
            map((wide >> (at % 8)) as u64 & mask)
        }));
    }
    Ok(())
}

#[inline]
fn load(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut out = Vec::new();
        put_ints(&mut out, values);
        let mut reader = Reader::new(&out);
        assert_eq!(get_ints(&mut reader, values.len()).unwrap(), values);
        assert_eq!(reader.finish(), Ok(()));
        out.len()
    }

    #[test]
    fn each_layout_is_short_where_it_fits() {
        let constant = vec![1_700_000_000_000_000; 1024];
        assert!(round_trip(&constant) < 16);
        let seconds: Vec<i64> = (0..1024).map(|n| 1_700_000_000_000_000 + n * n % 1000 * 1_000_000).collect();
        assert!(round_trip(&seconds) < 1500, "10 bits each");
        let ascending: Vec<i64> = (0..1024).map(|n| n * 20 + n % 3).collect();
        assert!(round_trip(&ascending) < 1100, "one byte for each difference");
        let few: Vec<i64> = (0..1024).map(|n| [i64::MIN, 0, 77, i64::MAX][n * 7 % 4]).collect();
        assert!(round_trip(&few) < 320, "2 bits each");
    }

    proptest! {
        #[test]
        fn integers_round_trip(values in prop_oneof![
            prop::collection::vec(any::<i64>(), 0..300),
            prop::collection::vec(-1000i64..1000, 0..300),
            prop::collection::vec(prop::sample::select(vec![i64::MIN, i64::MAX, 0, 1, -1]), 0..300),
            prop::collection::vec((0i64..40, 0u32..62).prop_map(|(n, shift)| n << shift), 0..300),
        ]) {
            round_trip(&values);
        }

        #[test]
        fn codes_round_trip(codes in prop::collection::vec(0u32..300, 0..300), more in 0usize..9) {
            let known = codes.iter().max().map_or(0, |most| *most as usize + 1) + more;
            let mut out = Vec::new();
            put_codes(&mut out, &codes, known);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(get_codes(&mut reader, codes.len(), known).unwrap(), codes);
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes: Vec<u8>, count in 0usize..2000, known in 0usize..300) {
            let _ = get_ints(&mut Reader::new(&bytes), count);
            let _ = get_codes(&mut Reader::new(&bytes), count, known);
        }
    }
}
