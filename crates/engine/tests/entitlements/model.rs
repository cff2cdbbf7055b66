//! Random histories: whatever is remembered, every answer is what the rules say of the events.

use crate::place::{DAY, HOUR, MINUTE, Place, event, grant, hard, numbers, start};
use proptest::prelude::*;
use std::collections::BTreeMap;
use tallystick_domain::entitlement::{
    Counting, Grant, MeteredDraft, Reset, ResetDraft, Rules, State, UsagePeriods, burn_down,
};
use tallystick_domain::time::{Interval, Recurrence};
use tallystick_domain::{Instant, Quantity, QuantityError};
use tallystick_engine::{Change, GrantListing, NewCorrection};

/// One step of a history; times are distances from the moment of the step.
#[derive(Clone, Debug)]
enum Step {
    Send { to: usize, micros: i64, value: u32 },
    Retract { which: usize },
    Grant { micros: i64, amount: u32, most: u32 },
    Void { which: usize },
    Reset { retains_anchor: bool, preserves_overage: bool },
    Pass { micros: i64 },
    Ask { micros: i64 },
}

/// Subjects to which events are sent; the last one is nobody's.
const SUBJECTS: [&str; 3] = ["acme", "acme-2", "stranger"];

const FEATURES: [&str; 4] = ["sum", "count", "unique", "latest"];

fn distance() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => Just(0),
        3 => -30 * MINUTE..0,
        2 => -3 * DAY..0,
        1 => 1..2 * HOUR,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..3usize, distance(), 0..50u32).prop_map(|(to, micros, value)| Step::Send { to, micros, value }),
        1 => (0..9usize).prop_map(|which| Step::Retract { which }),
        2 => (prop_oneof![0..2 * HOUR, 0..2 * MINUTE], 1..80u32, 0..80u32)
            .prop_map(|(micros, amount, most)| Step::Grant { micros, amount, most }),
        1 => (0..4usize).prop_map(|which| Step::Void { which }),
        1 => any::<(bool, bool)>().prop_map(|(retains_anchor, preserves_overage)| Step::Reset { retains_anchor, preserves_overage }),
        4 => prop_oneof![0..2 * MINUTE, 0..DAY].prop_map(|micros| Step::Pass { micros }),
        2 => (-DAY..DAY).prop_map(|micros| Step::Ask { micros }),
    ]
}

/// What is known of the events and resets, kept beside the engine.
#[derive(Default)]
struct Known {
    /// Id, subject, time and value, in the order of their acceptance.
    events: Vec<(String, &'static str, Instant, u32)>,
    resets: BTreeMap<&'static str, Vec<Reset>>,
}

impl Known {
    fn used(&self, feature: &str, since: Instant, until: Instant) -> Result<Quantity, QuantityError> {
        let counts = |subject: &str, time: Instant| subject != "stranger" && since <= time && time < until;
        let counted = self.events.iter().filter(|(_, subject, time, _)| counts(subject, *time));
        let values: Vec<_> = counted.map(|(_, _, time, value)| (*time, *value)).collect();
        let whole = |number: u64| Quantity::from_count(number);
        Ok(match feature {
            "sum" => whole(values.iter().map(|(_, value)| u64::from(*value)).sum()),
            "count" => whole(values.len() as u64),
            "unique" => {
                let mut distinct: Vec<_> = values.iter().map(|(_, value)| *value).collect();
                distinct.sort_unstable();
                distinct.dedup();
                whole(distinct.len() as u64)
            }
            // Of the latest moment the one with the greatest id, as the meter says.
            _ => {
                let counted = self.events.iter().filter(|(_, subject, time, _)| counts(subject, *time));
                let latest = counted.max_by_key(|(id, _, time, _)| (*time, id.clone()));
                whole(latest.map_or(0, |(.., value)| u64::from(*value)))
            }
        })
    }

