//! What the operations that make or reset an entitlement take.

use super::{RecurrenceInput, Version, body_instant, priority};
use crate::amount::{Amount, not_negative, not_negative_or_null};
use crate::grants::GrantInput;
use crate::params::Place;
use crate::problem::Problem;
use serde::Deserialize;
use std::collections::BTreeMap;
use tallystick_domain::entitlement::{
    EntitlementDraft, GrantDraft, Issue, KindDraft, MeasureFrom, MeteredDraft, ResetDraft,
};
use tallystick_domain::quantity::Quantity;
use tallystick_engine::FeatureRef;
use utoipa::ToSchema;

/// The priority of what is there anew in each period, unless another one is named.
const ISSUE_PRIORITY: u8 = 1;

/// How the use of a feature is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[schema(as = EntitlementType)]
#[serde(rename_all = "lowercase")]
enum TypeWord {
    /// By grants that usage is taken from.
    Metered,
    /// By a configuration.
    Static,
    /// Not at all.
    Boolean,
}

/// An entitlement to make. Further fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(
    as = EntitlementCreateInputs,
    example = json!({"type": "metered", "featureKey": "tokens", "usagePeriod": {"interval": "MONTH"}, "isSoftLimit": false})
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntitlementInput {
    /// How the use is limited.
    #[serde(rename = "type")]
    kind: TypeWord,
    /// Key of the feature; this or its id is needed.
    #[schema(min_length = 1)]
    feature_key: Option<String>,
    /// ULID of the feature; looked at before the key.
    #[schema(min_length = 1)]
    feature_id: Option<String>,
    /// The user's own labels.
    metadata: Option<BTreeMap<String, String>>,
    /// How usage periods follow each other; a metered entitlement needs it.
    usage_period: Option<RecurrenceInput>,
    /// Of a metered one: whether access stays when nothing is left.
    is_soft_limit: Option<bool>,
    /// Without effect, as with the vendor.
    is_unlimited: Option<bool>,
    /// Of a metered one: from when on usage counts: `NOW`, `CURRENT_PERIOD_START` or a date-time.
    measure_usage_from: Option<String>,
    /// Of a metered one: what is there anew in each period.
    #[schema(schema_with = not_negative_or_null)]
    issue_after_reset: Option<Amount>,
    /// Its priority, 1 to 255 (1).
    #[schema(minimum = 1, maximum = 255)]
    issue_after_reset_priority: Option<i64>,
    /// Of a metered one: whether overage is paid in the next period.
    preserve_overage_at_reset: Option<bool>,
    /// Of a metered one, by customer only: what is there anew in each period; wins over `issueAfterReset`.
    issue: Option<IssueInput>,
    /// Of a metered one, by customer only: grants to give with it, instead of an amount for each period.
    grants: Option<Vec<GrantInput>>,
    /// Of a static one: a text that is JSON.
    config: Option<String>,
}

/// What is there anew in each period.
#[derive(Deserialize, ToSchema)]
#[schema(as = IssueAfterResetInput)]
struct IssueInput {
    /// How much.
    #[schema(schema_with = not_negative)]
    amount: Amount,
    /// Its priority, 1 to 255 (1).
    #[schema(minimum = 1, maximum = 255)]
    priority: Option<i64>,
}

/// An entitlement to make, in the engine's words.
pub(crate) struct Asked {
    pub feature: FeatureRef,
    pub draft: EntitlementDraft,
    pub grants: Vec<GrantDraft>,
}

impl EntitlementInput {
    /// Checks what can be checked without knowing the feature.
    pub(crate) fn read(mut self, version: Version) -> Result<Asked, Problem> {
        self.refuse_foreign(version)?;
        let feature = FeatureRef { id: self.feature_id.take(), key: self.feature_key.take() };
        let usage_period = self.usage_period.take().map(|period| period.read("usagePeriod")).transpose()?;
        let metadata = self.metadata.take().unwrap_or_default();
        let grants = self.grants.take().unwrap_or_default().into_iter().enumerate();
        let grants = grants.map(|(index, grant)| grant.read(&format!("grants/{index}/"), Version::V2));
        let grants = grants.collect::<Result<_, _>>()?;
        let kind = match self.kind {
            TypeWord::Metered => KindDraft::Metered(self.metered()?),
            TypeWord::Boolean => KindDraft::Boolean,
            TypeWord::Static => match self.config {
                Some(config) => KindDraft::Static { config },
                None => return Err(Place::Body.refuse("config", "property \"config\" is missing")),
            },
        };
        Ok(Asked { feature, draft: EntitlementDraft { kind, usage_period, metadata }, grants })
    }

