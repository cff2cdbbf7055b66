//! Columns of integers: a base, a common unit, and then whatever of several layouts is the shortest.

use super::bits::{GROUP, Line, PLAIN, bits, pack, packed_len, unpack, unpack_groups};
use super::bytes::{Corrupt, Reader, put_signed, put_varint, unzigzag, varint_len, zigzag};

/// Fixed width per value.
const PACKED: u8 = 0;
/// Differences to the value before as varints; only format 1 has it.
const DELTAS: u8 = 1;
/// The distinct values, and a code of fixed width per value.
const DISTINCT: u8 = 2;
/// Differences to the value before, modulo a power of two, in groups that have a width each.
const CLIMBS: u8 = 3;
/// Signed differences to the value before, in groups that have a width each.
const STEPS: u8 = 4;
/// Codes of fixed width.
const CODES_PACKED: u8 = 0;
/// Codes with the length of their run.
const CODES_RUNS: u8 = 1;
/// Few distinct values can only be expected if this many values hold at most half as many different ones.
const SAMPLE: usize = 64;

/// Appends integers, keeping its working memory.
#[derive(Default)]
pub(super) struct IntWriter {
    steps: Vec<u64>,
    climbs: Vec<u64>,
    signed: Vec<u64>,
    distinct: Vec<u64>,
}

impl IntWriter {
    /// Appends values; how many there are is not written.
    pub fn put(&mut self, out: &mut Vec<u8>, values: &[i64]) {
        let Some(base) = values.iter().copied().min() else { return };
        let unit = self.set_steps(values, base);
        let width = bits(self.steps.iter().fold(0, |all, step| all | step));
        let mask = mask(width);
        self.climbs.clear();
        self.signed.clear();
        let mut before = 0;
        for step in &self.steps {
            let delta = step.wrapping_sub(before);
            self.climbs.push(delta & mask);
            self.signed.push(zigzag(delta as i64));
            before = *step;
        }
        let packed = 1 + packed_len(values.len(), width);
        let distinct = self.count_distinct(width);
        // Fixed widths are read faster: the other layouts must save a sixteenth.
        let layouts = [
            (packed - packed / 16, PACKED),
            (1 + groups_len(&self.climbs), CLIMBS),
            (groups_len(&self.signed), STEPS),
            (distinct.unwrap_or(usize::MAX), DISTINCT),
        ];
        let layout = layouts.iter().min().map_or(PACKED, |(_, layout)| *layout);
        out.push(layout);
        put_signed(out, base);
        put_varint(out, unit);
        match layout {
            CLIMBS => {
                out.push(width as u8);
                put_groups(out, &self.climbs);
            }
            STEPS => put_groups(out, &self.signed),
            DISTINCT => {
                put_varint(out, self.distinct.len() as u64);
                out.push(width as u8);
                pack(out, self.distinct.iter().copied(), width);
                let code = |step: &u64| self.distinct.partition_point(|known| known < step) as u64;
                pack(out, self.steps.iter().map(code), bits(self.distinct.len() as u64 - 1));
            }
            _ => {
                out.push(width as u8);
                pack(out, self.steps.iter().copied(), width);
            }
        }
    }

    /// Notes how far each value is from the base, in the largest unit that all share, which is returned.
    fn set_steps(&mut self, values: &[i64], base: i64) -> u64 {
        self.steps.clear();
        self.steps.extend(values.iter().map(|value| value.wrapping_sub(base) as u64));
        let mut unit = 0;
        for step in &self.steps {
            if unit == 1 {
                break;
            }
            if unit == 0 || !step.is_multiple_of(unit) {
                unit = common_divisor(unit, *step);
            }
        }
        if unit > 1 {
            self.steps.iter_mut().for_each(|step| *step /= unit);
        }
        unit.max(1)
    }

    /// How long the distinct layout would be, if that is worth finding out.
    fn count_distinct(&mut self, width: u32) -> Option<usize> {
        self.distinct.clear();
        self.distinct.extend(self.steps.iter().take(SAMPLE));
        self.distinct.sort_unstable();
        self.distinct.dedup();
        if width < 2 || (self.steps.len() > SAMPLE && self.distinct.len() > SAMPLE / 2) {
            return None;
        }
        self.distinct.extend(self.steps.iter().skip(SAMPLE));
        self.distinct.sort_unstable();
        self.distinct.dedup();
        let known = self.distinct.len();
        let codes = packed_len(self.steps.len(), bits(known as u64 - 1));
        Some(1 + varint_len(known as u64) + packed_len(known, width) + codes)
    }
}

