//! What every handler is given: the engine, the limits, who calls, and the ids in its path.

use crate::ids;
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

/// The ids that a path names.
pub(crate) struct PathIds(Vec<(String, String)>);

impl PathIds {
    /// The bits of the id of this name. What is no UUID is the id of nothing.
    pub(crate) fn get(&self, name: &str, what: &str) -> Result<u128, Problem> {
        let text = self.0.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text);
        ids::parse(text).map(|id| id.as_u128()).ok_or_else(|| Problem::not_found(what))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathIds {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Problem::bad_request("the path is not valid percent-encoded UTF-8"))?;
        Ok(Self(params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()))
    }
}
