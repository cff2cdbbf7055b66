//! Features: keys, meters, filters, unit costs, lists, and what archiving frees.

use crate::support::{Answer, Door};
use serde_json::{Value, json};

const FEATURES: &str = "/api/v1/features";

async fn create(door: &Door, body: Value) -> Value {
    door.post(FEATURES, body.to_string()).await.expect(201).json()
}

async fn delete(door: &Door, path: &str) -> Answer {
    door.call("DELETE", path, &[], "").await
}

#[tokio::test]
async fn a_feature_has_the_published_shape() {
    let door = Door::open().await;
    door.meter("tokens", "SUM").await;
    let body = json!({
        "key": "gpt_4", "name": "GPT-4", "metadata": {"team": "core"}, "meterSlug": "tokens",
        "meterGroupByFilters": {"m": "gpt-4"}, "unitCost": {"type": "manual", "amount": "0.050"}, "unknown": 1
    });
    let answer = door.post(FEATURES, body.to_string()).await.expect(201);
    let id = answer.json()["id"].as_str().unwrap().to_string();
    assert_eq!(
        answer.text,
        format!(
            "{{\"advancedMeterGroupByFilters\":{{\"m\":{{\"$eq\":\"gpt-4\"}}}},\"createdAt\":\"2024-06-01T00:00:00Z\",\
             \"id\":\"{id}\",\"key\":\"gpt_4\",\"metadata\":{{\"team\":\"core\"}},\"meterGroupByFilters\":{{\"m\":\"gpt-4\"}},\
             \"meterSlug\":\"tokens\",\"name\":\"GPT-4\",\"unitCost\":{{\"type\":\"manual\",\"amount\":\"0.05\"}},\
             \"updatedAt\":\"2024-06-01T00:00:00Z\"}}"
        )
    );
    for name in [&id, "gpt_4"] {
        assert_eq!(door.get(&format!("{FEATURES}/{name}")).await.expect(200).text, answer.text);
    }
    let bare = create(&door, json!({"key": "sso", "name": "SSO"})).await;
    for absent in
        ["advancedMeterGroupByFilters", "meterGroupByFilters", "meterSlug", "metadata", "unitCost", "archivedAt"]
    {
        assert_eq!(bare.get(absent), None, "{absent}");
    }
}

