use super::*;
use crate::entitlement::burn_down::testing::{at, q};
use crate::meter::MeterDefinition;
use crate::{FeatureId, MeterId};

fn feature(key: &str) -> Feature {
    Feature {
        id: FeatureId::from_parts(0, 7),
        key: key.into(),
        name: key.into(),
        description: None,
        metadata: BTreeMap::new(),
        meter: None,
        filters: BTreeMap::new(),
        unit_cost: None,
        created_at: at("2025-01-01"),
        updated_at: at("2025-01-01"),
        archived_at: None,
    }
}

fn meter(aggregation: Aggregation) -> Meter {
    let definition = MeterDefinition {
        id: None,
        judging: None,
        details: Default::default(),
        slug: "tokens".into(),
        name: None,
        description: None,
        event_type: "prompt".into(),
        event_from: None,
        aggregation,
        value_property: (aggregation != Aggregation::Count).then(|| "$.tokens".into()),
        group_by: BTreeMap::new(),
        metadata: None,
    };
    Meter::define(MeterId::from_parts(0, 8), definition, at("2025-01-01")).unwrap()
}

fn metered(draft: MeteredDraft) -> EntitlementDraft {
    let usage_period = Some((Interval::MONTH, Some(at("2025-01-05T10:00:30"))));
    EntitlementDraft { kind: KindDraft::Metered(draft), usage_period, metadata: BTreeMap::new() }
}

fn plain() -> MeteredDraft {
    MeteredDraft { is_soft_limit: false, measure_from: MeasureFrom::Now, issue: None, preserves_overage: false }
}

fn define(
    draft: EntitlementDraft,
    aggregation: Option<Aggregation>,
    now: &str,
) -> Result<Entitlement, Vec<EntitlementFault>> {
    let meter = aggregation.map(meter);
    let ids = (EntitlementId::from_parts(0, 1), CustomerId::from_parts(0, 2));
    Entitlement::define(ids.0, ids.1, (&feature("api"), meter.as_ref()), draft, at(now))
}

fn codes(faults: Vec<EntitlementFault>) -> Vec<&'static str> {
    faults.into_iter().map(|fault| fault.code).collect()
}

#[test]
fn measuring_begins_where_it_is_asked_for_in_whole_minutes() {
    let begin = |measure_from| {
        let made =
            define(metered(MeteredDraft { measure_from, ..plain() }), Some(Aggregation::Sum), "2025-03-18T11:23:45");
        made.unwrap().metered(vec![]).unwrap().1.measured_from()
    };
    assert_eq!(begin(MeasureFrom::Now), at("2025-03-18T11:23:00"));
    assert_eq!(begin(MeasureFrom::CurrentPeriod), at("2025-03-05T10:00:00"), "the anchor is floored as well");
    assert_eq!(begin(MeasureFrom::At(at("2024-01-01T00:00:59"))), at("2024-01-01T00:00:00"));
}

#[test]
fn what_is_wrong_is_named_all_at_once() {
    let no_period = EntitlementDraft { usage_period: None, ..metered(plain()) };
    assert_eq!(
        codes(define(no_period, None, "2025-01-01").unwrap_err()),
        ["usage_period_required", "feature_has_no_meter"]
    );
    for aggregation in Aggregation::ALL {
        let made = define(metered(plain()), Some(aggregation), "2025-01-01");
        match aggregation {
            Aggregation::Sum | Aggregation::Count | Aggregation::UniqueCount | Aggregation::Latest => {
                drop(made.unwrap())
            }
            Aggregation::Avg | Aggregation::Min | Aggregation::Max => {
                let faults = made.unwrap_err();
                assert!(faults[0].message.contains(aggregation.as_str()), "{faults:?}");
            }
        }
    }
    let negative = MeteredDraft { issue: Some(Issue { amount: q("-1"), priority: 1 }), ..plain() };
    assert_eq!(
        codes(define(metered(negative), Some(Aggregation::Sum), "2025-01-01").unwrap_err()),
        ["issue_amount_negative"]
    );
    let config = |config: &str| {
        let kind = KindDraft::Static { config: config.into() };
        define(EntitlementDraft { kind, usage_period: None, metadata: BTreeMap::new() }, None, "2025-01-01")
    };
    for good in ["{\"a\":1}", "[]", "7", "\"x\"", "null"] {
        config(good).unwrap();
    }
    assert_eq!(codes(config("{a:1}").unwrap_err()), ["config_not_json"]);
    assert_eq!(codes(config(&format!("\"{}\"", "x".repeat(70_000))).unwrap_err()), ["config_too_long"]);
}

#[test]
fn an_issue_is_a_grant_that_is_full_in_each_period() {
    let issue = |amount| Some(Issue { amount: q(amount), priority: 3 });
    let made =
        define(metered(MeteredDraft { issue: issue("100"), ..plain() }), Some(Aggregation::Sum), "2025-03-18T11:23:45");
    let grant = made.unwrap().issued_grant(GrantId::from_parts(0, 3)).unwrap();
    assert_eq!((grant.min_rollover, grant.max_rollover, grant.priority), (q("100"), q("100"), 3));
    assert_eq!((grant.effective_at, grant.expires_at()), (at("2025-03-18T11:23:00"), None));
    let none =
        define(metered(MeteredDraft { issue: issue("0"), ..plain() }), Some(Aggregation::Sum), "2025-03-18").unwrap();
    assert_eq!(none.issued_grant(GrantId::from_parts(0, 3)), None);
}

