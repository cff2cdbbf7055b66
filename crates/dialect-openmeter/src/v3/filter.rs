//! Filters of this version: `filter[field][operator]=value` in a query string, and objects with one operator in a body.

use super::faults::{Faults, InvalidParameter, is_ulid};
use super::list::Condition;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::event::TimeFilter;
use tallystick_domain::meter::{Filter, LikePattern};
use tallystick_domain::search::TextCondition;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Schema};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

const QUERY: &str = "query";
/// Texts in one list of a query string.
const MAX_ITEMS: usize = 50;
const TEXT_OPERATORS: [&str; 11] =
    ["eq", "neq", "contains", "ocontains", "oeq", "gt", "gte", "lt", "lte", "exists", "nexists"];
const ID_OPERATORS: [&str; 3] = ["eq", "neq", "oeq"];
const TIME_OPERATORS: [&str; 5] = ["eq", "gt", "gte", "lt", "lte"];

/// Reads a condition on a text.
pub(crate) fn text(condition: &Condition<'_>, faults: &mut Faults) -> Option<TextCondition> {
    let operator = condition.operator.unwrap_or("eq");
    if !TEXT_OPERATORS.contains(&operator) {
        faults.add(unknown_operator(condition, &TEXT_OPERATORS));
        return None;
    }
    let value = condition.value;
    match (operator, value) {
        ("exists", "" | "true") | ("nexists", "") => return Some(TextCondition::Present(operator == "exists")),
        ("exists", "false") => return Some(TextCondition::Present(false)),
        ("exists" | "nexists", _) => {
            let choices = vec!["true".into(), "false".into()];
            faults.add(InvalidParameter::choice(condition.parameter, QUERY, choices));
            return None;
        }
        (_, "") => {
            faults.add(InvalidParameter::too_little(condition.parameter, QUERY, "min_length", 1, "have characters,"));
            return None;
        }
        _ => {}
    }
    let one = value.to_string();
    Some(match operator {
        "neq" => TextCondition::IsNot(one),
        "contains" => TextCondition::Contains(one),
        "ocontains" => TextCondition::Any(items(condition, faults)?.into_iter().map(TextCondition::Contains).collect()),
        "oeq" => TextCondition::OneOf(items(condition, faults)?),
        "gt" => TextCondition::Above(one),
        "gte" => TextCondition::AtLeast(one),
        "lt" => TextCondition::Below(one),
        "lte" => TextCondition::AtMost(one),
        _ => TextCondition::Is(one),
    })
}

/// Reads a condition on an id: exact, and every id must be one.
pub(crate) fn id(condition: &Condition<'_>, faults: &mut Faults) -> Option<TextCondition> {
    let operator = condition.operator.unwrap_or("eq");
    if !ID_OPERATORS.contains(&operator) {
        faults.add(unknown_operator(condition, &ID_OPERATORS));
        return None;
    }
    let ids = match operator {
        "oeq" => items(condition, faults)?,
        _ => vec![condition.value.to_string()],
    };
    if ids.iter().any(|id| !is_ulid(id)) {
        let reason = "must be a ULID of 26 capital letters and digits";
        faults.add(InvalidParameter::new(condition.parameter, QUERY, "matches_regex", reason));
        return None;
    }
    Some(match operator {
        "neq" => TextCondition::IsNot(ids.concat()),
        _ => TextCondition::OneOf(ids),
    })
}

/// Reads a condition on a moment.
pub(crate) fn time(condition: &Condition<'_>, faults: &mut Faults) -> Option<TimeFilter> {
    let operator = condition.operator.unwrap_or("eq");
    if !TIME_OPERATORS.contains(&operator) {
        faults.add(unknown_operator(condition, &TIME_OPERATORS));
        return None;
    }
    match Instant::parse_rfc3339(condition.value) {
        Ok(at) => Some(match operator {
            "gt" => TimeFilter::After(at),
            "gte" => TimeFilter::From(at),
            "lt" => TimeFilter::Before(at),
            "lte" => TimeFilter::Through(at),
            _ => TimeFilter::All(vec![TimeFilter::From(at), TimeFilter::Through(at)]),
        }),
        Err(error) => {
            let hint = if condition.value.contains(' ') { "; write + as %2B" } else { "" };
            let reason = format!("{error}{hint}");
            faults.add(InvalidParameter::new(condition.parameter, QUERY, "is_date_time", reason));
            None
        }
    }
}

fn unknown_operator(condition: &Condition<'_>, known: &[&str]) -> InvalidParameter {
    let choices = known.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let reason = format!("there is no such operator here; known are: {}", known.join(", "));
    InvalidParameter { reason, ..InvalidParameter::choice(condition.parameter, QUERY, choices) }
}

