//! Entitlements of a subject's customer, in the shapes of the first version.

use super::body::EntitlementV1;
use super::history::{self, HistoryBody};
use super::input::{Asked, EntitlementInput, ResetInput};
use super::list::read_listing;
use super::value::{self, Grants, ValueBody};
use super::{Named, NoEntitlement, Version, customer_of_subject, of_subject};
use crate::door::{Caller, Door, PathTexts};
use crate::json::{self, Missing};
use crate::page::Part;
use crate::params::{boolean, refuse_unknown};
use crate::problem::{Problem, Refused};
use crate::query::WindowSizeWord;
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tallystick_engine::EntitlementListing;
use tallystick_http_kit::QueryString;

/// Give a subject an entitlement
///
/// At most one to a feature is in force at a time.
#[utoipa::path(
    post,
    path = "/api/v1/subjects/{subjectIdOrKey}/entitlements",
    operation_id = "subjects_post",
    tag = "Entitlements",
    params(
        ("subjectIdOrKey" = String, Path, description = "ULID or key."),
    ),
    request_body = EntitlementInput,
    responses((status = 201, description = "The entitlement.", body = EntitlementV1), NoEntitlement, Refused),
)]
pub(crate) async fn create_entitlement(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let input: EntitlementInput =
        json::read(request, &door.limits, "EntitlementCreateInputs", Missing::IsAnError).await?;
    let Asked { feature, draft, grants } = input.read(Version::V1)?;
    let customer = customer_of_subject(&door, &caller, &path).await?;
    let made = door.engine.create_entitlement(&caller, &customer, &feature, draft, grants).await?;
    Ok((StatusCode::CREATED, Json(EntitlementV1::from(made))).into_response())
}

/// List the entitlements of a subject
///
/// Those that are in force.
#[utoipa::path(
    get,
    path = "/api/v1/subjects/{subjectIdOrKey}/entitlements",
    operation_id = "subjects_list_entitlements",
    tag = "Entitlements",
    params(
        ("subjectIdOrKey" = String, Path, description = "ULID or key."),
        ("includeDeleted" = Option<bool>, Query, description = "Whether deleted ones are shown too."),
    ),
    responses((status = 200, description = "The entitlements.", body = Vec<EntitlementV1>), NoEntitlement, Refused),
)]
pub(crate) async fn list_entitlements(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["includeDeleted"], &[])?;
    let include_deleted = boolean(&query, "includeDeleted")?.unwrap_or(false);
    let listing = EntitlementListing { include_deleted, limit: u32::MAX, ..read_listing(&query, Part::first())? };
    let customer = customer_of_subject(&door, &caller, &path).await?;
    let found = door.engine.customer_entitlements(&caller, &customer, listing).await?;
    let items: Vec<_> = found.entitlements.into_iter().map(EntitlementV1::from).collect();
    Ok(Json(items).into_response())
}

/// Get an entitlement of a subject
///
/// By its id while it is not deleted, by its feature while it is in force.
#[utoipa::path(
    get,
    path = "/api/v1/subjects/{subjectIdOrKey}/entitlements/{entitlementId}",
    operation_id = "subjects_get_entitlement",
    tag = "Entitlements",
    params(
        ("subjectIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementId" = String, Path, description = "ULID of the entitlement, or key of its feature."),
    ),
    responses((status = 200, description = "The entitlement.", body = EntitlementV1), NoEntitlement, Refused),
)]
pub(crate) async fn get_entitlement(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let Named { customer, entitlement } = of_subject(&door, &caller, &path).await?;
    let found = door.engine.get_customer_entitlement(&caller, &customer, &entitlement).await?;
    Ok(Json(EntitlementV1::from(found)).into_response())
}

