//! One plan on its way over all batches.

use super::batch::Batch;
use super::cells::Cells;
use super::distinct::{MarkedTexts, Marks};
use super::groups::{Groups, Part};
use super::lookup::{Answers, Lookup, NONE, PASSES};
use super::numbers::TextNumbers;
use super::partial::Partial;
use super::rows::{OfRows, Rows, Runs, Selection, for_each_row};
use super::sums::{Mantissas, greatest_of};
use super::windows::WindowTable;
use super::{Limits, Piece};
use crate::embedded::budget::Held;
use crate::embedded::facts::masks::Mask;
use crate::embedded::segment::{Column, Kind, Kinds, NumberStats};
use crate::{QueryError, StoreError};
use std::sync::Arc;
use tallystick_domain::meter::{AggregatePlan, Aggregation, Dimension, JsonPath, PlanError};

/// The state of a running plan.
pub(super) struct Scan<'v, 'p> {
    plan: &'p AggregatePlan,
    /// What of the stored rows is not seen.
    mask: Option<&'p Mask>,
    batch: Batch<'v, 'p>,
    selection: Selection,
    /// What rows must pass, the cheapest first.
    conditions: Vec<Question<'p>>,
    key: Key<'p>,
    value: Option<(usize, &'p JsonPath)>,
    distinct: Option<Lookup<'p>>,
    /// Texts of the only group that were met and not looked up yet.
    marks: Marks,
    numbers: TextNumbers,
    groups: Groups,
    cells: Cells,
    held: Held,
}

/// What is asked of each row.
struct Question<'p> {
    /// The column, or the subjects.
    slot: Option<usize>,
    lookup: Lookup<'p>,
}

/// What makes the key of a row's group.
struct Key<'p> {
    windows: Option<WindowTable>,
    window_codes: Vec<u32>,
    /// Runs of a subject; kept for its memory.
    runs: Runs,
    dimensions: Vec<Question<'p>>,
}

