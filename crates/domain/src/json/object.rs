//! A JSON object that is kept and given back, and never looked into.

use super::strict::{JsonError, check};

/// How deep a kept object may nest.
const MAX_DEPTH: usize = 64;

/// A JSON object as its sender wrote it, to the digit: valid, no key twice, nested 64 deep at most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonObject(Box<str>);

impl JsonObject {
    /// Checks a text; blanks around the object are left out.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        check(text, MAX_DEPTH)?;
        match text.starts_with('{') {
            true => Ok(Self(text.into())),
            false => Err(JsonError("value must be an object".into())),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for JsonObject {
    /// `{}`.
    fn default() -> Self {
        Self("{}".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_kept_to_the_digit_and_nothing_else_passes() {
        let text = r#"{"b": 1.10, "a": {"n": 12345678901234567890123}}"#;
        assert_eq!(JsonObject::parse(&format!("\n {text} ")).unwrap().as_str(), text);
        for bad in ["", "[]", "null", "1", "\"{}\"", "{", r#"{"a":1,"a":2}"#, &"{\"a\":".repeat(65)] {
            assert!(JsonObject::parse(bad).is_err(), "{bad}");
        }
    }
}
