//! What is made, and in which shape it comes back.

use super::{CUSTOMERS, furnished, ids, metered};
use serde_json::json;

#[tokio::test]
async fn a_metered_entitlement_has_the_published_shapes() {
    let door = furnished().await;
    let body = metered(json!({
        "usagePeriod": {"interval": "month", "anchor": "2024-05-15T10:00:30Z"}, "metadata": {"team": "core"},
        "issue": {"amount": 100.50, "priority": 6}, "measureUsageFrom": "CURRENT_PERIOD_START", "unknown": 1
    }));
    let answer = door.post(&format!("{CUSTOMERS}/acme/entitlements"), body.to_string()).await.expect(201);
    assert!(answer.text.contains(r#""issueAfterReset":100.5,"#), "{}", answer.text);
    let customer = door.get("/api/v1/customers/acme").await.json()["id"].clone();
    let made = answer.json();
    let shared = json!({
        "activeFrom": "2024-06-01T00:00:00Z", "createdAt": "2024-06-01T00:00:00Z", "updatedAt": "2024-06-01T00:00:00Z",
        "currentUsagePeriod": {"from": "2024-05-15T10:00:00Z", "to": "2024-06-15T10:00:00Z"},
        "featureId": made["featureId"], "featureKey": "tokens", "id": made["id"], "isSoftLimit": false,
        "issueAfterReset": 100.5, "issueAfterResetPriority": 6, "lastReset": "2024-05-15T10:00:00Z",
        "measureUsageFrom": "2024-05-15T10:00:00Z", "metadata": {"team": "core"}, "preserveOverageAtReset": false,
        "type": "metered",
        "usagePeriod": {"anchor": "2024-05-15T10:00:00Z", "interval": "MONTH", "intervalISO": "P1M"}
    });
    let (mut v2, mut v1) = (shared.clone(), shared);
    v2["customerId"] = customer;
    v2["customerKey"] = json!("acme");
    v2["issue"] = json!({"amount": 100.5, "priority": 6});
    assert_eq!(made, v2);
    v1["subjectKey"] = json!("acme-1");
    v1["isUnlimited"] = json!(false);
    let id = made["id"].as_str().unwrap();
    for path in [
        format!("/api/v1/entitlements/{id}"),
        format!("/api/v1/subjects/acme-2/entitlements/{id}"),
        format!("/api/v1/subjects/acme/entitlements/{id}"),
    ] {
        assert_eq!(door.get(&path).await.expect(200).json(), v1, "{path}");
    }
    for path in ["acme/entitlements/tokens".to_string(), format!("acme/entitlements/{id}")] {
        assert_eq!(door.get(&format!("{CUSTOMERS}/{path}")).await.expect(200).json(), v2, "{path}");
    }
    assert_eq!(door.get(&format!("/api/v2/entitlements/{id}")).await.expect(200).json(), v2);
}

#[tokio::test]
async fn static_and_boolean_ones_have_their_own_shapes() {
    let door = furnished().await;
    let config = r#"{ "limit": 1.50 }"#;
    let made = door
        .post(
            "/api/v1/subjects/acme-1/entitlements",
            json!({"type": "static", "featureKey": "sso", "config": config}).to_string(),
        )
        .await
        .expect(201)
        .json();
    assert_eq!((&made["config"], &made["type"]), (&json!(config), &json!("static")));
    for absent in ["isSoftLimit", "isUnlimited", "issueAfterReset", "usagePeriod", "currentUsagePeriod", "lastReset"] {
        assert_eq!(made.get(absent), None, "{absent}");
    }
    let boolean = json!({"type": "boolean", "featureId": door.get("/api/v1/features/calls").await.json()["id"],
        "metadata": {"a": "b"}, "usagePeriod": {"interval": "P2W", "anchor": "2024-05-25T00:00:00Z"}});
    let made = door.give(boolean).await;
    assert_eq!(made["metadata"], json!({"a": "b"}));
    assert_eq!(made["usagePeriod"], json!({"anchor": "2024-05-25T00:00:00Z", "interval": "P2W", "intervalISO": "P2W"}));
    assert_eq!(made["currentUsagePeriod"], json!({"from": "2024-05-25T00:00:00Z", "to": "2024-06-08T00:00:00Z"}));
    assert_eq!(made.get("issue"), None);
}

#[tokio::test]
async fn defaults_are_those_of_the_contract() {
    let door = furnished().await;
    door.set_clock("2024-06-01T00:00:59Z");
    let made = door.give(metered(json!({"usagePeriod": {"interval": "P1W"}}))).await;
    assert_eq!(
        made["usagePeriod"],
        json!({"anchor": "2024-06-01T00:00:00Z", "interval": "WEEK", "intervalISO": "P1W"})
    );
    assert_eq!(
        (&made["measureUsageFrom"], &made["lastReset"]),
        (&json!("2024-06-01T00:00:00Z"), &json!("2024-06-01T00:00:00Z"))
    );
    assert_eq!((&made["issueAfterReset"], &made["issue"]), (&json!(0), &json!({"amount": 0})));
    assert_eq!(made.get("issueAfterResetPriority"), None);
    let grants = door.get(&format!("{CUSTOMERS}/acme/entitlements/tokens/grants")).await.json();
    assert_eq!(grants["totalCount"], 0);
}

#[tokio::test]
async fn an_issue_begins_with_a_grant_that_every_reset_refills() {
    let door = furnished().await;
    let issue = json!({"issueAfterReset": 7, "issueAfterResetPriority": 9, "issue": {"amount": 100}});
    door.give(metered(issue)).await;
    let grants = door.get(&format!("{CUSTOMERS}/acme/entitlements/tokens/grants")).await.json();
    let grant = &grants["items"][0];
    assert_eq!(grants["totalCount"], 1);
    let numbers = ["amount", "minRolloverAmount", "maxRolloverAmount", "priority"].map(|name| grant[name].clone());
    assert_eq!(numbers, [json!(100), json!(100), json!(100), json!(1)]);
    assert_eq!(grant["annotations"], json!({"issueAfterReset": true}));
    assert_eq!((grant.get("expiration"), grant.get("expiresAt")), (None, None));
    door.event("1", "acme-1", "2024-06-01T00:00:00Z", r#"{"v":30}"#).await;
    door.set_clock("2024-06-20T00:00:00Z");
    assert_eq!(door.standing("").await, ["70", "30", "0"]);
    door.set_clock("2024-07-01T00:00:00Z");
    assert_eq!(door.standing("").await, ["100", "0", "0"]);
}

#[tokio::test]
async fn one_to_a_feature_is_in_force_at_a_time() {
    let door = furnished().await;
    let first = door.give(metered(json!({}))).await;
    for (path, body) in [
        (format!("{CUSTOMERS}/acme/entitlements"), metered(json!({}))),
        ("/api/v1/subjects/acme-1/entitlements".into(), json!({"type": "boolean", "featureKey": "tokens"})),
    ] {
        let refused = door.post(&path, body.to_string()).await.expect(409);
        assert_eq!(refused.json()["extensions"], json!({"conflictingEntityId": first["id"]}));
        assert!(refused.detail().contains("override"), "{}", refused.text);
    }
    door.set_clock("2024-06-02T00:00:00Z");
    let path = format!("{CUSTOMERS}/acme/entitlements/tokens");
    door.delete(&path).await.expect(204);
    door.delete(&path).await.expect(404);
    door.delete(&format!("{CUSTOMERS}/acme/entitlements/{}", first["id"].as_str().unwrap())).await.expect(404);
    door.get(&path).await.expect(404);
    door.get(&format!("/api/v1/entitlements/{}", first["id"].as_str().unwrap())).await.expect(404);
    let second = door.give(metered(json!({}))).await;
    assert_ne!(second["id"], first["id"]);
}

#[tokio::test]
async fn an_override_ends_one_and_begins_another() {
    let door = furnished().await;
    let first = door.give(metered(json!({"issue": {"amount": 100}}))).await;
    door.event("1", "acme-1", "2024-06-01T12:00:00Z", r#"{"v":30}"#).await;
    door.set_clock("2024-06-02T00:00:00Z");
    let path = format!("{CUSTOMERS}/acme/entitlements");
    let wrong = door.put(&format!("{path}/tokens/override"), &json!({"type": "boolean", "featureKey": "sso"})).await;
    assert!(wrong.expect(400).detail().contains("tokens"));
    let second = door.put(&format!("{path}/tokens/override"), &metered(json!({"issue": {"amount": 7}}))).await;
    let second = second.expect(201).json();
    assert!(second["id"] != first["id"] && second["activeFrom"] == "2024-06-02T00:00:00Z", "{second}");
    assert_eq!(second["measureUsageFrom"], "2024-06-02T00:00:00Z");
    assert_eq!(door.standing("").await, ["7", "0", "0"]);
    let old = door.get(&format!("/api/v2/entitlements/{}", first["id"].as_str().unwrap())).await.expect(200).json();
    assert_eq!((&old["activeTo"], old.get("deletedAt")), (&json!("2024-06-02T00:00:00Z"), None));
    assert_eq!(ids(&door.get(&path).await.json()), [second["id"].as_str().unwrap()]);
    // The old one keeps its past, and has none of its grants.
    let old_value = door.get(&format!("{path}/{}/value", first["id"].as_str().unwrap())).await.expect(200).json();
    assert_eq!(old_value, json!({"hasAccess": false}));
    let ended = format!("{path}/{}/override", first["id"].as_str().unwrap());
    door.put(&ended, &metered(json!({}))).await.expect(409);
    door.put(&format!("{path}/sso/override"), &json!({"type": "boolean", "featureKey": "sso"})).await.expect(404);
    let third = json!({"type": "static", "featureKey": "tokens", "config": "1"});
    let third = door.put("/api/v1/subjects/acme-2/entitlements/tokens/override", &third).await.expect(201).json();
    assert_eq!((&third["subjectKey"], &third["config"]), (&json!("acme-1"), &json!("1")));
}

#[tokio::test]
async fn grants_can_be_given_with_an_entitlement() {
    let door = furnished().await;
    let grants = json!([
        {"amount": 10, "effectiveAt": "2024-06-01T00:00:00Z", "annotations": {"a": "true", "b": true, "c": [1.5]}},
        {"amount": 0.5, "effectiveAt": "2024-06-02T00:00:00Z", "expiration": {"duration": "DAY", "count": 1}}
    ]);
    door.give(metered(json!({"grants": grants}))).await;
    assert_eq!(door.standing("").await, ["10", "0", "0"]);
    let path = format!("{CUSTOMERS}/acme/entitlements/tokens/grants?order=DESC&orderBy=id");
    let given = door.get(&path).await.expect(200);
    assert!(given.text.contains(r#""annotations":{"a":"true","b":true,"c":[1.5]}"#), "{}", given.text);
    assert_eq!(given.json()["totalCount"], 2);
    assert_eq!(door.standing("?time=2024-06-02T12:00:00Z").await, ["10.5", "0", "0"]);
    assert_eq!(door.standing("?time=2024-06-03T12:00:00Z").await, ["10", "0", "0"]);
}

#[tokio::test]
async fn a_subject_stands_for_its_customer() {
    let door = furnished().await;
    door.post("/api/v1/subjects", r#"[{"key":"acme-1"},{"key":"alone"},{"key":"gone"}]"#).await.expect(200);
    door.delete("/api/v1/subjects/gone").await.expect(204);
    let described = door.get("/api/v1/subjects/acme-1").await.json()["id"].as_str().unwrap().to_string();
    let made =
        door.post("/api/v1/subjects/acme-1/entitlements", metered(json!({"issueAfterReset": 5})).to_string()).await;
    let id = made.expect(201).json()["id"].as_str().unwrap().to_string();
    for subject in ["acme-1", "acme-2", "acme", &described] {
        let listed = door.get(&format!("/api/v1/subjects/{subject}/entitlements")).await.expect(200).json();
        assert_eq!(ids(&listed), [id.as_str()], "{subject}");
    }
    door.get("/api/v1/subjects/unknown/entitlements").await.expect(404);
    door.get("/api/v1/subjects/alone/entitlements").await.expect(412);
    door.post("/api/v1/subjects/alone/entitlements", metered(json!({})).to_string()).await.expect(412);
    // What is another customer's is not found under this one's name.
    let other = r#"{"key":"other","name":"O","usageAttribution":{"subjectKeys":["other-1"]}}"#;
    door.post("/api/v1/customers", other).await.expect(201);
    for path in ["", "/history?windowSize=DAY", "/value", "/grants"] {
        door.get(&format!("/api/v1/subjects/other-1/entitlements/{id}{path}")).await.expect(404);
    }
    for path in ["", "/history?windowSize=DAY", "/grants"] {
        door.get(&format!("{CUSTOMERS}/other/entitlements/{id}{path}")).await.expect(404);
    }
    door.delete(&format!("/api/v1/subjects/other-1/entitlements/{id}")).await.expect(404);
    door.post(&format!("/api/v1/subjects/other-1/entitlements/{id}/reset"), "{}").await.expect(404);
    door.delete(&format!("/api/v1/subjects/acme-2/entitlements/{id}")).await.expect(204);
}

#[tokio::test]
async fn a_customer_that_is_missing_is_404_and_a_deleted_one_412() {
    let door = furnished().await;
    let made = door.give(metered(json!({}))).await;
    assert_eq!(door.delete("/api/v1/customers/acme").await.expect(409).json()["status"], 409);
    door.delete(&format!("{CUSTOMERS}/acme/entitlements/tokens")).await.expect(204);
    let id = door.get("/api/v1/customers/acme").await.json()["id"].as_str().unwrap().to_string();
    door.delete("/api/v1/customers/acme").await.expect(204);
    for (customer, status) in [("nobody", 404), (id.as_str(), 412)] {
        let base = format!("{CUSTOMERS}/{customer}/entitlements");
        let one = format!("{base}/{}", made["id"].as_str().unwrap());
        door.get(&base).await.expect(status);
        door.post(&base, metered(json!({})).to_string()).await.expect(status);
        for path in ["", "/value", "/grants", "/history?windowSize=DAY"] {
            door.get(&format!("{one}{path}")).await.expect(status);
        }
        door.delete(&one).await.expect(status);
        door.put(&format!("{one}/override"), &metered(json!({}))).await.expect(status);
        door.post(&format!("{one}/reset"), "{}").await.expect(status);
        door.get(&format!("/api/v1/customers/{customer}/access")).await.expect(status);
        door.get(&format!("/api/v1/customers/{customer}/entitlements/tokens/value")).await.expect(status);
    }
}
