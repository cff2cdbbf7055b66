//! A whole JSON text as a tree, for readers that look at many of its values.

use super::JsonError;
use std::borrow::Cow;

/// A JSON value. Texts are borrowed where they have no escapes, numbers are the digits that were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, in its digits.
    Number(&'a str),
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Tree<'a>>),
    /// An object, its members in their order.
    Object(Vec<(Cow<'a, str>, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    /// Reads a text once, from its first byte to its last. Arrays and objects nest at most `max_depth` deep (127 at
    /// most). It does not look for keys that come twice: the text has passed [`super::check`].
    pub fn read(text: &'a str, max_depth: usize) -> Result<Self, JsonError> {
        let mut reader = Reader { text, at: 0 };
        let tree = reader.value(max_depth.min(127))?;
        match reader.peek() {
            None => Ok(tree),
            Some(_) => Err(reader.fault("expected the end")),
        }
    }

    /// The member of an object with a key.
    pub fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Tree::Object(members) => members.iter().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn fault(&self, what: &str) -> JsonError {
        JsonError(format!("{what} at byte {}", self.at))
    }

    /// The next byte that is no space, which stays.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn takes(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn value(&mut self, depth_left: usize) -> Result<Tree<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => self.text().map(Tree::Text),
            Some(b'{') => self.object(self.deeper(depth_left)?),
            Some(b'[') => self.list(self.deeper(depth_left)?),
            Some(b't') => self.word("true", Tree::Bool(true)),
            Some(b'f') => self.word("false", Tree::Bool(false)),
            Some(b'n') => self.word("null", Tree::Null),
            _ => self.number(),
        }
    }

    fn deeper(&self, depth_left: usize) -> Result<usize, JsonError> {
        depth_left.checked_sub(1).ok_or_else(JsonError::too_deep)
    }

    fn word(&mut self, word: &str, tree: Tree<'a>) -> Result<Tree<'a>, JsonError> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.fault("expected a value"));
        }
        self.at += word.len();
        Ok(tree)
    }

    fn list(&mut self, depth_left: usize) -> Result<Tree<'a>, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        if self.takes(b']') {
            return Ok(Tree::List(items));
        }
        loop {
            items.push(self.value(depth_left)?);
            if self.takes(b']') {
                return Ok(Tree::List(items));
            }
            if !self.takes(b',') {
                return Err(self.fault("expected ',' or ']'"));
            }
        }
    }

    fn object(&mut self, depth_left: usize) -> Result<Tree<'a>, JsonError> {
        self.at += 1;
        let mut members = Vec::new();
        if self.takes(b'}') {
            return Ok(Tree::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.fault("expected a key"));
            }
            let key = self.text()?;
            if !self.takes(b':') {
                return Err(self.fault("expected ':'"));
            }
            members.push((key, self.value(depth_left)?));
            if self.takes(b'}') {
                return Ok(Tree::Object(members));
            }
            if !self.takes(b',') {
                return Err(self.fault("expected ',' or '}'"));
            }
        }
    }

    /// A string, with the opening quote next.
    fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let from = self.at;
        let mut bytes = self.text.as_bytes()[from + 1..].iter();
        let mut has_escapes = false;
        let mut len = 1;
        loop {
            len += 1;
            match bytes.next() {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    bytes.next();
                    len += 1;
                }
                Some(0..b' ') => return Err(self.fault("a control character in the string")),
                Some(_) => {}
                None => return Err(self.fault("a string without an end")),
            }
        }
        self.at += len;
        let quoted = &self.text[from..self.at];
        match has_escapes {
            false => Ok(Cow::Borrowed(&quoted[1..quoted.len() - 1])),
            true => serde_json::from_str(quoted).map(Cow::Owned).map_err(|error| JsonError(error.to_string())),
        }
    }

    fn number(&mut self) -> Result<Tree<'a>, JsonError> {
        let rest = &self.text.as_bytes()[self.at..];
        let sign = usize::from(rest.first() == Some(&b'-'));
        let whole = digits(&rest[sign..]);
        if whole == 0 || (whole > 1 && rest[sign] == b'0') {
            return Err(self.fault("expected a value"));
        }
        let mut len = sign + whole;
        if rest.get(len) == Some(&b'.') {
            let fraction = digits(&rest[len + 1..]);
            if fraction == 0 {
                return Err(self.fault("a number without digits after its point"));
            }
            len += 1 + fraction;
        }
        if matches!(rest.get(len), Some(b'e' | b'E')) {
            let exponent_sign = usize::from(matches!(rest.get(len + 1), Some(b'+' | b'-')));
            let exponent = digits(&rest[len + 1 + exponent_sign..]);
            if exponent == 0 {
                return Err(self.fault("a number without digits in its exponent"));
            }
            len += 1 + exponent_sign + exponent;
        }
        let from = self.at;
        self.at += len;
        Ok(Tree::Number(&self.text[from..self.at]))
    }
}

fn digits(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| byte.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::super::check;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_each_kind_of_value_as_it_was_written() {
        let text = " {\"a\" : [1.50, -2E+3 ,true,false,null,[ ],{ }], \"b\\u0063\":\"x\\\"é\\\\\", \"\":\"plain\" }\n";
        let tree = Tree::read(text, 8).unwrap();
        let items = [Tree::Number("1.50"), Tree::Number("-2E+3"), Tree::Bool(true), Tree::Bool(false), Tree::Null];
        let items = items.into_iter().chain([Tree::List(vec![]), Tree::Object(vec![])]).collect();
        assert_eq!(tree.member("a"), Some(&Tree::List(items)));
        assert_eq!(tree.member("bc"), Some(&Tree::Text("x\"é\\".into())));
        assert!(matches!(tree.member(""), Some(Tree::Text(Cow::Borrowed("plain")))));
        assert_eq!((tree.member("x"), Tree::Null.member("a")), (None, None));
    }

    #[test]
    fn what_is_no_sound_json_is_an_error_that_says_where() {
        for bad in [
            "",
            " ",
            "{",
            "[1,]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "-",
            "1e",
            "1e+",
            "+1",
            "tru",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\\",
            "\"\n\"",
            "1 1",
            "é",
        ] {
            assert!(Tree::read(bad, 8).is_err(), "{bad}");
        }
        assert_eq!(Tree::read("[1 2]", 8).unwrap_err().to_string(), "expected ',' or ']' at byte 3");
        assert!(Tree::read("[[[]]]", 3).is_ok());
        assert!(Tree::read("[[[]]]", 2).unwrap_err().is_too_deep());
        assert!(Tree::read(&"[".repeat(100_000), usize::MAX).unwrap_err().is_too_deep());
    }

    proptest! {
        #[test]
        fn says_the_same_as_the_strict_check(text in "[\\[\\]{}:,\"\\\\ab01.eE+-]{0,12}|\\[(-?[0-9]{1,3}(\\.[0-9])?(e[0-9])?,){0,3}1\\]") {
            if check(&text, 16).is_ok() {
                prop_assert!(Tree::read(&text, 16).is_ok(), "{}", text);
            } else if let Ok(tree) = Tree::read(&text, 16) {
                // A key that comes twice, or a number that no float could hold, is all that may be let through.
                prop_assert!(format!("{tree:?}").contains("Object") || text.contains(['e', 'E']), "{}", text);
            }
        }
    }
}
