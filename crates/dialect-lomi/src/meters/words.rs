//! A meter in the vendor's words: `filter` and `aggregation` as they were sent, and what they mean to the core.

use crate::{NAME, object_text, quoted};
use std::collections::BTreeMap;
use tallystick_domain::expression::Names;
use tallystick_domain::json::{self, JsonObject, Leaf};
use tallystick_domain::meter::{Aggregation, Condition, JsonPath, Meter, MeterStatus, Rule, RuleValue, Step};

/// The most conditions of a filter.
const MAX_CONDITIONS: usize = 50;
/// Characters of a code, of a property and of what a condition wants.
const MAX_TEXT: usize = 256;
/// Bytes of a filter and of an aggregation.
const MAX_OBJECT: usize = 8_192;
/// Names the event type in a filter.
const CODE: &str = "code";
const DEFAULT_AGGREGATION: &str = r#"{"type":"sum","property":"quantity"}"#;
const DEFAULT_PROPERTY: &str = "quantity";

/// What the vendor's clients see of a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub name: String,
    pub filter: JsonObject,
    pub aggregation: JsonObject,
    pub product_id: Option<String>,
}

/// What a filter and an aggregation mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// The event type, if the filter has one.
    pub code: Option<String>,
    pub aggregation: Aggregation,
    pub rule: Rule,
}

