//! What an event's data says at a path: a number, a text to tell apart, or a reason why not.

use super::JsonPath;
use crate::json::{Leaf, lookup};
use crate::quantity::{Quantity, QuantityError};
use std::borrow::Cow;

/// Why an event does not count for a meter that wants its type. It is kept and shown; it is never read as zero.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotCounted {
    /// The event has no data at all.
    #[error("invalid event: null and missing value property")]
    NoData,
    /// The data has no such property.
    #[error("invalid event: missing value property: {path:?}")]
    Missing {
        /// Where the value should be.
        path: String,
    },
    /// The property is `null`.
    #[error("invalid event: value cannot be null")]
    Null,
    /// The text `NaN`.
    #[error("invalid event: value cannot be NaN")]
    NotANumberText,
    /// A text such as `Infinity`.
    #[error("invalid event: value cannot be infinity")]
    Infinite,
    /// A text that is no number.
    #[error("invalid event: value is not a decimal number: {text:?}")]
    NotNumeric {
        /// The text, shortened.
        text: String,
    },
    /// A number that cannot be held exactly.
    #[error("invalid event: value has more than 28 significant digits or is out of range: {text}")]
    OutOfRange {
        /// The digits, shortened.
        text: String,
    },
    /// A boolean, an array or an object.
    #[error("invalid event: unsupported value property type: {kind}")]
    UnsupportedType {
        /// `bool`, `array` or `object`.
        kind: &'static str,
    },
    /// The meter judged the event when it was accepted, and its rule or its active periods leave the event out.
    #[error("the meter's rule or its active periods leave the event out")]
    NotSelected,
    /// The meter judged the event when it was accepted, and its units could not be told.
    #[error("invalid event: {why}")]
    RuleFailed {
        /// What was wrong.
        why: String,
    },
}

impl NotCounted {
    /// A stable word for the reason: a group in reports, a label in metrics.
    pub fn code(&self) -> &'static str {
        match self {
            NotCounted::NoData => "no_data",
            NotCounted::Missing { .. } => "missing_value",
            NotCounted::Null => "null_value",
            NotCounted::NotANumberText | NotCounted::Infinite | NotCounted::NotNumeric { .. } => "not_numeric",
            NotCounted::OutOfRange { .. } => "out_of_range",
            NotCounted::UnsupportedType { .. } => "unsupported_type",
            NotCounted::NotSelected => "not_selected",
            NotCounted::RuleFailed { .. } => "rule_failed",
        }
    }

    /// What a code of [`NotCounted::code`] means, for people.
    pub fn describe_code(code: &str) -> &'static str {
        match code {
            "no_data" => "the event has no data",
            "missing_value" => "the value property is missing",
            "null_value" => "the value is null",
            "not_numeric" => "the value is not a decimal number",
            "out_of_range" => "the value has more than 28 significant digits or is out of range",
            "not_selected" => "the meter's rule or its active periods leave the event out",
            "rule_failed" => "the units of the event cannot be told",
            "unsupported_type" => "the value is a boolean, an array or an object",
            _ => "unknown reason",
        }
    }
}

/// The number at a path, from a JSON number or a numeric string (`"10"` and `10` are the same).
pub fn numeric_value(data: Option<&str>, path: &JsonPath) -> Result<Quantity, NotCounted> {
    numeric_leaf(&present_leaf(data, path)?, path)
}

/// The number in what stands at a path of an event's data.
pub fn numeric_leaf(leaf: &Leaf<'_>, path: &JsonPath) -> Result<Quantity, NotCounted> {
    match leaf {
        Leaf::Number(text) => Quantity::parse(text).map_err(|error| refused(text, error)),
        Leaf::Text(text) => Quantity::parse(text).map_err(|error| refused(text, error)),
        Leaf::Bool(_) => Err(NotCounted::UnsupportedType { kind: "bool" }),
        other => Err(without_value(other, path)),
    }
}

/// The text at a path for telling values apart: the number `1`, `1.0` and the string `"1"` are the same.
pub fn distinct_value<'a>(data: Option<&'a str>, path: &JsonPath) -> Result<Cow<'a, str>, NotCounted> {
    distinct_leaf(present_leaf(data, path)?, path)
}

/// The text for telling values apart in what stands at a path of an event's data.
pub fn distinct_leaf<'a>(leaf: Leaf<'a>, path: &JsonPath) -> Result<Cow<'a, str>, NotCounted> {
    match leaf {
        Leaf::Number(text) => Ok(number_text(text)),
        Leaf::Text(text) => Ok(text),
        Leaf::Bool(value) => Ok(bool_text(value).into()),
        other => Err(without_value(&other, path)),
    }
}

