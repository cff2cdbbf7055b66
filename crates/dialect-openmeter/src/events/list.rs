//! `GET /api/v1/events` and `GET /api/v2/events`: what came in, newest first, and why it does not count.

use super::cursor;
use super::item::{IngestedEvent, items};
use crate::door::{Caller, Door};
use crate::filter::{FilterFault, FilterReader, json_object};
use crate::params::{Place, check_ulids, client_id, instant, number, refuse_unknown};
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use tallystick_domain::Instant;
use tallystick_domain::event::{EventField, EventPosition, TimeFilter};
use tallystick_domain::meter::Filter;
use tallystick_engine::EventListing;
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

const MAX_LIMIT: usize = 100;
/// How far back the first version of the listing looks: 32 days.
const HORIZON_MICROS: i64 = 32 * 24 * 3600 * 1_000_000;
const V1_PARAMETERS: [&str; 9] =
    ["clientId", "from", "to", "ingestedAtFrom", "ingestedAtTo", "id", "subject", "customerId", "limit"];
const V2_PARAMETERS: [&str; 4] = ["cursor", "limit", "clientId", "filter"];

/// A page of events.
#[derive(Serialize, ToSchema)]
#[schema(as = IngestedEventCursorPaginatedResponse)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Page<'a> {
    /// The events.
    items: Vec<IngestedEvent<'a>>,
    /// Where the next page begins; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// List ingested events
///
/// The newest events of the last 32 days, at most 100. `validationError` says why an event does not count, `corrections` what
/// became of it since it was accepted.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    operation_id = "events_list",
    tag = "Events",
    params(
        ("clientId" = Option<String>, Query, description = "Id under which the operation `progress_get_progress` tells how far the listing is."),
        ("from" = Option<String>, Query, format = DateTime, description = "First event time that is shown (RFC 3339); 32 days ago by default."),
        ("to" = Option<String>, Query, format = DateTime, description = "First event time that is not shown any more."),
        ("ingestedAtFrom" = Option<String>, Query, format = DateTime, description = "First moment of acceptance that is shown."),
        ("ingestedAtTo" = Option<String>, Query, format = DateTime, description = "First moment of acceptance that is not shown any more."),
        ("id" = Option<String>, Query, description = "Part of the id, taken literally."),
        ("subject" = Option<String>, Query, description = "The subject."),
        ("customerId" = Option<Vec<String>>, Query, description = "Ids of customers whose events are shown."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 100, description = "How many; 100 by default."),
    ),
    responses((status = 200, description = "The events, newest first.", body = Vec<IngestedEvent>), Refused),
)]
pub(crate) async fn list_events(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &V1_PARAMETERS, &[])?;
    let listing = v1_listing(&query, door.engine.now())?;
    let page = door.engine.list_events(&caller, listing).await?;
    Ok(Json(items(&page)?).into_response())
}

fn v1_listing(query: &QueryString, now: Instant) -> Result<EventListing, Problem> {
    let watched_as = client_id(Place::Query, query.one("clientId")?)?;
    let horizon = now.saturating_add_micros(-HORIZON_MICROS);
    let time = v1_range(query, horizon, "from", "to")?;
    let ingested_at = v1_range(query, horizon, "ingestedAtFrom", "ingestedAtTo")?;
    let mut fields = Vec::new();
    if let Some(part) = query.one("id")? {
        fields.push((EventField::Id, Filter::Contains(part.to_string())));
    }
    if let Some(subject) = query.one("subject")? {
        fields.push((EventField::Subject, Filter::Eq(subject.to_string())));
    }
    let customers: Vec<String> = query.all("customerId").map(str::to_string).collect();
    check_ulids(Place::Query, "customerId", &customers)?;
    let limit = number(query, "limit", 1, MAX_LIMIT)?.unwrap_or(MAX_LIMIT);
    let time = time.unwrap_or(TimeFilter::From(horizon));
    Ok(EventListing { fields, time: Some(time), ingested_at, customers, after: None, limit, watched_as })
}

