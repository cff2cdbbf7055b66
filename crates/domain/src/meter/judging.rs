//! Meters that decide about an event once, when it is accepted, and keep what they decided with the event.
//!
//! Invariant: what a meter made of an event depends on the event and on the meter's rule and active periods at its
//! acceptance, never on the order in which events come; it changes only when the event is corrected.

use super::json_path::JsonPath;
use super::value::{dimension_leaf, numeric_leaf};
use crate::event::EventRef;
use crate::expression::{Expression, Facts, Names, Outcome};
use crate::json::{Leaf, lookup};
use crate::quantity::Quantity;
use crate::time::Instant;
use std::cell::OnceCell;

/// How often a meter can be activated: its periods are kept forever.
pub const MAX_ACTIVE_PERIODS: usize = 1000;

/// The most conditions of a rule.
pub const MAX_CONDITIONS: usize = 100;

/// What decides whether an event counts, and with how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judging {
    /// Which events count, and with how much.
    pub rule: Rule,
    /// When the meter counts: ascending, and only the last may be without an end.
    pub active: Vec<ActivePeriod>,
}

/// A time in which a meter counts, `[from, to)`, compared with the time of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivePeriod {
    /// First instant that counts.
    pub from: Instant,
    /// First instant that does not count any more.
    pub to: Option<Instant>,
}

/// Where a meter is in its life. One that was deleted has none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterStatus {
    /// It never counted.
    Draft,
    /// It counts.
    Active,
    /// It counted, and does not now.
    Inactive,
}

/// Which events of a meter's type count, and with how many units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// All must hold.
    pub conditions: Vec<Condition>,
    /// Must be true as well, if there is one.
    pub matcher: Option<Expression>,
    /// The units of an event.
    pub value: RuleValue,
    /// Where expressions look for names.
    pub names: Names,
}

/// An equality on event data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The first of these paths that leads to anything is compared; if none does, the condition does not hold.
    pub any_of: Vec<JsonPath>,
    /// The text that must stand there. Numbers are compared as numbers.
    pub equals: String,
}

/// The units of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleValue {
    /// Every event is one.
    One,
    /// The first of these paths that leads to anything has the number.
    Property(Vec<JsonPath>),
    /// What the expression gives.
    Computed(Expression),
}

/// The data of an event for expressions: read when the first one asks, and then shared.
pub struct LazyFacts<'a> {
    data: &'a str,
    read: OnceCell<Result<Facts<'a>, String>>,
}

impl<'a> LazyFacts<'a> {
    /// The data of an event; without any, every name is missing.
    pub fn of(event: EventRef<'a>) -> Self {
        Self { data: event.data().unwrap_or("{}"), read: OnceCell::new() }
    }

    fn outcome(&self, expression: &Expression, names: &Names) -> Result<Outcome, String> {
        let read = self.read.get_or_init(|| Facts::parse(self.data).map_err(|error| error.to_string()));
        let facts = read.as_ref().map_err(String::clone)?;
        expression.evaluate(facts, names).map_err(|error| error.to_string())
    }
}

/// What a meter made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Metered {
    /// It counts with these units.
    Units(Quantity),
    /// It would count, and its units cannot be told: why.
    Fault(String),
}

/// How a new meter judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJudging {
    /// Which events count, and with how much.
    pub rule: Rule,
    /// From when on it counts; a draft without.
    pub active_from: Option<Instant>,
}

impl Judging {
    /// Where the meter is in its life.
    pub fn status(&self) -> MeterStatus {
        match self.active.last() {
            None => MeterStatus::Draft,
            Some(ActivePeriod { to: None, .. }) => MeterStatus::Active,
            Some(_) => MeterStatus::Inactive,
        }
    }

    /// Whether events of this time count.
    pub fn is_active_at(&self, time: Instant) -> bool {
        self.active.iter().any(|period| period.from <= time && period.to.is_none_or(|to| time < to))
    }

