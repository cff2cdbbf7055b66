//! What a meter is made of, and the rules that a definition must keep.

use super::aggregation::Aggregation;
use super::json_path::JsonPath;
use super::judging::Metered;
use super::judging::{ActivePeriod, Judging, MAX_CONDITIONS, NewJudging, Rule, RuleValue};
use super::metered::{units_path, without_metered};
use super::value::{NotCounted, distinct_value, numeric_value};
use crate::details::{Details, merged};
use crate::event::StoredEvent;
use crate::{Instant, MeterId};
use std::collections::BTreeMap;

/// Names that rows and columns of answers already have. A dimension of the same name could not be told apart from them.
const RESERVED_GROUP_BY_KEYS: [&str; 5] = ["subject", "customer_id", "value", "window_start", "window_end"];

/// A meter. Its aggregation, event type and value property never change; the rest can be updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    /// Identity.
    pub id: MeterId,
    /// Name in paths, unique among the live meters of a namespace.
    pub slug: String,
    /// Name for people.
    pub name: String,
    /// Longer text for people.
    pub description: Option<String>,
    /// How values add up.
    pub aggregation: Aggregation,
    /// The type of the events that it wants.
    pub event_type: String,
    /// Events before it never count.
    pub event_from: Option<Instant>,
    /// Where the value is; `None` for COUNT only. Of a meter that judges, where the units are that it gave the event.
    pub value_property: Option<JsonPath>,
    /// How it judges events when they are accepted; `None` when it reads them whenever it is asked.
    pub judging: Option<Judging>,
    /// Named dimensions.
    pub group_by: BTreeMap<String, JsonPath>,
    /// The user's own labels; `None` when never set.
    pub metadata: Option<BTreeMap<String, String>>,
    /// What doors keep with it.
    pub details: Details,
    /// When it was created.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
    /// When it was deleted; its events stay.
    pub deleted_at: Option<Instant>,
}

/// A definition that was not checked yet: from a request or from the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterDefinition {
    /// Identity, when the creator chose it.
    pub id: Option<MeterId>,
    /// Name in paths.
    pub slug: String,
    /// Name for people; the slug when absent.
    pub name: Option<String>,
    /// Longer text for people.
    pub description: Option<String>,
    /// How values add up.
    pub aggregation: Aggregation,
    /// The type of the events that it wants.
    pub event_type: String,
    /// Events before it never count.
    pub event_from: Option<Instant>,
    /// JSONPath of the value; none for a meter that judges.
    pub value_property: Option<String>,
    /// How it judges events when they are accepted.
    pub judging: Option<NewJudging>,
    /// JSONPath of each dimension.
    pub group_by: BTreeMap<String, String>,
    /// The user's own labels.
    pub metadata: Option<BTreeMap<String, String>>,
    /// What doors keep with it.
    pub details: Details,
}

/// What a user may change: what is absent returns to its default; the description says for itself what happens to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeterUpdate {
    /// Name for people; the slug when absent.
    pub name: Option<String>,
    /// Longer text for people.
    pub description: DescriptionUpdate,
    /// JSONPath of each dimension; replaces all.
    pub group_by: BTreeMap<String, String>,
    /// The user's own labels; replaces all.
    pub metadata: Option<BTreeMap<String, String>>,
    /// Replaces what the doors in it keep.
    pub details: Details,
}

/// What happens to a description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DescriptionUpdate {
    /// It stays.
    #[default]
    Keep,
    /// It is removed.
    Clear,
    /// It becomes this.
    Set(String),
}

impl DescriptionUpdate {
    pub(super) fn new_text(&self) -> Option<&str> {
        if let Self::Set(text) = self { Some(text) } else { None }
    }

    pub(super) fn applied_to(self, old: Option<&String>) -> Option<String> {
        match self {
            Self::Keep => old.cloned(),
            Self::Clear => None,
            Self::Set(text) => Some(text),
        }
    }
}

