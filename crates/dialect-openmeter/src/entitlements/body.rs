//! An entitlement as the versions show it.

use super::{PeriodBody, RecurrenceBody};
use crate::amount::Amount;
use crate::labels::{self, Annotations};
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_domain::entitlement::Kind;
use tallystick_domain::quantity::Quantity;
use tallystick_engine::EntitlementView;
use utoipa::ToSchema;

/// What both versions show.
#[derive(Serialize, ToSchema)]
#[schema(as = EntitlementShared)]
#[serde(rename_all = "camelCase")]
struct Shared {
    /// From when on it is in force.
    #[schema(format = DateTime)]
    active_from: String,
    /// When it ends or ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    active_to: Option<String>,
    /// Labels of the program.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Object)]
    annotations: Annotations,
    /// Of a static one: a text that is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<String>,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// The usage period of this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_usage_period: Option<PeriodBody>,
    /// When it was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// ULID of the feature.
    feature_id: String,
    /// Key of the feature.
    feature_key: String,
    /// ULID.
    id: String,
    /// Of a metered one: whether access stays when nothing is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_soft_limit: Option<bool>,
    /// Of a metered one: what is there anew in each period; 0 when nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    issue_after_reset: Option<Amount>,
    /// Its priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    issue_after_reset_priority: Option<u8>,
    /// Of a metered one: the last reset that somebody asked for, or when measuring began.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    last_reset: Option<String>,
    /// Of a metered one: from when on usage counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    measure_usage_from: Option<String>,
    /// The user's own labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    /// Of a metered one: whether overage is paid in the next period.
    #[serde(skip_serializing_if = "Option::is_none")]
    preserve_overage_at_reset: Option<bool>,
    /// `metered`, `static` or `boolean`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// How usage periods follow each other, as it was defined; a reset may have moved them since.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_period: Option<RecurrenceBody>,
}

/// An entitlement as the first version shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = Entitlement)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntitlementV1 {
    #[serde(flatten)]
    shared: Shared,
    /// Of a metered one: always false.
    #[serde(skip_serializing_if = "Option::is_none")]
    is_unlimited: Option<bool>,
    /// The first subject key of the customer, else its key, else empty.
    subject_key: String,
}

/// An entitlement as the second version shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = EntitlementV2)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntitlementV2 {
    #[serde(flatten)]
    shared: Shared,
    /// ULID of the customer.
    customer_id: String,
    /// Key of the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_key: Option<String>,
    /// Of a metered one: what is there anew in each period.
    #[serde(skip_serializing_if = "Option::is_none")]
    issue: Option<IssueBody>,
}

/// What is there anew in each period.
#[derive(Serialize, ToSchema)]
#[schema(as = IssueAfterReset)]
struct IssueBody {
    /// How much; 0 when nothing is.
    amount: Amount,
    /// Its priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<u8>,
}

impl From<EntitlementView> for EntitlementV1 {
    fn from(view: EntitlementView) -> Self {
        let customer = &view.customer;
        let subject_key = customer.subject_keys.first().or(customer.key.as_ref()).cloned().unwrap_or_default();
        let shared = Shared::from(view);
        Self { is_unlimited: shared.issue_after_reset.map(|_| false), subject_key, shared }
    }
}

impl From<EntitlementView> for EntitlementV2 {
    fn from(view: EntitlementView) -> Self {
        let (customer_id, customer_key) = (view.customer.id.to_string(), view.customer.key.clone());
        let shared = Shared::from(view);
        let priority = shared.issue_after_reset_priority;
        let issue = shared.issue_after_reset.map(|amount| IssueBody { amount, priority });
        Self { shared, customer_id, customer_key, issue }
    }
}

impl From<EntitlementView> for Shared {
    fn from(view: EntitlementView) -> Self {
        let EntitlementView { entitlement, current_period, last_reset, .. } = view;
        let kind = entitlement.kind_name().as_str();
        let (metered, config) = match entitlement.kind {
            Kind::Boolean => (None, None),
            Kind::Static { config } => (None, Some(config)),
            Kind::Metered(metered) => (Some(metered), None),
        };
        let of_metered = metered.as_ref();
        let issue = of_metered.and_then(|metered| metered.issue);
        Self {
            active_from: entitlement.active_from.to_string(),
            active_to: entitlement.active_to.or(entitlement.deleted_at).map(|at| at.to_string()),
            annotations: labels::shown(entitlement.annotations),
            config,
            created_at: entitlement.created_at.to_string(),
            current_usage_period: current_period.map(PeriodBody::from),
            deleted_at: entitlement.deleted_at.map(|at| at.to_string()),
            feature_id: entitlement.feature.to_string(),
            feature_key: entitlement.feature_key,
            id: entitlement.id.to_string(),
            is_soft_limit: of_metered.map(|metered| metered.is_soft_limit),
            issue_after_reset: of_metered.map(|_| Amount(issue.map_or(Quantity::ZERO, |issue| issue.amount))),
            issue_after_reset_priority: issue.map(|issue| issue.priority),
            last_reset: last_reset.map(|at| at.to_string()),
            measure_usage_from: of_metered.map(|metered| metered.measured_from.to_string()),
            metadata: entitlement.metadata,
            preserve_overage_at_reset: of_metered.map(|metered| metered.preserves_overage),
            kind,
            updated_at: entitlement.updated_at.to_string(),
            usage_period: entitlement.usage_period.map(RecurrenceBody::from),
        }
    }
}
