//! Grants: shapes, defaults of the versions, expiry, recurrence, voiding.

use super::{CUSTOMERS, furnished, grant, ids, metered};
use serde_json::json;

const TOKENS: &str = "/api/v2/customers/acme/entitlements/tokens";
const BY_SUBJECT: &str = "/api/v1/subjects/acme-1/entitlements/tokens";

#[tokio::test]
async fn a_grant_has_the_published_shapes_and_the_defaults_of_its_version() {
    let door = furnished().await;
    let entitlement = door.give(metered(json!({}))).await["id"].clone();
    let plain = door.grant("tokens", grant(json!(50), json!({"effectiveAt": "2024-06-01T00:00:59Z"}))).await;
    let expected = json!({
        "amount": 50, "createdAt": "2024-06-01T00:00:00Z", "updatedAt": "2024-06-01T00:00:00Z",
        "effectiveAt": "2024-06-01T00:00:00Z", "entitlementId": entitlement, "id": plain["id"],
        "maxRolloverAmount": 50, "minRolloverAmount": 0, "priority": 0
    });
    assert_eq!(plain, expected);
    let full = json!({
        "amount": 50, "effectiveAt": "2024-06-01T00:00:00Z", "priority": 255, "expiration": {"duration": "MONTH", "count": 1},
        "minRolloverAmount": 1.5, "maxRolloverAmount": 2.5, "recurrence": {"interval": "P1W"}, "metadata": {"a": "b"}
    });
    let made = door.post(&format!("{BY_SUBJECT}/grants"), full.to_string()).await.expect(201).json();
    assert_eq!(
        (&made["expiration"], &made["expiresAt"]),
        (&json!({"duration": "MONTH", "count": 1}), &json!("2024-07-01T00:00:00Z"))
    );
    let week = json!({"anchor": "2024-06-01T00:00:00Z", "interval": "WEEK", "intervalISO": "P1W"});
    assert_eq!((&made["recurrence"], &made["nextRecurrence"]), (&week, &json!("2024-06-01T00:00:00Z")));
    assert_eq!((&made["minRolloverAmount"], &made["maxRolloverAmount"]), (&json!(1.5), &json!(2.5)));
    assert_eq!((&made["priority"], &made["metadata"]), (&json!(255), &json!({"a": "b"})));
    // Without it, nothing is left after a reset of what was given by subject.
    let short = grant(json!(5), json!({"expiration": {"duration": "HOUR", "count": 1000}}));
    let made = door.post(&format!("{BY_SUBJECT}/grants"), short.to_string()).await.expect(201).json();
    assert_eq!((&made["maxRolloverAmount"], &made["priority"]), (&json!(0), &json!(0)));
    // The first version shows an end that is not there.
    let listed = door.get(&format!("{BY_SUBJECT}/grants")).await.expect(200).json();
    let endless = listed.as_array().unwrap().iter().find(|one| one["id"] == plain["id"]).unwrap().clone();
    assert_eq!(endless["expiration"], json!({"duration": "YEAR", "count": 100}));
    assert_eq!(endless["expiresAt"], "2124-06-01T00:00:00Z");
}

#[tokio::test]
async fn a_month_after_the_31st_counts_on_while_usage_periods_stop_at_the_end() {
    let door = furnished().await;
    door.set_clock("2025-01-31T00:00:00Z");
    let made = door.give(metered(json!({}))).await;
    assert_eq!(made["currentUsagePeriod"]["to"], "2025-02-28T00:00:00Z");
    let lasting = json!({"effectiveAt": "2025-01-31T00:00:00Z", "expiration": {"duration": "MONTH", "count": 1}});
    assert_eq!(door.grant("tokens", grant(json!(1), lasting)).await["expiresAt"], "2025-03-03T00:00:00Z");
}

