//! A last look of a dialect at its answers, for bodies that need the request's name and for those that the router makes.

use crate::request_id::RequestId;
use axum::extract::Request;
use axum::response::Response;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tower::{Layer, Service};

/// What a dialect makes of an answer, given the name of the request.
pub type Draw = fn(Response, Option<&RequestId>) -> Response;

/// The layer: hands every answer to a function of the dialect.
#[derive(Clone, Copy)]
pub struct Redraw(pub Draw);

impl<S> Layer<S> for Redraw {
    type Service = Redrawn<S>;
    fn layer(&self, inner: S) -> Redrawn<S> {
        Redrawn { draw: self.0, inner }
    }
}

/// A service behind the layer.
#[derive(Clone)]
pub struct Redrawn<S> {
    draw: Draw,
    inner: S,
}

impl<S, R> Service<Request> for Redrawn<S>
where
    S: Service<Request, Response = R, Error = Infallible>,
    R: axum::response::IntoResponse,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Redrawing<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let id = request.extensions().get::<RequestId>().cloned();
        Redrawing { draw: self.draw, id, inner: self.inner.call(request) }
    }
}

pin_project! {
    /// The future of an answer.
    pub struct Redrawing<F> {
        draw: Draw,
        id: Option<RequestId>,
        #[pin]
        inner: F,
    }
}

impl<F, R> Future for Redrawing<F>
where
    F: Future<Output = Result<R, Infallible>>,
    R: axum::response::IntoResponse,
{
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(answer) = ready!(this.inner.poll(context));
        Poll::Ready(Ok((this.draw)(answer.into_response(), this.id.as_ref())))
    }
}
