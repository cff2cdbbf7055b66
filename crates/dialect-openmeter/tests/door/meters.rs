//! Meters.

use crate::support::{Door, NOW};
use axum::body::Body;
use serde_json::{Value, json};

const PATH: &str = "/api/v1/meters";

async fn put(door: &Door, meter: &str, body: &str) -> crate::support::Answer {
    door.call("PUT", &format!("{PATH}/{meter}"), &[("content-type", "application/json")], body.to_string()).await
}

async fn delete(door: &Door, meter: &str) -> crate::support::Answer {
    door.call("DELETE", &format!("{PATH}/{meter}"), &[], Body::empty()).await
}

async fn slugs(door: &Door, parameters: &str) -> Vec<String> {
    let body = door.get(&format!("{PATH}?{parameters}")).await.expect(200).json();
    body.as_array().unwrap().iter().map(|meter| meter["slug"].as_str().unwrap().to_string()).collect()
}

#[tokio::test]
async fn a_created_meter_comes_back_in_the_published_shape() {
    let door = Door::open().await;
    let bare = r#"{"slug":"calls","aggregation":"COUNT","eventType":"call"}"#;
    let full = r#"{"slug":"tokens_total","name":"Tokens","description":"All of them","aggregation":"SUM","eventType":"prompt",
        "eventFrom":"2024-01-01T01:00:00+01:00","valueProperty":"$.tokens","groupBy":{"model":"$.model","a":"$['a b']"},
        "metadata":{"team":"x"},"id":"ignored","unknown":{"field":1},"createdAt":5}"#;
    let bare = door.post(PATH, bare).await.expect(201).text;
    let full = door.post(PATH, full).await.expect(201).text;
    let id = |text: &str| serde_json::from_str::<Value>(text).unwrap()["id"].as_str().unwrap().to_string();
    insta::assert_snapshot!(format!("{}\n{}", bare.replace(&id(&bare), "[id]"), full.replace(&id(&full), "[id]")));
    assert_eq!(id(&bare).len(), 26);
    assert_eq!(door.get(&format!("{PATH}/{}", id(&full))).await.expect(200).text, full);
    assert_eq!(door.get(&format!("{PATH}/tokens_total")).await.expect(200).text, full);
}

