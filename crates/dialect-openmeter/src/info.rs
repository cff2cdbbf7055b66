//! What the server knows of the world, and of what it is doing: currencies, and how far long operations are.

use crate::door::{Caller, Door, PathTexts};
use crate::problem::{Problem, Refused, problem_answer};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_domain::currency;
use tallystick_engine::{EngineError, OperationProgress};
use utoipa::openapi::{RefOr, Response as Answer};
use utoipa::{IntoResponses, ToSchema};

/// A currency.
#[derive(Serialize, ToSchema)]
#[schema(as = Currency)]
struct CurrencyBody {
    /// ISO 4217 code.
    #[schema(value_type = String)]
    code: &'static str,
    /// Name for people.
    #[schema(value_type = String)]
    name: &'static str,
    /// What stands before an amount.
    #[schema(value_type = String)]
    symbol: &'static str,
    /// Digits after the decimal point of an amount.
    subunits: u16,
}

/// List currencies
///
/// The currencies of the world's states: the six most used ones first, then by code.
#[utoipa::path(
    get,
    path = "/api/v1/info/currencies",
    operation_id = "currencies_list_currencies",
    tag = "Info",
    responses((status = 200, description = "The currencies.", body = Vec<CurrencyBody>), Refused),
)]
pub(crate) async fn list_currencies(_: Caller) -> Result<Response, Problem> {
    let bodies = currency::all().iter().map(|currency| CurrencyBody {
        code: currency.code,
        name: &currency.name,
        symbol: &currency.symbol,
        subunits: currency.subunits,
    });
    Ok(Json(bodies.collect::<Vec<_>>()).into_response())
}

/// How far operations are.
#[derive(Serialize, ToSchema)]
#[schema(as = Progress)]
#[serde(rename_all = "camelCase")]
struct ProgressBody {
    /// What is done: rows of queries, events of imports.
    success: u64,
    /// What failed.
    failed: u64,
    /// What there is to do, as far as it is known.
    total: u64,
    /// When these numbers were true.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// 404 where an operation's id is named.
struct NoProgress;

impl IntoResponses for NoProgress {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        let answer = problem_answer("No operation was started with this id in the last minutes.");
        BTreeMap::from([("404".to_string(), RefOr::T(answer))])
    }
}

/// Get the progress of an operation
///
/// How far the queries, listings and imports are that were started with this `clientId`; until five minutes after the end.
#[utoipa::path(
    get,
    path = "/api/v1/info/progress/{id}",
    operation_id = "progress_get_progress",
    tag = "Info",
    params(("id" = String, Path, description = "The `clientId` of the operation.")),
    responses(
        (status = 200, description = "The progress.", body = ProgressBody),
        NoProgress,
        Refused,
    ),
)]
pub(crate) async fn get_progress(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let progress = door.engine.progress(&caller, path.get("id", 36)?).map_err(|error| match error {
        EngineError::NotFound { key, .. } => Problem::not_found(format!("progress not found for id: {key}")),
        other => other.into(),
    })?;
    let (OperationProgress { success, failed, total, .. }, updated_at) = (progress, progress.updated_at.to_string());
    Ok(Json(ProgressBody { success, failed, total, updated_at }).into_response())
}
