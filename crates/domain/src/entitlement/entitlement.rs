//! An entitlement as it is kept, and the rules for making one, for its grants and for its resets.

use super::grant::{Expiration, Grant};
use super::usage_period::{Reset, UsagePeriods};
use crate::feature::{Feature, METERED};
use crate::json;
use crate::meter::{Aggregation, Meter};
use crate::quantity::Quantity;
use crate::time::{Instant, Interval, Period, Recurrence};
use crate::{CustomerId, EntitlementId, FeatureId, GrantId};
use std::collections::BTreeMap;

/// The deepest nesting of a static configuration.
const MAX_CONFIG_DEPTH: usize = 64;
/// The longest static configuration, in bytes.
const MAX_CONFIG_BYTES: usize = 65_536;

/// The most usage periods that lie behind a new entitlement.
const MAX_PAST_PERIODS: u64 = 50_000;

/// What a customer may use of a feature, from when to when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entitlement {
    /// Identity.
    pub id: EntitlementId,
    /// Who may use it.
    pub customer: CustomerId,
    /// The feature.
    pub feature: FeatureId,
    /// The feature's key.
    pub feature_key: String,
    /// How its use is limited.
    pub kind: Kind,
    /// How usage periods follow each other; what is metered has one.
    pub usage_period: Option<Recurrence>,
    /// The user's own labels.
    pub metadata: BTreeMap<String, String>,
    /// Labels of the program.
    pub annotations: BTreeMap<String, String>,
    /// From when on it is in force.
    pub active_from: Instant,
    /// When it ends by itself, or ended for another one.
    pub active_to: Option<Instant>,
    /// When it was created.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
    /// When it was deleted.
    pub deleted_at: Option<Instant>,
}

/// How the use of a feature is limited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// By grants that usage is taken from.
    Metered(Metered),
    /// By what a configuration says, a JSON document.
    Static {
        /// The document as it was given.
        config: String,
    },
    /// Not at all.
    Boolean,
}

/// What is particular to a metered entitlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metered {
    /// Whether access stays when nothing is left.
    pub is_soft_limit: bool,
    /// From when on usage counts; a whole minute.
    pub measured_from: Instant,
    /// What is there anew in each period.
    pub issue: Option<Issue>,
    /// Whether overage is paid in the next period.
    pub preserves_overage: bool,
}

/// An amount that is there anew in each period: a grant that keeps exactly as much at each reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How much; more than nothing.
    pub amount: Quantity,
    /// The grant's priority.
    pub priority: u8,
}

/// A kind of entitlement, by its published name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KindName {
    /// Limited by grants.
    Metered,
    /// Limited by a configuration.
    Static,
    /// Not limited.
    Boolean,
}

impl KindName {
    /// All kinds.
    pub const ALL: [KindName; 3] = [KindName::Metered, KindName::Static, KindName::Boolean];

    /// The published name.
    pub fn as_str(self) -> &'static str {
        match self {
            KindName::Metered => "metered",
            KindName::Static => "static",
            KindName::Boolean => "boolean",
        }
    }

    /// Parses the published name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// An entitlement as a request describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntitlementDraft {
    /// How the use is limited.
    pub kind: KindDraft,
    /// The interval of usage periods, and a boundary; now when absent.
    pub usage_period: Option<(Interval, Option<Instant>)>,
    /// The user's own labels.
    pub metadata: BTreeMap<String, String>,
}

/// How the use is limited, as a request describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KindDraft {
    /// By grants.
    Metered(MeteredDraft),
    /// By a configuration.
    Static {
        /// A JSON document.
        config: String,
    },
    /// Not at all.
    Boolean,
}

/// A metered entitlement as a request describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeteredDraft {
    /// Whether access stays when nothing is left.
    pub is_soft_limit: bool,
    /// From when on usage counts.
    pub measure_from: MeasureFrom,
    /// What is there anew in each period; an amount of zero is none.
    pub issue: Option<Issue>,
    /// Whether overage is paid in the next period.
    pub preserves_overage: bool,
}

