//! Features: what a customer is given access to, and which part of a meter measures its use.

use crate::id::looks_like_ulid;
use crate::meter::{Aggregation, Filter, Meter, valid_slug};
use crate::quantity::Quantity;
use crate::{FeatureId, Instant, MeterId};
use std::collections::BTreeMap;

/// Aggregations that grow with use, so that they can be counted against an allowance.
pub(crate) const METERED: [Aggregation; 4] =
    [Aggregation::Sum, Aggregation::Count, Aggregation::UniqueCount, Aggregation::Latest];

/// Kinds of tokens of language models.
const TOKEN_TYPES: [&str; 7] = ["input", "output", "cache_read", "reasoning", "cache_write", "request", "response"];

/// A feature. Nothing of it is ever changed but its unit cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Identity.
    pub id: FeatureId,
    /// Name in paths, unique among the live features of a namespace.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// Longer text for people.
    pub description: Option<String>,
    /// The user's own labels.
    pub metadata: BTreeMap<String, String>,
    /// What measures its use; a feature without one is there or not.
    pub meter: Option<FeatureMeter>,
    /// Conditions on the meter's dimensions; all must hold.
    pub filters: BTreeMap<String, Filter>,
    /// What a unit of use costs the operator.
    pub unit_cost: Option<UnitCost>,
    /// When it was created.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
    /// When it was archived; nobody can be given it any more.
    pub archived_at: Option<Instant>,
}

/// The meter of a feature. While the feature lives its meter cannot be deleted, so both names stay true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureMeter {
    /// Identity.
    pub id: MeterId,
    /// Name in paths.
    pub slug: String,
}

/// What a unit of use costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitCost {
    /// A fixed amount, never negative.
    Manual(Quantity),
    /// The price of a language model's token.
    Llm {
        /// Who runs the model.
        provider: Source,
        /// The model.
        model: Source,
        /// The kind of token.
        token_type: Source,
    },
}

/// Where a word comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is the value of this dimension of the meter.
    Dimension(String),
    /// It is always this.
    Fixed(String),
}

/// A unit cost as a request describes it, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitCostDraft {
    /// A fixed amount, as a decimal text.
    Manual(String),
    /// The price of a language model's token.
    Llm {
        /// Who runs the model.
        provider: SourceDraft,
        /// The model.
        model: SourceDraft,
        /// The kind of token.
        token_type: SourceDraft,
    },
}

/// Where a word comes from: exactly one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceDraft {
    /// A dimension of the meter.
    pub dimension: Option<String>,
    /// The word itself.
    pub fixed: Option<String>,
}

/// A feature as a request describes it, not yet checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureDraft {
    /// Name in paths.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// Longer text for people.
    pub description: Option<String>,
    /// The user's own labels.
    pub metadata: BTreeMap<String, String>,
    /// Conditions on the meter's dimensions.
    pub filters: BTreeMap<String, Filter>,
    /// What a unit of use costs.
    pub unit_cost: Option<UnitCostDraft>,
}

/// One thing that is wrong with a draft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FeatureFault {
    /// The field at fault.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Feature {
    /// Builds a feature from a draft and its meter; all faults are reported, not only the first.
    pub fn define(
        id: FeatureId,
        draft: FeatureDraft,
        meter: Option<&Meter>,
        now: Instant,
    ) -> Result<Self, Vec<FeatureFault>> {
        let mut faults = Faults(text_faults(&draft));
        if let Some(meter) = meter {
            meter_faults(meter, &draft.filters, &mut faults);
        }
        let unit_cost = draft.unit_cost.and_then(|cost| unit_cost(cost, meter, &mut faults));
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        Ok(Self {
            id,
            key: draft.key,
            name: draft.name,
            description: draft.description,
            metadata: draft.metadata,
            meter: meter.map(|meter| FeatureMeter { id: meter.id, slug: meter.slug.clone() }),
            filters: draft.filters,
            unit_cost,
            created_at: now,
            updated_at: now,
            archived_at: None,
        })
    }

    /// This feature with another unit cost, or with none. `meter` is its meter.
    pub fn with_unit_cost(
        self,
        cost: Option<UnitCostDraft>,
        meter: Option<&Meter>,
        now: Instant,
    ) -> Result<Self, Vec<FeatureFault>> {
        let mut faults = Faults(vec![]);
        let unit_cost = cost.and_then(|cost| unit_cost(cost, meter, &mut faults));
        match faults.0.is_empty() {
            true => Ok(Self { unit_cost, updated_at: now, ..self }),
            false => Err(faults.0),
        }
    }

    /// The dimensions of its meter that it needs.
    fn dimensions(&self) -> impl Iterator<Item = &str> {
        let sources = match &self.unit_cost {
            Some(UnitCost::Llm { provider, model, token_type }) => vec![provider, model, token_type],
            _ => vec![],
        };
        let of_cost = sources.into_iter().filter_map(|source| match source {
            Source::Dimension(name) => Some(name.as_str()),
            Source::Fixed(_) => None,
        });
        self.filters.keys().map(String::as_str).chain(of_cost)
    }
}

