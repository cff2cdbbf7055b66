//! The table of dialects: a door is one line.

use tallystick_engine::Engine;
use tallystick_http_kit::HttpLimits;
use utoipa_axum::router::OpenApiRouter;

/// One vendor's API.
pub struct Dialect {
    /// The vendor, as the log names it.
    pub name: &'static str,
    /// Where its routes are mounted; empty for the root.
    pub prefix: &'static str,
    /// Its routes and their documentation.
    pub router: fn(Engine, HttpLimits) -> OpenApiRouter,
}

impl Dialect {
    /// The vendor, as the configuration names it.
    pub fn word(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

/// All of them.
pub const DIALECTS: [Dialect; 3] = [
    Dialect { name: "OpenMeter", prefix: "", router: tallystick_dialect_openmeter::router },
    Dialect { name: "lomi", prefix: "/lomi", router: tallystick_dialect_lomi::router },
    Dialect { name: "Togai", prefix: "/togai", router: tallystick_dialect_togai::router },
];