/// From when on usage counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MeasureFrom {
    /// From the creation of the entitlement on.
    #[default]
    Now,
    /// From the beginning of the usage period that holds the creation.
    CurrentPeriod,
    /// From this moment on.
    At(Instant),
}

/// A grant as a request describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantDraft {
    /// How much.
    pub amount: Quantity,
    /// Lower ones are burned first.
    pub priority: u8,
    /// From when on it can be burned.
    pub effective_at: Instant,
    /// When it ends; never if absent.
    pub expiration: Option<Expiration>,
    /// The least that it has after a reset.
    pub min_rollover: Quantity,
    /// The most that it has after a reset.
    pub max_rollover: Quantity,
    /// The interval at which it is full again, and a boundary; its beginning when absent.
    pub recurrence: Option<(Interval, Option<Instant>)>,
    /// The user's own labels.
    pub metadata: BTreeMap<String, String>,
    /// Labels of the program.
    pub annotations: BTreeMap<String, String>,
}

/// A reset as a request describes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResetDraft {
    /// When; now if absent.
    pub effective_at: Option<Instant>,
    /// Whether periods go on following each other as before.
    pub retains_anchor: bool,
    /// Whether overage is paid in the next period; as the entitlement says if absent.
    pub preserves_overage: Option<bool>,
}

/// One thing that is wrong with a draft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EntitlementFault {
    /// The field at fault.
    pub field: &'static str,
    /// A stable word for the kind of fault.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

fn fault(field: &'static str, code: &'static str, message: impl Into<String>) -> EntitlementFault {
    EntitlementFault { field, code, message: message.into() }
}

impl Entitlement {
    /// Builds an entitlement to a live feature; all faults are reported, not only the first. `meter` is the feature's.
    ///
    /// # Errors
    /// All that is wrong with the draft.
    pub fn define(
        id: EntitlementId,
        customer: CustomerId,
        (feature, meter): (&Feature, Option<&Meter>),
        draft: EntitlementDraft,
        now: Instant,
    ) -> Result<Self, Vec<EntitlementFault>> {
        let mut faults = Vec::new();
        let usage_period = draft.usage_period.map(|(interval, anchor)| {
            let anchor = anchor.unwrap_or(now).floor_minute();
            Recurrence { interval, anchor }
        });
        let kind = match draft.kind {
            KindDraft::Boolean => Kind::Boolean,
            KindDraft::Static { config } => {
                faults.extend(config_fault(&config));
                Kind::Static { config }
            }
            KindDraft::Metered(metered) => {
                faults.extend(metered_faults(&metered, usage_period.is_some(), feature, meter));
                let metered = metered.settled(usage_period, now);
                faults.extend(usage_period.and_then(|recurrence| too_early(&metered, recurrence, now)));
                Kind::Metered(metered)
            }
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            id,
            customer,
            feature: feature.id,
            feature_key: feature.key.clone(),
            kind,
            usage_period,
            metadata: draft.metadata,
            annotations: BTreeMap::new(),
            active_from: now,
            active_to: None,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        })
    }

    /// The name of its kind.
    pub fn kind_name(&self) -> KindName {
        match &self.kind {
            Kind::Metered(_) => KindName::Metered,
            Kind::Static { .. } => KindName::Static,
            Kind::Boolean => KindName::Boolean,
        }
    }

    /// When it is in force. A deletion ends it unless it had an end before.
    pub fn active(&self) -> Period {
        let to = self.active_to.or(self.deleted_at).unwrap_or(Instant::MAX);
        Period { from: self.active_from, to }
    }

    /// Whether it and another one of the same customer and feature would be in force at the same time.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (one, two) = (self.active(), other.active());
        !one.is_empty() && !two.is_empty() && one.from < two.to && two.from < one.to
    }

    /// What is particular to a metered one, and its usage periods after these resets.
    pub fn metered(&self, resets: Vec<Reset>) -> Option<(&Metered, UsagePeriods)> {
        let (Kind::Metered(metered), Some(recurrence)) = (&self.kind, self.usage_period) else { return None };
        Some((metered, UsagePeriods::new(metered.measured_from, recurrence, metered.preserves_overage, resets)))
    }

    /// The grant of what is there anew in each period, if something is.
    pub fn issued_grant(&self, id: GrantId) -> Option<Grant> {
        let Kind::Metered(Metered { issue: Some(Issue { amount, priority }), measured_from, .. }) = self.kind else {
            return None;
        };
        Some(Grant {
            id,
            entitlement: self.id,
            amount,
            priority,
            effective_at: measured_from,
            expiration: None,
            min_rollover: amount,
            max_rollover: amount,
            recurrence: None,
            metadata: BTreeMap::new(),
            annotations: BTreeMap::from([("issueAfterReset".into(), "true".into())]),
            created_at: self.created_at,
            updated_at: self.created_at,
            voided_at: None,
            deleted_at: None,
        })
    }
}

