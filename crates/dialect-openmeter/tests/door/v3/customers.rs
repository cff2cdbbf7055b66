//! Customers.

use super::{at, delete, id_of, lists, page, refuses, send};
use crate::support::{Door, NOW};
use serde_json::{Value, json};

fn full() -> Value {
    json!({
        "key": "acme", "name": "Acme", "description": "d", "labels": {"tier": "gold"},
        "usage_attribution": {"subject_keys": ["a", "b"]}, "primary_email": "a@example.com", "currency": "EUR",
        "billing_address": {"country": "HU", "line1": "Fő utca 1", "postal_code": "1011", "phone_number": "1"},
    })
}

#[tokio::test]
async fn a_created_customer_comes_back_and_is_the_first_versions_customer_too() {
    let door = Door::open().await;
    let shown = send(&door, "POST", "customers", &full()).await.expect(201).json();
    let mut expected = full();
    expected.as_object_mut().unwrap().extend([
        ("id".to_string(), shown["id"].clone()),
        ("created_at".to_string(), json!(NOW)),
        ("updated_at".to_string(), json!(NOW)),
    ]);
    assert_eq!(shown, expected);
    assert_eq!(door.get(&at(&format!("customers/{}", id_of(&shown)))).await.expect(200).json(), shown);
    let first = door.get("/api/v1/customers/acme").await.expect(200).json();
    assert_eq!((&first["id"], &first["metadata"]), (&shown["id"], &shown["labels"]));
    assert_eq!(first["billingAddress"]["postalCode"], "1011");
    // The first versions make customers that have subjects and no key.
    let old = door.post("/api/v1/customers", r#"{"name":"O","usageAttribution":{"subjectKeys":["o"]}}"#).await;
    let old = id_of(&old.expect(201).json());
    let old = door.get(&at(&format!("customers/{old}"))).await.expect(200).json();
    assert_eq!((old.get("key"), &old["labels"]), (None, &json!({})));
}

#[tokio::test]
async fn each_field_has_its_rule() {
    let door = Door::open().await;
    for (changes, expected) in [
        (json!({"key": ""}), "key body min_length"),
        (json!({"key": "x".repeat(257)}), "key body max_length"),
        (json!({"name": ["x"]}), "name body is_string"),
        (json!({"description": "x".repeat(1025)}), "description body max_length"),
        (json!({"currency": "eur"}), "currency body matches_regex"),
        (json!({"currency": "XQQ"}), "currency body invalid"),
        (json!({"usage_attribution": {}}), "usage_attribution.subject_keys body required"),
        (json!({"usage_attribution": {"subject_keys": [""]}}), "usage_attribution.subject_keys body invalid"),
        (json!({"usage_attribution": {"subject_keys": ["a", 1]}}), "usage_attribution.subject_keys[1] body is_string"),
        (json!({"billing_address": {"country": "Hungary"}}), "billing_address.country body matches_regex"),
        (json!({"billing_address": {"postalCode": "1"}}), "billing_address.postalCode body unknown_property"),
        (json!({"labels": {"a": ""}}), "labels.a body is_label"),
        (json!({"metadata": {}}), "metadata body unknown_property"),
    ] {
        let mut body = full();
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let answer = send(&door, "POST", "customers", &body).await.expect(400);
        assert_eq!(answer.rules(), [expected], "{changes}: {}", answer.text);
    }
    let answer = send(&door, "POST", "customers", &json!({})).await.expect(400);
    assert_eq!(answer.rules(), ["name body required", "key body required"]);
    assert_eq!(page(&door, "customers").await.0.len(), 0);
}

#[tokio::test]
async fn a_key_and_a_subject_belong_to_one_live_customer() {
    let door = Door::open().await;
    let id = id_of(&send(&door, "POST", "customers", &full()).await.expect(201).json());
    for body in [
        json!({"key": "acme", "name": "B"}),
        json!({"key": "b2", "name": "B", "usage_attribution": {"subject_keys": ["b"]}}),
        json!({"key": "b2", "name": "B", "usage_attribution": {"subject_keys": ["x", "x"]}}),
    ] {
        let answer = send(&door, "POST", "customers", &body).await.expect(409);
        assert!(!answer.detail().is_empty() && answer.rules().is_empty(), "{}", answer.text);
    }
    delete(&door, &format!("customers/{id}")).await.expect(204);
    send(&door, "POST", "customers", &full()).await.expect(201);
}

#[tokio::test]
async fn a_replacement_clears_what_it_leaves_out_and_keeps_the_key() {
    let door = Door::open().await;
    let path = format!("customers/{}", id_of(&send(&door, "POST", "customers", &full()).await.expect(201).json()));
    door.set_clock("2024-06-02T00:00:00Z");
    let replaced = send(&door, "PUT", &path, &json!({"name": "New"})).await.expect(200).json();
    let expected = json!({
        "id": replaced["id"], "key": "acme", "name": "New", "labels": {}, "created_at": NOW,
        "updated_at": "2024-06-02T00:00:00Z",
    });
    assert_eq!(replaced, expected);
    let answer = send(&door, "PUT", &path, &full()).await.expect(400);
    assert_eq!(answer.rules(), ["key body unknown_property"]);
    assert_eq!(send(&door, "PUT", &path, &json!({})).await.expect(400).rules(), ["name body required"]);
    send(&door, "PUT", "customers/01ARZ3NDEKTSV4RRFFQ69G5FAV", &json!({"name": "N"})).await.expect(404);
}

#[tokio::test]
async fn a_deleted_customer_is_shown_and_gone_for_changes() {
    let door = Door::open().await;
    let path = format!("customers/{}", id_of(&send(&door, "POST", "customers", &full()).await.expect(201).json()));
    assert_eq!(delete(&door, &path).await.expect(204).text, "");
    delete(&door, &path).await.expect(204);
    assert_eq!(door.get(&at(&path)).await.expect(200).json()["deleted_at"], NOW);
    let gone = send(&door, "PUT", &path, &json!({"name": "N"})).await.expect(410).json();
    assert_eq!((&gone["status"], &gone["title"]), (&json!(410), &json!("Gone")));
    assert_eq!(page(&door, "customers").await.0.len(), 0);
}

#[tokio::test]
async fn customers_are_addressed_by_their_ids_only() {
    let door = Door::open().await;
    // A key that looks like an id is no id.
    let key = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let id = id_of(&send(&door, "POST", "customers", &json!({"key": key, "name": "N"})).await.expect(201).json());
    for (name, status) in [("acme", 400), (&id.to_lowercase(), 400), (key, 404)] {
        let path = format!("customers/{name}");
        door.get(&at(&path)).await.expect(status);
        send(&door, "PUT", &path, &json!({"name": "X"})).await.expect(status);
        delete(&door, &path).await.expect(status);
    }
    assert_eq!(door.get(&at(&format!("customers/{id}"))).await.expect(200).json()["name"], "N");
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let door = Door::open().await;
    for (second, (key, name, email, subjects)) in [
        ("k1", "Zoe", Some("z@example.com"), &["s1"][..]),
        ("k2", "amy", None, &["s2", "s3"]),
        ("K3", "Bob", Some("B@example.com"), &[]),
    ]
    .into_iter()
    .enumerate()
    {
        door.set_clock(&format!("2024-06-01T00:00:0{second}Z"));
        let mut body = json!({"key": key, "name": name, "usage_attribution": {"subject_keys": subjects}});
        if let Some(email) = email {
            body["primary_email"] = json!(email);
        }
        send(&door, "POST", "customers", &body).await.expect(201);
    }
    let (keys, numbers) = page(&door, "customers?page[size]=2&page[number]=2").await;
    assert_eq!((keys, numbers), (vec!["k2".to_string()], json!({"number": 2, "size": 2, "total": 3})));
    let any = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    lists(
        &door,
        "customers",
        &[
            ("", "K3 k1 k2"),
            ("sort=name+desc", "k2 k1 K3"),
            ("sort=created_at", "k1 k2 K3"),
            ("sort=id", "k1 k2 K3"),
            ("filter[key]=k1", "k1"),
            ("filter[key][contains]=K", "K3 k1 k2"),
            ("filter[key][neq]=k1", "K3 k2"),
            ("filter[name][oeq]=Zoe,%20Bob", "K3 k1"),
            ("filter[name][lt]=a", "K3 k1"),
            ("filter[primary_email][exists]=false", "k2"),
            ("filter[primary_email][contains]=b@EXAMPLE", "K3"),
            ("filter[usage_attribution_subject_key]=s3", "k2"),
            ("filter[usage_attribution_subject_key][contains]=S", "k1 k2"),
            ("filter[usage_attribution_subject_key][neq]=s3", "K3 k1"),
            ("filter[usage_attribution_subject_key][exists]=false", "K3"),
            ("filter[plan_key]=pro", ""),
            ("filter[plan_key][exists]=false", "K3 k1 k2"),
            (&format!("filter[billing_profile_id]={any}"), ""),
            (&format!("filter[billing_profile_id][neq]={any}"), "K3 k1 k2"),
        ],
    )
    .await;
    refuses(
        &door,
        "customers",
        &[
            ("sort=key", &["sort query enum"]),
            ("filter[email]=x", &["filter[email] query unknown_property"]),
            ("filter[billing_profile_id]=x", &["filter[billing_profile_id] query matches_regex"]),
            ("filter[plan_key][in]=x", &["filter[plan_key][in] query enum"]),
            ("includeDeleted=true", &["includeDeleted query unknown_property"]),
        ],
    )
    .await;
}
