//! The shape of an event in answers and in the document.

use crate::problem::Problem;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tallystick_domain::event::StoredEvent;
use tallystick_engine::{Change, EngineError, ListedEvent, RecordedCorrection};
use utoipa::ToSchema;

/// A CloudEvent. Further attributes (names of ASCII letters and digits, scalar values) are kept and given back.
#[derive(Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct CloudEvent<'a> {
    /// Always `1.0`.
    #[schema(example = "1.0")]
    specversion: &'static str,
    /// Identity within the source: the same (source, id) is counted once.
    #[schema(min_length = 1, max_length = 4096)]
    id: &'a str,
    /// Where the event comes from.
    #[schema(min_length = 1, max_length = 4096)]
    source: &'a str,
    /// What kind of usage it is; meters select by it.
    #[serde(rename = "type")]
    #[schema(min_length = 1, max_length = 4096)]
    event_type: &'a str,
    /// Whom the event is about.
    #[schema(min_length = 1, max_length = 4096)]
    subject: &'a str,
    /// `application/json`, when there is data.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    datacontenttype: Option<&'static str>,
    /// When it happened (RFC 3339, microseconds are kept); now when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    time: Option<String>,
    /// The values and dimensions, as they were sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    data: Option<&'a RawValue>,
    #[serde(flatten)]
    #[schema(ignore)]
    extras: BTreeMap<String, &'a RawValue>,
}

/// One CloudEvent or a list of them.
#[derive(ToSchema)]
#[schema(as = IngestEventsBody)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a body that is read by hand")]
pub(crate) enum IngestBody {
    /// One event.
    One(CloudEvent<'static>),
    /// Several events.
    Many(Vec<CloudEvent<'static>>),
}

/// An event as it is listed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IngestedEvent<'a> {
    /// The event.
    event: CloudEvent<'a>,
    /// The customer that the subject belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    /// When it was accepted.
    #[schema(format = DateTime)]
    ingested_at: String,
    /// When it was stored, which is the same: an event is accepted when it is durable.
    #[schema(format = DateTime)]
    stored_at: String,
    /// Why it does not count, one line for each reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    validation_error: Option<String>,
    /// The data with which it was accepted, when an amendment took its place; `null` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    original_data: Option<Option<&'a RawValue>>,
    /// What became of it since it was accepted, the oldest first; absent for nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    corrections: Vec<CorrectionBody<'a>>,
}

/// A correction of an event.
#[derive(Serialize, ToSchema)]
#[schema(as = EventCorrection)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CorrectionBody<'a> {
    /// `retract` or `amend`.
    #[schema(value_type = String)]
    kind: &'static str,
    /// The data that the event has from then on; `null` for none. Absent for a retraction.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    data: Option<Option<&'a RawValue>>,
    /// Why.
    reason: &'a str,
    /// The key that asked for it.
    actor: &'a str,
    /// When it became known.
    #[schema(format = DateTime)]
    known_at: String,
}

/// The answer's items for a page of events.
pub(crate) fn items(page: &[ListedEvent]) -> Result<Vec<IngestedEvent<'_>>, Problem> {
    page.iter().map(item).collect()
}

fn item(listed: &ListedEvent) -> Result<IngestedEvent<'_>, Problem> {
    let accepted_at = listed.stored.ingested_at.to_string();
    let cannot_be_shown = |error| cannot_be_shown(listed, &error);
    let original_data = listed.original_data.as_ref().map(|data| raw(data.as_deref()));
    Ok(IngestedEvent {
        event: event_of(listed)?,
        original_data: original_data.transpose().map_err(cannot_be_shown)?,
        corrections: listed.corrections.iter().map(correction).collect::<Result<_, _>>().map_err(cannot_be_shown)?,
        customer_id: listed.customer.map(|id| id.to_string()),
        stored_at: accepted_at.clone(),
        ingested_at: accepted_at,
        validation_error: (!listed.problems.is_empty()).then(|| listed.problems.join("\n")),
    })
}

/// A listed event as it is now.
pub(crate) fn event_of(listed: &ListedEvent) -> Result<CloudEvent<'_>, Problem> {
    cloud_event(&listed.stored).map_err(|error| cannot_be_shown(listed, &error))
}

fn cannot_be_shown(listed: &ListedEvent, error: &serde_json::Error) -> Problem {
    let event = &listed.stored.event;
    let cause = format!("stored event ({:?}, {:?}) cannot be shown: {error}", event.source(), event.id());
    EngineError::Internal(cause).into()
}

fn correction(recorded: &RecordedCorrection) -> Result<CorrectionBody<'_>, serde_json::Error> {
    let (kind, data) = match &recorded.change {
        Change::Retract => ("retract", None),
        Change::Amend { data } => ("amend", Some(raw(data.as_deref())?)),
    };
    let known_at = recorded.known_at.to_string();
    Ok(CorrectionBody { kind, data, reason: &recorded.reason, actor: &recorded.actor, known_at })
}

fn raw(data: Option<&str>) -> Result<Option<&RawValue>, serde_json::Error> {
    data.map(serde_json::from_str).transpose()
}

fn cloud_event(stored: &StoredEvent) -> Result<CloudEvent<'_>, serde_json::Error> {
    let event = &stored.event;
    Ok(CloudEvent {
        specversion: "1.0",
        id: event.id(),
        source: event.source(),
        event_type: event.event_type(),
        subject: event.subject(),
        datacontenttype: event.data().map(|_| "application/json"),
        time: Some(event.time().to_string()),
        data: raw(event.data())?,
        extras: event.extras().map(serde_json::from_str).transpose()?.unwrap_or_default(),
    })
}
