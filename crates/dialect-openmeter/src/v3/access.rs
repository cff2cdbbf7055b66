//! Access to features: all of one customer, or many customers at once.

use super::customers::{self, CustomerBody};
use super::faults::{Faults, InvalidParameter, id_of};
use super::list::{CursorBody, ListQuery};
use super::problem::{Gone, Missing, Refused};
use crate::door::{Caller, Door, PathTexts};
use crate::problem::Problem;
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tallystick_domain::customer::Customer;
use tallystick_domain::{CustomerId, Instant};
use tallystick_engine::{Access, AccessPage, AccessQuery, CustomerAccess, FeatureAccess, PagePlace};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// The most customers or features that one query names, and customers on a page.
const MAX_KEYS: usize = 100;

/// What a customer may use.
#[derive(Serialize, ToSchema)]
#[schema(as = V3ListCustomerEntitlementAccessResponseData)]
pub(crate) struct AccessList {
    /// By the key of the feature.
    data: Vec<AccessBody>,
}

/// Whether a customer may use a feature.
#[derive(Serialize, ToSchema)]
#[schema(as = V3EntitlementAccessResult)]
struct AccessBody {
    /// `metered`, `static` or `boolean`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// The key of the feature.
    feature_key: String,
    /// Whether it may be used now.
    has_access: bool,
    /// The configuration of a static one, a JSON value.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    config: Option<Box<RawValue>>,
}

/// Whose access to what is asked for.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3EntitlementAccessQueryRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    /// The customers.
    customer: CustomerKeys,
    /// The features; all of the namespace when left out.
    feature: Option<FeatureKeys>,
    /// Whether credits are looked at too: there are none yet, so only `false` is taken.
    include_credits: Option<bool>,
}

/// Customers by name.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3EntitlementAccessQueryCustomers)]
#[serde(deny_unknown_fields)]
struct CustomerKeys {
    /// Keys of customers, or event subjects that are theirs.
    #[schema(min_items = 1, max_items = 100)]
    keys: Vec<String>,
}

/// Features by name.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3EntitlementAccessQueryFeatures)]
#[serde(deny_unknown_fields)]
struct FeatureKeys {
    /// Keys of features.
    #[schema(min_items = 1, max_items = 100)]
    keys: Vec<String>,
}

/// The access of many customers.
#[derive(Serialize, ToSchema)]
#[schema(as = V3EntitlementAccessQueryResponse)]
pub(crate) struct QueryResult {
    #[serde(flatten)]
    page: CursorBody<RowBody>,
    /// The names that no live customer has, on every page.
    errors: Vec<NoCustomer>,
}

/// The access of a customer.
#[derive(Serialize, ToSchema)]
#[schema(as = V3EntitlementAccessQueryResult)]
struct RowBody {
    /// The names by which the customer was asked for.
    matched: Vec<String>,
    customer: CustomerBody,
    /// By the key of the feature.
    features: BTreeMap<String, FeatureBody>,
    /// The moment of which this is true.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Whether a feature may be used.
#[derive(Serialize, ToSchema)]
#[schema(as = V3FeatureAccess)]
struct FeatureBody {
    has_access: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Reason>,
}

/// Why a feature may not be used.
#[derive(Serialize, ToSchema)]
#[schema(as = V3FeatureAccessReason)]
struct Reason {
    /// `usage_limit_reached`, `feature_unavailable` or `feature_not_found`.
    #[schema(value_type = String)]
    code: &'static str,
    #[schema(value_type = String)]
    message: &'static str,
}

/// A name that no live customer has.
#[derive(Serialize, ToSchema)]
#[schema(as = V3EntitlementAccessQueryError)]
struct NoCustomer {
    customer: String,
    /// `customer_not_found`.
    #[schema(value_type = String)]
    code: &'static str,
    message: String,
}

/// List a customer's access
///
/// Every feature that the customer has an entitlement to that is in force, by key.
#[utoipa::path(
    get,
    path = "/api/v3/openmeter/customers/{customerId}/entitlement-access",
    operation_id = "Entitlements.ListCustomerAccess",
    tag = "Version 3",
    params(("customerId" = String, Path, description = "ULID.")),
    responses((status = 200, description = "The access.", body = AccessList), Missing, Gone, Refused),
)]
pub(crate) async fn list_access(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let id = id_of(&path, "customerId")?;
    customers::find(&caller, &door, &id).await?;
    let access = door.engine.customer_access(&caller, &id).await?;
    let data = access.into_iter().map(|(key, access)| access_body(key, &access)).collect();
    Ok(Json(AccessList { data }).into_response())
}

fn access_body(feature_key: String, access: &Access) -> AccessBody {
    let (kind, config) = match access {
        Access::Metered(_) => ("metered", None),
        Access::Static { config } => ("static", RawValue::from_string(config.to_string()).ok()),
        Access::Boolean | Access::NotInForce => ("boolean", None),
    };
    AccessBody { kind, feature_key, has_access: access.has_access(), config }
}

