//! Conditions on texts as they are stored: JSON with one operator in each object.

use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::meter::{Filter, LikePattern};

/// Conditions by name, as one JSON object.
pub(crate) fn to_text(filters: &BTreeMap<String, Filter>) -> String {
    let members = filters.iter().map(|(name, filter)| (name.clone(), to_json(filter)));
    Value::Object(members.collect()).to_string()
}

/// Reads back what [`to_text`] wrote.
pub(crate) fn of_text(stored: &str) -> Result<BTreeMap<String, Filter>, String> {
    let members: Map<String, Value> = serde_json::from_str(stored).map_err(|error| error.to_string())?;
    members.into_iter().map(|(name, value)| of_json(&value).map(|filter| (name, filter))).collect()
}

fn to_json(filter: &Filter) -> Value {
    let all = |filters: &[Filter]| filters.iter().map(to_json).collect::<Value>();
    match filter {
        Filter::Eq(text) => json!({"eq": text}),
        Filter::Ne(text) => json!({"ne": text}),
        Filter::In(texts) => json!({"in": texts}),
        Filter::NotIn(texts) => json!({"not_in": texts}),
        Filter::Contains(text) => json!({"contains": text}),
        Filter::Like(pattern) if pattern.ignores_case() => json!({"like_any_case": pattern.as_str()}),
        Filter::Like(pattern) => json!({"like": pattern.as_str()}),
        Filter::NotLike(pattern) if pattern.ignores_case() => json!({"not_like_any_case": pattern.as_str()}),
        Filter::NotLike(pattern) => json!({"not_like": pattern.as_str()}),
        Filter::Gt(text) => json!({"gt": text}),
        Filter::Gte(text) => json!({"gte": text}),
        Filter::Lt(text) => json!({"lt": text}),
        Filter::Lte(text) => json!({"lte": text}),
        Filter::All(filters) => json!({"all": all(filters)}),
        Filter::Any(filters) => json!({"any": all(filters)}),
    }
}

fn of_json(stored: &Value) -> Result<Filter, String> {
    let fault = || format!("{stored} is not a stored condition");
    let members = stored.as_object().filter(|members| members.len() == 1).ok_or_else(fault)?;
    let (operator, operand) = members.iter().next().ok_or_else(fault)?;
    let text = || operand.as_str().map(str::to_owned).ok_or_else(fault);
    let items = || operand.as_array().ok_or_else(fault);
    let texts = || -> Result<BTreeSet<String>, String> {
        items()?.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(fault)).collect()
    };
    let all = || -> Result<Vec<Filter>, String> { items()?.iter().map(of_json).collect() };
    Ok(match operator.as_str() {
        "eq" => Filter::Eq(text()?),
        "ne" => Filter::Ne(text()?),
        "in" => Filter::In(texts()?),
        "not_in" => Filter::NotIn(texts()?),
        "contains" => Filter::Contains(text()?),
        "like" => Filter::Like(LikePattern::new(&text()?, false)),
        "like_any_case" => Filter::Like(LikePattern::new(&text()?, true)),
        "not_like" => Filter::NotLike(LikePattern::new(&text()?, false)),
        "not_like_any_case" => Filter::NotLike(LikePattern::new(&text()?, true)),
        "gt" => Filter::Gt(text()?),
        "gte" => Filter::Gte(text()?),
        "lt" => Filter::Lt(text()?),
        "lte" => Filter::Lte(text()?),
        "all" => Filter::All(all()?),
        "any" => Filter::Any(all()?),
        _ => return Err(fault()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_condition_reads_back() {
        let text = || "a\0\"é".to_string();
        let like = |ignore_case| LikePattern::new("a\\%%_É", ignore_case);
        let one = [
            Filter::Eq(text()),
            Filter::Ne(text()),
            Filter::In(["".to_string(), text()].into()),
            Filter::NotIn([text()].into()),
            Filter::Contains(text()),
            Filter::Like(like(false)),
            Filter::Like(like(true)),
            Filter::NotLike(like(false)),
            Filter::NotLike(like(true)),
            Filter::Gt(text()),
            Filter::Gte(text()),
            Filter::Lt(text()),
            Filter::Lte(text()),
        ];
        let nested = Filter::Any(vec![Filter::All(one.to_vec()), Filter::All(vec![])]);
        let named: Vec<_> = one.into_iter().chain([nested]).enumerate().collect();
        let filters: BTreeMap<_, _> =
            named.into_iter().map(|(number, filter)| (format!("d{number}"), filter)).collect();
        assert_eq!(of_text(&to_text(&filters)).unwrap(), filters);
    }

    #[test]
    fn what_no_server_wrote_is_refused() {
        for bad in [
            "",
            "[]",
            r#"{"m":"x"}"#,
            r#"{"m":{}}"#,
            r#"{"m":{"eq":1}}"#,
            r#"{"m":{"eq":"a","ne":"b"}}"#,
            r#"{"m":{"near":"a"}}"#,
        ] {
            assert!(of_text(bad).is_err(), "{bad}");
        }
    }
}