    /// Balance, usage and overage by the rules alone.
    fn numbers(&self, feature: &'static str, grants: &[Grant], at: Instant) -> [String; 3] {
        let recurrence = Recurrence { interval: Interval::parse("P1D").unwrap(), anchor: start() };
        let resets = self.resets.get(feature).cloned().unwrap_or_default();
        let periods = UsagePeriods::new(start(), recurrence, true, resets);
        let counting = if feature == "latest" { Counting::Level } else { Counting::Growing };
        let rules = Rules { periods: &periods, grants, counting };
        let mut usage = |since, until| self.used(feature, since, until);
        let end = burn_down::run(rules, State::initial(&periods), at, &mut usage).unwrap().end;
        let end = burn_down::settled(rules, end).unwrap();
        [end.balance().unwrap(), end.used, end.overage()].map(|number| number.to_string())
    }
}

/// The steps on one entitlement, each compared with the rules.
async fn play(place: &Place, feature: &'static str, steps: &[Step]) {
    place
        .give(feature, MeteredDraft { preserves_overage: true, ..hard(Some("60")) }, Interval::parse("P1D").unwrap())
        .await;
    let mut known = Known::default();
    for (number, step) in steps.iter().enumerate() {
        let asked = perform(place, feature, &mut known, number, step).await;
        let listing = GrantListing { include_deleted: true, limit: 1000, ..GrantListing::default() };
        let grants = place.engine.entitlement_grants(&place.caller, "acme", feature, listing).await.unwrap().grants;
        let minute = place.now().saturating_add_micros(1).ceil_minute();
        for turn in ["anew", "again"] {
            let expected = known.numbers(feature, &grants, minute);
            assert_eq!(place.numbers(feature).await, expected, "{turn}, after step {number}, {step:?}");
        }
        if let Some(time) = asked.filter(|time| start() <= *time) {
            let value = place.engine.entitlement_value(&place.caller, "acme", feature, Some(time)).await.unwrap();
            let expected = known.numbers(feature, &grants, time.ceil_minute());
            assert_eq!(numbers(&value.unwrap()), expected, "at {time}, after step {number}, {step:?}");
        }
    }
}

/// Does one step; the time that is to be asked for.
async fn perform(
    place: &Place,
    feature: &'static str,
    known: &mut Known,
    number: usize,
    step: &Step,
) -> Option<Instant> {
    let (engine, caller, now) = (&place.engine, &place.caller, place.now());
    match step {
        Step::Send { to, micros, value } => {
            let (id, subject, time) = (number.to_string(), SUBJECTS[*to], now.saturating_add_micros(*micros));
            engine.ingest(caller, vec![event(&id, subject, time, &value.to_string())]).await.unwrap();
            known.events.push((id, subject, time, *value));
        }
        Step::Retract { which } if *which < known.events.len() => {
            let (id, ..) = known.events.remove(*which);
            let change = NewCorrection { source: "test".into(), id, change: Change::Retract, reason: "a test".into() };
            engine.correct_events(caller, vec![change]).await.unwrap();
        }
        Step::Grant { micros, amount, most } => {
            let begin = now.saturating_add_micros(*micros);
            let draft = grant(&amount.to_string(), begin, &most.to_string());
            // One at the beginning of a minute may lie before a reset of that minute.
            let _ = engine.create_grant(caller, "acme", feature, draft).await;
        }
        Step::Void { which } => {
            let listing = GrantListing { limit: 1000, ..GrantListing::default() };
            let grants = engine.entitlement_grants(caller, "acme", feature, listing).await.unwrap().grants;
            if let Some(grant) = grants.get(*which).filter(|grant| grant.voided_at.is_none()) {
                engine.void_grant(caller, &grant.id.to_string(), None).await.unwrap();
            }
        }
        Step::Reset { retains_anchor, preserves_overage } => {
            let draft = ResetDraft {
                effective_at: None,
                retains_anchor: *retains_anchor,
                preserves_overage: Some(*preserves_overage),
            };
            if engine.reset_entitlement(caller, "acme", feature, draft).await.is_ok() {
                let resets = known.resets.entry(feature).or_default();
                let anchor = match (retains_anchor, resets.last()) {
                    (false, _) => now.floor_minute(),
                    (true, Some(last)) => last.recurrence.anchor,
                    (true, None) => start(),
                };
                let recurrence = Recurrence { interval: Interval::parse("P1D").unwrap(), anchor };
                resets.push(Reset { at: now.floor_minute(), recurrence, preserves_overage: *preserves_overage });
            }
        }
        Step::Pass { micros } => place.pass(*micros),
        Step::Ask { micros } => return Some(now.saturating_add_micros(*micros)),
        Step::Retract { .. } => {}
    }
    None
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn every_balance_is_what_the_rules_say(feature in 0..4usize, steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let place = Place::furnished(dir.path()).await;
            play(&place, FEATURES[feature], &steps).await;
            place.engine.close().await.unwrap();
        });
    }
}
