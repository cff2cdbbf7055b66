//! Balances of meters: credits less usage, equal to what the entitlement says.

use crate::place::{DAY, HOUR, MINUTE, Place, after, grant, hard, q};
use std::collections::BTreeMap;
use tallystick_domain::entitlement::{Expiration, ExpirationUnit};
use tallystick_domain::meter::{Aggregation, Meter, MeterDefinition};
use tallystick_domain::time::Interval;
use tallystick_engine::{Change, EngineError, EntitlementListing, MeterBalance, MeterRef, NewCorrection};
use tempfile::TempDir;

fn named(slug: &str) -> MeterRef {
    MeterRef::parse(slug).unwrap()
}

async fn place() -> (TempDir, Place) {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::furnished(dir.path()).await;
    (dir, place)
}

impl Place {
    async fn credit(&self, slug: &str, customer: &str, amount: &str) -> Result<MeterBalance, EngineError> {
        self.engine.credit(&self.caller, &named(slug), customer, q(amount), BTreeMap::new()).await
    }

    /// The balances of one meter, by customer.
    async fn balances(&self, slug: &str) -> Vec<MeterBalance> {
        let meters: Vec<Meter> = self.engine.list_meters(&self.caller, false).await.unwrap();
        let meters: Vec<Meter> = meters.into_iter().filter(|meter| meter.slug == slug).collect();
        let mut found = self.engine.list_balances(&self.caller, &meters).await.unwrap();
        found.sort_by_key(|balance| balance.customer);
        found
    }

    /// Credited, consumed and what is left, of the only balance of a meter; all three ways to ask agree.
    async fn only(&self, slug: &str) -> [String; 3] {
        let all = self.balances(slug).await;
        assert_eq!(all.len(), 1, "{all:?}");
        let (meter, by_id) = self.engine.get_balance(&self.caller, all[0].id).await.unwrap();
        assert_eq!((meter.slug.as_str(), &by_id), (slug, &all[0]));
        let customer = all[0].customer.to_string();
        let of_customer = self.engine.customer_balance(&self.caller, &named(slug), &customer).await.unwrap();
        assert_eq!(of_customer, all[0]);
        told(&all[0])
    }
}

fn told(balance: &MeterBalance) -> [String; 3] {
    [balance.credited, balance.consumed, balance.balance].map(|quantity| quantity.to_string())
}

#[tokio::test]
async fn a_balance_is_credits_less_usage_to_the_last_digit_whatever_came_first() {
    let (_dir, place) = place().await;
    assert!(place.balances("sum").await.is_empty());
    place.send("acme", after(-400 * DAY), "0.1").await;
    place.send("acme-2", after(0), "0.2").await;
    place.send("nobody", after(0), "7").await;
    assert_eq!(place.only("sum").await, ["0", "0.3", "-0.3"], "usage alone makes a balance");
    let before = place.balances("sum").await.remove(0);
    place.pass(HOUR);
    let credited = place.credit("sum", "acme", "10.0000000000000000000000001").await.unwrap();
    assert_eq!(credited.id, before.id, "it keeps its id");
    assert_eq!((credited.created_at, credited.last_used_at), (after(-400 * DAY), Some(after(0))));
    assert_eq!(place.only("sum").await, ["10.0000000000000000000000001", "0.3", "9.7000000000000000000000001"]);
    place.credit("sum", "acme", "0.5").await.unwrap();
    place.send("acme", after(-DAY), "30").await;
    assert_eq!(place.only("sum").await[2], "-19.7999999999999999999999999", "late usage, and more than was credited");
    place.send("acme", after(-2 * DAY), "-30").await;
    assert_eq!(place.only("sum").await[2], "10.2000000000000000000000001");
    place.send("acme", after(2 * HOUR), "1").await;
    assert_eq!(place.only("sum").await[1], "0.3", "what is dated ahead does not count yet");
    place.pass(2 * HOUR);
    assert_eq!(place.only("sum").await[1], "1.3");
}

