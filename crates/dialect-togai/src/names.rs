//! Names and texts with the vendor's limits: what the client would refuse to read is not taken in.

use crate::problem::Problem;

/// The most characters of a name of a schema, a meter, an attribute or a dimension, and of an id of a customer or account.
pub(crate) const MAX_NAME: usize = 50;
/// The most characters of a description or a name for people.
pub(crate) const MAX_TEXT: usize = 255;

/// Whether a text matches `^[\sa-zA-Z0-9_-]+$` and is short enough.
pub(crate) fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-' || c.is_whitespace();
    is_within(text, 1, MAX_NAME) && text.chars().all(fits)
}

/// Checks the name of a schema, a meter, an attribute or a dimension.
pub(crate) fn check_name(field: &str, text: &str) -> Result<(), Problem> {
    match is_name(text) {
        true => Ok(()),
        false => Err(Problem::field(
            field,
            format!(
                "a name has 1 to {MAX_NAME} letters, digits, blanks, underscores and hyphens (^[\\sa-zA-Z0-9_-]*$)"
            ),
        )),
    }
}

/// Whether a text has so many characters.
pub(crate) fn is_within(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.chars().count())
}

/// Checks how many characters a text has.
pub(crate) fn check_length(field: &str, text: &str, least: usize, most: usize) -> Result<(), Problem> {
    match (is_within(text, least, most), least) {
        (true, _) => Ok(()),
        (false, 0) => Err(Problem::field(field, format!("it must have at most {most} characters"))),
        (false, _) => Err(Problem::field(field, format!("it must have {least} to {most} characters"))),
    }
}

/// Checks how many characters a text has, if it is there.
pub(crate) fn check_optional(field: &str, text: Option<&str>, least: usize, most: usize) -> Result<(), Problem> {
    text.map_or(Ok(()), |text| check_length(field, text, least, most))
}

/// A name for people that the client can read: of at least three characters and at most 255.
pub(crate) fn readable_name(name: Option<&str>, id: &str) -> String {
    let name = name.filter(|name| is_within(name, 3, usize::MAX)).unwrap_or(id);
    let mut shown: String = name.chars().take(MAX_TEXT).collect();
    while !is_within(&shown, 3, MAX_TEXT) {
        shown.push('_');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_the_client_reads() {
        for good in ["a", "cab rides_2-x", &"a".repeat(50)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a.b", "a/b", "é", &"a".repeat(51)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_name_for_people_has_three_characters_at_least() {
        assert_eq!(readable_name(Some("Al"), "a1"), "a1_");
        assert_eq!(readable_name(None, ""), "___");
        assert_eq!(readable_name(Some("Alice"), "a"), "Alice");
        assert_eq!(readable_name(Some(&"n".repeat(300)), "a").len(), 255);
    }
}
