//! The operators: their names and how many operands they take.

use std::ops::RangeInclusive;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Var,
    Missing,
    MissingSome,
    If,
    And,
    Or,
    Not,
    Truth,
    Equal,
    NotEqual,
    StrictlyEqual,
    StrictlyNotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Max,
    Min,
    Plus,
    Minus,
    Times,
    Divide,
    Remainder,
    Map,
    Filter,
    Reduce,
    All,
    Some,
    None,
    Merge,
    In,
    Cat,
    Substr,
    Log,
    DurationOf,
    DurationBetween,
    DurationAs,
}

const ANY: usize = usize::MAX;

/// Every operator with its name and the fewest and most operands.
const OPERATORS: &[(&str, Operator, RangeInclusive<usize>)] = &[
    ("var", Operator::Var, 0..=2),
    ("missing", Operator::Missing, 0..=ANY),
    ("missing_some", Operator::MissingSome, 2..=2),
    ("if", Operator::If, 0..=ANY),
    ("?:", Operator::If, 0..=ANY),
    ("and", Operator::And, 1..=ANY),
    ("or", Operator::Or, 1..=ANY),
    ("!", Operator::Not, 1..=1),
    ("!!", Operator::Truth, 1..=1),
    ("==", Operator::Equal, 2..=2),
    ("!=", Operator::NotEqual, 2..=2),
    ("===", Operator::StrictlyEqual, 2..=2),
    ("!==", Operator::StrictlyNotEqual, 2..=2),
    ("<", Operator::Less, 2..=3),
    ("<=", Operator::LessOrEqual, 2..=3),
    (">", Operator::Greater, 2..=2),
    (">=", Operator::GreaterOrEqual, 2..=2),
    ("max", Operator::Max, 1..=ANY),
    ("min", Operator::Min, 1..=ANY),
    ("+", Operator::Plus, 1..=ANY),
    ("-", Operator::Minus, 1..=2),
    ("*", Operator::Times, 1..=ANY),
    ("/", Operator::Divide, 2..=2),
    ("%", Operator::Remainder, 2..=2),
    ("map", Operator::Map, 2..=2),
    ("filter", Operator::Filter, 2..=2),
    ("reduce", Operator::Reduce, 2..=3),
    ("all", Operator::All, 2..=2),
    ("some", Operator::Some, 2..=2),
    ("none", Operator::None, 2..=2),
    ("merge", Operator::Merge, 0..=ANY),
    ("in", Operator::In, 2..=2),
    ("cat", Operator::Cat, 0..=ANY),
    ("substr", Operator::Substr, 2..=3),
    ("log", Operator::Log, 1..=1),
    ("duration.of", Operator::DurationOf, 2..=2),
    ("duration.between", Operator::DurationBetween, 2..=2),
    ("duration.as", Operator::DurationAs, 2..=2),
];

/// Operators that are refused although others have them: what they give is a date for some and a text for others.
const UNSETTLED: &[&str] = &["date", "date.add", "date.sub", "date_add", "date_sub"];

impl Operator {
    /// The operator of a name, its name and how many operands it takes.
    pub(super) fn named(name: &str) -> Option<(Operator, &'static str, RangeInclusive<usize>)> {
        let known = OPERATORS.iter().find(|(known, ..)| *known == name);
        known.map(|(name, operator, operands)| (*operator, *name, operands.clone()))
    }

    /// Its name, for messages.
    pub(super) fn name(self) -> &'static str {
        OPERATORS.iter().find(|(_, operator, _)| *operator == self).map_or("", |(name, ..)| name)
    }

    /// Whether a name is one of those that are refused with a reason.
    pub(super) fn is_unsettled(name: &str) -> bool {
        UNSETTLED.contains(&name)
    }

    /// All names, for messages.
    pub(super) fn names() -> String {
        OPERATORS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(" ")
    }
}

/// How many operands an operator takes, in words.
pub(super) fn in_words(operands: &RangeInclusive<usize>) -> String {
    let (fewest, most) = (*operands.start(), *operands.end());
    match (fewest, most) {
        (_, ANY) => format!("at least {fewest}"),
        _ if fewest == most => most.to_string(),
        _ => format!("{fewest} to {most}"),
    }
}