/// Reads `count` values. They come behind the first `from` values, in the place of what was there.
pub(super) fn get_ints_into(
    reader: &mut Reader<'_>,
    count: usize,
    from: usize,
    values: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    if count == 0 {
        values.truncate(from);
        return Ok(());
    }
    let layout = reader.byte()?;
    let base = reader.signed()?;
    let line = Line { base, unit: reader.varint()? };
    if layout == PACKED {
        let width = u32::from(reader.byte()?);
        return unpack(reader, count, width, line, from, values);
    }
    values.truncate(from);
    match layout {
        DELTAS => {
            let mut step = 0u64;
            for _ in 0..count {
                step = step.wrapping_add(unzigzag(reader.varint()?) as u64);
                values.push(line.at(step));
            }
            Ok(())
        }
        CLIMBS => {
            let width = u32::from(reader.byte()?);
            if width > 64 {
                return Err(Corrupt("an integer is wider than 64 bits"));
            }
            let (mask, mut step) = (mask(width), 0u64);
            get_groups(reader, count, |deltas| {
                values.extend(deltas.iter().map(|delta| {
                    step = step.wrapping_add(*delta);
                    line.at(step & mask)
                }));
            })
        }
        STEPS => {
            let mut step = 0u64;
            get_groups(reader, count, |deltas| {
                values.extend(deltas.iter().map(|delta| {
                    step = step.wrapping_add(unzigzag(*delta) as u64);
                    line.at(step)
                }));
            })
        }
        DISTINCT => get_distinct(reader, count, line, values),
        _ => Err(Corrupt("a column has an unknown layout")),
    }
}

fn get_distinct(reader: &mut Reader<'_>, count: usize, line: Line, values: &mut Vec<i64>) -> Result<(), Corrupt> {
    let known = reader.count()?;
    let width = u32::from(reader.byte()?);
    let (mut distinct, mut codes) = (Vec::<i64>::new(), Vec::<u64>::new());
    unpack(reader, known, width, line, 0, &mut distinct)?;
    let code_width = bits((known as u64).checked_sub(1).ok_or(Corrupt("a column has no values"))?);
    unpack(reader, count, code_width, PLAIN, 0, &mut codes)?;
    values.extend(codes.iter().map(|code| distinct.get(*code as usize).copied().unwrap_or_default()));
    if highest(&codes) < known as u64 { Ok(()) } else { Err(Corrupt("a value has an unknown code")) }
}

/// The highest of some codes, 0 without any.
pub(super) fn highest<C: Copy + Default + Ord>(codes: &[C]) -> C {
    // Four at a time, as none of these comparisons waits for another.
    let (fours, rest) = codes.as_chunks::<4>();
    let mut highest = [C::default(); 4];
    for [first, second, third, fourth] in fours {
        highest[0] = highest[0].max(*first);
        highest[1] = highest[1].max(*second);
        highest[2] = highest[2].max(*third);
        highest[3] = highest[3].max(*fourth);
    }
    highest.iter().chain(rest).copied().max().unwrap_or_default()
}

fn group_width(group: &[u64]) -> u32 {
    bits(group.iter().fold(0, |all, delta| all | delta))
}

fn groups_len(deltas: &[u64]) -> usize {
    deltas.chunks(GROUP).map(|group| 1 + packed_len(group.len(), group_width(group))).sum()
}

fn put_groups(out: &mut Vec<u8>, deltas: &[u64]) {
    out.extend(deltas.chunks(GROUP).map(|group| group_width(group) as u8));
    deltas.chunks(GROUP).for_each(|group| pack(out, group.iter().copied(), group_width(group)));
}

fn get_groups(reader: &mut Reader<'_>, count: usize, take: impl FnMut(&[u64])) -> Result<(), Corrupt> {
    let widths = reader.bytes(count.div_ceil(GROUP))?;
    unpack_groups(reader, count, widths, take)
}

/// Reads `count` values.
pub(super) fn get_ints(reader: &mut Reader<'_>, count: usize) -> Result<Vec<i64>, Corrupt> {
    let mut values = Vec::new();
    get_ints_into(reader, count, 0, &mut values)?;
    Ok(values)
}

/// Appends codes below `known`; how many there are is not written.
pub(super) fn put_codes(out: &mut Vec<u8>, codes: impl ExactSizeIterator<Item = u32> + Clone, known: usize) {
    if known <= 1 || codes.len() == 0 {
        return;
    }
    let width = bits(known as u64 - 1);
    let packed = packed_len(codes.len(), width);
    let from = out.len();
    out.push(CODES_RUNS);
    let mut run: Option<(u32, u64)> = None;
    for code in codes.clone() {
        match &mut run {
            Some((of, length)) if *of == code => *length += 1,
            _ => {
                if let Some((of, length)) = run.replace((code, 1)) {
                    put_varint(out, u64::from(of));
                    put_varint(out, length);
                }
                if out.len() - from > packed {
                    break;
                }
            }
        }
    }
    if let Some((of, length)) = run {
        put_varint(out, u64::from(of));
        put_varint(out, length);
    }
    if out.len() - from > packed {
        out.truncate(from);
        out.push(CODES_PACKED);
        pack(out, codes.map(u64::from), width);
    }
}

/// Reads `count` codes below `known`.
pub(super) fn get_codes(reader: &mut Reader<'_>, count: usize, known: usize) -> Result<Vec<u32>, Corrupt> {
    let mut codes = Vec::new();
    get_codes_into(reader, count, known, 0, &mut codes)?;
    Ok(codes)
}

