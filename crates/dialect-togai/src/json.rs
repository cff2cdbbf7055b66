//! JSON request bodies: bounded, no key twice, errors with their place.

use crate::problem::Problem;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;
use tallystick_domain::json;
use tallystick_http_kit::{HttpLimits, body};

/// Nesting of a request body.
const MAX_DEPTH: usize = 64;

/// Reads a body of type `T`.
pub(crate) async fn read<T: DeserializeOwned>(request: Request, limits: &HttpLimits) -> Result<T, Problem> {
    match text(request, limits).await? {
        Some(text) => parse(&text),
        None => Err(Problem::bad_request("a JSON body is required")),
    }
}

/// The text of a JSON body; `None` when there is nothing but blanks.
pub(crate) async fn text(request: Request, limits: &HttpLimits) -> Result<Option<String>, Problem> {
    let (parts, body) = request.into_parts();
    let media = parts.headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let bytes = body::read(&parts.headers, body, limits).await?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        Problem::bad_request(format!("the body is not UTF-8: wrong byte at {}", error.valid_up_to()))
    })?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let media = media.unwrap_or_default();
    let kind = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !["", "application/json"].contains(&kind.as_str()) {
        let shown: String = media.chars().take(80).collect();
        return Err(Problem::bad_request(format!("Content-Type {shown:?} is not read: send application/json")));
    }
    json::check(text, MAX_DEPTH)
        .map_err(|error| Problem::bad_request(format!("the body is not valid JSON: {error}")))?;
    Ok(Some(text.to_owned()))
}

/// A field that is an object: a list of an object's values, which the reader would take as well, is none.
pub(crate) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<T, D::Error> {
    Ok(Object::deserialize(value)?.0)
}

/// The same of a field that may be absent or null.
pub(crate) fn optional_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Object<T>>::deserialize(value)?.map(|object| object.0))
}

/// The same of a list of objects.
pub(crate) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Vec<T>, D::Error> {
    Ok(Vec::<Object<T>>::deserialize(value)?.into_iter().map(|object| object.0).collect())
}

/// The same of a list that may be absent or null.
pub(crate) fn optional_objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let read = Option::<Vec<Object<T>>>::deserialize(value)?;
    Ok(read.map(|objects| objects.into_iter().map(|object| object.0).collect()))
}

/// What is read from an object and from nothing else.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        value.deserialize_map(OfObject(PhantomData))
    }
}

struct OfObject<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OfObject<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

/// Reads a checked text.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    if !text.trim_start().starts_with('{') {
        return Err(Problem::bad_request("a JSON object is needed"));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let reason = error.inner().to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        match error.path().to_string().as_str() {
            "." => Problem::bad_request(reason),
            path => Problem::field(path, reason),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Inner {
        name: String,
    }

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[serde(deserialize_with = "object")]
        one: Inner,
        #[serde(default, deserialize_with = "optional_object")]
        perhaps: Option<Inner>,
        #[serde(default, deserialize_with = "optional_objects")]
        many: Option<Vec<Inner>>,
    }

    #[test]
    fn an_object_is_not_read_from_a_list_of_its_values() {
        let read = |text: &str| parse::<Outer>(text);
        let all = read(r#"{"one":{"name":"a"},"perhaps":{"name":"b"},"many":[{"name":"c"}]}"#).unwrap();
        assert_eq!((all.one.name.as_str(), all.perhaps.unwrap().name.as_str()), ("a", "b"));
        assert_eq!(all.many.unwrap()[0].name, "c");
        assert!(read(r#"{"one":{"name":"a"},"perhaps":null,"many":null}"#).unwrap().many.is_none());
        for (text, place) in [
            (r#"{"one":["a"]}"#, "one"),
            (r#"{"one":{"name":"a"},"perhaps":["b"]}"#, "perhaps"),
            (r#"{"one":{"name":"a"},"many":[["c"]]}"#, "many[0]"),
            (r#"{"one":{"name":1}}"#, "one.name"),
        ] {
            let message = read(text).unwrap_err().message;
            assert!(message.starts_with(&format!("{place}: ")), "{message}");
        }
    }
}
