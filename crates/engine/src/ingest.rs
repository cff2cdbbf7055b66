//! Taking events in: checked whole, stored whole or not at all.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{EngineError, InvalidEvent};
use std::sync::atomic::Ordering;
use tallystick_domain::Instant;
use tallystick_domain::event::{Event, EventFault, EventParts, StoredEvent};
use tallystick_domain::key::Scope;

/// An event as a dialect read it.
#[derive(Clone, Debug, Default)]
pub struct NewEvent {
    /// Identity within the source; empty when the sender left it out.
    pub id: String,
    /// Where the event comes from; empty when left out.
    pub source: String,
    /// What kind of usage it is; empty when left out.
    pub event_type: String,
    /// Whom it is about; empty when left out.
    pub subject: String,
    /// When it happened; now when left out.
    pub time: Option<Instant>,
    /// The JSON object with its values.
    pub data: Option<String>,
    /// Further attributes as a JSON object.
    pub extras: Option<String>,
    /// What the dialect found wrong with it.
    pub faults: Vec<EventFault>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestReport {
    /// Events that are new.
    pub stored: u64,
    /// Events that were there already, or came twice in the batch.
    pub duplicates: u64,
}

impl Engine {
    /// Stores a batch. Returns when every event of it is durable; refuses all of it when one is invalid.
    pub async fn ingest(&self, caller: &Caller, events: Vec<NewEvent>) -> Result<IngestReport, EngineError> {
        caller.require(Scope::Ingest)?;
        let limits = &self.config().limits;
        if events.len() > limits.batch_events {
            let message = format!("the batch has {} events, at most {} are allowed", events.len(), limits.batch_events);
            return Err(EngineError::TooLarge(message));
        }
        let now = self.clock().now();
        let mut stored = Vec::with_capacity(events.len());
        let mut invalid = Vec::new();
        let mut invalid_events = 0;
        for (index, event) in events.into_iter().enumerate() {
            match checked(event, now, limits.json_depth) {
                Ok(event) => stored.push(StoredEvent { event, ingested_at: now }),
                Err(faults) => {
                    invalid_events += 1;
                    invalid.extend(faults.into_iter().map(|fault| InvalidEvent { index, fault }));
                }
            }
        }
        if !invalid.is_empty() {
            self.counters().invalid.fetch_add(invalid_events, Ordering::Relaxed);
            return Err(EngineError::InvalidEvents(invalid));
        }
        let appended = self.events().append(caller.namespace(), stored).await?;
        self.counters().accepted.fetch_add(appended.stored, Ordering::Relaxed);
        self.counters().duplicates.fetch_add(appended.duplicates, Ordering::Relaxed);
        Ok(IngestReport { stored: appended.stored, duplicates: appended.duplicates })
    }
}

fn checked(event: NewEvent, now: Instant, max_depth: usize) -> Result<Event, Vec<EventFault>> {
    let mut faults = event.faults;
    let parts = EventParts {
        id: event.id,
        source: event.source,
        event_type: event.event_type,
        subject: event.subject,
        time: event.time.unwrap_or(now),
        data: event.data,
        extras: event.extras,
    };
    match Event::new(parts, max_depth) {
        Ok(event) if faults.is_empty() => Ok(event),
        Ok(_) => Err(faults),
        Err(more) => {
            // The dialect may have named the same field in its own words already.
            let more = more.into_iter().filter(|fault| faults.iter().all(|known| known.field != fault.field));
            let more: Vec<_> = more.collect();
            faults.extend(more);
            Err(faults)
        }
    }
}
