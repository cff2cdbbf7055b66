//! What stands at one path in each row: numbers as integers at one scale, texts by dictionary, and the kind of the rest.
//!
//! Invariant: a column answers every question of a plan as domain's functions answer it from the data text.

use super::bytes::{Corrupt, Reader};
use super::ints::{get_codes, get_ints_into, get_same_code, highest};
use super::texts::{CodedTexts, Dictionary, DictionaryId, Texts};
use std::sync::Arc;
use tallystick_domain::Quantity;
use tallystick_domain::json::Leaf;
use tallystick_domain::meter::dimension_leaf;

/// Texts stand in the chunk itself.
pub(super) const OWN_TEXTS: u8 = 0;
/// Texts are those of the table.
pub(super) const SHARED_TEXTS: u8 = 1;

/// What stands at a path in one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The event has no data.
    NoData,
    /// The path leads nowhere.
    Missing,
    /// `null`
    Null,
    /// `false`
    False,
    /// `true`
    True,
    /// A number that fits the column: the row's value is its mantissa.
    Number,
    /// A string, or a number that does not fit in its shortest form: the row's value is the code of its text. The two
    /// need not be told apart, for a numeric string counts, groups and differs as its number does.
    Text,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    /// By code.
    pub const ALL: [Kind; 9] = [
        Kind::NoData,
        Kind::Missing,
        Kind::Null,
        Kind::False,
        Kind::True,
        Kind::Number,
        Kind::Text,
        Kind::Array,
        Kind::Object,
    ];

    /// By code, filled up so that four bits need no check.
    const OF_CODES: [Kind; 16] = {
        let mut kinds = [Kind::Missing; 16];
        let mut at = 0;
        while at < Kind::ALL.len() {
            kinds[at] = Kind::ALL[at];
            at += 1;
        }
        kinds
    };

    /// What the kind alone says of the value; `None` for an event without data.
    pub fn leaf(self) -> Option<Leaf<'static>> {
        match self {
            Kind::NoData => None,
            Kind::Null => Some(Leaf::Null),
            Kind::False => Some(Leaf::Bool(false)),
            Kind::True => Some(Leaf::Bool(true)),
            Kind::Array => Some(Leaf::Array),
            Kind::Object => Some(Leaf::Object),
            Kind::Missing | Kind::Number | Kind::Text => Some(Leaf::Missing),
        }
    }
}

/// What stands at a path in each row of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kinds {
    /// In every row the same: nothing has to be looked at row by row.
    All(Kind),
    /// By row; at least two of them differ.
    Each(Vec<Kind>),
}

impl Kinds {
    /// Says the kinds of rows in the shortest way.
    pub fn of(kinds: Vec<Kind>) -> Self {
        match kinds.first() {
            None => Kinds::All(Kind::Missing),
            Some(first) if kinds.iter().all(|kind| kind == first) => Kinds::All(*first),
            Some(_) => Kinds::Each(kinds),
        }
    }

    /// What stands there in a row, which must exist.
    #[inline]
    pub fn get(&self, row: usize) -> Kind {
        match self {
            Kinds::All(kind) => *kind,
            Kinds::Each(kinds) => kinds[row],
        }
    }

    /// How many of `rows` rows have something of this kind.
    fn count(&self, kind: Kind, rows: usize) -> usize {
        match self {
            Kinds::All(all) => {
                if *all == kind {
                    rows
                } else {
                    0
                }
            }
            Kinds::Each(kinds) => kinds.iter().filter(|other| **other == kind).count(),
        }
    }
}

/// The values at one path in the rows of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// What stands there.
    pub kinds: Kinds,
    /// Per row, a mantissa or a code, by kind; of no meaning for other kinds.
    pub values: Vec<i64>,
    /// Digits after the decimal point of all mantissas.
    pub scale: u32,
    /// The texts by code.
    pub texts: Arc<Texts>,
    /// Whose texts these are, if all blocks of the table share them.
    pub shared: Option<DictionaryId>,
}

impl Default for Column {
    /// A column of no rows.
    fn default() -> Self {
        Self { kinds: Kinds::All(Kind::Missing), values: Vec::new(), scale: 0, texts: Arc::default(), shared: None }
    }
}

impl Column {
    /// Makes it a column in which the path leads nowhere.
    pub fn set_missing(&mut self, rows: usize) {
        self.values.clear();
        self.values.resize(rows, 0);
        (self.kinds, self.scale, self.shared) = (Kinds::All(Kind::Missing), 0, None);
        self.texts = Arc::default();
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.values.len()
    }

