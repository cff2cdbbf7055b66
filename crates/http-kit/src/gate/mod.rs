//! What every request of a door passes before its handler: the caller's rate limit, and idempotency keys of writes.
//!
//! One layer, so that a request that is not concerned pays one look at its headers. It stands outside of the layers that
//! draw error bodies and catch panics: what it keeps is the answer as it goes out.

mod answer;
mod fingerprint;
mod key;
mod rate;

pub use rate::RateLimits;

use crate::auth::{Known, authenticate, bearer};
use crate::body;
use crate::limits::HttpLimits;
use crate::refusal::Refusal;
use crate::request_id::RequestId;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;
use futures_util::future::Either;
use rate::Taken;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tallystick_domain::idempotency::IdempotencyKey;
use tallystick_domain::key::Scope;
use tallystick_engine::{Attempt, Caller, Engine};
use tower::{Layer, Service};
use tracing::Instrument;

/// What a dialect says about its door.
#[derive(Clone, Copy)]
pub struct DoorRules {
    /// Draws a refusal, with the name of the request that was refused.
    pub draw: fn(Refusal, Option<&RequestId>) -> Response,
    /// The routes whose POST only reads, so that there is nothing that could be done twice.
    pub reading_posts: &'static [&'static str],
    /// The routes whose answer shows a secret once, so that it must not be kept.
    pub secret_answers: &'static [&'static str],
}

/// Whose credentials a door asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holders {
    ApiKeys,
    PortalTokens,
}

/// The layer. It belongs outside of all others of the door, but for what browsers must see on every answer.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    engine: Engine,
    limits: HttpLimits,
    rules: DoorRules,
    holders: Holders,
}

impl Gate {
    /// The gate of a door for callers with API keys.
    pub fn new(engine: Engine, limits: HttpLimits, rules: DoorRules) -> Self {
        Self(Arc::new(Inner { engine, limits, rules, holders: Holders::ApiKeys }))
    }

    /// The gate of a door that portal tokens open, and where nothing is written.
    pub fn for_portal(engine: Engine, limits: HttpLimits, rules: DoorRules) -> Self {
        Self(Arc::new(Inner { engine, limits, rules, holders: Holders::PortalTokens }))
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;
    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: Arc::clone(&self.0), inner }
    }
}

/// A service behind the gate.
#[derive(Clone)]
pub struct Gated<S> {
    gate: Arc<Inner>,
    inner: S,
}

type Passing = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl<S> Service<Request> for Gated<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Either<S::Future, Passing>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if !self.gate.concerns(&request) {
            return Either::Left(self.inner.call(request));
        }
        // The service that was polled to be ready goes with the request.
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        let gate = Arc::clone(&self.gate);
        Either::Right(Box::pin(async move { Ok(gate.pass(request, inner).await) }))
    }
}

impl Inner {
    /// Whether there is anything to do for a request.
    fn concerns(&self, request: &Request) -> bool {
        let is_long = request.uri().path_and_query().is_some_and(|path| path.as_str().len() > self.limits.uri_bytes);
        is_long || self.limits.rate.is_on() || request.headers().contains_key(key::HEADER) && self.is_write(request)
    }

    fn is_write(&self, request: &Request) -> bool {
        let matched = || request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        match *request.method() {
            _ if self.holders == Holders::PortalTokens => false,
            Method::POST => !self.rules.reading_posts.contains(&matched()),
            Method::PUT | Method::PATCH | Method::DELETE => true,
            _ => false,
        }
    }

    async fn pass<S>(self: Arc<Self>, request: Request, inner: S) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send,
    {
        let (draw, id) = (self.rules.draw, request.extensions().get::<RequestId>().cloned());
        let mut taken = None;
        let passed = match self.admit(&mut taken, request.uri(), request.headers()).await {
            Ok(caller) => self.admitted(request, inner, caller).await,
            Err(refusal) => Err(refusal),
        };
        let mut response = passed.unwrap_or_else(|refusal| draw(refusal, id.as_ref()));
        if let Some(taken) = taken {
            taken.tell(response.headers_mut());
        }
        response
    }

    /// Finds out who calls, before anything is looked up for them, and takes the request out of their bucket. Nothing of the
    /// body is read. `None` is somebody with a portal token.
    async fn admit(
        &self,
        taken: &mut Option<Taken>,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<Caller>, Refusal> {
        if uri.path_and_query().is_some_and(|path| path.as_str().len() > self.limits.uri_bytes) {
            return Err(Refusal::UriTooLong { limit: self.limits.uri_bytes });
        }
        let caller = match self.holders {
            Holders::ApiKeys => {
                let caller = authenticate(&self.engine, headers).await?;
                *taken = self.limits.rate.take(caller.actor());
                Some(caller)
            }
            Holders::PortalTokens => {
                // A handler that wants a token refuses a request without one.
                if let Some(text) = bearer(headers)? {
                    let holder = self.engine.authenticate_portal(text).await?;
                    *taken = self.limits.rate.take(&holder.limited_as());
                }
                None
            }
        };
        match taken.and_then(|taken| taken.refusal()) {
            Some(refusal) => Err(refusal),
            None => Ok(caller),
        }
    }

    async fn admitted<S>(
        self: Arc<Self>,
        mut request: Request,
        mut inner: S,
        caller: Option<Caller>,
    ) -> Result<Response, Refusal>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send,
    {
        let Some(caller) = caller else {
            let Ok(response) = inner.call(request).await;
            return Ok(response);
        };
        // Who may write nothing is refused by the handler, and leaves no key behind.
        let key = match self.is_write(&request) && caller.require(Scope::Ingest).is_ok() {
            true => key::read(request.headers())?,
            false => None,
        };
        match key {
            Some(key) => self.once(request, inner, caller, key).await,
            None => {
                request.extensions_mut().insert(Known(caller));
                let Ok(response) = inner.call(request).await;
                Ok(response)
            }
        }
    }

    /// Does what a key stands for if it was not done before, and answers the same each time.
    async fn once<S>(
        self: Arc<Self>,
        request: Request,
        inner: S,
        caller: Caller,
        key: IdempotencyKey,
    ) -> Result<Response, Refusal>
    where
        S: Service<Request, Response = Response, Error = Infallible> + Send + 'static,
        S::Future: Send,
    {
        let (mut parts, sent) = request.into_parts();
        let sent = body::read_as_sent(&parts.headers, sent, &self.limits).await?;
        let fingerprint = fingerprint::of(&parts, sent.clone()).await?;
        match self.engine.attempt(&caller, key, &fingerprint).await? {
            Attempt::Do(holder) => {
                parts.extensions.insert(Known(holder.clone()));
                let request = Request::from_parts(parts, Body::from(sent));
                // A task of its own: a sender that goes away does not leave the work half known.
                let doing = self.work(request, inner, holder).in_current_span();
                tokio::spawn(doing).await.map_err(|_| Refusal::Panicked)
            }
            Attempt::Answered(kept) => answer::again(kept),
            Attempt::OtherRequest => Err(Refusal::IdempotencyKeyReused),
            Attempt::InFlight => Err(Refusal::IdempotencyKeyInFlight),
            Attempt::AnswerLost => Err(Refusal::IdempotentAnswerLost),
        }
    }

    async fn work<S>(self: Arc<Self>, request: Request, mut inner: S, holder: Caller) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let is_secret = self.rules.secret_answers.contains(&route);
        let Ok(response) = inner.call(request).await;
        answer::keep(&self.engine, &holder, response, is_secret).await
    }
}
