//! Expressions: JSON-Logic over the data of an event, in exact decimals.
//!
//! Invariant: total, deterministic and exact: no float, and a bounded number of steps. A result is exact, or rounded where
//! it is said here, or an error; it is never a number that stands for an error.
//!
//! An expression is JSON: a value stands for itself, an array for the list of what its items give, and an object with one
//! member for an operation, `{"operator": [operands]}`; a single operand needs no array. The operators are those of
//! [JSON-Logic](https://jsonlogic.com/operations.html): `var missing missing_some if ?: == != === !== ! !! and or < <= > >=
//! max min + - * / % map filter reduce all some none merge in cat substr log`, and three that measure time: `duration.of
//! duration.between duration.as`. `date`, `date.add` and `date.sub`, which some engines have, are refused: what they give
//! is a text in one form, a text in another, or a date, and nothing says which.
//!
//! JSON-Logic leaves numbers to JavaScript. Where that means a float or a guess, this follows the engines that compute in
//! decimals:
//!
//! - **Numbers** are decimals of up to 28 significant digits. `+ - * % min max` are exact; a result that does not fit is an
//!   error. `/` rounds to 4 digits after the point, half away from zero. Dividing by zero is an error. `%` has the sign of
//!   the dividend. `-` with one operand negates, `+` with one makes a number of a text.
//! - **Operands that are no numbers.** A text that is a decimal number counts as one (`"12.5"`, `"1e3"`; no spaces). With any
//!   other text, null, boolean or object, arithmetic gives null, which is no number and not true. `+` and `*` take the first item
//!   of a list. A number that cannot be held exactly is an error, but for a text beside `==`, which equals no other number then.
//! - **Order** (`< <= > >=`) is between numbers and texts that are numbers; with anything else it is false, so what is
//!   missing is not less than anything. Three operands of `<` and `<=` ask whether the second lies between.
//! - **Equality** (`==`): null equals null only. Numbers, and a number and a text that is one, are compared by value
//!   (`1 == 1.0 == "1.00"`), a blank text counts as 0 beside a number, texts are compared as they are, a boolean beside a
//!   number counts as 1 or 0, and beside a text it equals the text's truth. A list or an object equals only what is, like
//!   itself, not true. `===` and the items of `in` are of one kind and equal; lists and objects never are.
//! - **Truth**: null, `false`, 0, `""` and the empty list are not true, everything else is; `"0"` and `{}` are.
//! - **`var`**: nothing and null are the same: the second operand is given then, or null. At each dot the longest key of the
//!   data that fits is tried first, so keys may hold dots. A number is a position of a list. `""`, null and no operand give
//!   everything, but not inside of `reduce`, where it is called `current` and `accumulator`. [`Names`] tells where the
//!   first segment leads.
//! - **`cat`** writes numbers in their shortest form, null as nothing and lists with commas; objects have no text.
//!   **`substr`** counts characters, from the end where a number is negative. **`in`** looks for a text, number or boolean in a
//!   text.
//! - **`map` and `filter`** give an empty list for what is no list, `all` and `some` are false then and `none` is true; `all`
//!   of an empty list is false. **`reduce`** gives what it starts with. **`log`** gives its operand and writes nothing.
//! - **Durations** are ISO 8601 texts of days, hours, minutes and seconds, moments are RFC 3339 texts, both to the
//!   microsecond. `{"duration.between": [from, to]}` and `{"duration.of": [number, unit]}` give `PT26H30M`,
//!   `{"duration.as": [duration, unit]}` gives the whole units in it; units are `MILLIS SECONDS MINUTES HOURS DAYS`. Of what is
//!   no moment, duration or whole number they make null.
//!
//! Everything is bounded: the text by [`ExpressionLimits`], the work by its steps (one for each part that is evaluated, for each
//! item of a list that is made, and for each 256 bytes of text and 32 members of an object that are looked through), texts that are
//! made by 16 KiB.

mod arithmetic;
mod compare;
mod duration;
mod error;
mod evaluate;
mod facts;
mod lists;
mod operator;
mod parse;
mod text;
mod value;

pub use error::{EvaluationError, ExpressionError};
pub use facts::{Facts, Names};

use crate::quantity::Quantity;
use evaluate::Run;
use operator::Operator;
use value::number_of;

/// How large an expression may be, and how much work one evaluation of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpressionLimits {
    /// Bytes of its text.
    pub bytes: usize,
    /// Operations and values in it.
    pub nodes: usize,
    /// Arrays and objects inside of each other; more than [`ExpressionLimits::MAX_DEPTH`] is read as that.
    pub depth: usize,
    /// Steps of one evaluation.
    pub steps: u32,
}

impl ExpressionLimits {
    /// The deepest nesting that can be allowed: evaluation takes stack for each level.
    pub const MAX_DEPTH: usize = 64;
}

impl Default for ExpressionLimits {
    fn default() -> Self {
        Self { bytes: 4096, nodes: 512, depth: 32, steps: 20_000 }
    }
}

/// An expression that was read once, to be evaluated for many events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    text: Box<str>,
    root: Part,
    steps: u32,
}

/// A part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Null,
    Bool(bool),
    Number(Quantity),
    Text(Box<str>),
    List(Box<[Part]>),
    Operation { operator: Operator, operands: Box<[Part]> },
}

impl Expression {
    /// Reads an expression: valid JSON, no key twice, known operators with as many operands as they take, within the limits.
    pub fn parse(text: &str, limits: &ExpressionLimits) -> Result<Self, ExpressionError> {
        Ok(Self { text: text.into(), root: parse::parse(text, limits)?, steps: limits.steps })
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the expression gives for an event's data.
    pub fn evaluate(&self, facts: &Facts<'_>, names: &Names) -> Result<Outcome, EvaluationError> {
        Run::new(facts.tree(), names, self.steps).outcome(&self.root)
    }
}

/// What an expression gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Null: nothing was found, or an operand was no number.
    Null,
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(Quantity),
    /// A text.
    Text(Box<str>),
    /// A list.
    List {
        /// How many items it has.
        items: usize,
    },
    /// An object of the event's data.
    Object,
}

impl Outcome {
    /// Whether it is true in JSON-Logic: null, `false`, 0, `""` and the empty list are not, everything else is.
    pub fn is_truthy(&self) -> bool {
        match self {
            Outcome::Null => false,
            Outcome::Bool(value) => *value,
            Outcome::Number(number) => !number.is_zero(),
            Outcome::Text(text) => !text.is_empty(),
            Outcome::List { items } => *items > 0,
            Outcome::Object => true,
        }
    }

    /// The number that it is, also as a text of one. Anything else is an error that says what it is, never zero.
    pub fn number(&self) -> Result<Quantity, EvaluationError> {
        let found = match self {
            Outcome::Number(number) => return Ok(*number),
            Outcome::Text(text) => match number_of(text)? {
                Some(number) => return Ok(number),
                None => format!("the text {:?}", error::shortened(text)),
            },
            Outcome::Null => "null".into(),
            Outcome::Bool(value) => value.to_string(),
            Outcome::List { .. } => "a list".into(),
            Outcome::Object => "an object".into(),
        };
        Err(EvaluationError::NotANumber { found })
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
