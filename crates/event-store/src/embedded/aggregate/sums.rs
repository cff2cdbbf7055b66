//! Sums of mantissas, a lane of all groups for each scale.
//!
//! Invariant: no sum overflows. Rows are added in 64 bits only where their number and the greatest of them prove that
//! this is enough; what was added so goes into 128 bits before it could be too much, and fewer than 2^64 mantissas of 64
//! bits fit those.

use super::rows::{OfRows, Rows};

/// Rows that may add up to more than this are added in 128 bits: 64 bits would have to be emptied too often.
const MAX_NARROW: u64 = 1 << 56;

/// The numbers of the rows of a block.
#[derive(Clone, Copy)]
pub(super) struct Mantissas<'a> {
    /// By row.
    pub of_rows: &'a [i64],
    /// Digits after the decimal point of all of them.
    pub scale: u32,
    /// How far from zero they are at most.
    pub most: u64,
}

/// The lanes.
#[derive(Debug, Default)]
pub(super) struct Sums {
    lanes: Vec<SumLane>,
    groups: usize,
}

/// The sums of all groups at one scale: of each group, the sum of both parts.
#[derive(Debug)]
struct SumLane {
    scale: u32,
    wide: Vec<i128>,
    narrow: Vec<i64>,
    /// No narrow part is further from zero.
    reach: u64,
}

impl Sums {
    /// Makes room for so many groups.
    pub fn resize(&mut self, groups: usize) {
        self.groups = groups;
        for lane in &mut self.lanes {
            lane.wide.resize(groups, 0);
            lane.narrow.resize(groups, 0);
        }
    }

    /// About how many bytes they take.
    pub fn weight(&self) -> usize {
        self.lanes.iter().map(|lane| 16 * lane.wide.capacity() + 8 * lane.narrow.capacity()).sum()
    }

    /// Adds a mantissa, or a sum of them, to a group.
    pub fn add(&mut self, group: usize, scale: u32, mantissa: i128) {
        self.lane(scale).wide[group] += mantissa;
    }

    /// Adds the mantissas of rows to their groups.
    pub fn add_rows(&mut self, groups: OfRows<'_>, rows: Rows<'_>, mantissas: Mantissas<'_>) {
        let lane = self.lane(mantissas.scale);
        let growth = mantissas.growth(rows.len());
        let of_rows = mantissas.of_rows;
        match (groups, rows) {
            (OfRows::All(group), _) => lane.wide[group as usize] += sum(rows, of_rows, growth.is_some()),
            (OfRows::Runs(groups, ends), _) => lane.add_runs(groups, ends, of_rows, growth.is_some()),
            (OfRows::Each(groups), Rows::All(_)) => lane.add_each(groups.iter().zip(of_rows), growth),
            (OfRows::Each(groups), Rows::These(rows)) => {
                lane.add_each(groups.iter().zip(rows.iter().map(|row| &of_rows[*row as usize])), growth);
            }
        }
    }

    /// The sums by group that so many mantissas may be added to, each once, without a check; nothing if they are too large.
    pub fn narrow_for(&mut self, rows: usize, mantissas: Mantissas<'_>) -> Option<&mut [i64]> {
        let growth = mantissas.growth(rows)?;
        Some(self.lane(mantissas.scale).narrow_for(growth))
    }

    /// Adds the sums of other groups; `of_groups` says which group each of them is here.
    pub fn absorb(&mut self, other: &Sums, of_groups: &[u32]) {
        for lane in &other.lanes {
            let own = self.lane(lane.scale);
            for (at, group) in of_groups.iter().enumerate() {
                own.wide[*group as usize] += lane.of(at);
            }
        }
    }

    /// Lets go of memory that only adding needs: nothing is added any more.
    pub fn shrink(&mut self) {
        for lane in &mut self.lanes {
            lane.empty();
            lane.narrow = Vec::new();
            lane.wide.shrink_to_fit();
        }
    }

    /// The sums of a group, each with its scale.
    pub fn of(&self, group: usize) -> impl Iterator<Item = (u32, i128)> {
        self.lanes.iter().map(move |lane| (lane.scale, lane.of(group)))
    }

    /// The lane of a scale; a new one if there is none.
    fn lane(&mut self, scale: u32) -> &mut SumLane {
        let at = self.lanes.iter().position(|lane| lane.scale == scale).unwrap_or_else(|| {
            let (wide, narrow) = (vec![0; self.groups], vec![0; self.groups]);
            self.lanes.push(SumLane { scale, wide, narrow, reach: 0 });
            self.lanes.len() - 1
        });
        &mut self.lanes[at]
    }
}

impl Mantissas<'_> {
    /// How far they may take a sum from zero, so many of them being added in 64 bits; nothing if that is too far.
    fn growth(&self, rows: usize) -> Option<u64> {
        self.most.checked_mul(rows as u64).filter(|growth| *growth <= MAX_NARROW)
    }
}

impl SumLane {
    fn of(&self, group: usize) -> i128 {
        self.wide[group] + self.narrow.get(group).map_or(0, |narrow| i128::from(*narrow))
    }

