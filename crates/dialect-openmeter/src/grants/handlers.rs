//! The grants of one entitlement: give, list; and void one.

use super::body::GrantBody;
use super::input::GrantInput;
use super::list::{ORDERS, read_listing};
use crate::door::{Caller, Door, PathTexts};
use crate::entitlements::{Named, NoEntitlement, Version, of_customer, of_subject};
use crate::json::{self, Missing};
use crate::page::{PageBody, Part, sorting};
use crate::params::{boolean, instant, refuse_unknown};
use crate::problem::{Problem, Refused, problem_answer};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use tallystick_domain::entitlement::GrantDraft;
use tallystick_engine::GrantListing;
use tallystick_http_kit::QueryString;
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response as Answer};

/// 404 where a grant is named.
struct NoGrant;

impl IntoResponses for NoGrant {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        BTreeMap::from([("404".to_string(), problem_answer("There is no such grant.").into())])
    }
}

/// Give a grant to an entitlement of a subject
///
/// The amount can be burned by usage from `effectiveAt` on.
#[utoipa::path(
    post,
    path = "/api/v1/subjects/{subjectIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/grants",
    operation_id = "subjects_create_grant",
    tag = "Entitlements",
    params(
        ("subjectIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
    ),
    request_body = GrantInput,
    responses((status = 201, description = "The grant.", body = GrantBody), NoEntitlement, Refused),
)]
pub(crate) async fn create_grant(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let draft = read(&door, request, Version::V1).await?;
    create(&door, &caller, &of_subject(&door, &caller, &path).await?, draft, Version::V1).await
}

/// Give a grant to an entitlement of a customer
///
/// The amount can be burned by usage from `effectiveAt` on.
#[utoipa::path(
    post,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/grants",
    operation_id = "customer_entitlement_v2_create_customer_entitlement_grant",
    tag = "Entitlements",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
    ),
    request_body = GrantInput,
    responses((status = 201, description = "The grant.", body = GrantBody), NoEntitlement, Refused),
)]
pub(crate) async fn create_grant_v2(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let draft = read(&door, request, Version::V2).await?;
    create(&door, &caller, &of_customer(&path)?, draft, Version::V2).await
}

async fn read(door: &Door, request: Request, version: Version) -> Result<GrantDraft, Problem> {
    let input: GrantInput =
        json::read(request, &door.limits, "EntitlementGrantCreateInput", Missing::IsAnError).await?;
    input.read("", version)
}

async fn create(
    door: &Door,
    caller: &Caller,
    named: &Named,
    draft: GrantDraft,
    version: Version,
) -> Result<Response, Problem> {
    let grant = door.engine.create_grant(caller, &named.customer, &named.entitlement, draft).await?;
    Ok((StatusCode::CREATED, Json(GrantBody::of(grant, version, door.engine.now()))).into_response())
}

/// List the grants of an entitlement of a subject
///
/// All of them, those that were voided too.
#[utoipa::path(
    get,
    path = "/api/v1/subjects/{subjectIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/grants",
    operation_id = "subjects_get_grants",
    tag = "Entitlements",
    params(
        ("subjectIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
        ("includeDeleted" = Option<bool>, Query, description = "Whether deleted grants are shown too."),
        ("orderBy" = Option<String>, Query, description = "`id`, `createdAt` or `updatedAt` (createdAt)."),
    ),
    responses((status = 200, description = "The grants.", body = Vec<GrantBody>), NoEntitlement, Refused),
)]
pub(crate) async fn list_grants(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["includeDeleted", "orderBy"], &[])?;
    let listing = GrantListing {
        include_deleted: boolean(&query, "includeDeleted")?.unwrap_or(false),
        order: sorting(&query, &ORDERS)?.0,
        limit: u32::MAX,
        ..GrantListing::default()
    };
    let Named { customer, entitlement } = of_subject(&door, &caller, &path).await?;
    let found = door.engine.entitlement_grants(&caller, &customer, &entitlement, listing).await?;
    let now = door.engine.now();
    let items: Vec<_> = found.grants.into_iter().map(|grant| GrantBody::of(grant, Version::V1, now)).collect();
    Ok(Json(items).into_response())
}

/// List the grants of an entitlement of a customer
///
/// A page, the oldest first unless asked otherwise. With `limit` or `offset` and without a page, so many behind so many; `page` and
/// `pageSize` are 0 then.
#[utoipa::path(
    get,
    path = "/api/v2/customers/{customerIdOrKey}/entitlements/{entitlementIdOrFeatureKey}/grants",
    operation_id = "customer_entitlement_v2_get_grants",
    tag = "Entitlements",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("entitlementIdOrFeatureKey" = String, Path, description = "ULID of the entitlement, or key of its feature."),
        ("includeDeleted" = Option<bool>, Query, description = "Whether deleted grants are shown too."),
        ("page" = Option<usize>, Query, description = "Page, from 1.", minimum = 1),
        ("pageSize" = Option<usize>, Query, description = "Grants on a page (100).", minimum = 1, maximum = 1000),
        ("offset" = Option<usize>, Query, description = "Grants to skip, without pages."),
        ("limit" = Option<usize>, Query, description = "Grants to show (100), without pages.", minimum = 1, maximum = 1000),
        ("order" = Option<String>, Query, description = "`ASC` or `DESC`."),
        ("orderBy" = Option<String>, Query, description = "`id`, `createdAt` or `updatedAt` (createdAt)."),
    ),
    responses((status = 200, description = "The grants.", body = PageBody<GrantBody>), NoEntitlement, Refused),
)]
pub(crate) async fn list_grants_v2(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &[&["includeDeleted", "order", "orderBy"], &Part::NAMES[..]].concat(), &[])?;
    let part = Part::read(&query)?.unwrap_or_default();
    let listing = read_listing(&query, part)?;
    let Named { customer, entitlement } = of_customer(&path)?;
    let found = door.engine.entitlement_grants(&caller, &customer, &entitlement, listing).await?;
    let now = door.engine.now();
    let items = found.grants.into_iter().map(|grant| GrantBody::of(grant, Version::V2, now)).collect();
    Ok(Json(PageBody::new(part.paging(), found.total, items)).into_response())
}

/// Void a grant
///
/// Nothing is burned from it any more. What was burned stays burned.
#[utoipa::path(
    delete,
    path = "/api/v1/grants/{grantId}",
    operation_id = "grants_delete",
    tag = "Entitlements",
    params(
        ("grantId" = String, Path, description = "ULID."),
        ("at" = Option<String>, Query, format = DateTime, description = "When (RFC 3339), cut to the minute; now by default. Neither ahead nor before the current usage period."),
    ),
    responses((status = 204, description = "The grant is void."), NoGrant, Refused),
)]
pub(crate) async fn void_grant(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<StatusCode, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["at"], &[])?;
    let at = instant(&query, "at")?;
    door.engine.void_grant(&caller, path.get("grantId", 64)?, at).await?;
    Ok(StatusCode::NO_CONTENT)
}
