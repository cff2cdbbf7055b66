//! What is refused, and that the answer names the field.

use super::{CUSTOMERS, furnished, grant, metered};
use serde_json::json;

#[tokio::test]
async fn every_wrong_field_of_an_entitlement_is_named() {
    let door = furnished().await;
    door.meter("mean", "AVG").await;
    door.post("/api/v1/features", r#"{"key":"archived","name":"A"}"#).await.expect(201);
    door.delete("/api/v1/features/archived").await.expect(204);
    let sso = |more: serde_json::Value| {
        let mut body = json!({"type": "boolean", "featureKey": "sso"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, named) in [
        (json!({"featureKey": "tokens"}), "type"),
        (json!({"type": "other", "featureKey": "tokens"}), "type"),
        (json!({"type": "boolean"}), "featureKey"),
        (json!({"type": "metered", "featureKey": "tokens"}), "usage period"),
        (json!({"type": "static", "featureKey": "sso"}), "config"),
        (json!({"type": "static", "featureKey": "sso", "config": "{"}), "config"),
        (json!({"type": "static", "featureKey": "sso", "config": {"a": 1}}), "config"),
        (metered(json!({"config": "1"})), "config"),
        (sso(json!({"isSoftLimit": true})), "isSoftLimit"),
        (sso(json!({"issue": {"amount": 1}})), "issue"),
        (sso(json!({"grants": []})), "grants"),
        (sso(json!({"metadata": {"a": 1}})), "metadata"),
        (metered(json!({"featureKey": "sso"})), "no meter"),
        (metered(json!({"usagePeriod": {}})), "interval"),
        (metered(json!({"usagePeriod": {"interval": "PT59M"}})), "shorter than an hour"),
        (metered(json!({"usagePeriod": {"interval": "FORTNIGHT"}})), "/usagePeriod/interval"),
        (metered(json!({"usagePeriod": {"interval": "DAY", "anchor": "noon"}})), "/usagePeriod/anchor"),
        (metered(json!({"measureUsageFrom": "LATER"})), "measureUsageFrom"),
        (metered(json!({"issueAfterReset": -1})), "issueAfterReset"),
        (metered(json!({"issueAfterReset": "1"})), "issueAfterReset"),
        (metered(json!({"issueAfterReset": 1, "issueAfterResetPriority": 0})), "issueAfterResetPriority"),
        (metered(json!({"issueAfterResetPriority": 2})), "issueAfterResetPriority"),
        (metered(json!({"issue": {"amount": 1, "priority": 256}})), "/issue/priority"),
        (metered(json!({"issue": {"amount": -1}})), "/issue/amount"),
        (metered(json!({"issue": {}})), "amount"),
        (metered(json!({"issue": {"amount": 1}, "grants": [grant(json!(1), json!({}))]})), "with grants"),
        (
            metered(json!({"grants": [grant(json!(1), json!({})), grant(json!(1), json!({"priority": 0}))]})),
            "/grants/1/priority",
        ),
    ] {
        let refused = door.post(&format!("{CUSTOMERS}/acme/entitlements"), body.to_string()).await.expect(400);
        assert!(refused.detail().contains(named), "{body}: {}", refused.text);
    }
    for (body, named) in
        [(metered(json!({"issue": {"amount": 1}})), "issue"), (metered(json!({"grants": []})), "grants")]
    {
        let refused = door.post("/api/v1/subjects/acme-1/entitlements", body.to_string()).await.expect(400);
        assert!(refused.detail().contains(named), "{body}: {}", refused.text);
    }
    for key in ["nothing", "archived"] {
        let missing = json!({"type": "boolean", "featureKey": key}).to_string();
        door.post(&format!("{CUSTOMERS}/acme/entitlements"), missing).await.expect(404);
    }
    assert_eq!(door.get("/api/v1/entitlements").await.expect(200).text, "[]");
}

#[tokio::test]
async fn every_wrong_field_of_a_grant_is_named() {
    let door = furnished().await;
    door.give(metered(json!({}))).await;
    let expiring = json!({"duration": "DAY", "count": 1});
    for (amount, more, named) in [
        (json!("1"), json!({}), "amount"),
        (json!(1), json!({"effectiveAt": "now"}), "effectiveAt"),
        (json!(1), json!({"effectiveAt": null}), "effectiveAt"),
        (json!(1), json!({"effectiveAt": "2024-05-31T23:59:00Z"}), "usage period"),
        (json!(1), json!({"priority": 0}), "priority"),
        (json!(1), json!({"priority": 256}), "priority"),
        (json!(1), json!({"priority": 1.5}), "priority"),
        (json!(1), json!({"expiration": {"duration": "DAY", "count": 0}}), "/expiration/count"),
        (json!(1), json!({"expiration": {"duration": "DAY", "count": 1001}}), "/expiration/count"),
        (json!(1), json!({"expiration": {"duration": "day", "count": 1}}), "/expiration/duration"),
        (json!(1), json!({"expiration": {"duration": "DAY"}}), "count"),
        (json!(1), json!({"minRolloverAmount": -1}), "below zero"),
        (json!(1), json!({"maxRolloverAmount": -1}), "below zero"),
        (json!(1), json!({"recurrence": {"interval": "PT1M"}}), "/recurrence/interval"),
        (json!(1), json!({"metadata": "x"}), "metadata"),
        (json!(1), json!({"annotations": [1]}), "annotations"),
    ] {
        let body = grant(amount, more);
        let refused = door.post(&format!("{CUSTOMERS}/acme/entitlements/tokens/grants"), body.to_string()).await;
        let refused = refused.expect(400);
        assert!(refused.detail().contains(named), "{body}: {}", refused.text);
    }
    for amount in [json!(0), json!(-0.5)] {
        let body = grant(amount, json!({"expiration": expiring}));
        for path in ["/api/v1/subjects/acme-1", "/api/v2/customers/acme"] {
            let refused = door.post(&format!("{path}/entitlements/tokens/grants"), body.to_string()).await.expect(400);
            let fault = &refused.json()["extensions"]["validationErrors"][0];
            assert_eq!(
                (&fault["code"], &fault["field"]),
                (&json!("grant_amount_must_be_positive"), &json!("$.amount"))
            );
        }
    }
    let by_subject = "/api/v1/subjects/acme-1/entitlements/tokens/grants";
    let refused = door.post(by_subject, grant(json!(1), json!({})).to_string()).await.expect(400);
    assert!(refused.detail().contains("expiration"), "{}", refused.text);
    let annotated = grant(json!(1), json!({"expiration": expiring, "annotations": {"a": 1}}));
    assert!(door.post(by_subject, annotated.to_string()).await.expect(400).detail().contains("annotations"));
    assert_eq!(door.get(by_subject).await.expect(200).text, "[]");
}

#[tokio::test]
async fn what_is_not_metered_has_no_grants_resets_or_history() {
    let door = furnished().await;
    door.give(json!({"type": "boolean", "featureKey": "sso"})).await;
    let path = format!("{CUSTOMERS}/acme/entitlements/sso");
    door.post(&format!("{path}/reset"), "{}").await.expect(400);
    door.post(&format!("{path}/grants"), grant(json!(1), json!({})).to_string()).await.expect(400);
    door.get(&format!("{path}/grants")).await.expect(400);
    door.get(&format!("{path}/history?windowSize=DAY")).await.expect(400);
    let value = door.get(&format!("{path}/value")).await.expect(200);
    assert_eq!(value.text, r#"{"hasAccess":true}"#);
}

#[tokio::test]
async fn a_parameter_that_is_not_known_or_wrong_is_400() {
    let door = furnished().await;
    door.give(metered(json!({}))).await;
    let one = "/entitlements/tokens";
    for path in [
        "/api/v1/entitlements?colour=red".to_string(),
        "/api/v1/entitlements?entitlementType=INVALID_STR".into(),
        "/api/v1/entitlements?page=0".into(),
        "/api/v1/entitlements?orderBy=id".into(),
        "/api/v1/entitlements?excludeInactive=yes".into(),
        "/api/v2/entitlements?subject=acme".into(),
        "/api/v2/entitlements?order=asc".into(),
        "/api/v1/grants?customer=acme".into(),
        "/api/v1/grants?limit=0".into(),
        "/api/v2/grants?subject=acme".into(),
        "/api/v2/grants?orderBy=amount".into(),
        "/api/v1/subjects/acme-1/entitlements?page=1".into(),
        format!("/api/v1/subjects/acme-1{one}/grants?page=1"),
        format!("/api/v1/subjects/acme-1{one}/value?at=2024-06-01T00:00:00Z"),
        format!("{CUSTOMERS}/acme{one}/value?time=noon"),
        format!("{CUSTOMERS}/acme{one}/grants?page=0"),
        format!("{CUSTOMERS}/acme{one}/grants?pageSize=1001"),
        format!("{CUSTOMERS}/acme{one}/history"),
        format!("{CUSTOMERS}/acme{one}/history?windowSize=YEAR"),
        format!("{CUSTOMERS}/acme{one}/history?windowSize=DAY&windowTimeZone=Mars"),
        format!("{CUSTOMERS}/acme{one}/history?windowSize=DAY&from=2024-05-01T00:00:00Z"),
        format!("{CUSTOMERS}/acme{one}/history?windowSize=DAY&from=2024-06-03T00:00:00Z&to=2024-06-02T00:00:00Z"),
        "/api/v1/customers/acme/entitlements/tokens/value?when=now".into(),
    ] {
        door.get(&path).await.expect(400);
    }
    door.delete("/api/v1/grants/01G65Z755AFWAKHE12NY0CQ9FH?when=now").await.expect(400);
    door.delete("/api/v1/grants/01G65Z755AFWAKHE12NY0CQ9FH").await.expect(404);
    door.delete("/api/v1/grants/x").await.expect(404);
}

#[tokio::test]
async fn a_reset_has_its_rules() {
    let door = furnished().await;
    door.give(metered(json!({"usagePeriod": {"interval": "DAY"}}))).await;
    door.set_clock("2024-06-02T12:00:30Z");
    let path = format!("{CUSTOMERS}/acme/entitlements/tokens/reset");
    let reset = async |body: &str, status: u16| door.post(&path, body.to_string()).await.expect(status);
    door.call("POST", &path, &[("content-type", "application/json")], "").await.expect(400);
    reset(r#"{"effectiveAt":"noon"}"#, 400).await;
    reset(r#"{"retainAnchor":"yes"}"#, 400).await;
    let ahead = reset(r#"{"effectiveAt":"2024-06-02T12:01:00Z"}"#, 400).await;
    assert!(ahead.detail().contains("ahead"), "{}", ahead.text);
    reset(r#"{"effectiveAt":"2024-06-01T23:59:00Z"}"#, 400).await;
    reset(r#"{"effectiveAt":"2024-06-02T00:00:00Z","retainAnchor":true}"#, 204).await;
    reset(r#"{"effectiveAt":"2024-06-02T00:00:59Z"}"#, 400).await;
    reset("{}", 204).await;
    reset("{}", 400).await;
    let after = door.get(&format!("{CUSTOMERS}/acme/entitlements/tokens")).await.expect(200).json();
    assert_eq!(after["lastReset"], "2024-06-02T12:00:00Z");
    assert_eq!(after["currentUsagePeriod"], json!({"from": "2024-06-02T12:00:00Z", "to": "2024-06-03T12:00:00Z"}));
    assert_eq!(after["usagePeriod"]["anchor"], "2024-06-01T00:00:00Z", "as it was defined");
}
