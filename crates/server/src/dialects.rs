//! The table of dialects: a door is one line.

use tallystick_engine::Engine;
use tallystick_http_kit::HttpLimits;
use utoipa_axum::router::OpenApiRouter;

/// One vendor's API.
pub struct Dialect {
    /// The vendor, as the log names it.
    pub name: &'static str,
    /// What its paths begin with; `""` for none.
    pub prefix: &'static str,
    /// Its routes and their documentation.
    pub router: fn(Engine, HttpLimits) -> OpenApiRouter,
}

/// All of them.
pub const DIALECTS: [Dialect; 2] = [
    Dialect { name: "OpenMeter", prefix: "", router: tallystick_dialect_openmeter::router },
    Dialect { name: "lomi", prefix: "/lomi", router: tallystick_dialect_lomi::router },
];