    /// What it makes of an event of the meter's type, whose data `facts` has too; `None` when the event does not count.
    pub fn judge(&self, event: EventRef<'_>, facts: &LazyFacts<'_>) -> Option<Metered> {
        let at = |path: &JsonPath| event.data().map_or(Leaf::Missing, |data| lookup(data, path));
        let Rule { conditions, matcher, value, names } = &self.rule;
        if !self.is_active_at(event.time()) || !conditions.iter().all(|condition| condition.holds(&at)) {
            return None;
        }
        match matcher.as_ref().map(|matcher| facts.outcome(matcher, names)) {
            Some(Ok(outcome)) if !outcome.is_truthy() => return None,
            Some(Err(why)) => return Some(Metered::Fault(format!("whether the event counts cannot be told: {why}"))),
            None | Some(Ok(_)) => {}
        }
        let units = match value {
            RuleValue::One => Ok(Quantity::from_count(1)),
            RuleValue::Property(paths) => number_at(paths, &at),
            RuleValue::Computed(expression) => facts
                .outcome(expression, names)
                .and_then(|outcome| outcome.number().map_err(|error| error.to_string()))
                .map_err(|why| format!("the units of the event cannot be told: {why}")),
        };
        Some(units.map_or_else(Metered::Fault, Metered::Units))
    }
}

impl Condition {
    fn holds<'a>(&self, at: &impl Fn(&JsonPath) -> Leaf<'a>) -> bool {
        match first_of(&self.any_of, at) {
            None => false,
            Some((_, Leaf::Number(number))) => match (Quantity::parse(number), Quantity::parse(&self.equals)) {
                (Ok(is), Ok(wanted)) => is == wanted,
                _ => number == self.equals,
            },
            Some((_, Leaf::Array | Leaf::Object)) => false,
            Some((_, leaf)) => dimension_leaf(leaf) == self.equals.as_str(),
        }
    }
}

fn number_at<'a>(paths: &[JsonPath], at: &impl Fn(&JsonPath) -> Leaf<'a>) -> Result<Quantity, String> {
    let (path, leaf) = first_of(paths, at).ok_or_else(|| {
        let names: Vec<_> = paths.iter().map(JsonPath::as_str).collect();
        format!("the event has no value at {}", names.join(" or "))
    })?;
    numeric_leaf(&leaf, path).map_err(|why| why.to_string())
}

