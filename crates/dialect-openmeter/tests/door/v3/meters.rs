//! Meters.

use super::{at, delete, id_of, lists, page, refuses, send};
use crate::support::{Door, NOW};
use serde_json::{Value, json};

fn full() -> Value {
    json!({
        "key": "tokens_total", "name": "Tokens", "description": "All of them", "aggregation": "sum", "event_type": "prompt",
        "events_from": "2024-01-01T01:00:00+01:00", "value_property": "$.tokens",
        "dimensions": {"model": "$.model", "a": "$['a b']"}, "labels": {"team": "x"},
    })
}

async fn made(door: &Door, body: &Value) -> Value {
    send(door, "POST", "meters", body).await.expect(201).json()
}

#[tokio::test]
async fn a_created_meter_comes_back_in_the_published_shape_and_is_the_first_versions_meter_too() {
    let door = Door::open().await;
    let bare = made(&door, &json!({"key": "calls", "name": "C", "aggregation": "count", "event_type": "call"})).await;
    let expected = json!({
        "id": bare["id"], "key": "calls", "name": "C", "labels": {}, "aggregation": "count", "event_type": "call",
        "created_at": NOW, "updated_at": NOW,
    });
    assert_eq!(bare, expected);
    let shown = made(&door, &full()).await;
    let mut expected = full();
    let own = json!({"id": shown["id"], "created_at": NOW, "updated_at": NOW, "events_from": "2024-01-01T00:00:00Z"});
    expected.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    assert_eq!(shown, expected);
    assert_eq!(door.get(&at(&format!("meters/{}", id_of(&shown)))).await.expect(200).json(), shown);
    let first = door.get("/api/v1/meters/tokens_total").await.expect(200).json();
    assert_eq!((&first["id"], &first["valueProperty"]), (&shown["id"], &json!("$.tokens")));
    assert_eq!((&first["groupBy"], &first["metadata"]), (&shown["dimensions"], &shown["labels"]));
    door.meter("old", "UNIQUE_COUNT").await;
    let old = id_of(&door.get("/api/v1/meters/old").await.json());
    let old = door.get(&at(&format!("meters/{old}"))).await.expect(200).json();
    assert_eq!((&old["key"], &old["aggregation"]), (&json!("old"), &json!("unique_count")));
}

