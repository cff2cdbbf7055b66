//! The grants of all entitlements.

use super::body::GrantBody;
use crate::door::{Caller, Door};
use crate::entitlements::{NoEntitlement, Version};
use crate::page::{ListBody, PageBody, Part, sorting};
use crate::params::{boolean, refuse_unknown, texts};
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use tallystick_engine::{GrantListing, GrantOrder};
use tallystick_http_kit::QueryString;

/// What the grants of an entitlement can be sorted by.
pub(super) const ORDERS: [(&str, GrantOrder); 3] =
    [("createdAt", GrantOrder::CreatedAt), ("id", GrantOrder::Id), ("updatedAt", GrantOrder::UpdatedAt)];

/// Reads what all listings of grants take, but for whose grants.
pub(super) fn read_listing(query: &QueryString, part: Part) -> Result<GrantListing, Problem> {
    let (order, descending) = sorting(query, &ORDERS)?;
    Ok(GrantListing {
        include_deleted: boolean(query, "includeDeleted")?.unwrap_or(false),
        order,
        descending,
        offset: part.offset(),
        limit: part.limit(),
        ..GrantListing::default()
    })
}

/// The same for the grants of all entitlements, which are sorted by their beginning unless asked otherwise.
fn read_listing_of_all(query: &QueryString, part: Part) -> Result<GrantListing, Problem> {
    let listing = read_listing(query, part)?;
    let order = if query.one("orderBy")?.is_some() { listing.order } else { GrantOrder::EffectiveAt };
    Ok(GrantListing { features: texts(query, "feature"), order, ..listing })
}

/// List grants
///
/// Of all entitlements: a list, or a page when `page` or `pageSize` is sent; by `effectiveAt` unless asked otherwise.
#[utoipa::path(
    get,
    path = "/api/v1/grants",
    operation_id = "grants_list",
    tag = "Entitlements",
    params(
        ("feature" = Option<Vec<String>>, Query, description = "Only grants for these features, by id or key."),
        ("subject" = Option<Vec<String>>, Query, description = "Only grants of the customers of these subjects."),
        ("includeDeleted" = Option<bool>, Query, description = "Whether deleted grants are shown too."),
        ("page" = Option<usize>, Query, description = "Page, from 1.", minimum = 1),
        ("pageSize" = Option<usize>, Query, description = "Grants on a page (100).", minimum = 1, maximum = 1000),
        ("offset" = Option<usize>, Query, description = "Grants to skip, without pages."),
        ("limit" = Option<usize>, Query, description = "Grants to show (100), without pages.", minimum = 1, maximum = 1000),
        ("order" = Option<String>, Query, description = "`ASC` or `DESC`."),
        ("orderBy" = Option<String>, Query, description = "`id`, `createdAt` or `updatedAt`."),
    ),
    responses((status = 200, description = "The grants.", body = ListBody<GrantBody>), Refused),
)]
pub(crate) async fn list_grants(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let known = ["feature", "subject", "includeDeleted", "order", "orderBy"];
    refuse_unknown(&query, &[&known, &Part::NAMES[..]].concat(), &[])?;
    let part = Part::read(&query)?.unwrap_or_else(Part::first);
    let listing = GrantListing { subjects: texts(&query, "subject"), ..read_listing_of_all(&query, part)? };
    let found = door.engine.list_grants(&caller, listing).await?;
    let now = door.engine.now();
    let items = found.grants.into_iter().map(|grant| GrantBody::of(grant, Version::V1, now)).collect();
    Ok(Json(ListBody::new(part, found.total, items)).into_response())
}

/// List grants of customers
///
/// Of all entitlements, by `effectiveAt` unless asked otherwise. Without `page` and `pageSize`, which are 0 in the answer then, so
/// many (`limit`) behind so many (`offset`).
#[utoipa::path(
    get,
    path = "/api/v2/grants",
    operation_id = "grants_v2_list",
    tag = "Entitlements",
    params(
        ("feature" = Option<Vec<String>>, Query, description = "Only grants for these features, by id or key."),
        ("customer" = Option<Vec<String>>, Query, description = "Only grants of these customers, by id or key."),
        ("includeDeleted" = Option<bool>, Query, description = "Whether deleted grants are shown too."),
        ("page" = Option<usize>, Query, description = "Page, from 1.", minimum = 1),
        ("pageSize" = Option<usize>, Query, description = "Grants on a page (100).", minimum = 1, maximum = 1000),
        ("offset" = Option<usize>, Query, description = "Grants to skip, without pages."),
        ("limit" = Option<usize>, Query, description = "Grants to show (100), without pages.", minimum = 1, maximum = 1000),
        ("order" = Option<String>, Query, description = "`ASC` or `DESC`."),
        ("orderBy" = Option<String>, Query, description = "`id`, `createdAt` or `updatedAt`."),
    ),
    responses((status = 200, description = "The grants.", body = PageBody<GrantBody>), NoEntitlement, Refused),
)]
pub(crate) async fn list_grants_v2(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let known = ["feature", "customer", "includeDeleted", "order", "orderBy"];
    refuse_unknown(&query, &[&known, &Part::NAMES[..]].concat(), &[])?;
    let part = Part::read(&query)?.unwrap_or_else(Part::first);
    let listing = GrantListing { customers: texts(&query, "customer"), ..read_listing_of_all(&query, part)? };
    let found = door.engine.list_grants(&caller, listing).await?;
    let now = door.engine.now();
    let items = found.grants.into_iter().map(|grant| GrantBody::of(grant, Version::V2, now)).collect();
    Ok(Json(PageBody::new(part.paging(), found.total, items)).into_response())
}
