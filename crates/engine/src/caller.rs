//! Who calls: a namespace and an actor, made only by authentication.

use crate::engine::Engine;
use crate::error::EngineError;
use tallystick_domain::Namespace;
use tallystick_domain::key::{ApiKey, Scope};

/// An authenticated caller. Only [`Engine::authenticate`] makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    namespace: Namespace,
    actor: String,
    scopes: Vec<Scope>,
}

impl Caller {
    fn of_key(key: &ApiKey) -> Self {
        Self { namespace: key.namespace.clone(), actor: format!("key {}", key.id), scopes: key.scopes.clone() }
    }

    fn anonymous() -> Self {
        Self { namespace: Namespace::default_namespace(), actor: "anonymous".into(), scopes: vec![Scope::Admin] }
    }

    /// The only namespace that the caller sees.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Who it is, for logs; never a secret.
    pub fn actor(&self) -> &str {
        &self.actor
    }

    /// Refuses a caller that lacks a scope.
    pub fn require(&self, needed: Scope) -> Result<(), EngineError> {
        if self.scopes.iter().any(|scope| scope.allows(needed)) {
            Ok(())
        } else {
            Err(EngineError::Forbidden { needed })
        }
    }
}

impl Engine {
    /// Finds out who calls. While there is no key at all, and the server listens on loopback only, everybody is the
    /// operator; from the first key on, a key is needed everywhere.
    pub async fn authenticate(&self, secret: Option<&str>) -> Result<Caller, EngineError> {
        match secret {
            Some(secret) => match self.find_live_key(secret).await? {
                Some(key) => Ok(Caller::of_key(&key)),
                None if self.is_open().await? => Ok(Caller::anonymous()),
                None => Err(EngineError::Unauthenticated("the API key is unknown or revoked")),
            },
            None if self.is_open().await? => Ok(Caller::anonymous()),
            None => Err(EngineError::Unauthenticated(
                "an API key is required: send it as 'Authorization: Bearer KEY' (create one with: tallystick keys create)",
            )),
        }
    }
}
