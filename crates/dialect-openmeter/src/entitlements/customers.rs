//! Entitlements of a customer, in the shapes of the second version.

use super::body::EntitlementV2;
use super::history::{self, HistoryBody};
use super::input::{Asked, EntitlementInput, ResetInput};
use super::list::read_listing;
use super::value::{self, Grants, ValueBody};
use super::{Named, NoEntitlement, Version, of_customer};
use crate::door::{Caller, Door, PathTexts};
use crate::json::{self, Missing};
use crate::page::{PageBody, Part};
use crate::params::{boolean, refuse_unknown};
use crate::problem::{Problem, Refused};
use crate::query::WindowSizeWord;
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tallystick_engine::{Access, EntitlementListing};
use tallystick_http_kit::QueryString;

/// Give a customer an entitlement
///
/// At most one to a feature is in force at a time.
#[utoipa::path(
    post,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements",
    operation_id = "customer_entitlements_v2_post",
    tag = "Entitlements",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
    ),
    request_body = EntitlementInput,
    responses((status = 201, description = "The entitlement.", body = EntitlementV2), NoEntitlement, Refused),
)]
pub(crate) async fn create_entitlement(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let input: EntitlementInput =
        json::read(request, &door.limits, "EntitlementCreateInputs", Missing::IsAnError).await?;
    let Asked { feature, draft, grants } = input.read(Version::V2)?;
    let customer = path.get("customerIdOrKey", 256)?.to_string();
    let made = door.engine.create_entitlement(&caller, &customer, &feature, draft, grants).await?;
    Ok((StatusCode::CREATED, Json(EntitlementV2::from(made))).into_response())
}

/// List the entitlements of a customer
///
/// A page of those that are in force, the oldest first unless asked otherwise.
#[utoipa::path(
    get,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements",
    operation_id = "customer_entitlements_v2_list",
    tag = "Entitlements",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("includeDeleted" = Option<bool>, Query, description = "Whether deleted ones are shown too."),
        ("page" = Option<usize>, Query, description = "Page, from 1.", minimum = 1),
        ("pageSize" = Option<usize>, Query, description = "Entitlements on a page (100).", minimum = 1, maximum = 1000),
        ("offset" = Option<usize>, Query, description = "Entitlements to skip, without pages."),
        ("limit" = Option<usize>, Query, description = "Entitlements to show (100), without pages.", minimum = 1, maximum = 1000),
        ("order" = Option<String>, Query, description = "`ASC` or `DESC`."),
        ("orderBy" = Option<String>, Query, description = "`createdAt` or `updatedAt` (createdAt)."),
    ),
    responses((status = 200, description = "The entitlements.", body = PageBody<EntitlementV2>), NoEntitlement, Refused),
)]
pub(crate) async fn list_entitlements(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &[&["includeDeleted", "order", "orderBy"], &Part::NAMES[..]].concat(), &[])?;
    let part = Part::read(&query)?.unwrap_or_default();
    let include_deleted = boolean(&query, "includeDeleted")?.unwrap_or(false);
    let listing = EntitlementListing { include_deleted, ..read_listing(&query, part)? };
    let customer = path.get("customerIdOrKey", 256)?.to_string();
    let found = door.engine.customer_entitlements(&caller, &customer, listing).await?;
    let items = found.entitlements.into_iter().map(EntitlementV2::from).collect();
    Ok(Json(PageBody::new(part.paging(), found.total, items)).into_response())
}

/// Get an entitlement of a customer
///
/// By its id while it is not deleted, by its feature while it is in force.
#[utoipa::path(
    get,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}",
    operation_id = "customer_entitlements_v2_get",
    tag = "Entitlements",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
    ),
    responses((status = 200, description = "The entitlement.", body = EntitlementV2), NoEntitlement, Refused),
)]
pub(crate) async fn get_entitlement(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let Named { customer, entitlement } = of_customer(&path)?;
    let found = door.engine.get_customer_entitlement(&caller, &customer, &entitlement).await?;
    Ok(Json(EntitlementV2::from(found)).into_response())
}

/// Delete an entitlement of a customer
///
/// Its grants are deleted with it.
#[utoipa::path(
    delete,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}",
    operation_id = "customer_entitlements_v2_delete",
    tag = "Entitlements",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
    ),
    responses((status = 204, description = "The entitlement is deleted."), NoEntitlement, Refused),
)]
pub(crate) async fn delete_entitlement(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<StatusCode, Problem> {
    let Named { customer, entitlement } = of_customer(&path)?;
    door.engine.delete_customer_entitlement(&caller, &customer, &entitlement).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Override an entitlement of a customer
///
/// Ends the one that is in force and begins another one to the same feature at the same moment. Grants are not carried over.
#[utoipa::path(
    put,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/override",
    operation_id = "customer_entitlements_v2_override",
    tag = "Entitlements",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
    ),
    request_body = EntitlementInput,
    responses((status = 201, description = "The new entitlement.", body = EntitlementV2), NoEntitlement, Refused),
)]
pub(crate) async fn override_entitlement(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let input: EntitlementInput =
        json::read(request, &door.limits, "EntitlementCreateInputs", Missing::IsAnError).await?;
    let Asked { feature, draft, grants } = input.read(Version::V2)?;
    let Named { customer, entitlement } = of_customer(&path)?;
    let made = door.engine.override_entitlement(&caller, &customer, &entitlement, &feature, draft, grants).await?;
    Ok((StatusCode::CREATED, Json(EntitlementV2::from(made))).into_response())
}

/// Get the value of an entitlement of a customer
///
/// Whether the feature may be used and how much is left. Without an entitlement it may not be used, whether the feature exists
/// or not.
#[utoipa::path(
    get,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/value",
    operation_id = "customer_entitlement_v2_get_customer_entitlement_value",
    tag = "Entitlements",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
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
    let access = value::read(&door, &caller, &of_customer(&path)?, value::time(raw.as_deref())?).await?;
    let access = access.unwrap_or(Access::NotInForce);
    Ok(Json(ValueBody::of(&access, Grants::Shown)).into_response())
}

/// Get the history of an entitlement of a customer
///
/// What was used and what was left, by window of the calendar and by stretch of time in which the same grants were active.
#[utoipa::path(
    get,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/history",
    operation_id = "customer_entitlement_v2_get_customer_entitlement_history",
    tag = "Entitlements",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
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
    history::read(&door, &caller, &of_customer(&path)?, history::asked(raw.as_deref())?).await
}

/// Reset the usage of an entitlement of a customer
///
/// Ends its usage period and begins another one. Grants keep what their rollover amounts say.
#[utoipa::path(
    post,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/reset",
    operation_id = "customer_entitlement_v2_reset_customer_entitlement",
    tag = "Entitlements",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
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
    let Named { customer, entitlement } = of_customer(&path)?;
    door.engine.reset_entitlement(&caller, &customer, &entitlement, draft).await?;
    Ok(StatusCode::NO_CONTENT)
}
