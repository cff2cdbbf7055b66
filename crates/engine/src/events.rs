//! Reading events back, with the reason why one does not count.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use tallystick_domain::CustomerId;
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
    /// The live customer that the subject belongs to.
    pub customer: Option<CustomerId>,
    /// One line for each meter of its type for which it does not count, or that there is no such meter.
    pub problems: Vec<String>,
}

impl Engine {
    /// A page of events, newest first.
    pub async fn list_events(&self, caller: &Caller, listing: EventListing) -> Result<Vec<ListedEvent>, EngineError> {
        caller.require(Scope::Read)?;
        let namespace = caller.namespace();
        let mut fields = listing.fields;
        if !listing.customers.is_empty() {
            let customers = self.live_customers(namespace, &listing.customers).await?.map_err(|unknown| {
                let message = format!("customers not found in namespace {namespace}: {}", unknown.join(", "));
                EngineError::invalid("customerId", message)
            })?;
            let subjects = self.owned_subjects(namespace, &customers).await?.into_keys().collect();
            fields.push((EventField::Subject, Filter::In(subjects)));
        }
        let query = EventQuery {
            namespace: namespace.clone(),
            fields,
            time: listing.time,
            ingested_at: listing.ingested_at,
            after: listing.after,
            limit: listing.limit,
        };
        let found = self.read_events(move |events| events.list(&query)).await?;
        let meters = self.state().list_meters(namespace, false).await?;
        let subjects = found.iter().map(|stored| stored.event.subject().to_string());
        let owners = self.subject_owners(namespace, subjects).await?;
        let listed = found.into_iter().map(|stored| ListedEvent {
            customer: owners.get(stored.event.subject()).copied(),
            problems: problems_of(&stored, &meters),
            stored,
        });
        Ok(listed.collect())
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