/// Entitlements from one day of January to another, `None` for ever.
fn lasting(from: u8, to: Option<u8>) -> Entitlement {
    let day = |day: u8| at(&format!("2025-01-{day:02}"));
    let boolean = EntitlementDraft { kind: KindDraft::Boolean, usage_period: None, metadata: BTreeMap::new() };
    Entitlement { active_from: day(from), active_to: to.map(day), ..define(boolean, None, "2025-01-01").unwrap() }
}

#[test]
fn only_one_is_in_force_at_a_time() {
    for (one, two, expected) in [
        ((1, Some(2)), (2, Some(3)), false),
        ((7, None), (5, Some(7)), false),
        ((1, None), (2, Some(3)), true),
        ((1, Some(3)), (2, Some(3)), true),
        ((1, Some(1)), (1, Some(2)), false),
        ((1, Some(1)), (1, Some(1)), false),
    ] {
        let overlap = lasting(one.0, one.1).overlaps(&lasting(two.0, two.1));
        assert_eq!(overlap, expected, "{one:?} {two:?}");
    }
    let ended = Entitlement { deleted_at: Some(at("2025-01-09")), ..lasting(1, Some(5)) };
    assert_eq!(ended.active().to, at("2025-01-05"), "its own end, not the deletion");
}

fn monthly() -> UsagePeriods {
    let recurrence = Recurrence { interval: Interval::MONTH, anchor: at("2025-01-01") };
    UsagePeriods::new(at("2025-01-01"), recurrence, true, vec![])
}

#[test]
fn a_reset_is_after_the_last_one_and_within_the_period() {
    let now = at("2025-02-10T12:00:30");
    let reset = |effective_at: Option<&str>| {
        monthly().reset(ResetDraft { effective_at: effective_at.map(at), ..ResetDraft::default() }, now)
    };
    let made = reset(None).unwrap();
    let moved = Recurrence { interval: Interval::MONTH, anchor: at("2025-02-10T12:00:00") };
    assert_eq!(made, Reset { at: moved.anchor, recurrence: moved, preserves_overage: true });
    assert_eq!(reset(Some("2025-02-01")).unwrap().at, at("2025-02-01"), "at an automatic one");
    assert_eq!(reset(Some("2025-02-10T12:01:00")).unwrap_err().code, "reset_ahead");
    assert_eq!(reset(Some("2025-01-31T23:59:00")).unwrap_err().code, "reset_before_period");
    let retained = ResetDraft { retains_anchor: true, preserves_overage: Some(false), ..ResetDraft::default() };
    let kept = monthly().reset(retained, now).unwrap();
    assert_eq!((kept.recurrence.anchor, kept.preserves_overage), (at("2025-01-01"), false));
    let after = UsagePeriods::new(at("2025-01-01"), monthly().recurrence_at(now), true, vec![made]);
    let again = after.reset(ResetDraft::default(), at("2025-02-10T12:00:59"));
    assert_eq!(again.unwrap_err().code, "reset_not_after_last");
}

#[test]
fn grants_are_checked_against_the_current_period() {
    let now = at("2025-02-10T12:00:30");
    let draft = |amount: &str, effective_at: &str| GrantDraft {
        amount: q(amount),
        priority: 0,
        effective_at: at(effective_at),
        expiration: None,
        min_rollover: Quantity::ZERO,
        max_rollover: q(amount).max(Quantity::ZERO),
        recurrence: Some((Interval::DAY, None)),
        metadata: BTreeMap::new(),
        annotations: BTreeMap::new(),
    };
    let define =
        |draft| Grant::define(GrantId::from_parts(0, 3), EntitlementId::from_parts(0, 1), &monthly(), draft, now);
    let made = define(draft("5", "2025-02-01T00:00:59")).unwrap();
    assert_eq!((made.effective_at, made.recurrence.unwrap().anchor), (at("2025-02-01"), at("2025-02-01")));
    define(draft("5", "2026-01-01")).unwrap();
    assert_eq!(
        codes(define(draft("0", "2025-01-31")).unwrap_err()),
        ["grant_amount_must_be_positive", "grant_effective_before_period"]
    );
    let voided = made.voided(None, &monthly(), now).unwrap();
    assert_eq!(voided.voided_at, Some(at("2025-02-10T12:00:00")));
    assert_eq!(voided.voided(None, &monthly(), now).unwrap_err().code, "grant_voided");
    assert_eq!(made.voided(Some(at("2025-02-11")), &monthly(), now).unwrap_err().code, "void_ahead");
    assert_eq!(made.voided(Some(at("2025-01-31")), &monthly(), now).unwrap_err().code, "void_before_period");
}

#[test]
fn measuring_begins_within_so_many_periods() {
    let from = |text| MeteredDraft { measure_from: MeasureFrom::At(at(text)), ..plain() };
    assert!(define(metered(from("0001-01-01")), Some(Aggregation::Sum), "2025-01-01").is_ok(), "24,288 months");
    let hours = Some((Interval::parse("PT1H").unwrap(), None));
    let hourly = |text| EntitlementDraft { usage_period: hours, ..metered(from(text)) };
    assert!(define(hourly("2020-01-01"), Some(Aggregation::Sum), "2025-01-01").is_ok());
    let faults = define(hourly("1970-01-01"), Some(Aggregation::Sum), "2025-01-01").unwrap_err();
    assert_eq!(codes(faults), ["measure_usage_from_too_early"]);
}
