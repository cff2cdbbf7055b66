//! Customers: their life, their conflicts, and whose usage is whose.

use crate::support::{Door, encoded, ids_of};
use serde_json::{Value, json};

const CUSTOMERS: &str = "/api/v1/customers";

async fn create(door: &Door, body: Value) -> Value {
    door.post(CUSTOMERS, body.to_string()).await.expect(201).json()
}

async fn put(door: &Door, path: &str, body: Value) -> crate::support::Answer {
    door.call("PUT", path, &[("content-type", "application/json")], body.to_string()).await
}

async fn delete(door: &Door, path: &str) -> crate::support::Answer {
    door.call("DELETE", path, &[], "").await
}

fn by_id(customer: &Value) -> String {
    format!("{CUSTOMERS}/{}", customer["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_customer_is_created_replaced_and_deleted() {
    let door = Door::open().await;
    let full = json!({
        "name": "ACME", "key": "acme/1", "description": "big", "primaryEmail": "a@example.com", "currency": "EUR",
        "billingAddress": {"country": "HU", "line1": "Fő utca 1", "postalCode": "1011"},
        "metadata": {"tier": "gold"}, "usageAttribution": {"subjectKeys": ["b", "a"]}, "unknown": 1
    });
    let created = create(&door, full.clone()).await;
    for (field, value) in full.as_object().unwrap().iter().filter(|(field, _)| *field != "unknown") {
        let want = if field == "usageAttribution" { json!({"subjectKeys": ["a", "b"]}) } else { value.clone() };
        assert_eq!(created[field], want, "{field}");
    }
    assert_eq!(created.get("unknown"), None);
    let by_key = format!("{CUSTOMERS}/{}", encoded("acme/1"));
    assert_eq!(door.get(&by_key).await.expect(200).json(), created);
    assert_eq!(door.get(&format!("{by_key}?expand=subscriptions")).await.expect(200).json(), created);
    door.get(&format!("{by_key}?expand=plans")).await.expect(400);

    let replaced = put(&door, &by_key, json!({"name": "New", "key": "k2"})).await.expect(200).json();
    assert_eq!((&replaced["id"], &replaced["createdAt"]), (&created["id"], &created["createdAt"]));
    for cleared in ["description", "primaryEmail", "currency", "billingAddress", "metadata", "usageAttribution"] {
        assert_eq!(replaced.get(cleared), None, "{cleared}");
    }
    door.get(&by_key).await.expect(404);

    delete(&door, &format!("{CUSTOMERS}/k2")).await.expect(204);
    let gone = door.get(&by_id(&created)).await.expect(200).json();
    assert_eq!(gone["deletedAt"], "2024-06-01T00:00:00Z");
    door.get(&format!("{CUSTOMERS}/k2")).await.expect(404);
    delete(&door, &format!("{CUSTOMERS}/k2")).await.expect(404);
    let again = delete(&door, &by_id(&created)).await.expect(412);
    assert!(again.detail().starts_with("precondition failed error: "), "{}", again.detail());
    put(&door, &by_id(&created), json!({"name": "x", "key": "y"})).await.expect(412);
    create(&door, full).await;
}

#[tokio::test]
async fn what_is_wrong_with_a_customer_is_named() {
    let door = Door::open().await;
    for (body, named) in [
        (json!({"key": "k"}), "property \"name\" is missing"),
        (json!({"name": "n"}), "either key or usageAttribution.subjectKeys must be provided"),
        (json!({"name": "n", "usageAttribution": {"subjectKeys": []}}), "either key or usageAttribution"),
        (json!({"name": "", "key": "k"}), "name must have 1 to 256 characters"),
        (json!({"name": "n", "key": ""}), "key must have 1 to 256 characters"),
        (json!({"name": "n", "key": "k", "currency": "eur"}), "currency must be"),
        (json!({"name": "n", "key": "k", "currency": "ZZZ"}), "currency must be"),
        (json!({"name": "n", "usageAttribution": {"subjectKeys": ["s".repeat(2049)]}}), "at most 2048 bytes"),
        (json!({"name": "n", "key": "k", "billingAddress": {"country": "Hungary"}}), "country must be"),
        (json!({"name": "n", "usageAttribution": {"subjectKeys": [""]}}), "a subject key must not be empty"),
        (json!({"name": 5, "key": "k"}), "/name"),
    ] {
        let answer = door.post(CUSTOMERS, body.to_string()).await.expect(400);
        assert!(answer.detail().contains(named), "{body}: {}", answer.detail());
    }
    assert_eq!(door.get(CUSTOMERS).await.expect(200).json()["totalCount"], 0);
}

#[tokio::test]
async fn a_conflict_names_the_other_customer() {
    let door = Door::open().await;
    let first = create(&door, json!({"name": "A", "key": "a", "usageAttribution": {"subjectKeys": ["s"]}})).await;
    let id = first["id"].as_str().unwrap();
    let rivals = [
        json!({"name": "B", "key": "a"}),
        json!({"name": "B", "key": "s"}),
        json!({"name": "B", "key": id}),
        json!({"name": "B", "usageAttribution": {"subjectKeys": ["t", "s"]}}),
    ];
    for rival in rivals {
        let answer = door.post(CUSTOMERS, rival.to_string()).await.expect(409);
        assert!(answer.detail().starts_with("conflict error: ") && answer.detail().contains(id), "{}", answer.detail());
    }
    let twice = json!({"name": "B", "usageAttribution": {"subjectKeys": ["t", "t"]}});
    door.post(CUSTOMERS, twice.to_string()).await.expect(409);
    assert_eq!(door.get(CUSTOMERS).await.expect(200).json()["totalCount"], 1);
}

#[tokio::test]
async fn lists_are_paged_sorted_and_searched() {
    let door = Door::open().await;
    for number in 1..=5 {
        door.set_clock(&format!("2024-06-01T00:00:0{number}Z"));
        let body = json!({"name": format!("Name {number}"), "key": format!("key-{number}"),
            "usageAttribution": {"subjectKeys": [format!("sub-{number}")]}});
        create(&door, body).await;
    }
    let names = async |parameters: &str| {
        let page = door.get(&format!("{CUSTOMERS}?{parameters}")).await.expect(200).json();
        let names =
            page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()[5..].to_string());
        (names.collect::<Vec<_>>().join(""), page["totalCount"].as_u64().unwrap())
    };
    for (parameters, shown) in [
        ("", ("12345", 5)),
        ("pageSize=2&page=2", ("34", 5)),
        ("pageSize=2&page=4", ("", 5)),
        ("order=DESC", ("54321", 5)),
        ("orderBy=createdAt&order=ASC&pageSize=5", ("12345", 5)),
        ("key=EY-3", ("3", 1)),
        ("name=name%202", ("2", 1)),
        ("subject=sub-4", ("4", 1)),
        ("subject=%25", ("", 0)),
        ("planKey=pro", ("", 0)),
        ("expand=subscriptions&name=5", ("5", 1)),
    ] {
        assert_eq!(names(parameters).await, (shown.0.to_string(), shown.1), "{parameters}");
    }
    for parameters in
        ["page=0", "pageSize=1001", "orderBy=key", "order=up", "key=", "nope=1", "includeDeleted=1", "expand=plans"]
    {
        door.get(&format!("{CUSTOMERS}?{parameters}")).await.expect(400);
    }
}

#[tokio::test]
async fn usage_is_filtered_and_grouped_by_customer() {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    for (id, subject) in [("1", "acme"), ("2", "a1"), ("3", "other")] {
        door.event(id, subject, "2024-05-31T10:00:00Z", r#"{"v":1.5}"#).await;
    }
    let acme = create(&door, json!({"name": "A", "key": "acme", "usageAttribution": {"subjectKeys": ["a1"]}})).await;
    let id = acme["id"].as_str().unwrap();
    let query = "/api/v1/meters/total/query";
    let answer = door.get(&format!("{query}?filterCustomerId={id}")).await.expect(200).json();
    assert_eq!(answer["data"][0]["customerId"], id);
    assert_eq!((answer["data"].as_array().unwrap().len(), &answer["data"][0]["value"]), (1, &json!(3)));
    let both =
        door.get(&format!("{query}?filterCustomerId={id}&groupBy=customer_id&subject=a1")).await.expect(200).json();
    assert_eq!((&both["data"][0]["subject"], &both["data"][0]["value"]), (&json!("a1"), &json!(1.5)));
    let csv =
        door.call("GET", &format!("{query}?filterCustomerId={id}"), &[("accept", "text/csv")], "").await.expect(200);
    assert!(
        csv.text.starts_with("window_start,window_end,customer_id,value\n") && csv.text.contains(id),
        "{}",
        csv.text
    );

    let listed = door.get(&format!("/api/v1/events?customerId={id}")).await.expect(200).json();
    assert_eq!(ids_of(&listed), ["2", "1"].map(String::from).into_iter().rev().collect::<Vec<_>>());
    assert!(listed.as_array().unwrap().iter().all(|item| item["customerId"] == id));
    let filter = encoded(&json!({"customerId": {"$in": [id]}}).to_string());
    assert_eq!(
        door.get(&format!("/api/v2/events?filter={filter}")).await.expect(200).json()["items"]
            .as_array()
            .unwrap()
            .len(),
        2
    );

    delete(&door, &by_id(&acme)).await.expect(204);
    let gone = door.get(&format!("{query}?filterCustomerId={id}")).await.expect(404);
    assert_eq!(gone.detail(), format!("not found error: customer with id {id} not found"));
    let unlisted = door.get(&format!("/api/v1/events?customerId={id}")).await.expect(400);
    assert!(unlisted.detail().contains("customers not found in namespace default"), "{}", unlisted.detail());
}

#[tokio::test]
async fn a_text_to_search_for_has_a_bound() {
    let door = Door::open().await;
    for name in ["name", "key", "primaryEmail", "subject"] {
        door.get(&format!("/api/v1/customers?{name}={}", "_".repeat(2048))).await.expect(200);
        let refused = door.get(&format!("/api/v1/customers?{name}={}", "_".repeat(2049))).await.expect(400);
        assert!(refused.detail().contains(name) && refused.detail().contains("2048"), "{}", refused.text);
    }
}
