//! Filter objects: exactly one operator each, and nothing that is not understood is left out in silence.

use serde_json::{Map, Value, json};
use tallystick_domain::Instant;
use tallystick_domain::event::TimeFilter;
use tallystick_domain::json::check;
use tallystick_domain::meter::{Filter, LikePattern};

/// Conditions in one filter, so that one request cannot make every event expensive.
const MAX_CONDITIONS: usize = 1000;
const TEXT_OPERATORS: &str = "$eq, $ne, $in, $nin, $like, $nlike, $ilike, $nilike, $gt, $gte, $lt, $lte, $and, $or";
const TIME_OPERATORS: &str = "$gt, $gte, $lt, $lte, $and, $or";

/// What is wrong with a filter.
pub(crate) type FilterFault = String;

/// Reads filters by the rules of one operation.
pub(crate) struct FilterReader {
    depth_left: usize,
    conditions_left: usize,
    empty_operands: bool,
}

impl FilterReader {
    /// For attributes of events: one level of `$and`/`$or`, and no attribute is ever empty.
    pub(crate) fn of_events() -> Self {
        Self { depth_left: 1, conditions_left: MAX_CONDITIONS, empty_operands: false }
    }

    /// For dimensions of meters: 16 levels, and `""` means that an event has no value for the dimension.
    pub(crate) fn of_dimensions() -> Self {
        Self { depth_left: 16, conditions_left: MAX_CONDITIONS, empty_operands: true }
    }

    /// Reads a condition on a text.
    pub(crate) fn text(&mut self, value: &Value) -> Result<Filter, FilterFault> {
        let (operator, operand) = self.operator(value, TEXT_OPERATORS)?;
        match operator {
            "$and" => self.nested(operator, operand, Self::text).map(Filter::All),
            "$or" => self.nested(operator, operand, Self::text).map(Filter::Any),
            "$in" => self.strings(operator, operand).map(|texts| Filter::In(texts.into_iter().collect())),
            "$nin" => self.strings(operator, operand).map(|texts| Filter::NotIn(texts.into_iter().collect())),
            _ => {
                let text = self.string(operator, operand)?;
                Ok(match operator {
                    "$eq" => Filter::Eq(text),
                    "$ne" => Filter::Ne(text),
                    "$gt" => Filter::Gt(text),
                    "$gte" => Filter::Gte(text),
                    "$lt" => Filter::Lt(text),
                    "$lte" => Filter::Lte(text),
                    "$like" => Filter::Like(LikePattern::new(&text, false)),
                    "$nlike" => Filter::NotLike(LikePattern::new(&text, false)),
                    "$ilike" => Filter::Like(LikePattern::new(&text, true)),
                    "$nilike" => Filter::NotLike(LikePattern::new(&text, true)),
                    unknown => return Err(unknown_operator(unknown, TEXT_OPERATORS)),
                })
            }
        }
    }

    /// Reads a condition on a moment.
    pub(crate) fn time(&mut self, value: &Value) -> Result<TimeFilter, FilterFault> {
        let (operator, operand) = self.operator(value, TIME_OPERATORS)?;
        let make = match operator {
            "$and" => return self.nested(operator, operand, Self::time).map(TimeFilter::All),
            "$or" => return self.nested(operator, operand, Self::time).map(TimeFilter::Any),
            "$gt" => TimeFilter::After,
            "$gte" => TimeFilter::From,
            "$lt" => TimeFilter::Before,
            "$lte" => TimeFilter::Through,
            unknown => return Err(unknown_operator(unknown, TIME_OPERATORS)),
        };
        let text = self.string(operator, operand)?;
        Instant::parse_rfc3339(&text).map(make).map_err(|error| invalid(format_args!("{operator}: {error}")))
    }