/// A range that may not begin before the horizon; a range without a beginning begins there.
fn v1_range(query: &QueryString, horizon: Instant, from: &str, to: &str) -> Result<Option<TimeFilter>, Problem> {
    let (start, end) = (instant(query, from)?, instant(query, to)?);
    if let Some(start) = start
        && start < horizon
    {
        let reason = "use GET /api/v2/events, which goes back to the first event";
        return Err(Problem::validation(format!("validate input: {from} date is too old: {start}, {reason}")));
    }
    match (start, end) {
        (Some(start), Some(end)) if end < start => {
            Err(Problem::validation(format!("validate input: {to} date is before {from} date: {end} < {start}")))
        }
        (None, None) => Ok(None),
        (start, end) => {
            let lower = TimeFilter::From(start.unwrap_or(horizon));
            let upper = end.map(TimeFilter::Before);
            Ok(Some(TimeFilter::All(std::iter::once(lower).chain(upper).collect())))
        }
    }
}

/// List ingested events with filters and a cursor
///
/// All events, newest first, page by page, each with its corrections; retracted ones too. A filter object has exactly one
/// operator.
#[utoipa::path(
    get,
    path = "/api/v2/events",
    operation_id = "events_v2_list",
    tag = "Events",
    params(
        ("cursor" = Option<String>, Query, description = "`nextCursor` of the page before."),
        ("limit" = Option<u64>, Query, minimum = 1, maximum = 100, description = "How many; 100 by default."),
        ("clientId" = Option<String>, Query, description = "Id under which the operation `progress_get_progress` tells how far the listing is."),
        ("filter" = Option<String>, Query, description = "JSON object: `id`, `source`, `subject`, `type` with a string filter, \
            `time`, `ingestedAt` with a time filter, `customerId` with `{\"$in\": […]}`."),
    ),
    responses((status = 200, description = "The events, newest first.", body = Page), Refused),
)]
pub(crate) async fn list_events_v2(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &V2_PARAMETERS, &[])?;
    let watched_as = client_id(Place::Query, query.one("clientId")?)?;
    let limit = number(&query, "limit", 1, MAX_LIMIT)?.unwrap_or(MAX_LIMIT);
    let after = query.one("cursor")?.map(cursor::decode).transpose()?;
    // One more than asked for, to know whether there is a next page.
    let mut listing = EventListing { after, limit: limit + 1, watched_as, ..EventListing::default() };
    if let Some(text) = query.one("filter")? {
        v2_filter(text, &mut listing).map_err(|fault| Problem::validation(format!("filter: {fault}")))?;
        check_ulids(Place::Query, "filter", &listing.customers)?;
    }
    let mut page = door.engine.list_events(&caller, listing).await?;
    let has_more = page.len() > limit;
    page.truncate(limit);
    let last = page.last().filter(|_| has_more);
    let next_cursor = last.map(|last| cursor::encode(&EventPosition::of(&last.stored)));
    Ok(Json(Page { items: items(&page)?, next_cursor }).into_response())
}

fn v2_filter(text: &str, listing: &mut EventListing) -> Result<(), FilterFault> {
    for (name, value) in json_object(text)? {
        let named = |fault: FilterFault| format!("{name}: {fault}");
        let field = match name.as_str() {
            "id" => EventField::Id,
            "source" => EventField::Source,
            "subject" => EventField::Subject,
            "type" => EventField::Type,
            "time" => {
                listing.time = Some(FilterReader::of_events().time(&value).map_err(named)?);
                continue;
            }
            "ingestedAt" => {
                listing.ingested_at = Some(FilterReader::of_events().time(&value).map_err(named)?);
                continue;
            }
            "customerId" => {
                listing.customers = customer_ids(&value).map_err(named)?;
                continue;
            }
            _ => {
                return Err(named(
                    "there is no such field; use id, source, subject, type, customerId, time or ingestedAt".into(),
                ));
            }
        };
        listing.fields.push((field, FilterReader::of_events().text(&value).map_err(named)?));
    }
    Ok(())
}

/// `{"$in": [...]}` and nothing else; an empty list asks for the events of all customers.
fn customer_ids(value: &Value) -> Result<Vec<String>, FilterFault> {
    let fault = || "filter is invalid: it must be {\"$in\": [customer ids]}".to_string();
    let members = value.as_object().filter(|members| members.len() == 1).ok_or_else(fault)?;
    let ids = members.get("$in").and_then(Value::as_array).ok_or_else(fault)?;
    ids.iter().map(|id| id.as_str().map(str::to_string).ok_or_else(fault)).collect()
}
