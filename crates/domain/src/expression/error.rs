//! What is wrong with an expression, and why one has no result.

use crate::json::JsonError;
use crate::quantity::QuantityError;

/// Why a text is no expression. A place is written like a path: `$.*[1].var` is the key in the second operand of `*`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// More bytes than allowed.
    #[error("the expression has {bytes} bytes; at most {allowed} are allowed")]
    TooLong {
        /// Bytes of the text.
        bytes: usize,
        /// The most that are allowed.
        allowed: usize,
    },
    /// Arrays and objects inside of each other, more than allowed.
    #[error(
        "the expression is nested too deeply; at most {allowed} arrays and objects inside of each other are allowed"
    )]
    TooDeep {
        /// The most levels that are allowed.
        allowed: usize,
    },
    /// More operations and values than allowed.
    #[error("the expression has more than {allowed} operations and values, which is the most allowed")]
    TooManyNodes {
        /// The most that are allowed.
        allowed: usize,
    },
    /// No JSON, or a key twice in one object.
    #[error("the expression is not valid JSON: {0}")]
    NotJson(#[from] JsonError),
    /// An object that is no operation.
    #[error("{place}: an operation is an object with one member, its operator, but this object has {members}")]
    NotOneOperator {
        /// Where.
        place: String,
        /// How many members it has.
        members: usize,
    },
    /// An operator that does not exist.
    #[error("{place}: unknown operator {name:?}; the operators are {known}")]
    UnknownOperator {
        /// Where.
        place: String,
        /// What stands there, shortened.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// An operator that other engines have, but whose meaning is not settled.
    #[error(
        "{place}: operator {name:?} is not supported, as its engines do not agree on its result; use \"duration.between\" and \"duration.as\" to measure time"
    )]
    Unsettled {
        /// Where.
        place: String,
        /// The operator.
        name: String,
    },
    /// Too few or too many operands.
    #[error("{place}: operator {name:?} takes {allowed} operands, not {found}")]
    Operands {
        /// Where.
        place: String,
        /// The operator.
        name: &'static str,
        /// How many it takes, in words.
        allowed: String,
        /// How many there are.
        found: usize,
    },
    /// A literal number that cannot be held exactly.
    #[error("{place}: {digits}: {reason}")]
    Number {
        /// Where.
        place: String,
        /// Its digits, shortened.
        digits: String,
        /// Why not.
        reason: QuantityError,
    },
    /// A key of `var`, `missing` or `missing_some` that is none.
    #[error("{place}: a key must be a text such as \"attributes.distance\", a position or null, not {found}")]
    Key {
        /// Where.
        place: String,
        /// What stands there.
        found: &'static str,
    },
}

/// Why an expression has no result for an event. It is kept and shown, never read as zero or as `false`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// The budget of steps is used up.
    #[error("the expression takes more than {allowed} steps on this event")]
    TooManySteps {
        /// The most that are allowed.
        allowed: u32,
    },
    /// A text that was put together is too long.
    #[error("the expression makes a text of more than {allowed} bytes")]
    TextTooLong {
        /// The most bytes that are allowed.
        allowed: usize,
    },
    /// Lists that were put together hold each other too deeply.
    #[error("the expression makes lists that are nested more than {allowed} deep")]
    ListTooDeep {
        /// The most levels that are allowed.
        allowed: u32,
    },
    /// A result that cannot be held exactly.
    #[error("the result of {operator:?} has more than 28 significant digits or is out of range")]
    OutOfRange {
        /// The operator.
        operator: &'static str,
    },
    /// A number of the event that cannot be held exactly.
    #[error("{digits} has more than 28 significant digits or is out of range")]
    NumberOutOfRange {
        /// Its digits, shortened.
        digits: String,
    },
    /// A division by zero.
    #[error("{operator:?} divides by zero")]
    DivisionByZero {
        /// `/` or `%`.
        operator: &'static str,
    },
    /// An operand for which the operator has no meaning.
    #[error("{operator:?} needs {wanted}, not {found}")]
    Operand {
        /// The operator.
        operator: &'static str,
        /// What would be right.
        wanted: &'static str,
        /// What it got.
        found: String,
    },
    /// The expression gives something, but no number.
    #[error("the expression gives {found} instead of a number")]
    NotANumber {
        /// What it gives.
        found: String,
    },
}

/// The beginning of a text, for messages.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
