//! The members of an object, each as the text of its value.

use super::JsonError;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Hands every member of an object to `take`: its key and the text of its value, for [`super::Leaf::of`] or for this
/// function again. A key that comes twice is handed over twice; [`super::check`] refuses such texts.
pub fn members<'a>(object: &'a str, take: &mut dyn FnMut(&str, &'a str)) -> Result<(), JsonError> {
    let mut deserializer = serde_json::Deserializer::from_str(object);
    let read = deserializer.deserialize_map(Members { take }).and_then(|()| deserializer.end());
    read.map_err(|error| JsonError(error.to_string()))
}

struct Members<'t, 'a> {
    take: &'t mut dyn FnMut(&str, &'a str),
}

impl<'de> Visitor<'de> for Members<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while let Some(key) = entries.next_key_seed(Key)? {
            (self.take)(&key, entries.next_value::<&RawValue>()?.get());
        }
        Ok(())
    }
}

/// A key, copied only where it has escapes.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(key))
    }
    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Leaf;

    #[test]
    fn hands_over_each_member_as_it_was_written() {
        let text = r#"{ "a" : 1.50 , "\u0062":"x\"y" , "c":{"d": [1, 2]}, "e":null}"#;
        let mut seen = Vec::new();
        members(text, &mut |key, value| seen.push((key.to_owned(), value))).unwrap();
        let want = [("a", "1.50"), ("b", r#""x\"y""#), ("c", r#"{"d": [1, 2]}"#), ("e", "null")];
        assert_eq!(seen, want.map(|(key, value)| (key.to_owned(), value)));
        assert_eq!(Leaf::of(seen[0].1), Leaf::Number("1.50"));
        assert_eq!(Leaf::of(seen[1].1), Leaf::Text("x\"y".into()));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for bad in ["[1]", "1", "", r#"{"a":1"#, r#"{"a":1} x"#] {
            assert!(members(bad, &mut |_, _| {}).is_err(), "{bad}");
        }
    }
}
