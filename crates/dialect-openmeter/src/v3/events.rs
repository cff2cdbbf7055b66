//! Events: taken in as CloudEvents, listed with filters and a cursor.

use super::faults::{Faults, InvalidParameter};
use super::filter;
use super::list::{CursorBody, Cursors, ListQuery};
use super::problem::Refused;
use crate::door::{Caller, Door};
use crate::events::{CloudEvent, IngestBody, Specversion, cursor, event_of, take_in};
use crate::problem::Problem;
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tallystick_domain::event::{EventField, EventPosition, TimeFilter};
use tallystick_domain::search::TextCondition;
use tallystick_engine::{EventListing, ListedEvent};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

const MAX_PAGE_SIZE: usize = 100;
const FIELDS: [&str; 8] = ["id", "source", "subject", "type", "customer_id", "time", "ingested_at", "stored_at"];

/// An event as it is listed.
#[derive(Serialize, ToSchema)]
#[schema(as = V3IngestedEvent)]
pub(crate) struct IngestedEvent<'a> {
    /// The event.
    event: CloudEvent<'a>,
    /// The customer that the subject belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<CustomerReference>,
    /// When it was accepted.
    #[schema(format = DateTime)]
    ingested_at: String,
    /// When it was stored, which is the same: an event is accepted when it is durable.
    #[schema(format = DateTime)]
    stored_at: String,
    /// Why it does not count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    validation_errors: Vec<ValidationError<'a>>,
}

/// A customer by its id.
#[derive(Serialize, ToSchema)]
#[schema(as = V3CustomerReference)]
struct CustomerReference {
    /// ULID.
    id: String,
}

/// A reason why an event does not count.
#[derive(Serialize, ToSchema)]
#[schema(as = V3IngestedEventValidationError)]
struct ValidationError<'a> {
    /// Always `validation_error`.
    #[schema(value_type = String)]
    code: &'static str,
    /// The reason for people.
    message: &'a str,
}

/// Ingest events
///
/// One CloudEvent or a list of them, exactly as under `/api/v1/events`: durable when it is answered, counted once, and
/// refused whole when one of a list is invalid. `specversion` is `1.0` when it is left out.
#[utoipa::path(
    post,
    path = "/api/v3/openmeter/events",
    operation_id = "Events.IngestEvent",
    tag = "Version 3",
    extensions(("x-openmeter-operations" = json!(["Events.IngestEvent", "Events.IngestEvents", "Events.IngestEventsJSON"]))),
    request_body(content(
        (CloudEvent = "application/cloudevents+json"),
        (Vec<CloudEvent> = "application/cloudevents-batch+json"),
        (IngestBody = "application/json"),
    )),
    responses(
        (status = 202, description = "All events are stored.", headers(
            ("tallystick-accepted" = u64, description = "Events that are new."),
            ("tallystick-duplicates" = u64, description = "Events that were stored before."),
        )),
        Refused,
    ),
)]
pub(crate) async fn ingest_events(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    take_in(&caller, &door, request, Specversion::Assumed, StatusCode::ACCEPTED).await
}

