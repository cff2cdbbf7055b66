//! An event as it is sent, and as the core keeps it.
//!
//! The core's event has the source `togai`, the schema as its type and the account as its subject. Its data are an object with
//! `attributes` (numbers, exactly as they were sent), `dimensions` (texts), `units` if any were sent, `alias` if the account was
//! called by one, and `failure` if the event cannot be metered.

use crate::json;
use crate::names::{MAX_NAME, is_within};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use tallystick_domain::Instant;
use utoipa::ToSchema;

/// The source of the door's events.
pub(crate) const SOURCE: &str = "togai";
/// The most attributes of an event.
pub(crate) const MAX_ATTRIBUTES: usize = 10;
/// The most characters of an id of an event and of what it calls its account.
pub(crate) const MAX_ID: usize = 512;
/// The most characters of a dimension's value.
pub(crate) const MAX_DIMENSION: usize = 200;
/// The most dimensions of an event.
const MAX_DIMENSIONS: usize = 50;
/// The most digits of a number before the point, and after it.
const MAX_DIGITS: usize = 512;

/// A usage event.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiEvent, example = json!({"schemaName": "rides", "timestamp": "2024-01-01T00:00:00Z", "accountId": "acme", "attributes": [{"name": "distance", "value": "12.5"}], "dimensions": {"city": "chennai"}}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct Payload {
    /// The schema.
    #[schema(min_length = 1, max_length = 50)]
    pub schema_name: String,
    /// The same id is counted once; one of the server's when left out.
    #[schema(max_length = 512)]
    pub id: Option<String>,
    /// When it happened (RFC 3339; UTC without an offset).
    #[schema(format = DateTime)]
    pub timestamp: String,
    /// The account, by its id or an alias.
    #[schema(min_length = 1, max_length = 512)]
    pub account_id: String,
    /// Its numbers.
    #[schema(max_items = 10)]
    #[serde(deserialize_with = "json::objects")]
    pub attributes: Vec<AttributeInput>,
    /// Its texts.
    pub dimensions: BTreeMap<String, String>,
}

/// A number of an event.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiAttribute)]
pub(crate) struct AttributeInput {
    /// Its name.
    #[schema(min_length = 1, max_length = 50)]
    name: String,
    /// The number, as text (`^-?\d{1,512}(\.\d+)?$`), or as a number without an exponent.
    #[schema(value_type = Value, example = "12.5")]
    value: Box<RawValue>,
    /// Its unit.
    #[schema(min_length = 1, max_length = 50)]
    unit: Option<String>,
}

/// A checked event.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub schema_name: String,
    pub id: Option<String>,
    pub time: Instant,
    pub account: String,
    /// Name, number in the form of JSON, and unit.
    attributes: Vec<(String, String, Option<String>)>,
    dimensions: BTreeMap<String, String>,
}

/// Why an event that is kept cannot be metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// There is no such schema, or it is inactive.
    NoSchema,
    /// There is no such account.
    NoAccount,
}

impl Failure {
    /// The vendor's status, which is also how it is kept.
    pub(crate) fn status(self) -> &'static str {
        match self {
            Failure::NoSchema => "INGESTION_FAILED_SCHEMA_NOT_DEFINED",
            Failure::NoAccount => "INGESTION_FAILED_ACCOUNT_NOT_FOUND",
        }
    }

    /// What it is called where it is kept.
    pub(crate) fn of_status(text: &str) -> Option<Self> {
        [Failure::NoSchema, Failure::NoAccount].into_iter().find(|failure| failure.status() == text)
    }

    pub(crate) fn description(self) -> &'static str {
        match self {
            Failure::NoSchema => "there was no active event schema of this name when the event came",
            Failure::NoAccount => "there was no account of this id or alias when the event came",
        }
    }
}

