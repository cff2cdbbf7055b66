//! A defect in one handler costs one request, not the server.

use crate::refusal::Refusal;
use axum::response::{IntoResponse, Response};
use std::any::Any;
use tower_http::catch_panic::CatchPanicLayer;

/// A layer that turns a panic into the body that `E` draws for [`Refusal::Panicked`].
pub fn catch<E: From<Refusal> + IntoResponse + 'static>() -> CatchPanicLayer<fn(Box<dyn Any + Send>) -> Response> {
    CatchPanicLayer::custom(respond::<E>)
}

/// The message of a panic can hold what the request sent, so it is not logged; its place in the source is, by the server.
fn respond<E: From<Refusal> + IntoResponse>(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    E::from(Refusal::Panicked).into_response()
}
