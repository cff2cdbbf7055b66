//! The answer of a plan over a part of the rows, in a form that can be kept and added to others.

use super::cells::Cells;
use super::codes::CodeTexts;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use tallystick_domain::meter::{AggregateRow, PlanError};
use tallystick_domain::time::Window;

/// Groups by their codes, and what the codes mean.
#[derive(Debug)]
pub(crate) struct Partial {
    /// The windows by code, if the plan has windows.
    pub(super) windows: Option<Vec<Window>>,
    /// The texts of each dimension by code.
    pub(super) texts: Vec<CodeTexts>,
    /// The codes of each group: window, then dimensions.
    pub(super) keys: Vec<u32>,
    /// The number of groups.
    pub(super) groups: usize,
    /// The states of the groups.
    pub(super) cells: Cells,
    /// The texts of distinct values by code.
    pub(super) values: CodeTexts,
}

impl Partial {
    /// About how many bytes it takes.
    pub fn weight(&self) -> usize {
        let texts = self.texts.iter().chain([&self.values]).map(CodeTexts::weight);
        let windows = self.windows.as_ref().map_or(0, |windows| windows.len() * size_of::<Window>());
        size_of::<Self>() + texts.sum::<usize>() + windows + 4 * self.keys.len() + self.cells.weight()
    }

    /// With texts of its own, and none that it does not need, so that it can be kept.
    pub fn into_kept(mut self) -> Self {
        let (width, first) = (self.width(), usize::from(self.windows.is_some()));
        for (at, texts) in self.texts.iter_mut().enumerate() {
            let mut used = Used::default();
            let codes = self.keys.iter_mut().skip(first + at).step_by(width);
            codes.for_each(|code| *code = used.position(*code));
            *texts = texts.only(&used.codes);
        }
        let mut used = Used::default();
        self.cells.distinct.recode(|code| used.position(code));
        self.values = self.values.only(&used.codes);
        self.cells.shrink();
        self
    }

    /// How many parts a key has.
    pub(super) fn width(&self) -> usize {
        usize::from(self.windows.is_some()) + self.texts.len()
    }

    /// The codes of a group.
    pub(super) fn key(&self, group: usize) -> &[u32] {
        &self.keys[group * self.width()..(group + 1) * self.width()]
    }

    /// The rows of the answer, ordered by window and texts.
    pub(super) fn rows(&self) -> Result<Vec<AggregateRow>, PlanError> {
        let mut order: Vec<usize> = (0..self.groups).collect();
        order.sort_by(|left, right| self.name(*left).cmp(self.name(*right)));
        let mut rows = Vec::with_capacity(order.len());
        for group in order {
            let texts = || self.texts_of(group).map(str::to_owned).collect::<Vec<_>>();
            if let Some(value) = self.cells.value(group).map_err(|error| PlanError::overflow(&texts(), error))? {
                let (first, last) = self.cells.span(group);
                rows.push(AggregateRow { window: self.window(group), group: texts(), value, first, last });
            }
        }
        Ok(rows)
    }

    /// What a group is ordered by.
    fn name(&self, group: usize) -> impl Iterator<Item = (Option<Window>, &str)> {
        let window = self.windows.is_some().then(|| (self.window(group), ""));
        window.into_iter().chain(self.texts_of(group).map(|text| (None, text)))
    }

    fn window(&self, group: usize) -> Option<Window> {
        self.windows.as_ref().map(|windows| windows[self.key(group)[0] as usize])
    }

    fn texts_of(&self, group: usize) -> impl Iterator<Item = &str> {
        let codes = &self.key(group)[usize::from(self.windows.is_some())..];
        self.texts.iter().zip(codes).map(|(texts, code)| texts.get(*code))
    }
}

/// The codes that are used, in the order in which they are met.
#[derive(Default)]
struct Used {
    positions: HashMap<u32, u32>,
    codes: Vec<u32>,
}

impl Used {
    fn position(&mut self, code: u32) -> u32 {
        let next = self.codes.len() as u32;
        match self.positions.entry(code) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                self.codes.push(code);
                *entry.insert(next)
            }
        }
    }
}
