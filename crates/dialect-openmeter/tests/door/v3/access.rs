//! Access: of one customer, and of many at once.

use super::{at, delete, id_of, send};
use crate::support::{Answer, Door, JSON, NOW};
use serde_json::{Value, json};
use tallystick_domain::key::Scope;

const UNKNOWN: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const QUERY: &str = "entitlement-access/query";

/// Creates a customer with the subjects `s-KEY` and `KEY.2`, and gives its id.
async fn customer(door: &Door, key: &str) -> String {
    let subjects = [format!("s-{key}"), format!("{key}.2")];
    let body = json!({"key": key, "name": key, "usage_attribution": {"subject_keys": subjects}});
    id_of(&send(door, "POST", "customers", &body).await.expect(201).json())
}

async fn entitle(door: &Door, customer: &str, body: Value) -> Value {
    let path = format!("/api/v2/customers/{customer}/entitlements");
    door.post(&path, body.to_string()).await.expect(201).json()
}

fn metered(amount: u32) -> Value {
    json!({"type": "metered", "featureKey": "tokens", "usagePeriod": {"interval": "MONTH"}, "issue": {"amount": amount}})
}

/// A door with the features `tokens` (metered), `look` and `beta`.
async fn furnished() -> Door {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    door.post("/api/v1/features", r#"{"key":"tokens","name":"T","meterSlug":"total"}"#).await.expect(201);
    for key in ["look", "beta"] {
        door.post("/api/v1/features", json!({"key": key, "name": key}).to_string()).await.expect(201);
    }
    door
}

/// The access of a customer by the list.
async fn list(door: &Door, id: &str) -> Value {
    door.get(&at(&format!("customers/{id}/entitlement-access"))).await.expect(200).json()
}

async fn ask(door: &Door, parameters: &str, body: &Value) -> Answer {
    send(door, "POST", &format!("{QUERY}{parameters}"), body).await
}

/// The answer of a query that names these customers.
async fn of(door: &Door, parameters: &str, keys: &[&str]) -> Value {
    ask(door, parameters, &json!({"customer": {"keys": keys}})).await.expect(200).json()
}

/// The keys of the customers of an answer.
fn found(answer: &Value) -> String {
    let keys = answer["data"].as_array().unwrap().iter().map(|row| row["customer"]["key"].as_str().unwrap());
    keys.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_list_shows_what_is_in_force_by_feature() {
    let door = furnished().await;
    let id = customer(&door, "acme").await;
    assert_eq!(list(&door, &id).await, json!({"data": []}));
    let config = r#"{"colours": ["red", 0.10], "deep": null}"#;
    entitle(&door, "acme", metered(3)).await;
    entitle(&door, "acme", json!({"type": "static", "featureKey": "look", "config": config})).await;
    entitle(&door, "acme", json!({"type": "boolean", "featureKey": "beta"})).await;
    let expected = json!({"data": [
        {"type": "boolean", "feature_key": "beta", "has_access": true},
        {"type": "static", "feature_key": "look", "has_access": true, "config": {"colours": ["red", 0.1], "deep": null}},
        {"type": "metered", "feature_key": "tokens", "has_access": true},
    ]});
    assert_eq!(list(&door, &id).await, expected);
    door.event("1", "s-acme", NOW, r#"{"v":3}"#).await;
    assert_eq!(list(&door, &id).await["data"][2]["has_access"], false, "an acknowledged event is seen");
    door.call("DELETE", "/api/v2/customers/acme/entitlements/look", &[], "").await.expect(204);
    let keys: Vec<_> = list(&door, &id).await["data"].as_array().unwrap().clone();
    assert_eq!(
        keys.iter().map(|access| access["feature_key"].as_str().unwrap()).collect::<Vec<_>>(),
        ["beta", "tokens"]
    );
}

#[tokio::test]
async fn a_list_is_of_a_live_customer_by_its_id() {
    let door = furnished().await;
    let id = customer(&door, "acme").await;
    let path = |id: &str| at(&format!("customers/{id}/entitlement-access"));
    assert_eq!(door.get(&path(UNKNOWN)).await.expect(404).detail(), format!("customer not found: {UNKNOWN}"));
    assert_eq!(door.get(&path("acme")).await.expect(400).rules(), ["customerId path matches_regex"]);
    delete(&door, &format!("customers/{id}")).await.expect(204);
    door.get(&path(&id)).await.expect(410);
}

#[tokio::test]
async fn every_name_of_a_customer_is_matched_and_unknown_names_are_told() {
    let door = furnished().await;
    let acme = customer(&door, "acme").await;
    customer(&door, "gone").await;
    entitle(&door, "acme", metered(3)).await;
    let gone = door.get("/api/v1/customers/gone").await.json();
    delete(&door, &format!("customers/{}", id_of(&gone))).await.expect(204);
    let answer = of(&door, "", &["acme.2", "nobody", "acme", "gone", "acme", "s-acme", "nobody"]).await;
    let customer = door.get(&at(&format!("customers/{acme}"))).await.expect(200).json();
    let unavailable = "the customer has no entitlement to the feature";
    let refused = json!({"has_access": false, "reason": {"code": "feature_unavailable", "message": unavailable}});
    let row = json!({
        "matched": ["acme.2", "acme", "s-acme"], "customer": customer, "updated_at": NOW,
        "features": {"beta": refused, "look": refused, "tokens": {"has_access": true}},
    });
    assert_eq!(answer["data"], json!([row]));
    let missing = |key: &str| {
        let message = format!("no live customer has the key or the subject {key:?}");
        json!({"customer": key, "code": "customer_not_found", "message": message})
    };
    assert_eq!(answer["errors"], json!([missing("nobody"), missing("gone")]));
    let place = answer["meta"]["page"]["first"].clone();
    assert!(place.is_string());
    let page = json!({"first": place, "last": place, "next": null, "previous": null, "size": 100});
    assert_eq!(answer["meta"], json!({"page": page}));
    // An id is no key.
    assert_eq!(of(&door, "", &[&acme]).await["errors"], json!([missing(&acme)]));
    let none = json!({"page": {"next": null, "previous": null, "size": 100}});
    let nobody = of(&door, "", &["nobody"]).await;
    assert_eq!((&nobody["data"], &nobody["meta"]), (&json!([]), &none));
}

#[tokio::test]
async fn a_key_goes_before_another_customers_subject() {
    let door = furnished().await;
    let body = json!({"key": "first", "name": "F", "usage_attribution": {"subject_keys": ["shared"]}});
    send(&door, "POST", "customers", &body).await.expect(201);
    assert_eq!(found(&of(&door, "", &["shared"]).await), "first");
    let second = send(&door, "POST", "customers", &json!({"key": "shared", "name": "S"})).await;
    // Whether a key may be another's subject is a rule of customers; a name means one customer in any case.
    let expected = if second.status == 201 { "shared" } else { "first" };
    assert_eq!(found(&of(&door, "", &["shared"]).await), expected);
}

#[tokio::test]
async fn the_reason_of_each_refusal_is_told() {
    let door = furnished().await;
    customer(&door, "acme").await;
    // A second later, so that it is the second on the page.
    door.set_clock("2024-06-01T00:00:01Z");
    customer(&door, "bob").await;
    entitle(&door, "acme", metered(1)).await;
    entitle(&door, "bob", json!({"type": "static", "featureKey": "look", "config": "1"})).await;
    door.event("1", "acme", NOW, r#"{"v":1}"#).await;
    let body = json!({"customer": {"keys": ["acme", "bob"]}, "feature": {"keys": ["tokens", "look", "none"]}});
    let answer = ask(&door, "", &body).await.expect(200).json();
    let codes = |row: usize| {
        let features = answer["data"][row]["features"].as_object().unwrap();
        let code = |access: &Value| match access["has_access"].as_bool().unwrap() {
            true => access.get("reason").map_or("-", |_| "a reason for access").to_string(),
            false => access["reason"]["code"].as_str().unwrap().to_string(),
        };
        features.iter().map(|(key, access)| format!("{key} {}", code(access))).collect::<Vec<_>>()
    };
    assert_eq!(codes(0), ["look feature_unavailable", "none feature_not_found", "tokens usage_limit_reached"]);
    assert_eq!(codes(1), ["look -", "none feature_not_found", "tokens feature_unavailable"]);
    // What is held back is not there for others either.
    entitle(&door, "bob", metered(1)).await;
    let reserve = "/api/v2/customers/bob/entitlements/tokens/reservations";
    door.post(reserve, r#"{"amount":1}"#).await.expect(201);
    let tokens = json!({"customer": {"keys": ["bob"]}, "feature": {"keys": ["tokens"]}});
    let held = ask(&door, "", &tokens).await.expect(200).json();
    assert_eq!(held["data"][0]["features"]["tokens"]["reason"]["code"], "usage_limit_reached");
    // Archived features are not there, and asking for all shows the live ones only.
    let look = door.get("/api/v1/features/look").await.json();
    delete(&door, &format!("features/{}", id_of(&look))).await.expect(204);
    let all = of(&door, "", &["acme"]).await;
    let features: Vec<_> = all["data"][0]["features"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(features, ["beta", "tokens"]);
}

#[tokio::test]
async fn pages_are_read_both_ways() {
    let door = furnished().await;
    // Two of the same second are ordered by id, which grows with the time.
    for (second, key) in [("05.1", "e"), ("05.2", "d"), ("01", "c"), ("03", "b"), ("02", "a")] {
        door.set_clock(&format!("2024-06-01T00:00:{second}Z"));
        customer(&door, key).await;
    }
    let keys = ["a", "b", "nobody", "c", "d", "e"];
    let forward = |place: &str| format!("?page[size]=2{place}");
    let (mut place, mut seen) = (String::new(), Vec::new());
    let mut firsts = Vec::new();
    for _ in 0..3 {
        let answer = of(&door, &forward(&place), &keys).await;
        assert_eq!(answer["errors"].as_array().unwrap().len(), 1, "unknown names are on every page");
        let page = &answer["meta"]["page"];
        seen.push((found(&answer), page["previous"].is_string(), page["next"].is_string()));
        firsts.push(page["first"].clone());
        place = format!("&page[after]={}", page["next"].as_str().unwrap_or_default());
    }
    let page = |keys: &str, previous, next| (keys.to_string(), previous, next);
    assert_eq!(seen, [page("c a", false, true), page("b e", true, true), page("d", true, false)]);
    let (mut place, mut back) = (firsts[2].as_str().unwrap().to_string(), Vec::new());
    for _ in 0..2 {
        let answer = of(&door, &forward(&format!("&page[before]={place}")), &keys).await;
        let page = &answer["meta"]["page"];
        back.push((found(&answer), page["previous"].is_string(), page["next"].is_string()));
        place = page["previous"].as_str().unwrap_or_default().to_string();
    }
    assert_eq!(back, [page("b e", true, true), page("c a", false, true)]);
    // The place of a customer that is gone, or was not asked for, is a place all the same.
    let last = of(&door, &forward(&format!("&page[after]={}", firsts[1].as_str().unwrap())), &["a", "d", "e"]).await;
    assert_eq!(found(&last), "e d");
    assert_eq!(found(&of(&door, "?page[size]=100", &keys).await), "c a b e d");
    assert_eq!(found(&of(&door, "?page[size]=1", &keys).await), "c");
}

#[tokio::test]
async fn wrong_queries_name_every_fault() {
    let door = furnished().await;
    customer(&door, "acme").await;
    let many = |count: usize| (0..count).map(|number| format!("k{number}")).collect::<Vec<_>>();
    let fine = json!({"customer": {"keys": ["acme"]}});
    let place = of(&door, "", &["acme"]).await["meta"]["page"]["first"].as_str().unwrap().to_string();
    let both = format!("?page[after]={place}&page[before]={place}");
    for (parameters, body, expected) in [
        ("", json!({}), "customer body required"),
        ("", json!({"customer": {}}), "customer.keys body required"),
        ("", json!({"customer": {"keys": []}}), "customer.keys body min_items"),
        ("", json!({"customer": {"keys": many(101)}}), "customer.keys body max_items"),
        ("", json!({"customer": {"keys": "acme"}}), "customer.keys body is_array"),
        ("", json!({"customer": {"keys": [1]}}), "customer.keys[0] body is_string"),
        ("", json!({"customer": {"keys": ["a"], "ids": []}}), "customer.ids body unknown_property"),
        ("", json!({"customer": {"keys": ["a"]}, "feature": {"keys": []}}), "feature.keys body min_items"),
        ("", json!({"customer": {"keys": ["a"]}, "feature": {"keys": many(101)}}), "feature.keys body max_items"),
        ("", json!({"customer": {"keys": ["a"]}, "features": {}}), "features body unknown_property"),
        ("", json!({"customer": {"keys": ["a"]}, "include_credits": true}), "include_credits body invalid"),
        ("", json!({"customer": {"keys": ["a"]}, "include_credits": "no"}), "include_credits body is_boolean"),
        ("?page[size]=0", fine.clone(), "page[size] query min"),
        ("?page[size]=101", fine.clone(), "page[size] query max"),
        ("?page[size]=x", fine.clone(), "page[size] query is_integer"),
        ("?page[number]=1", fine.clone(), "page[number] query unknown_property"),
        ("?page[after]=", fine.clone(), "page[after] query invalid"),
        ("?page[after]=x", fine.clone(), "page[after] query invalid"),
        ("?page[before]=MjAyNC0wNi0wMVQwMDowMDowMFo=", fine.clone(), "page[before] query invalid"),
        (&both, fine.clone(), "page[before] query invalid"),
        ("?sort=key", fine.clone(), "sort query enum"),
        ("?filter[key]=a", fine.clone(), "filter[key] query unknown_property"),
        ("?limit=1", fine.clone(), "limit query unknown_property"),
    ] {
        let refused = ask(&door, parameters, &body).await.expect(400);
        assert_eq!(refused.rules(), [expected], "{parameters} {body}: {}", refused.text);
    }
    let all = ask(&door, "?page[size]=0", &json!({"customer": {"keys": []}, "x": 1})).await.expect(400);
    assert_eq!(all.rules().len(), 3, "{}", all.text);
    for body in ["", "{", "[]", "null"] {
        let refused = door.call("POST", &at(QUERY), &[("content-type", JSON)], body).await.expect(400);
        assert!(!refused.detail().is_empty(), "{body}");
    }
    for body in [
        json!({"customer": {"keys": many(100)}, "feature": {"keys": many(100)}, "include_credits": false}),
        json!({"customer": {"keys": ["", "x".repeat(5000)]}, "feature": null, "include_credits": null}),
    ] {
        assert_eq!(ask(&door, "", &body).await.expect(200).json()["data"], json!([]));
    }
}

#[tokio::test]
async fn access_is_read_with_the_scope_for_reading_in_the_own_namespace() {
    let mut door = furnished().await;
    let id = customer(&door, "acme").await;
    entitle(&door, "acme", metered(1)).await;
    let keys = [
        door.make_key("default", Scope::Read).await,
        door.make_key("default", Scope::Ingest).await,
        door.make_key("other", Scope::Admin).await,
    ];
    let body = json!({"customer": {"keys": ["acme", "s-acme"]}});
    let mut statuses = Vec::new();
    for key in keys {
        door.key = Some(key);
        let listed = door.get(&at(&format!("customers/{id}/entitlement-access"))).await;
        let asked = ask(&door, "", &body).await;
        let rows = if asked.status == 200 { asked.json()["data"].as_array().unwrap().len() } else { 0 };
        statuses.push((listed.status.as_u16(), asked.status.as_u16(), rows));
    }
    assert_eq!(statuses, [(200, 200, 1), (403, 403, 0), (404, 200, 0)]);
}
