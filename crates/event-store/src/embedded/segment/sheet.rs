//! Rows of one table in columns, on their way into a segment.

use super::column::Kind;
use super::ids::Ids;
use super::texts::{Bodies, Dictionary, Texts};
use crate::embedded::row::RowRef;
use std::sync::Arc;

/// Any number of rows of one table.
#[derive(Default)]
pub(super) struct Sheet {
    pub times: Vec<i64>,
    pub ingested: Vec<i64>,
    pub subjects: SheetTexts,
    pub sources: SheetTexts,
    pub ids: Ids,
    /// What their data texts are made from.
    pub shapes: Vec<u32>,
    /// Texts that are kept as they are.
    pub rest: Bodies,
    pub extras: Bodies,
    /// By path; each has as many rows as it needed.
    pub columns: Vec<SheetColumn>,
    /// Rows with members beyond the paths that have columns.
    pub with_unknown_paths: Vec<u32>,
    /// Rows whose data is no sound JSON object, as domain would not have let in.
    pub unsound: Vec<u32>,
}

/// A text per row.
#[derive(Default)]
pub(super) struct SheetTexts {
    pub texts: TextSource,
    pub codes: Vec<u32>,
}

/// What codes mean.
pub(super) enum TextSource {
    /// Texts that were met, in the order in which they were met.
    Met(Dictionary),
    /// The final dictionary of the table.
    Shared(Arc<Texts>),
}

/// What stands at one path.
#[derive(Default)]
pub(super) struct SheetColumn {
    pub kinds: Vec<Kind>,
    /// A mantissa or a code, by kind.
    pub values: Vec<i64>,
    /// Digits after the point of a mantissa.
    pub scales: Vec<u8>,
    /// How it was written.
    pub forms: Vec<u8>,
    pub texts: TextSource,
    pub fit: Fit,
    /// Whether there was a number of few digits that did not fit those before it.
    pub misfits: bool,
}

/// Whether numbers fit 64 bits at one scale.
#[derive(Clone, Copy, Default)]
pub(super) struct Fit {
    /// The largest scale.
    scale: u32,
    /// The largest magnitude at that scale.
    peak: u128,
}

impl Fit {
    /// With another number, or with the largest of some; `None` if they do not fit together.
    pub fn with(self, scale: u32, size: u64) -> Option<Self> {
        let common = self.scale.max(scale);
        let at_common = |peak: u128, scale: u32| peak.checked_mul(10u128.checked_pow(common - scale)?);
        let old = if self.peak == 0 { 0 } else { at_common(self.peak, self.scale)? };
        let new = if size == 0 { 0 } else { at_common(u128::from(size), scale)? };
        let peak = old.max(new);
        (peak <= i64::MAX as u128).then_some(Self { scale: common, peak })
    }
}

impl Default for TextSource {
    fn default() -> Self {
        TextSource::Met(Dictionary::default())
    }
}

impl TextSource {
    /// The text of a code.
    pub fn get(&self, code: usize) -> &str {
        self.texts().get(code)
    }

    /// All of them.
    pub fn texts(&self) -> &Texts {
        match self {
            TextSource::Met(dictionary) => dictionary.texts(),
            TextSource::Shared(texts) => texts,
        }
    }

    /// The code of a text that was met; `None` if the table's dictionary does not have it.
    pub fn code(&mut self, text: &str) -> Option<u32> {
        match self {
            TextSource::Met(dictionary) => Some(dictionary.code(text)),
            TextSource::Shared(texts) => texts.position(text),
        }
    }

    fn clear(&mut self) {
        if let TextSource::Met(dictionary) = self {
            dictionary.clear();
        }
    }
}

impl SheetColumn {
    /// Fills up to `rows` rows in which the path leads nowhere.
    pub fn pad(&mut self, rows: usize) {
        self.kinds.resize(rows, Kind::Missing);
        self.values.resize(rows, 0);
        self.scales.resize(rows, 0);
        self.forms.resize(rows, 0);
    }

    /// Notes what stands there in the next row.
    pub fn push(&mut self, kind: Kind, value: i64, scale: u8, form: u8) {
        self.kinds.push(kind);
        self.values.push(value);
        self.scales.push(scale);
        self.forms.push(form);
    }

    fn clear(&mut self) {
        self.kinds.clear();
        self.values.clear();
        self.scales.clear();
        self.forms.clear();
        self.texts.clear();
        self.fit = Fit::default();
        self.misfits = false;
    }

