//! Labels: what this version calls the user's own metadata, with stricter rules for what is written.

use super::faults::{Faults, InvalidParameter};
use std::collections::BTreeMap;

const MAX_CHARACTERS: usize = 63;
/// Beginnings of keys that belong to the vendor's own labels.
const RESERVED: [&str; 8] = ["_", "kong", "konnect", "insomnia", "mesh", "kic", "kuma", "openmeter"];

/// Labels by key.
pub(crate) type Labels = BTreeMap<String, String>;

/// Checks labels of a request.
pub(crate) fn check(labels: Option<&Labels>, faults: &mut Faults) {
    for (key, value) in labels.into_iter().flatten() {
        let field = format!("labels.{key}");
        let mut refuse = |reason: String| faults.add(InvalidParameter::new(&field, "body", "is_label", reason));
        let rule = "1 to 63 letters and digits, joined by single '.', '_' or '-'";
        if !is_well_formed(key) {
            refuse(format!("a key must have {rule}"));
        }
        if !is_well_formed(value) {
            refuse(format!("a value must have {rule}"));
        }
        if let Some(start) = RESERVED.iter().find(|start| key.starts_with(*start)) {
            refuse(format!("keys that begin with {start:?} are reserved"));
        }
    }
}

fn is_well_formed(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_alphanumeric());
    text.len() <= MAX_CHARACTERS && text.split(['.', '_', '-']).all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_by_single_separators() {
        for good in ["a", "A1", "a.b_c-d", &"a".repeat(63)] {
            assert!(is_well_formed(good), "{good}");
        }
        for bad in ["", "-a", "a.", "a--b", "a b", "é", "a/b", &"a".repeat(64)] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
