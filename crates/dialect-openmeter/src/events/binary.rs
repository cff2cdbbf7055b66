//! CloudEvents in binary mode: attributes as `ce-` headers, data as the body.

use super::envelope::{Envelope, KNOWN, quoted};
use crate::json::text_of;
use crate::problem::Problem;
use axum::http::{HeaderMap, HeaderValue};
use percent_encoding::percent_decode_str;
use tallystick_domain::event::EventFault;
use tallystick_engine::NewEvent;

const PREFIX: &str = "ce-";

/// Whether a request carries an event in its headers.
pub(super) fn is_binary(headers: &HeaderMap) -> bool {
    ["ce-id", "ce-source", "ce-type", "ce-specversion"].iter().any(|name| headers.contains_key(*name))
}

/// Reads the event.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<NewEvent, Problem> {
    let mut envelope = Envelope::default();
    for (name, attribute) in headers.keys().filter_map(|name| Some((name, name.as_str().strip_prefix(PREFIX)?))) {
        let known = KNOWN.iter().copied().find(|known| *known == attribute && !known.starts_with("data_"));
        let field = known.unwrap_or("extensions");
        let mut values = headers.get_all(name).iter();
        let value = values.next().map(decoded).unwrap_or_else(|| Ok(String::new()));
        match (value, known) {
            _ if values.next().is_some() => {
                envelope.faults.push(EventFault::new(field, "duplicate_key", format!("header {name} came twice")));
            }
            (Err(reason), _) => {
                envelope.faults.push(EventFault::new(field, "invalid_header", format!("header {name} {reason}")));
            }
            (Ok(_), Some("data")) => {
                let message = "data is the body of the request, not a header";
                envelope.faults.push(EventFault::new("data", "invalid_header", message));
            }
            (Ok(text), Some(known)) => drop(envelope.texts.insert(known, text)),
            (Ok(text), None) => envelope.add_extension(attribute, quoted(&text)),
        }
    }
    let data = text_of(body)?.trim_matches([' ', '\t', '\r', '\n']);
    if !data.is_empty() && data != "null" {
        envelope.data = Some(data.to_string());
    }
    Ok(envelope.into_event())
}

/// A header's value as the CloudEvents HTTP binding writes it: perhaps in double quotes, then percent-encoded UTF-8.
fn decoded(value: &HeaderValue) -> Result<String, &'static str> {
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| "is not UTF-8")?;
    let unquoted = match text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => unescaped(inner),
        None => text.to_string(),
    };
    let decoded = percent_decode_str(&unquoted).decode_utf8();
    decoded.map(|text| text.into_owned()).map_err(|_| "is not percent-encoded UTF-8")
}

fn unescaped(inner: &str) -> String {
    let mut chars = inner.chars();
    std::iter::from_fn(|| match chars.next()? {
        '\\' => Some(chars.next().unwrap_or('\\')),
        other => Some(other),
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_unquoted_and_percent_decoded() {
        for (sent, read) in [
            ("plain", Ok("plain")),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", Ok("Euro € 😀")),
            ("\"a \\\"b\\\" \\\\\"", Ok("a \"b\" \\")),
            ("100%", Ok("100%")),
            ("%FF", Err("is not percent-encoded UTF-8")),
            ("\"", Ok("\"")),
        ] {
            let value = HeaderValue::from_bytes(sent.as_bytes()).unwrap();
            assert_eq!(decoded(&value).as_deref(), read.as_ref().copied(), "{sent}");
        }
        assert!(decoded(&HeaderValue::from_bytes(&[0xff]).unwrap()).is_err());
    }
}
