//! `POST /api/v1/events`: durable and counted once, or refused whole with every fault named.

use super::structured::{Batch, Specversion};
use super::{binary, plain, structured};
use crate::door::{Caller, Door};
use crate::json::{media_type, unexpected_media_type};
use crate::problem::{Problem, Refused, ValidationError};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeSet;
use tallystick_domain::key::Scope;
use tallystick_engine::{EngineError, ImportPart, IngestReport, InvalidEvent, Limits, NewEvent, check_events};
use tallystick_http_kit::{Refusal, body};

/// How many events of a request were new.
const ACCEPTED: HeaderName = HeaderName::from_static("tallystick-accepted");
/// How many were stored before, or came twice in the request.
const DUPLICATES: HeaderName = HeaderName::from_static("tallystick-duplicates");
/// The id under which the progress of an import is told, and how many events the whole import has.
const CLIENT_ID: HeaderName = HeaderName::from_static("tallystick-client-id");
const IMPORT_TOTAL: HeaderName = HeaderName::from_static("tallystick-import-total");
/// Bodies above these sizes are read beside the async threads, so that one sender does not hold up the others: those in
/// the ordinary form, and those that need care.
const PLAIN_ASIDE_BYTES: usize = 1 << 20;
const CAREFUL_ASIDE_BYTES: usize = 256 << 10;
/// How many faults the detail repeats; the list has all of them.
const FAULTS_IN_DETAIL: usize = 5;

/// How a request carries events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// `application/json`, in which an empty list is a mistake.
    Json,
    /// One of the CloudEvents media types, in which an empty list is an empty batch.
    CloudEvents,
    /// One event in `ce-` headers.
    Binary,
}

