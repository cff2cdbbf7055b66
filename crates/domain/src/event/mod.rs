//! Usage events: what a sender says happened.
//!
//! Invariant: identity is (namespace, source, id); accepting an event twice changes nothing.

mod batch;
mod query;
mod view;

pub use batch::{EventBatch, NewEvents, PlainEvent};
pub use query::{EventField, EventPosition, EventQuery, TimeFilter};
pub use view::{EventRef, StoredRef};

use crate::Instant;
use crate::json;
use crate::meter::{METERED, names_metered};

/// The most bytes of an id, source, type or subject.
pub const MAX_ATTRIBUTE_BYTES: usize = 4096;

/// A valid event. Its texts are kept exactly as they were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    id: Box<str>,
    source: Box<str>,
    event_type: Box<str>,
    subject: Box<str>,
    time: Instant,
    data: Option<Box<str>>,
    extras: Option<Box<str>>,
}

/// The parts of an event that were not checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventParts<T = String> {
    /// Identity within the source.
    pub id: T,
    /// Where the event comes from.
    pub source: T,
    /// What kind of usage it is; meters select by it.
    pub event_type: T,
    /// Whom the event is about.
    pub subject: T,
    /// When it happened.
    pub time: Instant,
    /// The JSON object that carries values and dimensions; `None` for none or `null`.
    pub data: Option<T>,
    /// Further attributes of the sender as a JSON object, kept and given back, never interpreted.
    pub extras: Option<T>,
}

/// One thing that is wrong with an event: the attribute, a code to branch on and a message to read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct EventFault {
    /// The attribute at fault, for example `subject`.
    pub field: &'static str,
    /// A stable word for the kind of fault, for example `required`.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl EventFault {
    /// Builds a fault.
    pub fn new(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { field, code, message: message.into() }
    }
}

impl Event {
    /// Checks the parts; all faults are reported, not only the first. `max_depth` bounds the nesting of `data`.
    pub fn new(parts: EventParts, max_depth: usize) -> Result<Self, Vec<EventFault>> {
        let mut faults = Vec::new();
        let attributes =
            [("id", &parts.id), ("source", &parts.source), ("type", &parts.event_type), ("subject", &parts.subject)];
        for (field, value) in attributes {
            faults.extend(attribute_fault(field, value));
        }
        for (field, text) in [("data", &parts.data), ("extensions", &parts.extras)] {
            if let Some(text) = text {
                faults.extend(object_fault(field, text, max_depth));
            }
        }
        if parts.data.as_deref().is_some_and(names_metered) {
            let message =
                format!("the member {METERED:?} is reserved: meters write into it what they made of the event");
            faults.push(EventFault::new("data", "reserved", message));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self::from_store(parts))
    }

    /// Rebuilds an event from a store that only ever held valid ones.
    pub fn from_store(parts: EventParts) -> Self {
        Self {
            id: parts.id.into(),
            source: parts.source.into(),
            event_type: parts.event_type.into(),
            subject: parts.subject.into(),
            time: parts.time,
            data: parts.data.map(Into::into),
            extras: parts.extras.map(Into::into),
        }
    }

    /// The same event with other data, which is taken as checked.
    pub fn with_data(&self, data: Option<&str>) -> Self {
        Self { data: data.map(Into::into), ..self.clone() }
    }

    /// Identity within the source.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// Where the event comes from.
    pub fn source(&self) -> &str {
        &self.source
    }
    /// What kind of usage it is.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }
    /// Whom it is about.
    pub fn subject(&self) -> &str {
        &self.subject
    }
    /// When it happened.
    pub fn time(&self) -> Instant {
        self.time
    }
    /// The JSON object with its values, in the sender's own text.
    pub fn data(&self) -> Option<&str> {
        self.data.as_deref()
    }
    /// Further attributes as a JSON object, in the sender's own text.
    pub fn extras(&self) -> Option<&str> {
        self.extras.as_deref()
    }
    /// About how many bytes the event takes in memory.
    pub fn weight(&self) -> usize {
        let texts = [self.id(), self.source(), self.event_type(), self.subject()];
        texts.iter().map(|text| text.len()).sum::<usize>()
            + self.data().map_or(0, str::len)
            + self.extras().map_or(0, str::len)
            + size_of::<StoredEvent>()
    }
}

/// An event with the moment at which it was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// The event.
    pub event: Event,
    /// When the server accepted it.
    pub ingested_at: Instant,
}

/// Whether [`attribute_fault`] finds nothing.
fn is_sound_attribute(value: &str) -> bool {
    let is_plain = value.bytes().all(|byte| (b' '..0x7f).contains(&byte));
    !value.is_empty() && value.len() <= MAX_ATTRIBUTE_BYTES && (is_plain || !value.chars().any(char::is_control))
}

fn attribute_fault(field: &'static str, value: &str) -> Option<EventFault> {
    if value.is_empty() {
        return Some(EventFault::new(field, "required", "must not be empty"));
    }
    if value.len() > MAX_ATTRIBUTE_BYTES {
        let message = format!("is {} bytes long, at most {MAX_ATTRIBUTE_BYTES} are allowed", value.len());
        return Some(EventFault::new(field, "too_long", message));
    }
    let control = value.chars().find(|c| c.is_control())?;
    Some(EventFault::new(field, "control_character", format!("must not hold the control character {control:?}")))
}

fn object_fault(field: &'static str, text: &str, max_depth: usize) -> Option<EventFault> {
    if !text.starts_with('{') {
        return Some(EventFault::new(field, "not_an_object", "must be a JSON object"));
    }
    let error = json::check(text, max_depth).err()?;
    let message = match error.is_too_deep() {
        true => format!("{error}: at most {max_depth} levels are allowed (limits.json_depth)"),
        false => error.to_string(),
    };
    Some(EventFault::new(field, "invalid_json", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> EventParts {
        EventParts {
            id: "1".into(),
            source: "s".into(),
            event_type: "t".into(),
            subject: "c".into(),
            time: Instant::parse_rfc3339("2024-01-01T00:00:00Z").unwrap(),
            data: Some(r#"{"n":1.50}"#.into()),
            extras: None,
        }
    }

    #[test]
    fn keeps_texts_as_they_came() {
        let event = Event::new(parts(), 16).unwrap();
        assert_eq!((event.data(), event.id()), (Some(r#"{"n":1.50}"#), "1"));
    }

    #[test]
    fn reports_every_fault_at_once() {
        let bad = EventParts {
            id: String::new(),
            subject: "a\0b".into(),
            source: "x".repeat(5000),
            data: Some(r#"{"a":1,"a":2}"#.into()),
            ..parts()
        };
        let faults = Event::new(bad, 16).unwrap_err();
        let seen: Vec<_> = faults.iter().map(|fault| (fault.field, fault.code)).collect();
        assert_eq!(
            seen,
            [("id", "required"), ("source", "too_long"), ("subject", "control_character"), ("data", "invalid_json")]
        );
    }

    #[test]
    fn data_is_an_object() {
        for data in ["[1]", "1", "\"x\"", "true"] {
            let faults = Event::new(EventParts { data: Some(data.into()), ..parts() }, 16).unwrap_err();
            assert_eq!(faults[0].code, "not_an_object");
        }
    }
}