/// The first path that leads to anything, and what stands there.
fn first_of<'p, 'a>(paths: &'p [JsonPath], at: &impl Fn(&JsonPath) -> Leaf<'a>) -> Option<(&'p JsonPath, Leaf<'a>)> {
    paths.iter().map(|path| (path, at(path))).find(|(_, leaf)| *leaf != Leaf::Missing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventParts;
    use crate::expression::ExpressionLimits;

    fn path(text: &str) -> JsonPath {
        JsonPath::parse(text).unwrap()
    }

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros).unwrap()
    }

    fn judging(conditions: &[(&[&str], &str)], value: RuleValue) -> Judging {
        let condition = |(paths, equals): &(&[&str], &str)| Condition {
            any_of: paths.iter().map(|text| path(text)).collect(),
            equals: equals.to_string(),
        };
        let conditions = conditions.iter().map(condition).collect();
        let rule = Rule { conditions, matcher: None, value, names: Names::default() };
        Judging {
            rule,
            active: vec![ActivePeriod { from: at(10), to: Some(at(20)) }, ActivePeriod { from: at(30), to: None }],
        }
    }

    fn judged(judging: &Judging, time: i64, data: Option<&str>) -> Option<Metered> {
        let parts =
            EventParts { id: "1", source: "s", event_type: "t", subject: "c", time: at(time), data, extras: None };
        let event = EventRef::from_store(parts);
        judging.judge(event, &LazyFacts::of(event))
    }

    #[test]
    fn expressions_say_whether_an_event_counts_and_with_how_much() {
        let parse = |text: &str| Expression::parse(text, &ExpressionLimits::default()).unwrap();
        let mut rule = judging(&[], RuleValue::Computed(parse(r#"{"*":[{"var":"attributes.km"},0.1]}"#)));
        rule.rule.matcher = Some(parse(r#"{"==":[{"var":"dimension.city"},"pune"]}"#));
        rule.rule.names.0.insert("dimension".into(), vec!["dimensions".into(), String::new()]);
        let units = |text: &str| Some(Metered::Units(Quantity::parse(text).unwrap()));
        assert_eq!(judged(&rule, 10, Some(r#"{"attributes":{"km":3},"dimensions":{"city":"pune"}}"#)), units("0.3"));
        assert_eq!(judged(&rule, 10, Some(r#"{"attributes":{"km":3},"city":"pune"}"#)), units("0.3"));
        assert_eq!(judged(&rule, 10, Some(r#"{"attributes":{"km":3},"city":"goa"}"#)), None);
        assert_eq!(judged(&rule, 10, None), None);
        for fault in [r#"{"city":"pune"}"#, r#"{"attributes":{"km":"far"},"city":"pune"}"#] {
            assert!(matches!(judged(&rule, 10, Some(fault)), Some(Metered::Fault(_))), "{fault}");
        }
    }

    #[test]
    fn only_times_in_active_periods_count_and_their_ends_do_not() {
        let all = judging(&[], RuleValue::One);
        let counts: Vec<_> = [9, 10, 19, 20, 29, 30, 1000].map(|time| judged(&all, time, None).is_some()).into();
        assert_eq!(counts, [false, true, true, false, false, true, true]);
        assert_eq!(judged(&all, 10, None), Some(Metered::Units(Quantity::from_count(1))));
    }

    #[test]
    fn a_status_follows_from_the_periods() {
        let mut judging = judging(&[], RuleValue::One);
        assert_eq!(judging.status(), MeterStatus::Active);
        judging.active.pop();
        assert_eq!(judging.status(), MeterStatus::Inactive);
        judging.active.clear();
        assert_eq!(judging.status(), MeterStatus::Draft);
    }

    #[test]
    fn all_conditions_must_hold_at_the_first_path_that_leads_anywhere() {
        let rule = judging(&[(&["$.d.city", "$.city"], "chennai"), (&["$.tier"], "1.0")], RuleValue::One);
        for (data, holds) in [
            (r#"{"d":{"city":"chennai"},"tier":1}"#, true),
            (r#"{"city":"chennai","tier":"1.0"}"#, true),
            (r#"{"city":"chennai","tier":1.00}"#, true),
            (r#"{"city":"chennai","tier":"1"}"#, false),
            (r#"{"d":{"city":"pune"},"city":"chennai","tier":1}"#, false),
            (r#"{"city":"chennai"}"#, false),
            (r#"{"city":["chennai"],"tier":1}"#, false),
        ] {
            assert_eq!(judged(&rule, 10, Some(data)).is_some(), holds, "{data}");
        }
        assert_eq!(judged(&rule, 10, None), None);
    }

    #[test]
    fn a_value_that_is_no_number_is_a_fault_and_never_zero() {
        let rule = judging(&[], RuleValue::Property(vec![path("$.a.n"), path("$.n")]));
        let units = |text: &str| Some(Metered::Units(Quantity::parse(text).unwrap()));
        assert_eq!(judged(&rule, 10, Some(r#"{"n":"0.10"}"#)), units("0.10"));
        assert_eq!(judged(&rule, 10, Some(r#"{"a":{"n":-2},"n":5}"#)), units("-2"));
        for data in [None, Some("{}"), Some(r#"{"n":"x"}"#), Some(r#"{"n":null}"#), Some(r#"{"a":{"n":true},"n":1}"#)] {
            assert!(matches!(judged(&rule, 10, data), Some(Metered::Fault(_))), "{data:?}");
        }
    }
}
