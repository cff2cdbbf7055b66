//! Events in and out.

use super::{at, id_of, refuses, send};
use crate::support::{Answer, BATCH, Door, EVENT, JSON, NOW, encoded};
use serde_json::{Value, json};

async fn ingest(door: &Door, content_type: &str, body: &Value) -> Answer {
    door.call("POST", &at("events"), &[("content-type", content_type)], body.to_string()).await
}

fn event(id: &str) -> Value {
    json!({"id": id, "source": "s", "type": "t", "subject": "c1", "time": "2024-05-01T10:00:00.5Z", "data": {"v": "1"}})
}

async fn listed(door: &Door, parameters: &str) -> Value {
    door.get(&at(&format!("events?{parameters}"))).await.expect(200).json()
}

/// The ids of a list, in its order.
async fn ids(door: &Door, parameters: &str) -> String {
    let body = listed(door, parameters).await;
    let ids = body["data"].as_array().unwrap().iter().map(|item| item["event"]["id"].as_str().unwrap().to_string());
    ids.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn events_are_accepted_when_they_are_durable_and_counted_once() {
    let door = Door::open().await;
    let first = ingest(&door, EVENT, &event("1")).await.expect(202);
    assert_eq!((first.text.as_str(), first.header("tallystick-accepted")), ("", "1"));
    let batch = ingest(&door, BATCH, &json!([event("1"), event("2")])).await.expect(202);
    assert_eq!((batch.header("tallystick-accepted"), batch.header("tallystick-duplicates")), ("1", "1"));
    ingest(&door, JSON, &json!([event("3")])).await.expect(202);
    ingest(&door, JSON, &event("4")).await.expect(202);
    assert_eq!(door.ids().await, ["1", "2", "3", "4"]);
    // The version of the form is the only attribute that has a default, and only here.
    let with_version = |version: Value| {
        let mut event = event("5");
        event["specversion"] = version;
        event
    };
    ingest(&door, EVENT, &with_version(json!("1.0"))).await.expect(202);
    let wrong = ingest(&door, EVENT, &with_version(json!("2.0"))).await.expect(400);
    assert_eq!(wrong.rules(), ["specversion body invalid"]);
    assert_eq!(
        ingest(&door, EVENT, &with_version(json!(1.0))).await.expect(400).rules(),
        ["specversion body is_string"]
    );
    door.ingest(EVENT, event("6").to_string()).await.expect(400);
}

#[tokio::test]
async fn a_batch_with_an_invalid_event_is_refused_with_every_fault() {
    let door = Door::open().await;
    let mut bad = event("2");
    bad["subject"] = json!(5);
    bad["time"] = json!("yesterday");
    bad.as_object_mut().unwrap().remove("type");
    let answer = ingest(&door, BATCH, &json!([event("1"), bad, 7])).await.expect(400);
    let mut rules = answer.rules();
    rules.sort();
    let expected =
        ["[1].subject body is_string", "[1].time body is_date_time", "[1].type body required", "[2] body is_object"];
    assert_eq!(rules, expected, "{}", answer.text);
    assert_eq!(door.ids().await.len(), 0);
    for (content_type, body) in [("text/plain", "{}"), (JSON, "[]"), (EVENT, "{"), (EVENT, "")] {
        let answer = door.call("POST", &at("events"), &[("content-type", content_type)], body).await.expect(400);
        assert!(!answer.detail().is_empty(), "{content_type} {body}");
    }
}

#[tokio::test]
async fn a_listed_event_has_the_published_shape() {
    let door = Door::open().await;
    ingest(&door, EVENT, &event("1")).await.expect(202);
    let body = json!({"key": "c1", "name": "C"});
    let customer = id_of(&send(&door, "POST", "customers", &body).await.expect(201).json());
    let shown = listed(&door, "").await;
    let expected = json!({
        "event": {
            "specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "c1",
            "datacontenttype": "application/json", "time": "2024-05-01T10:00:00.5Z", "data": {"v": "1"},
        },
        "customer": {"id": customer}, "ingested_at": NOW, "stored_at": NOW,
        "validation_errors": [{"code": "validation_error", "message": "no meter found for event type: t"}],
    });
    assert_eq!(shown["data"], json!([expected]));
    let place = shown["meta"]["page"]["first"].clone();
    assert!(place.is_string());
    let page = json!({"first": place, "last": place, "next": null, "previous": null, "size": 20});
    assert_eq!(shown["meta"], json!({"page": page}));
    door.meter("total", "SUM").await;
    assert_eq!(listed(&door, "").await["data"][0].get("validation_errors"), None);
}

#[tokio::test]
async fn pages_are_read_with_a_cursor() {
    let door = Door::open().await;
    for number in 0..5 {
        door.event(&number.to_string(), "c", &format!("2024-05-01T10:00:0{number}Z"), "{}").await;
    }
    let (mut after, mut seen) = (String::new(), Vec::new());
    for expected in ["4 3", "2 1", "0"] {
        let parameters = format!("page[size]=2{after}");
        assert_eq!(ids(&door, &parameters).await, expected);
        let page = listed(&door, &parameters).await["meta"]["page"].clone();
        seen.push(page["next"].is_null());
        after = format!("&page[after]={}", page["next"].as_str().unwrap_or_default());
    }
    assert_eq!(seen, [false, false, true]);
    // A full last page is the last.
    assert!(listed(&door, "page[size]=5").await["meta"]["page"]["next"].is_null());
    let none = listed(&door, "filter[id]=x").await;
    assert_eq!(none, json!({"data": [], "meta": {"page": {"next": null, "previous": null, "size": 20}}}));
}

#[tokio::test]
async fn events_are_filtered_by_every_field() {
    let door = Door::open().await;
    for (number, subject) in [(1, "c1"), (2, "c2"), (3, "C1-x")] {
        door.set_clock(&format!("2024-06-01T00:00:0{number}Z"));
        door.event(&number.to_string(), subject, &format!("2024-05-0{number}T00:00:00Z"), "{}").await;
    }
    let body = json!({"key": "acme", "name": "A", "usage_attribution": {"subject_keys": ["c2"]}});
    let customer = id_of(&send(&door, "POST", "customers", &body).await.expect(201).json());
    let plus = encoded("2024-05-02T01:00:00+01:00");
    for (parameters, expected) in [
        ("", "3 2 1"),
        ("sort=time", "3 2 1"),
        ("sort=time+desc", "3 2 1"),
        ("filter[id]=2", "2"),
        ("filter[id][oeq]=1,3", "3 1"),
        ("filter[subject][contains]=c1", "3 1"),
        ("filter[subject][neq]=c1", "3 2"),
        ("filter[subject][gt]=c1", "2"),
        ("filter[subject][exists]=false", ""),
        ("filter[source]=s&filter[type]=t", "3 2 1"),
        ("filter[type]=x", ""),
        (&format!("filter[customer_id]={customer}"), "2"),
        (&format!("filter[customer_id][oeq]={customer}"), "2"),
        (&format!("filter[time]={plus}"), "2"),
        (&format!("filter[time][gte]={plus}&filter[time][lt]=2024-05-03T00:00:00Z"), "2"),
        ("filter[ingested_at][gt]=2024-06-01T00:00:01Z", "3 2"),
        ("filter[stored_at][lte]=2024-06-01T00:00:01Z", "1"),
    ] {
        assert_eq!(ids(&door, parameters).await, expected, "{parameters}");
    }
    refuses(
        &door,
        "events",
        &[
            ("page[size]=101", &["page[size] query max"]),
            ("page[number]=1", &["page[number] query unknown_property"]),
            ("page[before]=x", &["page[before] query invalid"]),
            ("page[after]=x", &["page[after] query invalid"]),
            ("sort=time+asc", &["sort query enum"]),
            ("sort=ingested_at", &["sort query enum"]),
            ("filter[time]=x", &["filter[time] query is_date_time"]),
            ("filter[time][neq]=2024-05-01T00:00:00Z", &["filter[time][neq] query enum"]),
            ("filter[customer_id]=acme", &["filter[customer_id] query matches_regex"]),
            ("filter[customer_id][neq]=01ARZ3NDEKTSV4RRFFQ69G5FAV", &["filter[customer_id][neq] query enum"]),
            ("filter[customer_id]=01ARZ3NDEKTSV4RRFFQ69G5FAV", &["filter[customer_id] query invalid"]),
            (
                "filter[customer_id]=01ARZ3NDEKTSV4RRFFQ69G5FAV&filter[customer_id][oeq]=01ARZ3NDEKTSV4RRFFQ69G5FAV",
                &["filter[customer_id][oeq] query invalid"],
            ),
            ("filter[data]=x", &["filter[data] query unknown_property"]),
            ("limit=5&from=x", &["limit query unknown_property"]),
        ],
    )
    .await;
}