    /// Refuses what an entitlement of this type, or this version, does not have: without effect it would be missed.
    fn refuse_foreign(&self, version: Version) -> Result<(), Problem> {
        let metered = [
            ("isSoftLimit", self.is_soft_limit.is_some()),
            ("isUnlimited", self.is_unlimited.is_some()),
            ("measureUsageFrom", self.measure_usage_from.is_some()),
            ("issueAfterReset", self.issue_after_reset.is_some()),
            ("issueAfterResetPriority", self.issue_after_reset_priority.is_some()),
            ("preserveOverageAtReset", self.preserve_overage_at_reset.is_some()),
            ("issue", self.issue.is_some()),
            ("grants", self.grants.is_some()),
        ];
        let found = |fields: &[(&'static str, bool)]| fields.iter().find(|(_, sent)| *sent).map(|(name, _)| *name);
        if let (true, Some(name)) = (self.kind != TypeWord::Metered, found(&metered)) {
            return Err(Place::Body.refuse(name, "only a metered entitlement has this"));
        }
        if self.kind != TypeWord::Static && self.config.is_some() {
            return Err(Place::Body.refuse("config", "only a static entitlement has this"));
        }
        if let (Version::V1, Some(name)) = (version, found(&metered[6..])) {
            return Err(Place::Body.refuse(name, "only /api/v2/customers/{customerIdOrKey}/entitlements takes this"));
        }
        Ok(())
    }

    fn metered(self) -> Result<MeteredDraft, Problem> {
        let measure_from = match self.measure_usage_from.as_deref() {
            None | Some("NOW") => MeasureFrom::Now,
            Some("CURRENT_PERIOD_START") => MeasureFrom::CurrentPeriod,
            text => body_instant("measureUsageFrom", text)?.map_or(MeasureFrom::Now, MeasureFrom::At),
        };
        let given = priority("issueAfterResetPriority", self.issue_after_reset_priority)?;
        let issue = match (self.issue, self.issue_after_reset) {
            (Some(issue), _) => {
                Some(issue_of("issue/amount", issue.amount, priority("issue/priority", issue.priority)?)?)
            }
            (None, Some(amount)) => Some(issue_of("issueAfterReset", amount, given)?),
            (None, None) if given.is_some() => {
                return Err(Place::Body.refuse("issueAfterResetPriority", "it needs issueAfterReset"));
            }
            (None, None) => None,
        };
        Ok(MeteredDraft {
            is_soft_limit: self.is_soft_limit.unwrap_or(false),
            measure_from,
            issue,
            preserves_overage: self.preserve_overage_at_reset.unwrap_or(false),
        })
    }
}

fn issue_of(name: &str, Amount(amount): Amount, priority: Option<u8>) -> Result<Issue, Problem> {
    match amount < Quantity::ZERO {
        true => Err(Place::Body.refuse(name, "number must be at least 0")),
        false => Ok(Issue { amount, priority: priority.unwrap_or(ISSUE_PRIORITY) }),
    }
}

/// A reset to make. Further fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = ResetEntitlementUsageInput, example = json!({"retainAnchor": true}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResetInput {
    /// When, cut to the minute; now by default. Not ahead, not before the current usage period, and after the last reset.
    #[schema(format = DateTime)]
    effective_at: Option<String>,
    /// Whether usage periods go on following each other as before (false): otherwise they begin anew with the reset.
    retain_anchor: Option<bool>,
    /// Whether overage is paid in the new period; as the entitlement says by default.
    preserve_overage: Option<bool>,
}

impl ResetInput {
    /// In the engine's words.
    pub(crate) fn read(self) -> Result<ResetDraft, Problem> {
        Ok(ResetDraft {
            effective_at: body_instant("effectiveAt", self.effective_at.as_deref())?,
            retains_anchor: self.retain_anchor.unwrap_or(false),
            preserves_overage: self.preserve_overage,
        })
    }
}
