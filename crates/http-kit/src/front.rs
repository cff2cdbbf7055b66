//! What surrounds every request: its name and its trace, how long it took, and how it ended.
//!
//! One layer without a boxed future: every request pays for it.

use crate::access_log::{Observer, Watched};
use crate::request_id::{HEADER, RequestId, RequestIds};
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::response::Response;
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tower::{Layer, Service};
use tracing::instrument::Instrumented;
use tracing::{Instrument, Span};

/// The layer. It names the request, in its span, its extensions and the response, and tells an observer what became of it. It
/// must be a `Router::layer`, which knows the matched route.
#[derive(Clone)]
pub struct Front {
    ids: Arc<RequestIds>,
    observer: Option<Arc<dyn Observer>>,
}

impl Front {
    /// Names requests, logs them and tells the observer of each.
    pub fn new(ids: Arc<RequestIds>, observer: Arc<dyn Observer>) -> Self {
        Self { ids, observer: Some(observer) }
    }

    /// Names requests and does nothing else.
    pub fn naming(ids: Arc<RequestIds>) -> Self {
        Self { ids, observer: None }
    }
}

impl<S> Layer<S> for Front {
    type Service = Fronted<S>;
    fn layer(&self, inner: S) -> Fronted<S> {
        Fronted { front: self.clone(), inner }
    }
}

/// A service behind the layer.
#[derive(Clone)]
pub struct Fronted<S> {
    front: Front,
    inner: S,
}

impl<S> Service<Request> for Fronted<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Finishing<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = self.front.ids.of(request.headers());
        let span = self.front.ids.span(&id, request.headers());
        request.extensions_mut().insert(id.clone());
        let observer = self.front.observer.clone();
        let watched = observer.map(|observer| (Watched::of(&request), observer));
        let inner = span.in_scope(|| self.inner.call(request)).instrument(span.clone());
        Finishing { inner, span, end: Some((id, watched)) }
    }
}

/// Of a request that is not finished: its name, and who wants to know of its end.
type End = (RequestId, Option<(Watched, Arc<dyn Observer>)>);

pin_project! {
    /// The future of a request.
    pub struct Finishing<F> {
        #[pin]
        inner: Instrumented<F>,
        span: Span,
        end: Option<End>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Finishing<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(context));
        if let Some((id, watched)) = this.end.take() {
            if let Some((watched, observer)) = watched {
                this.span.in_scope(|| watched.finish(response.status(), observer.as_ref()));
            }
            if let Ok(value) = HeaderValue::from_str(id.as_str()) {
                response.headers_mut().insert(HEADER, value);
            }
            response.extensions_mut().insert(id);
        }
        Poll::Ready(Ok(response))
    }
}
