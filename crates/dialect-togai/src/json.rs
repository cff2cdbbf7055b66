//! JSON request bodies: bounded, no key twice, errors with their place.

use crate::problem::Problem;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
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
