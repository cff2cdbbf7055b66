use super::testing::{at, grant, q};
use super::*;
use crate::entitlement::{Expiration, ExpirationUnit, Reset, Stretch};
use crate::time::{Interval, Recurrence};
use proptest::prelude::*;

const MINUTE: i64 = 60_000_000;

fn start() -> Instant {
    at("2025-01-01")
}

fn after(minutes: i64) -> Instant {
    start().saturating_add_micros(minutes * MINUTE)
}

/// A history: what was used when, in which periods, and the grants.
#[derive(Clone, Debug)]
struct Story {
    periods: UsagePeriods,
    grants: Vec<Grant>,
    /// Minutes after the start, and how much.
    events: Vec<(i64, Quantity)>,
    counting: Counting,
}

impl Story {
    fn rules(&self) -> Rules<'_> {
        Rules { periods: &self.periods, grants: &self.grants, counting: self.counting }
    }

    /// What the events between two moments say.
    fn used(&self, since: Instant, until: Instant) -> Result<Quantity, QuantityError> {
        let inside = |time: &Instant| since <= *time && *time < until;
        let mut counted: Vec<_> = self.events.iter().map(|(minutes, value)| (after(*minutes), *value)).collect();
        counted.retain(|(time, _)| inside(time));
        match self.counting {
            Counting::Growing => counted.iter().try_fold(Quantity::ZERO, |sum, (_, value)| sum.plus(*value)),
            Counting::Level => Ok(counted.iter().max_by_key(|(time, _)| *time).map_or(Quantity::ZERO, |last| last.1)),
        }
    }

    fn run_from(&self, state: State, until: Instant) -> Run {
        run(self.rules(), state, until, &mut |since, until| self.used(since, until)).unwrap()
    }

    fn run(&self, until: Instant) -> Run {
        self.run_from(State::initial(&self.periods), until)
    }
}

fn amount() -> impl Strategy<Value = Quantity> {
    (1i128..400, 0u32..3).prop_map(|(mantissa, scale)| Quantity::from_parts(mantissa, scale).unwrap())
}

fn recurrence() -> impl Strategy<Value = Recurrence> {
    let intervals = ["PT1H", "PT7H", "P1D", "P1DT90M", "P1M"].map(|text| Interval::parse(text).unwrap());
    (prop::sample::select(intervals.to_vec()), -3000i64..3000)
        .prop_map(|(interval, minutes)| Recurrence { interval, anchor: after(minutes) })
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let expiration = (1u16..60, prop::sample::select(vec![ExpirationUnit::Hour, ExpirationUnit::Day]))
        .prop_map(|(count, unit)| Expiration { unit, count });
    (
        (amount(), amount(), amount(), any::<bool>()),
        (0u8..3, -100i64..3000),
        prop::option::of(expiration),
        prop::option::weighted(0.3, recurrence()),
        prop::option::weighted(0.3, -50i64..4000),
        0u128..1000,
    )
        .prop_map(|((amount, least, most, keeps), (priority, begin), expiration, recurrence, voided, id)| Grant {
            id: GrantId::from_parts(0, id),
            amount,
            priority,
            effective_at: after(begin),
            expiration,
            min_rollover: if keeps { least } else { Quantity::ZERO },
            max_rollover: if keeps { most } else { Quantity::ZERO },
            recurrence,
            voided_at: voided.map(after),
            ..grant("1", "1")
        })
}