/// List ingested events
///
/// All events, newest first, page by page. `validation_errors` say why an event does not count.
#[utoipa::path(
    get,
    path = "/api/v3/openmeter/events",
    operation_id = "Events.List",
    tag = "Version 3",
    params(
        ("page[size]" = Option<u64>, Query, minimum = 1, maximum = 100, description = "Events on a page (20)."),
        ("page[after]" = Option<String>, Query, description = "`meta.page.next` of the page before."),
        ("sort" = Option<String>, Query, description = "`time` or `time desc`, which are the same: the newest first."),
        ("filter[id]" = Option<String>, Query, description = "The id; `filter[id][operator]` with `eq`, `neq`, `contains`, `ocontains`, `oeq`, `gt`, `gte`, `lt`, `lte`, `exists`."),
        ("filter[source]" = Option<String>, Query, description = "The source, with the same operators."),
        ("filter[subject]" = Option<String>, Query, description = "The subject, with the same operators."),
        ("filter[type]" = Option<String>, Query, description = "The type, with the same operators."),
        ("filter[customer_id]" = Option<String>, Query, description = "The customer, with `eq` and `oeq`."),
        ("filter[time]" = Option<String>, Query, description = "The event time, with `eq`, `gt`, `gte`, `lt`, `lte` (RFC 3339)."),
        ("filter[ingested_at]" = Option<String>, Query, description = "When it was accepted, with the same operators."),
        ("filter[stored_at]" = Option<String>, Query, description = "The same as `ingested_at`."),
    ),
    responses((status = 200, description = "A page of events.", body = CursorBody<IngestedEvent>), Refused),
)]
pub(crate) async fn list_events(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let mut faults = Faults::default();
    let list = ListQuery::of(&query, &mut faults);
    let (size, after) = list.cursor(MAX_PAGE_SIZE, &mut faults);
    // The word alone means the newest first here, as everywhere for events.
    list.one_order(&["time", "time desc"], &mut faults);
    let mut listing = conditions_of(&list, &mut faults);
    let position = after.map(cursor::decode).transpose();
    listing.after = faults.absorb(position.map_err(|problem| refused_cursor(&problem)))?.flatten();
    // One more than asked for, to know whether there is a next page.
    listing.limit = size + 1;
    let listing = faults.none_in(Some(listing))?;
    let mut page = door.engine.list_events(&caller, listing).await?;
    let has_more = page.len() > size;
    page.truncate(size);
    let place = |listed: Option<&ListedEvent>| listed.map(|one| cursor::encode(&EventPosition::of(&one.stored)));
    let (first, last) = (place(page.first()), place(page.last()));
    let cursors = Cursors { next: last.clone().filter(|_| has_more), first, last, previous: None, size };
    let data: Result<Vec<_>, Problem> = page.iter().map(item).collect();
    Ok(Json(CursorBody::new(cursors, data?)).into_response())
}

fn refused_cursor(problem: &Problem) -> Problem {
    Problem::parameter("page[after]", "query", problem.text.as_deref().unwrap_or_default())
}

fn conditions_of(list: &ListQuery<'_>, faults: &mut Faults) -> EventListing {
    let mut listing = EventListing::default();
    let (mut times, mut accepted) = (Vec::new(), Vec::new());
    for condition in list.conditions(&FIELDS, faults) {
        let field = match condition.field {
            "id" => EventField::Id,
            "source" => EventField::Source,
            "subject" => EventField::Subject,
            "type" => EventField::Type,
            "customer_id" if listing.customers.is_empty() => {
                listing.customers = customers(&condition, faults);
                continue;
            }
            "customer_id" => {
                // An empty list of customers would ask for the events of all.
                let reason = "customers are named in one condition";
                faults.add(InvalidParameter::new(condition.parameter, "query", "invalid", reason));
                continue;
            }
            "time" => {
                times.extend(filter::time(&condition, faults));
                continue;
            }
            _ => {
                accepted.extend(filter::time(&condition, faults));
                continue;
            }
        };
        listing.fields.extend(filter::text(&condition, faults).map(|text| (field, text.into())));
    }
    listing.time = (!times.is_empty()).then_some(TimeFilter::All(times));
    listing.ingested_at = (!accepted.is_empty()).then_some(TimeFilter::All(accepted));
    listing
}

/// The customers of whose events one is asked for.
fn customers(condition: &super::list::Condition<'_>, faults: &mut Faults) -> Vec<String> {
    match filter::id(condition, faults) {
        Some(TextCondition::OneOf(ids)) => ids,
        Some(_) => {
            let choices = vec!["eq".to_string(), "oeq".to_string()];
            faults.add(InvalidParameter::choice(condition.parameter, "query", choices));
            vec![]
        }
        None => vec![],
    }
}

fn item(listed: &ListedEvent) -> Result<IngestedEvent<'_>, Problem> {
    let accepted_at = listed.stored.ingested_at.to_string();
    let code = "validation_error";
    Ok(IngestedEvent {
        event: event_of(listed)?,
        customer: listed.customer.map(|id| CustomerReference { id: id.to_string() }),
        ingested_at: accepted_at.clone(),
        stored_at: accepted_at,
        validation_errors: listed.problems.iter().map(|message| ValidationError { code, message }).collect(),
    })
}
