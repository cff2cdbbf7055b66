//! Labels of entitlements and grants: metadata are texts, annotations any JSON.
//!
//! Inside, an annotation is a text too. One that is JSON stands for that JSON, and a text that looks like JSON is therefore kept
//! in quotes, so each comes back as it was sent.

use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Annotations as a body has them.
pub(crate) type Annotations = BTreeMap<String, Box<RawValue>>;

/// Annotations as they are kept.
pub(crate) fn kept(sent: Annotations) -> BTreeMap<String, String> {
    sent.into_iter().map(|(name, value)| (name, kept_value(value.get()))).collect()
}

fn kept_value(json: &str) -> String {
    match serde_json::from_str::<String>(json) {
        Ok(text) if !is_json(&text) => text,
        _ => json.to_string(),
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

/// Annotations as they are shown.
pub(crate) fn shown(kept: BTreeMap<String, String>) -> Annotations {
    kept.into_iter().filter_map(|(name, text)| Some((name, shown_value(text)?))).collect()
}

fn shown_value(text: String) -> Option<Box<RawValue>> {
    match is_json(&text) {
        true => RawValue::from_string(text).ok(),
        false => serde_json::value::to_raw_value(&text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_annotation_comes_back_as_it_was_sent() {
        let sent =
            r#"{"a":"text","b":"true","c":true,"d":{"x":[1.50,null]},"e":"\"","f":"\"q\"","g":null,"h":"1 2","i":""}"#;
        let annotations: Annotations = serde_json::from_str(sent).unwrap();
        let inside = kept(annotations);
        assert_eq!((inside["a"].as_str(), inside["b"].as_str(), inside["c"].as_str()), ("text", "\"true\"", "true"));
        assert_eq!(serde_json::to_string(&shown(inside)).unwrap(), sent);
    }
}