impl MeteredDraft {
    fn settled(self, usage_period: Option<Recurrence>, now: Instant) -> Metered {
        let measured_from = match (self.measure_from, usage_period) {
            (MeasureFrom::At(instant), _) => instant,
            (MeasureFrom::CurrentPeriod, Some(recurrence)) => recurrence.period_of(now).from,
            (MeasureFrom::CurrentPeriod | MeasureFrom::Now, _) => now,
        };
        Metered {
            is_soft_limit: self.is_soft_limit,
            measured_from: measured_from.floor_minute(),
            issue: self.issue.filter(|issue| issue.amount.is_positive()),
            preserves_overage: self.preserves_overage,
        }
    }
}

fn too_early(metered: &Metered, recurrence: Recurrence, now: Instant) -> Option<EntitlementFault> {
    let periods = recurrence.interval.about_how_many(metered.measured_from, now);
    let message = || {
        format!(
            "measureUsageFrom lies {periods} usage periods back, at most {MAX_PAST_PERIODS} are allowed: use a later moment \
             or longer periods"
        )
    };
    (periods > MAX_PAST_PERIODS).then(|| fault("measureUsageFrom", "measure_usage_from_too_early", message()))
}

fn config_fault(config: &str) -> Option<EntitlementFault> {
    if config.len() > MAX_CONFIG_BYTES {
        let message = format!("config has {} bytes, at most {MAX_CONFIG_BYTES} are allowed", config.len());
        return Some(fault("config", "config_too_long", message));
    }
    let error = json::check(config, MAX_CONFIG_DEPTH).err()?;
    Some(fault("config", "config_not_json", format!("config must be a text that is JSON: {error}")))
}

fn metered_faults(
    draft: &MeteredDraft,
    has_period: bool,
    feature: &Feature,
    meter: Option<&Meter>,
) -> Vec<EntitlementFault> {
    let mut faults = Vec::new();
    if !has_period {
        faults.push(fault("usagePeriod", "usage_period_required", "a metered entitlement needs a usage period"));
    }
    if draft.issue.is_some_and(|issue| issue.amount < Quantity::ZERO) {
        faults.push(fault("issue.amount", "issue_amount_negative", "the amount must not be below zero"));
    }
    match meter {
        None => {
            let message = format!("feature {} has no meter, so its use cannot be measured", feature.key);
            faults.push(fault("featureKey", "feature_has_no_meter", message));
        }
        Some(meter) if !can_be_balanced(meter.aggregation) => {
            let message = format!(
                "the meter {} gives {}, which goes down without anything being given back, so no balance can be kept of it: \
                 use a feature whose meter is SUM, COUNT, UNIQUE_COUNT or LATEST",
                meter.slug,
                meter.aggregation.as_str()
            );
            faults.push(fault("featureKey", "aggregation_not_supported", message));
        }
        Some(_) => {}
    }
    faults
}

/// Whether usage by this aggregation can be taken from grants. An average or an extreme goes down again without anything being
/// given back, so what was burned would depend on when somebody asked.
pub fn can_be_balanced(aggregation: Aggregation) -> bool {
    METERED.contains(&aggregation)
}

