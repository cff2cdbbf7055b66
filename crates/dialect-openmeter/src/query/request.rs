//! What a query asks, from the query string or from a body; the rules are the same.

use super::group_filter;
use crate::filter::{FilterReader, json_object};
use crate::params::{Bound, Place, bound, check_ulids, client_id, not_allowed, refuse_unknown};
use crate::problem::Problem;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tallystick_domain::meter::Filter;
use tallystick_domain::time::{WindowSize, Zone};
use tallystick_engine::MeterQuery;
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

const PARAMETERS: [&str; 11] = [
    "clientId",
    "asOf",
    "from",
    "to",
    "windowSize",
    "windowTimeZone",
    "subject",
    "filterCustomerId",
    "filterGroupBy",
    "advancedMeterGroupByFilters",
    "groupBy",
];
const MAX_ITEMS: usize = 100;

/// Length of calendar windows.
#[derive(ToSchema)]
#[schema(as = WindowSize, rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(dead_code, reason = "describes the words that WindowSize reads and writes")]
pub(crate) enum WindowSizeWord {
    Minute,
    Hour,
    Day,
    Month,
}

/// What to ask of a meter. A field that is not known is refused: ignoring a filter would show too much.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = MeterQueryRequest)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct QueryBody {
    /// Id under which the operation `progress_get_progress` tells how far the query is.
    client_id: Option<String>,
    /// Answer as known at this moment: without events that were accepted and corrections that were made after it.
    #[schema(format = DateTime)]
    as_of: Option<String>,
    /// First moment that counts.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// First moment that does not count any more.
    #[schema(format = DateTime)]
    to: Option<String>,
    /// Length of the windows; one bucket when left out.
    #[schema(value_type = Option<WindowSizeWord>)]
    window_size: Option<String>,
    /// IANA name of the zone whose clock the windows follow; `UTC` by default.
    window_time_zone: Option<String>,
    /// Only these subjects, and a row for each; an empty list asks for a row for each of all subjects.
    subject: Option<Vec<String>>,
    /// Only these customers, and a row for each.
    filter_customer_id: Option<Vec<String>>,
    /// Values of dimensions; `""` means that an event has none.
    filter_group_by: Option<BTreeMap<String, Vec<String>>>,
    /// String filters on dimensions.
    #[schema(value_type = Option<Object>)]
    advanced_meter_group_by_filters: Option<Map<String, Value>>,
    /// Dimensions of the meter, or `subject`.
    group_by: Option<Vec<String>>,
}

/// A query that can be asked, with the words in which its answer is labelled.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub query: MeterQuery,
    pub from: Option<Bound>,
    pub to: Option<Bound>,
}

impl QueryBody {
    /// Reads the parameters of a query string.
    pub(super) fn of_query_string(query: &QueryString) -> Result<Self, Problem> {
        refuse_unknown(query, &PARAMETERS, &["filterGroupBy"])?;
        let one = |name: &str| query.one(name).map(|value| value.map(str::to_string));
        let many = |name: &str| {
            let values: Vec<String> = query.all(name).map(str::to_string).collect();
            (!values.is_empty()).then_some(values)
        };
        let advanced = "advancedMeterGroupByFilters";
        let advanced_filters = query.one(advanced)?.map(json_object).transpose();
        Ok(Self {
            client_id: one("clientId")?,
            as_of: one("asOf")?,
            from: one("from")?,
            to: one("to")?,
            window_size: one("windowSize")?,
            window_time_zone: one("windowTimeZone")?,
            subject: many("subject"),
            filter_customer_id: many("filterCustomerId"),
            filter_group_by: group_filter::of_query_string(query)?,
            advanced_meter_group_by_filters: advanced_filters.map_err(|fault| {
                Problem::bad_request(format!(
                    "unmarshaling param {advanced}: Error unmarshaling parameter {advanced} as JSON: {fault}"
                ))
            })?,
            group_by: many("groupBy"),
        })
    }

    /// Checks every rule but those that need the meter.
    pub(super) fn checked(self, place: Place) -> Result<Asked, Problem> {
        let watched_as = client_id(place, self.client_id.as_deref())?;
        let as_of = bound(place, "asOf", self.as_of.as_deref())?.map(|bound| bound.at);
        let from = bound(place, "from", self.from.as_deref())?;
        let to = bound(place, "to", self.to.as_deref())?;
        let window = self.window_size.as_deref().map(|text| window_size(place, text)).transpose()?;
        let zone = self.window_time_zone.as_deref().map(Zone::parse).transpose();
        let zone = zone.map_err(|error| Problem::validation(format!("invalid time zone: {error}")))?;
        let customers = self.filter_customer_id.unwrap_or_default();
        let group_by = self.group_by.unwrap_or_default();
        if place == Place::Body {
            check_items(place, "subject", self.subject.as_ref().map_or(0, Vec::len))?;
            check_items(place, "groupBy", group_by.len())?;
        }
        check_items(place, "filterCustomerId", customers.len())?;
        check_ulids(place, "filterCustomerId", &customers)?;
        let filters = filters_of(
            self.filter_group_by.unwrap_or_default(),
            &self.advanced_meter_group_by_filters.unwrap_or_default(),
        )?;
        let query = MeterQuery {
            from: from.as_ref().map(|bound| bound.at),
            to: to.as_ref().map(|bound| bound.at),
            window,
            zone: zone.unwrap_or(Zone::UTC),
            subjects: self.subject,
            customers,
            filters,
            group_by,
            subject_names: false,
            as_of,
            watched_as,
        };
        Ok(Asked { query, from, to })
    }
}

/// Reads the length of windows.
pub(crate) fn window_size(place: Place, text: &str) -> Result<WindowSize, Problem> {
    let words = WindowSize::ALL.map(WindowSize::as_str);
    WindowSize::parse(text).ok_or_else(|| place.refuse("windowSize", not_allowed(&words)))
}

fn check_items(place: Place, name: &str, count: usize) -> Result<(), Problem> {
    match count > MAX_ITEMS {
        true => Err(place.refuse(name, format!("maximum number of items is {MAX_ITEMS}"))),
        false => Ok(()),
    }
}

fn filters_of(
    plain: BTreeMap<String, Vec<String>>,
    advanced: &Map<String, Value>,
) -> Result<BTreeMap<String, Filter>, Problem> {
    if !plain.is_empty() && !advanced.is_empty() {
        return Err(Problem::validation("advancedMeterGroupByFilters and filterGroupBy cannot be used together"));
    }
    let mut filters = BTreeMap::new();
    for (name, values) in plain {
        // No values mean no condition; the engine still has to know the dimension.
        let filter = match values.is_empty() {
            true => Filter::All(vec![]),
            false => Filter::In(values.into_iter().collect()),
        };
        filters.insert(name, filter);
    }
    for (name, value) in advanced {
        let read = FilterReader::of_dimensions().text(value);
        let filter =
            read.map_err(|fault| Problem::validation(format!("advancedMeterGroupByFilters {name}: {fault}")))?;
        filters.insert(name.clone(), filter);
    }
    Ok(filters)
}
