//! Who calls. Every method of the engine needs a [`Caller`], so a handler cannot forget to ask.

use crate::refusal::Refusal;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse;
use std::marker::PhantomData;
use std::ops::Deref;
use tallystick_engine::{Caller, Engine, EngineError};

/// An extractor that hands a handler its [`Caller`]; `E` draws the body of a refusal.
pub struct Authenticated<E>(Caller, PhantomData<fn() -> E>);

impl<E> Deref for Authenticated<E> {
    type Target = Caller;
    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<S, E> FromRequestParts<S> for Authenticated<E>
where
    S: Send + Sync,
    Engine: FromRef<S>,
    E: From<Refusal> + IntoResponse,
{
    type Rejection = E;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, E> {
        let caller = match parts.extensions.remove::<Known>() {
            Some(Known(caller)) => Ok(caller),
            None => authenticate(&Engine::from_ref(state), &parts.headers).await,
        };
        caller.map(|caller| Self(caller, PhantomData)).map_err(E::from)
    }
}

/// A caller whom the gate of the door recognised, as an extension of the request.
#[derive(Clone)]
pub(crate) struct Known(pub(crate) Caller);

/// Finds out who sends these headers.
pub(crate) async fn authenticate(engine: &Engine, headers: &HeaderMap) -> Result<Caller, Refusal> {
    let secret = match bearer(headers)? {
        Some(secret) => Some(secret),
        None => api_key(headers)?,
    };
    Ok(engine.authenticate(secret).await?)
}

/// The secret of `Authorization: Bearer SECRET`; `None` without one. Another scheme is not ours and counts as none, so
/// that a proxy's own credentials do not lock people out of an open server.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, EngineError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(EngineError::Unauthenticated("the Authorization header came twice: send it once"));
    }
    let text = HeaderValue::to_str(value)
        .map_err(|_| EngineError::Unauthenticated("the Authorization header holds bytes that are not ASCII text"))?;
    let Some((scheme, rest)) = text.split_once(' ') else { return Ok(None) };
    let secret = rest.trim();
    Ok((scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret))
}

/// The header in which some clients send their key.
const API_KEY: &str = "x-api-key";

/// The secret of `X-API-KEY: SECRET`, with or without `Bearer ` before it; `None` without one.
pub fn api_key(headers: &HeaderMap) -> Result<Option<&str>, EngineError> {
    let mut values = headers.get_all(API_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(EngineError::Unauthenticated("the X-API-KEY header came twice: send it once"));
    }
    let text = HeaderValue::to_str(value)
        .map_err(|_| EngineError::Unauthenticated("the X-API-KEY header holds bytes that are not ASCII text"))?;
    let secret = match text.split_once(' ') {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim(),
        _ => text.trim(),
    };
    Ok((!secret.is_empty()).then_some(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn the_secret_follows_the_scheme() {
        for (values, secret) in [
            (&[][..], None),
            (&["Bearer tsk_1"][..], Some("tsk_1")),
            (&["bearer  tsk_1 "][..], Some("tsk_1")),
            (&["Basic dTpw"][..], None),
            (&["Bearer"][..], None),
            (&["Bearer "][..], None),
        ] {
            assert_eq!(bearer(&headers(values)).unwrap(), secret, "{values:?}");
        }
        assert!(bearer(&headers(&["Bearer a", "Bearer b"])).is_err());
        assert!(bearer(&headers(&["Bearer ä"])).is_err());
    }

    #[test]
    fn a_key_has_a_header_of_its_own_with_and_without_a_scheme() {
        let sent = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(API_KEY, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            headers
        };
        for (values, secret) in [
            (&[][..], None),
            (&["tsk_1"][..], Some("tsk_1")),
            (&["Bearer tsk_1"][..], Some("tsk_1")),
            (&["bearer  tsk_1 "][..], Some("tsk_1")),
            (&[""][..], None),
        ] {
            assert_eq!(api_key(&sent(values)).unwrap(), secret, "{values:?}");
        }
        assert!(api_key(&sent(&["a", "b"])).is_err());
        assert!(api_key(&sent(&["ä"])).is_err());
    }
}
