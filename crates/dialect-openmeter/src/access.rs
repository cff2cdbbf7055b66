//! What a customer may use: all of it, or one feature.

use crate::customers::NoCustomer;
use crate::door::{Caller, CustomerPath, Door, PathTexts};
use crate::params::instant;
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_engine::Access;
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// What a customer may use.
#[derive(Serialize, ToSchema)]
#[schema(as = CustomerAccess)]
struct AccessBody {
    /// By the key of the feature.
    entitlements: BTreeMap<String, ValueBody>,
}

/// Whether a customer may use a feature.
#[derive(Serialize, ToSchema)]
#[schema(as = EntitlementValue)]
#[serde(rename_all = "camelCase")]
struct ValueBody {
    /// Whether it may be used now.
    has_access: bool,
}

impl From<Access> for ValueBody {
    fn from(access: Access) -> Self {
        Self { has_access: access.has_access }
    }
}

/// Get a customer's access
///
/// Every feature that the customer was given. None can be given yet.
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
    let entitlements = access.into_iter().map(|(key, access)| (key, access.into())).collect();
    Ok(Json(AccessBody { entitlements }).into_response())
}

/// Get a customer's access to a feature
///
/// A feature that the customer was not given is not there for it, whether it exists or not.
#[utoipa::path(
    get,
    path = "/api/v1/customers/{customerIdOrKey}/entitlements/{featureKey}/value",
    operation_id = "customer_entitlement_get_customer_entitlement_value",
    tag = "Customers",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("featureKey" = String, Path, description = "Key of the feature."),
        ("time" = Option<String>, Query, format = DateTime, description = "When (RFC 3339); now by default."),
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
    let feature = texts.get("featureKey", 64)?;
    instant(&QueryString::parse(raw.as_deref())?, "time")?;
    let access = door.engine.customer_access(&caller, &path.id_or_key).await?.remove(feature);
    Ok(Json(ValueBody::from(access.unwrap_or_default())).into_response())
}
