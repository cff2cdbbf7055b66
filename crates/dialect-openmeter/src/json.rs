//! JSON request bodies of everything but events.

use crate::problem::Problem;
use axum::body::Bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tallystick_domain::json;
use tallystick_http_kit::{HttpLimits, body};

/// Nesting of a request body; only filters nest at all.
const MAX_DEPTH: usize = 64;

/// What to do without a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// 400.
    IsAnError,
    /// The same as `{}`.
    IsEmpty,
}

/// The media type of a body without its parameters, in lower case; `""` when there is none.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    text.as_deref().and_then(|text| text.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase()
}

/// The refusal of a media type, with the header as it was sent.
pub(crate) fn unexpected_media_type(headers: &HeaderMap) -> Problem {
    let text = headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let shown: String = text.as_deref().unwrap_or_default().chars().take(80).collect();
    Problem::body(format!("header Content-Type has unexpected value \"{shown}\""))
}

/// Reads a body of type `T`. `schema` is the type's name in the document.
pub(crate) async fn read<T: DeserializeOwned>(
    request: Request,
    limits: &HttpLimits,
    schema: &str,
    missing: Missing,
) -> Result<T, Problem> {
    match bytes_of(request, limits).await? {
        Some(bytes) => parse(text_of(&bytes)?, schema, Shape::Object),
        None if missing == Missing::IsEmpty => parse("{}", schema, Shape::Object),
        None => Err(Problem::body("value is required but missing")),
    }
}

/// Reads a body that is an object as it is, for a reader that names everything that is wrong with it.
pub(crate) async fn read_object(request: Request, limits: &HttpLimits) -> Result<Value, Problem> {
    let Some(bytes) = bytes_of(request, limits).await? else {
        return Err(Problem::body("value is required but missing"));
    };
    let text = text_of(&bytes)?;
    let unreadable = |error: String| Problem::body(format!("failed to decode request body: {error}"));
    json::check(text, MAX_DEPTH).map_err(|error| unreadable(error.to_string()))?;
    serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))
}

/// Reads a body that is a list; `schema` is the name of its members' type in the document.
pub(crate) async fn read_list<T: DeserializeOwned>(
    request: Request,
    limits: &HttpLimits,
    schema: &str,
) -> Result<Vec<T>, Problem> {
    match bytes_of(request, limits).await? {
        Some(bytes) => parse(text_of(&bytes)?, schema, Shape::List),
        None => Err(Problem::body("value is required but missing")),
    }
}

/// Reads a body that is one thing or a list of them, and says whether it is a list. `schema` is the name of their type in the
/// document.
pub(crate) async fn read_one_or_many<T: DeserializeOwned>(
    request: Request,
    limits: &HttpLimits,
    schema: &str,
) -> Result<(Vec<T>, bool), Problem> {
    let Some(bytes) = bytes_of(request, limits).await? else {
        return Err(Problem::body("value is required but missing"));
    };
    let text = text_of(&bytes)?;
    match text.trim_start().starts_with('[') {
        true => Ok((parse(text, schema, Shape::List)?, true)),
        false => Ok((vec![parse(text, schema, Shape::Object)?], false)),
    }
}

/// The bytes of a JSON body; `None` when there is nothing but blanks.
async fn bytes_of(request: Request, limits: &HttpLimits) -> Result<Option<Bytes>, Problem> {
    let (parts, body) = request.into_parts();
    let bytes = body::read(&parts.headers, body, limits).await?;
    if text_of(&bytes)?.trim().is_empty() {
        return Ok(None);
    }
    match media_type(&parts.headers).as_str() {
        "application/json" => Ok(Some(bytes)),
        _ => Err(unexpected_media_type(&parts.headers)),
    }
}

/// A field that is told apart when it is absent and when it is null.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(value: D) -> Result<Option<T>, D::Error> {
    T::deserialize(value).map(Some)
}

/// The bytes of a body as text.
pub(crate) fn text_of(bytes: &[u8]) -> Result<&str, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Problem::body(format!("the body is not UTF-8: wrong byte at {}", error.valid_up_to())))?;
    match text.starts_with('\u{feff}') {
        true => Err(Problem::body("the body starts with a byte order mark at byte 0: send UTF-8 without it")),
        false => Ok(text),
    }
}

/// What a body is as a whole.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Object,
    List,
}

fn parse<T: DeserializeOwned>(text: &str, schema: &str, shape: Shape) -> Result<T, Problem> {
    json::check(text, MAX_DEPTH).map_err(|error| Problem::body(format!("failed to decode request body: {error}")))?;
    let refuse = |pointer: &str, reason: &str| {
        Problem::body(format!("doesn't match schema #/components/schemas/{schema}: Error at \"{pointer}\": {reason}"))
    };
    // A list of the fields' values would be read as the object that it is not.
    let (start, name) = if shape == Shape::Object { ('{', "an object") } else { ('[', "an array") };
    if !text.trim_start().starts_with(start) {
        return Err(refuse("/", &format!("value must be {name}")));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let reason = error.inner().to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        let (pointer, reason) = match reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
            Some(field) => {
                (format!("{}/{field}", pointer_of(error.path())), format!("property \"{field}\" is missing"))
            }
            None => (pointer_of(error.path()), in_json_words(reason)),
        };
        refuse(if pointer.is_empty() { "/" } else { &pointer }, &reason)
    })
}

/// The reader's text for a wrong type, in the words of JSON.
fn in_json_words(reason: &str) -> String {
    let wrong_type = reason.starts_with("invalid type: ") || reason.starts_with("invalid length ");
    let Some((_, expected)) = reason.rsplit_once(", expected ").filter(|_| wrong_type) else {
        return reason.to_string();
    };
    let kind = match expected {
        "a string" => "a string",
        "a boolean" => "a boolean",
        "a sequence" => "an array",
        expected if expected == "a map" || expected.starts_with("struct ") => "an object",
        _ => return "value has the wrong type".to_string(),
    };
    format!("value must be {kind}")
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    path.iter()
        .map(|segment| match segment {
            Segment::Seq { index } => format!("/{index}"),
            Segment::Map { key } => format!("/{key}"),
            Segment::Enum { variant } => format!("/{variant}"),
            Segment::Unknown => String::new(),
        })
        .collect()
}
