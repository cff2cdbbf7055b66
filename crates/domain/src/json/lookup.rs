//! One value out of a JSON text, by path, without building a tree.

use crate::meter::{JsonPath, Step};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf<'a> {
    /// Nothing: the path leads nowhere, or there is no data.
    Missing,
    /// JSON `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, in the digits in which it was sent.
    Number(&'a str),
    /// A string, unescaped.
    Text(Cow<'a, str>),
    /// An array, which has no single value.
    Array,
    /// An object, which has no single value.
    Object,
}

impl<'a> Leaf<'a> {
    /// Reads the text of one JSON value, without space around it. The text has passed [`super::check`].
    pub fn of(value: &'a str) -> Self {
        leaf_of(value)
    }
}

/// Finds the first value that the path matches. `text` has passed [`super::check`].
pub fn lookup<'a>(text: &'a str, path: &JsonPath) -> Leaf<'a> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    match (Seek { steps: path.steps() }).deserialize(&mut deserializer) {
        Ok(Some(raw)) => leaf_of(raw.get()),
        // Found, or not to be found: the text itself was checked at the door.
        Ok(None) | Err(_) => Leaf::Missing,
    }
}

fn leaf_of(raw: &str) -> Leaf<'_> {
    match raw.as_bytes().first() {
        Some(b'{') => Leaf::Object,
        Some(b'[') => Leaf::Array,
        Some(b'n') => Leaf::Null,
        Some(b't') => Leaf::Bool(true),
        Some(b'f') => Leaf::Bool(false),
        Some(b'"') => unescape(raw).map_or(Leaf::Missing, Leaf::Text),
        Some(_) => Leaf::Number(raw),
        None => Leaf::Missing,
    }
}

fn unescape(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.get(1..raw.len() - 1)?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

struct Seek<'p> {
    steps: &'p [Step],
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.steps.is_empty() {
            return <&RawValue as serde::Deserialize>::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }
    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let Step::Member(wanted) = &self.steps[0] else {
            while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(None);
        };
        let mut found = None;
        while let Some(matches) = entries.next_key_seed(KeyIs(wanted))? {
            if matches {
                found = entries.next_value_seed(Seek { steps: &self.steps[1..] })?;
            } else {
                entries.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let range = match &self.steps[0] {
            Step::Index(index) => Some(*index..=*index),
            Step::Slice { first, last } => Some(*first..=*last),
            Step::Every => Some(0..=usize::MAX),
            Step::Member(_) => None,
        };
        let mut found = None;
        let mut position = 0usize;
        loop {
            if found.is_none() && range.as_ref().is_some_and(|range| range.contains(&position)) {
                match items.next_element_seed(Seek { steps: &self.steps[1..] })? {
                    Some(value) => found = value,
                    None => return Ok(found),
                }
            } else if items.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            position += 1;
        }
    }
}

/// Compares a key without keeping it.
struct KeyIs<'p>(&'p str);

impl<'de> DeserializeSeed<'de> for KeyIs<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for KeyIs<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(text: &'a str, path: &str) -> Leaf<'a> {
        lookup(text, &JsonPath::parse(path).unwrap())
    }

    #[test]
    fn finds_the_first_match_as_it_was_written() {
        let data = r#"{"a":{"b":1.50},"s":"x","e":"q\"\u0041","t":true,"n":null,"l":[10,{"k":"v"},30],"a-b":7,"o":{}}"#;
        assert_eq!(find(data, "$.a.b"), Leaf::Number("1.50"));
        assert_eq!(find(data, "$.s"), Leaf::Text("x".into()));
        assert_eq!(find(data, "$.e"), Leaf::Text("q\"A".into()));
        assert_eq!(find(data, "$.t"), Leaf::Bool(true));
        assert_eq!(find(data, "$.n"), Leaf::Null);
        assert_eq!(find(data, "$.l[0]"), Leaf::Number("10"));
        assert_eq!(find(data, "$.l[*]"), Leaf::Number("10"));
        assert_eq!(find(data, "$.l[1].k"), Leaf::Text("v".into()));
        assert_eq!(find(data, "$.l[*].k"), Leaf::Text("v".into()));
        assert_eq!(find(data, "$.l[1 to 2].k"), Leaf::Text("v".into()));
        assert_eq!(find(data, "$['a-b']"), Leaf::Number("7"));
        assert_eq!(find(data, "$.l"), Leaf::Array);
        assert_eq!(find(data, "$.o"), Leaf::Object);
        assert_eq!(find(data, "$"), Leaf::Object);
        for nowhere in ["$.x", "$.a.x", "$.s.x", "$[0]", "$.l[9]", "$.l.k", "$.n.x"] {
            assert_eq!(find(data, nowhere), Leaf::Missing, "{nowhere}");
        }
    }
}