/// Why a meter cannot become like this: live features that measure by it would lose what they need.
pub fn meter_change_obstacle(meter: &Meter, users: &[Feature]) -> Option<String> {
    if meter.deleted_at.is_some() && !users.is_empty() {
        let keys: Vec<_> = users.iter().map(|feature| feature.key.as_str()).collect();
        return Some(format!("meter has active features and cannot be deleted: archive {} first", keys.join(", ")));
    }
    users.iter().find_map(|feature| {
        let lost = feature.dimensions().find(|name| !meter.group_by.contains_key(*name))?;
        Some(format!("meter group by: {lost} cannot be dropped because it is used by feature: {}", feature.key))
    })
}

struct Faults(Vec<FeatureFault>);

impl Faults {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(FeatureFault { field: field.into(), message: message.into() });
    }
}

fn text_faults(draft: &FeatureDraft) -> Vec<FeatureFault> {
    let mut faults = Faults(vec![]);
    let shown: String = draft.key.chars().take(80).collect();
    if !valid_slug(&draft.key) {
        let rule = "use 1 to 64 lowercase letters and digits, words joined by single underscores";
        faults.add("key", format!("key {shown:?} is not valid: {rule}"));
    } else if looks_like_ulid(&draft.key) {
        faults.add("key", format!("key {shown:?} is not valid: it must not look like an id (a ULID)"));
    }
    if !(1..=1024).contains(&draft.name.chars().count()) {
        faults.add("name", "name must have 1 to 1024 characters");
    }
    if draft.description.as_deref().is_some_and(|text| text.chars().count() > 1024) {
        faults.add("description", "description must have at most 1024 characters");
    }
    faults.0
}

fn meter_faults(meter: &Meter, filters: &BTreeMap<String, Filter>, faults: &mut Faults) {
    if !METERED.contains(&meter.aggregation) {
        let (slug, aggregation) = (&meter.slug, meter.aggregation.as_str());
        let usable = METERED.map(Aggregation::as_str).join(", ");
        let message = format!(
            "meter {slug}'s aggregation is {aggregation} but features can only be created for {usable}: \
                     what goes down without anything being given back cannot be taken from grants"
        );
        faults.add("meterSlug", message);
    }
    for name in filters.keys().filter(|name| !meter.group_by.contains_key(*name)) {
        let field = format!("advancedMeterGroupByFilters.{name}");
        faults.add(field, format!("invalid filters for feature: {}", no_dimension(meter, name)));
    }
}

fn no_dimension(meter: &Meter, name: &str) -> String {
    let shown: String = name.chars().take(80).collect();
    let known: Vec<_> = meter.group_by.keys().map(String::as_str).collect();
    format!("meter {} has no group by key {shown:?} (it has: {})", meter.slug, known.join(", "))
}

fn unit_cost(draft: UnitCostDraft, meter: Option<&Meter>, faults: &mut Faults) -> Option<UnitCost> {
    match draft {
        UnitCostDraft::Manual(amount) => match Quantity::parse(&amount) {
            Ok(amount) if amount >= Quantity::ZERO => Some(UnitCost::Manual(amount)),
            Ok(_) => {
                faults.add("unitCost.amount", "amount must not be negative");
                None
            }
            Err(error) => {
                faults.add("unitCost.amount", format!("amount: {error}"));
                None
            }
        },
        UnitCostDraft::Llm { provider, model, token_type } => {
            let Some(meter) = meter else {
                faults.add("unitCost", "a unit cost of type llm needs a meter: name one in meterSlug");
                return None;
            };
            let provider = source("provider", provider, meter, faults);
            let model = source("model", model, meter, faults);
            let token_type = source("tokenType", token_type, meter, faults);
            if let Some(Source::Fixed(word)) = &token_type
                && !TOKEN_TYPES.contains(&word.as_str())
            {
                faults.add("unitCost.tokenType", format!("tokenType must be one of {}", TOKEN_TYPES.join(", ")));
            }
            Some(UnitCost::Llm { provider: provider?, model: model?, token_type: token_type? })
        }
    }
}

fn source(name: &str, draft: SourceDraft, meter: &Meter, faults: &mut Faults) -> Option<Source> {
    match (draft.dimension, draft.fixed) {
        (Some(dimension), None) if meter.group_by.contains_key(&dimension) => Some(Source::Dimension(dimension)),
        (Some(dimension), None) => {
            faults.add(format!("unitCost.{name}Property"), no_dimension(meter, &dimension));
            None
        }
        (None, Some(word)) if !word.is_empty() => Some(Source::Fixed(word)),
        _ => {
            faults.add(format!("unitCost.{name}"), format!("exactly one of {name} and {name}Property must be set"));
            None
        }
    }
}

#[cfg(test)]
#[path = "feature_tests.rs"]
mod tests;