/// Delete an entitlement of a subject
///
/// Its grants are deleted with it.
#[utoipa::path(
    delete,
    path = "/api/v1/subjects/{subjectIdOrKey}/entitlements/{entitlementId}",
    operation_id = "subjects_delete_entitlement",
    tag = "Entitlements",
    params(
        ("subjectIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementId" = String, Path, description = "ULID of the entitlement, or key of its feature."),
    ),
    responses((status = 204, description = "The entitlement is deleted."), NoEntitlement, Refused),
)]
pub(crate) async fn delete_entitlement(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<StatusCode, Problem> {
    let Named { customer, entitlement } = of_subject(&door, &caller, &path).await?;
    door.engine.delete_customer_entitlement(&caller, &customer, &entitlement).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Override an entitlement of a subject
///
/// Ends the one that is in force and begins another one to the same feature at the same moment. Grants are not carried over.
#[utoipa::path(
    put,
    path = "/api/v1/subjects/{subjectIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/override",
    operation_id = "subjects_override",
    tag = "Entitlements",
    params(
        ("subjectIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
    ),
    request_body = EntitlementInput,
    responses((status = 201, description = "The new entitlement.", body = EntitlementV1), NoEntitlement, Refused),
)]
pub(crate) async fn override_entitlement(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let input: EntitlementInput =
        json::read(request, &door.limits, "EntitlementCreateInputs", Missing::IsAnError).await?;
    let Asked { feature, draft, grants } = input.read(Version::V1)?;
    let Named { customer, entitlement } = of_subject(&door, &caller, &path).await?;
    let made = door.engine.override_entitlement(&caller, &customer, &entitlement, &feature, draft, grants).await?;
    Ok((StatusCode::CREATED, Json(EntitlementV1::from(made))).into_response())
}

/// Get the value of an entitlement of a subject
///
/// Whether the feature may be used and how much is left. 404 without an entitlement.
#[utoipa::path(
    get,
    path = "/api/v1/subjects/{subjectIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/value",
    operation_id = "subjects_get_entitlement_value",
    tag = "Entitlements",
    params(
        ("subjectIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
        ("time" = Option<String>, Query, format = DateTime, description = "When (RFC 3339), earlier or ahead; now by default."),
    ),
    responses((status = 200, description = "The value.", body = ValueBody), NoEntitlement, Refused),
)]
pub(crate) async fn get_value(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let time = value::time(raw.as_deref())?;
    let named = of_subject(&door, &caller, &path).await?;
    let access = value::read(&door, &caller, &named, time).await?;
    let access = access.ok_or_else(|| Problem::not_found(format!("entitlement not found: {}", named.entitlement)))?;
    Ok(Json(ValueBody::of(&access, Grants::Hidden)).into_response())
}

/// Get the history of an entitlement of a subject
///
/// What was used and what was left, by window of the calendar and by stretch of time in which the same grants were active.
#[utoipa::path(
    get,
    path = "/api/v1/subjects/{subjectIdOrKey}/entitlements/{entitlementId}/history",
    operation_id = "subjects_get_entitlement_history",
    tag = "Entitlements",
    params(
        ("subjectIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementId" = String, Path, description = "ULID of the entitlement, or key of its feature."),
        ("from" = Option<String>, Query, format = DateTime, description = "First moment (RFC 3339), not before measuring began; the last reset by default."),
        ("to" = Option<String>, Query, format = DateTime, description = "First moment behind it; now by default."),
        ("windowSize" = inline(WindowSizeWord), Query, description = "Length of the windows."),
        ("windowTimeZone" = Option<String>, Query, description = "IANA name of the zone whose clock the windows follow; `UTC` by default."),
    ),
    responses((status = 200, description = "The history.", body = HistoryBody), NoEntitlement, Refused),
)]
pub(crate) async fn get_history(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let asked = history::asked(raw.as_deref())?;
    history::read(&door, &caller, &of_subject(&door, &caller, &path).await?, asked).await
}

/// Reset the usage of an entitlement of a subject
///
/// Ends its usage period and begins another one. Grants keep what their rollover amounts say.
#[utoipa::path(
    post,
    path = "/api/v1/subjects/{subjectIdOrKey}/entitlements/{entitlementId}/reset",
    operation_id = "subjects_reset",
    tag = "Entitlements",
    params(
        ("subjectIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementId" = String, Path, description = "ULID of the entitlement, or key of its feature."),
    ),
    request_body = ResetInput,
    responses((status = 204, description = "The usage is reset."), NoEntitlement, Refused),
)]
pub(crate) async fn reset_entitlement(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<StatusCode, Problem> {
    let input: ResetInput = json::read(request, &door.limits, "ResetEntitlementUsageInput", Missing::IsAnError).await?;
    let draft = input.read()?;
    let Named { customer, entitlement } = of_subject(&door, &caller, &path).await?;
    door.engine.reset_entitlement(&caller, &customer, &entitlement, draft).await?;
    Ok(StatusCode::NO_CONTENT)
}
