//! The cursor of the event listing: the place of the last event shown, opaque to clients.

use crate::problem::Problem;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tallystick_domain::Instant;
use tallystick_domain::event::EventPosition;

/// The text of a cursor. It needs no escaping in a URL.
pub(crate) fn encode(position: &EventPosition) -> String {
    let identity = serde_json::json!([position.source, position.id]);
    URL_SAFE_NO_PAD.encode(format!("{},{identity}", position.time))
}

/// Reads a cursor.
pub(crate) fn decode(text: &str) -> Result<EventPosition, Problem> {
    if text.is_empty() {
        return Err(Problem::validation("text is empty"));
    }
    let undecodable = |reason: String| Problem::validation(format!("decode cursor: {reason}"));
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|error| undecodable(error.to_string()))?;
    let plain = String::from_utf8(bytes).map_err(|_| undecodable("it is not text".into()))?;
    let (time, identity) =
        plain.split_once(',').ok_or_else(|| Problem::validation("cursor is invalid: no delimiter found"))?;
    let time = Instant::parse_rfc3339(time)
        .map_err(|error| Problem::validation(format!("parse cursor timestamp: {error}")))?;
    let (source, id): (String, String) =
        serde_json::from_str(identity).map_err(|_| Problem::validation("cursor: cursor id is invalid"))?;
    if id.is_empty() {
        return Err(Problem::validation("cursor: cursor id is empty"));
    }
    Ok(EventPosition { time, source, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_any_identity() {
        for (source, id) in [("s", "1"), ("a,b", "c\"d"), ("my app/é", "{}")] {
            let time = Instant::parse_rfc3339("2024-01-01T00:00:00.123456Z").unwrap();
            let position = EventPosition { time, source: source.into(), id: id.into() };
            assert_eq!(decode(&encode(&position)).unwrap(), position);
        }
    }

    #[test]
    fn garbage_is_refused() {
        let encoded = |plain: &str| URL_SAFE_NO_PAD.encode(plain);
        for bad in [
            String::new(),
            "!!".into(),
            "a".into(),
            encoded("no delimiter"),
            encoded("yesterday,[\"s\",\"1\"]"),
            encoded("2024-01-01T00:00:00Z,[\"s\",\"\"]"),
            encoded("2024-01-01T00:00:00Z,x"),
            URL_SAFE_NO_PAD.encode([0xff, b',']),
        ] {
            assert!(decode(&bad).is_err(), "{bad:?}");
        }
    }
}
