//! Who calls: a namespace and an actor, made only by authentication.

use crate::engine::Engine;
use crate::error::EngineError;
use std::sync::{Arc, LazyLock};
use tallystick_domain::key::{ApiKey, Scope};
use tallystick_domain::{Namespace, PortalTokenId};
use tallystick_state_store::{Reservation, Writer};

/// An authenticated caller. Only [`Engine::authenticate`] makes one.
#[derive(Clone, Debug)]
pub struct Caller {
    who: Arc<Who>,
    /// The idempotency key that stands for what the caller does now.
    reservation: Option<Arc<Reservation>>,
}

#[derive(Debug)]
struct Who {
    namespace: Namespace,
    actor: String,
    scopes: Vec<Scope>,
}

static ANONYMOUS: LazyLock<Caller> = LazyLock::new(|| {
    let (namespace, actor) = (Namespace::default_namespace(), "anonymous".into());
    Caller::of(Who { namespace, actor, scopes: vec![Scope::Admin] })
});

impl Caller {
    fn of(who: Who) -> Self {
        Self { who: Arc::new(who), reservation: None }
    }

    pub(crate) fn of_key(key: &ApiKey) -> Self {
        let (namespace, actor) = (key.namespace.clone(), format!("key {}", key.id));
        Self::of(Who { namespace, actor, scopes: key.scopes.clone() })
    }

    /// Who holds a portal token. It stays inside of a [`crate::PortalCaller`], which asks for one subject only.
    pub(crate) fn of_portal(namespace: Namespace, token: PortalTokenId) -> Self {
        Self::of(Who { namespace, actor: format!("portal token {token}"), scopes: vec![Scope::Read] })
    }

    /// The only namespace that the caller sees.
    pub fn namespace(&self) -> &Namespace {
        &self.who.namespace
    }

    /// For whom the caller's writes are stored: every write says so, and the idempotency key goes with it.
    pub(crate) fn writer(&self) -> Writer<'_> {
        match &self.reservation {
            Some(reservation) => Writer::holding(reservation),
            None => Writer::of(self.namespace()),
        }
    }

    /// The same caller, with the idempotency key that stands for what it does from now on.
    pub(crate) fn holding(&self, reservation: Reservation) -> Self {
        Self { who: Arc::clone(&self.who), reservation: Some(Arc::new(reservation)) }
    }

    pub(crate) fn reservation(&self) -> Option<&Reservation> {
        self.reservation.as_deref()
    }

    /// Who it is, for logs; never a secret.
    pub fn actor(&self) -> &str {
        &self.who.actor
    }

    /// Refuses a caller that lacks a scope.
    pub fn require(&self, needed: Scope) -> Result<(), EngineError> {
        if self.who.scopes.iter().any(|scope| scope.allows(needed)) {
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
            Some(secret) => match self.find_caller(secret).await? {
                Some(caller) => Ok(caller),
                None if self.is_open().await? => Ok(ANONYMOUS.clone()),
                None => Err(EngineError::Unauthenticated("the API key is unknown or revoked")),
            },
            None if self.is_open().await? => Ok(ANONYMOUS.clone()),
            None => Err(EngineError::Unauthenticated(
                "an API key is required: send it as 'Authorization: Bearer KEY' (create one with: tallystick keys create)",
            )),
        }
    }
}
