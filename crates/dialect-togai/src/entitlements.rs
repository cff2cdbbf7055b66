//! `/entitled`, and what an account may use.

use crate::accounts;
use crate::amount::Amount;
use crate::door::{Caller, Door, PathTexts};
use crate::events::{IngestInput, Known, read};
use crate::names::{MAX_NAME, is_within};
use crate::problem::{Problem, Refused};
use crate::{Success, json};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_domain::Quantity;
use tallystick_domain::key::Scope;
use tallystick_engine::{Access, Entitled};
use utoipa::ToSchema;

/// What is left of a feature.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiFeatureCredits)]
#[serde(rename_all = "camelCase")]
struct Credits {
    /// The account.
    account_id: String,
    /// The feature's key.
    feature_id: String,
    /// What there was in the usage period.
    granted: Amount,
    /// What is left.
    balance: Amount,
    /// What was used beyond.
    used_overage: Amount,
}

/// What an account may use.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEntitlementValues)]
struct Values {
    /// One for each feature.
    data: Vec<ValueBody>,
}

/// What an account may use of a feature.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEntitlementValue)]
#[serde(rename_all = "camelCase")]
struct ValueBody {
    /// The feature's key.
    feature_id: String,
    /// What is left, the configuration, or `true` or `false`.
    value: String,
}

/// Ingest an event if its account may
///
/// It is stored if the account's customer has an entitlement to every feature whose meter counts it, and enough is left.
#[utoipa::path(
    post,
    path = "/entitled",
    operation_id = "togai_ingest_entitled_event",
    tag = "Togai entitlements",
    request_body = IngestInput,
    responses((status = 200, description = "It is stored.", body = Success), Refused),
)]
pub(crate) async fn ingest_entitled_event(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    caller.require(Scope::Ingest)?;
    let input: IngestInput = json::read(request, &door.limits).await?;
    let event = read(&input.event).map_err(|reason| Problem::bad_request(format!("event: {reason}")))?;
    let known = Known::of(&door, &caller, &[&event]).await?;
    if let Some(failure) = known.failure(&event) {
        return Err(Problem::bad_request(format!("the event is not stored: {}", failure.description())));
    }
    match door.engine.ingest_entitled(&caller, known.core_event(&door, &event)?).await? {
        Entitled::Stored => Ok(Json(Success::yes()).into_response()),
        Entitled::Duplicate => {
            Err(Problem::new(StatusCode::CONFLICT, "an event with this id came before: nothing changed"))
        }
        Entitled::Refused(reason) => {
            Err(Problem::new(StatusCode::FORBIDDEN, format!("not entitled, so the event is not stored: {reason}")))
        }
    }
}

/// What the customer of an account has, by the keys of features that the client can read.
async fn access_of(door: &Door, caller: &Caller, account: &str) -> Result<BTreeMap<String, Access>, Problem> {
    let customer = accounts::find(door, caller, account).await?;
    let mut access = door.engine.customer_access(caller, &customer.id.to_string()).await?;
    access.retain(|feature, _| is_within(feature, 1, MAX_NAME));
    Ok(access)
}

/// Get what is left of a feature
///
/// What the account's customer has, which all its accounts share.
#[utoipa::path(
    get,
    path = "/accounts/{account_id}/features/{feature_id}",
    operation_id = "togai_get_feature_credits",
    tag = "Togai entitlements",
    params(
        ("account_id" = String, Path, description = "The account."),
        ("feature_id" = String, Path, description = "The feature's key."),
    ),
    responses((status = 200, description = "What is left.", body = Credits), Refused),
)]
pub(crate) async fn get_feature_credits(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let (account, feature) = (path.get("account_id"), path.get("feature_id"));
    let mut access = access_of(&door, &caller, account).await?;
    let Some(Access::Metered(metered)) = access.remove(feature) else {
        return Err(Problem::not_found("metered entitlement to feature", feature));
    };
    let standing = &metered.standing;
    let credits = Credits {
        account_id: account.to_owned(),
        feature_id: feature.to_owned(),
        granted: Amount(standing.available),
        balance: Amount(standing.balance),
        used_overage: Amount(standing.overage),
    };
    Ok(Json(credits).into_response())
}

/// List what an account may use
///
/// By feature.
#[utoipa::path(
    get,
    path = "/accounts/{account_id}/entitlements",
    operation_id = "togai_get_entitlements",
    tag = "Togai entitlements",
    params(("account_id" = String, Path, description = "The account.")),
    responses((status = 200, description = "What it may use.", body = Values), Refused),
)]
pub(crate) async fn get_entitlements(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let access = access_of(&door, &caller, path.get("account_id")).await?;
    let data = access.into_iter().map(|(feature_id, access)| ValueBody { feature_id, value: value_of(&access) });
    Ok(Json(Values { data: data.collect() }).into_response())
}

/// Get what an account may use of a feature
///
/// A list of one.
#[utoipa::path(
    get,
    path = "/accounts/{account_id}/entitlements/{feature_id}",
    operation_id = "togai_get_entitlement_value",
    tag = "Togai entitlements",
    params(
        ("account_id" = String, Path, description = "The account."),
        ("feature_id" = String, Path, description = "The feature's key."),
    ),
    responses((status = 200, description = "What it may use.", body = Values), Refused),
)]
pub(crate) async fn get_entitlement_value(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let feature = path.get("feature_id");
    let mut access = access_of(&door, &caller, path.get("account_id")).await?;
    let found = access.remove(feature).ok_or_else(|| Problem::not_found("entitlement to feature", feature))?;
    let value = ValueBody { feature_id: feature.to_owned(), value: value_of(&found) };
    Ok(Json(Values { data: vec![value] }).into_response())
}

/// In one text: how much is left and not held back, the configuration, or whether there is access.
fn value_of(access: &Access) -> String {
    match access {
        Access::NotInForce => "false".into(),
        Access::Boolean => "true".into(),
        Access::Static { config } => config.to_string(),
        Access::Metered(metered) => {
            let left = metered.standing.balance.minus(metered.reserved).unwrap_or(metered.standing.balance);
            left.max(Quantity::ZERO).to_string()
        }
    }
}
