//! Queries of meters.

use super::{at, id_of, send};
use crate::support::{Answer, Door, JSON};
use serde_json::{Value, json};

/// A door with events of two subjects over two days, and the id of a SUM meter over them.
async fn counted() -> (Door, String) {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    for (number, (subject, time, data)) in [
        ("s1", "2024-05-01T10:00:00Z", r#"{"v":"0.1","m":"a"}"#),
        ("s1", "2024-05-01T11:00:00Z", r#"{"v":0.20,"m":"b"}"#),
        ("s2", "2024-05-02T10:00:00Z", r#"{"v":1000,"m":"ab"}"#),
        ("s2", "2024-05-02T10:30:00Z", r#"{"v":1000}"#),
    ]
    .into_iter()
    .enumerate()
    {
        door.event(&number.to_string(), subject, time, data).await;
    }
    let id = id_of(&door.get("/api/v1/meters/total").await.json());
    (door, id)
}

async fn ask(door: &Door, id: &str, body: Value) -> Answer {
    send(door, "POST", &format!("meters/{id}/query"), &body).await
}

/// The value and the dimensions of each row.
async fn rows(door: &Door, id: &str, body: Value) -> Value {
    let answer = ask(door, id, body).await.expect(200).json();
    let rows = answer["data"].as_array().unwrap().iter();
    rows.map(|row| json!([row["value"], row["dimensions"]])).collect()
}

#[tokio::test]
async fn values_are_exact_decimals_as_text() {
    let (door, id) = counted().await;
    let whole = ask(&door, &id, json!({"from": "2024-05-01T00:00:00Z", "to": "2024-05-03T02:00:00+02:00"})).await;
    let expected = json!({
        "from": "2024-05-01T00:00:00Z", "to": "2024-05-03T02:00:00+02:00",
        "data": [{
            "value": "2000.3", "from": "2024-05-01T00:00:00Z", "to": "2024-05-03T02:00:00+02:00", "dimensions": {},
        }],
    });
    assert_eq!(whole.expect(200).json(), expected);
    let bare = ask(&door, &id, json!({})).await.expect(200).json();
    let row = json!({
        "value": "2000.3", "from": "2024-05-01T10:00:00Z", "to": "2024-05-02T10:31:00Z", "dimensions": {},
    });
    assert_eq!(bare, json!({"data": [row]}));
    let nothing = ask(&door, &id, json!({"to": "2020-01-01T00:00:00Z"})).await.expect(200).json();
    assert_eq!(nothing["data"], json!([]));
}

#[tokio::test]
async fn windows_follow_the_clock_of_a_zone() {
    let (door, id) = counted().await;
    let body = json!({"granularity": "P1D", "time_zone": "Asia/Tokyo", "group_by_dimensions": ["subject"]});
    let days = ask(&door, &id, body).await.expect(200).json();
    let expected = json!([
        {"value": "0.3", "from": "2024-05-01T00:00:00+09:00", "to": "2024-05-02T00:00:00+09:00", "dimensions": {"subject": "s1"}},
        {"value": "2000", "from": "2024-05-02T00:00:00+09:00", "to": "2024-05-03T00:00:00+09:00", "dimensions": {"subject": "s2"}},
    ]);
    assert_eq!(days["data"], expected);
    for (granularity, count) in [("PT1M", 4), ("PT1H", 3), ("P1D", 2), ("P1M", 1)] {
        let found = ask(&door, &id, json!({"granularity": granularity})).await.expect(200).json();
        assert_eq!(found["data"].as_array().unwrap().len(), count, "{granularity}");
    }
}

#[tokio::test]
async fn dimensions_are_filtered_with_each_operator() {
    let (door, id) = counted().await;
    for (filter, value) in [
        (json!({"eq": "a"}), json!("0.1")),
        (json!({"eq": ""}), json!("1000")),
        (json!({"neq": "a"}), json!("2000.2")),
        (json!({"in": ["a", "b"]}), json!("0.3")),
        (json!({"nin": ["a", "b", ""]}), json!("1000")),
        (json!({"contains": "b"}), json!("1000.2")),
        (json!({"ncontains": "b"}), json!("1000.1")),
        (json!({"exists": true}), json!("1000.3")),
        (json!({"exists": false}), json!("1000")),
        (json!({"and": [{"contains": "a"}, {"neq": "a"}]}), json!("1000")),
        (json!({"or": [{"eq": "a"}, {"and": [{"eq": "b"}, {"contains": "b"}]}]}), json!("0.3")),
    ] {
        let body = json!({"filters": {"dimensions": {"m": filter}}});
        assert_eq!(rows(&door, &id, body).await, json!([[value, {}]]), "{filter}");
    }
    // A filter on subjects gives a row for each.
    let body = json!({"filters": {"dimensions": {"subject": {"in": ["s1", "s2", "x"]}}}});
    assert_eq!(rows(&door, &id, body).await, json!([["2000", {"subject": "s2"}], ["0.3", {"subject": "s1"}]]));
    let body = json!({"filters": {"dimensions": {"subject": {"eq": "s1"}}}, "group_by_dimensions": ["m"]});
    let of_one = json!([["0.1", {"m": "a", "subject": "s1"}], ["0.2", {"m": "b", "subject": "s1"}]]);
    assert_eq!(rows(&door, &id, body).await, of_one);
}

#[tokio::test]
async fn customers_are_asked_for_by_their_ids() {
    let (door, id) = counted().await;
    let body = json!({"key": "c", "name": "Acme, Inc.", "usage_attribution": {"subject_keys": ["s1", "s2"]}});
    let customer = id_of(&send(&door, "POST", "customers", &body).await.expect(201).json());
    let body = json!({"filters": {"dimensions": {"customer_id": {"in": [customer]}}}});
    assert_eq!(rows(&door, &id, body.clone()).await, json!([["2000.3", {"customer_id": customer}]]));
    let headers = [("content-type", JSON), ("accept", "text/csv")];
    let path = at(&format!("meters/{id}/query"));
    let file = door.call("POST", &path, &headers, body.to_string()).await.expect(200);
    let expected = format!(
        "from,to,customer_id,customer_key,customer_name,value\n2024-05-01T10:00:00Z,2024-05-02T10:31:00Z,{customer},c,\"Acme, Inc.\",2000.3\n"
    );
    assert_eq!(file.text, expected);
    let unknown = json!({"filters": {"dimensions": {"customer_id": {"eq": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}}}});
    let answer = ask(&door, &id, unknown).await.expect(404);
    assert_eq!(answer.detail(), "customer with id 01ARZ3NDEKTSV4RRFFQ69G5FAV not found");
}

#[tokio::test]
async fn a_file_has_the_subject_first_and_the_exact_value_last() {
    let (door, id) = counted().await;
    let body = json!({"granularity": "P1D", "group_by_dimensions": ["m", "subject"], "to": "2024-05-02T00:00:00Z"});
    let headers = [("content-type", JSON), ("accept", "text/csv; charset=utf-8")];
    let file = door.call("POST", &at(&format!("meters/{id}/query")), &headers, body.to_string()).await.expect(200);
    assert_eq!(file.header("content-type"), "text/csv");
    assert_eq!(file.header("content-disposition"), "attachment; filename=total.csv");
    let expected = "from,to,subject,m,value\n\
        2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,s1,a,0.1\n\
        2024-05-01T00:00:00Z,2024-05-02T00:00:00Z,s1,b,0.2\n";
    assert_eq!(file.text, expected);
}

#[tokio::test]
async fn what_is_not_understood_is_refused() {
    let (door, id) = counted().await;
    let dimensions = |filters: Value| json!({"filters": {"dimensions": filters}});
    let nested = json!({"and": [{"or": [{"and": [{"eq": "a"}]}]}]});
    let many: Value =
        (0..11).map(|number| (format!("d{number}"), json!({"eq": "a"}))).collect::<serde_json::Map<_, _>>().into();
    for (body, expected) in [
        (json!({"from": "yesterday", "to": 5}), vec!["from body is_date_time", "to body is_string"]),
        (json!({"windowSize": "DAY"}), vec!["windowSize body unknown_property"]),
        (json!({"granularity": "P2D"}), vec!["granularity body enum"]),
        (json!({"time_zone": "Mars/Base"}), vec!["time_zone body invalid"]),
        (
            json!({"time_zone": "Mars/Base", "filters": {"dimensions": {"m": {}}}}),
            vec!["time_zone body invalid", "filters.dimensions.m body invalid"],
        ),
        (json!({"group_by_dimensions": ["x"]}), vec!["group_by_dimensions body invalid"]),
        (json!({"group_by_dimensions": ["customer_id"]}), vec!["group_by_dimensions body invalid"]),
        (json!({"group_by_dimensions": vec!["m"; 101]}), vec!["group_by_dimensions body max_items"]),
        (json!({"filters": {"subject": {"eq": "a"}}}), vec!["filters.subject body unknown_property"]),
        (dimensions(json!({"x": {"eq": "a"}})), vec!["filters.dimensions body invalid"]),
        (dimensions(json!({"m": {}})), vec!["filters.dimensions.m body invalid"]),
        (dimensions(json!({"m": "a"})), vec!["filters.dimensions.m body is_object"]),
        (dimensions(json!({"m": {"$eq": "a"}})), vec!["filters.dimensions.m.$eq body unknown_property"]),
        (dimensions(json!({"m": {"eq": "a", "neq": "b"}})), vec!["filters.dimensions.m body invalid"]),
        (dimensions(json!({"m": {"in": []}})), vec!["filters.dimensions.m.in body min_items"]),
        (dimensions(json!({"m": {"in": vec!["a"; 101]}})), vec!["filters.dimensions.m.in body max_items"]),
        (dimensions(json!({"m": {"or": [{"eq": 1}]}})), vec!["filters.dimensions.m.or[0].eq body is_string"]),
        (dimensions(json!({"m": {"exists": "yes"}})), vec!["filters.dimensions.m.exists body is_boolean"]),
        (dimensions(json!({"m": nested})), vec!["filters.dimensions.m.and[0].or[0] body invalid"]),
        (dimensions(json!({"subject": {"contains": "s"}})), vec!["filters.dimensions.subject body invalid"]),
        (dimensions(many), vec!["filters.dimensions body max_items"]),
        (json!({"from": "2024-05-02T00:00:00Z", "to": "2024-05-01T00:00:00Z"}), vec!["from body invalid"]),
    ] {
        let answer = ask(&door, &id, body.clone()).await.expect(400);
        assert_eq!(answer.rules(), expected, "{body}: {}", answer.text);
    }
    let empty = door.call("POST", &at(&format!("meters/{id}/query")), &[("content-type", JSON)], "").await.expect(400);
    assert_eq!(empty.rules(), ["body body invalid"]);
    ask(&door, "total", json!({})).await.expect(400);
    ask(&door, "01ARZ3NDEKTSV4RRFFQ69G5FAV", json!({})).await.expect(404);
}
