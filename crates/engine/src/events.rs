//! Reading events back, with the reason why one does not count.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use tallystick_domain::event::{EventField, EventPosition, EventQuery, StoredEvent, TimeFilter};
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{Filter, Meter, Metered, NotCounted, without_metered};
use tallystick_domain::{CustomerId, MeterId};
use tallystick_event_store::{Change, EventHistory, EventStore, RecordedCorrection};

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
    /// An id under which [`Engine::progress`] tells how far the listing is.
    pub watched_as: Option<String>,
}

/// A stored event and what keeps it from counting.
#[derive(Clone, Debug)]
pub struct ListedEvent {
    /// The event as it is now; a retracted one as it was last.
    pub stored: StoredEvent,
    /// The data with which it was accepted, if other data took its place.
    pub original_data: Option<Option<String>>,
    /// Its corrections, in the order in which they were recorded.
    pub corrections: Vec<RecordedCorrection>,
    /// The live customer that the subject belongs to.
    pub customer: Option<CustomerId>,
    /// What the meters that judge made of it; it does not stand in the data here.
    pub metered: Vec<(MeterId, Metered)>,
    /// One line for each meter of its type for which it does not count, or that there is no such meter, or that it was
    /// retracted.
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
        self.listed_events(query, listing.watched_as).await
    }

    /// The events that a query wants, with what became of them.
    pub(crate) async fn listed_events(
        &self,
        query: EventQuery,
        watched_as: Option<String>,
    ) -> Result<Vec<ListedEvent>, EngineError> {
        let namespace = &query.namespace.clone();
        let list = move |events: &EventStore, progress: Option<&_>| events.list_histories(&query, progress);
        let found = self.read_watched(namespace, watched_as, list).await?;
        let meters = self.state().list_meters(namespace, false).await?;
        let mut listed: Vec<_> = found.into_iter().filter_map(|history| listed(history, &meters)).collect();
        let subjects = listed.iter().map(|listed| listed.stored.event.subject().to_string());
        let owners = self.subject_owners(namespace, subjects).await?;
        for event in &mut listed {
            event.customer = owners.get(event.stored.event.subject()).copied();
        }
        Ok(listed)
    }
}

/// An event as it is now, beside what became of it; its customer is not known yet.
fn listed(EventHistory { original, mut corrections }: EventHistory, meters: &[Meter]) -> Option<ListedEvent> {
    let original = original?;
    let mut problems = problems_of(&original, meters);
    let (sent, mut metered) = without_metered(original.event.data());
    let original = StoredEvent { event: original.event.with_data(sent.as_deref()), ..original };
    for correction in &mut corrections {
        if let Change::Amend { data } = &mut correction.change {
            let amended = StoredEvent { event: original.event.with_data(data.as_deref()), ..original };
            problems = problems_of(&amended, meters);
            (*data, metered) = without_metered(data.as_deref());
        }
    }
    let amended = corrections.iter().rev().find_map(|correction| match &correction.change {
        Change::Amend { data } => Some(data.as_deref()),
        Change::Retract => None,
    });
    let original_data = amended.map(|_| original.event.data().map(str::to_owned));
    let stored = match amended {
        Some(data) => StoredEvent { event: original.event.with_data(data), ..original },
        None => original,
    };
    if let Some(last) = corrections.last().filter(|last| last.change == Change::Retract) {
        problems = vec![format!("the event was retracted: {}", last.reason)];
        metered.clear();
    }
    Some(ListedEvent { stored, original_data, corrections, customer: None, metered, problems })
}

fn problems_of(stored: &StoredEvent, meters: &[Meter]) -> Vec<String> {
    let event_type = stored.event.event_type();
    let mut wanting = meters.iter().filter(|meter| meter.event_type == event_type).peekable();
    if wanting.peek().is_none() {
        return vec![format!("no meter found for event type: {event_type}")];
    }
    let refusals = wanting.filter_map(|meter| meter.judge(stored).err());
    // A meter that leaves an event out by its rule is in order, and so is the event.
    let faults = refusals.filter(|why| *why != NotCounted::NotSelected);
    let mut problems: Vec<_> = faults.map(|why| why.to_string()).collect();
    problems.dedup();
    problems
}