    fn operator<'v>(&mut self, value: &'v Value, known: &str) -> Result<(&'v str, &'v Value), FilterFault> {
        self.conditions_left = self
            .conditions_left
            .checked_sub(1)
            .ok_or_else(|| invalid(format_args!("it has more than {MAX_CONDITIONS} conditions")))?;
        let Value::Object(members) = value else {
            return Err(invalid(format_args!("it must be an object with one operator of {known}")));
        };
        // A client that writes out unset operators writes null.
        let mut set = members.iter().filter(|(_, operand)| !operand.is_null());
        match (set.next(), set.next()) {
            (Some((operator, operand)), None) => Ok((operator, operand)),
            (Some(_), Some(_)) => Err(invalid("multiple operators are set: combine them with $and or $or")),
            (None, _) => Err(invalid(format_args!("it has no operator: use one of {known}"))),
        }
    }

    fn nested<T>(
        &mut self,
        operator: &str,
        operand: &Value,
        read: impl Fn(&mut Self, &Value) -> Result<T, FilterFault>,
    ) -> Result<Vec<T>, FilterFault> {
        let Value::Array(members) = operand else {
            return Err(invalid(format_args!("{operator} must be a list of filters")));
        };
        if members.is_empty() {
            return Err(invalid(format_args!("{operator} must not be empty")));
        }
        if self.depth_left == 0 {
            return Err("filter complexity exceeds maximum allowed depth".into());
        }
        self.depth_left -= 1;
        let read = members.iter().map(|member| read(self, member)).collect();
        self.depth_left += 1;
        read
    }

    fn string(&self, operator: &str, operand: &Value) -> Result<String, FilterFault> {
        match operand {
            Value::String(text) if text.is_empty() && !self.empty_operands => {
                Err(invalid(format_args!("format mismatch: {operator} must not be empty")))
            }
            Value::String(text) => Ok(text.clone()),
            _ => Err(invalid(format_args!("{operator} must be a string"))),
        }
    }

    fn strings(&self, operator: &str, operand: &Value) -> Result<Vec<String>, FilterFault> {
        let Value::Array(members) = operand else {
            return Err(invalid(format_args!("{operator} must be a list of strings")));
        };
        members.iter().map(|member| self.string(operator, member)).collect()
    }
}

/// Writes a filter as [`FilterReader::text`] reads it.
pub(crate) fn to_json(filter: &Filter) -> Value {
    let all = |filters: &[Filter]| filters.iter().map(to_json).collect::<Value>();
    match filter {
        Filter::Eq(text) => json!({"$eq": text}),
        Filter::Ne(text) => json!({"$ne": text}),
        Filter::In(texts) => json!({"$in": texts}),
        Filter::NotIn(texts) => json!({"$nin": texts}),
        Filter::Contains(part) => json!({"$like": format!("%{}%", literal(part))}),
        Filter::Like(pattern) if pattern.ignores_case() => json!({"$ilike": pattern.as_str()}),
        Filter::Like(pattern) => json!({"$like": pattern.as_str()}),
        Filter::NotLike(pattern) if pattern.ignores_case() => json!({"$nilike": pattern.as_str()}),
        Filter::NotLike(pattern) => json!({"$nlike": pattern.as_str()}),
        Filter::Gt(text) => json!({"$gt": text}),
        Filter::Gte(text) => json!({"$gte": text}),
        Filter::Lt(text) => json!({"$lt": text}),
        Filter::Lte(text) => json!({"$lte": text}),
        Filter::All(filters) => json!({"$and": all(filters)}),
        Filter::Any(filters) => json!({"$or": all(filters)}),
    }
}

/// A text as the part of a pattern that matches itself.
fn literal(text: &str) -> String {
    text.chars().flat_map(|c| matches!(c, '%' | '_' | '\\').then_some('\\').into_iter().chain([c])).collect()
}

fn invalid(reason: impl std::fmt::Display) -> FilterFault {
    format!("filter is invalid: {reason}")
}

fn unknown_operator(operator: &str, known: &str) -> FilterFault {
    let shown: String = operator.chars().take(40).collect();
    invalid(format_args!("unknown operator {shown:?}, use one of {known}"))
}

