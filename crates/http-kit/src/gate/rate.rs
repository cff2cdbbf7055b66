//! How many requests one caller may make in a time. Time is the limiter's own monotonic clock, which no caller can move.

use crate::refusal::Refusal;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is promised, as draft-ietf-httpapi-ratelimit-headers-10 writes it.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// What is left of it.
const REMAINING: HeaderName = HeaderName::from_static("ratelimit");
/// After so many requests, callers whose buckets are full again are forgotten.
const TIDY_EVERY: u64 = 1 << 16;

/// One bucket of requests for each caller, shared by all doors of a server. A clone is the same buckets.
#[derive(Clone, Default)]
pub struct RateLimits(Option<Arc<Buckets<DefaultClock>>>);

impl fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RateLimits").field(&self.0.as_ref().map(|buckets| buckets.quota)).finish()
    }
}

impl RateLimits {
    /// Nobody is limited.
    pub fn none() -> Self {
        Self(None)
    }

    /// `burst` requests at once, and then one for each `period`. Nobody is limited if either is zero.
    pub fn new(period: Duration, burst: u32) -> Self {
        Self(quota(period, burst).map(|quota| Arc::new(Buckets::new(quota, DefaultClock::default()))))
    }

    /// So many requests per second, `burst` of them at once. Nobody is limited if `per_second` is zero; a burst of zero is as many as
    /// come in a second.
    pub fn per_second(per_second: u32, burst: u32) -> Self {
        match Duration::from_secs(1).checked_div(per_second) {
            Some(period) => Self::new(period, if burst == 0 { per_second } else { burst }),
            None => Self::none(),
        }
    }

    /// Requests that were refused.
    pub fn refused(&self) -> u64 {
        self.0.as_ref().map_or(0, |buckets| buckets.refused.load(Ordering::Relaxed))
    }

    pub(super) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Takes a request out of a caller's bucket; `None` when nobody is limited.
    pub(super) fn take(&self, caller: &str) -> Option<Taken> {
        self.0.as_ref().map(|buckets| buckets.take(caller))
    }
}

fn quota(period: Duration, burst: u32) -> Option<Quota> {
    Some(Quota::with_period(period)?.allow_burst(NonZeroU32::new(burst)?))
}

struct Buckets<C: Clock> {
    limiter: RateLimiter<String, DashMapStateStore<String>, C, StateInformationMiddleware>,
    clock: C,
    quota: Quota,
    taken: AtomicU64,
    refused: AtomicU64,
}

impl<C: Clock + Clone> Buckets<C> {
    fn new(quota: Quota, clock: C) -> Self {
        let limiter = RateLimiter::dashmap_with_clock(quota, clock.clone()).with_middleware();
        Self { limiter, clock, quota, taken: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    fn take(&self, caller: &str) -> Taken {
        if self.taken.fetch_add(1, Ordering::Relaxed) % TIDY_EVERY == TIDY_EVERY - 1 {
            self.limiter.retain_recent();
        }
        let burst = self.quota.burst_size().get();
        let period = self.quota.replenish_interval();
        let taken = |left: u32, wait: Option<Duration>| Taken { burst, period, left, wait };
        match self.limiter.check_key(&caller.to_string()) {
            Ok(state) => taken(state.remaining_burst_capacity(), None),
            Err(not_yet) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                taken(0, Some(not_yet.wait_time_from(self.clock.now())))
            }
        }
    }
}

/// What became of a request's place in its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    burst: u32,
    period: Duration,
    left: u32,
    /// How long to wait, if there was no place.
    wait: Option<Duration>,
}

impl Taken {
    /// Why the request is refused, if it is.
    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.wait.map(|wait| Refusal::TooManyRequests {
            burst: self.burst,
            period: self.period,
            wait_s: whole_seconds(wait),
        })
    }

    /// Says what is promised and what is left. `t` is the time until the bucket is full again, or has a place.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        let full = self.period.saturating_mul(self.burst);
        let policy = format!("\"default\";q={};w={}", self.burst, whole_seconds(full));
        let missing = self.burst.saturating_sub(self.left);
        let reset = self.wait.unwrap_or_else(|| self.period.saturating_mul(missing));
        let remaining = format!("\"default\";r={};t={}", self.left, whole_seconds(reset));
        for (name, text) in [(POLICY, policy), (REMAINING, remaining)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

/// Whole seconds that are long enough, and one at least.
fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn told(taken: &Taken) -> [String; 2] {
        let mut headers = HeaderMap::new();
        taken.tell(&mut headers);
        [POLICY, REMAINING].map(|name| headers[name].to_str().unwrap().to_string())
    }

    #[test]
    fn a_bucket_empties_at_once_and_fills_with_time() {
        let clock = FakeRelativeClock::default();
        let buckets = Buckets::new(quota(Duration::from_millis(500), 3).unwrap(), clock.clone());
        let lefts: Vec<_> = (0..3).map(|_| buckets.take("a").left).collect();
        assert_eq!(lefts, [2, 1, 0]);
        let refused = buckets.take("a");
        assert_eq!(told(&refused), ["\"default\";q=3;w=2", "\"default\";r=0;t=1"]);
        assert!(matches!(refused.refusal(), Some(Refusal::TooManyRequests { burst: 3, wait_s: 1, .. })));
        // Another caller has a bucket of its own.
        assert_eq!(told(&buckets.take("b")), ["\"default\";q=3;w=2", "\"default\";r=2;t=1"]);
        clock.advance(Duration::from_millis(499));
        assert!(buckets.take("a").refusal().is_some());
        clock.advance(Duration::from_millis(1));
        assert_eq!(buckets.take("a").refusal(), None);
        assert!(buckets.take("a").refusal().is_some());
        assert_eq!(buckets.refused.load(Ordering::Relaxed), 3);
        clock.advance(Duration::from_secs(100));
        assert_eq!(buckets.take("a").left, 2);
    }

    #[test]
    fn callers_whose_buckets_are_full_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let buckets = Buckets::new(quota(Duration::from_millis(1), 1).unwrap(), clock.clone());
        for number in 0..TIDY_EVERY - 1 {
            buckets.take(&number.to_string());
        }
        clock.advance(Duration::from_secs(1));
        buckets.take("last");
        assert!(buckets.limiter.len() < 10, "{}", buckets.limiter.len());
    }

    #[test]
    fn zero_is_no_limit_and_seconds_are_rounded_up() {
        assert!(!RateLimits::per_second(0, 5).is_on() && RateLimits::none().take("a").is_none());
        let shown = |limits: RateLimits| limits.take("a").map(|taken| told(&taken));
        let policy = |limits| shown(limits).unwrap()[0].clone();
        assert_eq!(policy(RateLimits::per_second(10, 0)), "\"default\";q=10;w=1");
        assert_eq!(policy(RateLimits::per_second(10, 25)), "\"default\";q=25;w=3");
        assert_eq!(policy(RateLimits::new(Duration::from_secs(3600), 2)), "\"default\";q=2;w=7200");
    }
}
