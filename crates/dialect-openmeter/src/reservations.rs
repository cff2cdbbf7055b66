//! Reservations, an extension of ours: hold back a part of a balance until the usage is known.

use crate::amount::Amount;
use crate::customers::NoCustomer;
use crate::door::{Caller, Door, PathTexts};
use crate::entitlements::{Named, of_customer};
use crate::events::{read_one, refused_event};
use crate::json::{self, Missing};
use crate::params::Place;
use crate::problem::{Problem, Refused, problem_answer};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tallystick_domain::entitlement::{Outcome, Reservation, ReservationDraft};
use tallystick_domain::time::exact_micros;
use utoipa::openapi::{RefOr, Response as Answer};
use utoipa::{IntoResponses, ToSchema};

/// A part of a balance that is held back.
#[derive(Serialize, ToSchema)]
#[schema(as = Reservation)]
#[serde(rename_all = "camelCase")]
struct ReservationBody {
    /// ULID.
    id: String,
    /// The entitlement whose balance it is a part of.
    entitlement_id: String,
    /// How much.
    amount: Amount,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// From when on it holds nothing back any more, whatever its status.
    #[schema(format = DateTime)]
    expires_at: String,
    /// `open` until somebody ended it: `committed` or `released`.
    status: &'static str,
    /// When it was ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    ended_at: Option<String>,
    /// The usage event of a committed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<EventName>,
}

/// The identity of an event.
#[derive(Serialize, ToSchema)]
#[schema(as = ReservationEvent)]
struct EventName {
    source: String,
    id: String,
}

/// What to hold back.
#[derive(Deserialize, ToSchema)]
#[schema(as = ReservationCreate, example = json!({"amount": 1, "expiresIn": "PT1M"}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct ReservationInput {
    /// How much, more than zero.
    amount: Amount,
    /// For how long: an ISO 8601 duration between `PT1S` and `P1D`, a minute by default.
    expires_in: Option<String>,
}

/// 409 of a reservation.
struct NotEnough;

impl IntoResponses for NotEnough {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        let text = "Less is left than was to be reserved: `extensions.left` says how much.";
        BTreeMap::from([("409".to_string(), problem_answer(text).into())])
    }
}

/// 409 of the end of a reservation.
struct EndedOtherwise;

impl IntoResponses for EndedOtherwise {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        BTreeMap::from([("409".to_string(), problem_answer("It was ended in another way before.").into())])
    }
}

fn body_of(made: Reservation) -> ReservationBody {
    let (status, ended_at, event) = match made.outcome {
        None => ("open", None, None),
        Some(Outcome::Released { at }) => ("released", Some(at), None),
        Some(Outcome::Committed { at, event_source: source, event_id: id }) => {
            ("committed", Some(at), Some(EventName { source, id }))
        }
    };
    ReservationBody {
        id: made.id.to_string(),
        entitlement_id: made.entitlement.to_string(),
        amount: Amount(made.amount),
        created_at: made.created_at.to_string(),
        expires_at: made.expires_at.to_string(),
        status,
        ended_at: ended_at.map(|at| at.to_string()),
        event,
    }
}

/// Microseconds of a duration.
fn duration(text: &str) -> Result<i64, Problem> {
    let read = exact_micros(text);
    read.map_err(|error| Place::Body.refuse("expiresIn", error.to_string()))
}

/// Reserve a part of a balance
///
/// An extension of ours, for calls whose size is not known beforehand. The amount is held back from other reservations and from
/// `hasAccess` until it is committed or released, or expires. Together, reservations never take more than is left of a hard limit.
#[utoipa::path(
    post,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/reservations",
    operation_id = "tallystick_reserve",
    tag = "Extensions",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement or key of the feature."),
    ),
    request_body = ReservationInput,
    responses((status = 201, description = "The reservation.", body = ReservationBody), NoCustomer, NotEnough, Refused),
)]
pub(crate) async fn reserve(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let Named { customer, entitlement } = of_customer(&path)?;
    let input: ReservationInput = json::read(request, &door.limits, "ReservationCreate", Missing::IsAnError).await?;
    let life_us = input.expires_in.as_deref().map(duration).transpose()?;
    let draft = ReservationDraft { amount: input.amount.0, life_us };
    let made = door.engine.reserve(&caller, &customer, &entitlement, draft).await?;
    Ok((StatusCode::CREATED, Json(body_of(made))).into_response())
}

/// Commit a reservation
///
/// An extension of ours. Takes the true usage as one event, which is stored as any other, and lets go of what was held back. It
/// counts after the reservation expired, too, and whatever its size. The same event again changes nothing.
#[utoipa::path(
    post,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/reservations/{reservationId}/commit",
    operation_id = "tallystick_commit_reservation",
    tag = "Extensions",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement or key of the feature."),
        ("reservationId" = String, Path, description = "ULID."),
    ),
    request_body(content(
        (crate::events::CloudEvent = "application/cloudevents+json"),
        (crate::events::CloudEvent = "application/json", example = json!({
            "specversion": "1.0", "id": "answer-1", "source": "api", "type": "prompt", "subject": "acme-bot",
            "data": {"tokens": 7}
        })),
    )),
    responses((status = 200, description = "The reservation.", body = ReservationBody), NoCustomer, EndedOtherwise, Refused),
)]
pub(crate) async fn commit(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let (Named { customer, entitlement }, id) = (of_customer(&path)?, path.get("reservationId", 64)?);
    let event = read_one(request, &door).await?;
    let ended = door.engine.commit_reservation(&caller, &customer, &entitlement, id, event).await;
    let ended = ended.map_err(refused_event)?;
    Ok(Json(body_of(ended)).into_response())
}

/// Release a reservation
///
/// An extension of ours. Lets go of what was held back; once more changes nothing.
#[utoipa::path(
    post,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/reservations/{reservationId}/release",
    operation_id = "tallystick_release_reservation",
    tag = "Extensions",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement or key of the feature."),
        ("reservationId" = String, Path, description = "ULID."),
    ),
    responses((status = 200, description = "The reservation.", body = ReservationBody), NoCustomer, EndedOtherwise, Refused),
)]
pub(crate) async fn release(caller: Caller, State(door): State<Door>, path: PathTexts) -> Result<Response, Problem> {
    let (Named { customer, entitlement }, id) = (of_customer(&path)?, path.get("reservationId", 64)?);
    let ended = door.engine.release_reservation(&caller, &customer, &entitlement, id).await?;
    Ok(Json(body_of(ended)).into_response())
}
