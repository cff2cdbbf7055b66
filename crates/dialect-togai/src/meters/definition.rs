//! Between the vendor's meters and the core's.

use super::body::{ComputationBody, FilterBody, MeterBody};
use crate::names::{MAX_TEXT, is_name};
use crate::problem::Problem;
use crate::{kept, short_id};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::event_schema::EventSchema;
use tallystick_domain::expression::{Expression, ExpressionLimits, Names};
use tallystick_domain::meter::{
    Aggregation, Condition, JsonPath, Meter, MeterStatus, Rule, RuleValue, valid_group_by_key,
};

/// Where a field of an event is looked for, in this order.
const PLACES: [&str; 3] = ["$.dimensions", "$.attributes", "$"];

/// What the door keeps with a meter.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    /// `COUNT` or `SUM`.
    pub aggregation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billable_name: Option<String>,
    pub filters: Vec<FilterBody>,
    pub computations: Vec<ComputationBody>,
}

impl Kept {
    /// The core's rule for events of this schema.
    pub(crate) fn rule(&self, schema: &EventSchema) -> Result<Rule, Problem> {
        let computation = self.computations.first();
        let matcher = computation.and_then(|one| one.matcher.as_deref()).filter(|text| !text.is_empty());
        // What a computation says is checked even where every event is one unit.
        let units = computation.map(|one| parse("computations[0].computation", &one.computation)).transpose()?;
        let value = match (self.aggregation.as_str(), units) {
            ("COUNT", _) => RuleValue::One,
            (_, Some(units)) => RuleValue::Computed(units),
            (_, None) => RuleValue::Property(only_attribute(schema)?),
        };
        Ok(Rule {
            conditions: self.filters.iter().map(|filter| condition(filter, schema)).collect::<Result<_, _>>()?,
            matcher: matcher.map(|text| parse("computations[0].matcher", text)).transpose()?,
            value,
            names: names(),
        })
    }
}

/// The names that expressions have for the parts of an event.
fn names() -> Names {
    let places = |plural: &str| vec![plural.to_owned(), String::new()];
    let words = [("attribute", "attributes"), ("dimension", "dimensions")];
    let both = words.into_iter().flat_map(|(one, many)| [(one, many), (many, many)]);
    Names(both.map(|(word, plural)| (word.to_owned(), places(plural))).collect())
}

fn parse(field: &str, text: &str) -> Result<Expression, Problem> {
    Expression::parse(text, &ExpressionLimits::default())
        .map_err(|error| Problem::field(field, format!("it is not a JSON-Logic expression: {error}")))
}

fn condition(filter: &FilterBody, schema: &EventSchema) -> Result<Condition, Problem> {
    if let Some(obstacle) = schema.filter_obstacle(&filter.field) {
        return Err(Problem::field("filters", obstacle));
    }
    let any_of = PLACES.into_iter().map(|place| path(place, &filter.field)).collect::<Result<_, _>>()?;
    Ok(Condition { any_of, equals: filter.value.clone() })
}

fn path(place: &str, name: &str) -> Result<JsonPath, Problem> {
    let text = format!("{place}['{name}']");
    JsonPath::parse(&text).map_err(|error| Problem::field("filters", format!("{name:?} cannot be looked up: {error}")))
}

/// Where the units are of a meter that does not say how to compute them.
/// Where the only attribute of a schema is: among the attributes, or at the top where other doors put it.
fn only_attribute(schema: &EventSchema) -> Result<Vec<JsonPath>, Problem> {
    match &schema.content.attributes[..] {
        [only] => ["$.attributes", "$"].into_iter().map(|place| path(place, &only.name)).collect(),
        attributes => Err(Problem::field(
            "computations",
            format!(
                "a SUM over {}, which has {} attributes, needs a computation that says what to add up",
                schema.name,
                attributes.len()
            ),
        )),
    }
}