/// The text at a path for grouping and filtering: missing, array and object are `""`, `null` is `"null"`, numbers are in
/// their shortest form.
pub fn dimension_text<'a>(data: Option<&'a str>, path: &JsonPath) -> Cow<'a, str> {
    dimension_leaf(data.map_or(Leaf::Missing, |data| lookup(data, path)))
}

/// The text for grouping and filtering of what stands at a path.
pub fn dimension_leaf(leaf: Leaf<'_>) -> Cow<'_, str> {
    match leaf {
        Leaf::Text(text) => text,
        Leaf::Number(text) => number_text(text),
        Leaf::Bool(value) => bool_text(value).into(),
        Leaf::Null => "null".into(),
        Leaf::Missing | Leaf::Array | Leaf::Object => "".into(),
    }
}

fn present_leaf<'a>(data: Option<&'a str>, path: &JsonPath) -> Result<Leaf<'a>, NotCounted> {
    data.map(|data| lookup(data, path)).ok_or(NotCounted::NoData)
}

fn without_value(leaf: &Leaf<'_>, path: &JsonPath) -> NotCounted {
    match leaf {
        Leaf::Null => NotCounted::Null,
        Leaf::Array => NotCounted::UnsupportedType { kind: "array" },
        Leaf::Object => NotCounted::UnsupportedType { kind: "object" },
        _ => NotCounted::Missing { path: path.to_string() },
    }
}

fn number_text(text: &str) -> Cow<'_, str> {
    match Quantity::parse(text) {
        Ok(quantity) => quantity.to_string().into(),
        Err(_) => text.into(),
    }
}

fn bool_text(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

fn refused(text: &str, error: QuantityError) -> NotCounted {
    let shown: String = text.chars().take(64).collect();
    let unsigned = shown.trim_start_matches(['+', '-']).to_ascii_lowercase();
    match error {
        QuantityError::OutOfRange => NotCounted::OutOfRange { text: shown },
        QuantityError::NotANumber if unsigned == "nan" => NotCounted::NotANumberText,
        QuantityError::NotANumber if unsigned == "inf" || unsigned == "infinity" => NotCounted::Infinite,
        QuantityError::NotANumber => NotCounted::NotNumeric { text: shown },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(data: &str) -> Result<String, &'static str> {
        numeric_value(Some(data), &JsonPath::parse("$.v").unwrap()).map(|q| q.to_string()).map_err(|e| e.code())
    }

    #[test]
    fn numbers_and_numeric_strings_count_and_nothing_else() {
        for (data, want) in [
            (r#"{"v":10}"#, Ok("10")),
            (r#"{"v":"10"}"#, Ok("10")),
            (r#"{"v":-0}"#, Ok("0")),
            (r#"{"v":1e3}"#, Ok("1000")),
            (r#"{"v":0.10}"#, Ok("0.1")),
            (r#"{"v":" 10"}"#, Err("not_numeric")),
            (r#"{"v":""}"#, Err("not_numeric")),
            (r#"{"v":"NaN"}"#, Err("not_numeric")),
            (r#"{"v":"Infinity"}"#, Err("not_numeric")),
            (r#"{"v":"١٢"}"#, Err("not_numeric")),
            (r#"{"v":"1e400"}"#, Err("out_of_range")),
            (r#"{"v":1234567890123456789012345678901234567890}"#, Err("out_of_range")),
            (r#"{"v":null}"#, Err("null_value")),
            (r#"{"v":true}"#, Err("unsupported_type")),
            (r#"{"v":[1]}"#, Err("unsupported_type")),
            (r#"{"v":{}}"#, Err("unsupported_type")),
            (r#"{}"#, Err("missing_value")),
        ] {
            assert_eq!(number(data).as_deref(), want.as_ref().copied(), "{data}");
        }
        assert_eq!(numeric_value(None, &JsonPath::parse("$.v").unwrap()), Err(NotCounted::NoData));
    }

    #[test]
    fn every_reason_has_a_description() {
        for code in ["no_data", "missing_value", "null_value", "not_numeric", "out_of_range", "unsupported_type"] {
            assert_ne!(NotCounted::describe_code(code), "unknown reason");
        }
    }

    #[test]
    fn dimensions_are_texts() {
        let path = JsonPath::parse("$.d").unwrap();
        for (data, text) in [
            (r#"{"d":"x"}"#, "x"),
            (r#"{"d":1.0}"#, "1"),
            (r#"{"d":true}"#, "true"),
            (r#"{"d":null}"#, "null"),
            (r#"{"d":{}}"#, ""),
            (r#"{}"#, ""),
        ] {
            assert_eq!(dimension_text(Some(data), &path), text, "{data}");
        }
        assert_eq!(dimension_text(None, &path), "");
        assert_eq!(distinct_value(Some(r#"{"d":1.0}"#), &path).unwrap(), "1");
    }
}