/// The texts of a list with commas; blanks around them do not count.
fn items(condition: &Condition<'_>, faults: &mut Faults) -> Option<Vec<String>> {
    let items: Vec<String> =
        condition.value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_string).collect();
    match items.len() {
        0 => faults.add(InvalidParameter::too_little(condition.parameter, QUERY, "min_items", 1, "have items,")),
        count if count > MAX_ITEMS => {
            faults.add(InvalidParameter::too_much(condition.parameter, QUERY, "max_items", MAX_ITEMS, "have items,"));
        }
        _ => return Some(items),
    }
    None
}

/// A condition on a text of events, with exactly one operator.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[schema(as = V3QueryFilterString)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TextFilter {
    /// Whether events have a value for the dimension.
    #[serde(skip_serializing_if = "Option::is_none")]
    exists: Option<bool>,
    /// Equal; `""` means that an event has no value.
    #[serde(skip_serializing_if = "Option::is_none")]
    eq: Option<String>,
    /// Not equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    neq: Option<String>,
    /// One of these.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    one_of: Option<Vec<String>>,
    /// None of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 100)]
    nin: Option<Vec<String>>,
    /// Holds this part.
    #[serde(skip_serializing_if = "Option::is_none")]
    contains: Option<String>,
    /// Does not hold this part.
    #[serde(skip_serializing_if = "Option::is_none")]
    ncontains: Option<String>,
    /// All of them hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion, min_items = 1, max_items = 10)]
    and: Option<Vec<TextFilter>>,
    /// At least one of them holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(no_recursion, min_items = 1, max_items = 10)]
    or: Option<Vec<TextFilter>>,
}

/// Conditions by dimension; all must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct ByDimension(pub BTreeMap<String, TextFilter>);

const MAX_DIMENSIONS: usize = 10;

impl PartialSchema for ByDimension {
    fn schema() -> RefOr<Schema> {
        let members = AdditionalProperties::RefOr(Ref::from_schema_name(TextFilter::name()).into());
        let object = ObjectBuilder::new().additional_properties(Some(members)).max_properties(Some(MAX_DIMENSIONS));
        object.description(Some("Conditions by dimension; all must hold.")).into()
    }
}

impl ToSchema for ByDimension {
    fn name() -> Cow<'static, str> {
        "V3QueryFilterStringMap".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((TextFilter::name().into_owned(), TextFilter::schema()));
        TextFilter::schemas(schemas);
    }
}

/// How deep conditions can be inside of each other: a request may hold ten in each, which is a thousand in all.
const MAX_DEPTH: usize = 2;

impl TextFilter {
    /// The conditions that are set; each of them is an operator.
    fn operators(&self) -> Vec<&'static str> {
        let set = [
            ("exists", self.exists.is_some()),
            ("eq", self.eq.is_some()),
            ("neq", self.neq.is_some()),
            ("in", self.one_of.is_some()),
            ("nin", self.nin.is_some()),
            ("contains", self.contains.is_some()),
            ("ncontains", self.ncontains.is_some()),
            ("and", self.and.is_some()),
            ("or", self.or.is_some()),
        ];
        set.into_iter().filter(|(_, is_set)| *is_set).map(|(name, _)| name).collect()
    }

    /// The condition, when it is one.
    pub(crate) fn read(self, at: &str, faults: &mut Faults) -> Option<Filter> {
        self.read_within(at, MAX_DEPTH, faults)
    }

    fn read_within(self, at: &str, depth: usize, faults: &mut Faults) -> Option<Filter> {
        let operators = self.operators();
        let [operator] = operators[..] else {
            let reason = match operators.is_empty() {
                true => "it has no operator: one of exists, eq, neq, in, nin, contains, ncontains, and, or".to_string(),
                false => format!("it has several operators ({}): combine them with and or or", operators.join(", ")),
            };
            faults.add(InvalidParameter::new(at, "body", "invalid", reason));
            return None;
        };
        if let Some(wanted) = self.exists {
            return Some(if wanted { Filter::Ne(String::new()) } else { Filter::Eq(String::new()) });
        }
        if let Some(nested) = self.and.or(self.or) {
            if depth == 0 {
                let reason = format!("conditions can be {MAX_DEPTH} deep inside of each other");
                faults.add(InvalidParameter::new(at, "body", "invalid", reason));
                return None;
            }
            let within = |(index, one): (usize, Self), faults: &mut Faults| {
                one.read_within(&format!("{at}.{operator}[{index}]"), depth - 1, faults)
            };
            let read: Vec<_> = nested.into_iter().enumerate().map(|one| within(one, faults)).collect();
            let filters = read.into_iter().collect::<Option<Vec<_>>>()?;
            return Some(if operator == "and" { Filter::All(filters) } else { Filter::Any(filters) });
        }
        let equal = self.eq.map(Filter::Eq).or(self.neq.map(Filter::Ne));
        let listed = self.one_of.map(|texts| Filter::In(texts.into_iter().collect()));
        let unlisted = self.nin.map(|texts| Filter::NotIn(texts.into_iter().collect()));
        let part = self.contains.map(|part| Filter::Like(LikePattern::containing(&part, false)));
        let no_part = self.ncontains.map(|part| Filter::NotLike(LikePattern::containing(&part, false)));
        equal.or(listed).or(unlisted).or(part).or(no_part)
    }

    /// The texts of which it wants one, when it is `eq` or `in`.
    pub(crate) fn exact(self, at: &str, faults: &mut Faults) -> Option<Vec<String>> {
        match self.operators()[..] {
            ["eq"] => self.eq.map(|text| vec![text]),
            ["in"] => self.one_of,
            _ => {
                faults.add(InvalidParameter::new(at, "body", "invalid", "it must have one operator, eq or in"));
                None
            }
        }
    }
}