impl<'v, 'p> Scan<'v, 'p> {
    /// Nothing was seen yet.
    pub fn new(plan: &'p AggregatePlan, limits: &Limits<'p>) -> Self {
        let mut batch = Batch::new(limits.columns);
        let owners = plan.customers.as_deref();
        let mut slot_of = |dimension: &'p Dimension| match dimension {
            Dimension::Subject | Dimension::Customer => None,
            Dimension::Property(path) | Dimension::NotCounted { path, .. } => Some(batch.slot_of(path)),
        };
        let mut conditions: Vec<_> =
            owners.iter().map(|owners| Question { slot: None, lookup: Lookup::owned(owners) }).collect();
        conditions.extend(plan.filters.iter().map(|(dimension, filter)| Question {
            slot: slot_of(dimension),
            lookup: Lookup::filter(dimension, filter, owners),
        }));
        // Subjects are read faster than properties and leave fewer rows.
        conditions.sort_by_key(|condition| condition.slot.is_some());
        let dimensions = plan.dimensions.iter().map(|dimension| Question {
            slot: slot_of(dimension),
            lookup: Lookup::codes(dimension, plan, limits.books),
        });
        let key = Key {
            dimensions: dimensions.collect(),
            windows: plan.windows.as_ref().map(WindowTable::new),
            window_codes: Vec::new(),
            runs: Runs::default(),
        };
        let value = plan.value.as_ref().filter(|_| plan.aggregation != Aggregation::Count);
        let value = value.map(|path| (batch.slot_of(path), path));
        let distinct = value.filter(|_| plan.aggregation == Aggregation::UniqueCount);
        Self {
            plan,
            mask: limits.mask,
            batch,
            selection: Selection::default(),
            conditions,
            groups: Groups::new(usize::from(key.windows.is_some()) + key.dimensions.len(), limits.max_groups),
            key,
            value,
            distinct: distinct.map(|(_, path)| Lookup::distinct(path, plan, limits.books)),
            marks: Marks::default(),
            numbers: TextNumbers::default(),
            cells: Cells::new(plan.aggregation, limits.max_distinct),
            held: limits.memory.start(),
        }
    }

    /// Takes in the rows of a piece that count.
    pub fn take(&mut self, piece: &Piece<'v>) -> Result<(), QueryError> {
        match piece {
            Piece::Blocks { segment, table, blocks, .. } => {
                let mut is_first = true;
                for block in blocks.iter().filter(|block| super::may_hold(self.plan, block)) {
                    self.batch.turn_to_block(segment, table, block, is_first);
                    self.take_batch()?;
                    is_first = false;
                }
            }
            Piece::Memory { chunk, table, is_amended } => {
                self.batch.turn_to_chunk(chunk, Arc::clone(table), *is_amended);
                self.take_batch()?;
            }
        }
        self.look_up_marks()
    }

    fn take_batch(&mut self) -> Result<(), QueryError> {
        self.select()?;
        if self.selection.is_empty() {
            return Ok(());
        }
        match (self.plan.aggregation, self.value) {
            (Aggregation::Count, _) => self.count()?,
            (Aggregation::UniqueCount, Some((slot, _))) => self.count_distinct(slot)?,
            (Aggregation::Latest, Some((slot, path))) => self.keep_latest(slot, path)?,
            (_, Some((slot, path))) => self.add_numbers(slot, path)?,
            // As in domain: what needs a value has none without a path.
            (_, None) => {}
        }
        Ok(self.held.grow_to(self.weight())?)
    }

    /// Selects the rows that lie in the asked-for time and pass all conditions.
    fn select(&mut self) -> Result<(), StoreError> {
        self.selection.select_all(self.batch.rows());
        let from = self.plan.from.map_or(i64::MIN, |from| from.as_micros());
        let to = self.plan.to.map_or(i64::MAX, |to| to.as_micros());
        let (first, last) = self.batch.span();
        if first < from || last >= to {
            let times = self.batch.times()?;
            self.selection.keep(|row| from <= times[row] && times[row] < to);
        }
        if let Some(until) = self.plan.known_until.filter(|until| self.batch.last_ingested() > *until) {
            let ingested = self.batch.ingested()?;
            self.selection.keep(|row| ingested[row] <= until.as_micros());
        }
        for condition in &mut self.conditions {
            if self.selection.is_empty() {
                return Ok(());
            }
            condition.ask(&mut self.batch, &self.selection)?;
            self.selection.keep_answers(condition.lookup.answers(), |answer| answer == PASSES);
        }
        if let Some(mask) = self.mask.filter(|_| !self.selection.is_empty()) {
            let corrected = self.batch.corrected(mask)?;
            if !corrected.is_empty() {
                self.selection.keep(|row| corrected.binary_search(&row).is_err());
            }
        }
        Ok(())
    }

    fn weight(&self) -> usize {
        let asked = self.conditions.iter().chain(&self.key.dimensions).map(|question| question.lookup.weight());
        asked.sum::<usize>()
            + self.distinct.as_ref().map_or(0, Lookup::weight)
            + self.marks.weight()
            + self.numbers.weight()
            + self.groups.weight()
            + self.cells.weight()
    }

    fn count(&mut self) -> Result<(), QueryError> {
        let Self { batch, selection, key, groups, cells, .. } = self;
        let groups = match key.find_runs(groups, cells, batch, selection)? {
            Some(runs) => runs,
            None => key.find(groups, cells, batch, selection)?,
        };
        Ok(note(cells, groups, batch, selection)?)
    }

    fn count_distinct(&mut self, slot: usize) -> Result<(), QueryError> {
        if self.mark_texts(slot)? {
            return Ok(());
        }
        let Self { batch, selection, key, distinct: Some(lookup), groups, cells, .. } = self else { return Ok(()) };
        lookup.ask_column(batch.column(slot, selection.rows())?);
        selection.keep_answers(lookup.answers(), |answer| answer != NONE);
        if selection.is_empty() {
            return Ok(());
        }
        let groups = key.find(groups, cells, batch, selection)?;
        note(cells, groups, batch, selection)?;
        match (groups, lookup.answers()) {
            (OfRows::All(group), Answers::All(code)) => cells.distinct.add(group as usize, code)?,
            (_, codes) => {
                for (position, row) in selection.rows().iter().enumerate() {
                    cells.distinct.add(groups.at(position), codes.at(row))?;
                }
            }
        }
        Ok(())
    }

    /// If there is one group, and what has a value has a text: marks these.
    fn mark_texts(&mut self, slot: usize) -> Result<bool, QueryError> {
        let column = self.batch.column(slot, self.selection.rows())?;
        if self.key.windows.is_some() || !self.key.dimensions.is_empty() || !has_only_texts(&column.kinds) {
            return Ok(false);
        }
        if self.marks.are_of_other(column.shared) {
            self.look_up_marks()?;
        }
        let Self { batch, selection, key, marks, groups, cells, .. } = self;
        let chunk = batch.chunk_table().cloned();
        let column = batch.column(slot, selection.rows())?;
        if let Kinds::Each(kinds) = &column.kinds {
            selection.keep(|row| kinds[row] == Kind::Text);
            if selection.is_empty() {
                return Ok(true);
            }
        }
        let marked =
            || MarkedTexts { dictionary: column.shared, texts: Arc::clone(&column.texts), chunk: chunk.clone() };
        marks.mark(marked, selection.rows(), &column.values);
        let groups = key.find(groups, cells, batch, selection)?;
        note(cells, groups, batch, selection)?;
        Ok(true)
    }

    /// Adds the texts that were marked to the only group.
    fn look_up_marks(&mut self) -> Result<(), QueryError> {
        let Self { marks, distinct: Some(lookup), cells, .. } = self else { return Ok(()) };
        let Some((MarkedTexts { dictionary, texts, chunk }, codes)) = marks.take() else { return Ok(()) };
        lookup.turn_to(&texts, dictionary);
        let is_known = chunk.as_ref().is_some_and(|chunk| lookup.recall(|lineage| chunk.known_codes(&texts, lineage)));
        codes.into_iter().try_for_each(|code| cells.distinct.add(0, lookup.of_code(&texts, code as usize)))?;
        if let Some((chunk, (lineage, codes))) = chunk.filter(|_| !is_known).zip(lookup.all_in_book()) {
            chunk.keep_codes(&texts, lineage, codes);
        }
        Ok(self.held.grow_to(self.weight())?)
    }

    fn keep_latest(&mut self, slot: usize, path: &JsonPath) -> Result<(), QueryError> {
        let Self { batch, selection, key, numbers, groups, cells, .. } = self;
        numbers.keep_numbers(batch.column(slot, selection.rows())?, path, selection);
        if selection.is_empty() {
            return Ok(());
        }
        let groups = key.find(groups, cells, batch, selection)?;
        note(cells, groups, batch, selection)?;
        let times = batch.times()?;
        let is_last = |(position, row): &(usize, usize)| times[*row] == cells.last_of(groups.at(*position));
        let candidates: Vec<(usize, usize)> = selection.rows().iter().enumerate().filter(is_last).collect();
        if candidates.is_empty() {
            return Ok(());
        }
        let column = batch.column(slot, selection.rows())?;
        let values: Vec<_> = candidates.iter().map(|(_, row)| numbers.get(column, *row)).collect();
        let Some(identities) = batch.identities()? else { return Ok(()) };
        for ((position, row), value) in candidates.into_iter().zip(values) {
            if let Some(value) = value {
                cells.replace_older(groups.at(position), identities.get(row), value);
            }
        }
        Ok(())
    }

    fn add_numbers(&mut self, slot: usize, path: &JsonPath) -> Result<(), QueryError> {
        let Self { batch, selection, key, numbers, groups, cells, plan, .. } = self;
        let stats = if selection.is_all() { batch.numbers(slot) } else { None };
        let are_plain = stats.is_some() || numbers.keep_numbers(batch.column(slot, selection.rows())?, path, selection);
        if selection.is_empty() {
            return Ok(());
        }
        let groups = match key.find_runs(groups, cells, batch, selection)? {
            Some(runs) => runs,
            None => key.find(groups, cells, batch, selection)?,
        };
        let adds = matches!(plan.aggregation, Aggregation::Sum | Aggregation::Avg);
        if are_plain && adds && !matches!(groups, OfRows::All(_)) {
            let rows = selection.rows();
            let (times, column) = batch.times_and_column(slot, rows)?;
            cells.note_and_add(groups, rows, times, mantissas(column, stats));
            return Ok(());
        }
        note(cells, groups, batch, selection)?;
        if let (Some(stats), OfRows::All(group)) = (stats, groups) {
            cells.add_stats(group as usize, &stats);
            return Ok(());
        }
        let (column, rows) = (batch.column(slot, selection.rows())?, selection.rows());
        if !are_plain {
            for_each_row(groups, rows, |group, row| {
                if let Some(number) = numbers.get(column, row) {
                    cells.take_number(group, number);
                }
            });
        } else if adds {
            cells.add_mantissas(groups, rows, mantissas(column, stats));
        } else {
            cells.compare_mantissas(groups, rows, &column.values, column.scale);
        }
        Ok(())
    }

    /// Takes in the answer over other rows.
    pub fn absorb(&mut self, partial: &Partial) -> Result<(), PlanError> {
        let windows = self.key.windows.as_mut().zip(partial.windows.as_ref());
        let of_windows: Option<Vec<u32>> =
            windows.map(|(windows, others)| others.iter().map(|window| windows.code(*window)).collect());
        let mut of_groups = Vec::with_capacity(partial.groups);
        let mut key = vec![0; partial.width()];
        for group in 0..partial.groups {
            let (first, rest) = partial.key(group).split_at(usize::from(of_windows.is_some()));
            let (own_first, own_rest) = key.split_at_mut(first.len());
            let windows = first.iter().zip(&of_windows);
            own_first.iter_mut().zip(windows).for_each(|(own, (code, of_windows))| *own = of_windows[*code as usize]);
            let dimensions = self.key.dimensions.iter_mut().zip(rest.iter().zip(&partial.texts));
            own_rest.iter_mut().zip(dimensions).for_each(|(own, (question, (code, texts)))| {
                *own = question.lookup.translate(texts, *code);
            });
            of_groups.push(self.groups.group_of(&key)?);
        }
        self.cells.resize(self.groups.len());
        let distinct = &mut self.distinct;
        let code_of = |code| distinct.as_mut().map_or(NONE, |lookup| lookup.translate(&partial.values, code));
        self.cells.absorb(&partial.cells, &of_groups, code_of)?;
        self.held.grow_to(self.weight())
    }

    /// The answer.
    pub fn finish(self) -> Partial {
        Partial {
            windows: self.key.windows.map(|windows| windows.met().to_vec()),
            texts: self.key.dimensions.into_iter().map(|question| question.lookup.into_texts()).collect(),
            keys: self.groups.keys().to_vec(),
            groups: self.groups.len(),
            cells: self.cells,
            values: self.distinct.map(Lookup::into_texts).unwrap_or_default(),
        }
    }
}