/// Ingest events
///
/// Takes one CloudEvent or a list of them. The answer comes when they are durable and the next query counts them.
/// An event whose (source, id) was stored before is success and changes nothing. When one event of a list is invalid,
/// nothing of the list is stored and the answer names every fault. A CloudEvent in binary mode (`ce-` headers, data as
/// the body) is read too. Bodies may be gzip or zstd.
#[utoipa::path(
    post,
    path = "/api/v1/events",
    operation_id = "events_ingest_events",
    tag = "Events",
    extensions(("x-openmeter-operations" = json!(["events_ingest_event", "events_ingest_events", "events_ingest_events_json"]))),
    request_body(content(
        (super::item::CloudEvent = "application/cloudevents+json"),
        (Vec<super::item::CloudEvent> = "application/cloudevents-batch+json"),
        (super::item::IngestBody = "application/json"),
    )),
    params(
        ("tallystick-client-id" = Option<String>, Header, min_length = 1, max_length = 36,
            description = "Id under which the operation `progress_get_progress` tells how far an import of several requests is."),
        ("tallystick-import-total" = Option<u64>, Header, description = "How many events the whole import has."),
    ),
    responses(
        (status = 204, description = "All events are stored.", headers(
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
    take_in(&caller, &door, request, Specversion::Required, StatusCode::NO_CONTENT).await
}

/// Takes in the events of a request and answers with this status.
pub(crate) async fn take_in(
    caller: &Caller,
    door: &Door,
    request: Request,
    specversion: Specversion,
    status: StatusCode,
) -> Result<Response, Problem> {
    caller.require(Scope::Ingest)?;
    let (parts, sent) = request.into_parts();
    let framing = framing_of(&parts.headers)?;
    let import = Import::read(&parts.headers)?;
    let bytes = body::read(&parts.headers, sent, &door.limits).await?;
    let size = bytes.len();
    let aside = |most: usize| size > most;
    let limits = door.engine.limits();
    let (most, max_depth) = (limits.batch_events, limits.json_depth);
    if framing != Framing::Binary {
        let bytes = bytes.clone();
        let read = move || plain::read(&bytes, most, max_depth);
        if let Some(events) = beside(read, aside(PLAIN_ASIDE_BYTES)).await? {
            let report = door.engine.ingest_plain(caller, events).await?;
            import.note(door, caller, report.stored + report.duplicates, 0)?;
            return Ok(stored(status, report));
        }
    }
    // One more than allowed is read, for the engine to refuse.
    let read = move || match framing {
        Framing::Binary => binary::read(&parts.headers, &bytes).map(Batch::of_one),
        Framing::Json | Framing::CloudEvents => structured::read(&bytes, most, specversion),
    };
    let batch = beside(read, aside(CAREFUL_ASIDE_BYTES)).await??;
    if batch.events.is_empty() {
        return match framing {
            Framing::Json => Err(Problem::bad_request("invalid event: no events found")),
            Framing::CloudEvents | Framing::Binary => Ok(stored(status, IngestReport { stored: 0, duplicates: 0 })),
        };
    }
    match door.engine.ingest(caller, batch.events).await {
        Ok(report) => {
            import.note(door, caller, report.stored + report.duplicates, 0)?;
            Ok(stored(status, report))
        }
        Err(EngineError::InvalidEvents(faults)) => {
            let invalid: BTreeSet<usize> = faults.iter().map(|fault| fault.index).collect();
            import.note(door, caller, 0, invalid.len() as u64)?;
            Err(invalid_events(&faults, batch.is_list))
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads a request with one event that is not taken in by itself.
pub(crate) async fn read_one(request: Request, door: &Door) -> Result<NewEvent, Problem> {
    let (parts, sent) = request.into_parts();
    let framing = framing_of(&parts.headers)?;
    let bytes = body::read(&parts.headers, sent, &door.limits).await?;
    let batch = match framing {
        Framing::Binary => Batch::of_one(binary::read(&parts.headers, &bytes)?),
        Framing::Json | Framing::CloudEvents => structured::read(&bytes, 1, Specversion::Required)?,
    };
    let mut events = batch.events;
    match (events.pop(), events.is_empty()) {
        (Some(event), true) => Ok(event),
        _ => Err(Problem::bad_request("invalid event: exactly one event is needed")),
    }
}

/// The refusal of a single event.
pub(crate) fn refused_event(error: EngineError) -> Problem {
    match error {
        EngineError::InvalidEvents(faults) => invalid_events(&faults, false),
        other => other.into(),
    }
}

/// The import that a request is a part of, if its headers say so.
struct Import(Option<(String, u64)>);

impl Import {
    fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let (Some(id), total) = (headers.get(CLIENT_ID), headers.get(IMPORT_TOTAL)) else { return Ok(Self(None)) };
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let id = text(id).filter(|id| (1..=36).contains(&id.len()));
        let id = id.ok_or_else(|| {
            Problem::parameter("tallystick-client-id", "header", "1 to 36 ASCII characters name an import")
        })?;
        let total = total.map_or(Some(0), |total| text(total)?.parse().ok());
        let reason = "how many events the whole import has, a whole number";
        Ok(Self(Some((id, total.ok_or_else(|| Problem::parameter("tallystick-import-total", "header", reason))?))))
    }

    fn note(self, door: &Door, caller: &Caller, stored: u64, invalid: u64) -> Result<(), Problem> {
        let Some((id, total)) = self.0 else { return Ok(()) };
        Ok(door.engine.note_import(caller, ImportPart { id, total, stored, invalid })?)
    }
}

/// Does something here, or beside the async threads.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static, aside: bool) -> Result<T, Problem> {
    match aside {
        true => tokio::task::spawn_blocking(work).await.map_err(|_| Problem::from(Refusal::Panicked)),
        false => Ok(work()),
    }
}

/// Reads and checks one event or a list of them as an ingest does and stores nothing: how many there are, or `None` when
/// the body would be refused. It is what reading alone costs.
pub fn parse_only(body: &[u8], limits: &Limits) -> Option<u64> {
    if let Some(events) = plain::read(body, limits.batch_events, limits.json_depth) {
        return Some(events.len() as u64);
    }
    let batch = structured::read(body, limits.batch_events, Specversion::Required).ok()?;
    check_events(batch.events, limits.json_depth).ok()
}

/// How the content type says that events are sent. Parameters such as a charset do not matter, nor does the case; a list
/// under the media type of one event and the reverse are understood, since the body itself leaves no doubt.
fn framing_of(headers: &HeaderMap) -> Result<Framing, Problem> {
    let media_type = media_type(headers);
    match media_type.as_str() {
        "application/cloudevents+json" | "application/cloudevents-batch+json" => Ok(Framing::CloudEvents),
        "application/json" | "" if binary::is_binary(headers) => Ok(Framing::Binary),
        "application/json" => Ok(Framing::Json),
        _ => Err(unexpected_media_type(headers)),
    }
}

fn stored(status: StatusCode, report: IngestReport) -> Response {
    (status, [(ACCEPTED, report.stored), (DUPLICATES, report.duplicates)]).into_response()
}

/// The refusal of a batch: the first faults in words, all of them as a list.
fn invalid_events(faults: &[InvalidEvent], is_list: bool) -> Problem {
    // Of what is no event at all, missing attributes are no news.
    let hopeless: BTreeSet<usize> =
        faults.iter().filter(|fault| fault.fault.field.is_empty()).map(|fault| fault.index).collect();
    let listed: Vec<ValidationError> = faults
        .iter()
        .filter(|fault| fault.fault.field.is_empty() || !hopeless.contains(&fault.index))
        .map(|fault| validation_error(fault, is_list))
        .collect();
    let mut words: Vec<_> = listed.iter().take(FAULTS_IN_DETAIL).map(in_words).collect();
    if listed.len() > FAULTS_IN_DETAIL {
        words.push(format!("and {} more, see validationErrors", listed.len() - FAULTS_IN_DETAIL));
    }
    let detail = match is_list {
        true => format!("invalid event: nothing was stored: {}", words.join("; ")),
        false => format!("invalid event: {}", words.join("; ")),
    };
    Problem::bad_request(detail).with_faults(listed)
}

fn validation_error(invalid: &InvalidEvent, is_list: bool) -> ValidationError {
    let root = if is_list { format!("$[{}]", invalid.index) } else { "$".to_string() };
    let field = match invalid.fault.field {
        // Not one attribute but the event, or the sender's own attributes, which the message names.
        "" | "extensions" => root,
        field => format!("{root}.{field}"),
    };
    ValidationError {
        message: invalid.fault.message.clone(),
        severity: "critical",
        code: Some(invalid.fault.code),
        field,
    }
}

fn in_words(error: &ValidationError) -> String {
    let field = error.field.strip_prefix("$.").unwrap_or(&error.field);
    if field == "$" { error.message.clone() } else { format!("{field}: {}", error.message) }
}
