//! `/events`: what came in, the newest first, and what became of it.

use super::item::{Beside, Item, item_of, not_shown, pipeline_of};
use super::place::Place;
use crate::door::{Caller, Door, PathTexts};
use crate::page::{Paging, refuse_unknown, words};
use crate::problem::{Problem, Refused};
use crate::{meters, schemas};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeSet;
use tallystick_domain::event::{EventField, EventPosition};
use tallystick_domain::meter::Filter;
use tallystick_engine::{EngineError, EventListing, ListedEvent};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// The most events of a page.
const MAX_PAGE: usize = 50;
/// How many events are read at once, and how often, to fill a page: a page can be shorter than asked for and not be the last.
const READ: usize = 200;
const READS: usize = 20;

/// All words for what became of an event.
pub(crate) const STATUSES: [&str; 16] = [
    "INGESTION_IN_PROGRESS",
    "INGESTION_FAILED",
    "INGESTION_FAILED_SCHEMA_NOT_DEFINED",
    "INGESTION_FAILED_ENRICHMENT_FAILED",
    "INGESTION_FAILED_UNITS_INVALID",
    "INGESTION_COMPLETED_NO_MATCHING_METERS",
    "INGESTION_COMPLETED_EVENT_METERED",
    "INGESTION_COMPLETED_EVENT_NOT_METERED",
    "INGESTION_FAILED_PAST_GRACE_PERIOD",
    "INGESTION_FAILED_ACCOUNT_NOT_FOUND",
    "INGESTION_FAILED_DUPLICATE_EVENT",
    "INGESTION_FAILED_NO_EVENT_ID",
    "INGESTION_FAILED_INVALID_NAMED_LICENSE_EVENT",
    "INGESTION_FAILED_INSUFFICIENT_CREDITS",
    "REVERTED",
    "UNKNOWN",
];

/// A page of events.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiGetEvents)]
#[serde(rename_all = "camelCase")]
struct Events {
    /// The events, the newest first.
    events: Vec<Item>,
    /// What to send for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 500)]
    next_token: Option<String>,
}

/// What is known beside these events.
pub(crate) async fn beside(door: &Door, caller: &Caller, listed: &[ListedEvent]) -> Result<Beside, Problem> {
    let mut customers = std::collections::BTreeMap::new();
    for id in listed.iter().filter_map(|event| event.customer).collect::<BTreeSet<_>>() {
        match door.engine.get_customer(caller, &id.to_string()).await {
            Ok(customer) => drop(customers.insert(id.to_string(), customer)),
            Err(EngineError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let all_meters = door.engine.list_meters(caller, false).await?;
    Ok(Beside { all_meters, shown: meters::readable(door, caller).await?, customers })
}

/// List events
///
/// The newest first. Events that came in elsewhere are shown too, as far as the client can read them.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "togai_get_events",
    tag = "Togai events",
    params(
        ("nextToken" = Option<String>, Query, description = "`nextToken` of the page before."),
        ("status" = Option<String>, Query, description = "What became of them, one word or several with commas."),
        ("account_id" = Option<String>, Query, description = "An account, by its id or an alias."),
        ("schema_name" = Option<String>, Query, description = "A schema."),
        ("pageSize" = Option<f64>, Query, description = "Events on a page (50, which is the most).", minimum = 1),
    ),
    responses((status = 200, description = "A page of events.", body = Events), Refused),
)]
pub(crate) async fn get_events(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["nextToken", "status", "account_id", "schema_name", "pageSize"])?;
    let statuses = words(&query, "status", &STATUSES)?;
    let place = query.one("nextToken")?.filter(|token| !token.is_empty()).map(Place::read).transpose()?;
    let size = Paging::read(&QueryString::parse(sized(&query)?.as_deref())?, MAX_PAGE, MAX_PAGE)?.size;
    let (mut after, time) = place.as_ref().map(Place::listing).unwrap_or_default();
    let fields = conditions(&door, &caller, &query).await?;
    let (mut events, mut passed) = (Vec::new(), false);
    for _ in 0..READS {
        let (fields, time) = (fields.clone(), time.clone());
        let listing = EventListing { fields, time, after: after.clone(), limit: READ, ..EventListing::default() };
        let listed = door.engine.list_events(&caller, listing).await?;
        let more = listed.len() == READ;
        let beside = beside(&door, &caller, &listed).await?;
        for event in &listed {
            let position = EventPosition::of(&event.stored);
            let skipped = place.as_ref().is_some_and(|place| place.skips(&position, &mut passed));
            after = Some(position);
            let item = item_of(event, &beside).filter(|_| !skipped);
            events.extend(item.filter(|item| statuses.is_empty() || statuses.contains(&item.status())));
            if events.len() == size {
                let next_token = after.as_ref().map(Place::token);
                return Ok(Json(Events { events, next_token }).into_response());
            }
        }
        if !more {
            return Ok(Json(Events { events, next_token: None }).into_response());
        }
    }
    let next_token = after.as_ref().map(Place::token);
    Ok(Json(Events { events, next_token }).into_response())
}

/// The page size alone: this list has tokens of its own.
fn sized(query: &QueryString) -> Result<Option<String>, Problem> {
    Ok(query.one("pageSize")?.map(|size| format!("pageSize={size}")))
}

/// The conditions of a listing. Events that came in elsewhere can bear an alias.
async fn conditions(door: &Door, caller: &Caller, query: &QueryString) -> Result<Vec<(EventField, Filter)>, Problem> {
    let mut fields = Vec::new();
    if let Some(account) = query.one("account_id")? {
        let mut known = door.engine.known_subjects(caller, [account.to_owned()].into()).await?;
        let key = known.remove(account).map_or_else(|| account.to_owned(), |known| known.key);
        let aliases = door.engine.list_aliases(caller, vec![key.clone()]).await?;
        let names = aliases.into_iter().map(|alias| alias.name).chain([key]).collect();
        fields.push((EventField::Subject, Filter::In(names)));
    }
    if let Some(schema) = query.one("schema_name")? {
        fields.push((EventField::Type, Filter::Eq(schema.to_owned())));
    }
    Ok(fields)
}

/// Get an event
///
/// By its id, with what the meters made of it; several when events of other sources have the same id.
#[utoipa::path(
    get,
    path = "/events/{event_id}",
    operation_id = "togai_get_single_event",
    tag = "Togai events",
    params(("event_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The event.", body = Events), Refused),
)]
pub(crate) async fn get_single_event(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let id = path.get("event_id");
    let fields = vec![(EventField::Id, Filter::Eq(id.to_owned()))];
    let listing = EventListing { fields, limit: MAX_PAGE, ..EventListing::default() };
    let listed = door.engine.list_events(&caller, listing).await?;
    let beside = beside(&door, &caller, &listed).await?;
    let mut events = Vec::new();
    for event in &listed {
        let Some(item) = item_of(event, &beside) else { continue };
        let found = schemas::find(&door, &caller, event.stored.event.event_type()).await?;
        let schema = found.map(|schema| (schema.name, schema.version));
        let described = match door.engine.get_subject(&caller, event.stored.event.subject()).await {
            Ok(subject) => subject.display_name,
            Err(EngineError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let info = pipeline_of(event, &beside, schema, described.as_deref());
        events.push(item.with_pipeline(info));
    }
    match events.is_empty() {
        true => Err(not_shown(id)),
        false => Ok(Json(Events { events, next_token: None }).into_response()),
    }
}
