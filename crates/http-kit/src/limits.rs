//! What one request may cost before it reaches the engine, and which web pages may send one.

use crate::gate::RateLimits;
use std::time::Duration;

/// Bounds on a request's body, and the pages that browsers let ask.
#[derive(Clone, Debug)]
pub struct HttpLimits {
    /// Bytes of a path with its query.
    pub uri_bytes: usize,
    /// Bytes of a body as it is sent, compressed or not.
    pub sent_body_bytes: usize,
    /// Bytes of a body once it is decompressed.
    pub body_bytes: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Origins of the web pages that may ask the portal from a browser, separated by commas; `*` for all.
    pub portal_origins: String,
    /// Requests of one caller in a time.
    pub rate: RateLimits,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            uri_bytes: 65_534,
            sent_body_bytes: 16 << 20,
            body_bytes: 32 << 20,
            body_timeout: Duration::from_secs(60),
            portal_origins: "*".into(),
            rate: RateLimits::none(),
        }
    }
}
