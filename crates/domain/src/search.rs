//! Conditions on a text that may be missing: what lists of meters, customers and features are searched by.

use crate::meter::{Filter, LikePattern};

/// A condition. Comparison is byte-wise; parts are looked for without regard to the case of ASCII letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextCondition {
    /// It is this text.
    Is(String),
    /// It is not this text; a missing text is not.
    IsNot(String),
    /// It is one of these.
    OneOf(Vec<String>),
    /// It holds this part.
    Contains(String),
    /// Greater.
    Above(String),
    /// Greater or equal.
    AtLeast(String),
    /// Less.
    Below(String),
    /// Less or equal.
    AtMost(String),
    /// Whether there is a text at all.
    Present(bool),
    /// At least one of these holds.
    Any(Vec<TextCondition>),
}

impl TextCondition {
    /// Whether a text, or a missing one, passes.
    pub fn matches(&self, text: Option<&str>) -> bool {
        match self {
            Self::Is(wanted) => text == Some(wanted.as_str()),
            Self::IsNot(unwanted) => text != Some(unwanted.as_str()),
            Self::OneOf(wanted) => text.is_some_and(|text| wanted.iter().any(|one| one == text)),
            Self::Contains(part) => {
                text.is_some_and(|text| text.to_ascii_lowercase().contains(&part.to_ascii_lowercase()))
            }
            Self::Above(bound) => text.is_some_and(|text| text > bound.as_str()),
            Self::AtLeast(bound) => text.is_some_and(|text| text >= bound.as_str()),
            Self::Below(bound) => text.is_some_and(|text| text < bound.as_str()),
            Self::AtMost(bound) => text.is_some_and(|text| text <= bound.as_str()),
            Self::Present(wanted) => text.is_some() == *wanted,
            Self::Any(conditions) => conditions.iter().any(|condition| condition.matches(text)),
        }
    }
}

/// The same condition on a text that is never missing and never empty, such as an attribute of an event.
impl From<TextCondition> for Filter {
    fn from(condition: TextCondition) -> Self {
        match condition {
            TextCondition::Is(wanted) => Filter::Eq(wanted),
            TextCondition::IsNot(unwanted) => Filter::Ne(unwanted),
            TextCondition::OneOf(wanted) => Filter::In(wanted.into_iter().collect()),
            TextCondition::Contains(part) => Filter::Like(LikePattern::containing(&part, true)),
            TextCondition::Above(bound) => Filter::Gt(bound),
            TextCondition::AtLeast(bound) => Filter::Gte(bound),
            TextCondition::Below(bound) => Filter::Lt(bound),
            TextCondition::AtMost(bound) => Filter::Lte(bound),
            TextCondition::Present(true) => Filter::Ne(String::new()),
            TextCondition::Present(false) => Filter::Eq(String::new()),
            TextCondition::Any(conditions) => Filter::Any(conditions.into_iter().map(Filter::from).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_means_what_it_says_also_as_a_filter() {
        let text = |text: &str| text.to_string();
        for (condition, passes, fails) in [
            (TextCondition::Is(text("b")), "b", "B"),
            (TextCondition::IsNot(text("b")), "B", "b"),
            (TextCondition::OneOf(vec![text("a"), text("b")]), "b", "c"),
            (TextCondition::Contains(text("B%")), "ab%c", "abc"),
            (TextCondition::Above(text("b")), "ba", "b"),
            (TextCondition::AtLeast(text("b")), "b", "a"),
            (TextCondition::Below(text("b")), "a", "b"),
            (TextCondition::AtMost(text("b")), "b", "ba"),
            (TextCondition::Present(true), "a", ""),
            (TextCondition::Any(vec![TextCondition::Is(text("x")), TextCondition::Contains(text("y"))]), "aY", "a"),
        ] {
            // A filter knows no missing texts: there the empty text stands for them.
            let missing = if fails.is_empty() { None } else { Some(fails) };
            assert!(condition.matches(Some(passes)) && !condition.matches(missing), "{condition:?}");
            let filter = Filter::from(condition.clone());
            assert!(filter.matches(passes) && !filter.matches(fails), "{condition:?}");
        }
    }

    #[test]
    fn a_missing_text_is_no_text() {
        let text = || "a".to_string();
        assert!(TextCondition::IsNot(text()).matches(None) && TextCondition::Present(false).matches(None));
        for condition in [
            TextCondition::Is(text()),
            TextCondition::OneOf(vec![text()]),
            TextCondition::Contains(text()),
            TextCondition::AtLeast(text()),
            TextCondition::Below(text()),
            TextCondition::Present(true),
            TextCondition::Any(vec![]),
        ] {
            assert!(!condition.matches(None), "{condition:?}");
        }
        assert!(!TextCondition::Present(false).matches(Some("")));
    }
}
