//! `POST /api/v3/openmeter/meters/{meterId}/query`: exact usage, as JSON or CSV.

use super::faults::Faults;
use super::filter::ByDimension;
use super::meters::{body_fault, meter_ref};
use super::problem::{Missing, Refused};
use crate::door::{Caller, Door, PathTexts};
use crate::params::{Place, bound};
use crate::problem::Problem;
use crate::query::{Asked, Labelled, LabelledRow, csv_file, wants_csv};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tallystick_domain::time::{WindowSize, Zone};
use tallystick_engine::{EngineError, MeterQuery};
use utoipa::ToSchema;

const SUBJECT: &str = "subject";
const CUSTOMER: &str = "customer_id";
const CUSTOMER_COLUMNS: [&str; 3] = [CUSTOMER, "customer_key", "customer_name"];
/// Customers that one query names.
const MAX_CUSTOMERS: usize = 100;

/// What to ask of a meter.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3MeterQueryRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    /// First moment that counts.
    #[schema(format = DateTime)]
    from: Option<String>,
    /// First moment that does not count any more.
    #[schema(format = DateTime)]
    to: Option<String>,
    /// Length of the windows; one bucket when left out.
    granularity: Option<Granularity>,
    /// IANA name of the zone whose clock the windows follow; `UTC` by default.
    time_zone: Option<String>,
    /// Dimensions of the meter, `subject` or `customer_id`.
    #[schema(max_items = 100)]
    group_by_dimensions: Option<Vec<String>>,
    /// Which events count.
    filters: Option<Filters>,
}

/// Length of calendar windows.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[schema(as = V3MeterQueryGranularity)]
enum Granularity {
    /// A minute.
    #[serde(rename = "PT1M")]
    Minute,
    /// An hour.
    #[serde(rename = "PT1H")]
    Hour,
    /// A day.
    #[serde(rename = "P1D")]
    Day,
    /// A month.
    #[serde(rename = "P1M")]
    Month,
}

impl From<Granularity> for WindowSize {
    fn from(granularity: Granularity) -> Self {
        match granularity {
            Granularity::Minute => WindowSize::Minute,
            Granularity::Hour => WindowSize::Hour,
            Granularity::Day => WindowSize::Day,
            Granularity::Month => WindowSize::Month,
        }
    }
}

/// Which events count.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3MeterQueryFilters)]
#[serde(deny_unknown_fields)]
struct Filters {
    /// By dimension. `subject` and `customer_id` take `eq` and `in` only, and give a row for each of them.
    dimensions: Option<ByDimension>,
}

/// The answer to a query.
#[derive(Serialize, ToSchema)]
#[schema(as = V3MeterQueryResult)]
pub(crate) struct ResultBody<'a> {
    /// As asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    from: Option<&'a str>,
    /// As asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    to: Option<&'a str>,
    /// The rows, by window.
    data: Vec<RowBody<'a>>,
}

/// One row of an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = V3MeterQueryRow)]
struct RowBody<'a> {
    /// The exact result, a decimal number.
    value: String,
    /// Start of the window.
    #[schema(format = DateTime)]
    from: &'a str,
    /// End of the window, exclusive.
    #[schema(format = DateTime)]
    to: &'a str,
    /// What the row is about; `""` when events have no value for the dimension.
    #[schema(value_type = BTreeMap<String, String>)]
    dimensions: BTreeMap<&'a str, &'a str>,
}

/// Query a meter
///
/// Usage in `[from, to)`, in calendar windows of a time zone or in one bucket, by subject, customer and dimensions. Values are
/// exact decimals. With `Accept: text/csv` the answer is CSV.
#[utoipa::path(
    post,
    path = "/api/v3/openmeter/meters/{meterId}/query",
    operation_id = "Meters.Query",
    tag = "Version 3",
    extensions(("x-openmeter-operations" = json!(["Meters.Query", "Meters.QueryCSV", "Meters.QueryCSVStream"]))),
    params(("meterId" = String, Path, description = "ULID.")),
    request_body = QueryBody,
    responses(
        (status = 200, description = "The rows.", content((ResultBody = "application/json"), (String = "text/csv"))),
        Missing,
        Refused,
    ),
)]
pub(crate) async fn query_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let as_file = wants_csv(request.headers());
    let mut faults = Faults::default();
    let id = faults.id(&path, "meterId");
    let body: Option<QueryBody> = faults.body(request, &door.limits).await?;
    let asked = body.and_then(|body| asked(body, &mut faults));
    let asked = faults.none_in(asked)?;
    let result = door.engine.query_meter(&caller, &meter_ref(&id)?, asked.query.clone()).await;
    let result = result.map_err(|error| match error {
        EngineError::NotFound { what: "customer with id", key } => {
            Problem::not_found(format!("customer with id {key} not found"))
        }
        other => other.into(),
    })?;
    let labelled = Labelled::new(result, asked);
    match as_file {
        true => file(&door, &caller, &labelled).await,
        false => Ok(Json(result_of(&labelled)).into_response()),
    }
}

