//! What the fuzz targets of the repository call: each function takes any bytes for something that a client sent.
//!
//! Invariant: a function returns, and what it says of the bytes is true; where the door's promise is broken, it panics.
//! What the door reads is compared with what a plain reader of JSON and a naive evaluation of filters say.

mod filters;
#[cfg(test)]
mod tests;

pub use filters::filter;

use crate::events::{cursor, plain, structured};
use serde_json::{Map, Value};
use tallystick_domain::Instant;
use tallystick_domain::event::{Event, EventParts};
use tallystick_engine::NewEvent;

/// As the server's default for the nesting of data.
const MAX_DEPTH: usize = 16;
/// More events of one body are not compared.
const MOST_EVENTS: usize = 64;

/// Reads a body of CloudEvents. `Some` is the number of events, all of which are valid and compared.
///
/// A valid event is what a plain reader of JSON sees: no attribute is lost or taken from elsewhere, data keeps its text,
/// and no key came twice. The fast way in gives the same events as the careful one, or declines.
pub fn cloudevents_body(bytes: &[u8]) -> Option<usize> {
    let events = carefully(bytes);
    if let Some(fast) = plain::read(bytes, MOST_EVENTS, MAX_DEPTH) {
        let fast: Vec<Event> = fast.accepted_at(Instant::MAX).iter().map(|event| event.to_event()).collect();
        assert_eq!(Some(&fast), events.as_ref(), "the fast way in gives other events");
    }
    let events = events?;
    let text = std::str::from_utf8(bytes).expect("what was read is text");
    let plain = match serde_json::from_str(text).expect("a body of valid events is JSON") {
        Value::Array(events) => events,
        one => vec![one],
    };
    assert_eq!(plain.len(), events.len());
    for (plain, event) in plain.iter().zip(&events) {
        is_the_same(plain.as_object().expect("a valid event is an object"), event, text);
    }
    Some(events.len())
}

/// The events of a body in which nothing is wrong.
fn carefully(bytes: &[u8]) -> Option<Vec<Event>> {
    let batch = structured::read(bytes, MOST_EVENTS, structured::Specversion::Required).ok()?;
    let events = batch.events.into_iter().map(valid).collect::<Option<Vec<Event>>>();
    events.filter(|events| events.len() <= MOST_EVENTS)
}

/// The event that the engine would store, if nothing is wrong with it.
fn valid(event: NewEvent) -> Option<Event> {
    let parts = EventParts {
        id: event.id,
        source: event.source,
        event_type: event.event_type,
        subject: event.subject,
        time: event.time.unwrap_or(Instant::MAX),
        data: event.data,
        extras: event.extras,
    };
    if event.faults.is_empty() { Event::new(parts, MAX_DEPTH).ok() } else { None }
}

fn is_the_same(plain: &Map<String, Value>, event: &Event, body: &str) {
    let text = |key: &str| plain.get(key).and_then(Value::as_str);
    assert_eq!(text("id"), Some(event.id()));
    assert_eq!(text("source"), Some(event.source()));
    assert_eq!(text("type"), Some(event.event_type()));
    assert_eq!(text("subject"), Some(event.subject()));
    assert!(matches!(text("specversion"), Some("1.0" | "0.3")));
    let time = text("time").map(|text| Instant::parse_rfc3339(text).expect("the time of a valid event is a moment"));
    assert_eq!(time.unwrap_or(Instant::MAX), event.time());
    let of_json = |text: &str| serde_json::from_str::<Value>(text).expect("a stored text is JSON");
    assert_eq!(plain.get("data").filter(|data| !data.is_null()), event.data().map(of_json).as_ref());
    assert!(event.data().is_none_or(|data| body.contains(data)), "data has another text");
    let extras: Map<String, Value> = plain
        .iter()
        .filter(|(key, value)| !value.is_null() && is_kept(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let extras = (!extras.is_empty()).then_some(Value::Object(extras));
    assert_eq!(extras, event.extras().map(of_json));
}

/// Whether an attribute stands among the further ones.
fn is_kept(key: &str) -> bool {
    const ELSEWHERE: [&str; 8] = ["id", "source", "specversion", "type", "subject", "time", "datacontenttype", "data"];
    !ELSEWHERE.contains(&key) && key != "data_base64"
}

/// Reads a cursor. True if it is one: then its own text leads to the same place again.
pub fn cursor(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(position) = cursor::decode(text) else { return false };
    let again = cursor::encode(&position);
    assert!(again.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{again} needs escapes");
    assert_eq!(cursor::decode(&again).ok(), Some(position));
    true
}
