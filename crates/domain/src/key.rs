//! API keys: what they may do. Their secrets are hashed by the engine and never reach this type.

use crate::{Instant, KeyId, Namespace};
use std::fmt;

/// What a key may do. The scopes are ordered: admin includes read, and both read and admin exclude nothing below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Send events and nothing else, for senders that are not trusted to read.
    Ingest,
    /// Read everything of the namespace, change nothing.
    Read,
    /// Everything.
    Admin,
}

impl Scope {
    /// All scopes, in the order in which help texts name them.
    pub const ALL: [Scope; 3] = [Scope::Ingest, Scope::Read, Scope::Admin];

    /// The name used on the command line and in the store.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::Ingest => "ingest",
            Scope::Read => "read",
            Scope::Admin => "admin",
        }
    }

    /// Parses the name of a scope.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    /// Whether a holder of this scope may do what `needed` asks for.
    pub fn allows(self, needed: Scope) -> bool {
        self == needed || self == Scope::Admin
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An API key as it is stored and listed: everything but the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Identity, printed in lists and used to revoke.
    pub id: KeyId,
    /// The only namespace the key sees.
    pub namespace: Namespace,
    /// A name for people.
    pub name: String,
    /// What the key may do; never empty.
    pub scopes: Vec<Scope>,
    /// When it was created.
    pub created_at: Instant,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Instant>,
}

impl ApiKey {
    /// Whether the key may do what `needed` asks for.
    pub fn allows(&self, needed: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.allows(needed))
    }
}
