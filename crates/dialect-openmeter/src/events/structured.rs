//! CloudEvents as JSON: one object or a list of them. Data keeps its text to the byte.

use super::envelope::{Envelope, KNOWN};
use crate::json::text_of;
use crate::problem::Problem;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use tallystick_domain::event::EventFault;
use tallystick_engine::NewEvent;

/// What an event without a `specversion` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Specversion {
    /// Not an event.
    Required,
    /// One of version 1.0.
    Assumed,
}

/// The events of a request.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The events, with what is wrong with them.
    pub events: Vec<NewEvent>,
    /// Whether they came as a list.
    pub is_list: bool,
}

impl Batch {
    /// One event that came alone.
    pub(super) fn of_one(event: NewEvent) -> Self {
        Self { events: vec![event], is_list: false }
    }
}

/// Reads a body. What is wrong with one event is noted with it; only what makes the whole unreadable is an error here.
/// Reading stops one event after `most`, so that the engine refuses the batch without it being held.
pub(crate) fn read(bytes: &[u8], most: usize, specversion: Specversion) -> Result<Batch, Problem> {
    let text = text_of(bytes)?;
    if text.trim().is_empty() {
        return Err(Problem::body("value is required but missing"));
    }
    let is_list = text.trim_start().starts_with('[');
    let mut raw: Vec<&RawValue> = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let read = match is_list {
        true => deserializer.deserialize_seq(Elements { into: &mut raw, most }),
        false => <&RawValue>::deserialize(&mut deserializer).map(|one| raw.push(one)),
    };
    let whole = read.and_then(|()| deserializer.end());
    if let Err(error) = whole.as_ref()
        && raw.len() <= most
    {
        return Err(unreadable(text, error));
    }
    Ok(Batch { events: raw.into_iter().map(|one| event_of(one.get(), specversion)).collect(), is_list })
}

fn unreadable(text: &str, error: &serde_json::Error) -> Problem {
    let line_start: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let byte = line_start + error.column().saturating_sub(1);
    let reason = error.to_string();
    let reason = reason.split(" at line ").next().unwrap_or_default();
    Problem::body(format!(
        "failed to decode request body: {reason} near byte {byte} (line {}, column {})",
        error.line(),
        error.column()
    ))
}

/// Collects the elements of a list, at most one more than allowed.
struct Elements<'a, 'de> {
    into: &'a mut Vec<&'de RawValue>,
    most: usize,
}

impl<'de> Visitor<'de> for Elements<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            self.into.push(item);
            if self.into.len() > self.most {
                return Err(A::Error::custom("too many events"));
            }
        }
        Ok(())
    }
}

fn event_of(text: &str, specversion: Specversion) -> NewEvent {
    let unreadable =
        |code, message: String| NewEvent { faults: vec![EventFault::new("", code, message)], ..NewEvent::default() };
    if !text.starts_with('{') {
        return unreadable("not_an_object", "an event must be a JSON object".into());
    }
    match serde_json::from_str::<Pairs<'_>>(text) {
        Ok(pairs) => {
            let mut envelope = envelope_of(pairs);
            if specversion == Specversion::Assumed {
                envelope.texts.entry("specversion").or_insert_with(|| "1.0".into());
            }
            envelope.into_event()
        }
        Err(error) => unreadable("invalid_json", error.to_string()),
    }
}

/// The members of an object in their order, duplicates included.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor).map(Pairs)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(KNOWN.len());
        while let Some((Key(key), value)) = entries.next_entry()? {
            pairs.push((key, value));
        }
        Ok(pairs)
    }
}

/// A key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor).map(Key)
    }
}

struct KeyVisitor;

impl<'de> Visitor<'de> for KeyVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_string()))
    }
}

fn envelope_of(pairs: Pairs<'_>) -> Envelope {
    let mut envelope = Envelope::default();
    let mut seen = [false; KNOWN.len()];
    for (key, value) in pairs.0 {
        let value = value.get();
        let Some(at) = KNOWN.iter().position(|known| *known == key) else {
            if value != "null" {
                envelope.add_extension(&key, value.to_string());
            }
            continue;
        };
        let field = KNOWN[at];
        if std::mem::replace(&mut seen[at], true) {
            envelope.faults.push(EventFault::new(field, "duplicate_key", "came twice"));
            continue;
        }
        match field {
            _ if value == "null" => {}
            "data" => envelope.data = Some(value.to_string()),
            "data_base64" => {
                let message = "is not supported: send a JSON object in data";
                envelope.faults.push(EventFault::new(field, "unsupported", message));
            }
            _ => match string_of(value) {
                Ok(text) => drop(envelope.texts.insert(field, text)),
                Err(reason) => envelope.faults.push(EventFault::new(field, "wrong_type", reason)),
            },
        }
    }
    envelope
}

fn string_of(value: &str) -> Result<String, String> {
    match value.starts_with('"') {
        true => serde_json::from_str(value).map_err(|error| format!("is not a valid JSON string: {error}")),
        false => Err("must be a string".into()),
    }
}
