//! Which rows of a block are looked at, and what belongs to each of them.

use super::lookup::Answers;

/// Rows of a block, by number, ascending.
#[derive(Clone, Copy)]
pub(super) enum Rows<'a> {
    /// So many, from the first: the whole block.
    All(usize),
    /// These.
    These(&'a [u32]),
}

/// A group for each of some rows.
#[derive(Clone, Copy)]
pub(super) enum OfRows<'a> {
    /// The same for all of them.
    All(u32),
    /// One for each, in their order.
    Each(&'a [u32]),
    /// One for each of the runs that make up all rows of a block, and the row behind each run.
    Runs(&'a [u32], &'a [u32]),
}

/// Neighbours with the same code.
#[derive(Default)]
pub(super) struct Runs {
    /// Memory for more runs than there are.
    codes: Vec<u32>,
    ends: Vec<u32>,
    count: usize,
}

impl Runs {
    /// Cuts codes where they change.
    pub fn cut(&mut self, codes: &[u32]) {
        self.count = 0;
        let Some(last) = codes.last() else { return };
        if self.codes.len() < codes.len() {
            self.codes.resize(codes.len(), 0);
            self.ends.resize(codes.len(), 0);
        }
        let (run_codes, run_ends) = (&mut self.codes[..codes.len()], &mut self.ends[..codes.len()]);
        let mut count = 0;
        for at in 1..codes.len() {
            // Written in any case: a branch would often be predicted wrongly.
            (run_codes[count], run_ends[count]) = (codes[at - 1], at as u32);
            count += usize::from(codes[at - 1] != codes[at]);
        }
        (run_codes[count], run_ends[count]) = (*last, codes.len() as u32);
        self.count = count + 1;
    }

    /// The code of each run.
    pub fn codes(&self) -> &[u32] {
        &self.codes[..self.count]
    }

    /// The row behind each run.
    pub fn ends(&self) -> &[u32] {
        &self.ends[..self.count]
    }
}

/// Rows that are left after filters.
#[derive(Default)]
pub(super) struct Selection {
    /// The number of rows if all are selected.
    all: Option<usize>,
    these: Vec<u32>,
}

impl Rows<'_> {
    /// How many.
    pub fn len(self) -> usize {
        match self {
            Rows::All(count) => count,
            Rows::These(rows) => rows.len(),
        }
    }

    /// The row at a position, which must exist.
    #[inline]
    pub fn at(self, position: usize) -> usize {
        match self {
            Rows::All(_) => position,
            Rows::These(rows) => rows[position] as usize,
        }
    }

    /// Their numbers.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator + Clone {
        (0..self.len()).map(move |position| self.at(position))
    }
}

impl OfRows<'_> {
    /// The group of the row at a position.
    #[inline]
    pub fn at(self, position: usize) -> usize {
        match self {
            OfRows::All(group) => group as usize,
            OfRows::Each(groups) => groups[position] as usize,
            OfRows::Runs(groups, ends) => groups[ends.partition_point(|end| *end as usize <= position)] as usize,
        }
    }
}

/// Hands over the group and the number of each row.
#[inline]
pub(super) fn for_each_row(groups: OfRows<'_>, rows: Rows<'_>, mut take: impl FnMut(u32, usize)) {
    match groups {
        OfRows::All(group) => rows.iter().for_each(|row| take(group, row)),
        OfRows::Each(groups) => groups.iter().zip(rows.iter()).for_each(|(group, row)| take(*group, row)),
        OfRows::Runs(groups, ends) => {
            let mut start = 0;
            for (group, end) in groups.iter().zip(ends) {
                (start..*end).for_each(|row| take(*group, row as usize));
                start = *end;
            }
        }
    }
}

impl Answers<'_> {
    /// The answer if it is the same for all rows.
    pub fn of_all(self) -> Option<u32> {
        if let Answers::All(answer) = self { Some(answer) } else { None }
    }

    /// The answer for a row.
    #[inline]
    pub fn at(self, row: usize) -> u32 {
        match self {
            Answers::All(answer) => answer,
            Answers::Each(answers) => answers[row],
        }
    }
}

impl Selection {
    /// Selects the first `count` rows.
    pub fn select_all(&mut self, count: usize) {
        self.all = Some(count);
    }

    /// The selected rows.
    pub fn rows(&self) -> Rows<'_> {
        self.all.map_or(Rows::These(&self.these), Rows::All)
    }

    /// Whether no row was left out.
    pub fn is_all(&self) -> bool {
        self.all.is_some()
    }

    /// Whether no row is left.
    pub fn is_empty(&self) -> bool {
        self.rows().len() == 0
    }

    /// Leaves only the rows that are wanted.
    pub fn keep(&mut self, wanted: impl Fn(usize) -> bool) {
        match self.all.take() {
            None => self.these.retain(|row| wanted(*row as usize)),
            Some(count) => {
                self.these.clear();
                self.these.resize(count, 0);
                let mut kept = 0;
                for row in 0..count {
                    // Written in any case: a branch would often be predicted wrongly.
                    self.these[kept] = row as u32;
                    kept += usize::from(wanted(row));
                }
                self.these.truncate(kept);
                if kept == count {
                    self.all = Some(count);
                }
            }
        }
    }

    /// Leaves only the rows with a wanted answer.
    pub fn keep_answers(&mut self, answers: Answers<'_>, wanted: impl Fn(u32) -> bool) {
        match answers {
            Answers::All(answer) if wanted(answer) => {}
            Answers::All(_) => self.select_all(0),
            Answers::Each(answers) => self.keep(|row| wanted(answers[row])),
        }
    }
}
