//! What callers see of balances: usage that came late, changes at once, history, access.

use crate::place::{DAY, HOUR, MINUTE, Place, after, customer, grant, hard, named, numbers, q, start};
use std::collections::BTreeMap;
use tallystick_domain::entitlement::{EntitlementDraft, KindDraft, ResetDraft};
use tallystick_domain::time::{Interval, WindowSize, Zone};
use tallystick_engine::{
    Access, AccessQuery, Change, EngineError, EntitlementListing, FeatureAccess, GrantListing, HistoryQuery,
    NewCorrection, PagePlace,
};

fn daily() -> Interval {
    Interval::parse("P1D").unwrap()
}

#[tokio::test]
async fn a_check_just_after_an_acknowledged_event_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(Some("100")), Interval::MONTH).await;
    place.pass(1);
    assert_eq!(place.numbers("sum").await, ["100", "0", "0"]);
    for (value, left) in [("0.1", "99.9"), ("0.2", "99.7"), ("99.7", "0"), ("5", "0")] {
        place.send("acme", place.now(), value).await;
        assert_eq!(place.numbers("sum").await[0], left, "after {value}");
    }
    assert!(!place.value("sum").await.has_access());
    assert_eq!(place.numbers("sum").await, ["0", "105", "5"]);
    let counted = place.engine.stats();
    assert_eq!(counted.checks_computed, 1, "{counted:?}");
    assert!(counted.checks_remembered >= 5 && counted.checked_names == 2, "{counted:?}");
    // On the very edge of a minute too.
    place.set(after(HOUR));
    place.send("acme-2", place.now(), "1").await;
    assert_eq!(place.numbers("sum").await, ["0", "106", "6"]);
}

#[tokio::test]
async fn usage_that_comes_late_corrects_what_was_rolled_over() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(None), daily()).await;
    place.engine.create_grant(&place.caller, "acme", "sum", grant("100", start(), "1000")).await.unwrap();
    place.send("acme", after(HOUR), "10").await;
    place.set(after(3 * DAY + 5 * HOUR));
    assert_eq!(place.numbers("sum").await, ["90", "0", "0"], "two automatic resets later");
    place.send("acme", after(2 * HOUR), "20").await;
    assert_eq!(place.numbers("sum").await, ["70", "0", "0"], "a day that was over");
    place.engine.reset_entitlement(&place.caller, "acme", "sum", ResetDraft::default()).await.unwrap();
    place.pass(2 * HOUR);
    assert_eq!(place.numbers("sum").await, ["70", "0", "0"]);
    place.send("acme", after(3 * DAY + 4 * HOUR), "5").await;
    assert_eq!(place.numbers("sum").await, ["65", "0", "0"], "before a reset that somebody asked for");
    place.send("acme", after(DAY), "1").await;
    assert_eq!(place.numbers("sum").await, ["64", "0", "0"]);
    place.send("acme", after(3 * DAY + 6 * HOUR), "4").await;
    assert_eq!(place.numbers("sum").await, ["60", "4", "0"]);
}

