//! What a door keeps with an entity to give it back in its own words. The core never looks into it.

use crate::json::JsonObject;
use std::collections::BTreeMap;

/// JSON objects by the door that keeps them.
pub type Details = BTreeMap<String, JsonObject>;

/// `stored` with those doors replaced that `changed` names; those of other doors stay.
pub fn merged(stored: &Details, changed: Details) -> Details {
    let mut merged = stored.clone();
    merged.extend(changed);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_replaces_its_own_and_leaves_those_of_the_others() {
        let object = |text: &str| JsonObject::parse(text).unwrap();
        let stored: Details = [("a".to_string(), object("{\"x\":1}")), ("b".to_string(), object("{}"))].into();
        let changed = [("a".to_string(), object("{\"y\":2.0}"))].into();
        let texts: Vec<_> = merged(&stored, changed).into_values().map(|kept| kept.as_str().to_owned()).collect();
        assert_eq!(texts, ["{\"y\":2.0}", "{}"]);
    }
}
