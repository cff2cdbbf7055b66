//! The third version of the vendor's API, at `/api/v3/openmeter`: other shapes of the same objects.
//!
//! Invariant: it stores nothing that the first versions would not show, and everything that is wrong with a request is named
//! at once. What differs from the vendor's server is listed in `docs/dialects/openmeter.md`.

mod access;
mod check;
mod customers;
mod events;
mod faults;
mod features;
mod filter;
mod labels;
mod list;
mod meters;
mod problem;
mod query;

pub use faults::InvalidParameter;
pub(crate) use problem::SCHEMA as PROBLEM;

use crate::door::Door;
use crate::operations;
use crate::problem::{Problem, redraw};
use crate::writes;
use axum::routing::any;
use tallystick_http_kit::{DoorRules, Gate, Redraw, panic};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// What the gate must know of this version.
pub(crate) const RULES: DoorRules = DoorRules {
    draw: |refusal, request_id| problem::draw(&Problem::from(refusal), request_id),
    reading_posts: writes::READING_POSTS,
    secret_answers: &[],
};

/// The routes of this version behind their gate, with their part of the document.
pub(crate) fn router(gate: Gate) -> OpenApiRouter<Door> {
    let served = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(meters::create_meter, meters::list_meters))
        .routes(routes!(meters::get_meter, meters::update_meter, meters::delete_meter))
        .routes(routes!(query::query_meter))
        .routes(routes!(events::ingest_events, events::list_events))
        .routes(routes!(customers::create_customer, customers::list_customers))
        .routes(routes!(customers::get_customer, customers::replace_customer, customers::delete_customer))
        .routes(routes!(access::list_access))
        .routes(routes!(access::query_access))
        .routes(routes!(features::create_feature, features::list_features))
        .routes(routes!(features::get_feature, features::update_feature, features::delete_feature));
    operations::with_unserved(served, &operations::published_v3(), &[], problem::SCHEMA)
        .route("/api/v3/{*rest}", any(async || Problem::no_such_route()))
        .layer((gate, Redraw(|answer, id| redraw(answer, id, problem::draw)), panic::catch::<Problem>()))
}

/// What the document says of this version besides its paths.
#[derive(OpenApi)]
#[openapi(components(schemas(problem::Body)))]
struct Document;
