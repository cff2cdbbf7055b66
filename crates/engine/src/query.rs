//! Meter queries: from the words of a request to a plan, and from the plan's rows back.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::meters::MeterRef;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{
    AggregatePlan, AggregateRow, Aggregation, Dimension, Filter, JsonPath, Meter, NotCounted,
};
use tallystick_domain::quantity::Quantity;
use tallystick_domain::time::{Window, WindowSize, Windows, Zone};
use tallystick_domain::{Instant, Namespace};
use tallystick_event_store::{EventStore, LiveKey, LiveMeasure, QueryError};

/// What to ask of a meter.
#[derive(Clone, Debug)]
pub struct MeterQuery {
    /// First instant that counts.
    pub from: Option<Instant>,
    /// First instant that does not count any more.
    pub to: Option<Instant>,
    /// Size of the windows; one bucket when absent.
    pub window: Option<WindowSize>,
    /// The zone whose clock the windows follow.
    pub zone: Zone,
    /// Only these subjects, and a row for each; an empty list asks for a row for each of all subjects.
    pub subjects: Option<Vec<String>>,
    /// Only these customers, by id, and a row for each.
    pub customers: Vec<String>,
    /// Conditions on the meter's dimensions.
    pub filters: BTreeMap<String, Filter>,
    /// `subject`, `customer_id` or names of the meter's dimensions.
    pub group_by: Vec<String>,
    /// Whether the names of the subjects in the answer are wanted.
    pub subject_names: bool,
    /// Only what was known at this instant: events that were accepted by then, with the corrections of then. It must not
    /// lie ahead. Meters, customers and what expired are as they are now.
    pub as_of: Option<Instant>,
    /// An id under which [`Engine::progress`] tells how far the query is.
    pub watched_as: Option<String>,
}

impl Default for MeterQuery {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            window: None,
            zone: Zone::UTC,
            subjects: None,
            customers: vec![],
            filters: BTreeMap::new(),
            group_by: vec![],
            subject_names: false,
            as_of: None,
            watched_as: None,
        }
    }
}

/// The answer to a query.
#[derive(Clone, Debug)]
pub struct MeterResult {
    /// The meter that was asked.
    pub meter: Meter,
    /// What rows are grouped by: `subject`, `customer_id` or names of dimensions, in the order asked for.
    pub group_by: Vec<String>,
    /// The rows, ordered by window and then by group.
    pub rows: Vec<MeterRow>,
    /// The described subjects among those of the rows, if they were wanted, with the names that they have.
    pub subject_names: BTreeMap<String, Option<String>>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterRow {
    /// The window, if windows were asked for.
    pub window: Option<Window>,
    /// Times of the earliest and the latest event that counted; `None` when none did.
    pub span: Option<(Instant, Instant)>,
    /// The subject, if rows are grouped by it.
    pub subject: Option<String>,
    /// The customer's id, if rows are grouped by it.
    pub customer: Option<String>,
    /// The values of the other dimensions.
    pub groups: BTreeMap<String, String>,
    /// The result.
    pub value: Quantity,
}

/// How many events of a meter's type count for it, and why the others do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Events of the meter's type in the asked-for time.
    pub matched: u64,
    /// Those that count.
    pub counted: u64,
    /// Those that do not, by reason.
    pub not_counted: Vec<NotCountedGroup>,
}

/// Events that do not count for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotCountedGroup {
    /// A stable word for the reason.
    pub reason: String,
    /// The reason for people.
    pub message: &'static str,
    /// How many events.
    pub count: u64,
}

impl NotCountedGroup {
    /// Names the reason of a meter that judges: no units were written into the event, or a fault in their place.
    fn say_as_judged(&mut self) {
        let why = match self.reason.as_str() {
            "not_numeric" => NotCounted::RuleFailed { why: String::new() },
            _ => NotCounted::NotSelected,
        };
        self.reason = why.code().to_owned();
        self.message = NotCounted::describe_code(&self.reason);
    }
}

const SUBJECT: &str = "subject";
const CUSTOMER: &str = "customer_id";

