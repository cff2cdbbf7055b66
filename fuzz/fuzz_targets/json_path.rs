//! A path keeps its text, and finds what a naive walk over the parsed document finds.
//!
//! The first line of an input is the path, the rest a JSON document.

#![no_main]

use serde_json::{Value, json};
use tallystick_domain::json::{Leaf, check, lookup};
use tallystick_domain::meter::{JsonPath, Step};

/// Longer arrays are not made up to be looked into.
const MOST_ITEMS: usize = 64;

libfuzzer_sys::fuzz_target!(init: tallystick_fuzz::offer_seeds("json_path"), |bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (path, document) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(path) = JsonPath::parse(path) else { return };
    keeps_its_text(&path, text);
    finds_what_it_names(&path);
    if check(document, 64).is_ok() {
        finds_the_same(&path, document);
    }
});

fn keeps_its_text(path: &JsonPath, text: &str) {
    assert!(text.starts_with(path.as_str()));
    assert_eq!(path.to_string(), path.as_str());
    let plain = written(path.steps());
    let again = JsonPath::parse(&plain).map(|path| path.steps().to_vec());
    assert!(plain.len() > 1024 || again.as_deref() == Ok(path.steps()), "{plain:?} is not {path}");
}

/// The steps as text, in one form for each kind.
fn written(steps: &[Step]) -> String {
    let step = |step: &Step| match step {
        Step::Member(name) if name.contains('"') && name.contains('`') => format!("['{name}']"),
        Step::Member(name) if name.contains('"') => format!(".`{name}`"),
        Step::Member(name) => format!("[\"{name}\"]"),
        Step::Index(index) => format!("[{index}]"),
        Step::Slice { first, last } => format!("[{first} to {last}]"),
        Step::Every => "[*]".to_string(),
    };
    format!("${}", steps.iter().map(step).collect::<String>())
}

/// Looks for a number in a document that is made for the path.
fn finds_what_it_names(path: &JsonPath) {
    if path.steps().len() > 100 {
        return;
    }
    let mut document = json!(7);
    for step in path.steps().iter().rev() {
        document = match step {
            Step::Member(name) => json!({ name.to_string(): document, "": 8 }),
            Step::Index(first) | Step::Slice { first, .. } if *first > MOST_ITEMS => return,
            Step::Index(first) | Step::Slice { first, .. } => {
                let mut items = vec![Value::Null; *first];
                items.push(document);
                Value::Array(items)
            }
            Step::Every => json!(["", document]),
        };
    }
    let skips_the_text = path.steps().last() == Some(&Step::Every);
    let found = lookup(&document.to_string(), path) == Leaf::Number("7");
    assert!(found || skips_the_text, "{path} does not find 7 in {document}");
}

fn finds_the_same(path: &JsonPath, document: &str) {
    let plain: Value = serde_json::from_str(document).expect("a checked document is JSON");
    let found = lookup(document, path);
    let same = match (naive(path.steps(), &plain), &found) {
        (None, Leaf::Missing) | (Some(Value::Null), Leaf::Null) => true,
        (Some(Value::Array(_)), Leaf::Array) | (Some(Value::Object(_)), Leaf::Object) => true,
        (Some(Value::Bool(want)), Leaf::Bool(found)) => want == found,
        (Some(Value::String(want)), Leaf::Text(found)) => want == found,
        (Some(want @ Value::Number(_)), Leaf::Number(found)) => serde_json::from_str(found).ok().as_ref() == Some(want),
        _ => false,
    };
    assert!(same, "{path} finds {found:?} in {document}");
}

/// The first value at the steps, in the order of the document.
fn naive<'v>(steps: &[Step], value: &'v Value) -> Option<&'v Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    match step {
        Step::Member(name) => value.as_object()?.get(&**name).and_then(|inner| naive(rest, inner)),
        Step::Index(index) => items.get(*index).and_then(|item| naive(rest, item)),
        Step::Slice { first, last } => {
            let within = items.iter().take(last.saturating_add(1)).skip(*first);
            within.into_iter().find_map(|item| naive(rest, item))
        }
        Step::Every => items.iter().find_map(|item| naive(rest, item)),
    }
}
