//! Portal tokens: made, listed, taken back and recognised, and the one thing that they open.

use crate::caller::Caller;
use crate::clock::random_bytes;
use crate::engine::Engine;
use crate::error::{EngineError, Fault};
use crate::jwt::{self, Claims};
use crate::keys::hex;
use crate::meters::MeterRef;
use crate::query::{MeterQuery, MeterResult};
use std::collections::BTreeSet;
use tallystick_domain::key::Scope;
use tallystick_domain::portal::PortalToken;
use tallystick_domain::subject::MAX_SUBJECT_KEY_BYTES;
use tallystick_domain::{Instant, Namespace, PortalTokenId};

const SECRET: &str = "portal";
const DAY_US: i64 = 24 * 3600 * 1_000_000;
const INVALID: &str = "invalid token: it was altered, invalidated, or not made by this server";

/// A token as a request describes it.
#[derive(Clone, Debug, Default)]
pub struct PortalTokenDraft {
    /// The only subject whose usage it opens.
    pub subject: String,
    /// When it expires; after the configured time by default.
    pub expires_at: Option<Instant>,
    /// Slugs of the only meters that it opens; all by default.
    pub meters: Option<Vec<String>>,
}

/// A token that was just made.
#[derive(Clone, Debug)]
pub struct CreatedPortalToken {
    /// The token as it is stored.
    pub token: PortalToken,
    /// Its signed text, which cannot be shown again.
    pub text: String,
}

/// Who has a portal token. Only [`Engine::authenticate_portal`] makes one.
#[derive(Clone, Debug)]
pub struct PortalCaller {
    caller: Caller,
    token: PortalToken,
}

impl PortalCaller {
    /// Whom its requests count for: all tokens of a subject are one.
    pub fn limited_as(&self) -> String {
        format!("portal {} {}", self.caller.namespace(), self.token.subject)
    }
}

impl Engine {
    /// Makes a token.
    pub async fn create_portal_token(
        &self,
        caller: &Caller,
        draft: PortalTokenDraft,
    ) -> Result<CreatedPortalToken, EngineError> {
        caller.require(Scope::Admin)?;
        let now = self.clock().now();
        let lifetime = self.config().portal.token_lifetime_us;
        let expires_at = draft.expires_at.unwrap_or_else(|| now.saturating_add_micros(lifetime));
        check(&draft, expires_at, now)?;
        for slug in draft.meters.iter().flatten() {
            let meter = self.state().find_meter(caller.namespace(), slug).await?;
            meter.ok_or_else(|| EngineError::NotFound { what: "meter", key: slug.clone() })?;
        }
        let (time_ms, random) = self.id_parts()?;
        let token = PortalToken {
            id: PortalTokenId::from_parts(time_ms, random),
            subject: draft.subject,
            meters: draft.meters.map(|slugs| slugs.into_iter().collect::<BTreeSet<_>>()),
            created_at: now,
            expires_at,
            invalidated_at: None,
        };
        let text = self.signed(caller.namespace(), &token).await?;
        let forget_before = now.saturating_add_micros(-DAY_US);
        self.state().insert_portal_token(caller.writer(), &token, forget_before).await?;
        Ok(CreatedPortalToken { token, text })
    }

    /// The tokens that were not invalidated, the newest first; those that expired are among them for a day.
    pub async fn list_portal_tokens(&self, caller: &Caller, limit: u32) -> Result<Vec<PortalToken>, EngineError> {
        caller.require(Scope::Read)?;
        Ok(self.state().list_portal_tokens(caller.namespace(), limit).await?)
    }

