//! A row of a table as a CloudEvent, written without going through numbers: a cell's digits stay as they are.

use std::fmt::Write;

/// The attributes of one event; `data` are names and cells.
pub struct RowEvent<'a> {
    /// Identity within the source.
    pub id: &'a str,
    /// Where it comes from.
    pub source: &'a str,
    /// What kind of usage it is.
    pub event_type: &'a str,
    /// Whom it is about.
    pub subject: &'a str,
    /// When it happened, RFC 3339.
    pub time: &'a str,
    /// Its properties.
    pub data: &'a [(&'a str, &'a str)],
}

impl RowEvent<'_> {
    /// The event as JSON.
    pub fn to_json(&self) -> String {
        let mut json = String::from(r#"{"specversion":"1.0""#);
        let attributes = [
            ("id", self.id),
            ("source", self.source),
            ("type", self.event_type),
            ("subject", self.subject),
            ("time", self.time),
        ];
        for (name, value) in attributes {
            // Writing to a string does not fail.
            let _ = write!(json, ",\"{name}\":{}", quoted(value));
        }
        json.push_str(",\"data\":{");
        for (at, (name, cell)) in self.data.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            let value = if is_json_number(cell) { (*cell).to_string() } else { quoted(cell) };
            let _ = write!(json, "{comma}{}:{value}", quoted(name));
        }
        json.push_str("}}");
        json
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether a cell is a number as JSON writes it: no sign but `-`, no leading zeros, digits around the point.
fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.find(['e', 'E']) {
        Some(at) => (&unsigned[..at], Some(&unsigned[at + 1..])),
        None => (unsigned, None),
    };
    let (whole, fraction) =
        mantissa.split_once('.').map_or((mantissa, None), |(whole, fraction)| (whole, Some(fraction)));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// Joins the parts of an id with `-`. What stands for itself elsewhere is escaped inside of a part, so that two
/// different rows never get the same id: `a-b`,`c` and `a`,`b-c` stay apart.
pub fn joined_id<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let escaped: Vec<_> = parts.map(|part| part.replace('%', "%25").replace('-', "%2D")).collect();
    escaped.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_their_digits() {
        let data = [("n", "1.50"), ("big", "123456789012345678901234567890"), ("zip", "01234"), ("q\"", "a\\\u{1}é")];
        let event = RowEvent {
            id: "1",
            source: "s",
            event_type: "t",
            subject: "c\"",
            time: "2024-01-01T00:00:00Z",
            data: &data,
        };
        assert_eq!(
            event.to_json(),
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c\"","time":"2024-01-01T00:00:00Z","data":{"n":1.50,"big":123456789012345678901234567890,"zip":"01234","q\"":"a\\\u0001é"}}"#
        );
    }

    #[test]
    fn only_numbers_of_json_are_numbers() {
        for number in ["0", "-0", "12", "-1.5", "0.10", "1e3", "1E-3", "2.5e+10"] {
            assert!(is_json_number(number), "{number}");
            assert!(serde_json::from_str::<serde_json::Number>(number).is_ok(), "{number}");
        }
        for text in ["", "-", "01", "+1", ".5", "5.", "1e", "1_0", "0x1", " 1", "1 ", "NaN", "1.2.3", "--1", "١"] {
            assert!(!is_json_number(text), "{text}");
        }
    }

    #[test]
    fn ids_of_different_rows_differ() {
        let rows = [["a-b", "c"], ["a", "b-c"], ["a%2Db", "c"], ["a", ""], ["", "a"], ["a", "-"], ["a", "%2D"]];
        let ids: std::collections::HashSet<_> = rows.iter().map(|row| joined_id(row.iter().copied())).collect();
        assert_eq!(ids.len(), rows.len());
        assert_eq!(joined_id(["2013", "1", "UA"].into_iter()), "2013-1-UA");
    }
}