#[tokio::test]
async fn filters_come_back_as_they_were_sent_and_the_advanced_ones_win() {
    let door = Door::open().await;
    door.meter("tokens", "COUNT").await;
    let meter_id = door.get("/api/v1/meters/tokens").await.json()["id"].clone();
    let advanced = json!({"m": {"$or": [{"$like": "gpt-%"}, {"$in": ["a", "b"]}]}, "n": {"$nilike": "X_"}});
    let body = json!({"key": "f", "name": "F", "meterSlug": meter_id, "advancedMeterGroupByFilters": advanced,
        "meterGroupByFilters": {"nothing": "x"}});
    let made = create(&door, body).await;
    assert_eq!((&made["advancedMeterGroupByFilters"], &made["meterSlug"]), (&advanced, &json!("tokens")));
    assert_eq!(made.get("meterGroupByFilters"), None);
    let llm = json!({"type": "llm", "provider": "openai", "modelProperty": "m", "tokenType": "input"});
    let made = create(&door, json!({"key": "l", "name": "L", "meterSlug": "tokens", "unitCost": llm})).await;
    assert_eq!(made["unitCost"], llm);
    // Without a meter nobody knows its dimensions.
    create(&door, json!({"key": "free", "name": "Free", "meterGroupByFilters": {"any": "x"}})).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_feature_is_named() {
    let door = Door::open().await;
    door.meter("tokens", "SUM").await;
    door.meter("mean", "AVG").await;
    let with = |more: Value| {
        let mut body = json!({"key": "f", "name": "F"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (body, status, named) in [
        (json!({"name": "F"}), 400, "property \"key\" is missing"),
        (json!({"key": "f"}), 400, "property \"name\" is missing"),
        (with(json!({"key": "Not-A-Key"})), 400, "key \"Not-A-Key\" is not valid"),
        (with(json!({"key": "01arz3ndektsv4rrffq69g5fav"})), 400, "must not look like an id"),
        (with(json!({"name": ""})), 400, "name must have"),
        (with(json!({"meterSlug": "nothing"})), 404, "meter not found: nothing"),
        (with(json!({"meterSlug": "no slug"})), 404, "meter not found: no slug"),
        (
            with(json!({"meterSlug": "mean"})),
            400,
            "meter mean's aggregation is AVG but features can only be created for",
        ),
        (with(json!({"meterSlug": "tokens", "meterGroupByFilters": {"x": "y"}})), 400, "invalid filters for feature: "),
        (with(json!({"advancedMeterGroupByFilters": {"m": {"$near": "y"}}})), 400, "unknown operator"),
        (with(json!({"advancedMeterGroupByFilters": {"m": {}}})), 400, "no operator"),
        (with(json!({"unitCost": {"type": "free"}})), 400, "[manual, llm]"),
        (with(json!({"unitCost": {"type": "manual", "amount": "-1"}})), 400, "must not be negative"),
        (with(json!({"unitCost": {"type": "manual"}})), 400, "not a decimal number"),
        (with(json!({"unitCost": {"type": "llm", "model": "m"}})), 400, "needs a meter"),
        (with(json!({"meterSlug": "tokens", "unitCost": {"type": "llm"}})), 400, "exactly one of provider"),
        (with(json!({"metadata": {"a": 1}})), 400, "/metadata/a"),
    ] {
        let answer = door.post(FEATURES, body.to_string()).await.expect(status);
        assert!(answer.detail().contains(named), "{body}: {}", answer.detail());
    }
    assert_eq!(door.get(FEATURES).await.expect(200).text, "[]");
}

#[tokio::test]
async fn a_key_is_taken_until_its_feature_is_archived() {
    let door = Door::open().await;
    let first = create(&door, json!({"key": "f", "name": "F"})).await;
    let id = first["id"].as_str().unwrap();
    let taken = door.post(FEATURES, r#"{"key":"f","name":"G"}"#).await.expect(409);
    assert_eq!(taken.detail(), format!("conflict error: feature {id} with key f already exists"));
    delete(&door, &format!("{FEATURES}/f")).await.expect(204);
    for path in [format!("{FEATURES}/f"), format!("{FEATURES}/{id}")] {
        assert!(door.get(&path).await.expect(404).detail().contains("feature not found: "));
        delete(&door, &path).await.expect(404);
    }
    let second = create(&door, json!({"key": "f", "name": "G"})).await;
    delete(&door, &format!("{FEATURES}/{}", second["id"].as_str().unwrap())).await.expect(204);
    let all = door.get(&format!("{FEATURES}?includeArchived=true")).await.expect(200).json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert!(all.as_array().unwrap().iter().all(|feature| feature["archivedAt"] == "2024-06-01T00:00:00Z"));
}

#[tokio::test]
async fn a_meter_that_a_live_feature_uses_keeps_what_it_needs() {
    let door = Door::open().await;
    door.meter("tokens", "SUM").await;
    let id = door.get("/api/v1/meters/tokens").await.json()["id"].as_str().unwrap().to_string();
    create(&door, json!({"key": "f", "name": "F", "meterSlug": "tokens", "meterGroupByFilters": {"m": "a"}})).await;
    for path in ["/api/v1/meters/tokens".to_string(), format!("/api/v1/meters/{id}")] {
        let kept = delete(&door, &path).await.expect(409);
        assert!(
            kept.detail().starts_with("conflict error: meter has active features and cannot be deleted"),
            "{}",
            kept.detail()
        );
        let lost = door.call("PUT", &path, &[("content-type", "application/json")], r#"{"groupBy":{"n":"$.n"}}"#).await;
        let lost = lost.expect(409).detail();
        assert_eq!(lost, "conflict error: meter group by: m cannot be dropped because it is used by feature: f");
        let kept = r#"{"groupBy":{"m":"$.other"},"name":"T"}"#;
        door.call("PUT", &path, &[("content-type", "application/json")], kept).await.expect(200);
    }
    delete(&door, &format!("{FEATURES}/f")).await.expect(204);
    delete(&door, "/api/v1/meters/tokens").await.expect(204);
    let gone = door.post(FEATURES, json!({"key": "g", "name": "G", "meterSlug": id}).to_string()).await.expect(404);
    assert!(gone.detail().contains("meter not found"), "{}", gone.detail());
}

#[tokio::test]
async fn lists_are_arrays_or_pages_sorted_and_filtered() {
    let door = Door::open().await;
    door.meter("tokens", "SUM").await;
    door.meter("calls", "COUNT").await;
    for (number, key, meter) in [(1, "c", Some("tokens")), (2, "a", None), (3, "b", Some("calls"))] {
        door.set_clock(&format!("2024-06-01T00:00:0{number}Z"));
        create(&door, json!({"key": key, "name": format!("N{number}"), "meterSlug": meter})).await;
    }
    let keys = async |parameters: &str| {
        let listed = door.get(&format!("{FEATURES}?{parameters}")).await.expect(200).json();
        let items = listed.as_array().or_else(|| listed["items"].as_array()).unwrap().clone();
        (items.iter().map(|item| item["key"].as_str().unwrap().to_string()).collect::<String>(), listed)
    };
    for (parameters, shown) in [
        ("", "abc"),
        ("order=DESC", "cba"),
        ("orderBy=id", "cab"),
        ("orderBy=name&order=DESC", "bac"),
        ("orderBy=createdAt", "cab"),
        ("orderBy=updatedAt&order=DESC", "bac"),
        ("limit=2", "ab"),
        ("offset=1&limit=1", "b"),
        ("meterSlug=tokens", "c"),
        ("meterSlug=tokens&meterSlug=calls", "bc"),
        ("meterSlug=other", ""),
    ] {
        let (found, listed) = keys(parameters).await;
        assert!(found == shown && listed.is_array(), "{parameters}: {found}");
    }
    let (found, page) = keys("page=2&pageSize=2").await;
    assert_eq!(
        (found.as_str(), &page["totalCount"], &page["page"], &page["pageSize"]),
        ("c", &json!(3), &json!(2), &json!(2))
    );
    assert_eq!(keys("page=1").await.1["pageSize"], 100);
    assert_eq!(keys("pageSize=5&meterSlug=tokens").await.1["totalCount"], 1);
    for parameters in
        ["page=0", "limit=0", "limit=1001", "offset=-1", "orderBy=size", "order=up", "includeArchived=1", "key=a"]
    {
        door.get(&format!("{FEATURES}?{parameters}")).await.expect(400);
    }
}

#[tokio::test]
async fn a_customer_without_entitlements_may_use_nothing() {
    let door = Door::open().await;
    create(&door, json!({"key": "f", "name": "F"})).await;
    let customer = door.post("/api/v1/customers", r#"{"name":"A","key":"acme"}"#).await.expect(201).json();
    let id = customer["id"].as_str().unwrap();
    for name in [id, "acme"] {
        let path = format!("/api/v1/customers/{name}");
        assert_eq!(door.get(&format!("{path}/access")).await.expect(200).text, r#"{"entitlements":{}}"#);
        for feature in ["f", "unknown"] {
            let value = door.get(&format!("{path}/entitlements/{feature}/value?time=2024-01-01T00:00:00Z")).await;
            assert_eq!(value.expect(200).text, r#"{"hasAccess":false}"#);
        }
        door.get(&format!("{path}/entitlements/f/value?time=yesterday")).await.expect(400);
        door.get(&format!("{path}/entitlements/{}/value", "f".repeat(65))).await.expect(400);
    }
    door.get("/api/v1/customers/nobody/access").await.expect(404);
    door.get("/api/v1/customers/nobody/entitlements/f/value").await.expect(404);
    delete(&door, "/api/v1/customers/acme").await.expect(204);
    door.get(&format!("/api/v1/customers/{id}/access")).await.expect(412);
    door.get(&format!("/api/v1/customers/{id}/entitlements/f/value")).await.expect(412);
    door.get("/api/v1/customers/acme/access").await.expect(404);
}