    /// Invalidates the token of an id, or all of a subject; with both, the token if it is the subject's. They open nothing
    /// any more when the call returns.
    pub async fn invalidate_portal_tokens(
        &self,
        caller: &Caller,
        id: Option<&str>,
        subject: Option<&str>,
    ) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        if id.is_none() && subject.is_none() {
            return Err(EngineError::invalid("id", "name the id of a token, or a subject"));
        }
        let namespace = caller.namespace();
        let id = match id {
            Some(text) => {
                let missing = || EngineError::NotFound { what: "portal token", key: text.to_string() };
                let id = PortalTokenId::parse(text).ok_or_else(missing)?;
                self.state().get_portal_token(namespace, id).await?.ok_or_else(missing)?;
                Some(id)
            }
            None => None,
        };
        Ok(self.state().invalidate_portal_tokens(caller.writer(), id, subject, self.clock().now()).await?)
    }

    /// Finds out whose token it is: it must be signed by this server, stored, not expired and not invalidated.
    pub async fn authenticate_portal(&self, text: &str) -> Result<PortalCaller, EngineError> {
        let invalid = || EngineError::Unauthenticated(INVALID);
        let secret = self.portal_secret_if_any().await?.ok_or_else(invalid)?;
        let claims = jwt::verify(text, &secret).map_err(|_| invalid())?;
        let namespace = Namespace::parse(&claims.namespace).map_err(|_| invalid())?;
        let id = PortalTokenId::parse(&claims.id).ok_or_else(invalid)?;
        let token = self.state().get_portal_token(&namespace, id).await?.ok_or_else(invalid)?;
        let now = self.clock().now();
        if now >= token.expires_at || now.as_micros() >= claims.exp.saturating_mul(1_000_000) {
            return Err(EngineError::Unauthenticated("invalid token: it has expired"));
        }
        match token.is_live(now) && token.subject == claims.sub {
            true => Ok(PortalCaller { caller: Caller::of_portal(namespace, id), token }),
            false => Err(invalid()),
        }
    }

    /// Asks a meter for the usage of the token's subject, and of nobody else.
    pub async fn query_portal_meter(
        &self,
        caller: &PortalCaller,
        slug: &str,
        query: MeterQuery,
    ) -> Result<MeterResult, EngineError> {
        if !caller.token.is_for(slug) {
            return Err(EngineError::Unauthenticated("meter slug not allowed"));
        }
        if !query.customers.is_empty() {
            return Err(EngineError::invalid("filterCustomerId", "a portal token opens the usage of its subject only"));
        }
        let missing = || EngineError::NotFound { what: "meter", key: slug.to_string() };
        // A token names meters by slug: an id would reach deleted ones.
        let meter = MeterRef::parse_slug(slug).ok_or_else(missing)?;
        let query = MeterQuery { subjects: Some(vec![caller.token.subject.clone()]), ..query };
        self.query_meter(&caller.caller, &meter, query).await
    }

    async fn signed(&self, namespace: &Namespace, token: &PortalToken) -> Result<String, EngineError> {
        let seconds = |at: Instant| at.as_micros().div_euclid(1_000_000);
        let claims = Claims::new(
            token.subject.clone(),
            seconds(token.created_at),
            // The stored time decides to the microsecond; the text never ends before it.
            seconds(token.expires_at.saturating_add_micros(999_999)),
            namespace.to_string(),
            token.id.to_string(),
            token.meters.iter().flatten().cloned().collect(),
        );
        let secret = self.portal_secret().await?;
        jwt::sign(&claims, &secret).map_err(|error| EngineError::Internal(format!("cannot sign a token: {error}")))
    }

    /// The configured secret, or the one that all servers on the state store share, made when it is first needed.
    async fn portal_secret(&self) -> Result<String, EngineError> {
        if let Some(known) = self.portal_secret_if_any().await? {
            return Ok(known);
        }
        let random: [u8; 32] = random_bytes().map_err(|error| EngineError::Unavailable(error.to_string()))?;
        Ok(self.state().shared_secret(SECRET, &hex(&random), self.clock().now()).await?)
    }

    async fn portal_secret_if_any(&self) -> Result<Option<String>, EngineError> {
        match &self.config().portal.token_secret {
            Some(configured) => Ok(Some(configured.clone())),
            None => Ok(self.state().find_secret(SECRET).await?),
        }
    }
}

fn check(draft: &PortalTokenDraft, expires_at: Instant, now: Instant) -> Result<(), EngineError> {
    let mut faults = Vec::new();
    if !(1..=MAX_SUBJECT_KEY_BYTES).contains(&draft.subject.len()) {
        faults.push(Fault::new("subject", format!("subject must have 1 to {MAX_SUBJECT_KEY_BYTES} bytes")));
    }
    if expires_at <= now {
        faults.push(Fault::new("expiresAt", "expiresAt must be in the future"));
    }
    if draft.meters.as_ref().is_some_and(Vec::is_empty) {
        faults.push(Fault::new("allowedMeterSlugs", "slug filter cannot be an empty array when provided"));
    }
    if draft.meters.as_ref().is_some_and(|slugs| slugs.len() > 100) {
        faults.push(Fault::new("allowedMeterSlugs", "maximum number of items is 100"));
    }
    if faults.is_empty() { Ok(()) } else { Err(EngineError::Invalid(faults)) }
}