#[tokio::test]
async fn corrections_and_changes_are_seen_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(Some("100")), Interval::MONTH).await;
    place.pass(MINUTE);
    place.send_as("x", "acme", place.now(), "30").await;
    assert_eq!(place.numbers("sum").await, ["70", "30", "0"]);
    let (source, id) = ("test".to_string(), "x".to_string());
    let amended = NewCorrection {
        source: source.clone(),
        id: id.clone(),
        change: Change::Amend { data: Some(r#"{"n":40}"#.into()) },
        reason: "a test".into(),
    };
    place.engine.correct_events(&place.caller, vec![amended]).await.unwrap();
    assert_eq!(place.numbers("sum").await, ["60", "40", "0"]);
    let retracted = NewCorrection { source, id, change: Change::Retract, reason: "a test".into() };
    place.engine.correct_events(&place.caller, vec![retracted]).await.unwrap();
    assert_eq!(place.numbers("sum").await, ["100", "0", "0"]);
    // A subject that is given away takes its usage with it.
    place.send("acme-2", place.now(), "7").await;
    assert_eq!(place.numbers("sum").await, ["93", "7", "0"]);
    place.engine.update_customer(&place.caller, "acme", customer("acme", &[])).await.unwrap();
    assert_eq!(place.numbers("sum").await, ["100", "0", "0"]);
    place.add_customer("acme-2", &[]).await;
    place.engine.update_customer(&place.caller, "acme", customer("acme", &["acme-2"])).await.unwrap();
    assert_eq!(place.numbers("sum").await, ["100", "0", "0"], "it is another customer's key");
    place.engine.delete_customer(&place.caller, "acme-2").await.unwrap();
    assert_eq!(place.numbers("sum").await, ["93", "7", "0"]);
    // What takes its place begins anew.
    place.pass(HOUR);
    let draft = EntitlementDraft {
        kind: KindDraft::Metered(hard(Some("5"))),
        usage_period: Some((Interval::MONTH, None)),
        metadata: BTreeMap::new(),
    };
    let old = place.engine.get_customer_entitlement(&place.caller, "acme", "sum").await.unwrap();
    let new =
        place.engine.override_entitlement(&place.caller, "acme", "sum", &named("sum"), draft, vec![]).await.unwrap();
    assert_ne!(old.entitlement.id, new.entitlement.id);
    assert_eq!(place.numbers("sum").await, ["5", "0", "0"]);
    let ended =
        place.engine.entitlement_value(&place.caller, "acme", &old.entitlement.id.to_string(), None).await.unwrap();
    assert_eq!(ended, Some(Access::NotInForce));
    place.engine.delete_customer_entitlement(&place.caller, "acme", "sum").await.unwrap();
    assert_eq!(place.engine.entitlement_value(&place.caller, "acme", "sum", None).await.unwrap(), None);
    let twice = place.engine.delete_customer_entitlement(&place.caller, "acme", "sum").await;
    assert!(matches!(twice, Err(EngineError::NotFound { .. })), "{twice:?}");
}

#[tokio::test]
async fn what_lies_ahead_counts_for_a_time_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(Some("100")), Interval::MONTH).await;
    place.pass(MINUTE);
    place.send("acme", after(5 * HOUR), "10").await;
    place.engine.create_grant(&place.caller, "acme", "sum", grant("50", after(6 * HOUR), "0")).await.unwrap();
    assert_eq!(place.numbers("sum").await, ["100", "0", "0"]);
    assert_eq!(place.numbers("sum").await, ["100", "0", "0"], "remembered");
    let then = async |time| {
        numbers(&place.engine.entitlement_value(&place.caller, "acme", "sum", Some(time)).await.unwrap().unwrap())
    };
    assert_eq!(then(after(5 * HOUR)).await, ["100", "0", "0"], "a whole minute is that minute");
    assert_eq!(then(after(5 * HOUR + 1)).await, ["90", "10", "0"], "a part of one is rounded up");
    assert_eq!(then(after(7 * HOUR)).await, ["140", "10", "0"]);
    place.send("acme", place.now(), "1").await;
    assert_eq!(place.numbers("sum").await, ["99", "1", "0"]);
    place.set(after(5 * HOUR + 1));
    assert_eq!(place.numbers("sum").await, ["89", "11", "0"], "its time has come");
    place.set(after(6 * HOUR));
    assert_eq!(place.numbers("sum").await, ["139", "11", "0"]);
}

#[tokio::test]
async fn every_aggregation_has_its_balance() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    for feature in ["count", "unique", "latest"] {
        place.give(feature, hard(Some("10")), daily()).await;
    }
    place.pass(HOUR);
    for (subject, value) in [("acme", "3"), ("acme-2", "3"), ("acme", "4"), ("stranger", "9")] {
        place.pass(MINUTE);
        place.send(subject, place.now(), value).await;
    }
    assert_eq!(place.numbers("count").await, ["7", "3", "0"]);
    assert_eq!(place.numbers("unique").await, ["8", "2", "0"]);
    assert_eq!(place.numbers("latest").await, ["6", "4", "0"]);
    place.pass(MINUTE);
    place.send("acme-2", place.now(), "12").await;
    assert_eq!(place.numbers("unique").await, ["7", "3", "0"]);
    assert_eq!(place.numbers("latest").await, ["0", "12", "2"]);
    place.pass(DAY);
    for feature in ["count", "unique", "latest"] {
        assert_eq!(place.numbers(feature).await, ["10", "0", "0"], "{feature}");
    }
}

