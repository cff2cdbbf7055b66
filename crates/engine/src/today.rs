//! How many events each subject has today, for those who look whether anything arrives.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use std::collections::BTreeMap;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{AggregatePlan, Aggregation, Dimension};

const DAY_US: i64 = 24 * 3600 * 1_000_000;

impl Engine {
    /// The number of events of each subject whose time is today (UTC) or later, whatever their type and whether a meter
    /// wants them or not.
    pub async fn events_of_today(&self, caller: &Caller) -> Result<BTreeMap<String, u64>, EngineError> {
        caller.require(Scope::Read)?;
        let namespace = caller.namespace().clone();
        let now = self.clock().now();
        let midnight = now.saturating_add_micros(-now.as_micros().rem_euclid(DAY_US));
        self.read_events(move |events| {
            let mut counts: BTreeMap<String, u64> = BTreeMap::new();
            let types = events.content()?.types.into_iter();
            for found in types.filter(|found| found.namespace == namespace.as_str() && found.last >= midnight) {
                let plan = AggregatePlan {
                    namespace: namespace.clone(),
                    event_type: found.event_type,
                    from: Some(midnight),
                    to: None,
                    aggregation: Aggregation::Count,
                    value: None,
                    dimensions: vec![Dimension::Subject],
                    filters: vec![],
                    customers: None,
                    windows: None,
                    known_until: None,
                };
                for row in events.aggregate(&plan)? {
                    let count = u64::try_from(row.value.mantissa()).unwrap_or(0);
                    *counts.entry(row.group.into_iter().next().unwrap_or_default()).or_default() += count;
                }
            }
            Ok(counts)
        })
        .await
    }
}
