//! Features.

use super::{at, delete, id_of, lists, page, refuses, send};
use crate::support::{Door, NOW};
use serde_json::{Value, json};

/// A door with a meter, and the id of the meter.
async fn metered() -> (Door, String) {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    let id = id_of(&door.get("/api/v1/meters/total").await.json());
    (door, id)
}

fn full(meter: &str) -> Value {
    json!({
        "key": "gpt_4", "name": "GPT-4", "description": "d", "labels": {"tier": "gold"},
        "meter": {"id": meter, "filters": {"m": {"eq": "gpt-4"}, "n": {"or": [{"contains": "a"}, {"exists": true}]}}},
        "unit_cost": {"type": "manual", "amount": "0.05"},
    })
}

#[tokio::test]
async fn a_created_feature_comes_back_and_is_the_first_versions_feature_too() {
    let (door, meter) = metered().await;
    let shown = send(&door, "POST", "features", &full(&meter)).await.expect(201).json();
    let mut expected = full(&meter);
    // To be there is to be something else than nothing.
    expected["meter"]["filters"]["n"]["or"][1] = json!({"neq": ""});
    expected.as_object_mut().unwrap().extend([
        ("id".to_string(), shown["id"].clone()),
        ("created_at".to_string(), json!(NOW)),
        ("updated_at".to_string(), json!(NOW)),
    ]);
    assert_eq!(shown, expected);
    assert_eq!(door.get(&at(&format!("features/{}", id_of(&shown)))).await.expect(200).json(), shown);
    let first = door.get("/api/v1/features/gpt_4").await.expect(200).json();
    assert_eq!((&first["id"], &first["meterSlug"]), (&shown["id"], &json!("total")));
    assert_eq!(first["advancedMeterGroupByFilters"]["m"], json!({"$eq": "gpt-4"}));
    let bare = send(&door, "POST", "features", &json!({"key": "b", "name": "B"})).await.expect(201).json();
    let expected = json!({
        "id": bare["id"], "key": "b", "name": "B", "labels": {}, "created_at": NOW, "updated_at": NOW,
    });
    assert_eq!(bare, expected);
    // What this version cannot say is shown all the same.
    let old = r#"{"key":"o","name":"O","meterSlug":"total","advancedMeterGroupByFilters":{"m":{"$gt":"a"}}}"#;
    let old = id_of(&door.post("/api/v1/features", old).await.expect(201).json());
    let old = door.get(&at(&format!("features/{old}"))).await.expect(200).json();
    assert_eq!(old["meter"]["filters"], json!({"m": {"gt": "a"}}));
}

