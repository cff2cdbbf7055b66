//! Reading events back, with the reason why one does not count.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use tallystick_domain::event::{EventField, EventPosition, EventQuery, StoredEvent, TimeFilter};
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{Filter, Meter};

/// Which events to show, newest first.
#[derive(Clone, Debug, Default)]
pub struct EventListing {
    /// Conditions on attributes; all must hold.
    pub fields: Vec<(EventField, Filter)>,
    /// Condition on the event time.
    pub time: Option<TimeFilter>,
    /// Condition on the moment of acceptance.
    pub ingested_at: Option<TimeFilter>,
    /// Only events of these customers, by id; empty for all.
    pub customers: Vec<String>,
    /// Only events after this one in listing order.
    pub after: Option<EventPosition>,
    /// At most this many.
    pub limit: usize,
}

/// A stored event and what keeps it from counting.
#[derive(Clone, Debug)]
pub struct ListedEvent {
    /// The event.
    pub stored: StoredEvent,
    /// One line for each meter of its type for which it does not count, or that there is no such meter.
    pub problems: Vec<String>,
}

impl Engine {
    /// A page of events, newest first.
    pub async fn list_events(&self, caller: &Caller, listing: EventListing) -> Result<Vec<ListedEvent>, EngineError> {
        caller.require(Scope::Read)?;
        if !listing.customers.is_empty() {
            let ids = listing.customers.join(", ");
            let message = format!("customers not found in namespace {}: {ids}", caller.namespace());
            return Err(EngineError::invalid("customerId", message));
        }
        let query = EventQuery {
            namespace: caller.namespace().clone(),
            fields: listing.fields,
            time: listing.time,
            ingested_at: listing.ingested_at,
            after: listing.after,
            limit: listing.limit,
        };
        let found = self.read_events(move |events| events.list(&query)).await?;
        let meters = self.state().list_meters(caller.namespace(), false).await?;
        Ok(found.into_iter().map(|stored| ListedEvent { problems: problems_of(&stored, &meters), stored }).collect())
    }
}

fn problems_of(stored: &StoredEvent, meters: &[Meter]) -> Vec<String> {
    let event_type = stored.event.event_type();
    let mut wanting = meters.iter().filter(|meter| meter.event_type == event_type).peekable();
    if wanting.peek().is_none() {
        return vec![format!("no meter found for event type: {event_type}")];
    }
    let mut problems: Vec<_> = wanting.filter_map(|meter| meter.judge(stored).err()).map(|e| e.to_string()).collect();
    problems.dedup();
    problems
}
