//! What happened to each request, for the log and for metrics. Paths are patterns, so nothing is labelled per customer.

use axum::extract::{MatchedPath, Request};
use axum::http::{Method, StatusCode};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tallystick_engine::monotonic;

/// The pattern of a request that no route took.
pub const UNMATCHED: &str = "unmatched";

/// Lines per second for requests that succeeded. A busy sender makes tens of thousands of them, and writing these down would
/// take as much time as serving them; metrics count them all.
const LINES_PER_SECOND: u64 = 200;

/// A finished request.
#[derive(Clone, Debug)]
pub struct Finished<'a> {
    /// The method.
    pub method: &'a Method,
    /// The pattern of the route, for example `/api/v1/meters/{meterIdOrSlug}`.
    pub route: &'a str,
    /// The answer's status.
    pub status: StatusCode,
    /// Time until the answer's head was ready.
    pub duration: Duration,
}

/// Whoever wants to know of finished requests.
pub trait Observer: Send + Sync + 'static {
    /// Is told of each; must not block.
    fn finished(&self, request: &Finished<'_>);
}

/// A request that is not finished.
pub(crate) struct Watched {
    method: Method,
    route: Option<MatchedPath>,
    started: Instant,
}

impl Watched {
    /// A request that begins now.
    pub(crate) fn of(request: &Request) -> Self {
        let route = request.extensions().get::<MatchedPath>().cloned();
        Self { method: request.method().clone(), route, started: monotonic() }
    }

    /// Logs the request and tells the observer of it.
    pub(crate) fn finish(self, status: StatusCode, observer: &dyn Observer) {
        let route = self.route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
        let finished = Finished { method: &self.method, route, status, duration: self.started.elapsed() };
        if status_is_unusual(status) || LINES.may_write(self.started) {
            log(&finished);
        }
        observer.finished(&finished);
    }
}

fn log(finished: &Finished<'_>) {
    tracing::info!(
        method = %finished.method,
        route = finished.route,
        status = finished.status.as_u16(),
        duration_us = u64::try_from(finished.duration.as_micros()).unwrap_or(u64::MAX),
        "request"
    );
}

fn status_is_unusual(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

static LINES: LazyLock<Lines> = LazyLock::new(|| Lines::starting(monotonic()));

/// Counts lines by the second.
struct Lines {
    start: Instant,
    second: AtomicU64,
    written: AtomicU64,
    left_out: AtomicU64,
}

impl Lines {
    fn starting(start: Instant) -> Self {
        let [second, written, left_out] = [0; 3].map(AtomicU64::new);
        Self { start, second, written, left_out }
    }

    /// Whether there is room for another line in this second. The first one of a second says how many were left out.
    fn may_write(&self, now: Instant) -> bool {
        let second = now.saturating_duration_since(self.start).as_secs();
        if self.second.load(Ordering::Relaxed) != second && self.second.swap(second, Ordering::Relaxed) != second {
            self.written.store(0, Ordering::Relaxed);
            let count = self.left_out.swap(0, Ordering::Relaxed);
            if count > 0 {
                tracing::info!(count, "further requests succeeded and are not listed");
            }
        }
        // Looking comes before counting, so that busy threads only read.
        let has_room = self.written.load(Ordering::Relaxed) < LINES_PER_SECOND
            && self.written.fetch_add(1, Ordering::Relaxed) < LINES_PER_SECOND;
        if !has_room {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_room_for_some_lines_and_the_next_for_as_many() {
        let start = monotonic();
        let lines = Lines::starting(start);
        let written = |at: Instant| (0..1000).filter(|_| lines.may_write(at)).count() as u64;
        assert_eq!(written(start), LINES_PER_SECOND);
        assert_eq!(written(start + Duration::from_millis(900)), 0);
        assert_eq!(lines.left_out.load(Ordering::Relaxed), 2000 - LINES_PER_SECOND);
        assert_eq!(written(start + Duration::from_secs(1)), LINES_PER_SECOND);
        assert_eq!(lines.left_out.load(Ordering::Relaxed), 1000 - LINES_PER_SECOND);
    }

    #[test]
    fn refusals_and_faults_are_always_logged() {
        let unusual = [204, 304, 400, 404, 503].map(|code| StatusCode::from_u16(code).map(status_is_unusual));
        assert_eq!(unusual.map(Result::ok), [Some(false), Some(false), Some(true), Some(true), Some(true)]);
    }
}
