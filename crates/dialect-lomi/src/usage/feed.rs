//! The feed of events, as the vendor's published client reads it.

use super::reading::{self, Search};
use crate::door::{Caller, Door, PathIds};
use crate::list::{ListBody, Listing};
use crate::problem::{NotFound, Problem, Refused};
use crate::{ids, object_text, quoted, raw};
use axum::Json;
use axum::extract::{RawQuery, State};
use serde::Serialize;
use serde_json::value::RawValue;
use tallystick_domain::key::Scope;
use tallystick_engine::ListedEvent;
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// An event of the feed.
#[derive(Serialize, ToSchema)]
#[schema(as = LomiEvent)]
pub(crate) struct FeedBody {
    /// When it happened.
    #[schema(format = DateTime)]
    created_at: String,
    /// Always null: keys are not named here.
    created_by: Option<String>,
    /// The customer that its subject belongs to.
    #[schema(format = "uuid")]
    customer_id: Option<String>,
    /// Its data as they were sent.
    #[schema(value_type = Object)]
    event_data: Box<RawValue>,
    /// Its id.
    #[schema(format = "uuid")]
    event_id: String,
    /// The kind of usage.
    event_name: String,
    /// Its own id, its source and its subject.
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    /// The namespace.
    #[schema(format = "uuid")]
    organization_id: String,
    /// Always null.
    #[schema(format = "uuid")]
    product_id: Option<String>,
}

fn body_of(caller: &Caller, listed: &ListedEvent) -> FeedBody {
    let event = &listed.stored.event;
    let metadata = [("transaction_id", event.id()), ("source", event.source()), ("subject", event.subject())];
    let metadata = metadata.map(|(name, text)| (name.to_string(), quoted(text)));
    FeedBody {
        created_at: event.time().to_string(),
        created_by: None,
        customer_id: listed.customer.map(|customer| ids::text(customer.bits())),
        event_data: raw(event.data().unwrap_or("{}").to_string()),
        event_id: ids::event(caller.namespace(), &listed.stored),
        event_name: event.event_type().to_string(),
        metadata: raw(object_text(metadata)),
        organization_id: ids::organization(caller.namespace()),
        product_id: None,
    }
}

/// List events
///
/// Newest first, of all doors; `total` counts 10,000 at most.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "lomi_list_events", tag = "lomi",
    params(
        ("limit" = Option<u32>, Query, description = "At most so many (20).", minimum = 1, maximum = 100),
        ("offset" = Option<u32>, Query, description = "Behind so many (0)."),
        ("sort" = Option<String>, Query, description = "`created_at:desc`, which is the default."),
    ),
    responses((status = 200, description = "A page of events.", body = ListBody<FeedBody>), Refused),
)]
pub(crate) async fn list_events(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Json<ListBody<FeedBody>>, Problem> {
    caller.require(Scope::Read)?;
    let listing = Listing::read(&QueryString::parse(raw.as_deref())?, &[("created_at", ())], &[])?;
    if !listing.descending {
        return Err(Problem::field("sort", "events are listed newest first: only created_at:desc is understood"));
    }
    let search = Search { customer: None, code: None, status: None };
    let (events, total) = search.page(&door, &caller, listing.offset, listing.limit).await?;
    let data = events.iter().map(|(listed, _)| body_of(&caller, listed)).collect();
    Ok(Json(listing.body(data, total)))
}

/// Get an event
#[utoipa::path(
    get, path = "/v1/events/{event_id}", operation_id = "lomi_retrieve_event", tag = "lomi",
    params(("event_id" = String, Path, description = "UUID.")),
    responses((status = 200, description = "The event.", body = FeedBody), NotFound, Refused),
)]
pub(crate) async fn retrieve_event(
    caller: Caller,
    State(door): State<Door>,
    path: PathIds,
) -> Result<Json<FeedBody>, Problem> {
    caller.require(Scope::Read)?;
    let (listed, _) = reading::find(&door, &caller, path.get("event_id", super::WHAT)?).await?;
    Ok(Json(body_of(&caller, &listed)))
}
