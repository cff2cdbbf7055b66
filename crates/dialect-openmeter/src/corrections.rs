//! `POST /api/v1/events/retract` and `…/amend`: corrections of accepted events. Ours, not the vendor's.

use crate::door::{Caller, Door};
use crate::json;
use crate::problem::{Problem, Refused, problem_answer};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tallystick_engine::{Change, Corrected, EngineError, NewCorrection};
use utoipa::openapi::{RefOr, Response as Answer};
use utoipa::{IntoResponses, ToSchema};

/// An event that shall not count any more.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Retraction {
    /// Source of the event.
    source: String,
    /// Id of the event.
    id: String,
    /// Why, for people: 1 to 1,024 characters.
    reason: String,
}

/// An event that shall have other data; everything else about it stays.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Amendment {
    /// Source of the event.
    source: String,
    /// Id of the event.
    id: String,
    /// The data instead of the event's: a JSON object, kept to the digit, or null for none.
    #[schema(value_type = Option<Object>)]
    data: Box<RawValue>,
    /// Why, for people: 1 to 1,024 characters.
    reason: String,
}

impl From<Retraction> for NewCorrection {
    fn from(Retraction { source, id, reason }: Retraction) -> Self {
        Self { source, id, change: Change::Retract, reason }
    }
}

impl From<Amendment> for NewCorrection {
    fn from(Amendment { source, id, data, reason }: Amendment) -> Self {
        let data = Some(data.get()).filter(|text| *text != "null").map(str::to_owned);
        Self { source, id, change: Change::Amend { data }, reason }
    }
}

/// One or several.
#[derive(ToSchema)]
#[schema(as = Retractions)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a body that is read by hand")]
pub(crate) enum Retractions {
    /// One event.
    One(Retraction),
    /// Several events.
    Many(Vec<Retraction>),
}

/// One or several.
#[derive(ToSchema)]
#[schema(as = Amendments)]
#[serde(untagged)]
#[allow(dead_code, reason = "describes a body that is read by hand")]
pub(crate) enum Amendments {
    /// One event.
    One(Amendment),
    /// Several events.
    Many(Vec<Amendment>),
}

/// What became of a correction.
#[derive(Serialize, ToSchema)]
pub(crate) struct CorrectionOutcome {
    /// Source of the event.
    source: String,
    /// Id of the event.
    id: String,
    /// `recorded`: it is durable and queries heed it. `unchanged`: it was so before. `not_found`: there is no such event.
    /// `retracted`: the event was retracted, so it cannot be amended. `expired`: the event is older than what is kept.
    outcome: &'static str,
}

/// Answers about one event only.
struct OfOne;

impl IntoResponses for OfOne {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        BTreeMap::from([
            ("404".to_string(), problem_answer("There is no such event; for one correction that is no list.").into()),
            ("409".to_string(), problem_answer("The event was retracted or expired; likewise.").into()),
        ])
    }
}

/// Retract events
///
/// An extension of ours. Retracted events do not count any more, from the answer on; nothing undoes it, and sending them again does
/// not bring them back. Takes one object or a list; of a list, each answer says what became of its event.
#[utoipa::path(
    post,
    path = "/api/v1/events/retract",
    operation_id = "tallystick_retract",
    tag = "Extensions",
    request_body = Retractions,
    responses((status = 200, description = "One outcome for each, in the same order.", body = Vec<CorrectionOutcome>), OfOne, Refused),
)]
pub(crate) async fn retract(caller: Caller, State(door): State<Door>, request: Request) -> Result<Response, Problem> {
    let (wanted, is_list) = json::read_one_or_many::<Retraction>(request, &door.limits, "Retraction").await?;
    correct(&caller, &door, wanted.into_iter().map(NewCorrection::from).collect(), is_list).await
}

/// Amend events
///
/// An extension of ours. Amended events have other data from the answer on; the newest amendment wins. Takes one object or a list; of
/// a list, each answer says what became of its event.
#[utoipa::path(
    post,
    path = "/api/v1/events/amend",
    operation_id = "tallystick_amend",
    tag = "Extensions",
    request_body = Amendments,
    responses((status = 200, description = "One outcome for each, in the same order.", body = Vec<CorrectionOutcome>), OfOne, Refused),
)]
pub(crate) async fn amend(caller: Caller, State(door): State<Door>, request: Request) -> Result<Response, Problem> {
    let (wanted, is_list) = json::read_one_or_many::<Amendment>(request, &door.limits, "Amendment").await?;
    correct(&caller, &door, wanted.into_iter().map(NewCorrection::from).collect(), is_list).await
}

async fn correct(caller: &Caller, door: &Door, wanted: Vec<NewCorrection>, is_list: bool) -> Result<Response, Problem> {
    let names: Vec<_> = wanted.iter().map(|wanted| (wanted.source.clone(), wanted.id.clone())).collect();
    let became = door.engine.correct_events(caller, wanted).await?;
    if let ([(source, id)], [only], false) = (&names[..], &became[..], is_list) {
        refuse(source, id, *only)?;
    }
    let outcome = |((source, id), became)| CorrectionOutcome { source, id, outcome: word(became) };
    let outcomes: Vec<_> = names.into_iter().zip(became).map(outcome).collect();
    Ok(Json(outcomes).into_response())
}

/// A single correction that changed nothing, although it should have, is an error.
fn refuse(source: &str, id: &str, became: Corrected) -> Result<(), EngineError> {
    let event = format!("event {id:?} of source {source:?}");
    match became {
        Corrected::Recorded | Corrected::AlreadySo => Ok(()),
        Corrected::NoSuchEvent => {
            Err(EngineError::NotFound { what: "event", key: format!("{id:?} of source {source:?}") })
        }
        Corrected::Retracted => Err(EngineError::Conflict(format!("{event} was retracted and cannot be amended"))),
        Corrected::Expired => Err(EngineError::Conflict(format!("{event} is older than what is kept of its type"))),
    }
}

fn word(became: Corrected) -> &'static str {
    match became {
        Corrected::Recorded => "recorded",
        Corrected::AlreadySo => "unchanged",
        Corrected::NoSuchEvent => "not_found",
        Corrected::Retracted => "retracted",
        Corrected::Expired => "expired",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_event_is_a_conflict_that_says_so() {
        let refused = refuse("s", "1", Corrected::Expired).unwrap_err();
        assert!(
            matches!(&refused, EngineError::Conflict(text) if text.contains("older than what is kept")),
            "{refused}"
        );
        assert_eq!(word(Corrected::Expired), "expired");
    }
}
