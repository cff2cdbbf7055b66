//! Events seen without owning their texts.

use super::{Event, EventParts, StoredEvent};
use crate::Instant;

/// A valid event, borrowed from wherever its texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventRef<'a>(EventParts<&'a str>);

impl<'a> EventRef<'a> {
    /// An event of a store that only ever held valid ones.
    pub fn from_store(parts: EventParts<&'a str>) -> Self {
        Self(parts)
    }

    /// Identity within the source.
    pub fn id(&self) -> &'a str {
        self.0.id
    }
    /// Where the event comes from.
    pub fn source(&self) -> &'a str {
        self.0.source
    }
    /// What kind of usage it is.
    pub fn event_type(&self) -> &'a str {
        self.0.event_type
    }
    /// Whom it is about.
    pub fn subject(&self) -> &'a str {
        self.0.subject
    }
    /// When it happened.
    pub fn time(&self) -> Instant {
        self.0.time
    }
    /// The JSON object with its values, in the sender's own text.
    pub fn data(&self) -> Option<&'a str> {
        self.0.data
    }
    /// Further attributes as a JSON object, in the sender's own text.
    pub fn extras(&self) -> Option<&'a str> {
        self.0.extras
    }

    /// The event with texts of its own.
    pub fn to_event(&self) -> Event {
        Event {
            id: self.id().into(),
            source: self.source().into(),
            event_type: self.event_type().into(),
            subject: self.subject().into(),
            time: self.time(),
            data: self.data().map(Into::into),
            extras: self.extras().map(Into::into),
        }
    }
}

/// A stored event, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredRef<'a> {
    /// The event.
    pub event: EventRef<'a>,
    /// When the server accepted it.
    pub ingested_at: Instant,
}

impl StoredRef<'_> {
    /// The event with texts of its own.
    pub fn to_stored(&self) -> StoredEvent {
        StoredEvent { event: self.event.to_event(), ingested_at: self.ingested_at }
    }
}

impl Event {
    /// The event, borrowed.
    pub fn view(&self) -> EventRef<'_> {
        EventRef(EventParts {
            id: self.id(),
            source: self.source(),
            event_type: self.event_type(),
            subject: self.subject(),
            time: self.time(),
            data: self.data(),
            extras: self.extras(),
        })
    }
}

impl StoredEvent {
    /// The stored event, borrowed.
    pub fn view(&self) -> StoredRef<'_> {
        StoredRef { event: self.event.view(), ingested_at: self.ingested_at }
    }
}
