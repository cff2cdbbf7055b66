//! `/events/correction`: events that shall not count any more, or count otherwise.

use super::ingest::{Known, read};
use super::item::{Item, item_of, not_shown};
use super::list::beside;
use super::payload::{Checked, Payload, SOURCE};
use crate::door::{Caller, Door};
use crate::json;
use crate::page::{flag, refuse_unknown, words};
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tallystick_domain::event::EventField;
use tallystick_domain::json::members;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::Filter;
use tallystick_engine::{Change, Corrected, EventListing, ListedEvent, NewCorrection};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// What can be done.
const ACTIONS: [&str; 3] = ["UNDO", "REDO", "REDO_EVENT"];

/// What can be done, for the document.
#[derive(ToSchema)]
#[schema(as = TogaiCorrectionAction, rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(dead_code, reason = "describes a text that is read by hand")]
pub(crate) enum ActionWord {
    /// It counts no more.
    Undo,
    /// It is judged again.
    Redo,
    /// It gets other attributes and dimensions.
    RedoEvent,
}

/// The event to correct.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiEventCorrection)]
pub(crate) struct CorrectionInput {
    /// It is found by its id; `REDO_EVENT` gives it these attributes and dimensions.
    #[schema(value_type = Payload)]
    event: Option<Box<RawValue>>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEventCorrections)]
struct Corrections {
    /// The event.
    data: Vec<Outcome>,
}

/// A corrected event.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEventCorrectionInfo)]
struct Outcome {
    #[serde(flatten)]
    item: Item,
    /// `REVERTED`, `REVERTED_AND_REINGESTED` or `FAILED`.
    #[schema(value_type = String)]
    status: &'static str,
    /// In words.
    reason: String,
}

/// Correct an event
///
/// `UNDO`: it counts no more. `REDO`: the meters of now judge it again. `REDO_EVENT`: it gets the attributes and dimensions that are
/// sent, and is judged again; its schema, account and time stay.
#[utoipa::path(
    post,
    path = "/events/correction",
    operation_id = "togai_event_correction",
    tag = "Togai events",
    params(
        ("action" = ActionWord, Query, description = "What to do."),
        ("require_confirmation" = Option<bool>, Query, description = "Not served: 400 when it is true."),
    ),
    request_body = CorrectionInput,
    responses((status = 200, description = "What became of it.", body = Corrections), Refused),
)]
pub(crate) async fn correct_event(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::Admin)?;
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["action", "require_confirmation"])?;
    let action = words(&query, "action", &ACTIONS)?;
    let [action] = action[..] else {
        return Err(Problem::field("action", format!("it must be one of {}", ACTIONS.join(", "))));
    };
    if flag(&query, "require_confirmation")? {
        return Err(Problem::field("require_confirmation", "a correction is done at once: leave it out"));
    }
    let input: CorrectionInput = json::read(request, &door.limits).await?;
    let event = input.event.ok_or_else(|| Problem::field("event", "it is required: its id names what to correct"))?;
    let event = read(&event).map_err(|reason| Problem::bad_request(format!("event: {reason}")))?;
    let id = event.id.clone().ok_or_else(|| Problem::field("event.id", "it is required: it names what to correct"))?;
    let stored = stored_event(&door, &caller, &id).await?;
    let (status, reason) = match wanted(&door, &caller, action, &event, &stored).await? {
        Err(reason) => ("FAILED", reason),
        Ok(change) => {
            let reason = format!("{action} by event correction");
            let correction = NewCorrection { source: SOURCE.into(), id: id.clone(), change, reason };
            let became = door.engine.correct_events(&caller, vec![correction]).await?;
            outcome(action, became.first().copied())
        }
    };
    let stored = stored_event(&door, &caller, &id).await?;
    let beside = beside(&door, &caller, std::slice::from_ref(&stored)).await?;
    let item = item_of(&stored, &beside).ok_or_else(|| not_shown(&id))?;
    Ok(Json(Corrections { data: vec![Outcome { item, status, reason }] }).into_response())
}

/// The door's event of this id.
async fn stored_event(door: &Door, caller: &Caller, id: &str) -> Result<ListedEvent, Problem> {
    let named = [(EventField::Id, id), (EventField::Source, SOURCE)];
    let fields = named.map(|(field, text)| (field, Filter::Eq(text.to_owned()))).into();
    let listing = EventListing { fields, limit: 1, ..EventListing::default() };
    door.engine.list_events(caller, listing).await?.pop().ok_or_else(|| not_shown(id))
}

/// What the core has to do, or why it cannot be done.
async fn wanted(
    door: &Door,
    caller: &Caller,
    action: &str,
    event: &Checked,
    stored: &ListedEvent,
) -> Result<Result<Change, String>, Problem> {
    if action == "UNDO" {
        return Ok(Ok(Change::Retract));
    }
    let known = Known::of(door, caller, &[event]).await?;
    let (before, account) = (&stored.stored.event, known.account(event));
    let same = before.event_type() == event.schema_name && before.subject() == account && before.time() == event.time;
    if !same {
        let reason =
            "schema, account and timestamp of an event stay as they are: UNDO it and send another with a new id";
        return Ok(Err(reason.to_owned()));
    }
    if let Some(failure) = known.failure(event) {
        return Ok(Err(failure.description().replace("there was", "there is").replace(" when the event came", "")));
    }
    if action == "REDO" && !is_same_data(stored, &known.data(event)) {
        let reason = "the event that is stored has other attributes or dimensions: use REDO_EVENT to change them";
        return Ok(Err(reason.to_owned()));
    }
    Ok(Ok(Change::Amend { data: Some(known.data(event)) }))
}

/// Whether the stored data say the same, apart from why the event was not metered.
fn is_same_data(stored: &ListedEvent, data: &str) -> bool {
    fn read(text: &str) -> BTreeMap<String, &str> {
        let mut found = BTreeMap::new();
        // What cannot be read is not the same as anything.
        let _ = members(text, &mut |name, raw| {
            found.insert(name.to_owned(), raw);
        });
        found.retain(|name, _| !["failure", "alias"].contains(&name.as_str()));
        found
    }
    stored.stored.event.data().is_some_and(|before| read(before) == read(data))
}

fn outcome(action: &str, became: Option<Corrected>) -> (&'static str, String) {
    let done = if action == "UNDO" { "REVERTED" } else { "REVERTED_AND_REINGESTED" };
    match became {
        Some(Corrected::Recorded) => (done, "done".into()),
        Some(Corrected::AlreadySo) => (done, "it was so before: nothing changed".into()),
        Some(Corrected::Retracted) => {
            ("FAILED", "the event was reverted, and cannot come back: send another id".into())
        }
        Some(Corrected::Expired) => ("FAILED", "the event is older than what is kept of its schema".into()),
        Some(Corrected::NoSuchEvent) | None => ("FAILED", "the event is gone".into()),
    }
}
