//! What the core says, put together as it is asked for.

use super::request::{Asked, Field, Period};
use crate::door::{Caller, Door};
use crate::problem::Problem;
use crate::{customers, meters, short_id};
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::meter::{Dimension, Filter, JsonPath};
use tallystick_domain::time::{WindowSize, Windows, Zone};
use tallystick_domain::{Instant, Quantity};
use tallystick_engine::{EngineError, EventCount, KnownSubject, MeterQuery};

const DAY_US: i64 = 24 * 3600 * 1_000_000;

/// Points in time by group; the group is `""` when there are none.
pub(crate) type Series = BTreeMap<String, BTreeMap<Instant, Quantity>>;

/// A part of the answer: when, whose, of which meter or schema, whether it is processed, and how much.
struct Row {
    at: Instant,
    subject: String,
    name: String,
    status: &'static str,
    amount: Quantity,
}

impl Period {
    /// The windows of the core that it is made of.
    fn windows(self) -> WindowSize {
        match self {
            Period::Hour => WindowSize::Hour,
            Period::Day | Period::Week => WindowSize::Day,
            Period::Month => WindowSize::Month,
        }
    }

    /// The beginning of the period of a window: weeks begin on Monday.
    fn start(self, window: Instant) -> Instant {
        match self {
            Period::Week => {
                // The first day of 1970 was a Thursday.
                let days = window.as_micros().div_euclid(DAY_US);
                window.saturating_add_micros(-(days + 3).rem_euclid(7) * DAY_US)
            }
            Period::Hour | Period::Day | Period::Month => window,
        }
    }
}

/// What filters say about accounts and customers, in the core's words.
struct Whose {
    subjects: Option<Vec<String>>,
    customers: Vec<String>,
}

async fn whose(door: &Door, caller: &Caller, asked: &Asked) -> Result<Whose, Problem> {
    let subjects = match asked.filters.get(&Field::Account) {
        None => None,
        Some(accounts) => {
            let known = door.engine.known_subjects(caller, accounts.iter().cloned().collect()).await?;
            let mut keys: BTreeSet<String> = known.into_values().map(|known| known.key).collect();
            let aliases = door.engine.list_aliases(caller, keys.iter().cloned().collect()).await?;
            keys.extend(aliases.into_iter().map(|alias| alias.name));
            Some(keys.into_iter().collect())
        }
    };
    let mut ids = Vec::new();
    for id in asked.filters.get(&Field::Customer).into_iter().flatten() {
        let customer = customers::find(door, caller, id).await;
        let unknown = |_| Problem::field("filters", format!("there is no customer {id:?}"));
        ids.push(customer.map_err(unknown)?.id.to_string());
    }
    Ok(Whose { subjects, customers: ids })
}

/// How much was used.
pub(crate) async fn of_usage(door: &Door, caller: &Caller, asked: &Asked) -> Result<Series, Problem> {
    let whose = whose(door, caller, asked).await?;
    let mut all = meters::readable(door, caller).await?;
    if let Some(wanted) = asked.filters.get(&Field::Meter) {
        let is_named = |wanted: &String, meter: &(_, meters::Shown)| {
            let (meter, shown): &(tallystick_domain::meter::Meter, _) = meter;
            *wanted == short_id::of_meter(meter.id) || *wanted == shown.name
        };
        if let Some(unknown) = wanted.iter().find(|wanted| !all.iter().any(|meter| is_named(wanted, meter))) {
            return Err(Problem::field("filters", format!("there is no usage meter with the id or name {unknown:?}")));
        }
        all.retain(|meter| wanted.iter().any(|wanted| is_named(wanted, meter)));
    }
    let by_subject = matches!(asked.group_by, Some(Field::Account | Field::Customer));
    let mut rows = Vec::new();
    for (meter, _) in &all {
        let query = MeterQuery {
            from: Some(asked.from),
            to: Some(asked.to),
            window: Some(asked.period.windows()),
            subjects: whose.subjects.clone(),
            customers: whose.customers.clone(),
            group_by: if by_subject { vec!["subject".into()] } else { vec![] },
            ..MeterQuery::default()
        };
        let result = door.engine.query_meter(caller, &meters::reference(meter)?, query).await?;
        rows.extend(result.rows.into_iter().filter_map(|row| {
            let (at, subject) = (row.window?.from, row.subject.unwrap_or_default());
            Some(Row { at, subject, name: short_id::of_meter(meter.id), status: "PROCESSED", amount: row.value })
        }));
    }
    series(door, caller, asked, rows).await
}