/// Reads a JSON object out of a query parameter; a key that comes twice is refused, since one of them would be ignored.
pub(crate) fn json_object(text: &str) -> Result<Map<String, Value>, FilterFault> {
    check(text, 64).map_err(|error| format!("it is not valid JSON: {error}"))?;
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        _ => Err("it must be a JSON object".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Value) -> Result<Filter, FilterFault> {
        FilterReader::of_dimensions().text(&value)
    }

    #[test]
    fn each_operator_means_what_it_says() {
        for (filter, passes, fails) in [
            (json!({"$eq": "b"}), "b", "a"),
            (json!({"$ne": "b"}), "a", "b"),
            (json!({"$in": ["a", ""]}), "", "b"),
            (json!({"$nin": ["a"]}), "b", "a"),
            (json!({"$like": "gpt-%"}), "gpt-4", "GPT-4"),
            (json!({"$nlike": "gpt-%"}), "GPT-4", "gpt-4"),
            (json!({"$ilike": "GPT-_"}), "gpt-4", "gpt-40"),
            (json!({"$nilike": "GPT-_"}), "gpt-40", "gpt-4"),
            (json!({"$gt": "b"}), "c", "b"),
            (json!({"$gte": "b"}), "b", "a"),
            (json!({"$lt": "b"}), "a", "b"),
            (json!({"$lte": "b"}), "b", "c"),
            (json!({"$and": [{"$gte": "b"}, {"$lt": "d"}]}), "c", "d"),
            (json!({"$or": [{"$eq": "x"}, {"$eq": "y"}]}), "y", "z"),
            (json!({"$eq": "b", "$ne": null}), "b", "a"),
            (json!({"$eq": ""}), "", "a"),
        ] {
            let read = text(filter.clone()).unwrap();
            assert!(read.matches(passes) && !read.matches(fails), "{filter}");
            assert_eq!(text(to_json(&read)).unwrap(), read, "{filter}");
        }
    }

    #[test]
    fn a_part_is_written_as_a_pattern_for_itself() {
        let written = to_json(&Filter::Contains("5%_\\".into()));
        let read = text(written).unwrap();
        assert!(read.matches("a 5%_\\ b") && !read.matches("a 5xx b"));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (filter, reason) in [
            (json!({}), "no operator"),
            (json!({"$eq": null}), "no operator"),
            (json!({"$contains": "a"}), "unknown operator"),
            (json!({"eq": "a"}), "unknown operator"),
            (json!({"$eq": "a", "$ne": "b"}), "multiple operators are set"),
            (json!({"$eq": 5}), "must be a string"),
            (json!({"$in": "a"}), "list of strings"),
            (json!({"$in": [5]}), "must be a string"),
            (json!({"$and": []}), "must not be empty"),
            (json!({"$or": {"$eq": "a"}}), "list of filters"),
            (json!({"$or": [{}]}), "no operator"),
            (json!("a"), "must be an object"),
            (json!(["a"]), "must be an object"),
        ] {
            let fault = text(filter.clone()).unwrap_err();
            assert!(fault.contains(reason), "{filter}: {fault}");
        }
    }

    #[test]
    fn events_have_their_own_rules() {
        let read = |value: Value| FilterReader::of_events().text(&value);
        assert!(read(json!({"$eq": ""})).unwrap_err().contains("format mismatch"));
        assert!(read(json!({"$in": ["a", ""]})).unwrap_err().contains("format mismatch"));
        assert!(read(json!({"$and": [{"$eq": "a"}, {"$eq": "b"}]})).is_ok());
        let deep = read(json!({"$and": [{"$or": [{"$eq": "a"}]}]})).unwrap_err();
        assert_eq!(deep, "filter complexity exceeds maximum allowed depth");
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let nested = |levels: usize| (0..levels).fold(json!({"$eq": "a"}), |inner, _| json!({"$and": [inner]}));
        assert!(text(nested(16)).is_ok());
        assert!(text(nested(17)).unwrap_err().contains("depth"));
        let wide = |count: usize| json!({"$or": vec![json!({"$eq": "a"}); count]});
        assert!(text(wide(MAX_CONDITIONS - 1)).is_ok());
        assert!(text(wide(MAX_CONDITIONS)).unwrap_err().contains("conditions"));
    }

    #[test]
    fn times_are_moments() {
        let read = |value: Value| FilterReader::of_events().time(&value);
        let at = |text: &str| Instant::parse_rfc3339(text).unwrap();
        let range = read(json!({"$and": [{"$gte": "2024-01-01T00:00:00Z"}, {"$lt": "2024-01-02T00:00:00+01:00"}]}));
        let range = range.unwrap();
        assert!(range.matches(at("2024-01-01T00:00:00Z")) && !range.matches(at("2024-01-01T23:00:00Z")));
        assert!(read(json!({"$gt": "2024-01-01T00:00:00Z"})).unwrap().matches(at("2024-01-01T00:00:00.000001Z")));
        assert!(!read(json!({"$gt": "2024-01-01T00:00:00Z"})).unwrap().matches(at("2024-01-01T00:00:00Z")));
        assert!(read(json!({"$lte": "2024-01-01T00:00:00Z"})).unwrap().matches(at("2024-01-01T00:00:00Z")));
        for bad in [json!({"$eq": "2024-01-01T00:00:00Z"}), json!({"$gt": "yesterday"}), json!({"$gt": ""}), json!({})]
        {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_that_comes_twice_is_refused() {
        assert!(json_object(r#"{"a":{"$eq":"x"},"a":{"$eq":"y"}}"#).is_err());
        assert!(json_object("[]").is_err());
        assert!(json_object("{'a': 1}").is_err());
        assert_eq!(json_object("{}").unwrap().len(), 0);
    }
}
