//! Lists of entitlements: of one customer and of all.

use super::{CUSTOMERS, furnished, ids, metered};
use serde_json::{Value, json};

fn id(made: &Value) -> String {
    made["id"].as_str().unwrap().to_string()
}

#[tokio::test]
async fn the_entitlements_of_a_customer_are_those_in_force() {
    let door = furnished().await;
    let mut made = vec![id(&door.give(metered(json!({}))).await)];
    door.set_clock("2024-06-01T00:01:00Z");
    made.push(id(&door.give(json!({"type": "boolean", "featureKey": "sso"})).await));
    let path = format!("{CUSTOMERS}/acme/entitlements");
    let listed = door.get(&path).await.expect(200).json();
    assert_eq!(ids(&listed), made);
    assert_eq!(["page", "pageSize", "totalCount"].map(|name| listed[name].as_i64().unwrap()), [1, 100, 2]);
    assert_eq!(ids(&door.get(&format!("{path}?order=DESC&pageSize=1")).await.json()), made[1..]);
    assert_eq!(ids(&door.get(&format!("{path}?page=2&pageSize=1")).await.json()), made[1..]);
    assert_eq!(ids(&door.get("/api/v1/subjects/acme-1/entitlements").await.json()), made);
    door.set_clock("2024-06-01T00:02:00Z");
    door.delete(&format!("{path}/tokens")).await.expect(204);
    for path in [path, "/api/v1/subjects/acme-1/entitlements".into()] {
        assert_eq!(ids(&door.get(&path).await.json()), made[1..]);
        let with_deleted = door.get(&format!("{path}?includeDeleted=true")).await.expect(200).json();
        assert_eq!(ids(&with_deleted), made, "{path}");
        let items = with_deleted.as_array().or_else(|| with_deleted["items"].as_array()).unwrap();
        assert_eq!(
            (&items[0]["deletedAt"], &items[0]["activeTo"]),
            (&json!("2024-06-01T00:02:00Z"), &json!("2024-06-01T00:02:00Z"))
        );
        assert_eq!(items[1].get("deletedAt"), None);
    }
}

#[tokio::test]
async fn those_of_all_customers_are_filtered_and_paged() {
    let door = furnished().await;
    let other = r#"{"key":"other","name":"O","usageAttribution":{"subjectKeys":["other-1"]}}"#;
    let other = door.post("/api/v1/customers", other).await.expect(201).json();
    let mut made = vec![id(&door.give(metered(json!({}))).await)];
    door.set_clock("2024-06-01T00:01:00Z");
    made.push(id(&door.give(json!({"type": "static", "featureKey": "sso", "config": "1"})).await));
    door.set_clock("2024-06-01T00:02:00Z");
    let given = json!({"type": "boolean", "featureKey": "tokens"}).to_string();
    let third = door.post(&format!("{CUSTOMERS}/other/entitlements"), given).await.expect(201).json();
    made.push(id(&third));
    let of = async |path: String| ids(&door.get(&path).await.expect(200).json());
    let (feature, customer) = (id(&door.get("/api/v1/features/tokens").await.json()), id(&other));
    for (query, wanted) in [
        ("", vec![0, 1, 2]),
        ("?feature=tokens", vec![0, 2]),
        (&format!("?feature={feature}&feature=sso"), vec![0, 1, 2]),
        ("?entitlementType=static&entitlementType=boolean", vec![1, 2]),
        ("?entitlementType=static,boolean", vec![1, 2]),
        ("?order=DESC&orderBy=updatedAt", vec![2, 1, 0]),
        ("?offset=1&limit=1", vec![1]),
        ("?page=2&pageSize=2", vec![2]),
        ("?feature=nothing", vec![]),
    ] {
        let wanted: Vec<_> = wanted.into_iter().map(|place: usize| made[place].clone()).collect();
        for version in ["v1", "v2"] {
            assert_eq!(of(format!("/api/{version}/entitlements{query}")).await, wanted, "{version} {query}");
        }
    }
    assert_eq!(of("/api/v1/entitlements?subject=acme-2&subject=nobody".into()).await, made[..2]);
    assert_eq!(of("/api/v2/entitlements?customerKeys=acme".into()).await, made[..2]);
    assert_eq!(of(format!("/api/v2/entitlements?customerKeys=nobody&customerIds={customer}")).await, made[2..]);
    assert_eq!(door.get("/api/v2/entitlements?customerKeys=nobody").await.expect(200).json()["totalCount"], 0);
    let metered = "/api/v1/entitlements?subject=acme-1&feature=tokens&entitlementType=metered&page=1&pageSize=10";
    let page = door.get(metered).await.expect(200).json();
    assert_eq!((&page["page"], &page["totalCount"], ids(&page)), (&json!(1), &json!(1), made[..1].to_vec()));
    assert_eq!(door.get("/api/v1/entitlements?subject=nobody&page=1").await.expect(200).json()["totalCount"], 0);
    // What was overridden is not in force any more, and what was deleted is not shown.
    let path = format!("{CUSTOMERS}/other/entitlements/tokens");
    door.put(&format!("{path}/override"), &json!({"type": "boolean", "featureKey": "tokens"})).await.expect(201);
    door.delete(&format!("{CUSTOMERS}/acme/entitlements/sso")).await.expect(204);
    assert_eq!(of("/api/v1/entitlements".into()).await.len(), 3);
    assert_eq!(of("/api/v1/entitlements?excludeInactive=true".into()).await.len(), 2);
    assert!(of("/api/v2/entitlements?excludeInactive=false".into()).await.contains(&made[2]));
}
