//! A defect in one handler costs one request, not the server.

use crate::refusal::Refusal;
use axum::response::{IntoResponse, Response};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;

/// A layer that turns a panic into the body that `E` draws for [`Refusal::Panicked`].
pub fn catch<E: From<Refusal> + IntoResponse + 'static>() -> CatchPanicLayer<fn(Box<dyn Any + Send>) -> Response> {
    CatchPanicLayer::custom(respond::<E>)
}

fn respond<E: From<Refusal> + IntoResponse>(panic: Box<dyn Any + Send>) -> Response {
    let message = match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text.as_str(),
        (None, None) => "no message",
    };
    tracing::error!(panic = message, "a handler panicked");
    E::from(Refusal::Panicked).into_response()
}