    /// Adds to the narrow sums, which `growth` may take further from zero, or to the wide ones without it.
    fn add_each<'a>(&mut self, rows: impl Iterator<Item = (&'a u32, &'a i64)>, growth: Option<u64>) {
        let Some(growth) = growth else {
            return rows.for_each(|(group, mantissa)| self.wide[*group as usize] += i128::from(*mantissa));
        };
        let sums = self.narrow_for(growth);
        for (group, mantissa) in rows {
            let sum = &mut sums[*group as usize];
            *sum = sum.wrapping_add(*mantissa);
        }
    }

    /// The narrow sums, which `growth` may take further from zero.
    fn narrow_for(&mut self, growth: u64) -> &mut [i64] {
        if self.reach + growth > i64::MAX as u64 {
            self.empty();
        }
        self.reach += growth;
        &mut self.narrow
    }

    /// Brings the narrow sums back to zero.
    fn empty(&mut self) {
        let parts = self.wide.iter_mut().zip(&mut self.narrow);
        parts.for_each(|(wide, narrow)| *wide += i128::from(std::mem::take(narrow)));
        self.reach = 0;
    }

    fn add_runs(&mut self, groups: &[u32], ends: &[u32], mantissas: &[i64], is_narrow: bool) {
        let mut start = 0;
        for (group, end) in groups.iter().zip(ends) {
            let here = &mantissas[start..*end as usize];
            self.wide[*group as usize] += sum(Rows::All(here.len()), here, is_narrow);
            start = *end as usize;
        }
    }
}

/// How far from zero mantissas are at most.
pub(super) fn greatest_of(mantissas: &[i64]) -> u64 {
    // The bits in which any of them, or its complement if it is negative, differs from zero.
    let bits = mantissas.iter().fold(0, |bits, mantissa| bits | (mantissa ^ (mantissa >> 63)));
    // The complement of a negative one is one less than its distance.
    bits as u64 + 1
}

/// The exact sum of the mantissas of rows.
fn sum(rows: Rows<'_>, mantissas: &[i64], is_narrow: bool) -> i128 {
    match rows {
        Rows::All(count) if is_narrow => {
            i128::from(mantissas[..count].iter().fold(0i64, |sum, mantissa| sum.wrapping_add(*mantissa)))
        }
        _ => rows.iter().map(|row| i128::from(mantissas[row])).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::Runs;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn greatest_of_is_no_less_than_any(mantissas in prop::collection::vec(prop_oneof![any::<i64>(), -9i64..9], 0..9)) {
            let greatest = greatest_of(&mantissas);
            prop_assert!(mantissas.iter().all(|mantissa| mantissa.unsigned_abs() <= greatest));
        }

        #[test]
        fn sums_are_exact_however_wide_the_mantissas_are(
            blocks in prop::collection::vec(
                (0u32..64, prop::collection::vec((0u32..3, any::<i64>()), 1..20), 0u8..5),
                1..12,
            ),
        ) {
            let mut sums = Sums::default();
            sums.resize(3);
            let mut want = [0i128; 3];
            for (shift, rows, way) in blocks {
                let mantissas: Vec<i64> = rows.iter().map(|(_, mantissa)| mantissa >> shift).collect();
                let groups: Vec<u32> = rows.iter().map(|(group, _)| *group).collect();
                let mantissas_of = Mantissas { of_rows: &mantissas, scale: 0, most: greatest_of(&mantissas) };
                let these: Vec<u32> = (0..rows.len() as u32).step_by(2).collect();
                let mut add = |group: u32, mantissa: i64| want[group as usize] += i128::from(mantissa);
                match way {
                    0 => mantissas.iter().for_each(|mantissa| add(1, *mantissa)),
                    1 | 4 => groups.iter().zip(&mantissas).for_each(|(group, mantissa)| add(*group, *mantissa)),
                    2 => these.iter().for_each(|row| add(1, mantissas[*row as usize])),
                    _ => these.iter().for_each(|row| add(groups[*row as usize], mantissas[*row as usize])),
                }
                let all = Rows::All(rows.len());
                let of_these: Vec<u32> = these.iter().map(|row| groups[*row as usize]).collect();
                let mut runs = Runs::default();
                runs.cut(&groups);
                match way {
                    0 => sums.add_rows(OfRows::All(1), all, mantissas_of),
                    1 => sums.add_rows(OfRows::Each(&groups), all, mantissas_of),
                    2 => sums.add_rows(OfRows::All(1), Rows::These(&these), mantissas_of),
                    4 => sums.add_rows(OfRows::Runs(runs.codes(), runs.ends()), all, mantissas_of),
                    _ => sums.add_rows(OfRows::Each(&of_these), Rows::These(&these), mantissas_of),
                }
            }
            for (group, want) in want.into_iter().enumerate() {
                prop_assert_eq!(sums.of(group).map(|(_, sum)| sum).sum::<i128>(), want);
            }
        }
    }

    #[test]
    fn a_narrow_sum_is_emptied_before_it_overflows() {
        let mut sums = Sums::default();
        sums.resize(1);
        for _ in 0..400 {
            let mantissas = Mantissas { of_rows: &[(1 << 55) + 1], scale: 2, most: 1 << 56 };
            sums.add_rows(OfRows::Each(&[0]), Rows::All(1), mantissas);
        }
        assert_eq!(sums.of(0).collect::<Vec<_>>(), [(2, 400 * ((1 << 55) + 1))]);
    }
}
