//! How entitlements stand: now, at another time, after usage that came late, and in the past.

use super::{CUSTOMERS, furnished, grant, metered};
use crate::support::Door;
use serde_json::{Value, json};

async fn value(door: &Door, feature: &str) -> Value {
    door.get(&format!("{CUSTOMERS}/acme/entitlements/{feature}/value")).await.expect(200).json()
}

#[tokio::test]
async fn usage_that_fits_the_feature_is_counted() {
    let door = furnished().await;
    door.give(json!({"type": "metered", "featureKey": "calls", "usagePeriod": {"interval": "MONTH"}, "issue": {"amount": 100}})).await;
    door.event("1", "acme-1", "2024-06-01T00:00:00Z", r#"{"m":"a"}"#).await;
    door.event("2", "acme-1", "2024-06-01T00:00:00Z", r#"{"m":"b"}"#).await;
    let numbers = r#"{"hasAccess":true,"balance":99,"overage":0,"totalAvailableGrantAmount":100,"usage":1}"#;
    for path in ["/api/v1/subjects/acme-2/entitlements/calls/value", "/api/v1/customers/acme/entitlements/calls/value"]
    {
        assert_eq!(door.get(path).await.expect(200).text, numbers);
    }
    // Both subjects are the customer's.
    door.event("3", "acme-2", "2024-06-01T00:00:00Z", r#"{"m":"a"}"#).await;
    let by_customer = value(&door, "calls").await;
    let balances = by_customer["grantBalances"].as_object().unwrap();
    assert_eq!((&by_customer["usage"], &by_customer["balance"]), (&json!(2), &json!(98)));
    assert_eq!(balances.values().collect::<Vec<_>>(), [&json!(98)]);
}

#[tokio::test]
async fn distinct_values_and_levels_have_their_meaning() {
    let door = furnished().await;
    door.meter("distinct", "UNIQUE_COUNT").await;
    door.meter("level", "LATEST").await;
    for (feature, amount) in [("distinct", 100), ("level", 1000)] {
        let body = json!({"key": feature, "name": "F", "meterSlug": feature}).to_string();
        door.post("/api/v1/features", body).await.expect(201);
        let usage_period = json!({"interval": "MONTH"});
        door.give(json!({"type": "metered", "featureKey": feature, "usagePeriod": usage_period})).await;
        door.grant(feature, grant(json!(amount), json!({}))).await;
    }
    for id in 0..20 {
        let data = format!(r#"{{"v":{}}}"#, [100, 200, 150, 300][id % 4] + id % 10);
        door.event(&id.to_string(), "acme-1", &format!("2024-06-01T00:{id:02}:00Z"), &data).await;
    }
    door.set_clock("2024-06-01T01:00:00Z");
    let distinct = value(&door, "distinct").await;
    assert_eq!((&distinct["usage"], &distinct["balance"]), (&json!(20), &json!(80)));
    let level = value(&door, "level").await;
    assert_eq!((&level["usage"], &level["balance"]), (&json!(309), &json!(691)));
    door.post(&format!("{CUSTOMERS}/acme/entitlements/distinct/reset"), "{}").await.expect(204);
    door.set_clock("2024-06-01T02:00:00Z");
    let reset = value(&door, "distinct").await;
    assert_eq!((&reset["usage"], &reset["balance"]), (&json!(0), &json!(80)));
}

#[tokio::test]
async fn decimals_are_exact() {
    let door = furnished().await;
    door.give(metered(json!({}))).await;
    let amount = r#"{"amount":1234567890.123456789,"effectiveAt":"2024-06-01T00:00:00Z"}"#;
    let path = format!("{CUSTOMERS}/acme/entitlements/tokens");
    let given = door.post(&format!("{path}/grants"), amount).await.expect(201);
    assert!(given.text.starts_with(r#"{"amount":1234567890.123456789,"#), "{}", given.text);
    for id in ["1", "2", "3"] {
        door.event(id, "acme-1", "2024-06-01T00:00:00Z", r#"{"v":0.1}"#).await;
    }
    let value = door.get(&format!("{path}/value")).await.expect(200);
    assert!(value.text.contains(r#""balance":1234567889.823456789,"#), "{}", value.text);
    assert!(value.text.contains(r#""usage":0.3}"#), "{}", value.text);
}

#[tokio::test]
async fn access_ends_where_a_hard_limit_is_and_goes_on_beyond_a_soft_one() {
    let door = furnished().await;
    door.give(metered(json!({}))).await;
    assert_eq!(value(&door, "tokens").await["hasAccess"], false, "without any grant");
    door.put(&format!("{CUSTOMERS}/acme/entitlements/tokens/override"), &metered(json!({"issue": {"amount": 1}})))
        .await
        .expect(201);
    assert_eq!(value(&door, "tokens").await["hasAccess"], true);
    door.event("1", "acme-1", "2024-06-01T00:00:00Z", r#"{"v":3}"#).await;
    assert_eq!(value(&door, "tokens").await["hasAccess"], false);
    assert_eq!(door.standing("").await, ["0", "3", "2"]);
    let soft = metered(json!({"issue": {"amount": 1}, "isSoftLimit": true}));
    door.put(&format!("{CUSTOMERS}/acme/entitlements/tokens/override"), &soft).await.expect(201);
    assert_eq!(value(&door, "tokens").await["hasAccess"], true);
}

#[tokio::test]
async fn who_has_no_entitlement_has_no_access() {
    let door = furnished().await;
    for feature in ["tokens", "unknown"] {
        for path in [format!("{CUSTOMERS}/acme"), "/api/v1/customers/acme".into()] {
            let path = format!("{path}/entitlements/{feature}/value");
            assert_eq!(door.get(&path).await.expect(200).text, r#"{"hasAccess":false}"#, "{path}");
        }
        door.get(&format!("/api/v1/subjects/acme-1/entitlements/{feature}/value")).await.expect(404);
    }
    assert_eq!(door.get("/api/v1/customers/acme/access").await.expect(200).text, r#"{"entitlements":{}}"#);
}

#[tokio::test]
async fn access_has_every_feature() {
    let door = furnished().await;
    door.give(json!({"type": "static", "featureKey": "sso", "config": "{\"a\": 1}"})).await;
    door.give(json!({"type": "boolean", "featureKey": "calls"})).await;
    door.give(metered(json!({}))).await;
    let id = door.grant("tokens", grant(json!(5), json!({}))).await["id"].as_str().unwrap().to_string();
    let metered = json!({"hasAccess": true, "balance": 5, "usage": 0, "overage": 0, "totalAvailableGrantAmount": 5,
        "grantBalances": {id: 5}});
    let all = json!({"entitlements": {"calls": {"hasAccess": true}, "sso": {"hasAccess": true, "config": "{\"a\": 1}"}, "tokens": metered}});
    assert_eq!(door.get("/api/v1/customers/acme/access").await.expect(200).json(), all);
}

#[tokio::test]
async fn a_time_is_looked_at_from_now() {
    let door = furnished().await;
    door.give(metered(json!({}))).await;
    let lasting = json!({"expiration": {"duration": "DAY", "count": 1}, "effectiveAt": "2024-06-02T00:00:00Z"});
    door.grant("tokens", grant(json!(10), lasting)).await;
    door.event("1", "acme-1", "2024-06-02T10:00:30Z", r#"{"v":4}"#).await;
    for (time, numbers) in [
        ("2024-06-01T12:00:00Z", ["0", "0", "0"]),
        ("2024-06-02T00:00:00Z", ["10", "0", "0"]),
        ("2024-06-02T10:00:00Z", ["10", "0", "0"]),
        ("2024-06-02T10:00:31Z", ["6", "4", "0"]),
        ("2024-06-03T00:00:00Z", ["0", "4", "0"]),
        ("2024-07-01T00:00:00Z", ["0", "0", "0"]),
    ] {
        assert_eq!(door.standing(&format!("?time={time}")).await, numbers, "{time}");
    }
    let path = "entitlements/tokens/value?time=2024-06-02T12:00:00Z";
    for base in ["/api/v1/subjects/acme-1", "/api/v1/customers/acme"] {
        assert_eq!(door.get(&format!("{base}/{path}")).await.expect(200).json()["balance"], 6, "{base}");
    }
    let before = format!("{CUSTOMERS}/acme/entitlements/tokens/value?time=2024-05-01T00:00:00Z");
    assert_eq!(door.get(&before).await.expect(200).text, r#"{"hasAccess":false}"#);
    door.set_clock("2024-06-02T18:00:00Z");
    door.delete(&format!("{CUSTOMERS}/acme/entitlements/tokens")).await.expect(204);
    let earlier = format!("{CUSTOMERS}/acme/entitlements/tokens/value?time=2024-06-02T12:00:00Z");
    assert_eq!(door.get(&earlier).await.expect(200).json()["balance"], 6, "of one that was deleted since");
    assert_eq!(value(&door, "tokens").await, json!({"hasAccess": false}));
}

#[tokio::test]
async fn usage_that_comes_late_and_corrections_change_what_was_rolled_over() {
    let door = furnished().await;
    door.give(metered(json!({"usagePeriod": {"interval": "DAY"}}))).await;
    door.grant("tokens", grant(json!(100), json!({"maxRolloverAmount": 1000}))).await;
    door.event("1", "acme-1", "2024-06-01T10:00:00Z", r#"{"v":10}"#).await;
    door.set_clock("2024-06-02T12:00:00Z");
    assert_eq!(door.standing("").await, ["90", "0", "0"]);
    door.post(&format!("{CUSTOMERS}/acme/entitlements/tokens/reset"), r#"{"retainAnchor":true}"#).await.expect(204);
    door.set_clock("2024-06-02T13:00:00Z");
    assert_eq!(door.standing("").await, ["90", "0", "0"]);
    door.event("2", "acme-2", "2024-06-02T11:00:00Z", r#"{"v":5}"#).await;
    assert_eq!(door.standing("").await, ["85", "0", "0"], "before the reset");
    door.event("3", "acme-2", "2024-06-01T11:00:00Z", r#"{"v":7}"#).await;
    assert_eq!(door.standing("").await, ["78", "0", "0"], "in a period that was over");
    let wrong = r#"[{"source":"s","id":"1","reason":"wrong"}]"#;
    door.post("/api/v1/events/retract", wrong).await.expect(200);
    assert_eq!(door.standing("").await, ["88", "0", "0"]);
    let other = r#"{"source":"s","id":"3","reason":"more","data":{"v":8}}"#;
    door.post("/api/v1/events/amend", other).await.expect(200);
    assert_eq!(door.standing("").await, ["87", "0", "0"]);
}

#[tokio::test]
async fn resets_roll_over_and_preserve_overage_if_asked() {
    let door = furnished().await;
    door.give(metered(json!({"preserveOverageAtReset": true}))).await;
    door.grant("tokens", grant(json!(50), json!({"minRolloverAmount": 50}))).await;
    door.event("1", "acme-1", "2024-06-01T01:00:00Z", r#"{"v":60}"#).await;
    let path = format!("{CUSTOMERS}/acme/entitlements/tokens/reset");
    door.set_clock("2024-06-01T05:00:00Z");
    assert_eq!(door.standing("").await, ["0", "60", "10"]);
    door.post(&path, "{}").await.expect(204);
    assert_eq!(door.standing("").await, ["40", "0", "0"]);
    door.event("2", "acme-1", "2024-06-01T06:00:00Z", r#"{"v":45}"#).await;
    door.set_clock("2024-06-01T07:00:00Z");
    assert_eq!(door.standing("").await, ["0", "45", "5"]);
    door.post(&path, r#"{"preserveOverage":false}"#).await.expect(204);
    assert_eq!(door.standing("").await, ["50", "0", "0"]);
}

#[tokio::test]
async fn the_history_has_every_window_and_segment() {
    let door = furnished().await;
    door.give(metered(json!({}))).await;
    let mut grants = Vec::new();
    for effective_at in ["2024-06-01T00:00:00Z", "2024-06-01T03:00:00Z", "2024-06-01T05:30:00Z"] {
        let made = door.grant("tokens", grant(json!(10000), json!({"effectiveAt": effective_at}))).await;
        grants.push(made["id"].as_str().unwrap().to_string());
    }
    for (id, time, v) in [
        ("1", "00:01:00", 100),
        ("2", "02:01:00", 100),
        ("3", "03:01:00", 100),
        ("4", "05:01:00", 100),
        ("5", "08:01:00", 1100),
        ("6", "11:59:59", 100),
    ] {
        door.event(id, "acme-1", &format!("2024-06-01T{time}Z"), &format!(r#"{{"v":{v}}}"#)).await;
    }
    door.set_clock("2024-06-02T00:00:00Z");
    let of = async |query: &str| {
        let path = format!("entitlements/tokens/history?windowSize=HOUR&{query}");
        let v2 = door.get(&format!("{CUSTOMERS}/acme/{path}")).await.expect(200);
        assert_eq!(door.get(&format!("/api/v1/subjects/acme-1/{path}")).await.expect(200).text, v2.text);
        v2.json()
    };
    let column = |history: &Value, name: &str| -> Vec<i64> {
        history["windowedHistory"].as_array().unwrap().iter().map(|row| row[name].as_i64().unwrap()).collect()
    };
    let usage = [100, 0, 100, 100, 0, 100, 0, 0, 1100, 0, 0, 100];
    let balance = [10000, 9900, 9900, 19800, 19700, 19700, 29600, 29600, 29600, 28500, 28500, 28500];
    for range in
        ["from=2024-06-01T00:00:00Z&to=2024-06-01T12:00:00Z", "from=2024-06-01T00:00:02Z&to=2024-06-01T11:59:58Z"]
    {
        let history = of(range).await;
        assert_eq!(column(&history, "usage"), usage, "{range}");
        assert_eq!(column(&history, "balanceAtStart"), balance, "{range}");
    }
    let history = of("from=2024-06-01T01:00:00Z&to=2024-06-01T12:00:00Z").await;
    assert_eq!(column(&history, "balanceAtStart"), balance[1..]);
    let segments = history["burndownHistory"].as_array().unwrap();
    assert_eq!(segments.len(), 3);
    assert_eq!(
        segments[1],
        json!({
            "period": {"from": "2024-06-01T03:00:00Z", "to": "2024-06-01T05:30:00Z"}, "usage": 200, "overage": 0,
            "balanceAtStart": 19800, "balanceAtEnd": 19600,
            "grantBalancesAtStart": {&grants[0]: 9800, &grants[1]: 10000},
            "grantBalancesAtEnd": {&grants[0]: 9600, &grants[1]: 10000},
            "grantUsages": [{"grantId": grants[0], "usage": 200}]
        })
    );
}

#[tokio::test]
async fn history_windows_follow_the_clock_of_the_zone() {
    let door = furnished().await;
    door.give(metered(json!({"measureUsageFrom": "2024-05-01T00:00:00Z"}))).await;
    door.event("1", "acme-1", "2024-05-30T22:30:00Z", r#"{"v":1}"#).await;
    let path = format!("{CUSTOMERS}/acme/entitlements/tokens/history?windowSize=DAY&windowTimeZone=Europe/Berlin");
    let history =
        door.get(&format!("{path}&from=2024-05-30T00:00:00Z&to=2024-05-31T12:00:00Z")).await.expect(200).json();
    let rows = history["windowedHistory"].as_array().unwrap();
    let shown: Vec<_> =
        rows.iter().map(|row| (row["period"]["from"].as_str().unwrap(), row["usage"].as_i64().unwrap())).collect();
    assert_eq!(shown, [("2024-05-29T22:00:00Z", 0), ("2024-05-30T22:00:00Z", 1)]);
}