#[tokio::test]
async fn the_shortcut_equals_what_the_entitlement_says() {
    let (_dir, place) = place().await;
    for slug in ["sum", "count", "latest"] {
        for amount in ["100", "2.5"] {
            place.credit(slug, "acme", amount).await.unwrap();
        }
    }
    for (time, value) in [(-HOUR, "3"), (0, "4.25"), (MINUTE, "90.5")] {
        place.send("acme", after(time), value).await;
    }
    place.pass(2 * MINUTE);
    for (slug, consumed) in [("sum", "97.75"), ("count", "3"), ("latest", "90.5")] {
        let [credited, used, left] = place.only(slug).await;
        assert_eq!((credited.as_str(), used.as_str()), ("102.5", consumed), "{slug}");
        assert_eq!(place.numbers(&format!("{slug}_balance")).await, [left, used, "0".into()], "{slug}");
    }
    // A grant that ends is no plain sum any more: what was taken from it stays taken.
    let ending = Some(Expiration { unit: ExpirationUnit::Hour, count: 1 });
    let draft = tallystick_domain::entitlement::GrantDraft { expiration: ending, ..grant("50", place.now(), "50") };
    place.engine.create_grant(&place.caller, "acme", "sum_balance", draft).await.unwrap();
    assert_eq!(place.only("sum").await, ["152.5", "97.75", "54.75"]);
    place.pass(2 * HOUR);
    let left = place.numbers("sum_balance").await[0].clone();
    assert_eq!(place.only("sum").await[2], left);
}

#[tokio::test]
async fn an_entitlement_given_in_another_way_is_a_balance_if_it_measures_all_usage() {
    let (_dir, place) = place().await;
    let given = place.give("sum", hard(Some("100")), Interval::MONTH).await;
    place.send("acme", after(0), "30").await;
    place.pass(MINUTE);
    assert_eq!(place.only("sum").await, ["100", "30", "70"]);
    assert_eq!(place.balances("sum").await[0].id, given.entitlement.id);
    place.credit("sum", "acme", "5").await.unwrap();
    assert_eq!(place.only("sum").await, ["105", "30", "75"], "a credit is a grant of it");
    let grants = place
        .engine
        .list_entitlements(&place.caller, EntitlementListing { limit: 10, ..EntitlementListing::default() });
    assert_eq!(grants.await.unwrap().total, 1);
    place.engine.delete_customer_entitlement(&place.caller, "acme", "sum").await.unwrap();
    assert_eq!(place.only("sum").await, ["0", "30", "-30"]);
    assert!(place.engine.get_balance(&place.caller, given.entitlement.id).await.is_err());
}

#[tokio::test]
async fn what_takes_nothing_from_grants_shows_its_usage_and_takes_no_credit() {
    let (_dir, place) = place().await;
    let meter = MeterDefinition {
        slug: "peak".into(),
        aggregation: Aggregation::Max,
        value_property: Some("$.n".into()),
        ..count_meter()
    };
    place.engine.create_meter(&place.caller, meter).await.unwrap();
    for value in ["3", "9", "4"] {
        place.send("acme", after(0), value).await;
    }
    place.send("acme-2", after(0), "8").await;
    place.pass(MINUTE);
    assert_eq!(place.only("peak").await, ["0", "9", "-9"]);
    assert_eq!(place.only("unique").await, ["0", "4", "-4"], "distinct values of both subjects");
    let refused = place.credit("peak", "acme", "1").await.unwrap_err();
    assert!(matches!(&refused, EngineError::Invalid(faults) if faults[0].field == "meter"), "{refused:?}");
}

fn count_meter() -> MeterDefinition {
    MeterDefinition {
        slug: "calls".into(),
        name: None,
        description: None,
        aggregation: Aggregation::Count,
        event_type: "call".into(),
        event_from: None,
        value_property: None,
        group_by: BTreeMap::new(),
        metadata: None,
        id: None,
        judging: None,
        details: BTreeMap::new(),
    }
}

#[tokio::test]
async fn a_credit_of_nothing_or_for_nobody_is_refused_and_leaves_nothing_behind() {
    let (_dir, place) = place().await;
    for amount in ["0", "-1"] {
        let refused = place.credit("sum", "acme", amount).await.unwrap_err();
        assert!(matches!(&refused, EngineError::Invalid(faults) if faults[0].field == "amount"), "{refused:?}");
    }
    assert!(matches!(place.credit("sum", "who", "1").await, Err(EngineError::NotFound { what: "customer", .. })));
    assert!(matches!(place.credit("gone", "acme", "1").await, Err(EngineError::NotFound { what: "meter", .. })));
    assert!(place.balances("sum").await.is_empty());
}

