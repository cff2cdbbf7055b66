//! The Togai door: the vendor's API over the engine.
//!
//! Invariant: knows one vendor, holds no state, no clock, no store; a quirk never enters the core. What the vendor's documents
//! leave open is decided in `docs/dialects/togai.md`.

mod accounts;
mod address;
mod amount;
mod authenticate;
mod customers;
mod door;
mod entitlements;
mod events;
mod json;
mod kept;
mod meters;
mod metrics;
mod names;
pub mod operations;
mod page;
mod problem;
mod schemas;
mod short_id;

pub use problem::Problem;

use axum::routing::any;
use door::Door;
use serde::Serialize;
use std::sync::Arc;
use tallystick_engine::Engine;
use tallystick_http_kit::{DoorRules, Gate, HttpLimits, Redraw, panic};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The door's rules: its POSTs that only read, and those whose answer shows a secret, at the root and under the door's prefix.
const RULES: DoorRules = DoorRules {
    draw: problem::draw,
    reading_posts: &["/metrics", "/togai/metrics", "/authenticate", "/togai/authenticate"],
    secret_answers: &[],
};

/// The routes of the door, without a prefix, with their part of the OpenAPI document. The server adds request ids and the access
/// log.
pub fn router(engine: Engine, limits: HttpLimits) -> OpenApiRouter {
    let served = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(authenticate::authenticate))
        .routes(routes!(schemas::create_event_schema, schemas::list_event_schemas))
        .routes(routes!(schemas::get_event_schema, schemas::update_event_schema, schemas::delete_event_schema))
        .routes(routes!(schemas::list_event_schema_versions))
        .routes(routes!(schemas::activate_event_schema))
        .routes(routes!(schemas::deactivate_event_schema))
        .routes(routes!(meters::create_usage_meter, meters::list_usage_meters))
        .routes(routes!(meters::get_usage_meter, meters::update_usage_meter, meters::delete_usage_meter))
        .routes(routes!(meters::activate_usage_meter))
        .routes(routes!(meters::deactivate_usage_meter))
        .routes(routes!(events::ingest))
        .routes(routes!(events::ingest_batch))
        .routes(routes!(events::get_events))
        .routes(routes!(events::get_single_event))
        .routes(routes!(events::correct_event))
        .routes(routes!(metrics::get_metrics))
        .routes(routes!(entitlements::ingest_entitled_event))
        .routes(routes!(entitlements::get_feature_credits))
        .routes(routes!(entitlements::get_entitlements))
        .routes(routes!(entitlements::get_entitlement_value))
        .routes(routes!(customers::create_customer, customers::list_customers))
        .routes(routes!(customers::get_customer, customers::update_customer, customers::delete_customer))
        .routes(routes!(accounts::create_account, accounts::list_accounts))
        .routes(routes!(accounts::get_account, accounts::update_account, accounts::delete_account))
        .routes(routes!(accounts::add_aliases))
        .routes(routes!(accounts::remove_aliases))
        .routes(routes!(accounts::list_account_aliases));
    let gate = Gate::new(engine.clone(), limits.clone(), RULES);
    operations::with_unserved(served)
        .route("/{*rest}", any(async || Problem::no_such_route()))
        .layer((gate, Redraw(problem::draw_wrong_method), panic::catch::<Problem>()))
        .with_state(Door { engine, limits: Arc::new(limits) })
}

/// What the document says besides its paths.
#[derive(OpenApi)]
#[openapi(
    components(schemas(problem::Body, events::ActionWord)),
    tags(
        (name = "Togai authentication", description = "A token for Togai's client."),
        (name = "Togai event schemas", description = "What events bring, in Togai's words."),
        (name = "Togai usage meters", description = "What to count, in Togai's words."),
        (name = "Togai events", description = "Usage events in and out, in Togai's words."),
        (name = "Togai metrics", description = "The counts, in Togai's words."),
        (name = "Togai customers", description = "Who pays, and the accounts that carry usage, in Togai's words."),
        (name = "Togai entitlements", description = "What an account may use, in Togai's words."),
        (name = "Togai, not served", description = "Operations of Togai's API that answer 501."),
    ),
)]
struct Document;

/// That something was done.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiBaseSuccessResponse)]
pub(crate) struct Success {
    /// Always `true`.
    success: bool,
}

impl Success {
    pub(crate) fn yes() -> Self {
        Self { success: true }
    }
}
