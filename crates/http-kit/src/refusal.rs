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
    #[error("the {what} is larger than {limit} bytes: send less at a time")]
    BodyTooLarge {
        /// `body` or `compressed body`.
        what: &'static str,
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
    #[error("the body did not arrive within {} seconds", .0.as_secs_f64())]
    BodyTimeout(Duration),
    /// The connection broke while the body was read.
    #[error("the body ended early: {0}")]
    BodyInterrupted(String),
    /// The query string cannot be read.
    #[error("{0}")]
    BadQuery(String),
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