impl Payload {
    /// Checks everything that the event says by itself; the text is what is wrong first.
    pub(crate) fn checked(self) -> Result<Checked, String> {
        let within = |field: &str, text: &str, least: usize, most: usize| match is_within(text, least, most) {
            true => Ok(()),
            false => Err(format!("{field}: it must have {least} to {most} characters")),
        };
        within("schemaName", &self.schema_name, 1, MAX_NAME)?;
        within("accountId", &self.account_id, 1, MAX_ID)?;
        let id = self.id.filter(|id| !id.is_empty());
        id.as_deref().map_or(Ok(()), |id| within("id", id, 1, MAX_ID))?;
        let time = read_time(&self.timestamp)?;
        if self.attributes.len() > MAX_ATTRIBUTES {
            return Err(format!("attributes: an event has at most {MAX_ATTRIBUTES}"));
        }
        let (mut attributes, mut seen) = (Vec::new(), BTreeSet::new());
        for (index, attribute) in self.attributes.into_iter().enumerate() {
            let field = |name: &str| format!("attributes[{index}].{name}");
            within(&field("name"), &attribute.name, 1, MAX_NAME)?;
            attribute.unit.as_deref().map_or(Ok(()), |unit| within(&field("unit"), unit, 1, MAX_NAME))?;
            if !seen.insert(attribute.name.clone()) {
                return Err(format!("{}: {:?} is there twice", field("name"), attribute.name));
            }
            let number =
                read_number(attribute.value.get()).map_err(|reason| format!("{}: {reason}", field("value")))?;
            attributes.push((attribute.name, number, attribute.unit));
        }
        if self.dimensions.len() > MAX_DIMENSIONS {
            return Err(format!("dimensions: an event has at most {MAX_DIMENSIONS}"));
        }
        for (name, value) in &self.dimensions {
            within("a name in dimensions", name, 1, MAX_NAME)?;
            within(&format!("dimensions.{name}"), value, 1, MAX_DIMENSION)?;
        }
        let (schema_name, account, dimensions) = (self.schema_name, self.account_id, self.dimensions);
        Ok(Checked { schema_name, id, time, account, attributes, dimensions })
    }
}

impl Checked {
    /// The data of the core's event.
    pub(crate) fn data(&self, alias: Option<&str>, failure: Option<Failure>) -> String {
        let text = |value: &str| Value::from(value).to_string();
        let members = |pairs: Vec<(&str, String)>| {
            let each: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
            format!("{{{}}}", each.join(","))
        };
        let numbers = self.attributes.iter().map(|(name, number, _)| (name.as_str(), number.clone())).collect();
        let units: Vec<_> = self
            .attributes
            .iter()
            .filter_map(|(name, _, unit)| Some((name.as_str(), text(unit.as_deref()?))))
            .collect();
        let mut data = format!("{{\"attributes\":{}", members(numbers));
        let texts = self.dimensions.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        // Writing into a text cannot fail.
        let _ = write!(data, ",\"dimensions\":{}", members(texts));
        if !units.is_empty() {
            let _ = write!(data, ",\"units\":{}", members(units));
        }
        if let Some(alias) = alias {
            let _ = write!(data, ",\"alias\":{}", text(alias));
        }
        if let Some(failure) = failure {
            let _ = write!(data, ",\"failure\":{}", text(failure.status()));
        }
        data.push('}');
        data
    }
}

/// A time with an offset, or without one in UTC.
pub(crate) fn read_time(text: &str) -> Result<Instant, String> {
    let read =
        Instant::parse_rfc3339(text).or_else(|error| Instant::parse_rfc3339(&format!("{text}Z")).map_err(|_| error));
    read.map_err(|error| format!("timestamp: {error}"))
}