impl Grant {
    /// Builds a grant of an entitlement whose usage periods are these.
    ///
    /// # Errors
    /// All that is wrong with the draft.
    pub fn define(
        id: GrantId,
        entitlement: EntitlementId,
        periods: &UsagePeriods,
        draft: GrantDraft,
        now: Instant,
    ) -> Result<Self, Vec<EntitlementFault>> {
        let mut faults = Vec::new();
        let effective_at = draft.effective_at.floor_minute();
        if !draft.amount.is_positive() {
            faults.push(fault("amount", "grant_amount_must_be_positive", "amount must be more than zero"));
        }
        if draft.min_rollover < Quantity::ZERO || draft.max_rollover < Quantity::ZERO {
            let message = "what is kept at a reset must not be below zero";
            faults.push(fault("maxRolloverAmount", "grant_rollover_negative", message));
        }
        let current = periods.containing(now);
        if effective_at < current.from {
            let message =
                format!("effectiveAt must not be before the current usage period, which began at {}", current.from);
            faults.push(fault("effectiveAt", "grant_effective_before_period", message));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let recurrence = draft.recurrence.map(|(interval, anchor)| {
            let anchor = anchor.unwrap_or(effective_at).floor_minute();
            Recurrence { interval, anchor }
        });
        Ok(Self {
            id,
            entitlement,
            amount: draft.amount,
            priority: draft.priority,
            effective_at,
            expiration: draft.expiration,
            min_rollover: draft.min_rollover,
            max_rollover: draft.max_rollover,
            recurrence,
            metadata: draft.metadata,
            annotations: draft.annotations,
            created_at: now,
            updated_at: now,
            voided_at: None,
            deleted_at: None,
        })
    }

    /// This grant voided at a moment, which is now if it is not said.
    ///
    /// # Errors
    /// If the moment lies ahead or before the current usage period, or the grant was voided before.
    pub fn voided(&self, at: Option<Instant>, periods: &UsagePeriods, now: Instant) -> Result<Self, EntitlementFault> {
        let voided_at = at.unwrap_or(now).floor_minute();
        let current = periods.containing(now);
        if let Some(before) = self.voided_at {
            return Err(fault("grantId", "grant_voided", format!("grant {} was voided at {before}", self.id)));
        }
        if voided_at > now {
            return Err(fault("at", "void_ahead", "a grant cannot be voided at a moment that lies ahead"));
        }
        if voided_at < current.from {
            let message =
                format!("a grant cannot be voided before the current usage period, which began at {}", current.from);
            return Err(fault("at", "void_before_period", message));
        }
        Ok(Self { voided_at: Some(voided_at), updated_at: now, ..self.clone() })
    }
}

impl UsagePeriods {
    /// The reset that a draft describes.
    ///
    /// # Errors
    /// If it lies ahead, before the current period, or not after the last reset that somebody asked for.
    pub fn reset(&self, draft: ResetDraft, now: Instant) -> Result<Reset, EntitlementFault> {
        let at = draft.effective_at.unwrap_or(now).floor_minute();
        let current = self.containing(now);
        let last = self.last_reset(Instant::MAX);
        if at > now {
            return Err(fault("effectiveAt", "reset_ahead", "a reset cannot be at a moment that lies ahead"));
        }
        if at < current.from {
            let message = format!("a reset cannot be before the current usage period, which began at {}", current.from);
            return Err(fault("effectiveAt", "reset_before_period", message));
        }
        if at <= last {
            let message = format!("a reset must be after the last one, which was at {last}; both in whole minutes");
            return Err(fault("effectiveAt", "reset_not_after_last", message));
        }
        let known = self.recurrence_at(at);
        let recurrence = if draft.retains_anchor { known } else { Recurrence { anchor: at, ..known } };
        let preserves_overage = draft.preserves_overage.unwrap_or(self.preserves_overage());
        Ok(Reset { at, recurrence, preserves_overage })
    }
}

#[cfg(test)]
mod tests;