#[tokio::test]
async fn a_grant_is_full_again_where_it_recurs() {
    let door = furnished().await;
    door.give(metered(json!({}))).await;
    door.grant("tokens", grant(json!(100), json!({"recurrence": {"interval": "DAY"}}))).await;
    door.event("1", "acme-1", "2024-06-01T01:00:00Z", r#"{"v":120}"#).await;
    door.set_clock("2024-06-02T01:00:00Z");
    assert_eq!(door.standing("").await, ["80", "120", "0"], "the debt is paid from what is there anew");
}

#[tokio::test]
async fn the_lowest_priority_is_burned_first_and_none_before_all() {
    let door = furnished().await;
    door.give(metered(json!({}))).await;
    let second = door.grant("tokens", grant(json!(100), json!({"priority": 2}))).await;
    let first = door.grant("tokens", grant(json!(100), json!({"priority": 1}))).await;
    let zeroth = door.grant("tokens", grant(json!(10), json!({}))).await;
    door.event("1", "acme-1", "2024-06-01T00:00:00Z", r#"{"v":130}"#).await;
    let balances = door.get(&format!("{TOKENS}/value")).await.json()["grantBalances"].clone();
    let left = |grant: &serde_json::Value| balances[grant["id"].as_str().unwrap()].clone();
    assert_eq!([left(&zeroth), left(&first), left(&second)], [json!(0), json!(0), json!(80)]);
}

#[tokio::test]
async fn a_void_grant_gives_nothing_back() {
    let door = furnished().await;
    door.give(metered(json!({"usagePeriod": {"interval": "DAY"}}))).await;
    let id = door.grant("tokens", grant(json!(100), json!({}))).await["id"].as_str().unwrap().to_string();
    door.event("1", "acme-1", "2024-06-01T00:30:00Z", r#"{"v":50}"#).await;
    door.set_clock("2024-06-01T02:00:30Z");
    let void = async |at: &str, status: u16| door.delete(&format!("/api/v1/grants/{id}{at}")).await.expect(status);
    assert!(void("?at=2024-06-01T02:01:00Z", 400).await.detail().contains("ahead"));
    void("?at=2024-05-31T23:59:00Z", 400).await;
    void("?at=noon", 400).await;
    void("?at=2024-06-01T01:00:30Z", 204).await;
    let again = void("", 400).await;
    assert!(again.detail().contains("was voided"), "{}", again.text);
    door.event("2", "acme-1", "2024-06-01T01:30:00Z", r#"{"v":50}"#).await;
    assert_eq!(door.standing("").await, ["0", "100", "50"]);
    let listed = door.get(&format!("{TOKENS}/grants")).await.json();
    assert_eq!(listed["items"][0]["voidedAt"], "2024-06-01T01:00:00Z");
}

#[tokio::test]
async fn the_grants_of_an_entitlement_come_in_pages_or_slices() {
    let door = furnished().await;
    door.give(metered(json!({}))).await;
    for (minute, amount) in [(1, 30), (2, 10), (3, 20)] {
        door.set_clock(&format!("2024-06-01T00:0{minute}:00Z"));
        door.grant("tokens", grant(json!(amount), json!({}))).await;
    }
    for (query, amounts, page, size) in [
        ("", vec![30, 10, 20], 1, 100),
        ("?limit=2", vec![30, 10], 0, 0),
        ("?pageSize=2", vec![30, 10], 1, 2),
        ("?page=2&pageSize=2", vec![20], 2, 2),
        ("?limit=2&offset=1", vec![10, 20], 0, 0),
        ("?page=1&limit=1", vec![30, 10, 20], 1, 100),
        ("?order=DESC", vec![20, 10, 30], 1, 100),
    ] {
        let listed = door.get(&format!("{TOKENS}/grants{query}")).await.expect(200).json();
        let found: Vec<_> =
            listed["items"].as_array().unwrap().iter().map(|one| one["amount"].as_i64().unwrap()).collect();
        assert_eq!(found, amounts, "{query}");
        let shown = ["page", "pageSize", "totalCount"].map(|name| listed[name].as_i64().unwrap());
        assert_eq!(shown, [page, size, 3], "{query}");
    }
    door.get(&format!("{TOKENS}/grants?page=0")).await.expect(400);
}

#[tokio::test]
async fn the_grants_of_all_are_listed_by_subject_and_by_customer() {
    let door = furnished().await;
    door.give(metered(json!({}))).await;
    let late = door.grant("tokens", grant(json!(1), json!({"effectiveAt": "2024-06-03T00:00:00Z"}))).await;
    let early = door.grant("tokens", grant(json!(2), json!({"effectiveAt": "2024-06-02T00:00:00Z"}))).await;
    let other = r#"{"key":"other","name":"O","usageAttribution":{"subjectKeys":["other-1"]}}"#;
    let other = door.post("/api/v1/customers", other).await.expect(201).json();
    let path = format!("{CUSTOMERS}/other/entitlements");
    let given =
        json!({"type": "metered", "featureKey": "calls", "usagePeriod": {"interval": "DAY"}, "issue": {"amount": 3}});
    let calls = door.post(&path, given.to_string()).await.expect(201).json();
    let third = ids(&door.get(&format!("{path}/calls/grants")).await.json()).remove(0);
    let id = |grant: &serde_json::Value| grant["id"].as_str().unwrap().to_string();
    let all = [third.clone(), id(&early), id(&late)];
    for (version, key, mine, others) in [("v1", "subject", "acme-2", "other-1"), ("v2", "customer", "acme", "other")] {
        let base = format!("/api/{version}/grants");
        let of = async |query: String| ids(&door.get(&format!("{base}{query}")).await.expect(200).json());
        assert_eq!(of(String::new()).await, all, "{version}");
        assert_eq!(of(format!("?{key}={mine}")).await, all[1..], "{version}");
        assert_eq!(of(format!("?{key}={mine}&{key}={others}&page=1&pageSize=2")).await, all[..2], "{version}");
        assert_eq!(of("?feature=calls".into()).await, all[..1], "{version}");
        assert_eq!(of(format!("?feature={}", calls["featureId"].as_str().unwrap())).await, all[..1], "{version}");
        assert_eq!(of("?order=DESC&limit=1".into()).await, all[2..], "{version}");
        assert_eq!(of("?feature=sso".into()).await, [""; 0], "{version}");
    }
    let page = door.get("/api/v2/grants?limit=2&offset=1").await.expect(200).json();
    assert_eq!(["page", "pageSize", "totalCount"].map(|name| page[name].as_i64().unwrap()), [0, 0, 3]);
    assert_eq!(door.get("/api/v1/grants?page=1").await.expect(200).json()["totalCount"], 3);
    assert_eq!(door.get("/api/v1/grants?subject=nobody").await.expect(200).text, "[]");
    door.get("/api/v2/grants?customer=nobody").await.expect(404);
    // Grants go with their entitlement, and a customer that is deleted since keeps narrowing the list.
    door.delete(&format!("{path}/calls")).await.expect(204);
    door.delete("/api/v1/customers/other").await.expect(204);
    let of_other = format!("/api/v2/grants?customer={}", other["id"].as_str().unwrap());
    assert_eq!(door.get(&of_other).await.expect(200).json()["totalCount"], 0);
    let deleted = door.get(&format!("{of_other}&includeDeleted=true")).await.expect(200).json();
    assert_eq!(ids(&deleted), [third]);
    assert_eq!(deleted["items"][0]["deletedAt"], "2024-06-01T00:00:00Z");
}