    /// Whether a number fits those before it, which it joins if it does.
    pub fn joins(&mut self, scale: u32, size: u64) -> bool {
        let fit = self.fit.with(scale, size);
        self.fit = fit.unwrap_or(self.fit);
        self.misfits |= fit.is_none();
        fit.is_some()
    }

    fn arrange(&mut self, order: &[u32]) {
        self.pad(order.len());
        arrange(&mut self.kinds, order);
        arrange(&mut self.values, order);
        arrange(&mut self.scales, order);
        arrange(&mut self.forms, order);
    }
}

/// Brings values into another order, which names all of them.
pub(super) fn arrange<T: Copy>(values: &mut Vec<T>, order: &[u32]) {
    *values = order.iter().map(|row| values[*row as usize]).collect();
}

/// Brings rows of an ascending list into another order of all rows.
fn arrange_list(rows: &mut Vec<u32>, order: &[u32]) {
    if !rows.is_empty() {
        let moved = order.iter().enumerate().filter(|(_, row)| rows.binary_search(row).is_ok());
        *rows = moved.map(|(at, _)| at as u32).collect();
    }
}

impl Sheet {
    /// How many rows have everything but their data.
    pub fn rows(&self) -> usize {
        self.shapes.len()
    }

    /// Notes everything of the next row but its data and its extras, and says how many bytes of texts it has.
    pub fn push_head(&mut self, row: RowRef<'_>) -> u32 {
        let event = row.stored.event;
        self.times.push(event.time().as_micros());
        self.ingested.push(row.stored.ingested_at.as_micros());
        for (texts, text) in [(&mut self.subjects, event.subject()), (&mut self.sources, event.source())] {
            let same = texts.codes.last().copied().filter(|code| texts.texts.get(*code as usize) == text);
            texts.codes.push(same.or_else(|| texts.texts.code(text)).unwrap_or_default());
        }
        self.ids.push(event.id());
        let length = |text: Option<&str>| text.map_or(0, str::len);
        // Texts in memory take less than 4 GiB.
        (length(event.data()) + length(event.extras()) + event.id().len() + event.subject().len()) as u32
    }

    /// Forgets what the data and the extras of all rows were.
    pub fn forget_data(&mut self) {
        (self.rest, self.extras) = Default::default();
        self.columns = Vec::new();
    }

    /// The column of a path, filled up to the next row.
    pub fn column(&mut self, path: usize) -> &mut SheetColumn {
        let rows = self.rows();
        if self.columns.len() <= path {
            self.columns.resize_with(path + 1, SheetColumn::default);
        }
        let column = &mut self.columns[path];
        if column.kinds.len() < rows {
            column.pad(rows);
        }
        column
    }

    /// Takes back what columns hold of the next row.
    pub fn forget_next_row(&mut self) {
        let rows = self.rows();
        self.columns.iter_mut().filter(|column| column.kinds.len() > rows).for_each(|column| column.pad(rows));
    }

    /// Brings all rows into another order, given by the place that each has now.
    pub fn arrange(&mut self, order: &[u32]) {
        arrange(&mut self.times, order);
        arrange(&mut self.ingested, order);
        arrange(&mut self.subjects.codes, order);
        arrange(&mut self.sources.codes, order);
        arrange(&mut self.shapes, order);
        self.ids.arrange(order);
        self.rest.arrange(order);
        self.extras.arrange(order);
        self.columns.iter_mut().for_each(|column| column.arrange(order));
        arrange_list(&mut self.with_unknown_paths, order);
        arrange_list(&mut self.unsound, order);
    }

    /// About how many bytes of texts it holds that are kept as they are.
    pub fn text_bytes(&self) -> usize {
        let met = |texts: &TextSource| if let TextSource::Met(texts) = texts { texts.texts().total_len() } else { 0 };
        let columns = self.columns.iter().map(|column| met(&column.texts)).sum::<usize>();
        self.rest.total_len() + self.extras.total_len() + columns
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.times.clear();
        self.ingested.clear();
        for texts in [&mut self.subjects, &mut self.sources] {
            texts.texts.clear();
            texts.codes.clear();
        }
        self.ids.clear();
        self.shapes.clear();
        self.rest.clear();
        self.extras.clear();
        self.columns.iter_mut().for_each(SheetColumn::clear);
        self.with_unknown_paths.clear();
        self.unsound.clear();
    }
}