impl<'p> Question<'p> {
    /// The answers as a part of keys.
    fn part(&self) -> Part<'_> {
        Part { codes: self.lookup.answers(), known: self.lookup.known() }
    }

    fn ask(&mut self, batch: &mut Batch<'_, '_>, selection: &Selection) -> Result<(), StoreError> {
        match (self.slot, batch.only_subject()) {
            (Some(slot), _) => self.lookup.ask_column(batch.column(slot, selection.rows())?),
            (None, Some(subject)) => self.lookup.ask_subject(subject),
            (None, None) => self.lookup.ask_subjects(batch.subjects()?),
        }
        Ok(())
    }
}

impl Key<'_> {
    /// Finds the groups of the selected rows, all of which contribute.
    fn find<'g>(
        &mut self,
        groups: &'g mut Groups,
        cells: &mut Cells,
        batch: &mut Batch<'_, '_>,
        selection: &Selection,
    ) -> Result<OfRows<'g>, QueryError> {
        for dimension in &mut self.dimensions {
            dimension.ask(batch, selection)?;
        }
        let window_codes = self.windows(batch, selection)?;
        let mut parts = Vec::with_capacity(1 + self.dimensions.len());
        if let Some((codes, windows)) = window_codes.zip(self.windows.as_ref()) {
            let codes = codes.map_or(Answers::Each(&self.window_codes), Answers::All);
            parts.push(Part { codes, known: windows.len() });
        }
        parts.extend(self.dimensions.iter().map(Question::part));
        let found = groups.find(&parts, selection.rows())?;
        cells.resize(found.1);
        Ok(found.0)
    }

    /// As [`Self::find`], where the whole key of a row follows from its subject: in all of a sorted block, by runs.
    fn find_runs<'g>(
        &'g mut self,
        groups: &'g mut Groups,
        cells: &mut Cells,
        batch: &mut Batch<'_, '_>,
        selection: &Selection,
    ) -> Result<Option<OfRows<'g>>, QueryError> {
        let by_subject = !self.dimensions.is_empty() && self.dimensions.iter().all(|question| question.slot.is_none());
        if !by_subject || !selection.is_all() || !batch.is_sorted() || batch.only_subject().is_some() {
            return Ok(None);
        }
        let mut parts = Vec::with_capacity(1 + self.dimensions.len());
        if let Some(windows) = &mut self.windows {
            let Some(code) = windows.code_of_all(batch.span()) else { return Ok(None) };
            parts.push(Part { codes: Answers::All(code), known: windows.len() });
        }
        let subjects = batch.subjects()?;
        self.runs.cut(&subjects.codes);
        for question in &mut self.dimensions {
            question.lookup.ask_subject_codes(subjects, self.runs.codes());
        }
        parts.extend(self.dimensions.iter().map(Question::part));
        let (found, count) = groups.find(&parts, Rows::All(self.runs.codes().len()))?;
        cells.resize(count);
        Ok(Some(match found {
            OfRows::Each(groups) => OfRows::Runs(groups, self.runs.ends()),
            same => same,
        }))
    }

    /// If the plan has windows: the one of all rows, or nothing when each row has a code of its own.
    fn windows(&mut self, batch: &mut Batch<'_, '_>, selection: &Selection) -> Result<Option<Option<u32>>, StoreError> {
        let Some(windows) = &mut self.windows else { return Ok(None) };
        if let Some(code) = windows.code_of_all(batch.span()) {
            return Ok(Some(Some(code)));
        }
        let span = batch.span();
        let times = batch.times()?;
        self.window_codes.resize(times.len(), 0);
        windows.codes_of(span, times, selection.rows(), &mut self.window_codes);
        Ok(Some(None))
    }
}

/// Whether texts are the only values that differ from others, and there is one.
fn has_only_texts(kinds: &Kinds) -> bool {
    match kinds {
        Kinds::All(kind) => *kind == Kind::Text,
        Kinds::Each(kinds) => {
            kinds.contains(&Kind::Text)
                && !kinds.iter().any(|kind| matches!(kind, Kind::Number | Kind::True | Kind::False))
        }
    }
}

/// The numbers of a column, of which the directory may know more.
fn mantissas(column: &Column, stats: Option<NumberStats>) -> Mantissas<'_> {
    let most = stats.map_or_else(|| greatest_of(&column.values), |stats| stats.greatest_distance());
    Mantissas { of_rows: &column.values, scale: column.scale, most }
}

/// Notes the events of the selected rows.
fn note(
    cells: &mut Cells,
    groups: OfRows<'_>,
    batch: &mut Batch<'_, '_>,
    selection: &Selection,
) -> Result<(), StoreError> {
    match (groups, selection.is_all()) {
        (OfRows::All(group), true) => cells.note_span(group as usize, batch.span(), batch.rows() as u64),
        _ => cells.note_rows(groups, selection.rows(), batch.times()?),
    }
    Ok(())
}