#[tokio::test]
async fn credits_at_the_same_time_all_count_and_make_one_balance() {
    let (_dir, place) = place().await;
    let credits = (0..8).map(|_| {
        let (engine, caller) = (place.engine.clone(), place.caller.clone());
        tokio::spawn(async move { engine.credit(&caller, &named("sum"), "acme", q("1.5"), BTreeMap::new()).await })
    });
    for credit in credits.collect::<Vec<_>>() {
        credit.await.unwrap().unwrap();
    }
    assert_eq!(place.only("sum").await, ["12", "0", "12"]);
}

#[tokio::test]
async fn meters_and_customers_go_with_their_balances_and_not_with_anything_else() {
    let (_dir, place) = place().await;
    place.engine.create_meter(&place.caller, count_meter()).await.unwrap();
    let credited = place.credit("calls", "acme", "5").await.unwrap();
    let refused = place.engine.delete_meter(&place.caller, &named("calls")).await.unwrap_err();
    assert!(refused.to_string().contains("calls_balance"), "{refused}");
    let refused = place.engine.delete_meter_with_balances(&place.caller, &named("sum")).await.unwrap_err();
    assert!(refused.to_string().contains("archive sum first"), "{refused}");
    place.engine.delete_meter_with_balances(&place.caller, &named("calls")).await.unwrap();
    assert!(place.engine.get_balance(&place.caller, credited.id).await.is_err());
    assert!(place.engine.get_feature(&place.caller, "calls_balance").await.is_err());
    // The customer may go now, and with a balance too, but not with what somebody gave it.
    place.engine.create_meter(&place.caller, count_meter()).await.unwrap();
    let again = place.credit("calls", "acme", "5").await.unwrap();
    assert_eq!((told(&again), again.id == credited.id), (["5", "0", "5"].map(String::from), false));
    place.give("sum", hard(None), Interval::MONTH).await;
    let refused = place.engine.delete_customer_with_balances(&place.caller, "acme").await.unwrap_err();
    assert!(matches!(refused, EngineError::Conflict(_)), "{refused:?}");
    assert_eq!(place.only("calls").await, ["5", "0", "5"], "nothing is half done");
    place.engine.delete_customer_entitlement(&place.caller, "acme", "sum").await.unwrap();
    place.engine.delete_customer_with_balances(&place.caller, "acme").await.unwrap();
    assert!(place.balances("calls").await.is_empty());
    assert!(place.engine.get_balance(&place.caller, again.id).await.is_err());
}

#[tokio::test]
async fn a_balance_whose_entitlement_was_deleted_begins_anew_under_another_id() {
    let (_dir, place) = place().await;
    let first = place.credit("sum", "acme", "5").await.unwrap();
    place.engine.delete_customer_entitlement(&place.caller, "acme", "sum_balance").await.unwrap();
    assert!(place.balances("sum").await.is_empty());
    place.send("acme", after(0), "2").await;
    place.pass(MINUTE);
    assert_eq!(place.only("sum").await, ["0", "2", "-2"]);
    let second = place.credit("sum", "acme", "3").await.unwrap();
    assert_ne!(first.id, second.id);
    assert_eq!(place.only("sum").await, ["3", "2", "1"]);
    place.engine.archive_feature(&place.caller, "sum_balance").await.unwrap();
    assert_eq!(place.only("sum").await, ["3", "2", "1"], "what was given stays when its feature is archived");
    place.add_customer("other", &[]).await;
    place.credit("sum", "other", "1").await.unwrap();
    assert_eq!(place.balances("sum").await.len(), 2, "a new feature takes the archived one's place");
}

#[tokio::test]
async fn a_retracted_event_was_never_used() {
    let (_dir, place) = place().await;
    place.credit("sum", "acme", "5").await.unwrap();
    place.send_as("wrong", "acme", after(0), "4").await;
    place.pass(MINUTE);
    assert_eq!(place.only("sum").await[2], "1");
    let correction =
        NewCorrection { source: "test".into(), id: "wrong".into(), change: Change::Retract, reason: "it was".into() };
    place.engine.correct_events(&place.caller, vec![correction]).await.unwrap();
    assert_eq!(place.only("sum").await, ["5", "0", "5"]);
}
