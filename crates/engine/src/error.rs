//! Why the engine refused. A dialect turns each into its vendor's status and body.

use tallystick_domain::entitlement::EntitlementFault;
use tallystick_domain::event::EventFault;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{MeterFault, PlanError};
use tallystick_domain::{EntitlementId, Quantity};
use tallystick_event_store::{AppendError, QueryError};
use tallystick_state_store::StateError;

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The field at fault.
    pub field: String,
    /// A stable word for the kind of fault, where there is one.
    pub code: Option<&'static str>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Fault {
    /// Builds a fault.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), code: None, message: message.into() }
    }
}

impl From<EntitlementFault> for Fault {
    fn from(fault: EntitlementFault) -> Self {
        Self { field: fault.field.into(), code: Some(fault.code), message: fault.message }
    }
}

impl From<MeterFault> for Fault {
    fn from(fault: MeterFault) -> Self {
        Self::new(fault.field, fault.message)
    }
}

/// One fault of one event of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidEvent {
    /// Position in the batch, from 0.
    pub index: usize,
    /// What is wrong with it.
    pub fault: EventFault,
}

/// Why a call has no result. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// No key, or one that is unknown or revoked.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The key may not do this.
    #[error("this key has no {needed} scope")]
    Forbidden {
        /// The scope that would be needed.
        needed: Scope,
    },
    /// Events of a batch are invalid; none of the batch was stored.
    #[error("{} faults in the events of the batch; nothing of it was stored", .0.len())]
    InvalidEvents(Vec<InvalidEvent>),
    /// The request itself is invalid.
    #[error("{}", .0.iter().map(|fault| fault.message.as_str()).collect::<Vec<_>>().join("\n"))]
    Invalid(Vec<Fault>),
    /// There is no such thing in the caller's namespace.
    #[error("{what} not found: {key}")]
    NotFound {
        /// The kind of thing.
        what: &'static str,
        /// What was looked for.
        key: String,
    },
    /// The request contradicts what is stored.
    #[error("{0}")]
    Conflict(String),
    /// The customer has an entitlement to the feature that is in force at the same time.
    #[error("the customer has entitlement {entitlement} to feature {feature_key} already: delete or override it")]
    Overlap {
        /// The one that is in force.
        entitlement: EntitlementId,
        /// The feature's key.
        feature_key: String,
    },
    /// Less is left than was to be reserved.
    #[error("only {left} is left to reserve")]
    NotEnough {
        /// How much could be reserved.
        left: Quantity,
    },
    /// The thing was deleted and cannot be changed any more.
    #[error("{0}")]
    Gone(String),
    /// More than a limit allows.
    #[error("{0}")]
    TooLarge(String),
    /// Too much is under way; the same request can be sent again in a moment.
    #[error("{0}")]
    Overloaded(String),
    /// The disk is full; reading goes on.
    #[error("{0}")]
    StorageFull(String),
    /// A store cannot be used now.
    #[error("{0}")]
    Unavailable(String),
    /// A store holds something it should not; the details are in the log.
    #[error("{0}")]
    Internal(String),
}

impl EngineError {
    /// A request with one fault.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault::new(field, message)])
    }
}

impl From<EntitlementFault> for EngineError {
    fn from(fault: EntitlementFault) -> Self {
        Self::Invalid(vec![fault.into()])
    }
}

impl From<Vec<EntitlementFault>> for EngineError {
    fn from(faults: Vec<EntitlementFault>) -> Self {
        Self::Invalid(faults.into_iter().map(Fault::from).collect())
    }
}

impl From<StateError> for EngineError {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Conflict { .. } | StateError::Refused(_) | StateError::Superseded => {
                Self::Conflict(error.to_string())
            }
            StateError::Overlap { entitlement, feature_key } => Self::Overlap { entitlement, feature_key },
            StateError::Unavailable(_) => Self::Unavailable(error.to_string()),
            other => Self::Internal(other.to_string()),
        }
    }
}

impl From<AppendError> for EngineError {
    fn from(error: AppendError) -> Self {
        let text = error.to_string();
        match error {
            AppendError::Overloaded => Self::Overloaded(text),
            AppendError::Full(_) => Self::StorageFull(text),
            AppendError::Stopped(_) => Self::Unavailable(text),
            AppendError::TooLarge { .. } => Self::TooLarge(text),
        }
    }
}

impl From<QueryError> for EngineError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Plan(plan @ (PlanError::TooLarge { .. } | PlanError::Overflow { .. })) => {
                Self::invalid("query", plan.to_string())
            }
            QueryError::Store(store) => Self::Internal(store.to_string()),
        }
    }
}