/// A number as text (`"12.50"`) or as a JSON number, in the form of a JSON number: digit for digit, without leading zeros.
fn read_number(raw: &str) -> Result<String, String> {
    const RULE: &str = "a decimal number as text, such as \"-12.50\" (^-?\\d{1,512}(\\.\\d+)?$)";
    let text: String = match raw.starts_with('"') {
        true => serde_json::from_str(raw).map_err(|error| error.to_string())?,
        false => raw.to_owned(),
    };
    let (sign, digits) = text.strip_prefix('-').map_or(("", text.as_str()), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let fits = |part: &str| (1..=MAX_DIGITS).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit());
    if !fits(whole) || !fraction.is_none_or(fits) {
        let shown: String = text.chars().take(40).collect();
        return Err(format!("{shown:?} is not {RULE}"));
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    Ok(fraction.map_or_else(|| format!("{sign}{whole}"), |fraction| format!("{sign}{whole}.{fraction}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn number(raw: &str) -> Option<String> {
        read_number(raw).ok()
    }

    #[test]
    fn a_number_keeps_its_digits_and_loses_leading_zeros() {
        for (raw, wanted) in [
            ("\"12.50\"", "12.50"),
            ("12.5", "12.5"),
            ("\"007\"", "7"),
            ("\"-000.10\"", "-0.10"),
            ("\"0\"", "0"),
            ("\"123456789012345678901234567890.5\"", "123456789012345678901234567890.5"),
        ] {
            assert_eq!(number(raw).as_deref(), Some(wanted), "{raw}");
        }
        let long = format!("\"{}\"", "9".repeat(512));
        assert!(number(&long).is_some());
        let longer = format!("\"{}\"", "9".repeat(513));
        for bad in
            [longer.as_str(), "\"\"", "\"1.\"", "\".5\"", "\"+1\"", "\"1e3\"", "1e3", "\" 1\"", "null", "true", "[1]"]
        {
            assert_eq!(number(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_utc() {
        let wanted = Instant::parse_rfc3339("2024-11-18T13:32:03Z").unwrap();
        assert_eq!(read_time("2024-11-18T13:32:03"), Ok(wanted));
        assert_eq!(read_time("2024-11-19T00:32:03+11:00"), Ok(wanted));
        assert!(read_time("yesterday").is_err());
        assert!(read_time("2024-11-18").is_err());
    }

    #[test]
    fn the_data_are_exact_and_say_what_is_wrong_with_the_event() {
        let text = r#"{"schemaName":"r","timestamp":"2024-01-01T00:00:00","accountId":"a","attributes":[
            {"name":"d \"x\"","value":"012.50","unit":"km"},{"name":"n","value":3}],"dimensions":{"city":"Chennai"}}"#;
        let checked = serde_json::from_str::<Payload>(text).unwrap().checked().unwrap();
        assert_eq!(
            checked.data(Some("b"), Some(Failure::NoAccount)),
            r#"{"attributes":{"d \"x\"":12.50,"n":3},"dimensions":{"city":"Chennai"},"units":{"d \"x\"":"km"},"alias":"b","failure":"INGESTION_FAILED_ACCOUNT_NOT_FOUND"}"#
        );
        assert!(checked.data(None, None).ends_with(r#""units":{"d \"x\"":"km"}}"#));
        for failure in [Failure::NoSchema, Failure::NoAccount] {
            assert_eq!(Failure::of_status(failure.status()), Some(failure));
        }
    }

    #[test]
    fn what_is_wrong_with_an_event_is_named() {
        let base = json!({"schemaName":"r","timestamp":"2024-01-01T00:00:00Z","accountId":"a","attributes":[],"dimensions":{}});
        let wrong = |field: &str, value: Value| {
            let mut event = base.clone();
            event[field] = value;
            serde_json::from_str::<Payload>(&event.to_string()).unwrap().checked().unwrap_err()
        };
        let attribute = |name: &str| json!({"name": name, "value": "1"});
        for (field, value, named) in [
            ("schemaName", json!(""), "schemaName"),
            ("schemaName", json!("s".repeat(51)), "schemaName"),
            ("accountId", json!("a".repeat(513)), "accountId"),
            ("id", json!("i".repeat(513)), "id"),
            ("timestamp", json!("now"), "timestamp"),
            ("attributes", json!(vec![attribute("a"); 2]), "attributes[1].name"),
            ("attributes", json!(vec![attribute("a"); 11]), "attributes"),
            ("attributes", json!([{"name":"a","value":"x"}]), "attributes[0].value"),
            ("attributes", json!([{"name":"a","value":"1","unit":""}]), "attributes[0].unit"),
            ("dimensions", json!({"city":""}), "dimensions.city"),
            ("dimensions", json!({"city":"c".repeat(201)}), "dimensions.city"),
        ] {
            let reason = wrong(field, value);
            assert!(reason.starts_with(named), "{reason}");
        }
    }
}
