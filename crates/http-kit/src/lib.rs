//! What the dialects share over axum: who calls, bounded bodies, request ids, query strings, the access log.
//!
//! Invariant: a `Caller` cannot be built except from credentials, and nothing is read without a bound. No vendor's words
//! are here: a refusal has no body, each dialect draws its own.

pub mod access_log;
pub mod auth;
pub mod body;
pub mod front;
pub mod gate;
pub mod limits;
pub mod panic;
pub mod query;
pub mod redraw;
pub mod refusal;
pub mod request_id;
pub mod trace_context;

pub use auth::Authenticated;
pub use front::Front;
pub use gate::{DoorRules, Gate, RateLimits};
pub use limits::HttpLimits;
pub use query::QueryString;
pub use redraw::Redraw;
pub use refusal::Refusal;
pub use request_id::RequestId;
pub use trace_context::TraceContext;