/// Reads `count` codes below `known`. They come behind the first `from` codes, in the place of what was there.
pub(super) fn get_codes_into(
    reader: &mut Reader<'_>,
    count: usize,
    known: usize,
    from: usize,
    codes: &mut Vec<u32>,
) -> Result<(), Corrupt> {
    if known == 0 && count > 0 {
        return Err(Corrupt("codes without values"));
    }
    if known <= 1 || count == 0 {
        codes.truncate(from);
        codes.resize(from + count, 0);
        return Ok(());
    }
    match reader.byte()? {
        CODES_PACKED => {
            let width = bits(known as u64 - 1);
            unpack(reader, count, width, PLAIN, from, codes)?;
        }
        CODES_RUNS => {
            codes.truncate(from);
            get_runs(reader, from + count, codes)?;
        }
        _ => return Err(Corrupt("codes have an unknown layout")),
    }
    if (highest(&codes[from..]) as usize) < known { Ok(()) } else { Err(Corrupt("an unknown code")) }
}

/// The code of all `count` rows, if it is one and the next codes say so in one run; otherwise nothing is read.
pub(super) fn get_same_code(reader: &mut Reader<'_>, count: usize, known: usize) -> Option<u32> {
    let mut ahead = reader.clone();
    let is_run = known > 1 && ahead.byte() == Ok(CODES_RUNS);
    let (code, length) = (ahead.varint().ok()?, ahead.varint().ok()?);
    let same = is_run && count > 0 && length == count as u64 && code < known as u64;
    same.then(|| *reader = ahead).map(|()| code as u32)
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

fn common_divisor(mut left: u64, mut right: u64) -> u64 {
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

fn mask(width: u32) -> u64 {
    if width == 0 { 0 } else { u64::MAX >> (64 - width) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(values: &[i64]) -> usize {
        let mut out = Vec::new();
        IntWriter::default().put(&mut out, values);
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
        assert!(round_trip(&seconds) < 1340, "10 bits each");
        let ascending: Vec<i64> = (0..1024).map(|n| n * 20 + n % 3).collect();
        assert!(round_trip(&ascending) < 720, "5 bits for each difference");
        let restarting: Vec<i64> = (0..1024).map(|n| 1_700_000_000_000_000 + n % 300 * 1_000_000 + n % 7).collect();
        assert!(round_trip(&restarting) < 1024 * 21 / 8 + 300, "a fall is a climb modulo the range");
        let wavering: Vec<i64> = (0..1024).map(|n| n * 1000 + [0, 900, -900, 300][n as usize % 4]).collect();
        assert!(round_trip(&wavering) < 1024 * 13 / 8 + 60, "a fall is short too");
        let few: Vec<i64> = (0..1024).map(|n| [i64::MIN, 0, 77, i64::MAX][n * 7 % 4]).collect();
        assert!(round_trip(&few) < 320, "2 bits each");
    }

    #[test]
    fn differences_of_format_1_are_read() {
        let mut out = vec![DELTAS];
        put_signed(&mut out, -5);
        put_varint(&mut out, 10);
        [3, -1, 4].iter().for_each(|delta| put_varint(&mut out, zigzag(*delta)));
        assert_eq!(get_ints(&mut Reader::new(&out), 3), Ok(vec![25, 15, 55]));
    }

    proptest! {
        #[test]
        fn integers_round_trip(values in prop_oneof![
            prop::collection::vec(any::<i64>(), 0..300),
            prop::collection::vec(-1000i64..1000, 0..300),
            prop::collection::vec(prop::sample::select(vec![i64::MIN, i64::MAX, 0, 1, -1]), 0..300),
            prop::collection::vec((0i64..40, 0u32..62).prop_map(|(n, shift)| n << shift), 0..300),
            prop::collection::vec(0i64..5000, 0..300).prop_map(|mut steps| {
                steps.iter_mut().fold(0, |sum, step| { *step += sum; *step });
                steps
            }),
        ]) {
            round_trip(&values);
        }

        #[test]
        fn codes_round_trip(codes in prop::collection::vec(prop_oneof![0u32..300, 0u32..2], 0..300), more in 0usize..9) {
            let known = codes.iter().max().map_or(0, |most| *most as usize + 1) + more;
            let mut out = Vec::new();
            put_codes(&mut out, codes.iter().copied(), known);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(get_codes(&mut reader, codes.len(), known).unwrap(), codes);
            prop_assert_eq!(reader.finish(), Ok(()));
        }

        #[test]
        fn one_code_for_all_is_seen(code in 0u32..300, count in 4usize..1000) {
            let mut out = Vec::new();
            put_codes(&mut out, std::iter::repeat_n(code, count), 300);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(get_same_code(&mut reader, count, 300), Some(code));
            prop_assert_eq!(reader.finish(), Ok(()));
            prop_assert_eq!(get_same_code(&mut Reader::new(&out), count + 1, 300), None);
            prop_assert_eq!(get_same_code(&mut Reader::new(&out), count, code as usize), None);
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes: Vec<u8>, count in 0usize..2000, known in 0usize..300) {
            let _ = get_ints(&mut Reader::new(&bytes), count);
            let _ = get_codes(&mut Reader::new(&bytes), count, known);
            let _ = get_same_code(&mut Reader::new(&bytes), count, known);
        }
    }
}
