//! Entitlements of all customers, and one of them by its id.

use super::body::{EntitlementV1, EntitlementV2};
use super::{MAX_NAME, NoEntitlement};
use crate::door::{Caller, Door, PathTexts};
use crate::page::{ListBody, PageBody, Part, sorting};
use crate::params::{Place, boolean, not_allowed, refuse_unknown, texts};
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use tallystick_domain::entitlement::KindName;
use tallystick_engine::EntitlementListing;
use tallystick_http_kit::QueryString;

/// What lists are sorted by; true is the last change.
const ORDERS: [(&str, bool); 2] = [("createdAt", false), ("updatedAt", true)];

/// Reads what all listings of entitlements take.
pub(super) fn read_listing(query: &QueryString, part: Part) -> Result<EntitlementListing, Problem> {
    let (by_update, descending) = sorting(query, &ORDERS)?;
    Ok(EntitlementListing {
        by_update,
        descending,
        offset: part.offset(),
        limit: part.limit(),
        ..EntitlementListing::default()
    })
}

/// The same for those of all customers.
fn read_listing_of_all(query: &QueryString, part: Part) -> Result<EntitlementListing, Problem> {
    Ok(EntitlementListing {
        features: texts(query, "feature"),
        kinds: kinds(query)?,
        exclude_inactive: boolean(query, "excludeInactive")?.unwrap_or(false),
        ..read_listing(query, part)?
    })
}

/// Types are repeated or separated by commas.
fn kinds(query: &QueryString) -> Result<Vec<KindName>, Problem> {
    let names = KindName::ALL.map(KindName::as_str);
    let words = query.all("entitlementType").flat_map(|text| text.split(','));
    let read = |word| KindName::parse(word).ok_or_else(|| Place::Query.refuse("entitlementType", not_allowed(&names)));
    words.map(read).collect()
}

/// List entitlements
///
/// Of all customers, also those that are not in force: a list, or a page when `page` or `pageSize` is sent. Deleted ones are not shown.
#[utoipa::path(
    get,
    path = "/api/v1/entitlements",
    operation_id = "entitlements_list",
    tag = "Entitlements",
    params(
        ("feature" = Option<Vec<String>>, Query, description = "Only those to these features, by id or key."),
        ("subject" = Option<Vec<String>>, Query, description = "Only those of the customers of these subjects."),
        ("entitlementType" = Option<Vec<String>>, Query, description = "Only `metered`, `static` or `boolean` ones."),
        ("excludeInactive" = Option<bool>, Query, description = "Whether only those are shown that are in force."),
        ("page" = Option<usize>, Query, description = "Page, from 1.", minimum = 1),
        ("pageSize" = Option<usize>, Query, description = "Entitlements on a page (100).", minimum = 1, maximum = 1000),
        ("offset" = Option<usize>, Query, description = "Entitlements to skip, without pages."),
        ("limit" = Option<usize>, Query, description = "Entitlements to show (100), without pages.", minimum = 1, maximum = 1000),
        ("order" = Option<String>, Query, description = "`ASC` or `DESC`."),
        ("orderBy" = Option<String>, Query, description = "`createdAt` or `updatedAt` (createdAt)."),
    ),
    responses((status = 200, description = "The entitlements.", body = ListBody<EntitlementV1>), Refused),
)]
pub(crate) async fn list_entitlements(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let known = ["feature", "subject", "entitlementType", "excludeInactive", "order", "orderBy"];
    refuse_unknown(&query, &[&known, &Part::NAMES[..]].concat(), &[])?;
    let part = Part::read(&query)?.unwrap_or_else(Part::first);
    let listing = EntitlementListing { subjects: texts(&query, "subject"), ..read_listing_of_all(&query, part)? };
    let found = door.engine.list_entitlements(&caller, listing).await?;
    let items = found.entitlements.into_iter().map(EntitlementV1::from).collect();
    Ok(Json(ListBody::new(part, found.total, items)).into_response())
}

/// List entitlements of customers
///
/// Of all customers, also those that are not in force. With `limit` or `offset` and without a page, so many behind so many; `page` and
/// `pageSize` are 0 then. Deleted ones are not shown.
#[utoipa::path(
    get,
    path = "/api/v2/entitlements",
    operation_id = "entitlements_v2_list",
    tag = "Entitlements",
    params(
        ("feature" = Option<Vec<String>>, Query, description = "Only those to these features, by id or key."),
        ("customerKeys" = Option<Vec<String>>, Query, description = "Only those of customers with these keys."),
        ("customerIds" = Option<Vec<String>>, Query, description = "Only those of customers with these ids."),
        ("entitlementType" = Option<Vec<String>>, Query, description = "Only `metered`, `static` or `boolean` ones."),
        ("excludeInactive" = Option<bool>, Query, description = "Whether only those are shown that are in force."),
        ("page" = Option<usize>, Query, description = "Page, from 1.", minimum = 1),
        ("pageSize" = Option<usize>, Query, description = "Entitlements on a page (100).", minimum = 1, maximum = 1000),
        ("offset" = Option<usize>, Query, description = "Entitlements to skip, without pages."),
        ("limit" = Option<usize>, Query, description = "Entitlements to show (100), without pages.", minimum = 1, maximum = 1000),
        ("order" = Option<String>, Query, description = "`ASC` or `DESC`."),
        ("orderBy" = Option<String>, Query, description = "`createdAt` or `updatedAt` (createdAt)."),
    ),
    responses((status = 200, description = "The entitlements.", body = PageBody<EntitlementV2>), Refused),
)]
pub(crate) async fn list_entitlements_v2(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let known = ["feature", "customerKeys", "customerIds", "entitlementType", "excludeInactive", "order", "orderBy"];
    refuse_unknown(&query, &[&known, &Part::NAMES[..]].concat(), &[])?;
    let part = Part::read(&query)?.unwrap_or_default();
    let (customer_keys, customer_ids) = (texts(&query, "customerKeys"), texts(&query, "customerIds"));
    let listing = EntitlementListing { customer_keys, customer_ids, ..read_listing_of_all(&query, part)? };
    let found = door.engine.list_entitlements(&caller, listing).await?;
    let items = found.entitlements.into_iter().map(EntitlementV2::from).collect();
    Ok(Json(PageBody::new(part.paging(), found.total, items)).into_response())
}

/// Get an entitlement by its id
#[utoipa::path(
    get,
    path = "/api/v1/entitlements/{entitlementId}",
    operation_id = "entitlements_get",
    tag = "Entitlements",
    params(("entitlementId" = String, Path, description = "ULID.")),
    responses((status = 200, description = "The entitlement.", body = EntitlementV1), NoEntitlement, Refused),
)]
pub(crate) async fn get_entitlement(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let found = door.engine.get_entitlement(&caller, path.get("entitlementId", MAX_NAME)?).await?;
    Ok(Json(EntitlementV1::from(found)).into_response())
}

/// Get a customer's entitlement by its id
#[utoipa::path(
    get,
    path = "/api/v2/entitlements/{entitlementId}",
    operation_id = "entitlements_v2_get",
    tag = "Entitlements",
    params(("entitlementId" = String, Path, description = "ULID.")),
    responses((status = 200, description = "The entitlement.", body = EntitlementV2), NoEntitlement, Refused),
)]
pub(crate) async fn get_entitlement_v2(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let found = door.engine.get_entitlement(&caller, path.get("entitlementId", MAX_NAME)?).await?;
    Ok(Json(EntitlementV2::from(found)).into_response())
}