/// Writes a filter as [`TextFilter::read`] reads it. What only the first versions can say keeps its operator's name, without
/// the dollar sign, rather than being left out.
fn to_json(filter: &Filter) -> Value {
    let (operator, operand): (&str, Value) = match filter {
        Filter::Eq(text) => ("eq", text.as_str().into()),
        Filter::Ne(text) => ("neq", text.as_str().into()),
        Filter::In(texts) => ("in", texts.iter().map(String::as_str).collect()),
        Filter::NotIn(texts) => ("nin", texts.iter().map(String::as_str).collect()),
        Filter::Contains(part) => ("contains", part.as_str().into()),
        Filter::Like(pattern) if pattern.ignores_case() => ("ilike", pattern.as_str().into()),
        Filter::Like(pattern) => match pattern.part() {
            Some(part) => ("contains", part.into()),
            None => ("like", pattern.as_str().into()),
        },
        Filter::NotLike(pattern) if pattern.ignores_case() => ("nilike", pattern.as_str().into()),
        Filter::NotLike(pattern) => match pattern.part() {
            Some(part) => ("ncontains", part.into()),
            None => ("nlike", pattern.as_str().into()),
        },
        Filter::Gt(text) => ("gt", text.as_str().into()),
        Filter::Gte(text) => ("gte", text.as_str().into()),
        Filter::Lt(text) => ("lt", text.as_str().into()),
        Filter::Lte(text) => ("lte", text.as_str().into()),
        Filter::All(filters) => ("and", filters.iter().map(to_json).collect()),
        Filter::Any(filters) => ("or", filters.iter().map(to_json).collect()),
    };
    Value::Object(Map::from_iter([(operator.to_string(), operand)]))
}

