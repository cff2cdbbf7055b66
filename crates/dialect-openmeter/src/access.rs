//! What a customer may use: all of it, or one feature.

use crate::customers::NoCustomer;
use crate::door::{Caller, CustomerPath, Door, PathTexts};
use crate::entitlements::Named;
use crate::entitlements::value::{self, Grants, ValueBody};
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_engine::Access;
use utoipa::ToSchema;

/// What a customer may use.
#[derive(Serialize, ToSchema)]
#[schema(as = CustomerAccess)]
struct AccessBody {
    /// By the key of the feature.
    entitlements: BTreeMap<String, ValueBody>,
}

/// Get a customer's access
///
/// Of every feature to which the customer has an entitlement that is in force.
#[utoipa::path(
    get,
    path = "/api/v1/customers/{customerIdOrKey}/access",
    operation_id = "customer_get_customer_access",
    tag = "Customers",
    params(("customerIdOrKey" = String, Path, description = "ULID or key.")),
    responses((status = 200, description = "The access.", body = AccessBody), NoCustomer, Refused),
)]
pub(crate) async fn get_access(
    caller: Caller,
    State(door): State<Door>,
    path: CustomerPath,
) -> Result<Response, Problem> {
    let access = door.engine.customer_access(&caller, &path.id_or_key).await?;
    let entitlements = access.into_iter().map(|(key, access)| (key, ValueBody::of(&access, Grants::Shown))).collect();
    Ok(Json(AccessBody { entitlements }).into_response())
}

/// Get a customer's access to a feature
///
/// Without an entitlement it may not be used, whether the feature exists or not.
#[utoipa::path(
    get,
    path = "/api/v1/customers/{customerIdOrKey}/entitlements/{featureKey}/value",
    operation_id = "customer_entitlement_get_customer_entitlement_value",
    tag = "Customers",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("featureKey" = String, Path, description = "Key of the feature."),
        ("time" = Option<String>, Query, format = DateTime, description = "When (RFC 3339), earlier or ahead; now by default."),
    ),
    responses((status = 200, description = "The access.", body = ValueBody), NoCustomer, Refused),
)]
pub(crate) async fn get_value(
    caller: Caller,
    State(door): State<Door>,
    path: CustomerPath,
    texts: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let named = Named { customer: path.id_or_key, entitlement: texts.get("featureKey", 64)?.to_string() };
    let access = value::read(&door, &caller, &named, value::time(raw.as_deref())?).await?.unwrap_or(Access::NotInForce);
    Ok(Json(ValueBody::of(&access, Grants::Hidden)).into_response())
}
