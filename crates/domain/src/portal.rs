//! Portal tokens: what a customer's own page may read, and for how long.

use crate::{Instant, PortalTokenId};
use std::collections::BTreeSet;

/// A token as it is stored and listed: everything but its signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalToken {
    /// Identity.
    pub id: PortalTokenId,
    /// The only subject whose usage it opens.
    pub subject: String,
    /// Slugs of the only meters that it opens; all of the namespace's when absent.
    pub meters: Option<BTreeSet<String>>,
    /// When it was made.
    pub created_at: Instant,
    /// From then on it opens nothing.
    pub expires_at: Instant,
    /// When it was taken back, if it was.
    pub invalidated_at: Option<Instant>,
}

impl PortalToken {
    /// Whether it opens anything at this moment.
    pub fn is_live(&self, now: Instant) -> bool {
        self.invalidated_at.is_none() && now < self.expires_at
    }

    /// Whether it is for this meter.
    pub fn is_for(&self, slug: &str) -> bool {
        self.meters.as_ref().is_none_or(|meters| meters.contains(slug))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_lives_until_it_expires_or_is_taken_back() {
        let at = |micros| Instant::from_micros(micros).unwrap();
        let token = PortalToken {
            id: PortalTokenId::from_parts(1, 1),
            subject: "s".into(),
            meters: Some(["a".to_string()].into()),
            created_at: at(0),
            expires_at: at(10),
            invalidated_at: None,
        };
        assert!(token.is_live(at(9)) && !token.is_live(at(10)));
        assert!(token.is_for("a") && !token.is_for("b"));
        assert!(PortalToken { meters: None, ..token.clone() }.is_for("b"));
        assert!(!PortalToken { invalidated_at: Some(at(3)), ..token }.is_live(at(4)));
    }
}
