//! One plan on its way over all batches.

use super::batch::Batch;
use super::coded::{Coded, NONE};
use super::groups::Groups;
use crate::embedded::facts::masks::Mask;
use crate::embedded::segment::{Column, Dictionary, Kind};
use crate::embedded::view::QueryLimits;
use crate::{QueryError, StoreError};
use hashbrown::HashSet;
use std::borrow::Cow;
use std::rc::Rc;
use tallystick_domain::Quantity;
use tallystick_domain::json::Leaf;
use tallystick_domain::meter::{
    AggregatePlan, AggregateRow, Aggregation, Dimension, Filter, JsonPath, PlanError, numeric_leaf,
};

/// The state of a running plan.
pub(super) struct Scan<'p> {
    plan: &'p AggregatePlan,
    /// What of the stored rows is not seen.
    mask: Option<&'p Mask>,
    groups: Groups,
    distinct: Distinct,
}

impl<'p> Scan<'p> {
    /// Nothing was seen yet.
    pub fn new(plan: &'p AggregatePlan, limits: &QueryLimits, mask: Option<&'p Mask>) -> Self {
        Self {
            plan,
            mask,
            groups: Groups::new(plan, limits.max_groups),
            distinct: Distinct { limit: limits.max_distinct, texts: Dictionary::default(), seen: HashSet::new() },
        }
    }

    /// Takes in the rows of a batch that count.
    pub fn take(&mut self, mut batch: Batch<'_, 'p>) -> Result<(), QueryError> {
        let batch = &mut batch;
        let times = batch.times()?;
        let mut rows = self.rows_in_time(&times);
        if let Some(mask) = self.mask.filter(|_| !rows.is_empty()) {
            batch.remove_corrected(mask, &mut rows)?;
        }
        self.keep_selected(batch, &mut rows)?;
        if rows.is_empty() {
            return Ok(());
        }
        match (self.plan.aggregation, &self.plan.value) {
            (Aggregation::Count, _) => self.count(batch, &times, &rows),
            (Aggregation::UniqueCount, Some(path)) => self.count_distinct(batch, &times, rows, path),
            (Aggregation::Latest, Some(path)) => self.keep_latest(batch, &times, rows, path),
            (_, Some(path)) => self.add_numbers(batch, &times, rows, path),
            // As in domain: what needs a value has none without a path.
            (_, None) => Ok(()),
        }
    }

    /// The answer.
    pub fn finish(self) -> Result<Vec<AggregateRow>, PlanError> {
        self.groups.finish()
    }

    fn rows_in_time(&self, times: &[i64]) -> Vec<u32> {
        let from = self.plan.from.map_or(i64::MIN, |from| from.as_micros());
        let to = self.plan.to.map_or(i64::MAX, |to| to.as_micros());
        (0..times.len() as u32).filter(|row| (from..to).contains(&times[*row as usize])).collect()
    }

    fn keep_selected(&self, batch: &mut Batch<'_, 'p>, rows: &mut Vec<u32>) -> Result<(), StoreError> {
        if let Some(owners) = &self.plan.customers {
            if rows.is_empty() {
                return Ok(());
            }
            keep_passing(&batch.subjects()?.into(), rows, |subject| owners.contains_key(subject));
        }
        for (dimension, filter) in self.cheapest_first() {
            if rows.is_empty() {
                return Ok(());
            }
            keep_passing(&self.texts_of(batch, dimension)?, rows, |text| filter.matches(text));
        }
        Ok(())
    }

    /// Subjects are read faster than properties and leave fewer rows.
    fn cheapest_first(&self) -> impl Iterator<Item = &'p (Dimension, Filter)> + use<'p> {
        let is_subject = |(dimension, _): &&(Dimension, Filter)| *dimension == Dimension::Subject;
        let filters = &self.plan.filters;
        filters.iter().filter(is_subject).chain(filters.iter().filter(move |filter| !is_subject(filter)))
    }

    fn texts_of(&self, batch: &mut Batch<'_, 'p>, dimension: &'p Dimension) -> Result<Coded, StoreError> {
        Ok(match dimension {
            Dimension::Subject => batch.subjects()?.into(),
            Dimension::Customer => {
                let owners = self.plan.customers.as_deref();
                let owner = |subject: &str| owners.and_then(|owners| owners.get(subject)).map_or("", String::as_str);
                Coded::from(batch.subjects()?).map(owner)
            }
            Dimension::Property(path) => Coded::dimension(batch.column(path)?.as_ref()),
            Dimension::NotCounted { path, numeric } => Coded::reasons(batch.column(path)?.as_ref(), path, *numeric),
        })
    }

    /// Finds the groups of rows, all of which contribute.
    fn find_groups(&mut self, batch: &mut Batch<'_, 'p>, times: &[i64], rows: &[u32]) -> Result<(), QueryError> {
        let plan = self.plan;
        let dimensions: Result<Vec<Coded>, StoreError> =
            plan.dimensions.iter().map(|dimension| self.texts_of(batch, dimension)).collect();
        Ok(self.groups.find(rows, times, &dimensions?)?)
    }

    fn count(&mut self, batch: &mut Batch<'_, 'p>, times: &[i64], rows: &[u32]) -> Result<(), QueryError> {
        self.find_groups(batch, times, rows)?;
        let (of_rows, groups) = self.groups.found();
        for (row, group) in rows.iter().zip(of_rows) {
            groups[*group as usize].add_event(times[*row as usize]);
        }
        Ok(())
    }