#[tokio::test]
async fn each_field_has_its_rule() {
    let door = Door::open().await;
    let long = "x".repeat(1025);
    let too_many = vec!["x"; 1000].join("_");
    for (changes, expected) in [
        (json!({"key": null}), "key body is_string"),
        (json!({"key": "Bad-Key"}), "key body matches_regex"),
        (json!({"key": too_many}), "key body max_length"),
        (json!({"name": ""}), "name body min_length"),
        (json!({"name": 5}), "name body is_string"),
        (json!({"description": long}), "description body max_length"),
        (json!({"aggregation": "SUM"}), "aggregation body enum"),
        (json!({"event_type": ""}), "event_type body min_length"),
        (json!({"events_from": "2024-01-01"}), "events_from body is_date_time"),
        (json!({"value_property": ""}), "value_property body min_length"),
        (json!({"dimensions": ["a"]}), "dimensions body is_object"),
        (json!({"dimensions": {"a": 1}}), "dimensions.a body is_string"),
        (json!({"labels": {"a": 1}}), "labels.a body is_string"),
        (json!({"labels": {"a": "b c"}}), "labels.a body is_label"),
        (json!({"labels": {"kong_x": "b"}}), "labels.kong_x body is_label"),
        (json!({"labels": {"-": "b"}}), "labels.- body is_label"),
        (json!({"slug": "a"}), "slug body unknown_property"),
        (json!({"id": "a"}), "id body unknown_property"),
        // Rules that need the whole definition.
        (json!({"value_property": "tokens"}), "value_property body invalid"),
        (json!({"value_property": null}), "value_property body invalid"),
        (json!({"aggregation": "count"}), "value_property body invalid"),
        (json!({"dimensions": {"a-b": "$.x"}}), "dimensions.a-b body invalid"),
        (json!({"dimensions": {"subject": "$.x"}}), "dimensions.subject body invalid"),
        (json!({"dimensions": {"m": "$..x"}}), "dimensions.m body invalid"),
    ] {
        let mut body = full();
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let answer = send(&door, "POST", "meters", &body).await.expect(400);
        assert_eq!(answer.rules(), [expected], "{changes}: {}", answer.text);
    }
    assert_eq!(page(&door, "meters").await.0.len(), 0);
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_at_once() {
    let door = Door::open().await;
    let body = json!({"key": "A", "aggregation": "total", "labels": {"a": 5}, "extra": 1, "more": 2});
    let answer = send(&door, "POST", "meters", &body).await.expect(400);
    let mut rules = answer.rules();
    rules.sort();
    let expected = [
        "aggregation body enum",
        "event_type body required",
        "extra body unknown_property",
        "key body matches_regex",
        "labels.a body is_string",
        "more body unknown_property",
        "name body required",
    ];
    assert_eq!(rules, expected);
    assert!(answer.detail().ends_with("and 2 more, see invalid_parameters"), "{}", answer.detail());
    let faults = answer.json()["invalid_parameters"].clone();
    let of = |field: &str| faults.as_array().unwrap().iter().find(|fault| fault["field"] == field).unwrap().clone();
    let words = ["sum", "count", "unique_count", "avg", "min", "max", "latest"];
    assert_eq!(of("aggregation")["choices"], json!(words));
    // The path and the body too.
    let answer = send(&door, "PUT", "meters/tokens_total", &json!({"name": ""})).await.expect(400);
    assert_eq!(answer.rules(), ["meterId path matches_regex", "name body min_length"]);
    assert_eq!(answer.json()["invalid_parameters"][1]["minimum"], 1);
}

#[tokio::test]
async fn a_replacement_clears_what_it_leaves_out() {
    let door = Door::open().await;
    let meter = made(&door, &full()).await;
    let path = format!("meters/{}", id_of(&meter));
    door.set_clock("2024-06-02T00:00:00Z");
    let body = json!({"name": "N", "description": "d", "labels": {"a": "b"}, "dimensions": {"x": "$.x"}});
    let replaced = send(&door, "PUT", &path, &body).await.expect(200).json();
    let mut expected = meter.clone();
    expected.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
    expected["updated_at"] = json!("2024-06-02T00:00:00Z");
    assert_eq!(replaced, expected);
    let emptied = send(&door, "PUT", &path, &json!({"name": "N"})).await.expect(200).json();
    for field in ["description", "dimensions"] {
        assert_eq!(emptied.get(field), None, "{field}");
    }
    assert_eq!((&emptied["labels"], &emptied["key"]), (&json!({}), &json!("tokens_total")));
    for (body, rule) in [
        (json!({}), "name body required"),
        (json!({"name": "N", "key": "x"}), "key body unknown_property"),
        (json!({"name": "N", "dimensions": {"a": "$.tokens"}}), "dimensions.a body invalid"),
    ] {
        assert_eq!(send(&door, "PUT", &path, &body).await.expect(400).rules(), [rule]);
    }
    send(&door, "PUT", "meters/01ARZ3NDEKTSV4RRFFQ69G5FAV", &json!({"name": "N"})).await.expect(404);
}

#[tokio::test]
async fn a_live_key_is_taken_and_a_deleted_one_is_free() {
    let door = Door::open().await;
    let meter = made(&door, &full()).await;
    let taken = send(&door, "POST", "meters", &full()).await.expect(409);
    assert_eq!(taken.detail(), "a live meter has the same key");
    let path = format!("meters/{}", id_of(&meter));
    assert_eq!(delete(&door, &path).await.expect(204).text, "");
    delete(&door, &path).await.expect(204);
    assert_eq!(door.get(&at(&path)).await.expect(200).json()["deleted_at"], NOW);
    made(&door, &full()).await;
    for bad in ["tokens_total", "x", &id_of(&meter).to_lowercase(), "%FF"] {
        for (method, body) in [("GET", ""), ("PUT", r#"{"name":"N"}"#), ("DELETE", "")] {
            let path = at(&format!("meters/{bad}"));
            let answer = door.call(method, &path, &[("content-type", "application/json")], body).await.expect(400);
            assert!(
                bad == "%FF" || answer.rules() == ["meterId path matches_regex"],
                "{method} {bad}: {}",
                answer.text
            );
        }
    }
    let missing = delete(&door, "meters/01ARZ3NDEKTSV4RRFFQ69G5FAV").await.expect(404);
    assert_eq!(missing.detail(), "meter not found: 01ARZ3NDEKTSV4RRFFQ69G5FAV");
}

#[tokio::test]
async fn a_meter_that_a_feature_needs_stays() {
    let door = Door::open().await;
    let meter = id_of(&made(&door, &full()).await);
    let feature = json!({"key": "f", "name": "F", "meter": {"id": meter, "filters": {"model": {"eq": "x"}}}});
    send(&door, "POST", "features", &feature).await.expect(201);
    let path = format!("meters/{meter}");
    assert!(delete(&door, &path).await.expect(409).detail().contains("archive f first"));
    let dropped = send(&door, "PUT", &path, &json!({"name": "N"})).await.expect(409);
    assert!(dropped.detail().contains("model cannot be dropped"), "{}", dropped.detail());
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let door = Door::open().await;
    for (second, (key, name, aggregation)) in
        [("b", "x", "count"), ("c_1", "Xy", "avg"), ("a", "x", "sum")].into_iter().enumerate()
    {
        door.set_clock(&format!("2024-06-01T00:00:0{second}Z"));
        let mut body = json!({"key": key, "name": name, "aggregation": aggregation, "event_type": "t"});
        if aggregation != "count" {
            body["value_property"] = json!("$.v");
        }
        made(&door, &body).await;
    }
    let (keys, numbers) = page(&door, "meters?page[size]=2&page[number]=2").await;
    assert_eq!((keys, numbers), (vec!["a".to_string()], json!({"number": 2, "size": 2, "total": 3})));
    assert_eq!(page(&door, "meters").await.1, json!({"number": 1, "size": 20, "total": 3}));
    lists(
        &door,
        "meters",
        &[
            ("", "b c_1 a"),
            ("sort=created_at%20desc", "a c_1 b"),
            ("sort=key", "a b c_1"),
            ("sort=key+asc", "a b c_1"),
            ("sort=name", "c_1 b a"),
            ("sort=name+desc", "a b c_1"),
            ("sort=aggregation", "c_1 b a"),
            ("sort=updated_at", "b c_1 a"),
            ("filter[key]=a", "a"),
            ("filter[key][eq]=a", "a"),
            ("filter[key][neq]=a", "b c_1"),
            ("filter[key][contains]=_", "c_1"),
            ("filter[key][contains]=%25", ""),
            ("filter[key][oeq]=a,b,x", "b a"),
            ("filter[name][ocontains]=X,Q", "b c_1 a"),
            ("filter[key][gt]=a&filter[key][lte]=b", "b"),
            ("filter[name]=x&filter[key]=b", "b"),
            ("filter[name][exists]=true", "b c_1 a"),
            ("filter[name][exists]=false", ""),
            ("page[number]=9223372036854775807&page[size]=1000", ""),
        ],
    )
    .await;
    refuses(
        &door,
        "meters",
        &[
            ("page[size]=0", &["page[size] query min"]),
            ("page[size]=1001", &["page[size] query max"]),
            ("page[number]=x&page[size]=", &["page[size] query is_integer", "page[number] query is_integer"]),
            ("page[after]=x", &["page[after] query unknown_property"]),
            ("sort=slug", &["sort query enum"]),
            ("sort=key+up", &["sort query enum"]),
            ("order=ASC", &["order query unknown_property"]),
            ("filter[slug]=a", &["filter[slug] query unknown_property"]),
            ("filter[key][like]=a", &["filter[key][like] query enum"]),
            ("filter[key]=", &["filter[key] query min_length"]),
            ("filter[key]=a&filter[key]=b", &["filter[key] query invalid"]),
            ("filter[key][eq][x]=a", &["filter[key][eq][x] query enum"]),
            (
                "sort=x&page[size]=0&filter[y]=1",
                &["page[size] query min", "sort query enum", "filter[y] query unknown_property"],
            ),
        ],
    )
    .await;
}
