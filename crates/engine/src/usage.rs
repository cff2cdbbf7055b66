//! What a balance is taken by: the usage of a meter between moments, asked for all at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tallystick_domain::entitlement::{Counting, Usage};
use tallystick_domain::feature::Feature;
use tallystick_domain::meter::{AggregatePlan, Aggregation, Dimension, JsonPath, Meter};
use tallystick_domain::time::Windows;
use tallystick_domain::{Instant, Namespace, Quantity};
use tallystick_event_store::{EventStore, LiveMeasure, QueryError};

/// Parts of time that one query asks for.
const PARTS_A_QUERY: usize = 10_000;

/// How the use of a feature is measured, whoever uses it.
#[derive(Clone, Debug)]
pub(crate) struct FeatureMeasure {
    /// What is counted of one subject. Of a meter whose values do not add up, events are.
    pub live: Arc<LiveMeasure>,
    /// How the meter adds up.
    pub aggregation: Aggregation,
    value: Option<JsonPath>,
    /// First instant that counts.
    pub event_from: Option<Instant>,
}

/// How the use of a feature by a customer is measured.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    pub feature: Arc<FeatureMeasure>,
    /// The meter over all time, without windows.
    pub plan: AggregatePlan,
}

impl FeatureMeasure {
    /// What a meter counts for a feature.
    ///
    /// # Errors
    /// The name of a dimension that the feature needs and the meter has no more.
    pub fn new(ns: &Namespace, feature: Feature, meter: Meter) -> Result<Self, String> {
        let filters = feature.filters.into_iter().map(|(name, filter)| {
            let path = meter.group_by.get(&name).cloned().ok_or(name)?;
            Ok((Dimension::Property(path), filter))
        });
        let adds_up = adds_up(meter.aggregation);
        let live = LiveMeasure {
            namespace: ns.clone(),
            event_type: meter.event_type,
            aggregation: if adds_up { meter.aggregation } else { Aggregation::Count },
            value: meter.value_property.clone().filter(|_| adds_up),
            filters: filters.collect::<Result<_, String>>()?,
        };
        let (aggregation, event_from) = (meter.aggregation, meter.event_from);
        Ok(Self { live: Arc::new(live), aggregation, value: meter.value_property, event_from })
    }

    /// The same for a customer, whose event subjects these are.
    pub fn of(self: &Arc<Self>, owners: Arc<BTreeMap<String, String>>) -> Measure {
        let plan = AggregatePlan {
            namespace: self.live.namespace.clone(),
            event_type: self.live.event_type.clone(),
            from: self.event_from,
            to: None,
            aggregation: self.aggregation,
            value: self.value.clone(),
            dimensions: vec![],
            filters: self.live.filters.clone(),
            customers: Some(owners),
            windows: None,
            known_until: None,
        };
        Measure { feature: Arc::clone(self), plan }
    }
}

/// Whether the usage of two parts of time is the sum of theirs.
fn adds_up(aggregation: Aggregation) -> bool {
    matches!(aggregation, Aggregation::Sum | Aggregation::Count)
}

/// Usage by a measure, for a run.
pub(crate) struct MeterUsage<'s> {
    events: &'s EventStore,
    measure: &'s Measure,
    parts: Vec<Parts>,
    asked: BTreeMap<(Instant, Instant), Quantity>,
    /// The latest sum that was made from a moment on, and until when: the next one goes on from there.
    sums: BTreeMap<Instant, (Instant, Quantity)>,
}

/// What was used between moments that follow each other; what is not there is zero.
struct Parts {
    edges: BTreeSet<Instant>,
    /// By the beginning of the part.
    values: BTreeMap<Instant, Quantity>,
}

impl Measure {
    pub fn counting(&self) -> Counting {
        match self.plan.aggregation {
            Aggregation::Latest => Counting::Level,
            _ => Counting::Growing,
        }
    }

    /// Whether the usage of two parts of time is the sum of theirs.
    pub fn adds_up(&self) -> bool {
        adds_up(self.plan.aggregation)
    }

    /// Whether the usage of a time follows from that of its parts.
    pub fn has_parts(&self) -> bool {
        self.adds_up() || self.counting() == Counting::Level
    }

    /// Whether there can be usage at all: a customer without event subjects has none.
    fn is_of_nobody(&self) -> bool {
        self.plan.customers.as_ref().is_some_and(|owners| owners.is_empty())
    }

    fn between(&self, since: Instant, until: Instant) -> AggregatePlan {
        AggregatePlan { from: self.plan.from.max(Some(since)), to: Some(until), ..self.plan.clone() }
    }
}

impl<'s> MeterUsage<'s> {
    pub fn new(events: &'s EventStore, measure: &'s Measure) -> Self {
        Self { events, measure, parts: Vec::new(), asked: BTreeMap::new(), sums: BTreeMap::new() }
    }

    /// Asks for all parts between these moments, so that what is between two of them needs no further query.
    pub fn prepare(&mut self, edges: BTreeSet<Instant>) -> Result<(), QueryError> {
        let mut values = BTreeMap::new();
        let all: Vec<Instant> = edges.iter().copied().collect();
        let mut first = 0;
        while first + 1 < all.len() && !self.measure.is_of_nobody() {
            let last = (first + PARTS_A_QUERY).min(all.len() - 1);
            let mut plan = self.measure.between(all[first], all[last]);
            plan.windows = Some(Windows::between(all[first..=last].iter().copied()));
            for row in self.events.aggregate(&plan)? {
                if let Some(window) = row.window {
                    values.insert(window.from, row.value);
                }
            }
            first = last;
        }
        self.parts.push(Parts { edges, values });
        Ok(())
    }

    /// What is known of the time between two edges; `None` where that takes a query of its own.
    fn known(&mut self, since: Instant, until: Instant) -> Option<Result<Quantity, QueryError>> {
        let has_both = |parts: &&Parts| parts.edges.contains(&since) && parts.edges.contains(&until);
        let mut known = self.parts.iter().filter(has_both);
        match self.measure.plan.aggregation {
            Aggregation::Sum | Aggregation::Count => {
                let parts = known.next()?;
                let before = self.sums.get(&since).copied();
                let before = before.filter(|(end, _)| *end <= until && parts.edges.contains(end));
                let (end, sum) = before.unwrap_or((since, Quantity::ZERO));
                let sum = parts.values.range(end..until).try_fold(sum, |sum, (_, value)| sum.plus(*value));
                if let Ok(sum) = sum {
                    self.sums.insert(since, (until, sum));
                }
                Some(sum.map_err(QueryError::from))
            }
            Aggregation::Latest => {
                let last = known.next()?.values.range(since..until).next_back();
                Some(Ok(last.map_or(Quantity::ZERO, |(_, value)| *value)))
            }
            _ => {
                let parts = known.find(|parts| parts.edges.range(since..until).nth(1).is_none())?;
                Some(Ok(parts.values.get(&since).copied().unwrap_or(Quantity::ZERO)))
            }
        }
    }
}

impl Usage for MeterUsage<'_> {
    type Error = QueryError;

    fn used(&mut self, since: Instant, until: Instant) -> Result<Quantity, QueryError> {
        if since >= until || self.measure.is_of_nobody() {
            return Ok(Quantity::ZERO);
        }
        if let Some(known) = self.known(since, until) {
            return known;
        }
        if let Some(known) = self.asked.get(&(since, until)) {
            return Ok(*known);
        }
        let rows = self.events.aggregate(&self.measure.between(since, until))?;
        let used = rows.first().map_or(Quantity::ZERO, |row| row.value);
        self.asked.insert((since, until), used);
        Ok(used)
    }
}
