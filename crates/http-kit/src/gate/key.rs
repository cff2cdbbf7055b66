//! The header `Idempotency-Key`: a string of RFC 9651 in double quotes, or the same text without them.

use crate::refusal::Refusal;
use axum::http::{HeaderMap, HeaderName};
use tallystick_domain::idempotency::IdempotencyKey;

/// The header, in which a sender names a write.
pub(super) const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// The key of a request, if it has one.
pub(super) fn read(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Refusal> {
    let bad = |reason: &str| Refusal::BadIdempotencyKey(reason.to_string());
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad("it came twice: send it once"));
    }
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| bad("it holds bytes that are not ASCII text"))?;
    let text = text.trim_matches([' ', '\t']);
    let key = match text.strip_prefix('"') {
        Some(rest) => IdempotencyKey::parse(&unquoted(rest).map_err(bad)?),
        None => IdempotencyKey::parse(text),
    };
    key.map(Some).map_err(|error| bad(&error.to_string()))
}

/// The text behind an opening quote, up to the closing one, which must be the end.
fn unquoted(rest: &str) -> Result<String, &'static str> {
    let mut text = String::with_capacity(rest.len());
    let mut characters = rest.chars();
    loop {
        match characters.next() {
            Some('"') if characters.as_str().is_empty() => return Ok(text),
            Some('"') => return Err("something follows the closing quote"),
            Some('\\') => match characters.next() {
                Some(escaped @ ('"' | '\\')) => text.push(escaped),
                _ => return Err("a backslash in quotes must be followed by a quote or a backslash"),
            },
            Some(other) => text.push(other),
            None => return Err("the closing quote is missing"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn key_of(values: &[&[u8]]) -> Result<Option<String>, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        read(&headers).map(|key| key.map(|key| key.as_str().to_string())).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn a_key_reads_the_same_with_and_without_quotes() {
        assert_eq!(key_of(&[]), Ok(None));
        for text in [b"abc-1".as_slice(), b"\"abc-1\"", b" abc-1 "] {
            assert_eq!(key_of(&[text]), Ok(Some("abc-1".into())));
        }
        assert_eq!(key_of(&[br#""a\"b\\c""#]), Ok(Some(r#"a"b\c"#.into())));
        assert_eq!(key_of(&[br#"a"b\c"#]), Ok(Some(r#"a"b\c"#.into())));
    }

    #[test]
    fn a_wrong_key_is_told_with_its_header_and_why() {
        let long = [b'k'; 256];
        for (values, reason) in [
            (&[b"a".as_slice(), b"a"][..], "twice"),
            (&[b"".as_slice()][..], "0 characters"),
            (&[b"\"\"".as_slice()][..], "0 characters"),
            (&[long.as_slice()][..], "256 characters"),
            (&[b"a b".as_slice()][..], "' '"),
            (&["ä".as_bytes()][..], "'ä'"),
            (&[b"\xff".as_slice()][..], "not ASCII"),
            (&[b"\"a".as_slice()][..], "closing quote"),
            (&[b"\"a\";x=1".as_slice()][..], "follows"),
            (&[br#""a\n""#.as_slice()][..], "backslash"),
        ] {
            let message = key_of(values).unwrap_err();
            assert!(message.contains("Idempotency-Key") && message.contains(reason), "{message}");
        }
    }
}