/// Query the access of many customers
///
/// Customers are ordered by the second of their creation and by id. What a query costs grows with the answer alone.
#[utoipa::path(
    post,
    path = "/api/v3/openmeter/entitlement-access/query",
    operation_id = "EntitlementAccess.Query",
    tag = "Version 3",
    params(
        ("page[size]" = Option<u64>, Query, minimum = 1, maximum = 100, description = "Customers on a page (100)."),
        ("page[after]" = Option<String>, Query, description = "Only customers behind this place."),
        ("page[before]" = Option<String>, Query, description = "Only customers before this place; not with `page[after]`."),
    ),
    request_body = QueryBody,
    responses((status = 200, description = "A page of customers.", body = QueryResult), Refused),
)]
pub(crate) async fn query_access(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
    request: Request,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let mut faults = Faults::default();
    let list = ListQuery::of(&query, &mut faults);
    list.conditions(&[], &mut faults);
    list.one_order(&[], &mut faults);
    let (size, after, before) = list.cursors(MAX_KEYS, &mut faults);
    let place = place_of(after, before, &mut faults);
    let body: Option<QueryBody> = faults.body(request, &door.limits).await?;
    if body.as_ref().is_some_and(|body| body.include_credits == Some(true)) {
        let reason = "there are no credits to look at: leave it out or send false";
        faults.add(InvalidParameter::new("include_credits", "body", "invalid", reason));
    }
    let body = faults.none_in(body)?;
    let features = body.feature.map(|feature| feature.keys);
    let asked = AccessQuery { customers: body.customer.keys, features, size, place };
    let page = door.engine.query_access(&caller, asked).await?;
    Ok(Json(result_of(page, size)).into_response())
}

fn result_of(page: AccessPage, size: usize) -> QueryResult {
    let errors = page.unknown.into_iter().map(|customer| NoCustomer {
        message: format!("no live customer has the key or the subject {customer:?}"),
        code: "customer_not_found",
        customer,
    });
    let errors = errors.collect();
    let place = |row: Option<&CustomerAccess>| row.map(|row| cursor_of(&row.customer));
    let (first, last) = (place(page.rows.first()), place(page.rows.last()));
    let cursors = super::list::Cursors {
        next: last.clone().filter(|_| page.has_next),
        previous: first.clone().filter(|_| page.has_previous),
        first,
        last,
        size,
    };
    QueryResult { page: CursorBody::new(cursors, page.rows.into_iter().map(row_body).collect()), errors }
}

fn row_body(row: CustomerAccess) -> RowBody {
    RowBody {
        matched: row.matched,
        customer: customers::body_of(row.customer),
        features: row.features.into_iter().map(|(key, access)| (key, feature_body(access))).collect(),
        updated_at: row.evaluated_at.to_string(),
    }
}

fn feature_body(access: FeatureAccess) -> FeatureBody {
    let (code, message) = match access {
        FeatureAccess::Granted => return FeatureBody { has_access: true, reason: None },
        FeatureAccess::LimitReached => ("usage_limit_reached", "nothing is left of what the customer was granted"),
        FeatureAccess::NotEntitled => ("feature_unavailable", "the customer has no entitlement to the feature"),
        FeatureAccess::NoSuchFeature => ("feature_not_found", "there is no such feature"),
    };
    FeatureBody { has_access: false, reason: Some(Reason { code, message }) }
}

/// The place of a customer in the order, as clients send it.
fn cursor_of(customer: &Customer) -> String {
    let second = customer.created_at.as_micros().div_euclid(1_000_000) * 1_000_000;
    let at = Instant::from_micros(second).unwrap_or(customer.created_at);
    STANDARD.encode(format!("{at},{}", customer.id))
}

fn place_of(after: Option<&str>, before: Option<&str>, faults: &mut Faults) -> PagePlace {
    let mut read = |name: &str, text: &str| {
        let place = read_cursor(text);
        if place.is_none() {
            faults.add(InvalidParameter::new(name, "query", "invalid", "is no place that an answer named"));
        }
        place
    };
    match (after, before) {
        (None, None) => PagePlace::First,
        (Some(text), None) => read("page[after]", text).map_or(PagePlace::First, |(at, id)| PagePlace::After(at, id)),
        (None, Some(text)) => read("page[before]", text).map_or(PagePlace::First, |(at, id)| PagePlace::Before(at, id)),
        (Some(_), Some(_)) => {
            let reason = "page[after] and page[before] exclude each other";
            faults.add(InvalidParameter::new("page[before]", "query", "invalid", reason));
            PagePlace::First
        }
    }
}

fn read_cursor(text: &str) -> Option<(Instant, CustomerId)> {
    let plain = String::from_utf8(STANDARD.decode(text).ok()?).ok()?;
    let (at, id) = plain.split_once(',')?;
    Some((Instant::parse_rfc3339(at).ok()?, CustomerId::parse(id)?))
}
