//! A text or nothing per row, computed once per distinct value of a column.

use crate::embedded::segment::{CodedTexts, Column, Kind, Texts};
use hashbrown::HashMap;
use std::borrow::Cow;
use std::sync::Arc;
use tallystick_domain::Quantity;
use tallystick_domain::json::Leaf;
use tallystick_domain::meter::{JsonPath, dimension_leaf, distinct_leaf, numeric_leaf};

/// The code of a row without a text.
pub(super) const NONE: u32 = u32::MAX;

/// Texts by code, and a code per row. Two codes may have the same text.
#[derive(Default)]
pub(super) struct Coded {
    pub texts: Arc<Texts>,
    pub codes: Vec<u32>,
}

impl From<CodedTexts> for Coded {
    fn from(coded: CodedTexts) -> Self {
        Self { texts: coded.texts, codes: coded.codes }
    }
}

impl Coded {
    /// The texts of a column for grouping and filtering.
    pub fn dimension(column: &Column) -> Self {
        Self::of(column, false, |leaf| Some(leaf.map_or("".into(), dimension_leaf)))
    }

    /// The texts of a column for telling values apart.
    pub fn distinct(column: &Column, path: &JsonPath) -> Self {
        Self::of(column, false, |leaf| distinct_leaf(leaf?, path).ok())
    }

    /// Why the values of a column do not count, as codes; `""` for those that do.
    pub fn reasons(column: &Column, path: &JsonPath, numeric: bool) -> Self {
        let no_data = tallystick_domain::meter::NotCounted::NoData;
        Self::of(column, true, |leaf| {
            let reason = match leaf {
                None => Some(no_data.code()),
                Some(leaf) if numeric => numeric_leaf(&leaf, path).err().map(|reason| reason.code()),
                Some(leaf) => distinct_leaf(leaf, path).err().map(|reason| reason.code()),
            };
            Some(reason.unwrap_or_default().into())
        })
    }

    /// Other texts for the same codes.
    pub fn map<'t>(self, text: impl Fn(&str) -> &'t str) -> Self {
        let mut texts = Texts::default();
        self.texts.iter().for_each(|old| texts.push(text(old)));
        Self { texts: Arc::new(texts), codes: self.codes }
    }

    /// Asks `text` once for each distinct value; once for all numbers if they are alike to it.
    fn of(
        column: &Column,
        numbers_alike: bool,
        text: impl for<'l> Fn(Option<Leaf<'l>>) -> Option<Cow<'l, str>>,
    ) -> Self {
        let mut texts = Texts::default();
        let mut add = |leaf: Option<Leaf<'_>>| {
            text(leaf).map_or(NONE, |text| {
                texts.push(&text);
                texts.len() as u32 - 1
            })
        };
        let of_texts: Vec<u32> = column.texts.iter().map(|text| add(Some(Leaf::Text(text.into())))).collect();
        if column.is_all(Kind::Text) {
            let codes = column.values.iter().map(|value| of_texts[*value as usize]).collect();
            return Self { texts: Arc::new(texts), codes };
        }
        let mut of_kinds = [None; Kind::Object as usize + 1];
        let mut of_numbers: HashMap<i64, u32> = HashMap::new();
        let rows = column.values.iter().enumerate();
        let codes = rows.map(|(row, value)| match column.kinds.get(row) {
            Kind::Text => of_texts[*value as usize],
            Kind::Number => *of_numbers.entry(if numbers_alike { 0 } else { *value }).or_insert_with(|| {
                // Every 64-bit mantissa fits a quantity.
                let number = Quantity::from_parts(i128::from(*value), column.scale).unwrap_or(Quantity::ZERO);
                add(Some(Leaf::Number(&number.to_string())))
            }),
            other => *of_kinds[other as usize].get_or_insert_with(|| add(other.leaf())),
        });
        let codes = codes.collect();
        Self { texts: Arc::new(texts), codes }
    }
}
