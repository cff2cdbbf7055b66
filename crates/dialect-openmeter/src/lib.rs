//! The OpenMeter door: the vendor's API over the engine.
//!
//! Invariant: knows one vendor, holds no state, no clock, no store; a quirk never enters the core. What differs from the
//! vendor's server is listed in `docs/dialects/openmeter.md`.

mod access;
mod amount;
mod corrections;
mod customers;
mod debug;
mod door;
mod entitlements;
mod events;
mod features;
mod filter;
/// What the fuzz targets of the repository call.
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod grants;
mod info;
mod json;
mod labels;
mod meters;
pub mod operations;
mod page;
mod params;
mod portal;
mod problem;
mod query;
mod reconciliation;
mod reservations;
mod subjects;
mod v3;
mod values;
mod writes;

pub use events::parse_only;
pub use problem::{Problem, ValidationError};
pub use v3::InvalidParameter;

use axum::routing::any;
use door::Door;
use std::sync::Arc;
use tallystick_engine::Engine;
use tallystick_http_kit::{DoorRules, Gate, HttpLimits, Redraw, panic};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes of the door under `/api/`, with their part of the OpenAPI document. The server adds request ids, the access
/// log and everything outside of `/api/`.
pub fn router(engine: Engine, limits: HttpLimits) -> OpenApiRouter {
    let served = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(events::ingest_events, events::list_events))
        .routes(routes!(events::list_events_v2))
        .routes(routes!(meters::create_meter, meters::list_meters))
        .routes(routes!(meters::get_meter, meters::update_meter, meters::delete_meter))
        .routes(routes!(query::query_meter, query::query_meter_post))
        .routes(routes!(values::list_subjects))
        .routes(routes!(values::list_group_by_values))
        .routes(routes!(values::get_coverage))
        .routes(routes!(reconciliation::reconcile))
        .routes(routes!(corrections::retract))
        .routes(routes!(corrections::amend))
        .routes(routes!(customers::create_customer, customers::list_customers))
        .routes(routes!(customers::get_customer, customers::update_customer, customers::delete_customer))
        .routes(routes!(info::list_currencies))
        .routes(routes!(info::get_progress))
        .routes(routes!(debug::metrics))
        .routes(routes!(portal::create_token, portal::list_tokens))
        .routes(routes!(portal::invalidate_tokens))
        .routes(routes!(access::get_access))
        .routes(routes!(access::get_value))
        .routes(routes!(subjects::upsert_subjects, subjects::list_subjects))
        .routes(routes!(subjects::get_subject, subjects::delete_subject))
        .routes(routes!(features::create_feature, features::list_features))
        .routes(routes!(features::get_feature, features::delete_feature))
        .merge(entitlement_routes());
    let rules =
        DoorRules { draw: problem::draw, reading_posts: writes::READING_POSTS, secret_answers: writes::SECRET_ANSWERS };
    // Browsers must see who may ask on every answer of the portal, refusals too, so it comes in through layers of its own.
    let portal = OpenApiRouter::new()
        .routes(routes!(portal::query_meter))
        .layer((
            Gate::for_portal(engine.clone(), limits.clone(), rules),
            Redraw(problem::name_instances),
            panic::catch::<Problem>(),
        ))
        .layer(portal::cors(&limits.portal_origins));
    let gate = Gate::new(engine.clone(), limits.clone(), rules);
    let v3_gate = Gate::new(engine.clone(), limits.clone(), v3::RULES);
    let mut all = operations::with_unserved(served, &operations::published(), &[portal.get_openapi()], "Problem")
        .route("/api/{*rest}", any(async || Problem::no_such_route()))
        .layer((gate, Redraw(problem::name_instances), panic::catch::<Problem>()))
        .merge(portal)
        .merge(v3::router(v3_gate))
        .with_state(Door { engine, limits: Arc::new(limits) });
    writes::describe(all.get_openapi_mut());
    all
}

/// Entitlements and their grants, by subject, by customer and of all, and reservations.
fn entitlement_routes() -> OpenApiRouter<Door> {
    use entitlements::{customers, list, subjects};
    use grants::handlers;
    OpenApiRouter::new()
        .routes(routes!(subjects::create_entitlement, subjects::list_entitlements))
        .routes(routes!(subjects::get_entitlement, subjects::delete_entitlement))
        .routes(routes!(subjects::override_entitlement))
        .routes(routes!(subjects::get_value))
        .routes(routes!(subjects::get_history))
        .routes(routes!(subjects::reset_entitlement))
        .routes(routes!(handlers::create_grant, handlers::list_grants))
        .routes(routes!(customers::create_entitlement, customers::list_entitlements))
        .routes(routes!(customers::get_entitlement, customers::delete_entitlement))
        .routes(routes!(customers::override_entitlement))
        .routes(routes!(customers::get_value))
        .routes(routes!(customers::get_history))
        .routes(routes!(customers::reset_entitlement))
        .routes(routes!(handlers::create_grant_v2, handlers::list_grants_v2))
        .routes(routes!(list::list_entitlements))
        .routes(routes!(list::get_entitlement))
        .routes(routes!(list::list_entitlements_v2))
        .routes(routes!(list::get_entitlement_v2))
        .routes(routes!(grants::list::list_grants))
        .routes(routes!(grants::list::list_grants_v2))
        .routes(routes!(handlers::void_grant))
        .routes(routes!(reservations::reserve))
        .routes(routes!(reservations::commit))
        .routes(routes!(reservations::release))
}

/// What the document says besides its paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tallystick",
        description = "Usage metering with OpenMeter's API. Every quantity is an exact decimal.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(problem::Body)),
    security(("apiKey" = [])),
    modifiers(&BearerKeys),
    tags(
        (name = "Events", description = "Usage events in and out."),
        (name = "Meters", description = "What to count, and the counts."),
        (name = "Customers", description = "Who pays, and whose usage is whose."),
        (name = "Subjects", description = "Names and labels for the ids that events carry."),
        (name = "Features", description = "What customers are given access to."),
        (name = "Entitlements", description = "What a customer may use of a feature, and how much is left."),
        (name = "Portal", description = "Usage for customers' own pages."),
        (name = "Info", description = "What the server knows of the world."),
        (name = "Version 3", description = "The same objects in the shapes of the API's third version."),
        (name = "Extensions", description = "Operations of Tallystick's own."),
        (name = "Not served", description = "Operations of OpenMeter's API that answer 501."),
    ),
)]
struct Document;

struct BearerKeys;

impl Modify for BearerKeys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        scheme = scheme.description(Some("An API key; not needed on a loopback server without keys."));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("apiKey", SecurityScheme::Http(scheme.build()));
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let token = token.description(Some("A portal token; API keys do not open the portal."));
        components.add_security_scheme("portalToken", SecurityScheme::Http(token.build()));
    }
}
