//! Answers that are kept, so that they can be given again.

use crate::refusal::Refusal;
use axum::body::Body;
use axum::body::HttpBody;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt;
use std::collections::BTreeMap;
use tallystick_engine::{Caller, Engine, EngineError, KeptAnswer};

/// Says that an answer was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Headers of our own begin so, and belong to the answer.
const OWN_HEADERS: &str = "tallystick-";

/// Keeps an answer for the key that `holder` holds, or gives the key back when the request may be tried again. The answer goes
/// out in either case.
/// Of an answer that `is_secret`, only that there was one is kept.
pub(super) async fn keep(engine: &Engine, holder: &Caller, response: Response, is_secret: bool) -> Response {
    let (response, kept) = match is_final(response.status()) {
        true if is_secret && response.status().is_success() => {
            let kept =
                KeptAnswer { code: response.status().as_u16(), labels: labels_of(response.headers()), body: None };
            (response, Some(kept))
        }
        true => with_copy(response, engine.answer_bytes()).await,
        false => (response, None),
    };
    let stored = match &kept {
        Some(answer) => engine.keep_answer(holder, answer).await,
        None => engine.give_back(holder).await,
    };
    if let Err(error) = stored {
        tracing::warn!(%error, "the answer of an idempotency key was not kept");
    }
    response
}

/// Whether an answer is kept. Not so a fault of the server, and a refusal for a reason that passes: nothing was written, and the
/// request may be done when it is sent again. A 405 belongs to the route and comes with headers of its own.
fn is_final(status: StatusCode) -> bool {
    const PASSING: [StatusCode; 7] = [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::METHOD_NOT_ALLOWED,
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::CONFLICT,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    !status.is_server_error() && !PASSING.contains(&status)
}

/// The answer, and a copy of it without its body when that is longer than `most` bytes or no text.
async fn with_copy(response: Response, most: usize) -> (Response, Option<KeptAnswer>) {
    let (parts, body) = response.into_parts();
    let mut kept = KeptAnswer { code: parts.status.as_u16(), labels: labels_of(&parts.headers), body: None };
    let is_small = body.size_hint().upper().is_some_and(|bytes| bytes <= most as u64);
    if !is_small {
        return (Response::from_parts(parts, body), Some(kept));
    }
    match body.collect().await {
        Ok(collected) => {
            let bytes = collected.to_bytes();
            kept.body = std::str::from_utf8(&bytes).ok().map(str::to_string);
            (Response::from_parts(parts, Body::from(bytes)), Some(kept))
        }
        Err(error) => {
            tracing::error!(%error, "the body of an answer broke");
            (Response::from_parts(parts, Body::empty()), Some(kept))
        }
    }
}

fn labels_of(headers: &HeaderMap) -> BTreeMap<String, String> {
    let belongs =
        |name: &HeaderName| *name == CONTENT_TYPE || *name == LOCATION || name.as_str().starts_with(OWN_HEADERS);
    let kept = headers.iter().filter(|(name, _)| belongs(name));
    kept.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_string()))).collect()
}

/// An answer that was kept, as it was given.
pub(super) fn again(kept: KeptAnswer) -> Result<Response, Refusal> {
    let corrupt = || EngineError::Internal("an answer that was kept cannot be read".into());
    let mut response = Response::new(Body::from(kept.body.unwrap_or_default()));
    *response.status_mut() = StatusCode::from_u16(kept.code).map_err(|_| corrupt())?;
    for (name, value) in kept.labels {
        let name = HeaderName::try_from(name).map_err(|_| corrupt())?;
        response.headers_mut().insert(name, HeaderValue::try_from(value).map_err(|_| corrupt())?);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_would_be_answered_the_same_again_is_kept() {
        let is_kept = |code: u16| is_final(StatusCode::from_u16(code).unwrap());
        for code in [200, 201, 204, 400, 404, 412, 415, 422] {
            assert!(is_kept(code), "{code}");
        }
        for code in [401, 403, 405, 408, 409, 413, 429, 500, 501, 503, 507] {
            assert!(!is_kept(code), "{code}");
        }
    }

    #[tokio::test]
    async fn an_answer_comes_back_as_it_was() {
        let mut response = Response::new(Body::from("{\"a\":1}"));
        *response.status_mut() = StatusCode::CREATED;
        for (name, value) in
            [("content-type", "a/b"), ("tallystick-accepted", "3"), ("location", "/x"), ("x-other", "1")]
        {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let (given, kept) = with_copy(response, 7).await;
        assert_eq!(given.into_body().collect().await.unwrap().to_bytes(), "{\"a\":1}");
        let again = again(kept.unwrap()).unwrap();
        assert_eq!(again.status(), 201);
        let text = |name: &str| again.headers().get(name).map(|value| value.to_str().unwrap().to_string());
        assert_eq!(text("content-type").as_deref(), Some("a/b"));
        assert_eq!(text("tallystick-accepted").as_deref(), Some("3"));
        assert_eq!((text("location").as_deref(), text("x-other")), (Some("/x"), None));
        assert_eq!(text("idempotency-replayed").as_deref(), Some("true"));
        assert_eq!(again.into_body().collect().await.unwrap().to_bytes(), "{\"a\":1}");
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_goes_out_whole_and_is_not_kept() {
        let (given, kept) = with_copy(Response::new(Body::from("12345678")), 7).await;
        assert_eq!(kept.unwrap().body, None);
        assert_eq!(given.into_body().collect().await.unwrap().to_bytes(), "12345678");
    }
}