#[tokio::test]
async fn each_field_has_its_rule() {
    let (door, meter) = metered().await;
    door.meter("mean", "AVG").await;
    let mean = id_of(&door.get("/api/v1/meters/mean").await.json());
    let with_meter = |filters: Value| json!({"meter": {"id": meter, "filters": filters}});
    let cost = |cost: Value| json!({"unit_cost": cost});
    let known = json!({"type": "llm", "provider": "openai", "model_property": "m", "token_type": "input"});
    let llm = |changes: Value| {
        let mut cost = known.clone();
        cost.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        json!({"unit_cost": cost})
    };
    for (changes, expected) in [
        (json!({"key": "Bad"}), "key body matches_regex"),
        (json!({"key": "01234567890123456789012345"}), "key body invalid"),
        (json!({"name": "x".repeat(257)}), "name body max_length"),
        (json!({"description": 1}), "description body is_string"),
        (json!({"labels": {"openmeter_x": "a"}}), "labels.openmeter_x body is_label"),
        (json!({"meter_slug": "total"}), "meter_slug body unknown_property"),
        (json!({"meter": {"id": "total"}}), "meter.id body matches_regex"),
        (json!({"meter": {"id": mean}}), "meter.id body invalid"),
        (with_meter(json!({"x": {"eq": "a"}})), "meter.filters.x body invalid"),
        (with_meter(json!({"m": {}})), "meter.filters.m body invalid"),
        (with_meter(json!({"m": {"$eq": "a"}})), "meter.filters.m.$eq body unknown_property"),
        (cost(json!({})), "unit_cost.type body required"),
        (cost(json!({"type": "free"})), "unit_cost.type body enum"),
        (cost(json!({"type": "manual"})), "unit_cost.amount body required"),
        (cost(json!({"type": "manual", "amount": 1})), "unit_cost.amount body is_string"),
        (cost(json!({"type": "manual", "amount": "1e3"})), "unit_cost.amount body matches_regex"),
        (cost(json!({"type": "manual", "amount": "-1"})), "unit_cost.amount body invalid"),
        (cost(json!({"type": "manual", "amount": "1", "model": "x"})), "unit_cost.model body unknown_property"),
        (llm(json!({"amount": "1"})), "unit_cost.amount body unknown_property"),
        (llm(json!({"model": "x"})), "unit_cost.model body invalid"),
        (llm(json!({"token_type": "words"})), "unit_cost.token_type body invalid"),
        (llm(json!({"model_property": "x"})), "unit_cost.model_property body invalid"),
    ] {
        let mut body = json!({"key": "f", "name": "F", "meter": {"id": meter}});
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let answer = send(&door, "POST", "features", &body).await.expect(400);
        assert_eq!(answer.rules(), [expected], "{changes}: {}", answer.text);
    }
    let unknown = json!({"key": "f", "name": "F", "meter": {"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}});
    let answer = send(&door, "POST", "features", &unknown).await.expect(404);
    assert_eq!(answer.detail(), "meter not found: 01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_eq!(page(&door, "features").await.0.len(), 0);
}

#[tokio::test]
async fn the_unit_cost_is_changed_removed_or_left() {
    let (door, meter) = metered().await;
    let made = send(&door, "POST", "features", &full(&meter)).await.expect(201).json();
    let path = format!("features/{}", id_of(&made));
    door.set_clock("2024-06-02T00:00:00Z");
    assert_eq!(send(&door, "PATCH", &path, &json!({})).await.expect(200).json(), made);
    let llm = json!({"type": "llm", "provider": "openai", "model_property": "m", "token_type": "input"});
    let changed = send(&door, "PATCH", &path, &json!({"unit_cost": llm})).await.expect(200).json();
    let mut expected = made.clone();
    (expected["unit_cost"], expected["updated_at"]) = (llm, json!("2024-06-02T00:00:00Z"));
    assert_eq!(changed, expected);
    assert_eq!(door.get(&at(&path)).await.expect(200).json(), changed);
    let removed = send(&door, "PATCH", &path, &json!({"unit_cost": null})).await.expect(200).json();
    expected.as_object_mut().unwrap().remove("unit_cost");
    assert_eq!(removed, expected);
    for (body, rule) in [
        (json!({"name": "N"}), "name body unknown_property"),
        (json!({"unit_cost": 5}), "unit_cost body is_object"),
        (json!({"unit_cost": {"type": "manual", "amount": "-1"}}), "unit_cost.amount body invalid"),
    ] {
        assert_eq!(send(&door, "PATCH", &path, &body).await.expect(400).rules(), [rule], "{body}");
    }
    assert_eq!(door.get(&at(&path)).await.expect(200).json(), expected);
    send(&door, "PATCH", "features/01ARZ3NDEKTSV4RRFFQ69G5FAV", &json!({})).await.expect(404);
    send(&door, "PATCH", "features/gpt_4", &json!({})).await.expect(400);
}

#[tokio::test]
async fn an_archived_feature_is_not_there_and_its_key_is_free() {
    let (door, meter) = metered().await;
    let path = format!("features/{}", id_of(&send(&door, "POST", "features", &full(&meter)).await.expect(201).json()));
    assert!(send(&door, "POST", "features", &full(&meter)).await.expect(409).detail().contains("already exists"));
    assert_eq!(delete(&door, &path).await.expect(204).text, "");
    delete(&door, &path).await.expect(404);
    door.get(&at(&path)).await.expect(404);
    send(&door, "PATCH", &path, &json!({"unit_cost": null})).await.expect(404);
    assert_eq!(page(&door, "features").await.0.len(), 0);
    send(&door, "POST", "features", &full(&meter)).await.expect(201);
    door.get(&at("features/gpt_4")).await.expect(400);
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let (door, meter) = metered().await;
    for (second, (key, name, metered)) in
        [("b", "x", true), ("c_1", "Xy", false), ("a", "x", true)].into_iter().enumerate()
    {
        door.set_clock(&format!("2024-06-01T00:00:0{second}Z"));
        let mut body = json!({"key": key, "name": name});
        if metered {
            body["meter"] = json!({"id": meter});
        }
        send(&door, "POST", "features", &body).await.expect(201);
    }
    let (keys, numbers) = page(&door, "features?page[size]=2").await;
    assert_eq!((keys.len(), numbers), (2, json!({"number": 1, "size": 2, "total": 3})));
    lists(
        &door,
        "features",
        &[
            ("", "b c_1 a"),
            ("sort=key", "a b c_1"),
            ("sort=name+desc", "a b c_1"),
            ("sort=updated_at+desc", "a c_1 b"),
            (&format!("filter[meter_id]={meter}"), "b a"),
            (&format!("filter[meter_id][oeq]={meter}&filter[key]=a"), "a"),
            (&format!("filter[meter_id][neq]={meter}"), "c_1"),
            ("filter[key][contains]=_", "c_1"),
            ("filter[name][ocontains]=Y,Q", "c_1"),
        ],
    )
    .await;
    refuses(
        &door,
        "features",
        &[
            ("sort=id", &["sort query enum"]),
            ("filter[meter_id]=total", &["filter[meter_id] query matches_regex"]),
            ("filter[meter_slug]=total", &["filter[meter_slug] query unknown_property"]),
        ],
    )
    .await;
}
