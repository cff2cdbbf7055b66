//! What the server knows of the world, and what arrived today.

use crate::support::Door;
use serde_json::json;

#[tokio::test]
async fn currencies_have_the_published_shape_and_order() {
    let door = Door::open().await;
    let listed = door.get("/api/v1/info/currencies").await.expect(200).json();
    let listed = listed.as_array().unwrap();
    assert_eq!(listed[0], json!({"code": "USD", "name": "United States dollar", "symbol": "$", "subunits": 2}));
    let codes: Vec<_> = listed.iter().take(7).map(|currency| currency["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["USD", "EUR", "GBP", "AUD", "CAD", "JPY", "AED"]);
    let yen = listed.iter().find(|currency| currency["code"] == "JPY").unwrap();
    assert_eq!(yen["subunits"], 0);
}

#[tokio::test]
async fn events_of_today_are_counted_by_subject_in_the_published_text() {
    let mut door = Door::open().await;
    let head = "# HELP openmeter_events Number of ingested events\n# TYPE openmeter_events counter\n\
                # UNIT openmeter_events events\n";
    assert_eq!(door.get("/api/v1/debug/metrics").await.expect(200).text, head);
    door.set_clock("2024-06-01T23:59:59Z");
    for (id, subject, time) in [
        ("1", "b", "2024-06-01T00:00:00Z"),
        ("2", "a", "2024-06-01T12:00:00Z"),
        ("3", "b", "2030-01-01T00:00:00Z"),
        ("4", "c", "2024-05-31T23:59:59.999999Z"),
    ] {
        door.event(id, subject, time, "{}").await;
    }
    let other =
        r#"{"specversion":"1.0","id":"5","source":"s","type":"other","subject":"b","time":"2024-06-01T00:00:00Z"}"#;
    door.ingest(crate::support::EVENT, other).await.expect(204);
    let counted = door.get("/api/v1/debug/metrics").await.expect(200);
    assert_eq!(counted.header("content-type"), "text/plain");
    let lines = "openmeter_events_total{subject=\"a\"} 1.0\nopenmeter_events_total{subject=\"b\"} 3.0\n";
    assert_eq!(counted.text, format!("{head}{lines}"));
    door.key = Some(door.make_key("other", tallystick_domain::key::Scope::Admin).await);
    assert_eq!(door.get("/api/v1/debug/metrics").await.expect(200).text, head);
}
