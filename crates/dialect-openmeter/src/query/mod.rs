//! `GET` and `POST /api/v1/meters/{meterIdOrSlug}/query`: exact usage, as JSON or CSV.

mod answer;
mod csv;
mod group_filter;
mod request;

use crate::door::{Caller, Door, MeterPath};
use crate::json::{self, Missing};
use crate::meters::NoMeter;
use crate::params::Place;
use crate::problem::{Problem, Refused};
pub(crate) use answer::{Labelled, LabelledRow, ResultBody};
use axum::extract::{RawQuery, Request, State};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::response::Response;
pub(crate) use csv::file as csv_file;
pub(crate) use request::Asked;
use request::QueryBody;
pub(crate) use request::{WindowSizeWord, window_size};
use tallystick_engine::{EngineError, PortalCaller};
use tallystick_http_kit::QueryString;

/// Query a meter
///
/// Usage in `[from, to)`, in calendar windows of a time zone or in one bucket, by subject and dimensions. Values are exact
/// decimals. With `Accept: text/csv` the answer is CSV.
#[utoipa::path(
    get,
    path = "/api/v1/meters/{meterIdOrSlug}/query",
    operation_id = "meters_query_json",
    tag = "Meters",
    extensions(("x-openmeter-operations" = json!(["meters_query_json", "meters_query_csv"]))),
    params(
        ("meterIdOrSlug" = String, Path, description = "Slug or ULID."),
        ("clientId" = Option<String>, Query, description = "Id under which the operation `progress_get_progress` tells how far the query is."),
        ("asOf" = Option<String>, Query, format = DateTime, description = "Answer as known at this moment: without events that were accepted and corrections that were made after it."),
        ("from" = Option<String>, Query, format = DateTime, description = "First moment that counts (RFC 3339)."),
        ("to" = Option<String>, Query, format = DateTime, description = "First moment that does not count any more."),
        ("windowSize" = inline(Option<request::WindowSizeWord>), Query, description = "Length of the windows; one bucket when left out."),
        ("windowTimeZone" = Option<String>, Query, description = "IANA name of the zone whose clock the windows follow; `UTC` by default."),
        ("subject" = Option<Vec<String>>, Query, description = "Only these subjects, and a row for each."),
        ("filterCustomerId" = Option<Vec<String>>, Query, description = "Only these customers, and a row for each."),
        ("filterGroupBy" = Option<std::collections::BTreeMap<String, String>>, Query, style = DeepObject,
            description = "Value of a dimension: `filterGroupBy[model]=gpt-4`; an empty value means that an event has none."),
        ("advancedMeterGroupByFilters" = Option<String>, Query, description = "JSON object from dimension to string filter."),
        ("groupBy" = Option<Vec<String>>, Query, description = "Dimensions of the meter, or `subject`."),
    ),
    responses(
        (status = 200, description = "The rows.", content((answer::ResultBody = "application/json"), (String = "text/csv"))),
        NoMeter,
        Refused,
    ),
)]
pub(crate) async fn query_meter(
    caller: Caller,
    State(door): State<Door>,
    path: MeterPath,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let body = QueryBody::of_query_string(&QueryString::parse(raw.as_deref())?)?;
    answer(&door, &caller, &path, body.checked(Place::Query)?, &headers).await
}

/// Query a meter, with the parameters in the body
///
/// The same as the query by GET; dimensions can be filtered by several values.
#[utoipa::path(
    post,
    path = "/api/v1/meters/{meterIdOrSlug}/query",
    operation_id = "meters_query",
    tag = "Meters",
    extensions(("x-openmeter-operations" = json!(["meters_query", "meters_query_csv_post"]))),
    params(("meterIdOrSlug" = String, Path, description = "Slug or ULID.")),
    request_body = Option<QueryBody>,
    responses(
        (status = 200, description = "The rows.", content((answer::ResultBody = "application/json"), (String = "text/csv"))),
        NoMeter,
        Refused,
    ),
)]
pub(crate) async fn query_meter_post(
    caller: Caller,
    State(door): State<Door>,
    path: MeterPath,
    RawQuery(raw): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    if let Some(name) = QueryString::parse(raw.as_deref())?.unknown(&[], &[]) {
        let shown: String = name.chars().take(80).collect();
        return Err(Place::Query.refuse(&shown, "a query by POST takes its parameters in the body"));
    }
    let headers = request.headers().clone();
    // The published Python SDK asks for CSV without a body.
    let body: QueryBody = json::read(request, &door.limits, "MeterQueryRequest", Missing::IsEmpty).await?;
    answer(&door, &caller, &path, body.checked(Place::Body)?, &headers).await
}

async fn answer(
    door: &Door,
    caller: &Caller,
    path: &MeterPath,
    mut asked: Asked,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let as_file = wants_csv(headers);
    asked.query.subject_names = as_file;
    let found = door.engine.query_meter(caller, &path.meter, asked.query.clone()).await;
    let result = found.map_err(|error| match error {
        EngineError::NotFound { what: "customer with id", key } => {
            Problem::not_found(format!("customer with id {key} not found"))
        }
        other => other.into(),
    })?;
    drawn(Labelled::new(result, asked), as_file)
}

/// The answer for the holder of a portal token: the same query, without what would reach beyond the token's subject.
pub(crate) async fn answer_portal(
    door: &Door,
    holder: &PortalCaller,
    slug: &str,
    query: &QueryString,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    for name in ["subject", "filterCustomerId"] {
        if query.all(name).next().is_some() {
            return Err(Place::Query.refuse(name, "a portal token opens the usage of its own subject only"));
        }
    }
    let mut asked = QueryBody::of_query_string(query)?.checked(Place::Query)?;
    let as_file = wants_csv(headers);
    asked.query.subject_names = as_file;
    // Ids of operations are the operator's.
    asked.query.watched_as = None;
    let result = door.engine.query_portal_meter(holder, slug, asked.query.clone()).await?;
    drawn(Labelled::new(result, asked), as_file)
}

fn drawn(labelled: Labelled, as_file: bool) -> Result<Response, Problem> {
    if as_file { csv::response(&labelled) } else { labelled.json() }
}

/// Whether exactly CSV is accepted; a list of types is answered with JSON, as the vendor does.
pub(crate) fn wants_csv(headers: &HeaderMap) -> bool {
    let text = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = text.split(';').map(str::trim);
    let is_csv = parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("text/csv"));
    is_csv && !text.contains(',') && !parts.any(is_zero_weight)
}

/// Whether a parameter is `q=0`, which means "anything but this".
fn is_zero_weight(parameter: &str) -> bool {
    let Some((name, weight)) = parameter.split_once('=') else { return false };
    let weight = weight.trim();
    let is_zero = weight.starts_with('0') && weight.bytes().all(|c| matches!(c, b'0' | b'.'));
    name.trim().eq_ignore_ascii_case("q") && is_zero
}
