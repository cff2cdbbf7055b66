//! What the server knows of the world: currencies.

use crate::door::Caller;
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tallystick_domain::currency;
use utoipa::ToSchema;

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