/// One thing that is wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct MeterFault {
    /// The field at fault, for example `groupBy.model`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl MeterFault {
    pub(super) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl Meter {
    /// Builds a meter from a definition; all faults are reported, not only the first.
    pub fn define(id: MeterId, definition: MeterDefinition, now: Instant) -> Result<Self, Vec<MeterFault>> {
        let mut faults = text_faults(definition.name.as_deref(), definition.description.as_deref());
        if !valid_slug(&definition.slug) {
            faults.push(MeterFault::new("slug", slug_rule(&definition.slug)));
        }
        if definition.event_type.is_empty() {
            faults.push(MeterFault::new("eventType", "eventType must not be empty"));
        }
        let value_property = match &definition.judging {
            None => value_path(definition.aggregation, definition.value_property.as_deref(), &mut faults),
            Some(judging) => {
                faults.extend(judging_faults(&judging.rule, definition.aggregation));
                if definition.value_property.is_some() {
                    let message =
                        "valueProperty is not allowed when the meter judges events: its rule says what counts";
                    faults.push(MeterFault::new("valueProperty", message));
                }
                units_path(id)
            }
        };
        let group_by = group_paths(&definition.group_by, definition.value_property.as_deref(), &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            id,
            name: definition.name.unwrap_or_else(|| definition.slug.clone()),
            slug: definition.slug,
            description: definition.description,
            aggregation: definition.aggregation,
            event_type: definition.event_type,
            event_from: definition.event_from,
            value_property,
            judging: definition.judging.map(|NewJudging { rule, active_from }| {
                let active = active_from.map(|from| ActivePeriod { from, to: None });
                Judging { rule, active: active.into_iter().collect() }
            }),
            group_by,
            metadata: definition.metadata,
            details: definition.details,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        })
    }

    /// This meter with an update applied.
    pub fn updated(&self, update: MeterUpdate, now: Instant) -> Result<Self, Vec<MeterFault>> {
        let mut faults = text_faults(update.name.as_deref(), update.description.new_text());
        let value_text = self.value_property.as_ref().map(JsonPath::as_str);
        let group_by = group_paths(&update.group_by, value_text, &mut faults);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            name: update.name.unwrap_or_else(|| self.slug.clone()),
            description: update.description.applied_to(self.description.as_ref()),
            group_by,
            metadata: update.metadata,
            details: merged(&self.details, update.details),
            updated_at: now,
            ..self.clone()
        })
    }

    /// Whether an event of this meter's type counts, and if not, why.
    pub fn judge(&self, stored: &StoredEvent) -> Result<(), NotCounted> {
        let data = stored.event.data();
        if self.judging.is_some() {
            return self.judged(data);
        }
        match (&self.value_property, self.aggregation) {
            (None, _) | (_, Aggregation::Count) => Ok(()),
            (Some(path), Aggregation::UniqueCount) => distinct_value(data, path).map(drop),
            (Some(path), _) => numeric_value(data, path).map(drop),
        }
    }

    /// Whether it counted an event when that was accepted, and if not, why.
    fn judged(&self, data: Option<&str>) -> Result<(), NotCounted> {
        let (_, metered) = without_metered(data);
        match metered.into_iter().find(|(meter, _)| *meter == self.id) {
            Some((_, Metered::Units(_))) => Ok(()),
            Some((_, Metered::Fault(why))) => Err(NotCounted::RuleFailed { why }),
            None => Err(NotCounted::NotSelected),
        }
    }

    /// The fields in which a definition differs from this meter: what a configuration file says and the store does not.
    pub fn drift_from(&self, definition: &MeterDefinition) -> Vec<&'static str> {
        let group_by: BTreeMap<_, _> =
            self.group_by.iter().map(|(key, path)| (key.clone(), path.to_string())).collect();
        let name = definition.name.as_deref().unwrap_or(&definition.slug);
        let differences = [
            ("name", self.name != name),
            ("description", definition.description.is_some() && self.description != definition.description),
            ("aggregation", self.aggregation != definition.aggregation),
            ("eventType", self.event_type != definition.event_type),
            ("eventFrom", self.event_from != definition.event_from),
            (
                "valueProperty",
                self.value_property.as_ref().map(JsonPath::as_str) != definition.value_property.as_deref(),
            ),
            ("groupBy", group_by != definition.group_by),
            ("metadata", definition.metadata.is_some() && self.metadata != definition.metadata),
        ];
        differences.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
    }
}

