//! What can go wrong, and what the operator or user can do about it.

use sqlx::Error;
use tallystick_domain::EntitlementId;

/// Why an operation on the state store failed. No text ever holds a connection's password or a key's secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Something with the same identity or live name is stored already; nothing was written.
    #[error("{what} already exists")]
    Conflict {
        /// What was to be written, with its name and namespace.
        what: String,
    },
    /// The change contradicts something else that is stored, which the text names; nothing was written.
    #[error("{0}")]
    Refused(String),
    /// The customer has an entitlement to the feature that is in force at the same time; nothing was written.
    #[error(
        "the customer has entitlement {entitlement} to feature {feature_key} already, and only one may be in force at a time"
    )]
    Overlap {
        /// The one that is in force.
        entitlement: EntitlementId,
        /// The feature's key.
        feature_key: String,
    },
    /// There is nothing to change; nothing was written.
    #[error("{what} does not exist")]
    NotFound {
        /// What was looked for, with its id and namespace.
        what: String,
    },
    /// The idempotency key of the write is held by another attempt, or was answered; nothing was written.
    #[error(
        "another request with the same idempotency key has taken this one's place; nothing was written by this one"
    )]
    Superseded,
    /// The store was migrated by a newer version of the server.
    #[error(
        "the state store is at migration {found}, but this version of tallystick knows migrations up to {known} only: \
         start the newer version again, or restore the backup that was taken before the upgrade"
    )]
    Newer {
        /// The newest migration that the store records.
        found: i64,
        /// The newest migration of this binary.
        known: i64,
    },
    /// A migration was begun and not finished.
    #[error(
        "migration {version} ({name}) of the state store was begun but never finished, so its tables cannot be trusted: \
         restore the backup that was taken before the upgrade, then start again"
    )]
    HalfMigrated {
        /// The migration that is incomplete.
        version: i64,
        /// Its name.
        name: String,
    },
    /// The text does not name a state store.
    #[error("{0}")]
    InvalidUrl(String),
    /// The store cannot be reached, read or written at the moment; the text says why.
    #[error("{0}")]
    Unavailable(String),
    /// A stored value cannot be what this server wrote; the text names the table and the id.
    #[error("{0}")]
    Corrupt(String),
}

/// Turns an error of the database library that the caller cannot handle into ours.
pub(crate) fn failed(error: Error) -> StateError {
    match error {
        Error::ColumnDecode { .. } | Error::ColumnNotFound(_) | Error::Decode(_) => {
            StateError::Corrupt(format!("the state store holds a value of an unexpected kind: {error}"))
        }
        Error::PoolTimedOut => StateError::Unavailable(
            "the state store did not hand out a connection in time: it is down, or too slow for the load".into(),
        ),
        other => StateError::Unavailable(format!("the state store failed: {other}")),
    }
}

/// Like [`failed`], but a uniqueness violation becomes a conflict. The kind of the error decides, because SQLite does not
/// report the name of the constraint.
pub(crate) fn conflict_or_failed(error: Error, what: impl FnOnce() -> String) -> StateError {
    match error.as_database_error() {
        Some(cause) if cause.is_unique_violation() => StateError::Conflict { what: what() },
        _ => failed(error),
    }
}
