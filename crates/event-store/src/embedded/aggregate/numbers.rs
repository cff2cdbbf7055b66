//! The numbers of a column, numeric strings included.

use super::rows::Selection;
use crate::embedded::segment::{Column, DictionaryId, Kind, Kinds};
use std::borrow::Cow;
use tallystick_domain::Quantity;
use tallystick_domain::json::Leaf;
use tallystick_domain::meter::{JsonPath, numeric_leaf};

/// What the texts of a column are as numbers, found once for each.
#[derive(Default)]
pub(super) struct TextNumbers {
    shared: Option<DictionaryId>,
    of_texts: Vec<Answer>,
}

#[derive(Clone, Copy)]
enum Answer {
    Unknown,
    NoNumber,
    Number(Quantity),
}

impl TextNumbers {
    /// About how many bytes it holds.
    pub fn weight(&self) -> usize {
        self.of_texts.capacity() * size_of::<Answer>()
    }

    /// Leaves only the rows of a column that have a number. True if all of them have it at the column's scale.
    pub fn keep_numbers(&mut self, column: &Column, path: &JsonPath, selection: &mut Selection) -> bool {
        match &column.kinds {
            Kinds::All(Kind::Number) => true,
            Kinds::Each(kinds) if !kinds.contains(&Kind::Text) => {
                selection.keep(|row| kinds[row] == Kind::Number);
                true
            }
            Kinds::Each(_) | Kinds::All(Kind::Text) => {
                self.read_texts(column, path, selection);
                selection.keep(|row| self.get(column, row).is_some());
                false
            }
            Kinds::All(_) => {
                selection.select_all(0);
                true
            }
        }
    }

    fn read_texts(&mut self, column: &Column, path: &JsonPath, selection: &Selection) {
        if column.shared.is_none() || column.shared != self.shared {
            self.shared = column.shared;
            self.of_texts.clear();
            self.of_texts.resize(column.texts.len(), Answer::Unknown);
        }
        for row in selection.rows().iter().filter(|row| column.kinds.get(*row) == Kind::Text) {
            let code = column.values[row] as usize;
            if matches!(self.of_texts[code], Answer::Unknown) {
                let leaf = Leaf::Text(Cow::Borrowed(column.texts.get(code)));
                self.of_texts[code] = numeric_leaf(&leaf, path).map_or(Answer::NoNumber, Answer::Number);
            }
        }
    }

    /// The number of a row; of a text only if its row was kept.
    pub fn get(&self, column: &Column, row: usize) -> Option<Quantity> {
        let value = column.values[row];
        match column.kinds.get(row) {
            // Every 64-bit mantissa fits a quantity.
            Kind::Number => Quantity::from_parts(i128::from(value), column.scale).ok(),
            Kind::Text => match self.of_texts[value as usize] {
                Answer::Number(number) => Some(number),
                Answer::NoNumber | Answer::Unknown => None,
            },
            _ => None,
        }
    }
}