/// Whether a text is a slug: 1–64 of lowercase letters and digits, words joined by single underscores.
pub fn valid_slug(text: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    text.len() <= 64 && text.split('_').all(word)
}

/// Whether a text can name a dimension: a letter or underscore, then letters, digits and underscores.
pub fn valid_group_by_key(text: &str) -> bool {
    let starts_well = text.bytes().next().is_some_and(|c| c.is_ascii_alphabetic() || c == b'_');
    starts_well && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

fn slug_rule(slug: &str) -> String {
    let shown: String = slug.chars().take(80).collect();
    format!("slug {shown:?} is not valid: use 1 to 64 lowercase letters and digits, words joined by single underscores")
}

pub(super) fn text_faults(name: Option<&str>, description: Option<&str>) -> Vec<MeterFault> {
    let mut faults = Vec::new();
    if name.is_some_and(|name| name.is_empty() || name.chars().count() > 256) {
        faults.push(MeterFault::new("name", "name must have 1 to 256 characters"));
    }
    if description.is_some_and(|text| text.is_empty() || text.chars().count() > 1024) {
        faults.push(MeterFault::new("description", "description must have 1 to 1024 characters"));
    }
    faults
}

/// What is wrong with a rule.
pub(super) fn judging_faults(rule: &Rule, aggregation: Aggregation) -> Vec<MeterFault> {
    let mut faults = Vec::new();
    if rule.conditions.len() > MAX_CONDITIONS {
        let message = format!("there are {} conditions, at most {MAX_CONDITIONS} are allowed", rule.conditions.len());
        faults.push(MeterFault::new("conditions", message));
    }
    if aggregation == Aggregation::Count {
        let message = "a meter that judges events gives each a number of units: use SUM over one unit each";
        faults.push(MeterFault::new("aggregation", message));
    }
    let mut paths = rule.conditions.iter().map(|condition| &condition.any_of);
    if paths.any(Vec::is_empty) || matches!(&rule.value, RuleValue::Property(paths) if paths.is_empty()) {
        faults.push(MeterFault::new("rule", "a condition and a value need a path at least"));
    }
    faults
}

fn value_path(aggregation: Aggregation, text: Option<&str>, faults: &mut Vec<MeterFault>) -> Option<JsonPath> {
    let name = aggregation.as_str();
    match (aggregation, text) {
        (Aggregation::Count, None) => None,
        (Aggregation::Count, Some(_)) => {
            faults.push(MeterFault::new(
                "valueProperty",
                format!("valueProperty is not allowed when the aggregation is {name}"),
            ));
            None
        }
        (_, None | Some("")) => {
            faults.push(MeterFault::new(
                "valueProperty",
                format!("valueProperty is required when the aggregation is {name}"),
            ));
            None
        }
        (_, Some(text)) => JsonPath::parse(text)
            .map_err(|error| faults.push(MeterFault::new("valueProperty", format!("invalid JSONPath: {error}"))))
            .ok(),
    }
}

fn group_paths(
    texts: &BTreeMap<String, String>,
    value_text: Option<&str>,
    faults: &mut Vec<MeterFault>,
) -> BTreeMap<String, JsonPath> {
    let mut paths = BTreeMap::new();
    for (key, text) in texts {
        let field = format!("groupBy.{key}");
        if !valid_group_by_key(key) {
            faults.push(MeterFault::new(
                field,
                format!("group by key {key:?} is not valid: use a letter or '_', then letters, digits and '_'"),
            ));
        } else if RESERVED_GROUP_BY_KEYS.contains(&key.as_str()) {
            let names = RESERVED_GROUP_BY_KEYS.join(", ");
            faults.push(MeterFault::new(
                field,
                format!("group by key {key:?} is reserved: answers have {names} of their own; use another name"),
            ));
        } else if Some(text.as_str()) == value_text {
            faults.push(MeterFault::new(field, format!("group by {key} value cannot be the same as valueProperty")));
        } else {
            match JsonPath::parse(text) {
                Ok(path) => drop(paths.insert(key.clone(), path)),
                Err(error) => {
                    faults.push(MeterFault::new(field, format!("invalid JSONPath for {key} group by: {error}")))
                }
            }
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> MeterDefinition {
        MeterDefinition {
            id: None,
            judging: None,
            details: Default::default(),
            slug: "tokens_total".into(),
            name: None,
            description: None,
            aggregation: Aggregation::Sum,
            event_type: "prompt".into(),
            event_from: None,
            value_property: Some("$.tokens".into()),
            group_by: [("model".to_string(), "$.model".to_string())].into(),
            metadata: None,
        }
    }

    fn define(definition: MeterDefinition) -> Result<Meter, Vec<MeterFault>> {
        let now = Instant::parse_rfc3339("2024-01-01T00:00:00Z").unwrap();
        Meter::define(MeterId::from_parts(1, 1), definition, now)
    }

    #[test]
    fn a_sound_definition_becomes_a_meter() {
        let meter = define(definition()).unwrap();
        assert_eq!((meter.name.as_str(), meter.drift_from(&definition())), ("tokens_total", vec![]));
        assert_eq!(meter.drift_from(&MeterDefinition { event_type: "x".into(), ..definition() }), ["eventType"]);
    }

    #[test]
    fn all_faults_are_named() {
        let bad = MeterDefinition {
            slug: "Bad-Slug".into(),
            event_type: String::new(),
            value_property: Some("tokens".into()),
            group_by: [("a-b", "$.x"), ("m", "$..y"), ("v", "tokens")].map(|(k, v)| (k.into(), v.into())).into(),
            ..definition()
        };
        let fields: Vec<_> = define(bad).unwrap_err().into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["slug", "eventType", "valueProperty", "groupBy.a-b", "groupBy.m", "groupBy.v"]);
    }

    #[test]
    fn names_that_answers_have_of_their_own_are_no_dimensions() {
        let meter = define(definition()).unwrap();
        for key in RESERVED_GROUP_BY_KEYS {
            let group_by: BTreeMap<_, _> = [(key.to_string(), "$.x".to_string())].into();
            let defined = define(MeterDefinition { group_by: group_by.clone(), ..definition() });
            let updated = meter.updated(MeterUpdate { group_by, ..MeterUpdate::default() }, meter.created_at);
            for faults in [defined.unwrap_err(), updated.unwrap_err()] {
                assert_eq!((faults.len(), faults[0].field.as_str()), (1, format!("groupBy.{key}").as_str()));
                assert!(faults[0].message.starts_with(&format!("group by key \"{key}\" is reserved")), "{faults:?}");
            }
        }
        let group_by = [("Subject", "$.a"), ("values", "$.b")].map(|(k, v)| (k.into(), v.into())).into();
        assert!(define(MeterDefinition { group_by, ..definition() }).is_ok());
    }

    #[test]
    fn count_has_no_value_and_the_others_have_one() {
        let count = MeterDefinition { aggregation: Aggregation::Count, ..definition() };
        assert!(define(count.clone()).is_err());
        assert!(define(MeterDefinition { value_property: None, ..count }).is_ok());
        for aggregation in Aggregation::ALL.into_iter().filter(|a| *a != Aggregation::Count) {
            assert!(define(MeterDefinition { aggregation, value_property: None, ..definition() }).is_err());
        }
    }

    #[test]
    fn slugs_follow_the_published_pattern() {
        for good in ["a", "a_b", "1", "api_requests_total"] {
            assert!(valid_slug(good), "{good}");
        }
        for bad in ["", "_a", "a_", "a__b", "A", "a-b", &"a".repeat(65)] {
            assert!(!valid_slug(bad), "{bad}");
        }
    }

    #[test]
    fn an_update_replaces_dimensions_and_keeps_the_description() {
        let meter =
            define(MeterDefinition { description: Some("d".into()), name: Some("n".into()), ..definition() }).unwrap();
        let updated = meter.updated(MeterUpdate::default(), meter.created_at).unwrap();
        assert_eq!(
            (updated.name.as_str(), updated.description.as_deref(), updated.group_by.len()),
            ("tokens_total", Some("d"), 0)
        );
        for (description, expected) in
            [(DescriptionUpdate::Clear, None), (DescriptionUpdate::Set("e".into()), Some("e".to_string()))]
        {
            let update = MeterUpdate { description, ..MeterUpdate::default() };
            assert_eq!(meter.updated(update, meter.created_at).unwrap().description, expected);
        }
    }
}