/// How many events there were.
pub(crate) async fn of_events(door: &Door, caller: &Caller, asked: &Asked) -> Result<Series, Problem> {
    let whose = whose(door, caller, asked).await?;
    let types: BTreeSet<String> = match asked.filters.get(&Field::Schema) {
        Some(names) => names.iter().cloned().collect(),
        None => {
            let schemas = door.engine.list_event_schemas(caller).await?.into_iter().map(|schema| schema.name);
            let meters = door.engine.list_meters(caller, false).await?.into_iter().map(|meter| meter.event_type);
            schemas.chain(meters).collect()
        }
    };
    let failure = JsonPath::parse("$.failure").map_err(|error| EngineError::Internal(error.to_string()))?;
    let filters: Vec<_> =
        whose.subjects.into_iter().map(|names| (Dimension::Subject, Filter::In(names.into_iter().collect()))).collect();
    let mut rows = Vec::new();
    for event_type in types {
        let count = EventCount {
            event_type: event_type.clone(),
            from: Some(asked.from),
            to: Some(asked.to),
            windows: Some(Windows::new(asked.period.windows(), Zone::UTC)),
            filters: filters.clone(),
            customers: whose.customers.clone(),
            group_by: match asked.group_by {
                Some(Field::Account) => vec![Dimension::Property(failure.clone()), Dimension::Subject],
                _ => vec![Dimension::Property(failure.clone())],
            },
        };
        for row in door.engine.count_events(caller, count).await? {
            let mut group = row.group.into_iter();
            let is_processed = group.next().is_none_or(|failure| failure.is_empty());
            let status = if is_processed { "PROCESSED" } else { "UNPROCESSED" };
            let (Some(window), subject) = (row.window, group.next().unwrap_or_default()) else { continue };
            rows.push(Row { at: window.from, subject, name: event_type.clone(), status, amount: row.value });
        }
    }
    if let Some(statuses) = asked.filters.get(&Field::Status) {
        check_statuses(statuses)?;
        rows.retain(|row| statuses.iter().any(|status| status == row.status));
    }
    series(door, caller, asked, rows).await
}

fn check_statuses(statuses: &[String]) -> Result<(), Problem> {
    const KNOWN: [&str; 3] = ["PROCESSED", "UNPROCESSED", "IN_PROGRESS"];
    match statuses.iter().all(|status| KNOWN.contains(&status.as_str())) {
        true => Ok(()),
        false => Err(Problem::field("filters", format!("EVENT_STATUS is one of {}", KNOWN.join(", ")))),
    }
}

/// Rows added up by group and period.
async fn series(door: &Door, caller: &Caller, asked: &Asked, rows: Vec<Row>) -> Result<Series, Problem> {
    let subjects: BTreeSet<String> = match asked.group_by {
        Some(Field::Account | Field::Customer) => rows.iter().map(|row| row.subject.clone()).collect(),
        _ => BTreeSet::new(),
    };
    let known = door.engine.known_subjects(caller, subjects).await?;
    let mut series = Series::new();
    for row in rows {
        let group = match asked.group_by {
            None => String::new(),
            Some(Field::Account) => known.get(&row.subject).map_or(row.subject, |known| known.key.clone()),
            Some(Field::Customer) => known.get(&row.subject).map(customer_of).unwrap_or_default(),
            Some(Field::Meter | Field::Schema) => row.name,
            Some(Field::Status) => row.status.to_owned(),
        };
        let sum = series.entry(group).or_default().entry(asked.period.start(row.at)).or_insert(Quantity::ZERO);
        *sum =
            sum.plus(row.amount).map_err(|error| Problem::bad_request(format!("the sum cannot be told: {error}")))?;
    }
    Ok(series)
}

/// The id of the customer of a subject; `""` for nobody.
fn customer_of(known: &KnownSubject) -> String {
    known.customer.as_ref().and_then(customers::id_of).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_begins_on_monday() {
        let at = |text: &str| Instant::parse_rfc3339(text).unwrap();
        for (day, monday) in [
            ("2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z"),
            ("2024-01-07T00:00:00Z", "2024-01-01T00:00:00Z"),
            ("2024-01-08T00:00:00Z", "2024-01-08T00:00:00Z"),
            ("1969-12-28T00:00:00Z", "1969-12-22T00:00:00Z"),
        ] {
            assert_eq!(Period::Week.start(at(day)), at(monday), "{day}");
        }
        assert_eq!(Period::Day.start(at("2024-01-07T00:00:00Z")), at("2024-01-07T00:00:00Z"));
    }
}
