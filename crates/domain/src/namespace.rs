//! The tenant. Every lookup carries one in its type.

use std::fmt;
use std::sync::Arc;

/// A tenant's name: 1–64 of `a-z 0-9 _ -`, starting with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

/// Why a text is no namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("namespace {0:?} is not valid: use 1 to 64 of a-z, 0-9, '_' and '-', starting with a letter or digit")]
pub struct NamespaceError(String);

impl Namespace {
    /// Parses a namespace name.
    pub fn parse(text: &str) -> Result<Self, NamespaceError> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
        let starts_well = text.bytes().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if starts_well && text.len() <= 64 && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(NamespaceError(text.chars().take(80).collect()))
        }
    }

    /// The namespace of a server that was never given another: `default`.
    pub fn default_namespace() -> Self {
        Self("default".into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_plain_names_only() {
        for good in ["default", "a", "tenant-1", "0x_y"] {
            assert_eq!(Namespace::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "A", "a b", "ä", &"a".repeat(65), "a/b", "a\0"] {
            assert!(Namespace::parse(bad).is_err(), "{bad:?}");
        }
    }
}
