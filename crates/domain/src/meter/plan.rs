//! A meter query as plain data: every backend runs the same plan and must give the same rows.

use super::aggregation::{Aggregation, Sample};
use super::filter::Filter;
use super::json_path::JsonPath;
use super::value::{dimension_text, distinct_value, numeric_value};
use crate::Namespace;
use crate::event::{EventRef, StoredEvent};
use crate::quantity::{Quantity, QuantityError};
use crate::time::{Instant, Window, Windows};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that rows are grouped or filtered by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// The event's subject.
    Subject,
    /// The customer that owns the subject, by [`AggregatePlan::customers`].
    Customer,
    /// A property of the data.
    Property(JsonPath),
    /// Why the event does not count for this value path, as a code of [`super::NotCounted`]; `""` when it counts.
    NotCounted {
        /// Where the value is.
        path: JsonPath,
        /// Whether it must be a number.
        numeric: bool,
    },
}

impl Dimension {
    /// Its text for an event. `owners` says which customer owns a subject; without it no event has a customer.
    pub fn text_of<'a>(&self, event: EventRef<'a>, owners: Option<&'a BTreeMap<String, String>>) -> Cow<'a, str> {
        match self {
            Dimension::Subject => event.subject().into(),
            Dimension::Customer => {
                owners.and_then(|owners| owners.get(event.subject())).map_or("", String::as_str).into()
            }
            Dimension::Property(path) => dimension_text(event.data(), path),
            Dimension::NotCounted { path, numeric: true } => {
                numeric_value(event.data(), path).map_or_else(|reason| reason.code(), |_| "").into()
            }
            Dimension::NotCounted { path, numeric: false } => {
                distinct_value(event.data(), path).map_or_else(|reason| reason.code(), |_| "").into()
            }
        }
    }
}

/// What to aggregate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregatePlan {
    /// Only events of this namespace.
    pub namespace: Namespace,
    /// Only events of this type.
    pub event_type: String,
    /// First instant that counts.
    pub from: Option<Instant>,
    /// First instant that does not count any more.
    pub to: Option<Instant>,
    /// How values add up.
    pub aggregation: Aggregation,
    /// Where the value is; `None` for COUNT.
    pub value: Option<JsonPath>,
    /// What rows are grouped by, in the order of [`AggregateRow::group`].
    pub dimensions: Vec<Dimension>,
    /// Conditions; all must hold.
    pub filters: Vec<(Dimension, Filter)>,
    /// Which customer owns a subject. When given, only events of these subjects count.
    pub customers: Option<Arc<BTreeMap<String, String>>>,
    /// Windows of the calendar or between cuts, or one bucket for the whole time.
    pub windows: Option<Windows>,
    /// Only what was known at this instant: events that were accepted by then, with the corrections of then. The fold
    /// looks at acceptance alone: events are handed to it as they were.
    pub known_until: Option<Instant>,
}

/// One row of the answer. Rows are ordered by (window, group), ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregateRow {
    /// The window, if the plan has windows.
    pub window: Option<Window>,
    /// The values of the plan's dimensions.
    pub group: Vec<String>,
    /// The result.
    pub value: Quantity,
    /// Time of the earliest event that counted.
    pub first: Instant,
    /// Time of the latest event that counted.
    pub last: Instant,
}

/// Why a plan has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The exact result does not fit a quantity.
    #[error("the result{} has more than 28 significant digits; narrow the query", of_group(.group))]
    Overflow {
        /// The group whose result does not fit; empty when rows are not grouped.
        group: Vec<String>,
    },
    /// More rows or distinct values than the server may hold at once.
    #[error("the query needs more than {limit} {what}; narrow the time range, use a larger window or fewer groups")]
    TooLarge {
        /// What there are too many of.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}

fn of_group(group: &[String]) -> String {
    if group.is_empty() { String::new() } else { format!(" of group {group:?}") }
}

impl PlanError {
    /// The error of a result that does not fit.
    pub fn overflow(group: &[String], _: QuantityError) -> Self {
        PlanError::Overflow { group: group.to_vec() }
    }
}

impl AggregatePlan {
    /// Whether an instant lies in the asked-for time.
    pub fn covers(&self, time: Instant) -> bool {
        self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to)
    }

    /// Whether an event of the namespace is selected: type, time, customers and filters.
    pub fn selects(&self, stored: &StoredEvent) -> bool {
        let event = &stored.event;
        event.event_type() == self.event_type
            && self.covers(event.time())
            && self.known_until.is_none_or(|until| stored.ingested_at <= until)
            && self.customers.as_ref().is_none_or(|owners| owners.contains_key(event.subject()))
            && self.filters.iter().all(|(dimension, filter)| filter.matches(&self.text_of(dimension, stored)))
    }

    /// The text of a dimension for an event.
    pub fn text_of<'a>(&'a self, dimension: &Dimension, stored: &'a StoredEvent) -> Cow<'a, str> {
        dimension.text_of(stored.event.view(), self.customers.as_deref())
    }

    /// Hands the event's contribution to `take`, unless it has none. Borrowing keeps distinct texts from being copied.
    pub fn with_sample(&self, stored: &StoredEvent, take: impl FnOnce(Sample<'_>)) {
        match (&self.value, self.aggregation) {
            (_, Aggregation::Count) => take(Sample::Event),
            (Some(path), Aggregation::UniqueCount) => {
                if let Ok(text) = distinct_value(stored.event.data(), path) {
                    take(Sample::Distinct(&text));
                }
            }
            (Some(path), _) => {
                if let Ok(number) = numeric_value(stored.event.data(), path) {
                    take(Sample::Number(number));
                }
            }
            // A meter that needs a value has a path: `Meter` cannot be built without.
            (None, _) => {}
        }
    }

    /// The window that holds an instant, if the plan has windows.
    pub fn window_of(&self, time: Instant) -> Option<Window> {
        self.windows.as_ref().map(|windows| windows.window_of(time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_does_not_fit_is_named_by_its_group_if_there_is_one() {
        let text = |group: &[&str]| {
            let group: Vec<_> = group.iter().map(|name| name.to_string()).collect();
            PlanError::overflow(&group, QuantityError::OutOfRange).to_string()
        };
        assert_eq!(text(&[]), "the result has more than 28 significant digits; narrow the query");
        assert_eq!(text(&["a"]), "the result of group [\"a\"] has more than 28 significant digits; narrow the query");
    }
}