/// The question, when it is one.
fn asked(body: QueryBody, faults: &mut Faults) -> Option<Asked> {
    let zone = body.time_zone.as_deref().map_or(Ok(Zone::UTC), Zone::parse).unwrap_or_else(|error| {
        // Noted, so that nothing is asked by this clock.
        faults.add(body_fault("time_zone", "invalid", error.to_string()));
        Zone::UTC
    });
    let (mut subjects, mut customers, mut filters) = (None, Vec::new(), BTreeMap::new());
    let dimensions = body.filters.and_then(|filters| filters.dimensions).unwrap_or_default();
    for (name, filter) in dimensions.0 {
        let at = format!("filters.dimensions.{name}");
        match name.as_str() {
            SUBJECT => subjects = filter.exact(&at, faults),
            CUSTOMER => customers = filter.exact(&at, faults).unwrap_or_default(),
            // What cannot be read is a fault, so that nothing is asked without it.
            _ => filters.extend(filter.read(&at, faults).map(|filter| (name, filter))),
        }
    }
    if customers.len() > MAX_CUSTOMERS {
        faults.add(body_fault("filters.dimensions.customer_id", "max_items", "must have at most 100 items"));
    }
    let from = bound(Place::Body, "from", body.from.as_deref()).ok()?;
    let to = bound(Place::Body, "to", body.to.as_deref()).ok()?;
    let query = MeterQuery {
        from: from.as_ref().map(|bound| bound.at),
        to: to.as_ref().map(|bound| bound.at),
        window: body.granularity.map(WindowSize::from),
        zone,
        subjects,
        customers,
        filters,
        group_by: body.group_by_dimensions.unwrap_or_default(),
        ..MeterQuery::default()
    };
    Some(Asked { query, from, to })
}

fn result_of(labelled: &Labelled) -> ResultBody<'_> {
    let (from, to) = labelled.asked_bounds();
    ResultBody { from, to, data: labelled.rows.iter().map(row_of).collect() }
}

fn row_of(labelled: &LabelledRow) -> RowBody<'_> {
    let row = &labelled.row;
    let mut dimensions: BTreeMap<&str, &str> =
        row.groups.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    dimensions.extend(row.subject.as_deref().map(|subject| (SUBJECT, subject)));
    dimensions.extend(row.customer.as_deref().map(|customer| (CUSTOMER, customer)));
    RowBody { value: row.value.to_string(), from: &labelled.start, to: &labelled.end, dimensions }
}

/// The answer as a file: subject and customer first, then the dimensions in the order asked for.
async fn file(door: &Door, caller: &Caller, labelled: &Labelled) -> Result<Response, Problem> {
    let asks = |name: &str| labelled.group_by.iter().any(|asked| asked == name);
    let mut customers = BTreeMap::new();
    for id in labelled.rows.iter().filter_map(|row| row.row.customer.as_deref()) {
        if !customers.contains_key(id) {
            customers.insert(id, door.engine.get_customer(caller, id).await?);
        }
    }
    let reserved = [SUBJECT, CUSTOMER];
    let others: Vec<&str> =
        labelled.group_by.iter().map(String::as_str).filter(|name| !reserved.contains(name)).collect();
    let mut header = vec!["from", "to"];
    header.extend(asks(SUBJECT).then_some(SUBJECT));
    header.extend(asks(CUSTOMER).then_some(CUSTOMER_COLUMNS).into_iter().flatten());
    header.extend(others.iter().copied());
    header.push("value");
    let records = labelled.rows.iter().map(|labelled| {
        let row = &labelled.row;
        let mut record = vec![labelled.start.clone(), labelled.end.clone()];
        record.extend(asks(SUBJECT).then(|| row.subject.clone().unwrap_or_default()));
        if asks(CUSTOMER) {
            let customer = row.customer.as_deref().and_then(|id| customers.get(id));
            record.push(row.customer.clone().unwrap_or_default());
            record.push(customer.and_then(|customer| customer.key.clone()).unwrap_or_default());
            record.push(customer.map(|customer| customer.name.clone()).unwrap_or_default());
        }
        record.extend(others.iter().map(|name| row.groups.get(*name).cloned().unwrap_or_default()));
        record.push(row.value.to_string());
        record
    });
    csv_file(&labelled.slug, &header, records)
}
