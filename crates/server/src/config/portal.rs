//! The section `portal`: tokens for customers' own pages.

use serde::{Deserialize, Serialize};
use std::fmt;
use tallystick_engine::PortalTuning;

/// The least bytes of a secret that nobody can guess.
const MIN_SECRET_BYTES: usize = 32;

/// Tokens for customers' own pages.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortalConfig {
    /// What signs tokens; empty for one that is made and kept in the state store.
    pub token_secret: String,
    /// How long a token lives that does not say when it expires.
    pub token_lifetime_ms: u64,
    /// Origins of the pages that may ask from a browser; `*` for all, empty for none.
    pub cors_origins: String,
}

impl fmt::Debug for PortalConfig {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("PortalConfig");
        shown.field("token_lifetime_ms", &self.token_lifetime_ms).field("cors_origins", &self.cors_origins);
        shown.finish_non_exhaustive()
    }
}

impl Default for PortalConfig {
    fn default() -> Self {
        Self { token_secret: String::new(), token_lifetime_ms: 3_600_000, cors_origins: "*".into() }
    }
}

impl PortalConfig {
    /// As the engine takes it.
    pub(super) fn tuning(&self) -> PortalTuning {
        let lifetime = i64::try_from(self.token_lifetime_ms).unwrap_or(i64::MAX).saturating_mul(1000);
        let secret = Some(self.token_secret.clone()).filter(|secret| !secret.is_empty());
        PortalTuning { token_secret: secret, token_lifetime_us: lifetime }
    }

    /// The option whose value is no good, and why; never the secret itself.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        if !self.token_secret.is_empty() && self.token_secret.len() < MIN_SECRET_BYTES {
            let message = format!("it has fewer than {MIN_SECRET_BYTES} bytes, which can be guessed");
            return Some(("portal.token_secret", message));
        }
        let is_origin = |origin: &str| {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            host.is_some_and(|host| !host.is_empty() && host.bytes().all(|c| c.is_ascii_graphic() && c != b'/'))
        };
        let listed = self.cors_origins.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        let wrong = listed.filter(|_| self.cors_origins.trim() != "*").find(|origin| !is_origin(origin))?;
        Some(("portal.cors_origins", format!("{wrong:?} is no origin such as https://app.example.com")))
    }
}
