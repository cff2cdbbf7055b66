//! Usage of one customer, reported one event at a time.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::events::ListedEvent;
use crate::ingest::NewEvent;
use tallystick_domain::customer::Customer;
use tallystick_domain::event::{EventField, EventQuery, TimeFilter};
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{Filter, Meter};
use tallystick_domain::{CustomerId, Instant};

/// What became of a reported event.
#[derive(Clone, Debug)]
pub struct Reported {
    /// Whether it is new. Otherwise `event` is the one that came first, whatever the later one said.
    pub is_new: bool,
    /// The event.
    pub event: ListedEvent,
    /// The live meters of its type.
    pub meters: Vec<Meter>,
}

impl Engine {
    /// Stores an event of a live customer, whose subject it gets, and tells what meters made of it. The scope `ingest` is enough: the
    /// answer is about the sender's own event.
    pub async fn report_usage(
        &self,
        caller: &Caller,
        customer: CustomerId,
        event: NewEvent,
    ) -> Result<Reported, EngineError> {
        caller.require(Scope::Ingest)?;
        let missing = || EngineError::NotFound { what: "customer", key: customer.to_string() };
        let found = self.state().get_customer(caller.namespace(), customer).await?;
        let customer = found.filter(|found| found.deleted_at.is_none()).ok_or_else(missing)?;
        let subject = self.usage_subject(caller, &customer).await?;
        let told = event.time;
        let time = told.unwrap_or_else(|| self.clock().now());
        let (id, source) = (event.id.clone(), event.source.clone());
        let report = self.ingest(caller, vec![NewEvent { subject, time: Some(time), ..event }]).await?;
        let is_new = report.duplicates == 0;
        // Where it should be first; one that came before may have happened at any time.
        let near = match is_new || told.is_some() {
            true => self.event_by_identity(caller, (&source, &id), Some(time)).await?,
            false => None,
        };
        let found = match near {
            None if !is_new => self.event_by_identity(caller, (&source, &id), None).await?,
            near => near,
        };
        let event = found.ok_or_else(|| {
            EngineError::invalid(
                "time",
                "time lies before what is kept of events of this type (retention): it does not count",
            )
        })?;
        let event_type = event.stored.event.event_type();
        let mut meters = self.state().list_meters(caller.namespace(), false).await?;
        meters.retain(|meter| meter.event_type == event_type);
        Ok(Reported { is_new, event, meters })
    }

    /// The subject under which usage of a customer is stored: its key, or the first of its subjects that is its own.
    async fn usage_subject(&self, caller: &Caller, customer: &Customer) -> Result<String, EngineError> {
        if let Some(key) = &customer.key {
            return Ok(key.clone());
        }
        let owners = self.owners(caller.namespace(), customer).await?;
        owners.keys().next().cloned().ok_or_else(|| {
            EngineError::Conflict(format!("customer {} has no subject of its own: give it a key", customer.id))
        })
    }

    async fn event_by_identity(
        &self,
        caller: &Caller,
        (source, id): (&str, &str),
        time: Option<Instant>,
    ) -> Result<Option<ListedEvent>, EngineError> {
        let fields = [(EventField::Source, source), (EventField::Id, id)];
        let query = EventQuery {
            namespace: caller.namespace().clone(),
            fields: fields.map(|(field, text)| (field, Filter::Eq(text.to_string()))).into(),
            time: time.map(|time| TimeFilter::All(vec![TimeFilter::From(time), TimeFilter::Through(time)])),
            ingested_at: None,
            after: None,
            limit: 1,
        };
        Ok(self.listed_events(query, None).await?.pop())
    }
}
