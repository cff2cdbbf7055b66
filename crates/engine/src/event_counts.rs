//! How many events there are, whatever meters make of them.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::query::check_range;
use std::sync::Arc;
use tallystick_domain::Instant;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{AggregatePlan, AggregateRow, Aggregation, Dimension, Filter};
use tallystick_domain::time::Windows;
use tallystick_event_store::EventStore;

/// Which events to count.
#[derive(Clone, Debug)]
pub struct EventCount {
    /// Only events of this type.
    pub event_type: String,
    /// First instant that counts.
    pub from: Option<Instant>,
    /// First instant that does not count any more.
    pub to: Option<Instant>,
    /// What time is cut into; one bucket when absent.
    pub windows: Option<Windows>,
    /// Conditions; all must hold.
    pub filters: Vec<(Dimension, Filter)>,
    /// Only events of these customers, by id; empty for all.
    pub customers: Vec<String>,
    /// What there is a row for each of.
    pub group_by: Vec<Dimension>,
}

impl Engine {
    /// Counts events; there is no row where there is none.
    pub async fn count_events(&self, caller: &Caller, count: EventCount) -> Result<Vec<AggregateRow>, EngineError> {
        caller.require(Scope::Read)?;
        check_range(count.from, count.to)?;
        let plan = AggregatePlan {
            namespace: caller.namespace().clone(),
            event_type: count.event_type,
            from: count.from,
            to: count.to,
            aggregation: Aggregation::Count,
            value: None,
            dimensions: count.group_by,
            filters: count.filters,
            customers: self.customer_owners(caller, &count.customers).await?.map(Arc::new),
            windows: count.windows,
            known_until: None,
        };
        let aggregate = move |events: &EventStore, progress: Option<&_>| events.aggregate_watched(&plan, progress);
        self.read_watched(caller.namespace(), None, aggregate).await
    }
}