impl Engine {
    /// Asks a meter.
    pub async fn query_meter(
        &self,
        caller: &Caller,
        meter: &MeterRef,
        query: MeterQuery,
    ) -> Result<MeterResult, EngineError> {
        caller.require(Scope::Read)?;
        let meter = self.find_meter(caller, meter).await?;
        check_range(query.from, query.to)?;
        if query.as_of.is_some_and(|as_of| as_of > self.now()) {
            let message = "asOf must not lie ahead: what will be known then is not known yet";
            return Err(EngineError::invalid("asOf", message));
        }
        let group_by = dimensions_asked(&meter, &query)?;
        let mut plan = base_plan(caller, &meter, query.from, query.to);
        plan.customers = self.customer_owners(caller, &query.customers).await?.map(Arc::new);
        plan.windows = query.window.map(|size| Windows::new(size, query.zone));
        plan.dimensions = group_by.iter().map(|name| dimension(&meter, name)).collect::<Result<_, _>>()?;
        for (name, filter) in query.filters {
            plan.filters.push((property(&meter, &name, "group by filter")?, filter));
        }
        if let Some(subjects) = query.subjects.filter(|subjects| !subjects.is_empty()) {
            plan.filters.push((Dimension::Subject, Filter::In(subjects.into_iter().collect())));
        }
        plan.known_until = query.as_of;
        let lonely = plan.windows.is_none() && plan.dimensions.is_empty();
        let aggregate = move |events: &EventStore, progress: Option<&_>| events.aggregate_watched(&plan, progress);
        let rows = self.read_watched(caller.namespace(), query.watched_as, aggregate).await?;
        let mut rows: Vec<_> = rows.into_iter().map(|row| meter_row(row, &group_by)).collect();
        if rows.is_empty() && lonely && meter.aggregation.counts_nothing_as_zero() {
            rows.push(MeterRow {
                window: None,
                span: None,
                subject: None,
                customer: None,
                groups: BTreeMap::new(),
                value: Quantity::ZERO,
            });
        }
        let subject_names = match query.subject_names {
            true => self.names_of(caller.namespace(), &rows).await?,
            false => BTreeMap::new(),
        };
        Ok(MeterResult { meter, group_by, rows, subject_names })
    }

    async fn names_of(
        &self,
        namespace: &Namespace,
        rows: &[MeterRow],
    ) -> Result<BTreeMap<String, Option<String>>, EngineError> {
        let shown: BTreeSet<&str> = rows.iter().filter_map(|row| row.subject.as_deref()).collect();
        if shown.is_empty() {
            return Ok(BTreeMap::new());
        }
        let described = self.state().list_subjects(namespace).await?.into_iter();
        let described = described.filter(|subject| shown.contains(subject.key.as_str()));
        Ok(described.map(|subject| (subject.key, subject.display_name)).collect())
    }

    /// The total of one subject of a meter, from an instant on without an end; `None` if nothing counts. It is kept up to
    /// date from the first call on for SUM, COUNT, MIN and MAX, so that further calls take microseconds.
    pub async fn live_total(
        &self,
        caller: &Caller,
        meter: &Meter,
        subject: &str,
        from: Option<Instant>,
    ) -> Result<Option<Quantity>, EngineError> {
        caller.require(Scope::Read)?;
        let key = LiveKey {
            measure: Arc::new(LiveMeasure {
                namespace: caller.namespace().clone(),
                event_type: meter.event_type.clone(),
                aggregation: meter.aggregation,
                value: meter.value_property.clone(),
                filters: vec![],
            }),
            subject: subject.to_owned().into(),
            from: from.max(meter.event_from),
        };
        if let Some(known) = self.events().known_total(&key) {
            return Ok(known.map_err(QueryError::Plan)?);
        }
        self.read_events(move |events| events.live_total(&key)).await
    }

    pub(crate) async fn customer_owners(
        &self,
        caller: &Caller,
        ids: &[String],
    ) -> Result<Option<BTreeMap<String, String>>, EngineError> {
        if ids.is_empty() {
            return Ok(None);
        }
        let found = self.live_customers(caller.namespace(), ids).await?;
        let customers =
            found.map_err(|unknown| EngineError::NotFound { what: "customer with id", key: unknown.join(", ") })?;
        Ok(Some(self.owned_subjects(caller.namespace(), &customers).await?))
    }

    /// The subjects that have events of the meter's type, ascending.
    pub async fn meter_subjects(
        &self,
        caller: &Caller,
        meter: &MeterRef,
        from: Option<Instant>,
        to: Option<Instant>,
    ) -> Result<Vec<String>, EngineError> {
        self.distinct_texts(caller, meter, from, to, |_| Ok(Dimension::Subject)).await
    }

    /// The values that a dimension takes, ascending; `""` when an event has none.
    pub async fn meter_group_values(
        &self,
        caller: &Caller,
        meter: &MeterRef,
        name: &str,
        from: Option<Instant>,
        to: Option<Instant>,
    ) -> Result<Vec<String>, EngineError> {
        let wanted = |meter: &Meter| {
            let path = meter.group_by.get(name).cloned();
            path.map(Dimension::Property).ok_or_else(|| {
                EngineError::invalid("groupByKey", format!("group by key is not valid for this meter: {name}"))
            })
        };
        self.distinct_texts(caller, meter, from, to, wanted).await
    }

    async fn distinct_texts(
        &self,
        caller: &Caller,
        meter: &MeterRef,
        from: Option<Instant>,
        to: Option<Instant>,
        wanted: impl FnOnce(&Meter) -> Result<Dimension, EngineError>,
    ) -> Result<Vec<String>, EngineError> {
        caller.require(Scope::Read)?;
        let meter = self.find_meter(caller, meter).await?;
        check_range(from, to)?;
        let plan = AggregatePlan {
            from,
            aggregation: Aggregation::Count,
            value: None,
            dimensions: vec![wanted(&meter)?],
            ..base_plan(caller, &meter, from, to)
        };
        let rows = self.read_events(move |events| events.aggregate(&plan)).await?;
        Ok(rows.into_iter().filter_map(|row| row.group.into_iter().next()).collect())
    }

