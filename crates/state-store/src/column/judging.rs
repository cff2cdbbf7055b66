//! How a meter judges events, as it is stored: a JSON object.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::expression::{Expression, ExpressionLimits, Names};
use tallystick_domain::meter::{ActivePeriod, Condition, JsonPath, Judging, Rule, RuleValue};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    /// First and last moments in microseconds since 1970.
    active: Vec<(i64, Option<i64>)>,
    conditions: Vec<StoredCondition>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    matcher: Option<String>,
    value: StoredValue,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    names: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredCondition {
    any_of: Vec<String>,
    equals: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredValue {
    One,
    Property(Vec<String>),
    Computed(String),
}

/// A judging as it is stored.
pub(crate) fn to_text(judging: &Judging) -> String {
    let Judging { rule, active } = judging;
    let stored = Stored {
        active: active.iter().map(|period| (period.from.as_micros(), period.to.map(Instant::as_micros))).collect(),
        conditions: rule
            .conditions
            .iter()
            .map(|Condition { any_of, equals }| StoredCondition { any_of: texts(any_of), equals: equals.clone() })
            .collect(),
        matcher: rule.matcher.as_ref().map(|matcher| matcher.text().to_owned()),
        value: match &rule.value {
            RuleValue::One => StoredValue::One,
            RuleValue::Property(paths) => StoredValue::Property(texts(paths)),
            RuleValue::Computed(expression) => StoredValue::Computed(expression.text().to_owned()),
        },
        names: rule.names.0.clone(),
    };
    serde_json::json!(stored).to_string()
}

/// Reads back what [`to_text`] wrote.
pub(crate) fn of_text(stored: &str) -> Result<Judging, String> {
    let stored: Stored = serde_json::from_str(stored).map_err(|error| error.to_string())?;
    let condition = |StoredCondition { any_of, equals }| Ok(Condition { any_of: paths(any_of)?, equals });
    let rule = Rule {
        conditions: stored.conditions.into_iter().map(condition).collect::<Result<_, String>>()?,
        matcher: stored.matcher.as_deref().map(expression).transpose()?,
        value: match stored.value {
            StoredValue::One => RuleValue::One,
            StoredValue::Property(texts) => RuleValue::Property(paths(texts)?),
            StoredValue::Computed(text) => RuleValue::Computed(expression(&text)?),
        },
        names: Names(stored.names),
    };
    let period =
        |(from, to): (i64, Option<i64>)| Ok(ActivePeriod { from: instant(from)?, to: to.map(instant).transpose()? });
    Ok(Judging { rule, active: stored.active.into_iter().map(period).collect::<Result<_, String>>()? })
}

fn texts(paths: &[JsonPath]) -> Vec<String> {
    paths.iter().map(JsonPath::to_string).collect()
}

fn paths(texts: Vec<String>) -> Result<Vec<JsonPath>, String> {
    texts.iter().map(|text| JsonPath::parse(text).map_err(|error| error.to_string())).collect()
}

fn expression(text: &str) -> Result<Expression, String> {
    Expression::parse(text, &ExpressionLimits::default()).map_err(|error| error.to_string())
}

fn instant(micros: i64) -> Result<Instant, String> {
    Instant::from_micros(micros).ok_or_else(|| format!("{micros} microseconds is not in the years 0001 to 9998"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_judging_reads_back() {
        let path = |text: &str| JsonPath::parse(text).unwrap();
        let condition = Condition { any_of: vec![path("$.a"), path("$['b c']")], equals: "x\"y".into() };
        let parsed = |text: &str| expression(text).unwrap();
        let names = Names([("a".to_string(), vec!["b".to_string(), String::new()])].into());
        for (value, matcher, names) in [
            (RuleValue::One, None, Names::default()),
            (RuleValue::Property(vec![path("$.n"), path("$.m")]), None, names.clone()),
            (
                RuleValue::Computed(parsed(r#"{"*": [{"var":"n"}, 1.50]}"#)),
                Some(parsed(r#"{"!":[{"var":"x"}]}"#)),
                names,
            ),
        ] {
            let (from, to) = (Instant::MIN, Instant::from_micros(5));
            let active = vec![ActivePeriod { from, to }, ActivePeriod { from: Instant::MAX, to: None }];
            let judging = Judging { rule: Rule { conditions: vec![condition.clone()], matcher, value, names }, active };
            assert_eq!(of_text(&to_text(&judging)).unwrap(), judging);
        }
    }

    #[test]
    fn what_no_server_wrote_is_refused() {
        for bad in [
            "",
            "{}",
            r#"{"active":[],"conditions":[],"value":"two"}"#,
            r#"{"active":[[1]],"conditions":[],"value":"one"}"#,
            r#"{"active":[],"conditions":[],"value":{"property":["x"]}}"#,
            r#"{"active":[],"conditions":[],"value":{"computed":"{"}}"#,
            r#"{"active":[],"conditions":[],"value":"one","more":1}"#,
        ] {
            assert!(of_text(bad).is_err(), "{bad}");
        }
    }
}
