//! Keys with which a sender names a request, so that it can be sent again without being done again.

use std::fmt;
use std::sync::Arc;

/// The longest key, in characters.
pub const MAX_IDEMPOTENCY_KEY: usize = 255;

/// A sender's name for one request: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(Arc<str>);

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdempotencyKeyError {
    /// It has no character, or more than 255.
    #[error("it has {0} characters, and must have 1 to {MAX_IDEMPOTENCY_KEY}")]
    Length(usize),
    /// It has a character that is not allowed.
    #[error("it holds {0:?}, and may hold only visible ASCII characters, no space")]
    Character(char),
}

impl IdempotencyKey {
    /// Reads a key.
    pub fn parse(text: &str) -> Result<Self, IdempotencyKeyError> {
        if let Some(other) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(IdempotencyKeyError::Character(other));
        }
        match text.len() {
            1..=MAX_IDEMPOTENCY_KEY => Ok(Self(text.into())),
            length => Err(IdempotencyKeyError::Length(length)),
        }
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_visible_ascii_of_a_bounded_length() {
        let longest = "k".repeat(MAX_IDEMPOTENCY_KEY);
        for good in ["k", "8e03978e-40d5-43dd-bc93-6894a57f9324", "!\"\\~", &longest] {
            assert_eq!(IdempotencyKey::parse(good).unwrap().as_str(), good);
        }
        let too_long = "k".repeat(MAX_IDEMPOTENCY_KEY + 1);
        assert_eq!(IdempotencyKey::parse(""), Err(IdempotencyKeyError::Length(0)));
        assert_eq!(IdempotencyKey::parse(&too_long), Err(IdempotencyKeyError::Length(256)));
        for (bad, character) in [("a b", ' '), ("a\tb", '\t'), ("ä", 'ä'), ("a\u{7f}", '\u{7f}')] {
            assert_eq!(IdempotencyKey::parse(bad), Err(IdempotencyKeyError::Character(character)));
        }
    }
}
