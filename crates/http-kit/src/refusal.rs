//! Why a request was refused before or by the engine, in words only.

use std::time::Duration;
use tallystick_engine::EngineError;

/// A refusal without a body: each dialect has its own status table and draws its own body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The engine refused.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The body is larger than a limit allows.
    #[error("the {what} is larger than {limit} bytes ({option}): send less at a time")]
    BodyTooLarge {
        /// `body` or `compressed body`.
        what: &'static str,
        /// The option that holds the limit.
        option: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The body is encoded in a way that is not read.
    #[error("content encoding {0:?} is not supported: use gzip, zstd or none, and only one of them")]
    UnsupportedEncoding(String),
    /// The body is not what its encoding says.
    #[error("the body is not valid {encoding}: {reason}")]
    BadEncoding {
        /// The encoding.
        encoding: &'static str,
        /// What the decoder found.
        reason: String,
    },
    /// The body took too long.
    #[error("the body did not arrive within {} seconds (limits.body_timeout_ms)", .0.as_secs_f64())]
    BodyTimeout(Duration),
    /// The connection broke while the body was read.
    #[error("the body ended early: {0}")]
    BodyInterrupted(String),
    /// The query string cannot be read.
    #[error("{0}")]
    BadQuery(String),
    /// The path with its query is longer than a limit allows.
    #[error(
        "the path and its query have more than {limit} bytes (limits.uri_bytes): ask for less at a time, or ask by POST"
    )]
    UriTooLong {
        /// The limit.
        limit: usize,
    },
    /// The caller makes requests faster than it may.
    #[error("more requests than {burst} at once and then one every {} seconds (limits.requests_per_second, limits.requests_burst): wait {wait_s} seconds", .period.as_secs_f64())]
    TooManyRequests {
        /// How many may come at once.
        burst: u32,
        /// Time for one more.
        period: Duration,
        /// Whole seconds after which there is room for one.
        wait_s: u32,
    },
    /// The header `Idempotency-Key` is not what it should be.
    #[error("the header Idempotency-Key is not valid: {0}")]
    BadIdempotencyKey(String),
    /// The key was sent with another request before.
    #[error(
        "this Idempotency-Key was sent with another request before (another method, path, content type or body): send a key of its own with each request"
    )]
    IdempotencyKeyReused,
    /// The first request with the key is not finished.
    #[error("the request that was first sent with this Idempotency-Key is still being done: send it again in a moment")]
    IdempotencyKeyInFlight,
    /// The request was done, and its answer was not kept.
    #[error(
        "the request that was first sent with this Idempotency-Key was done, but its answer is lost: the server ended before it was kept, or it was too long to keep. It is not done again: read or list what it should have changed, and send another key to do it once more"
    )]
    IdempotentAnswerLost,
    /// A handler panicked; the log has the details.
    #[error("the request failed because of a defect of the server")]
    Panicked,
}
