//! The check that data passes once, at the door: valid JSON, bounded depth, no key twice in one object.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashSet;
use std::fmt;

/// Why a JSON text is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JsonError(pub(super) String);

const TOO_DEEP: &str = "JSON is nested too deeply";

impl JsonError {
    /// An error in words of the reader's own.
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }

    pub(super) fn too_deep() -> Self {
        Self(TOO_DEEP.into())
    }

    /// Whether the text is refused for its depth.
    pub fn is_too_deep(&self) -> bool {
        self.0.starts_with(TOO_DEEP)
    }
}

/// Checks a JSON text: syntax, depth of at most `max_depth` (127 at most), and no duplicate keys, since a reader that
/// keeps the first and one that keeps the last would bill different amounts.
pub fn check(text: &str, max_depth: usize) -> Result<(), JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Strict { depth_left: max_depth }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())
        .map_err(|error| JsonError(error.to_string()))
}

#[derive(Clone, Copy)]
struct Strict {
    depth_left: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth_left = self.depth_left.checked_sub(1).ok_or_else(|| E::custom(TOO_DEEP))?;
        Ok(Self { depth_left })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen: HashSet<String> = HashSet::new();
        while let Some(key) = entries.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format_args!("duplicate key {key:?}")));
            }
            entries.next_value_seed(inner)?;
            seen.insert(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_sound_json_only() {
        for good in ["{}", "null", r#"{"a":[1,2.5e3,"x",null,true,{"b":{}}]}"#, r#"{"a":{"x":1},"b":{"x":2}}"#] {
            assert_eq!(check(good, 16), Ok(()), "{good}");
        }
        for bad in ["", "{", r#"{"a":1,}"#, "{} x", "NaN", r#"{"a":01}"#, r#""\ud800""#, "{'a':1}"] {
            assert!(check(bad, 16).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_of_any_size_are_left_to_the_meter() {
        // 1e400 does not fit a float; whether it can be counted is the meter's question, but this parser refuses it.
        assert!(check(r#"{"a":12345678901234567890123456789012345678901234567890}"#, 4).is_ok());
    }

    #[test]
    fn a_key_that_comes_twice_is_refused_however_it_is_escaped() {
        for bad in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":{"k":1,"k":1}}"#] {
            assert!(check(bad, 16).unwrap_err().to_string().contains("duplicate key"), "{bad}");
        }
    }

    #[test]
    fn depth_is_bounded_without_using_the_stack() {
        assert!(check("[[[]]]", 3).is_ok());
        assert!(check("[[[[]]]]", 3).is_err());
        assert!(check(&"[".repeat(100_000), 64).is_err());
        assert!(check(&r#"{"a":"#.repeat(100_000), 64).is_err());
    }
}