#[tokio::test]
async fn each_field_has_its_rule() {
    let door = Door::open().await;
    let sum = |changes: Value| {
        let mut body = json!({"slug": "a", "aggregation": "SUM", "eventType": "t", "valueProperty": "$.v"});
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        body.to_string()
    };
    for (body, reason) in [
        ("".into(), "value is required but missing"),
        ("{".into(), "failed to decode request body: "),
        ("[]".into(), "doesn't match schema #/components/schemas/MeterCreate: Error at \"/\": value must be an object"),
        (sum(json!({"groupBy": ["$.x"]})), "Error at \"/groupBy\": value must be an object"),
        (r#"{"aggregation":"COUNT","eventType":"t"}"#.into(), "Error at \"/slug\": property \"slug\" is missing"),
        (r#"{"slug":"a","slug":"b","aggregation":"COUNT","eventType":"t"}"#.into(), "duplicate key"),
        (sum(json!({"slug": 5})), "Error at \"/slug\": value must be a string"),
        (sum(json!({"slug": "Bad-Slug"})), "validation error: slug \"Bad-Slug\" is not valid"),
        (
            sum(json!({"aggregation": "sum"})),
            "Error at \"/aggregation\": value is not one of the allowed values [SUM, COUNT,",
        ),
        (sum(json!({"eventType": ""})), "eventType must not be empty"),
        (sum(json!({"eventFrom": "2024-01-01"})), "Error at \"/eventFrom\": "),
        (sum(json!({"name": ""})), "name must have 1 to 256"),
        (sum(json!({"description": ""})), "description must have 1 to 1024"),
        (sum(json!({"metadata": {"a": 1}})), "Error at \"/metadata/a\": value must be a string"),
        (sum(json!({"groupBy": {"m": 1}})), "Error at \"/groupBy/m\": value must be a string"),
        (sum(json!({"groupBy": {"a-b": "$.x"}})), "group by key"),
        (sum(json!({"groupBy": {"subject": "$.x"}})), "validation error: group by key \"subject\" is reserved"),
        (sum(json!({"groupBy": {"value": "$.x"}})), "group by key \"value\" is reserved"),
        (sum(json!({"groupBy": {"m": "$.v"}})), "cannot be the same as valueProperty"),
        (sum(json!({"groupBy": {"m": "$..x"}})), "invalid JSONPath for m group by: "),
        (sum(json!({"valueProperty": "v"})), "invalid JSONPath: "),
        (sum(json!({"valueProperty": null})), "valueProperty is required"),
        (sum(json!({"aggregation": "COUNT"})), "valueProperty is not allowed"),
    ] {
        let answer = door.post(PATH, body.clone()).await.expect(400);
        assert!(answer.detail().contains(reason), "{body}: {}", answer.detail());
    }
    let several = door.post(PATH, sum(json!({"slug": "", "valueProperty": "v"}))).await.expect(400);
    assert_eq!(several.detail().matches('\n').count(), 1, "{}", several.detail());
    assert_eq!(several.faulty_fields(), ["$.slug", "$.valueProperty"]);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let answer = door.call("POST", PATH, &form, sum(json!({}))).await.expect(400);
    assert!(answer.detail().contains("header Content-Type has unexpected value"));
    assert_eq!(slugs(&door, "").await.len(), 0);
}

#[tokio::test]
async fn a_live_slug_is_taken_and_a_deleted_one_is_free() {
    let door = Door::open().await;
    door.meter("a", "SUM").await;
    let body = r#"{"slug":"a","aggregation":"COUNT","eventType":"t"}"#;
    let answer = door.post(PATH, body).await.expect(409);
    assert_eq!(answer.detail(), "conflict error: meter with the same slug already exists");
    delete(&door, "a").await.expect(204);
    door.post(PATH, body).await.expect(201);
}

#[tokio::test]
async fn a_deleted_meter_is_found_by_its_id_only() {
    let door = Door::open().await;
    door.meter("a", "SUM").await;
    let id = door.get(&format!("{PATH}/a")).await.json()["id"].as_str().unwrap().to_string();
    assert_eq!(delete(&door, "a").await.expect(204).text, "");
    assert_eq!(door.get(&format!("{PATH}/a")).await.expect(404).detail(), "not found error: meter not found: a");
    assert_eq!(door.get(&format!("{PATH}/{id}")).await.expect(200).json()["deletedAt"], NOW);
    delete(&door, &id).await.expect(204);
    delete(&door, "a").await.expect(404);
    assert_eq!(slugs(&door, "").await.len(), 0);
    assert_eq!(slugs(&door, "includeDeleted=true").await, ["a"]);
}

#[tokio::test]
async fn a_path_that_can_name_no_meter_is_refused() {
    let door = Door::open().await;
    for (method, suffix) in
        [("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/query"), ("POST", "/query"), ("GET", "/subjects")]
    {
        for bad in ["Bad-Slug", "a__b", "a%20b", "%FF", &"a".repeat(65)] {
            let path = format!("{PATH}/{bad}{suffix}");
            let answer = door.call(method, &path, &[("content-type", "application/json")], "{}").await.expect(400);
            assert!(answer.detail().contains("path"), "{}", answer.detail());
        }
    }
}

#[tokio::test]
async fn an_update_replaces_all_but_the_description() {
    let door = Door::open().await;
    let body = r#"{"slug":"a","name":"A","description":"d","aggregation":"SUM","eventType":"t","valueProperty":"$.v","groupBy":{"m":"$.m"},"metadata":{"k":"v"}}"#;
    door.post(PATH, body).await.expect(201);
    door.set_clock("2024-06-02T00:00:00Z");
    let updated = put(&door, "a", r#"{"groupBy":{"n":"$.n"},"aggregation":"COUNT","slug":"b","eventType":"x"}"#).await;
    let updated = updated.expect(200).json();
    let expected = json!({
        "aggregation": "SUM", "annotations": null, "createdAt": NOW, "description": "d", "eventType": "t",
        "groupBy": {"n": "$.n"}, "id": updated["id"], "metadata": null, "name": "a", "slug": "a",
        "updatedAt": "2024-06-02T00:00:00Z", "valueProperty": "$.v",
    });
    assert_eq!(updated, expected);
    let emptied = put(&door, "a", r#"{"name":"New","metadata":{"x":"y"},"description":"e"}"#).await.expect(200).json();
    assert_eq!(
        (emptied.get("groupBy"), &emptied["metadata"], &emptied["description"]),
        (None, &json!({"x": "y"}), &json!("e"))
    );
    for (body, reason) in [
        ("", "value is required"),
        (r#"{"name":""}"#, "name must have"),
        (r#"{"groupBy":{"m":"$.v"}}"#, "valueProperty"),
        (r#"{"groupBy":{"customer_id":"$.c"}}"#, "group by key \"customer_id\" is reserved"),
        (r#"{"groupBy":{"m":"m"}}"#, "invalid JSONPath for m group by"),
        (r#"{"groupBy":[]}"#, "#/components/schemas/MeterUpdate: Error at \"/groupBy\""),
    ] {
        let answer = put(&door, "a", body).await.expect(400);
        assert!(answer.detail().contains(reason), "{body}: {}", answer.detail());
    }
    put(&door, "nope", "{}").await.expect(404);
}

#[tokio::test]
async fn lists_are_ordered_and_paged() {
    let door = Door::open().await;
    for (second, (slug, name, aggregation)) in
        [("b", "x", "COUNT"), ("c", "y", "AVG"), ("a", "x", "SUM")].into_iter().enumerate()
    {
        door.set_clock(&format!("2024-06-01T00:00:0{second}Z"));
        let value = if aggregation == "COUNT" { "" } else { r#","valueProperty":"$.v""# };
        let body =
            format!(r#"{{"slug":"{slug}","name":"{name}","aggregation":"{aggregation}","eventType":"t"{value}}}"#);
        door.post(PATH, body).await.expect(201);
    }
    door.set_clock("2024-06-01T00:01:00Z");
    put(&door, "b", r#"{"name":"x"}"#).await.expect(200);
    for (parameters, expected) in [
        ("", &["a", "b", "c"][..]),
        ("order=DESC", &["c", "b", "a"]),
        ("orderBy=key&order=ASC", &["a", "b", "c"]),
        ("orderBy=name", &["b", "a", "c"]),
        ("orderBy=name&order=DESC", &["c", "b", "a"]),
        ("orderBy=aggregation", &["c", "b", "a"]),
        ("orderBy=createdAt", &["b", "c", "a"]),
        ("orderBy=updatedAt", &["c", "a", "b"]),
        ("pageSize=2", &["a", "b"]),
        ("pageSize=2&page=2", &["c"]),
        ("page=1", &["a", "b", "c"]),
        ("page=2", &[]),
        ("page=9223372036854775807&pageSize=1000", &[]),
        ("includeDeleted=false", &["a", "b", "c"]),
    ] {
        assert_eq!(slugs(&door, parameters).await, expected, "{parameters}");
    }
    for bad in [
        "orderBy=slug",
        "order=asc",
        "page=0",
        "page=-1",
        "page=9223372036854775808",
        "pageSize=0",
        "pageSize=1001",
        "includeDeleted=1",
        "order=ASC&order=DESC",
    ] {
        let answer = door.get(&format!("{PATH}?{bad}")).await.expect(400);
        let name = bad.split('=').next().unwrap();
        assert!(answer.detail().starts_with(&format!("parameter {name:?} in query")), "{}", answer.detail());
    }
}
