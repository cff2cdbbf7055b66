//! JSONPaths, parsed once to a list of steps and never pasted into anything.

use std::fmt;

/// The longest path that is read, in bytes.
const MAX_LENGTH: usize = 1024;

/// A path into event data, for example `$.usage.tokens`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JsonPath {
    text: Box<str>,
    steps: Box<[Step]>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// A member of an object.
    Member(Box<str>),
    /// An element of an array, from 0.
    Index(usize),
    /// Elements of an array, both ends included.
    Slice {
        /// First position.
        first: usize,
        /// Last position.
        last: usize,
    },
    /// Every element of an array.
    Every,
}

/// Why a text is no path, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a supported JSONPath: {reason} at position {position}")]
pub struct JsonPathError {
    text: String,
    reason: &'static str,
    position: usize,
}

impl JsonPath {
    /// Parses `$`, `.name`, `."quoted name"`, `['name']`, `[0]`, `[0 to 2]` and `[*]`. Recursive descent, negative
    /// positions, filters and functions are not supported, as in the vendor's server.
    pub fn parse(text: &str) -> Result<Self, JsonPathError> {
        let mut parser = Parser { text, position: 0 };
        if text.len() > MAX_LENGTH {
            return Err(parser.fail("it is longer than 1024 bytes"));
        }
        if !parser.take("$") {
            return Err(parser.fail("it must start with '$'"));
        }
        let mut steps = Vec::new();
        while parser.position < text.len() {
            steps.push(parser.step()?);
        }
        Ok(Self { text: text.into(), steps: steps.into() })
    }

    /// The path through members of objects; `None` when a name cannot be written in a path.
    pub fn of_members<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut text = String::from("$");
        for name in names {
            let quote = if name.contains('\'') { '"' } else { '\'' };
            text.extend(["[", quote.encode_utf8(&mut [0; 4]), name, quote.encode_utf8(&mut [0; 4]), "]"]);
        }
        Self::parse(&text).ok()
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

struct Parser<'a> {
    text: &'a str,
    position: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.position..]
    }

    fn fail(&self, reason: &'static str) -> JsonPathError {
        JsonPathError { text: self.text.chars().take(80).collect(), reason, position: self.position }
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.position += token.len();
        }
        found
    }

    fn step(&mut self) -> Result<Step, JsonPathError> {
        if self.take(".") {
            return match self.rest().bytes().next() {
                Some(quote @ (b'"' | b'`')) => self.quoted(char::from(quote)),
                _ => self.name(),
            };
        }
        if !self.take("[") {
            return Err(self.fail("expected '.' or '['"));
        }
        let step = match self.rest().bytes().next() {
            Some(quote @ (b'"' | b'\'')) => self.quoted(char::from(quote))?,
            Some(b'*') => {
                self.position += 1;
                Step::Every
            }
            _ => self.position_or_slice()?,
        };
        if self.take("]") { Ok(step) } else { Err(self.fail("expected ']'")) }
    }

    fn name(&mut self) -> Result<Step, JsonPathError> {
        let length = self.rest().bytes().take_while(|c| c.is_ascii_alphanumeric() || *c == b'_').count();
        if length == 0 {
            return Err(self.fail("expected a name of letters, digits and '_' (quote any other name: $['a-b'])"));
        }
        let name = self.rest()[..length].into();
        self.position += length;
        Ok(Step::Member(name))
    }

    fn quoted(&mut self, quote: char) -> Result<Step, JsonPathError> {
        self.position += 1;
        let Some(length) = self.rest().find(quote) else { return Err(self.fail("the quote is not closed")) };
        let name = &self.rest()[..length];
        if name.is_empty() || name.contains('\\') {
            return Err(self.fail("a quoted name must not be empty or hold a backslash"));
        }
        let step = Step::Member(name.into());
        self.position += length + 1;
        Ok(step)
    }

    fn position_or_slice(&mut self) -> Result<Step, JsonPathError> {
        let first = self.number()?;
        if !self.take(" to ") {
            return Ok(Step::Index(first));
        }
        let last = self.number()?;
        if last < first {
            return Err(self.fail("the range is backwards"));
        }
        Ok(Step::Slice { first, last })
    }

    fn number(&mut self) -> Result<usize, JsonPathError> {
        let length = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let digits = &self.rest()[..length];
        let value = digits.parse().map_err(|_| self.fail("expected a position such as 0, or '*'"))?;
        self.position += length;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_supported_forms() {
        for good in [
            "$",
            "$.a",
            "$.a.b",
            "$['a-b']",
            "$[\"a-b\"]",
            "$.\"a b\"",
            "$.`a b`",
            "$.1a",
            "$[0]",
            "$.a[0]",
            "$.a[*]",
            "$.a[0 to 2]",
        ] {
            assert_eq!(JsonPath::parse(good).unwrap().to_string(), good);
        }
        assert_eq!(JsonPath::parse("$['a'].b").unwrap().steps(), JsonPath::parse("$.a.b").unwrap().steps());
    }

    #[test]
    fn refuses_the_rest_and_says_where() {
        for bad in [
            "",
            "a",
            "$.",
            "$.a-b",
            "$..a",
            "$.*",
            "$.a[-1]",
            "$.a[0:2]",
            "$[?(@.a)]",
            "$.é",
            "$ .a",
            "$.a ",
            "$['a",
            "$[]",
            "$.a[2 to 1]",
            "$[99999999999999999999999]",
            "$.a'); DROP TABLE",
        ] {
            assert!(JsonPath::parse(bad).is_err(), "{bad}");
        }
        assert!(JsonPath::parse("$.a-b").unwrap_err().to_string().ends_with("at position 3"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,30}|[$.a\\[\\]'\"0-9 to*]{0,20}") {
            let _ = JsonPath::parse(&text);
        }
    }
}