/// Filters by dimension, as this version writes them.
pub(crate) fn by_dimension(filters: &BTreeMap<String, Filter>) -> BTreeMap<String, Value> {
    filters.iter().map(|(name, filter)| (name.clone(), to_json(filter))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::Problem;
    use serde_json::json;

    fn outcome<T>(value: Option<T>, faults: Faults) -> Result<T, &'static str> {
        faults.none_in(value).map_err(|problem: Problem| problem.parameters[0].rule)
    }

    fn condition<'q>(operator: Option<&'q str>, value: &'q str) -> Condition<'q> {
        Condition { parameter: "filter[f]", field: "f", operator, value }
    }

    #[test]
    fn each_operator_on_a_text_means_what_it_says() {
        let read = |operator, value| {
            let mut faults = Faults::default();
            let read = text(&condition(operator, value), &mut faults);
            outcome(read, faults)
        };
        let own = |text: &str| text.to_string();
        for (operator, value, expected) in [
            (None, "a", TextCondition::Is(own("a"))),
            (Some("eq"), "a", TextCondition::Is(own("a"))),
            (Some("neq"), "a", TextCondition::IsNot(own("a"))),
            (Some("contains"), "a", TextCondition::Contains(own("a"))),
            (Some("oeq"), "a, b,", TextCondition::OneOf(vec![own("a"), own("b")])),
            (Some("ocontains"), "a", TextCondition::Any(vec![TextCondition::Contains(own("a"))])),
            (Some("gt"), "a", TextCondition::Above(own("a"))),
            (Some("gte"), "a", TextCondition::AtLeast(own("a"))),
            (Some("lt"), "a", TextCondition::Below(own("a"))),
            (Some("lte"), "a", TextCondition::AtMost(own("a"))),
            (Some("exists"), "true", TextCondition::Present(true)),
            (Some("exists"), "", TextCondition::Present(true)),
            (Some("exists"), "false", TextCondition::Present(false)),
            (Some("nexists"), "", TextCondition::Present(false)),
        ] {
            assert_eq!(read(operator, value), Ok(expected), "{operator:?} {value}");
        }
        let many = vec!["x"; 51].join(",");
        for (operator, value, rule) in [
            (Some("like"), "a", "enum"),
            (Some(""), "a", "enum"),
            (None, "", "min_length"),
            (Some("contains"), "", "min_length"),
            (Some("exists"), "yes", "enum"),
            (Some("oeq"), " ,", "min_items"),
            (Some("oeq"), &many, "max_items"),
        ] {
            assert_eq!(read(operator, value), Err(rule), "{operator:?} {value}");
        }
    }

    #[test]
    fn ids_and_times_are_checked() {
        let known = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
        let read = |operator, value| {
            let mut faults = Faults::default();
            let read = id(&condition(operator, value), &mut faults);
            outcome(read, faults)
        };
        assert_eq!(read(None, known), Ok(TextCondition::OneOf(vec![known.into()])));
        assert_eq!(read(Some("neq"), known), Ok(TextCondition::IsNot(known.into())));
        assert_eq!(read(Some("contains"), known), Err("enum"));
        assert_eq!(read(Some("oeq"), "x"), Err("matches_regex"));
        assert_eq!(read(None, &known.to_lowercase()), Err("matches_regex"));
        let read = |operator, value| {
            let mut faults = Faults::default();
            let read = time(&condition(operator, value), &mut faults);
            outcome(read, faults)
        };
        let at = Instant::parse_rfc3339("2024-01-01T00:00:00Z").unwrap();
        let exactly = read(None, "2024-01-01T01:00:00+01:00").unwrap();
        assert!(exactly.matches(at) && !exactly.matches(at.saturating_add_micros(1)));
        assert_eq!(read(Some("lt"), "2024-01-01T00:00:00Z"), Ok(TimeFilter::Before(at)));
        assert_eq!(read(Some("neq"), "2024-01-01T00:00:00Z"), Err("enum"));
        assert_eq!(read(Some("gt"), "yesterday"), Err("is_date_time"));
    }

    fn filter(value: Value) -> Result<Filter, &'static str> {
        let mut faults = Faults::default();
        let filter: TextFilter = serde_json::from_value(value).unwrap();
        let read = filter.read("f", &mut faults);
        outcome(read, faults)
    }

    #[test]
    fn a_filter_of_a_body_has_one_operator_and_comes_back_as_it_was() {
        for (value, passes, fails) in [
            (json!({"eq": "a"}), "a", "b"),
            (json!({"neq": "a"}), "b", "a"),
            (json!({"in": ["a", "b"]}), "b", "c"),
            (json!({"nin": ["a", "b"]}), "c", "a"),
            (json!({"contains": "%b"}), "a%bc", "abc"),
            (json!({"ncontains": "b"}), "a", "abc"),
            (json!({"and": [{"contains": "a"}, {"or": [{"eq": "ab"}, {"eq": "ac"}]}]}), "ac", "a"),
        ] {
            let read = filter(value.clone()).unwrap();
            assert!(read.matches(passes) && !read.matches(fails), "{value}");
            assert_eq!(to_json(&read), value);
        }
        assert!(filter(json!({"exists": true})).unwrap().matches("a"));
        assert!(filter(json!({"exists": false})).unwrap().matches(""));
        for bad in [
            json!({}),
            json!({"eq": "a", "neq": "b"}),
            json!({"and": [{}]}),
            json!({"and": [{"and": [{"and": [{"eq": "a"}]}]}]}),
        ] {
            assert_eq!(filter(bad.clone()), Err("invalid"), "{bad}");
        }
    }

    #[test]
    fn what_only_the_first_versions_say_is_not_left_out() {
        let gt = BTreeMap::from([("m".to_string(), Filter::Gt("a".into()))]);
        assert_eq!(by_dimension(&gt), BTreeMap::from([("m".to_string(), json!({"gt": "a"}))]));
        assert_eq!(to_json(&Filter::Like(LikePattern::new("a%", false))), json!({"like": "a%"}));
        assert_eq!(to_json(&Filter::NotLike(LikePattern::new("a%", true))), json!({"nilike": "a%"}));
    }
}