    /// The values of some of its rows.
    pub fn only(&self, rows: &[u32]) -> Self {
        let kinds = match &self.kinds {
            Kinds::All(kind) => Kinds::All(*kind),
            Kinds::Each(kinds) => Kinds::of(rows.iter().map(|row| kinds[*row as usize]).collect()),
        };
        let values = rows.iter().map(|row| self.values[*row as usize]).collect();
        Self { kinds, values, scale: self.scale, texts: Arc::clone(&self.texts), shared: self.shared }
    }

    /// Reads a column of `count` rows, using the memory that it has. `shared` are the texts of the table.
    pub(super) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        count: usize,
        format: u32,
        shared: Option<&(DictionaryId, Arc<Texts>)>,
    ) -> Result<(), Corrupt> {
        self.scale = u32::from(reader.byte()?);
        if self.scale > tallystick_domain::quantity::MAX_SCALE {
            return Err(Corrupt("a column has too many digits after the point"));
        }
        let codes = match get_same_code(reader, count, Kind::ALL.len()) {
            Some(code) => {
                self.kinds = Kinds::All(Kind::ALL[code as usize]);
                Vec::new()
            }
            None => self.read_kinds(reader, count)?,
        };
        let (number_count, text_count) = (self.kinds.count(Kind::Number, count), self.kinds.count(Kind::Text, count));
        if number_count > 0 || text_count == 0 {
            get_ints_into(reader, number_count, 0, &mut self.values)?;
        }
        self.read_texts(reader, text_count, number_count, format, shared)?;
        match &self.kinds {
            Kinds::All(_) => self.values.resize(count, 0),
            Kinds::Each(_) => self.values = spread(&codes, &self.values, number_count),
        }
        Ok(())
    }

    /// Reads the kind of each row; their codes, if they differ.
    fn read_kinds(&mut self, reader: &mut Reader<'_>, count: usize) -> Result<Vec<u32>, Corrupt> {
        let codes = get_codes(reader, count, Kind::ALL.len())?;
        let mut kinds = match std::mem::replace(&mut self.kinds, Kinds::All(Kind::Missing)) {
            Kinds::Each(kinds) => kinds,
            Kinds::All(_) => Vec::new(),
        };
        kinds.clear();
        // Codes are below 9.
        kinds.extend(codes.iter().map(|code| Kind::OF_CODES[*code as usize % 16]));
        self.kinds = Kinds::of(kinds);
        Ok(codes)
    }

    /// Reads the texts, and puts a code for each row that has one behind `from` numbers.
    fn read_texts(
        &mut self,
        reader: &mut Reader<'_>,
        count: usize,
        from: usize,
        format: u32,
        shared: Option<&(DictionaryId, Arc<Texts>)>,
    ) -> Result<(), Corrupt> {
        let before = self.shared.take();
        if count == 0 {
            self.texts = Arc::default();
            return Ok(());
        }
        if format == 1 || reader.byte()? == OWN_TEXTS {
            let mut coded = CodedTexts::default();
            coded.read(reader, count)?;
            self.texts = coded.texts;
            self.values.truncate(from);
            self.values.extend(coded.codes.into_iter().map(i64::from));
            return Ok(());
        }
        let (name, texts) = shared.ok_or(Corrupt("a column has no dictionary"))?;
        if before != Some(*name) {
            self.texts = Arc::clone(texts);
        }
        self.shared = Some(*name);
        get_ints_into(reader, count, from, &mut self.values)?;
        let codes = &self.values[from..];
        // None is higher than all their bits together, which are found faster than the highest.
        let bits = codes.iter().fold(0, |bits, code| bits | code);
        let known = texts.len() as u64;
        let are_known = (bits as u64) < known || (bits >= 0 && (highest(codes) as u64) < known);
        if are_known { Ok(()) } else { Err(Corrupt("an unknown code")) }
    }
}

/// Brings values to the rows that they are of: those of numbers come first, and then those of texts. Other rows get 0.
fn spread(kinds: &[u32], values: &[i64], number_count: usize) -> Vec<i64> {
    let (numbers, texts) = values.split_at(number_count);
    let mut spread = vec![0; kinds.len()];
    [(Kind::Number, numbers), (Kind::Text, texts)].into_iter().filter(|(_, values)| !values.is_empty()).for_each(
        |(kind, values)| {
            let mut next = 0;
            for (row, of_row) in spread.iter_mut().zip(kinds) {
                // Read in any case: a branch would often be predicted wrongly.
                let is_next = *of_row == kind as u32;
                let value = values.get(next).copied().unwrap_or_default();
                *row |= if is_next { value } else { 0 };
                next += usize::from(is_next);
            }
        },
    );
    spread
}

/// Collects what stands at a path, row by row.
pub(crate) struct ColumnBuilder {
    kinds: Vec<Kind>,
    values: Vec<i64>,
    numbers: Vec<(usize, Quantity)>,
    texts: Dictionary,
}