/// What is wrong with a filter or an aggregation, by field.
pub(crate) type Faults = Vec<(&'static str, String)>;

/// The aggregation of a meter that was created without one.
pub(crate) fn default_aggregation() -> JsonObject {
    JsonObject::parse(DEFAULT_AGGREGATION).unwrap_or_default()
}

impl Words {
    /// What is kept with the meter.
    pub(crate) fn to_details(&self) -> BTreeMap<String, JsonObject> {
        let product_id = self.product_id.as_deref().map_or_else(|| "null".into(), quoted);
        let members = [
            ("name", quoted(&self.name)),
            ("filter", self.filter.as_str().to_string()),
            ("aggregation", self.aggregation.as_str().to_string()),
            ("product_id", product_id),
        ];
        let text = object_text(members.map(|(name, value)| (name.to_string(), value)));
        JsonObject::parse(&text).map(|kept| [(NAME.to_string(), kept)].into()).unwrap_or_default()
    }

    /// A live meter as the vendor's clients see it; `None` when their words cannot say what it counts.
    pub(crate) fn of(meter: &Meter) -> Option<Self> {
        let kept = meter.details.get(NAME).map(Self::kept).unwrap_or_default();
        if meter.deleted_at.is_some() {
            return None;
        }
        let rule = meter.judging.as_ref().map(|judging| &judging.rule);
        // Another door may have changed what the meter counts since.
        let is_meant = |filter: &JsonObject, aggregation: &JsonObject| {
            Meaning::of(filter, aggregation)
                .is_ok_and(|meaning| Some(&meaning.rule) == rule && meaning.aggregation == meter.aggregation)
        };
        let (filter, aggregation) = match (kept.filter, kept.aggregation) {
            (Some(filter), Some(aggregation)) if is_meant(&filter, &aggregation) => (filter, aggregation),
            _ => foreign(meter)?,
        };
        Some(Self {
            name: kept.name.unwrap_or_else(|| meter.name.clone()),
            filter,
            aggregation,
            product_id: kept.product_id,
        })
    }

    fn kept(object: &JsonObject) -> Kept {
        let mut kept = Kept::default();
        // What the door wrote, it can read; anything else is as if it was not there.
        let text = |value: &str| match Leaf::of(value) {
            Leaf::Text(text) => Some(text.into_owned()),
            _ => None,
        };
        let read = json::members(object.as_str(), &mut |name, value| match name {
            "name" => kept.name = text(value),
            "product_id" => kept.product_id = text(value),
            "filter" => kept.filter = JsonObject::parse(value).ok(),
            "aggregation" => kept.aggregation = JsonObject::parse(value).ok(),
            _ => {}
        });
        read.map(|()| kept).unwrap_or_default()
    }
}

#[derive(Default)]
struct Kept {
    name: Option<String>,
    filter: Option<JsonObject>,
    aggregation: Option<JsonObject>,
    product_id: Option<String>,
}

/// Whether a meter counts events that are accepted now.
pub(crate) fn is_active(meter: &Meter) -> bool {
    meter.judging.as_ref().is_none_or(|judging| judging.status() == MeterStatus::Active)
}

/// The filter and the aggregation of a meter that another door made.
fn foreign(meter: &Meter) -> Option<(JsonObject, JsonObject)> {
    if meter.judging.as_ref().is_some_and(|judging| judging.rule.matcher.is_some()) {
        return None;
    }
    let (kind, paths) = match &meter.judging {
        None => (meter.aggregation, meter.value_property.iter().collect::<Vec<_>>()),
        Some(judging) => match &judging.rule.value {
            RuleValue::One if meter.aggregation == Aggregation::Sum => (Aggregation::Count, vec![]),
            RuleValue::Property(paths) => (meter.aggregation, paths.iter().collect()),
            _ => return None,
        },
    };
    let kind = match kind {
        Aggregation::Sum => "sum",
        Aggregation::Count => "count",
        Aggregation::Max => "max",
        Aggregation::Latest => "last_ever",
        _ => return None,
    };
    let mut aggregation = vec![("type".to_string(), quoted(kind))];
    aggregation.extend(paths.first().map(|path| ("property".to_string(), quoted(&shown(path)))));
    let mut filter = vec![(CODE.to_string(), quoted(&meter.event_type))];
    for condition in meter.judging.iter().flat_map(|judging| &judging.rule.conditions) {
        filter.push((shown(condition.any_of.first()?), quoted(&condition.equals)));
    }
    let object = |members| JsonObject::parse(&object_text(members)).ok();
    Some((object(filter)?, object(aggregation)?))
}

/// A path as the name of a property, if it is one; else as it is.
fn shown(path: &JsonPath) -> String {
    match path.steps() {
        [Step::Member(name)] => name.to_string(),
        [Step::Member(object), Step::Member(name)] if ["attributes", "dimensions"].contains(&&**object) => {
            name.to_string()
        }
        _ => path.as_str().to_string(),
    }
}

impl Meaning {
    /// That of what is not looked into.
    pub(crate) fn none() -> Self {
        Self { code: None, aggregation: Aggregation::Sum, rule: rule_of(vec![], RuleValue::One) }
    }

    /// What a filter and an aggregation mean; everything in them that is not understood is an error.
    pub(crate) fn of(filter: &JsonObject, aggregation: &JsonObject) -> Result<Self, Faults> {
        let mut faults = Faults::new();
        let (code, conditions) = read_filter(filter, &mut faults);
        let (aggregation, value) = read_aggregation(aggregation, &mut faults);
        match faults.is_empty() {
            true => Ok(Self { code, aggregation, rule: rule_of(conditions, value) }),
            false => Err(faults),
        }
    }
}

fn rule_of(conditions: Vec<Condition>, value: RuleValue) -> Rule {
    Rule { conditions, matcher: None, value, names: Names::default() }
}

fn read_filter(filter: &JsonObject, faults: &mut Faults) -> (Option<String>, Vec<Condition>) {
    let (mut code, mut conditions) = (None, Vec::new());
    if filter.as_str().len() > MAX_OBJECT {
        faults.push(("filter", format!("must have at most {MAX_OBJECT} bytes")));
    }
    let read = json::members(filter.as_str(), &mut |name, value| {
        let shown: String = name.chars().take(80).collect();
        let equals = match Leaf::of(value) {
            Leaf::Text(text) => Some(text.into_owned()),
            Leaf::Number(number) => Some(number.to_string()),
            Leaf::Bool(flag) => Some(flag.to_string()),
            _ => None,
        };
        if name == CODE {
            let is_sound = matches!(Leaf::of(value), Leaf::Text(_));
            code = equals.filter(|text| is_sound && is_short(text));
            if code.is_none() {
                faults.push(("filter", format!("code must be a string of 1 to {MAX_TEXT} characters")));
            }
            return;
        }
        let paths = places(name, &["dimensions", "attributes"]).filter(|_| !name.starts_with('$'));
        match (paths, equals.filter(|text| text.chars().count() <= MAX_TEXT)) {
            (Some(any_of), Some(equals)) => conditions.push(Condition { any_of, equals }),
            _ => faults.push((
                "filter",
                format!(
                    "{shown:?} is not understood: besides code, a filter has names of properties and the string, number or \
                     boolean that each must equal"
                ),
            )),
        }
    });
    if let Err(error) = read {
        faults.push(("filter", error.to_string()));
    }
    if conditions.len() > MAX_CONDITIONS {
        faults.push(("filter", format!("must have at most {MAX_CONDITIONS} conditions")));
    }
    (code, conditions)
}

fn read_aggregation(aggregation: &JsonObject, faults: &mut Faults) -> (Aggregation, RuleValue) {
    let (mut kind, mut property) = ("sum".to_string(), DEFAULT_PROPERTY.to_string());
    if aggregation.as_str().len() > MAX_OBJECT {
        faults.push(("aggregation", format!("must have at most {MAX_OBJECT} bytes")));
    }
    let read = json::members(aggregation.as_str(), &mut |name, value| match (name, Leaf::of(value)) {
        ("type" | "property", Leaf::Null) => {}
        ("type", Leaf::Text(text)) => kind = text.into_owned(),
        ("property", Leaf::Text(text)) => property = text.into_owned(),
        ("type" | "property", _) => faults.push(("aggregation", format!("{name} must be a string"))),
        _ => {
            let shown: String = name.chars().take(80).collect();
            faults.push((
                "aggregation",
                format!("{shown:?} is not understood: an aggregation has a type and a property"),
            ));
        }
    });
    if let Err(error) = read {
        faults.push(("aggregation", error.to_string()));
    }
    let found = match kind.as_str() {
        "sum" | "count" => Some(Aggregation::Sum),
        "max" => Some(Aggregation::Max),
        "last_during_period" | "last_ever" => Some(Aggregation::Latest),
        _ => None,
    };
    if found.is_none() {
        let message = "type must be one of sum, count, max, last_during_period and last_ever";
        faults.push(("aggregation", message.to_string()));
    }
    let value = match places(&property, &["attributes"]) {
        _ if kind == "count" => RuleValue::One,
        Some(paths) => RuleValue::Property(paths),
        None => {
            let message = format!(
                "property must be the name of a property: 1 to {MAX_TEXT} characters without backslashes, and not with both \
                 kinds of quotes"
            );
            faults.push(("aggregation", message));
            RuleValue::One
        }
    };
    (found.unwrap_or(Aggregation::Sum), value)
}

/// The paths to a property of an event: in its data, and in the objects inside of it in which other senders keep theirs.
fn places(name: &str, inside: &[&str]) -> Option<Vec<JsonPath>> {
    let nested = inside.iter().map(|object| JsonPath::of_members([object, name]));
    is_short(name).then(|| [JsonPath::of_members([name])].into_iter().chain(nested).collect()).flatten()
}

fn is_short(text: &str) -> bool {
    (1..=MAX_TEXT).contains(&text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &str) -> JsonObject {
        JsonObject::parse(text).unwrap()
    }

    fn meaning(filter: &str, aggregation: &str) -> Result<Meaning, Faults> {
        Meaning::of(&object(filter), &object(aggregation))
    }

    #[test]
    fn a_filter_is_a_code_and_equalities() {
        let found = meaning(r#"{"code":"api_calls","region":"eu","tier":1.50,"is beta":true}"#, "{}").unwrap();
        assert_eq!(found.code.as_deref(), Some("api_calls"));
        let conditions: Vec<_> =
            found.rule.conditions.iter().map(|one| (one.any_of[0].to_string(), one.equals.as_str())).collect();
        let equals: Vec<_> = conditions.iter().map(|(_, equals)| *equals).collect();
        assert_eq!(equals, ["eu", "1.50", "true"]);
        assert_eq!(meaning("{}", "{}").unwrap().code, None);
    }

    #[test]
    fn an_aggregation_is_a_type_and_a_property_with_defaults() {
        let value = |name: &str| RuleValue::Property(places(name, &["attributes"]).unwrap());
        for (text, aggregation, wanted) in [
            ("{}", Aggregation::Sum, value("quantity")),
            (r#"{"type":"sum","property":"tokens"}"#, Aggregation::Sum, value("tokens")),
            (r#"{"type":"count","property":"tokens"}"#, Aggregation::Sum, RuleValue::One),
            (r#"{"type":"max"}"#, Aggregation::Max, value("quantity")),
            (r#"{"type":"last_ever","property":null}"#, Aggregation::Latest, value("quantity")),
            (r#"{"type":"last_during_period"}"#, Aggregation::Latest, value("quantity")),
        ] {
            let found = meaning("{}", text).unwrap();
            assert_eq!((found.aggregation, found.rule.value), (aggregation, wanted), "{text}");
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (filter, aggregation, fields) in [
            (r#"{"code":5}"#, "{}", vec!["filter"]),
            (r#"{"code":""}"#, "{}", vec!["filter"]),
            (r#"{"region":{"$in":["eu"]}}"#, "{}", vec!["filter"]),
            (r#"{"region":null}"#, "{}", vec!["filter"]),
            (r#"{"$or":"x"}"#, "{}", vec!["filter"]),
            (r#"{"a\\b":"x"}"#, "{}", vec!["filter"]),
            ("{}", r#"{"type":"average"}"#, vec!["aggregation"]),
            ("{}", r#"{"type":1,"property":2}"#, vec!["aggregation", "aggregation"]),
            ("{}", r#"{"property":""}"#, vec!["aggregation"]),
            (r#"{"code":[]}"#, r#"{"window":"day"}"#, vec!["filter", "aggregation"]),
        ] {
            let faults: Vec<_> =
                meaning(filter, aggregation).unwrap_err().into_iter().map(|(field, _)| field).collect();
            assert_eq!(faults, fields, "{filter} {aggregation}");
        }
        let many: Vec<_> = (0..51).map(|number| format!("\"p{number}\":1")).collect();
        assert!(meaning(&format!("{{{}}}", many.join(",")), "{}").is_err());
    }

    #[test]
    fn what_is_kept_comes_back_to_the_letter() {
        let words = Words {
            name: "API \"calls\"".into(),
            filter: object(r#"{"z": 1.50, "code":"x", "a":"y"}"#),
            aggregation: object(r#"{"property":"n" , "type":"max"}"#),
            product_id: None,
        };
        let kept = Words::kept(&words.to_details()[NAME]);
        assert_eq!(
            (kept.name, kept.filter, kept.aggregation),
            (Some(words.name), Some(words.filter), Some(words.aggregation))
        );
    }
}
