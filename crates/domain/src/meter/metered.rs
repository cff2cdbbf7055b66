//! What meters made of an event, written into its stored data and taken out again.
//!
//! It stands in one member of the data that no sender may use, so that plans read it like any other value; the text before
//! it stays as it was sent.

use super::json_path::JsonPath;
use super::judging::Metered;
use crate::MeterId;
use crate::json::{Leaf, members};
use crate::quantity::Quantity;

/// The member of stored data that holds what meters made of the event.
pub const METERED: &str = "$metered";

/// In [`METERED`], says that the sender sent no data at all.
const NO_DATA: &str = "no_data";

/// Begins the text of a fault, so that it is never read as a number.
const FAULT: &str = "! ";

/// The longest fault that is kept, in characters.
const MAX_FAULT_CHARS: usize = 300;

/// Where the units of a meter stand in the stored data. An id has letters and digits only, so there always is a path.
pub fn units_path(meter: MeterId) -> Option<JsonPath> {
    JsonPath::of_members([METERED, &meter.to_string()])
}

/// The stored data: what was sent, and what meters made of it.
pub fn with_metered(data: Option<&str>, metered: &[(MeterId, Metered)]) -> String {
    let sent = data.and_then(|data| data.trim_end().strip_suffix('}'));
    let mut text = sent.unwrap_or("{").to_owned();
    if !matches!(text.trim_end().as_bytes().last(), None | Some(b'{')) {
        text.push(',');
    }
    text.push_str(&format!("{}:{{", quoted(METERED)));
    let mut entries: Vec<String> = metered.iter().map(|(meter, made)| entry(&meter.to_string(), made)).collect();
    if data.is_none() {
        entries.push(format!("{}:null", quoted(NO_DATA)));
    }
    text.push_str(&entries.join(","));
    text.push_str("}}");
    text
}

/// Takes the stored data apart: what was sent, and what meters made of it.
pub fn without_metered(stored: Option<&str>) -> (Option<String>, Vec<(MeterId, Metered)>) {
    let Some(text) = stored else { return (None, Vec::new()) };
    let mut kept = None;
    if text.contains(METERED) {
        // Stored data was checked when it came in.
        let _ = members(text, &mut |key, value| kept = (key == METERED).then_some(value).or(kept));
    }
    let Some(kept) = kept else { return (Some(text.to_owned()), Vec::new()) };
    let (mut metered, mut had_data) = (Vec::new(), true);
    let _ = members(kept, &mut |key, value| match MeterId::parse(key) {
        Some(meter) => metered.push((meter, read(value))),
        None => had_data = had_data && key != NO_DATA,
    });
    let before = text.len() - "}".len() - kept.len() - quoted(METERED).len() - ":".len();
    let sent = text[..before].strip_suffix(',').unwrap_or(&text[..before]);
    (had_data.then(|| format!("{sent}}}")), metered)
}

/// Whether an event's data has the member that is kept for [`METERED`].
pub fn names_metered(data: &str) -> bool {
    let may_name_it = data.contains('$') || (data.contains('\\') && data.contains("\\u0024"));
    let mut named = false;
    if may_name_it {
        let _ = members(data, &mut |key, _| named |= key == METERED);
    }
    named
}

fn entry(meter: &str, made: &Metered) -> String {
    match made {
        Metered::Units(units) => format!("{}:{units}", quoted(meter)),
        Metered::Fault(why) => {
            let shown: String = why.chars().take(MAX_FAULT_CHARS).collect();
            format!("{}:{}", quoted(meter), quoted(&format!("{FAULT}{shown}")))
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn read(value: &str) -> Metered {
    let text = match Leaf::of(value) {
        Leaf::Number(text) => text.into(),
        Leaf::Text(text) => text,
        _ => value.into(),
    };
    match Quantity::parse(&text) {
        Ok(units) => Metered::Units(units),
        Err(_) => Metered::Fault(text.strip_prefix(FAULT).unwrap_or(&text).to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::numeric_value;

    fn meter(number: u128) -> MeterId {
        MeterId::from_parts(1, number)
    }

    fn units(text: &str) -> Metered {
        Metered::Units(Quantity::parse(text).unwrap())
    }

    #[test]
    fn what_was_sent_comes_back_to_the_byte_beside_what_was_made_of_it() {
        let made = vec![(meter(1), units("12.50")), (meter(2), Metered::Fault("no \"value\" at $.a".into()))];
        for sent in [
            None,
            Some("{}"),
            Some("{ }"),
            Some(r#"{"a":1.50}"#),
            Some(r#"{ "a" : [1,{"$metered":2}], "b":"}," }"#),
            Some(r#"{"a":","}"#),
        ] {
            let stored = with_metered(sent, &made);
            crate::json::check(&stored, 8).unwrap();
            assert_eq!(without_metered(Some(&stored)), (sent.map(str::to_owned), made.clone()), "{stored}");
        }
        assert_eq!(without_metered(Some(r#"{"a":"$metered"}"#)), (Some(r#"{"a":"$metered"}"#.to_owned()), vec![]));
        assert_eq!(without_metered(None), (None, vec![]));
    }

    #[test]
    fn a_plan_reads_units_as_numbers_and_a_fault_as_none() {
        let stored =
            with_metered(Some(r#"{"a":1}"#), &[(meter(1), units("0.1")), (meter(2), Metered::Fault("7".into()))]);
        let read = |number| numeric_value(Some(&stored), &units_path(meter(number)).unwrap());
        assert_eq!(read(1).unwrap().to_string(), "0.1");
        assert_eq!((read(2).unwrap_err().code(), read(3).unwrap_err().code()), ("not_numeric", "missing_value"));
    }

    #[test]
    fn the_reserved_member_is_found_however_it_is_written() {
        for named in [r#"{"$metered":{}}"#, r#"{"a":1, "\u0024metered" : 1}"#, r#"{"$\u006detered":1}"#] {
            assert!(names_metered(named), "{named}");
        }
        for other in ["{}", r#"{"a":"$metered"}"#, r#"{"a":{"$metered":1}}"#, r#"{"metered":1,"price":"$5"}"#] {
            assert!(!names_metered(other), "{other}");
        }
    }

    #[test]
    fn a_long_fault_is_cut() {
        let stored = with_metered(None, &[(meter(1), Metered::Fault("é".repeat(1000)))]);
        let (_, made) = without_metered(Some(&stored));
        assert_eq!(made, [(meter(1), Metered::Fault("é".repeat(MAX_FAULT_CHARS)))]);
    }
}
