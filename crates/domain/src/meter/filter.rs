//! Conditions on a text: a subject, a dimension, an attribute of an event.

use std::collections::BTreeSet;

/// A condition. Comparison is byte-wise; what is not text was made text by [`super::dimension_text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Equal.
    Eq(String),
    /// Not equal.
    Ne(String),
    /// One of these.
    In(BTreeSet<String>),
    /// None of these.
    NotIn(BTreeSet<String>),
    /// Holds this text somewhere.
    Contains(String),
    /// Like a pattern.
    Like(LikePattern),
    /// Unlike a pattern.
    NotLike(LikePattern),
    /// Greater.
    Gt(String),
    /// Greater or equal.
    Gte(String),
    /// Less.
    Lt(String),
    /// Less or equal.
    Lte(String),
    /// All of them hold.
    All(Vec<Filter>),
    /// At least one of them holds.
    Any(Vec<Filter>),
}

impl Filter {
    /// Whether the text passes.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Filter::Eq(wanted) => text == wanted,
            Filter::Ne(unwanted) => text != unwanted,
            Filter::In(wanted) => wanted.contains(text),
            Filter::NotIn(unwanted) => !unwanted.contains(text),
            Filter::Contains(part) => text.contains(part.as_str()),
            Filter::Like(pattern) => pattern.matches(text),
            Filter::NotLike(pattern) => !pattern.matches(text),
            Filter::Gt(bound) => text > bound.as_str(),
            Filter::Gte(bound) => text >= bound.as_str(),
            Filter::Lt(bound) => text < bound.as_str(),
            Filter::Lte(bound) => text <= bound.as_str(),
            Filter::All(filters) => filters.iter().all(|filter| filter.matches(text)),
            Filter::Any(filters) => filters.iter().any(|filter| filter.matches(text)),
        }
    }

    /// The exact texts that can pass, if the condition names them: what an index can look up.
    pub fn exact_texts(&self) -> Option<Vec<&str>> {
        match self {
            Filter::Eq(wanted) => Some(vec![wanted]),
            Filter::In(wanted) => Some(wanted.iter().map(String::as_str).collect()),
            Filter::All(filters) => filters.iter().find_map(Filter::exact_texts),
            _ => None,
        }
    }
}

/// An SQL `LIKE` pattern: `%` is any text, `_` any character, `\` takes the next character literally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LikePattern {
    text: Box<str>,
    tokens: Vec<Token>,
    ignore_case: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    AnyChar,
    AnyText,
}

impl LikePattern {
    /// Reads a pattern; every text is one. With `ignore_case` both sides are lowercased.
    pub fn new(pattern: &str, ignore_case: bool) -> Self {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' if tokens.last() == Some(&Token::AnyText) => {}
                '%' => tokens.push(Token::AnyText),
                '_' => tokens.push(Token::AnyChar),
                '\\' => push_literal(&mut tokens, chars.next().unwrap_or('\\'), ignore_case),
                c => push_literal(&mut tokens, c, ignore_case),
            }
        }
        Self { text: pattern.into(), tokens, ignore_case }
    }

    /// The pattern of all texts that hold this part.
    pub fn containing(part: &str, ignore_case: bool) -> Self {
        let escaped = part.chars().flat_map(|c| matches!(c, '%' | '_' | '\\').then_some('\\').into_iter().chain([c]));
        Self::new(&format!("%{}%", escaped.collect::<String>()), ignore_case)
    }

    /// The part that a text has to hold, when the pattern says nothing else.
    pub fn part(&self) -> Option<String> {
        let literals = self.tokens.strip_prefix(&[Token::AnyText])?.strip_suffix(&[Token::AnyText])?;
        literals.iter().map(|token| if let Token::Literal(c) = token { Some(*c) } else { None }).collect()
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether upper and lower case are the same.
    pub fn ignores_case(&self) -> bool {
        self.ignore_case
    }

    /// Whether the whole text matches. Runs in O(pattern × text), whatever the pattern.
    pub fn matches(&self, text: &str) -> bool {
        let text: Vec<char> =
            if self.ignore_case { text.chars().flat_map(char::to_lowercase).collect() } else { text.chars().collect() };
        let (mut at, mut token) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while at < text.len() {
            match self.tokens.get(token) {
                Some(Token::AnyText) => {
                    retry = Some((token + 1, at));
                    token += 1;
                }
                Some(Token::AnyChar) => (at, token) = (at + 1, token + 1),
                Some(Token::Literal(c)) if *c == text[at] => (at, token) = (at + 1, token + 1),
                _ => {
                    // Let the last `%` swallow one more character and try again from there.
                    let Some((after_any, swallowed)) = retry else { return false };
                    retry = Some((after_any, swallowed + 1));
                    (at, token) = (swallowed + 1, after_any);
                }
            }
        }
        self.tokens[token..].iter().all(|rest| *rest == Token::AnyText)
    }
}

fn push_literal(tokens: &mut Vec<Token>, c: char, ignore_case: bool) {
    match ignore_case {
        true => tokens.extend(c.to_lowercase().map(Token::Literal)),
        false => tokens.push(Token::Literal(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_follows_sql() {
        let like = |pattern: &str, text: &str| LikePattern::new(pattern, false).matches(text);
        for (pattern, text) in [
            ("gpt-%", "gpt-4"),
            ("%", ""),
            ("a_c", "abc"),
            ("a\\%", "a%"),
            ("%b%", "abc"),
            ("", ""),
            ("%a%b", "xaayb"),
            ("_", "é"),
        ] {
            assert!(like(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("gpt-%", "GPT-4"), ("a_c", "ac"), ("a\\%", "ab"), ("", "x"), ("%a", "ab"), ("_", "")] {
            assert!(!like(pattern, text), "{pattern} {text}");
        }
        assert!(LikePattern::new("GPT-%", true).matches("gpt-4"));
        assert!(LikePattern::new("É", true).matches("é"));
    }

    #[test]
    fn a_part_is_a_pattern_and_back() {
        for part in ["b", "5%_\\", "é", ""] {
            let pattern = LikePattern::containing(part, false);
            assert!(pattern.matches(&format!("a{part}c")), "{part}");
            assert_eq!(pattern.part().as_deref(), (!part.is_empty()).then_some(part));
        }
        for other in ["a%", "%a", "%a%b%", "%a_%", "a"] {
            assert_eq!(LikePattern::new(other, false).part(), None, "{other}");
        }
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_its_product() {
        assert!(!LikePattern::new(&"%a".repeat(500), false).matches(&"a".repeat(499)));
        assert!(!LikePattern::new(&format!("{}b", "%a".repeat(200)), false).matches(&"a".repeat(5000)));
    }

    #[test]
    fn conditions_combine() {
        let range = Filter::All(vec![Filter::Gte("b".into()), Filter::Lt("d".into())]);
        assert!(range.matches("c") && !range.matches("d") && !range.matches("a"));
        let either = Filter::Any(vec![Filter::Eq("x".into()), Filter::In(["y".to_string()].into())]);
        assert!(either.matches("x") && either.matches("y") && !either.matches("z"));
        assert!(Filter::NotIn(["y".to_string()].into()).matches("x"));
        assert!(Filter::Contains("b".into()).matches("abc"));
    }
}