impl ColumnBuilder {
    /// Starts with rows in which the path leads nowhere; `has_data` tells which of them have data.
    pub fn new(has_data: impl Iterator<Item = bool>) -> Self {
        let kinds: Vec<Kind> = has_data.map(|has| if has { Kind::Missing } else { Kind::NoData }).collect();
        Self { values: vec![0; kinds.len()], kinds, numbers: Vec::new(), texts: Dictionary::default() }
    }

    /// Notes what stands there in a row with data. False if something else was noted before.
    pub fn set(&mut self, row: usize, leaf: Leaf<'_>) -> bool {
        let is_first = self.kinds[row] == Kind::Missing;
        self.kinds[row] = match leaf {
            Leaf::Missing => Kind::Missing,
            Leaf::Null => Kind::Null,
            Leaf::Bool(false) => Kind::False,
            Leaf::Bool(true) => Kind::True,
            Leaf::Array => Kind::Array,
            Leaf::Object => Kind::Object,
            Leaf::Text(text) => {
                self.values[row] = i64::from(self.texts.code(&text));
                Kind::Text
            }
            Leaf::Number(digits) => match Quantity::parse(digits) {
                Ok(quantity) => {
                    self.numbers.push((row, quantity));
                    Kind::Number
                }
                Err(_) => {
                    self.values[row] = i64::from(self.texts.code(&dimension_leaf(leaf)));
                    Kind::Text
                }
            },
        };
        is_first
    }

    /// Brings the numbers to one scale.
    pub fn finish(mut self) -> Column {
        let scale = common_scale(&self.numbers);
        for (row, quantity) in &self.numbers {
            match mantissa_at(scale, quantity) {
                Some(mantissa) => self.values[*row] = mantissa,
                None => {
                    self.values[*row] = i64::from(self.texts.code(&quantity.to_string()));
                    self.kinds[*row] = Kind::Text;
                }
            }
        }
        let (kinds, texts) = (Kinds::of(self.kinds), Arc::new(self.texts.into_texts()));
        Column { kinds, values: self.values, scale, texts, shared: None }
    }
}

/// The scale at which most of the numbers fit.
fn common_scale(numbers: &[(usize, Quantity)]) -> u32 {
    let largest = numbers.iter().map(|(_, quantity)| quantity.scale()).max().unwrap_or(0);
    let fitting = |scale: u32| numbers.iter().filter(|(_, quantity)| mantissa_at(scale, quantity).is_some()).count();
    if fitting(largest) == numbers.len() {
        return largest;
    }
    (0..=largest).rev().max_by_key(|scale| fitting(*scale)).unwrap_or(0)
}

fn mantissa_at(scale: u32, quantity: &Quantity) -> Option<i64> {
    let factor = 10i128.checked_pow(scale.checked_sub(quantity.scale())?)?;
    i64::try_from(quantity.mantissa().checked_mul(factor)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(values: &[&str]) -> Column {
        let mut builder = ColumnBuilder::new(values.iter().map(|value| !value.is_empty()));
        for (row, value) in values.iter().enumerate().filter(|(_, value)| !value.is_empty()) {
            assert!(builder.set(row, Leaf::of(value)));
        }
        builder.finish()
    }

    #[test]
    fn numbers_share_one_scale() {
        let column = column(&["1.5", "2", "-0.25", "1e2"]);
        assert_eq!((column.scale, column.values.as_slice()), (2, &[150, 200, -25, 10_000][..]));
        assert_eq!(column.kinds, Kinds::All(Kind::Number));
    }

    #[test]
    fn one_odd_number_does_not_push_the_others_out() {
        let column = column(&["9000000000000000000", "0.0000000000000000000000000001", "1", "2"]);
        assert_eq!((column.scale, column.values[0]), (0, 9_000_000_000_000_000_000));
        assert_eq!(column.kinds, Kinds::Each(vec![Kind::Number, Kind::Text, Kind::Number, Kind::Number]));
        assert_eq!(column.texts.iter().collect::<Vec<_>>(), ["0.0000000000000000000000000001"]);
    }

    #[test]
    fn kinds_stay_apart() {
        let column = column(&["", "null", "true", "false", "[1]", "{}", "\"1\"", "1", "1e999"]);
        use Kind::*;
        assert_eq!(column.kinds, Kinds::Each(vec![NoData, Null, True, False, Array, Object, Text, Number, Text]));
        assert_eq!(column.texts.iter().collect::<Vec<_>>(), ["1", "1e999"]);
    }

    #[test]
    fn a_second_value_for_a_row_is_noticed() {
        let mut builder = ColumnBuilder::new([true].into_iter());
        assert!(builder.set(0, Leaf::Null));
        assert!(!builder.set(0, Leaf::Null));
    }
}