    /// How many events count for a meter, and why the others do not.
    pub async fn meter_coverage(
        &self,
        caller: &Caller,
        meter: &MeterRef,
        from: Option<Instant>,
        to: Option<Instant>,
    ) -> Result<Coverage, EngineError> {
        caller.require(Scope::Read)?;
        let meter = self.find_meter(caller, meter).await?;
        check_range(from, to)?;
        let numeric = meter.aggregation != Aggregation::UniqueCount;
        let reasons = meter.value_property.clone().map(|path| Dimension::NotCounted { path, numeric });
        let plan = AggregatePlan {
            aggregation: Aggregation::Count,
            value: None,
            dimensions: reasons.into_iter().collect(),
            ..base_plan(caller, &meter, from, to)
        };
        let rows = self.read_events(move |events| events.aggregate(&plan)).await?;
        let mut coverage = coverage_of(rows);
        if meter.judging.is_some() {
            coverage.not_counted.iter_mut().for_each(NotCountedGroup::say_as_judged);
        }
        Ok(coverage)
    }
}

fn coverage_of(rows: Vec<AggregateRow>) -> Coverage {
    let mut coverage = Coverage { matched: 0, counted: 0, not_counted: vec![] };
    for row in rows {
        let count = u64::try_from(row.value.mantissa()).unwrap_or(0);
        coverage.matched += count;
        match row.group.into_iter().next().filter(|reason| !reason.is_empty()) {
            None => coverage.counted += count,
            Some(reason) => {
                let message = NotCounted::describe_code(&reason);
                coverage.not_counted.push(NotCountedGroup { reason, message, count });
            }
        }
    }
    coverage
}

/// A meter over a time: everything that it counts in one row.
pub(crate) fn base_plan(caller: &Caller, meter: &Meter, from: Option<Instant>, to: Option<Instant>) -> AggregatePlan {
    AggregatePlan {
        namespace: caller.namespace().clone(),
        event_type: meter.event_type.clone(),
        // Events before the meter's own start never count, whatever is asked.
        from: from.max(meter.event_from),
        to,
        aggregation: meter.aggregation,
        value: meter.value_property.clone(),
        dimensions: vec![],
        filters: vec![],
        customers: None,
        windows: None,
        known_until: None,
    }
}

pub(crate) fn check_range(from: Option<Instant>, to: Option<Instant>) -> Result<(), EngineError> {
    match (from, to) {
        (Some(from), Some(to)) if from == to => Err(EngineError::invalid("from", "from and to cannot be equal")),
        (Some(from), Some(to)) if from > to => Err(EngineError::invalid("from", "from must be before to")),
        _ => Ok(()),
    }
}

/// The grouping of a query: what it names, each once, and what its filters imply.
fn dimensions_asked(meter: &Meter, query: &MeterQuery) -> Result<Vec<String>, EngineError> {
    let mut names: Vec<String> = Vec::new();
    let by_subject = query.subjects.as_ref().map(|_| SUBJECT.to_string());
    let by_customer = (!query.customers.is_empty()).then(|| CUSTOMER.to_string());
    for name in query.group_by.iter().cloned().chain(by_subject).chain(by_customer) {
        if name == CUSTOMER && query.customers.is_empty() {
            let message = "customer filter is required with customer_id group by";
            return Err(EngineError::invalid("groupBy", message));
        }
        if name != SUBJECT && name != CUSTOMER && !meter.group_by.contains_key(&name) {
            return Err(EngineError::invalid("groupBy", format!("invalid group by: {name}")));
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn dimension(meter: &Meter, name: &str) -> Result<Dimension, EngineError> {
    match name {
        SUBJECT => Ok(Dimension::Subject),
        CUSTOMER => Ok(Dimension::Customer),
        _ => property(meter, name, "group by"),
    }
}

fn property(meter: &Meter, name: &str, role: &str) -> Result<Dimension, EngineError> {
    let path: Option<&JsonPath> = meter.group_by.get(name);
    path.cloned().map(Dimension::Property).ok_or_else(|| {
        let known: Vec<_> = meter.group_by.keys().map(String::as_str).collect();
        let message = format!("invalid {role}: {name} (this meter has: {})", known.join(", "));
        EngineError::invalid("filterGroupBy", message)
    })
}

fn meter_row(row: AggregateRow, group_by: &[String]) -> MeterRow {
    let mut groups: BTreeMap<String, String> = group_by.iter().cloned().zip(row.group).collect();
    let subject = groups.remove(SUBJECT);
    let customer = groups.remove(CUSTOMER);
    MeterRow { window: row.window, span: Some((row.first, row.last)), subject, customer, groups, value: row.value }
}