fn any_story(counting: Counting) -> impl Strategy<Value = Story> {
    let reset = (1i64..4000, recurrence(), any::<bool>()).prop_map(|(minutes, recurrence, preserves_overage)| Reset {
        at: after(minutes),
        recurrence,
        preserves_overage,
    });
    (
        recurrence(),
        any::<bool>(),
        prop::collection::vec(reset, 0..3),
        prop::collection::vec(any_grant(), 0..5),
        prop::collection::vec((0i64..4200, amount()), 0..25),
    )
        .prop_map(move |(recurrence, preserves, resets, mut grants, events)| {
            grants.sort_by_key(|grant| grant.id);
            grants.dedup_by_key(|grant| grant.id);
            Story { periods: UsagePeriods::new(start(), recurrence, preserves, resets), grants, events, counting }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn two_runs_are_one_at_any_cut(story in any_story(Counting::Growing), first in 0i64..4200, rest in 0i64..2000) {
        let (cut, until) = (after(first), after(first + rest));
        let whole = story.run(until);
        let before = story.run(cut);
        prop_assert_eq!(story.run_from(before.end, until).end, whole.end);
    }

    #[test]
    fn a_level_is_the_same_at_any_cut(story in any_story(Counting::Level), first in 0i64..4200, rest in 0i64..2000) {
        let (cut, until) = (after(first), after(first + rest));
        prop_assert_eq!(story.run_from(story.run(cut).end, until).end, story.run(until).end);
    }

    #[test]
    fn a_stretch_knows_what_a_run_finds(
        story in prop_oneof![any_story(Counting::Growing), any_story(Counting::Level)],
        until in 0i64..4200,
        is_cut in any::<bool>(),
    ) {
        // Half of the time a moment at which something begins or ends.
        let cuts = cuts(story.rules(), start(), after(4200));
        let cut = cuts.range(after(until)..).next().copied();
        let until = cut.filter(|_| is_cut).unwrap_or(after(until));
        let end = settled(story.rules(), story.run(until).end).unwrap();
        let stretch = Stretch::holding(story.rules(), until, &mut |since, until| story.used(since, until)).unwrap();
        prop_assert!(stretch.period.contains(until) || stretch.period.is_empty());
        let standing = stretch.standing(story.used(stretch.usage_from, until).unwrap()).unwrap();
        // One that began before measuring did was never filled, so a run has no place for it.
        for (id, left) in &standing.balances {
            prop_assert_eq!(*left, end.balances.get(id).copied().unwrap_or(Quantity::ZERO));
        }
        prop_assert!(end.balances.keys().all(|id| standing.balances.iter().any(|(known, _)| known == id)));
        prop_assert_eq!(standing.balance, end.balance().unwrap());
        prop_assert_eq!(standing.used, end.used);
        prop_assert_eq!(standing.overage, end.overage());
        prop_assert_eq!(standing.available, end.available().unwrap());
        if let Some(state) = stretch.state() {
            let later = until.saturating_add_micros(MINUTE * 700);
            let mut usage = |since, until| story.used(since, until);
            let again = Stretch::holding_from(story.rules(), state, later, &mut usage).unwrap();
            prop_assert_eq!(again, Stretch::holding(story.rules(), later, &mut usage).unwrap());
        }
    }

    #[test]
    fn a_run_asks_for_usage_between_cuts_only(story in any_story(Counting::Growing), until in 0i64..4200) {
        let cuts = cuts(story.rules(), start(), after(until));
        let mut usage = |since: Instant, until: Instant| {
            assert!(cuts.contains(&since) && cuts.contains(&until), "[{since}, {until}) of {cuts:?}");
            story.used(since, until)
        };
        run(story.rules(), State::initial(&story.periods), after(until), &mut usage).unwrap();
    }

    #[test]
    fn a_balance_from_a_snapshot_is_that_from_zero(story in any_story(Counting::Growing), until in 0i64..4200) {
        let whole = story.run(after(until));
        // A rollover is one step: there is no moment between its beginning and its end.
        for segment in whole.segments.iter().filter(|segment| !segment.period.is_empty()) {
            let again = story.run_from(segment.start.clone(), after(until));
            prop_assert_eq!(&again.end, &whole.end, "from {}", segment.period.from);
        }
    }

    #[test]
    fn what_is_used_is_burned_or_overage(story in any_story(Counting::Growing), until in 0i64..4200) {
        let whole = story.run(after(until));
        let mut segments = whole.segments.iter().peekable();
        while let Some(segment) = segments.next() {
            let burned = segment.burned.iter().try_fold(Quantity::ZERO, |sum, (_, taken)| sum.plus(*taken)).unwrap();
            let owed = segment.start.debt.plus(segment.used).unwrap();
            prop_assert_eq!(burned.plus(segment.end.debt).unwrap(), owed);
            prop_assert!(segment.end.balances.values().all(|balance| *balance >= Quantity::ZERO));
            let has_left = segment.end.balances.values().any(|balance| balance.is_positive());
            prop_assert!(!has_left || !segment.end.debt.is_positive(), "overage beside a grant that has something left");
            if let Some(next) = segments.peek() {
                prop_assert_eq!(next.period.from, segment.period.to);
            }
        }
        let preserved = whole.segments.iter().filter(|segment| segment.period.is_empty()).any(|segment| segment.start.debt.is_positive());
        if !preserved {
            let end = &whole.end;
            let identity = end.balance().unwrap().plus(end.used).unwrap().minus(end.overage()).unwrap();
            prop_assert_eq!(end.available().unwrap(), identity);
        }
    }

    #[test]
    fn the_order_of_arrival_and_of_grants_does_not_matter(story in any_story(Counting::Growing), until in 0i64..4200) {
        let mut turned = story.clone();
        turned.events.reverse();
        turned.grants.reverse();
        prop_assert_eq!(turned.run(after(until)), story.run(after(until)));
    }

    #[test]
    fn late_usage_counts_as_if_it_had_been_in_time(
        story in any_story(Counting::Growing),
        late in (0i64..4000, amount()),
        until in 0i64..4200,
    ) {
        let mut in_time = story.clone();
        in_time.events.insert(0, late);
        let mut belated = story;
        belated.run(after(until));
        belated.events.push(late);
        prop_assert_eq!(belated.run(after(until)).end, in_time.run(after(until)).end);
    }
}

#[test]
fn what_is_taken_back_pays_for_what_is_used_later_in_the_period() {
    let events = vec![(60, q("-10")), (120, q("4")), (180, q("16"))];
    let recurrence = Recurrence { interval: Interval::DAY, anchor: start() };
    let periods = UsagePeriods::new(start(), recurrence, false, vec![]);
    let story = Story { periods, grants: vec![grant("1", "100")], events, counting: Counting::Growing };
    let end = |minutes| story.run(after(minutes)).end;
    assert_eq!((end(61).balance().unwrap(), end(61).overage(), end(61).used), (q("100"), q("0"), q("-10")));
    assert_eq!(end(181).balance().unwrap(), q("90"));
    assert_eq!(end(24 * 60).debt, Quantity::ZERO, "and is forgotten with the period");
}

#[test]
fn what_does_not_fit_is_an_error() {
    let most = q("79228162514264337593543950335");
    let recurrence = Recurrence { interval: Interval::DAY, anchor: start() };
    let periods = UsagePeriods::new(start(), recurrence, true, vec![]);
    let rules = Rules { periods: &periods, grants: &[], counting: Counting::Growing };
    let ran = run(rules, State::initial(&periods), after(3000), &mut |_, _| Ok::<_, QuantityError>(most));
    assert_eq!(ran, Err(QuantityError::OutOfRange));
}