    fn count_distinct(
        &mut self,
        batch: &mut Batch<'_, 'p>,
        times: &[i64],
        mut rows: Vec<u32>,
        path: &'p JsonPath,
    ) -> Result<(), QueryError> {
        let values = Coded::distinct(batch.column(path)?.as_ref(), path);
        rows.retain(|row| values.codes[*row as usize] != NONE);
        self.find_groups(batch, times, &rows)?;
        let (of_rows, groups) = self.groups.found();
        let mut global = vec![NONE; values.texts.len()];
        for (row, at) in rows.iter().zip(of_rows) {
            let group = &mut groups[*at as usize];
            let code = values.codes[*row as usize] as usize;
            if global[code] == NONE {
                global[code] = self.distinct.texts.code(values.texts.get(code));
            }
            if self.distinct.is_new(*at, global[code])? {
                group.add_distinct();
            }
            group.add_event(times[*row as usize]);
        }
        Ok(())
    }

    fn keep_latest(
        &mut self,
        batch: &mut Batch<'_, 'p>,
        times: &[i64],
        mut rows: Vec<u32>,
        path: &'p JsonPath,
    ) -> Result<(), QueryError> {
        let numbers = Numbers::of(batch.column(path)?, path);
        rows.retain(|row| numbers.quantity(*row).is_some());
        self.find_groups(batch, times, &rows)?;
        let (of_rows, groups) = self.groups.found();
        let mut identities = None;
        // Later rows come last in a block: going backwards, most of the others are seen to be older at once.
        for (row, group) in rows.iter().zip(of_rows).rev() {
            let (group, time) = (&mut groups[*group as usize], times[*row as usize]);
            group.add_event(time);
            if !group.may_be_latest(time) {
                continue;
            }
            if identities.is_none() {
                identities = Some(batch.identities()?);
            }
            if let (Some(identities), Some(value)) = (&identities, numbers.quantity(*row)) {
                group.replace_older(time, identities.get(*row as usize), value);
            }
        }
        Ok(())
    }

    fn add_numbers(
        &mut self,
        batch: &mut Batch<'_, 'p>,
        times: &[i64],
        mut rows: Vec<u32>,
        path: &'p JsonPath,
    ) -> Result<(), QueryError> {
        let numbers = Numbers::of(batch.column(path)?, path);
        if !numbers.are_plain {
            rows.retain(|row| numbers.scaled(*row).is_some());
        }
        self.find_groups(batch, times, &rows)?;
        let is_sum = matches!(self.plan.aggregation, Aggregation::Sum | Aggregation::Avg);
        let (of_rows, groups) = self.groups.found();
        for (row, group) in rows.iter().zip(of_rows) {
            let group = &mut groups[*group as usize];
            group.add_event(times[*row as usize]);
            if is_sum && numbers.are_plain {
                group.add_scaled(i128::from(numbers.column.values[*row as usize]), numbers.column.scale);
            } else if is_sum && let Some((mantissa, scale)) = numbers.scaled(*row) {
                group.add_scaled(mantissa, scale);
            } else if let Some(value) = numbers.quantity(*row) {
                group.compare(value);
            }
        }
        Ok(())
    }
}

fn keep_passing(coded: &Coded, rows: &mut Vec<u32>, passes: impl Fn(&str) -> bool) {
    let passing: Vec<bool> = coded.texts.iter().map(passes).collect();
    rows.retain(|row| passing[coded.codes[*row as usize] as usize]);
}

/// The numbers of a column, numeric strings included.
struct Numbers {
    column: Rc<Column>,
    of_texts: Vec<Option<Quantity>>,
    /// Whether each row has an integer at the column's scale.
    are_plain: bool,
}

impl Numbers {
    fn of(column: Rc<Column>, path: &JsonPath) -> Self {
        let number = |text| numeric_leaf(&Leaf::Text(Cow::Borrowed(text)), path).ok();
        Self { of_texts: column.texts.iter().map(number).collect(), are_plain: column.is_all(Kind::Number), column }
    }

    /// Mantissa and scale of a row's number.
    #[inline]
    fn scaled(&self, row: u32) -> Option<(i128, u32)> {
        let value = self.column.values[row as usize];
        match self.column.kinds.get(row as usize) {
            Kind::Number => Some((i128::from(value), self.column.scale)),
            Kind::Text => self.of_texts[value as usize].map(|number| (number.mantissa(), number.scale())),
            _ => None,
        }
    }

    fn quantity(&self, row: u32) -> Option<Quantity> {
        self.scaled(row).and_then(|(mantissa, scale)| Quantity::from_parts(mantissa, scale).ok())
    }
}

/// The distinct values of all groups, within the limit.
struct Distinct {
    limit: usize,
    texts: Dictionary,
    /// Pairs of group and value.
    seen: HashSet<(u32, u32)>,
}

impl Distinct {
    /// Whether a group has not met a value before.
    fn is_new(&mut self, group: u32, value: u32) -> Result<bool, PlanError> {
        if self.seen.len() < self.limit {
            return Ok(self.seen.insert((group, value)));
        }
        match self.seen.contains(&(group, value)) {
            true => Ok(false),
            false => Err(PlanError::TooLarge { what: "distinct values", limit: self.limit }),
        }
    }
}