/// The dimensions by which other doors can group the meter's events.
pub(crate) fn group_by(schema: &EventSchema) -> BTreeMap<String, String> {
    const TAKEN: [&str; 5] = ["subject", "customer_id", "value", "window_start", "window_end"];
    let named =
        schema.content.dimensions.iter().filter(|name| valid_group_by_key(name) && !TAKEN.contains(&name.as_str()));
    named.map(|name| (name.clone(), format!("$.dimensions['{name}']"))).collect()
}

/// A slug for a meter of this name, the `number`th that was tried.
pub(crate) fn slug(name: &str, number: usize) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let joined = words.collect::<Vec<_>>().join("_").to_ascii_lowercase();
    let base = if joined.is_empty() { "meter" } else { &joined };
    match number {
        0 => base.to_owned(),
        _ => format!("{base}_{}", number + 1),
    }
}

/// What the client can read of a core meter, and what it calls it.
pub(crate) struct Shown {
    pub name: String,
    pub kept: Kept,
    pub status: &'static str,
}

/// A core meter in the vendor's words; `None` when they have none for it.
pub(crate) fn shown(meter: &Meter) -> Result<Option<Shown>, Problem> {
    let name = [&meter.name, &meter.slug].into_iter().find(|name| is_name(name));
    let kept = match kept::read(&meter.details)? {
        Some(kept) => Some(kept),
        None => of_another_door(meter),
    };
    let (Some(name), Some(kept)) = (name, kept) else { return Ok(None) };
    let status = match meter.judging.as_ref().map(|judging| judging.status()) {
        Some(MeterStatus::Draft) => "DRAFT",
        Some(MeterStatus::Inactive) => "INACTIVE",
        Some(MeterStatus::Active) | None => "ACTIVE",
    };
    Ok(Some(Shown { name: name.clone(), kept, status }))
}

/// What the vendor's words say of a meter that was made elsewhere: sums and counts have words, nothing else does.
fn of_another_door(meter: &Meter) -> Option<Kept> {
    let rule = meter.judging.as_ref().map(|judging| &judging.rule);
    let aggregation = match (meter.aggregation, rule.map(|rule| &rule.value)) {
        (Aggregation::Count, _) | (Aggregation::Sum, Some(RuleValue::One)) => "COUNT",
        (Aggregation::Sum, _) => "SUM",
        _ => return None,
    };
    let conditions = rule.map_or(&[][..], |rule| &rule.conditions);
    let filter = |condition: &Condition| {
        let path = condition.any_of.first()?.as_str();
        let field = path.strip_prefix("$.").unwrap_or(path).to_owned();
        Some(FilterBody { field, value: condition.equals.clone() })
    };
    let filters = conditions.iter().map(filter).collect::<Option<_>>()?;
    Some(Kept { aggregation: aggregation.into(), billable_name: None, filters, computations: vec![] })
}

/// The answer for a meter.
pub(crate) fn body_of(meter: &Meter, shown: Shown) -> MeterBody {
    let Shown { name, kept, status } = shown;
    let cut = |text: &str| text.chars().take(MAX_TEXT).collect::<String>();
    let last = meter.judging.as_ref().and_then(|judging| judging.active.last());
    let since = match meter.judging {
        Some(_) => last.map(|period| period.from).filter(|from| *from != Instant::MIN),
        None => Some(meter.created_at),
    };
    MeterBody {
        id: short_id::of_meter(meter.id),
        display_name: kept.billable_name.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| name.clone()),
        name,
        billable_name: kept.billable_name,
        description: meter.description.as_deref().map(cut),
        filters: kept.filters,
        kind: "COUNTER",
        status,
        aggregation: if kept.aggregation == "COUNT" { "COUNT" } else { "SUM" },
        computations: kept.computations,
        event_schema: None,
        created_at: meter.created_at.to_string(),
        last_activated_at: since.map(|at| at.to_string()),
        updated_at: meter.updated_at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_made_of_the_names_words() {
        assert_eq!(slug("Cab  rides-2_x", 0), "cab_rides_2_x");
        assert_eq!(slug("Cab rides", 1), "cab_rides_2");
        assert_eq!(slug(" -_", 0), "meter");
        assert_eq!(slug(" -_", 2), "meter_3");
    }
}