#[tokio::test]
async fn history_has_every_window_and_every_stretch() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(None), Interval::MONTH).await;
    for micros in [0, 3 * HOUR, 5 * HOUR + 30 * MINUTE] {
        let draft = grant("10000", after(micros), "0");
        place.engine.create_grant(&place.caller, "acme", "sum", draft).await.unwrap();
    }
    for (minutes, value) in [(1, "100"), (121, "100"), (181, "100"), (301, "100"), (481, "1100"), (719, "100")] {
        place.send("acme", after(minutes * MINUTE), value).await;
    }
    place.set(after(13 * HOUR));
    let asked = async |from, to, window, zone: &str| {
        let query = HistoryQuery { from: Some(from), to: Some(to), window, zone: Zone::parse(zone).unwrap() };
        place.engine.entitlement_history(&place.caller, "acme", "sum", query).await.unwrap()
    };
    let whole = asked(start(), after(12 * HOUR), WindowSize::Hour, "UTC").await;
    let shown: Vec<_> = whole.windows.iter().map(|row| format!("{}:{}", row.used, row.balance_at_start)).collect();
    let expected =
        "100:10000 0:9900 100:9900 100:19800 0:19700 100:19700 0:29600 0:29600 1100:29600 0:28500 0:28500 100:28500";
    assert_eq!(shown.join(" "), expected);
    assert_eq!(whole.segments.len(), 3);
    let later = asked(after(HOUR), after(12 * HOUR), WindowSize::Hour, "UTC").await;
    assert_eq!((later.windows.len(), later.windows[0].balance_at_start, later.segments.len()), (11, q("9900"), 3));
    let days = asked(start(), after(12 * HOUR), WindowSize::Day, "Asia/Kathmandu").await;
    assert_eq!(days.windows.len(), 0, "its only day began before measuring did");
    let days = asked(start(), after(DAY), WindowSize::Day, "Asia/Kathmandu").await;
    assert_eq!(days.windows.len(), 1);
    assert_eq!(days.windows[0].period.from, after(18 * HOUR + 15 * MINUTE));
    let refused = HistoryQuery { from: Some(after(-DAY)), to: None, window: WindowSize::Hour, zone: Zone::UTC };
    let refused = place.engine.entitlement_history(&place.caller, "acme", "sum", refused).await;
    assert!(matches!(refused, Err(EngineError::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn listings_show_what_is_in_force_and_whose_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.add_customer("other", &["o-1"]).await;
    place.give("sum", hard(Some("5")), Interval::MONTH).await;
    place.pass(MINUTE);
    place.give_plain("acme", "plain", KindDraft::Boolean).await;
    place.pass(MINUTE);
    place.give_plain("other", "plain", KindDraft::Static { config: "{}".into() }).await;
    let listed = async |listing: EntitlementListing| {
        let page = place.engine.list_entitlements(&place.caller, EntitlementListing { limit: 10, ..listing }).await;
        let found = page.unwrap().entitlements.into_iter();
        found
            .map(|one| format!("{}:{}", one.customer.key.clone().unwrap(), one.entitlement.feature_key))
            .collect::<Vec<_>>()
    };
    let base = EntitlementListing::default;
    assert_eq!(listed(base()).await, ["acme:sum", "acme:plain", "other:plain"]);
    assert_eq!(listed(EntitlementListing { customer_keys: vec!["other".into()], ..base() }).await, ["other:plain"]);
    assert_eq!(
        listed(EntitlementListing { subjects: vec!["acme-2".into()], ..base() }).await,
        ["acme:sum", "acme:plain"]
    );
    assert_eq!(listed(EntitlementListing { customer_ids: vec!["nobody".into()], ..base() }).await, [""; 0]);
    let grants = async |customers: &[&str]| {
        let customers = customers.iter().map(|name| name.to_string()).collect();
        let listing = GrantListing { customers, limit: 10, ..GrantListing::default() };
        place.engine.list_grants(&place.caller, listing).await.map(|page| page.total)
    };
    assert_eq!(
        (grants(&[]).await.unwrap(), grants(&["acme"]).await.unwrap(), grants(&["other"]).await.unwrap()),
        (1, 1, 0)
    );
    assert!(matches!(grants(&["nobody"]).await, Err(EngineError::NotFound { .. })));
    let access = place.engine.customer_access(&place.caller, "acme").await.unwrap();
    assert_eq!(access.keys().collect::<Vec<_>>(), ["plain", "sum"]);
    let refused = place.engine.delete_customer(&place.caller, "acme").await;
    assert!(matches!(refused, Err(EngineError::Conflict(_))), "{refused:?}");
}

#[tokio::test]
async fn the_access_of_many_customers_is_told_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(Some("1")), Interval::MONTH).await;
    place.send("acme", start(), "1").await;
    for name in ["b", "c"] {
        place.pass(2 * MINUTE);
        place.add_customer(name, &[]).await;
        place.give_plain(name, "plain", KindDraft::Boolean).await;
    }
    let query = |place, size| AccessQuery {
        customers: ["acme", "acme-2", "b", "c", "nobody", "b"].map(String::from).to_vec(),
        features: Some(["sum", "plain", "missing"].map(String::from).to_vec()),
        size,
        place,
    };
    let page = place.engine.query_access(&place.caller, query(PagePlace::First, 2)).await.unwrap();
    assert_eq!((page.unknown, page.has_previous, page.has_next), (vec!["nobody".to_string()], false, true));
    let shown: Vec<_> = page
        .rows
        .iter()
        .map(|row| (row.matched.join(" "), row.features.values().copied().collect::<Vec<_>>()))
        .collect();
    let (granted, denied, missing) = (FeatureAccess::Granted, FeatureAccess::NotEntitled, FeatureAccess::NoSuchFeature);
    assert_eq!(
        shown,
        [
            ("acme acme-2".to_string(), vec![missing, denied, FeatureAccess::LimitReached]),
            ("b".to_string(), vec![missing, granted, denied]),
        ]
    );
    let last = &page.rows[1].customer;
    let next =
        place.engine.query_access(&place.caller, query(PagePlace::After(last.created_at, last.id), 2)).await.unwrap();
    assert_eq!((next.rows.len(), next.has_previous, next.has_next), (1, true, false));
    let first = &next.rows[0].customer;
    let back = place
        .engine
        .query_access(&place.caller, query(PagePlace::Before(first.created_at, first.id), 1))
        .await
        .unwrap();
    assert_eq!((back.rows[0].customer.id, back.has_previous, back.has_next), (last.id, true, true));
    let all = AccessQuery { features: None, ..query(PagePlace::First, 9) };
    let all = place.engine.query_access(&place.caller, all).await.unwrap();
    assert_eq!(all.rows[0].features.len(), 5, "all features of the namespace");
}

