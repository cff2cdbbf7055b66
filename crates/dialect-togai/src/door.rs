//! What every handler is given: the engine, the limits, who calls, and the names in its path.

use crate::problem::Problem;
use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use std::sync::Arc;
use tallystick_engine::Engine;
use tallystick_http_kit::{Authenticated, HttpLimits};

/// Who calls.
pub(crate) type Caller = Authenticated<Problem>;

/// The state of the routes.
#[derive(Clone)]
pub(crate) struct Door {
    pub engine: Engine,
    pub limits: Arc<HttpLimits>,
}

impl FromRef<Door> for Engine {
    fn from_ref(door: &Door) -> Engine {
        door.engine.clone()
    }
}

/// The texts that a path names.
pub(crate) struct PathTexts(Vec<(String, String)>);

impl PathTexts {
    /// The one of this name; `""` when the path has none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathTexts {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Problem::bad_request("the path is not valid percent-encoded UTF-8"))?;
        Ok(Self(params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()))
    }
}
