//! `/ingest` and `/ingestBatch`: events in.

use super::payload::{Checked, Failure, Payload, SOURCE};
use crate::accounts::is_account;
use crate::door::{Caller, Door};
use crate::problem::{Problem, Refused, shortened};
use crate::{json, schemas};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::event_schema::SchemaStatus;
use tallystick_domain::key::Scope;
use tallystick_engine::{EngineError, KnownSubject, NewEvent};
use utoipa::ToSchema;

/// The most events of a batch.
const MAX_BATCH: usize = 1000;

/// One event.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiIngestEvent)]
pub(crate) struct IngestInput {
    /// The event.
    #[schema(value_type = Payload)]
    pub event: Box<RawValue>,
}

/// Several events.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiIngestBatch)]
pub(crate) struct BatchInput {
    /// The events.
    #[schema(value_type = Vec<Payload>, min_items = 1, max_items = 1000)]
    events: Vec<Box<RawValue>>,
}

/// What became of events.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiIngestEventResponse)]
#[serde(rename_all = "camelCase")]
struct Taken {
    /// Whether all of them were taken in.
    success: bool,
    /// The status of the answer.
    status_code: u16,
    /// In words.
    #[schema(max_length = 500)]
    message: String,
    /// Those that were refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Rejects>,
}

/// Events that were refused.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiIngestDetails)]
struct Rejects {
    /// Each of them, with the reason.
    errors: Vec<Reject>,
}

/// An event that was refused.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiIngestError)]
#[serde(rename_all = "camelCase")]
struct Reject {
    /// The event as it was sent.
    #[schema(value_type = Object)]
    event_payload: Box<RawValue>,
    /// What is wrong with it.
    #[schema(max_length = 500)]
    message: String,
}

/// What is known of what events name: their schemas and accounts.
pub(crate) struct Known {
    /// The schemas that take events.
    schemas: BTreeSet<String>,
    subjects: BTreeMap<String, KnownSubject>,
}

impl Known {
    /// Looks up what these events name.
    pub(crate) async fn of(door: &Door, caller: &Caller, events: &[&Checked]) -> Result<Self, Problem> {
        let mut taking = BTreeSet::new();
        for name in events.iter().map(|event| &event.schema_name).collect::<BTreeSet<_>>() {
            let found = schemas::find(door, caller, name).await?;
            if found.is_some_and(|schema| schema.status != SchemaStatus::Inactive) {
                taking.insert(name.clone());
            }
        }
        let accounts = events.iter().map(|event| event.account.clone()).collect();
        Ok(Self { schemas: taking, subjects: door.engine.known_subjects(caller, accounts).await? })
    }

    /// Why an event cannot be metered, if it cannot.
    pub(crate) fn failure(&self, event: &Checked) -> Option<Failure> {
        match self.subjects.get(&event.account) {
            _ if !self.schemas.contains(&event.schema_name) => Some(Failure::NoSchema),
            Some(known) if is_account(known) => None,
            _ => Some(Failure::NoAccount),
        }
    }

    /// The account that an event means.
    pub(crate) fn account<'a>(&'a self, event: &'a Checked) -> &'a str {
        self.subjects.get(&event.account).map_or(&event.account, |known| &known.key)
    }

    /// The data that the core keeps of an event.
    pub(crate) fn data(&self, event: &Checked) -> String {
        let alias = Some(event.account.as_str()).filter(|text| *text != self.account(event));
        event.data(alias, self.failure(event))
    }

    /// The core's event; it gets an id when it has none.
    pub(crate) fn core_event(&self, door: &Door, event: &Checked) -> Result<NewEvent, Problem> {
        Ok(NewEvent {
            id: event.id.clone().map_or_else(|| door.engine.random_id(), Ok)?,
            source: SOURCE.into(),
            event_type: event.schema_name.clone(),
            subject: self.account(event).to_owned(),
            time: Some(event.time),
            data: Some(self.data(event)),
            kept_only: self.failure(event).is_some(),
            ..NewEvent::default()
        })
    }
}

/// Reads and checks one event; the text is what is wrong with it.
pub(crate) fn read(raw: &RawValue) -> Result<Checked, String> {
    let payload: Payload = json::parse(raw.get()).map_err(|problem| problem.message)?;
    payload.checked()
}