#[tokio::test]
async fn what_would_take_too_long_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(Some("1")), Interval::parse("PT1H").unwrap()).await;
    place.pass(HOUR);
    let is_refused = |outcome: Result<(), EngineError>| matches!(outcome, Err(EngineError::Invalid(_)));
    let far = crate::place::at("9998-01-01T00:00:00Z");
    let value = place.engine.entitlement_value(&place.caller, "acme", "sum", Some(far)).await;
    assert!(is_refused(value.map(drop)));
    let near = crate::place::at("2030-01-01T00:00:00Z");
    let value = place.engine.entitlement_value(&place.caller, "acme", "sum", Some(near)).await.unwrap().unwrap();
    assert_eq!(numbers(&value), ["1", "0", "0"], "42,000 periods ahead");
    for (to, window) in [(far, WindowSize::Month), (near, WindowSize::Minute)] {
        let query = HistoryQuery { from: None, to: Some(to), window, zone: Zone::UTC };
        let history = place.engine.entitlement_history(&place.caller, "acme", "sum", query).await;
        assert!(is_refused(history.map(drop)), "{to} {window:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn checks_beside_events_and_changes_see_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(None), Interval::MONTH).await;
    place.pass(MINUTE);
    let now = place.now();
    let senders =
        ["acme", "acme-2"].into_iter().flat_map(|subject| [(subject, 0), (subject, 1)]).map(|(subject, part)| {
            let (engine, caller) = (place.engine.clone(), place.caller.clone());
            tokio::spawn(async move {
                for number in 1..=50 {
                    let usage = crate::place::event(&format!("{subject} {part} {number}"), subject, now, "1");
                    engine.ingest(&caller, vec![usage]).await.unwrap();
                    let access = engine.entitlement_value(&caller, "acme", "sum", None).await.unwrap().unwrap();
                    let Access::Metered(metered) = access else { panic!("not metered") };
                    assert!(
                        q(&number.to_string()) <= metered.standing.used,
                        "{} after {number}",
                        metered.standing.used
                    );
                }
            })
        });
    let senders: Vec<_> = senders.collect();
    for number in 0..20 {
        let amount = grant("10", now, "10");
        place.engine.create_grant(&place.caller, "acme", "sum", amount).await.unwrap();
        let Access::Metered(metered) = place.value("sum").await else { panic!("not metered") };
        assert_eq!(metered.standing.available, q(&(10 * (number + 1)).to_string()));
    }
    for sender in senders {
        sender.await.unwrap();
    }
    assert_eq!(place.numbers("sum").await, ["0", "200", "0"]);
}

#[tokio::test]
async fn what_is_over_for_one_entitlement_is_computed_anew_for_that_one() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    place.give("sum", hard(Some("10")), daily()).await;
    place.give("count", hard(Some("10")), Interval::MONTH).await;
    place.pass(MINUTE);
    place.send("acme", place.now(), "4").await;
    let computed = || place.engine.stats().checks_computed;
    for day in 0..3 {
        let before = computed();
        assert_eq!(place.numbers("sum").await[0], if day == 0 { "6" } else { "10" });
        assert_eq!(place.numbers("count").await, ["9", "1", "0"]);
        assert_eq!(computed() - before, if day == 0 { 2 } else { 1 }, "on day {day}");
        place.pass(DAY);
    }
}
