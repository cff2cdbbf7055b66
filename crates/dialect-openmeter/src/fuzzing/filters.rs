//! Filters against a naive evaluation of the same JSON.

use crate::filter::{FilterReader, json_object};
use serde_json::Value;
use tallystick_domain::Instant;
use tallystick_domain::event::TimeFilter;
use tallystick_domain::meter::Filter;

/// Reads a filter from the first line, and applies it to each of the others as a text and as a moment. `Some` is how many
/// of them pass.
///
/// A filter that was read passes exactly what a naive evaluation of its JSON passes. The exact texts and the bounds that
/// it names leave out nothing that passes.
pub fn filter(bytes: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (filter, candidates) = text.split_once('\n').unwrap_or((text, ""));
    let plain = Value::Object(json_object(filter).ok()?);
    let of_events = FilterReader::of_events().text(&plain);
    let of_dimensions = FilterReader::of_dimensions().text(&plain);
    if let Ok(strict) = &of_events {
        assert_eq!(of_dimensions.as_ref(), Ok(strict), "what the narrower rules let in, the wider ones read as well");
    }
    let moments = FilterReader::of_dimensions().time(&plain).ok();
    let mut passed = 0;
    for candidate in candidates.split('\n') {
        if let Ok(filter) = &of_dimensions {
            passed += usize::from(passes(filter, &plain, candidate));
        }
        if let (Some(filter), Ok(moment)) = (&moments, Instant::parse_rfc3339(candidate)) {
            passed += usize::from(passes_as_moment(filter, &plain, moment));
        }
    }
    (of_dimensions.is_ok() || moments.is_some()).then_some(passed)
}

fn passes(filter: &Filter, plain: &Value, text: &str) -> bool {
    let passes = filter.matches(text);
    assert_eq!(passes, naive(plain, text), "{plain} of {text:?}");
    let named = filter.exact_texts();
    assert!(!passes || named.is_none_or(|texts| texts.contains(&text)), "{plain} does not name {text:?}");
    passes
}

fn passes_as_moment(filter: &TimeFilter, plain: &Value, moment: Instant) -> bool {
    let passes = filter.matches(moment);
    assert_eq!(passes, naive_moment(plain, moment), "{plain} of {moment}");
    let (from, through) = filter.bounds();
    assert!(!passes || (from <= moment && moment <= through), "the bounds of {plain} leave out {moment}");
    passes
}

/// The one operator that is set.
fn operator(plain: &Value) -> (&str, &Value) {
    let members = plain.as_object().expect("a filter is an object");
    let (operator, operand) = members.iter().find(|(_, operand)| !operand.is_null()).expect("an operator is set");
    (operator, operand)
}

fn naive(plain: &Value, text: &str) -> bool {
    let (operator, operand) = operator(plain);
    let members = || operand.as_array().expect("a list").iter();
    let other = operand.as_str().unwrap_or_default();
    match operator {
        "$and" => members().all(|member| naive(member, text)),
        "$or" => members().any(|member| naive(member, text)),
        "$in" => members().any(|member| member == text),
        "$nin" => members().all(|member| member != text),
        "$eq" => text == other,
        "$ne" => text != other,
        "$gt" => text.as_bytes() > other.as_bytes(),
        "$gte" => text.as_bytes() >= other.as_bytes(),
        "$lt" => text.as_bytes() < other.as_bytes(),
        "$lte" => text.as_bytes() <= other.as_bytes(),
        "$like" => is_like(other, text),
        "$nlike" => !is_like(other, text),
        "$ilike" => is_like_in_any_case(other, text),
        "$nilike" => !is_like_in_any_case(other, text),
        unknown => panic!("{unknown} was read as an operator"),
    }
}

fn naive_moment(plain: &Value, moment: Instant) -> bool {
    let (operator, operand) = operator(plain);
    let members = || operand.as_array().expect("a list").iter();
    let other = || Instant::parse_rfc3339(operand.as_str().expect("a text")).expect("a moment");
    match operator {
        "$and" => members().all(|member| naive_moment(member, moment)),
        "$or" => members().any(|member| naive_moment(member, moment)),
        "$gt" => moment > other(),
        "$gte" => moment >= other(),
        "$lt" => moment < other(),
        "$lte" => moment <= other(),
        unknown => panic!("{unknown} was read as an operator"),
    }
}

/// A character of a pattern, as it is to be taken.
#[derive(Clone, Copy)]
enum Part {
    Exactly(char),
    One,
    Any,
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '%' => Part::Any,
            '_' => Part::One,
            '\\' => Part::Exactly(chars.next().unwrap_or('\\')),
            c => Part::Exactly(c),
        });
    }
    parts
}

fn is_like(pattern: &str, text: &str) -> bool {
    fits(&parts(pattern), &text.chars().collect::<Vec<_>>())
}

fn is_like_in_any_case(pattern: &str, text: &str) -> bool {
    let lower = |part: Part| match part {
        Part::Exactly(c) => c.to_lowercase().map(Part::Exactly).collect(),
        other => vec![other],
    };
    let parts: Vec<Part> = parts(pattern).into_iter().flat_map(lower).collect();
    fits(&parts, &text.chars().flat_map(char::to_lowercase).collect::<Vec<_>>())
}

/// By a table of which beginnings of the pattern fit which beginnings of the text.
fn fits(parts: &[Part], text: &[char]) -> bool {
    let mut fitting = vec![false; text.len() + 1];
    fitting[0] = true;
    for part in parts {
        let mut next = vec![false; text.len() + 1];
        for at in 0..=text.len() {
            let one_less = at.checked_sub(1);
            next[at] = match part {
                Part::Any => fitting[at] || one_less.is_some_and(|before| next[before]),
                Part::One => one_less.is_some_and(|before| fitting[before]),
                Part::Exactly(c) => one_less.is_some_and(|before| fitting[before] && text[before] == *c),
            };
        }
        fitting = next;
    }
    fitting[text.len()]
}
