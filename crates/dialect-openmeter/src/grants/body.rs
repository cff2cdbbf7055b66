//! A grant as the versions show it.

use super::input::ExpirationBody;
use crate::amount::Amount;
use crate::entitlements::{RecurrenceBody, Version};
use crate::labels::{self, Annotations};
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::entitlement::{Expiration, ExpirationUnit, Grant};
use utoipa::ToSchema;

/// What the first version says of a grant that never ends.
const NEVER: Expiration = Expiration { unit: ExpirationUnit::Year, count: 100 };

/// A grant. Its fields are in the vendor's order.
#[derive(Serialize, ToSchema)]
#[schema(as = EntitlementGrant)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrantBody {
    /// How much.
    amount: Amount,
    /// Further labels, any JSON; `issueAfterReset` marks a grant that an entitlement began with.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    annotations: Annotations,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was deleted with its entitlement.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// From when on it can be burned.
    #[schema(format = DateTime)]
    effective_at: String,
    /// ULID of the entitlement.
    entitlement_id: String,
    /// How long it lasts. By subject a grant that never ends shows 100 years.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<ExpirationBody>,
    /// When it ends of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// ULID.
    id: String,
    /// The most that it has after a reset.
    max_rollover_amount: Amount,
    /// The user's own labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    /// The least that it has after a reset.
    min_rollover_amount: Amount,
    /// When it is full again next, whether it lasts until then or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    next_recurrence: Option<String>,
    /// Lower ones are burned first.
    priority: u8,
    /// When it is full again.
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrence: Option<RecurrenceBody>,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// From when on it cannot be burned any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    voided_at: Option<String>,
}

impl GrantBody {
    /// A grant as a version shows it at a moment.
    pub(crate) fn of(grant: Grant, version: Version, now: Instant) -> Self {
        let expiration = match version {
            Version::V1 => Some(grant.expiration.unwrap_or(NEVER)),
            Version::V2 => grant.expiration,
        };
        let text = |at: Option<Instant>| at.map(|at| at.to_string());
        let next = grant.recurrence.and_then(|recurrence| recurrence.next_from(now.max(grant.effective_at)));
        Self {
            amount: Amount(grant.amount),
            annotations: labels::shown(grant.annotations),
            created_at: grant.created_at.to_string(),
            deleted_at: text(grant.deleted_at),
            effective_at: grant.effective_at.to_string(),
            entitlement_id: grant.entitlement.to_string(),
            expires_at: text(expiration.map(|expiration| expiration.after(grant.effective_at))),
            expiration: expiration.map(ExpirationBody::from),
            id: grant.id.to_string(),
            max_rollover_amount: Amount(grant.max_rollover),
            metadata: grant.metadata,
            min_rollover_amount: Amount(grant.min_rollover),
            next_recurrence: text(next),
            priority: grant.priority,
            recurrence: grant.recurrence.map(RecurrenceBody::from),
            updated_at: grant.updated_at.to_string(),
            voided_at: text(grant.voided_at),
        }
    }
}
