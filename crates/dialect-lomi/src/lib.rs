//! The lomi door: the vendor's metering API over the engine.
//!
//! Invariant: knows one vendor, holds no state, no clock, no store; a quirk never enters the core. Decisions where the vendor's
//! documents are silent are listed in `docs/dialects/lomi.md`.

mod balances;
mod body;
mod customers;
mod door;
mod ids;
mod list;
mod meters;
pub mod operations;
mod problem;
mod slashes;
mod usage;

use axum::Router;
use axum::extract::Request;
use axum::routing::any;
use door::Door;
use problem::Problem;
use serde_json::value::RawValue;
use std::sync::Arc;
use tallystick_domain::Quantity;
use tallystick_engine::Engine;
use tallystick_http_kit::{DoorRules, Gate, HttpLimits, Redraw, panic};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Under which the core keeps what only this door understands, and the source of its events.
const NAME: &str = "lomi";

/// The routes of the door under `/v1`, with their part of the OpenAPI document. The server adds request ids, the access log and
/// the prefix under which the door is found.
pub fn router(engine: Engine, limits: HttpLimits) -> OpenApiRouter {
    let rules = DoorRules { draw: problem::draw, reading_posts: &[], secret_answers: &[] };
    let gate = Gate::new(engine.clone(), limits.clone(), rules);
    let served = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(meters::create_meter, meters::list_meters))
        .routes(routes!(meters::retrieve_meter, meters::update_meter, meters::delete_meter))
        .routes(routes!(balances::list_meter_balances))
        .routes(routes!(balances::retrieve_meter_balance))
        .routes(routes!(balances::retrieve_customer_balance))
        .routes(routes!(balances::grant_credits))
        .routes(routes!(usage::create_usage_event, usage::list_usage_events))
        .routes(routes!(usage::retrieve_usage_event))
        .routes(routes!(usage::feed::list_events))
        .routes(routes!(usage::feed::retrieve_event))
        .routes(routes!(customers::create_customer, customers::list_customers))
        .routes(routes!(customers::retrieve_customer, customers::update_customer, customers::delete_customer))
        .layer((gate, Redraw(problem::name_requests), panic::catch::<Problem>()))
        .with_state(Door { engine, limits: Arc::new(limits) });
    let single: Router = served.clone().split_for_parts().0.fallback(async || Problem::no_such_route());
    let elsewhere = move |request: Request| slashes::collapse(single.clone(), request);
    let unknown = ["/v1", "/v1/", "/v1/{*rest}"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, any(elsewhere.clone())));
    served.merge(unknown.layer(Redraw(problem::name_requests)).into())
}

/// What the document says besides its paths.
#[derive(OpenApi)]
#[openapi(
    components(schemas(problem::Body)),
    tags((name = "lomi", description = "lomi's metering API: meters, usage events, credits and balances. The key is sent as `X-API-KEY` or as a bearer.")),
)]
struct Document;

/// A text as JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An object of members whose values are JSON.
fn object_text(members: impl IntoIterator<Item = (String, String)>) -> String {
    let members: Vec<_> = members.into_iter().map(|(name, value)| format!("{}:{value}", quoted(&name))).collect();
    format!("{{{}}}", members.join(","))
}

/// A quantity as a JSON number, digit for digit.
fn number(quantity: Quantity) -> Box<RawValue> {
    raw(quantity.to_string())
}

/// A text that is JSON already.
fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
