//! Request bodies: JSON objects, each field by the text of its value, so that no number passes through a float.

use crate::ids;
use crate::problem::Problem;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use std::collections::BTreeMap;
use tallystick_domain::json::{self, JsonObject, Leaf};
use tallystick_domain::{Instant, Quantity};
use tallystick_http_kit::{HttpLimits, body};
use uuid::Uuid;

/// Nesting of a request body.
const MAX_DEPTH: usize = 64;

/// The fields of a body, and what was found wrong with them until now.
pub(crate) struct Fields {
    values: BTreeMap<String, String>,
    faults: BTreeMap<String, String>,
}

impl Fields {
    /// Reads the body of a request whole.
    pub(crate) async fn read(request: Request, limits: &HttpLimits) -> Result<Self, Problem> {
        let (parts, sent) = request.into_parts();
        let media_type = parts.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let media_type = media_type.as_deref().and_then(|text| text.split(';').next()).unwrap_or_default();
        let media_type = media_type.trim().to_ascii_lowercase();
        if !(media_type.is_empty() || media_type == "application/json" || media_type.ends_with("+json")) {
            return Err(Problem::not_json());
        }
        let bytes = body::read(&parts.headers, sent, limits).await?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Problem::bad_request("the body is not UTF-8"))?;
        Self::parse(text)
    }

    fn parse(text: &str) -> Result<Self, Problem> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if !text.starts_with('{') {
            return Err(Problem::bad_request("the body must be a JSON object"));
        }
        let not_json = |error: json::JsonError| Problem::bad_request(format!("the body is not valid JSON: {error}"));
        json::check(text, MAX_DEPTH).map_err(not_json)?;
        let mut values = BTreeMap::new();
        json::members(text, &mut |key, value| drop(values.insert(key.to_string(), value.to_string())))
            .map_err(not_json)?;
        Ok(Self { values, faults: BTreeMap::new() })
    }

    /// Notes that a field is wrong; the first fault of a field is told.
    pub(crate) fn fault(&mut self, name: &str, message: impl Into<String>) {
        self.faults.entry(name.to_string()).or_insert_with(|| message.into());
    }

    /// Ends reading: an error names every field that is wrong.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::fields(self.faults)) }
    }

    /// Whether a field was sent, `null` too.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The value of a field, unless it is absent or `null`.
    fn take<T>(&mut self, name: &str, expected: &str, of: impl FnOnce(&Leaf<'_>, &str) -> Option<T>) -> Option<T> {
        let value = self.values.get(name)?.clone();
        let leaf = Leaf::of(&value);
        if leaf == Leaf::Null {
            return None;
        }
        let taken = of(&leaf, &value);
        if taken.is_none() {
            self.fault(name, format!("must be {expected}"));
        }
        taken
    }

    /// A text of at most so many characters.
    pub(crate) fn text(&mut self, name: &str, most: usize) -> Option<String> {
        let text = self.take(name, "a string", |leaf, _| match leaf {
            Leaf::Text(text) => Some(text.to_string()),
            _ => None,
        })?;
        if text.chars().count() > most {
            self.fault(name, format!("must have at most {most} characters"));
        }
        Some(text)
    }

    /// A text that must be there, of 1 to so many characters.
    pub(crate) fn required_text(&mut self, name: &str, most: usize) -> String {
        let text = self.text(name, most);
        if text.as_deref().is_none_or(str::is_empty) {
            self.fault(name, format!("is required: a string of 1 to {most} characters"));
        }
        text.unwrap_or_default()
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        self.take(name, "true or false", |leaf, _| match leaf {
            Leaf::Bool(value) => Some(*value),
            _ => None,
        })
    }

    /// A UUID.
    pub(crate) fn uuid(&mut self, name: &str) -> Option<Uuid> {
        self.take(name, "a UUID", |leaf, _| match leaf {
            Leaf::Text(text) => ids::parse(text),
            _ => None,
        })
    }

    /// A UUID that must be there.
    pub(crate) fn required_uuid(&mut self, name: &str) -> Uuid {
        let id = self.uuid(name);
        if id.is_none() {
            self.fault(name, "is required: a UUID");
        }
        id.unwrap_or_default()
    }

    /// A number, to the digit.
    pub(crate) fn number(&mut self, name: &str) -> Option<Quantity> {
        let text = self.take(name, "a number", |leaf, _| match leaf {
            Leaf::Number(text) => Some(text.to_string()),
            _ => None,
        })?;
        Quantity::parse(&text).map_err(|error| self.fault(name, error.to_string())).ok()
    }

    /// A JSON object as it was sent.
    pub(crate) fn object(&mut self, name: &str) -> Option<JsonObject> {
        self.take(name, "a JSON object", |leaf, value| match leaf {
            Leaf::Object => JsonObject::parse(value).ok(),
            _ => None,
        })
    }

    /// A date and time; one without an offset is UTC.
    pub(crate) fn instant(&mut self, name: &str) -> Option<Instant> {
        let text = self.text(name, 64)?;
        let has_offset = text.ends_with('Z') || text.get(19..).is_some_and(|rest| rest.contains(['+', '-']));
        let text = if has_offset { text } else { format!("{text}Z") };
        Instant::parse_rfc3339(&text).map_err(|error| self.fault(name, error.to_string())).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::parse(text).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    #[test]
    fn fields_keep_every_digit_and_their_own_text() {
        let mut read =
            fields(r#" {"n": 0.1000000000000000000000000001, "o": {"b":1.50, "a":2}, "t":"x\u0041", "z":null} "#);
        assert_eq!(read.number("n").unwrap().to_string(), "0.1000000000000000000000000001");
        assert_eq!(read.object("o").unwrap().as_str(), r#"{"b":1.50, "a":2}"#);
        assert_eq!((read.text("t", 2).as_deref(), read.text("z", 2), read.has("z")), (Some("xA"), None, true));
        assert!(read.finish().is_ok());
    }

    #[test]
    fn every_field_that_is_wrong_is_named() {
        let text = r#"{"a":"true","b":1,"c":"1","d":[1],"e":"2024","f":"x","g":1e99,"h":"long"}"#;
        let mut read = fields(text);
        assert_eq!((read.boolean("a"), read.text("b", 9), read.number("c")), (None, None, None));
        assert!(read.object("d").is_none() && read.instant("e").is_none() && read.uuid("f").is_none());
        assert!(read.number("g").is_none());
        read.text("h", 3);
        read.required_text("i", 3);
        let faults: Vec<_> = read.faults.keys().map(String::as_str).collect();
        assert_eq!(faults, ["a", "b", "c", "d", "e", "f", "g", "h", "i"]);
    }

    #[test]
    fn a_time_without_an_offset_is_utc() {
        let mut read =
            fields(r#"{"a":"2024-11-18T13:32:03","b":"2024-11-18T13:32:03+11:00","c":"2024-11-18T13:32:03Z"}"#);
        let times = ["a", "b", "c"].map(|name| read.instant(name).unwrap().to_string());
        assert_eq!(times, ["2024-11-18T13:32:03Z", "2024-11-18T02:32:03Z", "2024-11-18T13:32:03Z"]);
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in ["", "[]", "null", "{", r#"{"a":1,"a":2}"#] {
            assert!(Fields::parse(bad).is_err(), "{bad}");
        }
    }
}