/// Ingest an event
///
/// It is durable, and counts at once. An id that came before changes nothing. An event of an unknown schema or account is kept and
/// listed with its status, and never metered.
#[utoipa::path(
    post,
    path = "/ingest",
    operation_id = "togai_ingest",
    tag = "Togai events",
    request_body = IngestInput,
    responses((status = 202, description = "It is stored.", body = Taken), Refused),
)]
pub(crate) async fn ingest(caller: Caller, State(door): State<Door>, request: Request) -> Result<Response, Problem> {
    caller.require(Scope::Ingest)?;
    let input: IngestInput = json::read(request, &door.limits).await?;
    let event = read(&input.event).map_err(|reason| Problem::bad_request(format!("event: {reason}")))?;
    let known = Known::of(&door, &caller, &[&event]).await?;
    let report = door.engine.ingest(&caller, vec![known.core_event(&door, &event)?]).await?;
    let message = match (known.failure(&event), report.duplicates) {
        (_, 1..) => "an event with this id came before: nothing changed".to_owned(),
        (Some(failure), _) => format!("kept, and not metered: {}", failure.description()),
        (None, _) => "stored".to_owned(),
    };
    Ok(taken(StatusCode::ACCEPTED, message, vec![]))
}

/// Ingest several events
///
/// Those that are sound are stored, durable and counted at once; those that are not are named in the answer. When none is sound, nothing
/// is stored.
#[utoipa::path(
    post,
    path = "/ingestBatch",
    operation_id = "togai_ingest_batch",
    tag = "Togai events",
    request_body = BatchInput,
    responses(
        (status = 202, description = "All of them are stored.", body = Taken),
        (status = 207, description = "Some of them are stored, the others are named.", body = Taken),
        Refused,
    ),
)]
pub(crate) async fn ingest_batch(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::Ingest)?;
    let input: BatchInput = json::read(request, &door.limits).await?;
    if !(1..=MAX_BATCH).contains(&input.events.len()) {
        let reason = format!("there are {}; a batch has 1 to {MAX_BATCH}", input.events.len());
        return Err(Problem::field("events", reason));
    }
    let (mut sound, mut rejects) = (Vec::new(), Vec::new());
    for (index, raw) in input.events.iter().enumerate() {
        match read(raw) {
            Ok(event) => sound.push((index, event)),
            Err(reason) => rejects.push((index, reason)),
        }
    }
    let events: Vec<&Checked> = sound.iter().map(|(_, event)| event).collect();
    let known = Known::of(&door, &caller, &events).await?;
    let mut wanted = Vec::with_capacity(sound.len());
    for (index, event) in &sound {
        wanted.push((*index, known.core_event(&door, event)?));
    }
    let stored = store(&door, &caller, wanted, &mut rejects).await?;
    rejects.sort();
    if stored == 0 {
        let first = rejects.first().map_or("", |(_, reason)| reason);
        return Err(Problem::bad_request(format!(
            "none of the events is sound, so none was stored; the first: {first}"
        )));
    }
    if rejects.is_empty() {
        return Ok(taken(StatusCode::ACCEPTED, format!("stored {stored} events"), vec![]));
    }
    let message = format!("stored {stored} events; {} were refused, see details.errors", rejects.len());
    let named = rejects
        .into_iter()
        .map(|(index, reason)| Reject { event_payload: input.events[index].clone(), message: shortened(reason) });
    Ok(taken(StatusCode::MULTI_STATUS, message, named.collect()))
}

/// Stores events, all but those that the core refuses, which become rejects. How many were stored, now or before.
async fn store(
    door: &Door,
    caller: &Caller,
    mut wanted: Vec<(usize, NewEvent)>,
    rejects: &mut Vec<(usize, String)>,
) -> Result<usize, Problem> {
    loop {
        let events: Vec<NewEvent> = wanted.iter().map(|(_, event)| event.clone()).collect();
        if events.is_empty() {
            return Ok(0);
        }
        let count = events.len();
        match door.engine.ingest(caller, events).await {
            Ok(_) => return Ok(count),
            Err(EngineError::InvalidEvents(faults)) => {
                let wrong: BTreeMap<usize, String> =
                    faults.into_iter().rev().map(|invalid| (invalid.index, invalid.fault.to_string())).collect();
                let (refused, sound): (Vec<_>, Vec<_>) =
                    wanted.into_iter().enumerate().partition(|(place, _)| wrong.contains_key(place));
                rejects.extend(refused.into_iter().map(|(place, (index, _))| (index, wrong[&place].clone())));
                wanted = sound.into_iter().map(|(_, event)| event).collect();
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn taken(status: StatusCode, message: String, rejects: Vec<Reject>) -> Response {
    let details = (!rejects.is_empty()).then_some(Rejects { errors: rejects });
    let (success, status_code) = (details.is_none(), status.as_u16());
    (status, Json(Taken { success, status_code, message, details })).into_response()
}
