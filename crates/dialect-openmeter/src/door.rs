//! What every handler is given: the engine, the limits, who calls, and the ids in its path.

use crate::problem::Problem;
use axum::extract::{FromRef, FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use std::sync::Arc;
use tallystick_engine::{Engine, EngineError, MeterRef, PortalCaller};
use tallystick_http_kit::auth::bearer;
use tallystick_http_kit::{Authenticated, HttpLimits};

/// Who calls.
pub(crate) type Caller = Authenticated<Problem>;

/// Who holds a portal token.
pub(crate) struct PortalHolder(pub PortalCaller);

impl FromRequestParts<Door> for PortalHolder {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Problem> {
        let missing = || EngineError::Unauthenticated("missing portal token: send it as 'Authorization: Bearer TOKEN'");
        let text = bearer(&parts.headers)?.ok_or_else(missing)?;
        Ok(Self(door.engine.authenticate_portal(text).await?))
    }
}

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

/// The meter, and where there is one the group-by key, that a path names.
pub(crate) struct MeterPath {
    pub meter: MeterRef,
    pub group_by_key: String,
}

/// The texts that a path names.
pub(crate) struct PathTexts(Vec<(String, String)>);

impl PathTexts {
    /// The one of this name as it was sent; `""` when the path has none.
    pub(crate) fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, text)| text)
    }

    /// The one of this name, which has 1 to `most` characters.
    pub(crate) fn get(&self, name: &str, most: usize) -> Result<&str, Problem> {
        let text = self.raw(name);
        match (1..=most).contains(&text.chars().count()) {
            true => Ok(text),
            false => Err(Problem::parameter(name, "path", format!("it must have 1 to {most} characters"))),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PathTexts {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_params(parts, state).await?;
        Ok(Self(params.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()))
    }
}

/// The customer that a path names.
pub(crate) struct CustomerPath {
    pub id_or_key: String,
}

impl<S: Send + Sync> FromRequestParts<S> for CustomerPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let texts = PathTexts::from_request_parts(parts, state).await?;
        Ok(Self { id_or_key: texts.get("customerIdOrKey", 256)?.to_string() })
    }
}

async fn path_params<S: Send + Sync>(parts: &mut Parts, state: &S) -> Result<RawPathParams, Problem> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    params.map_err(|_| Problem::bad_request("the path is not valid percent-encoded UTF-8"))
}

impl<S: Send + Sync> FromRequestParts<S> for MeterPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = path_params(parts, state).await?;
        let value = |wanted: &str| params.iter().find(|(name, _)| *name == wanted).map_or("", |(_, value)| value);
        let text = value("meterIdOrSlug");
        let meter = MeterRef::parse(text).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            let reason = format!(
                "{shown:?} is neither a slug (1 to 64 lowercase letters and digits, words joined by single underscores) \
                 nor a ULID"
            );
            Problem::parameter("meterIdOrSlug", "path", reason)
        })?;
        Ok(Self { meter, group_by_key: value("groupByKey").to_string() })
    }
}
