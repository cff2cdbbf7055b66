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

const PROGRESS: &str = "/api/v1/info/progress";

#[tokio::test]
async fn a_query_and_a_listing_tell_how_far_they_are() {
    let mut door = Door::open().await;
    door.meter("total", "SUM").await;
    for id in ["1", "2", "3"] {
        door.event(id, "c1", "2024-05-31T10:00:00Z", r#"{"v":1}"#).await;
    }
    let unknown = door.get(&format!("{PROGRESS}/mine")).await.expect(404);
    assert_eq!(unknown.detail(), "not found error: progress not found for id: mine");
    door.get("/api/v1/meters/total/query?clientId=mine").await.expect(200);
    let done = json!({"success": 3, "failed": 0, "total": 3, "updatedAt": "2024-06-01T00:00:00Z"});
    assert_eq!(door.get(&format!("{PROGRESS}/mine")).await.expect(200).json(), done);
    door.post("/api/v1/meters/total/query", r#"{"clientId":"other one"}"#).await.expect(200);
    assert_eq!(door.get(&format!("{PROGRESS}/other%20one")).await.expect(200).json(), done);
    door.get("/api/v2/events?clientId=list").await.expect(200);
    assert_eq!(door.get(&format!("{PROGRESS}/list")).await.expect(200).json()["failed"], 0);
    for wrong in ["", "1234567890123456789012345678901234567"] {
        door.get(&format!("/api/v2/events?clientId={wrong}")).await.expect(400);
    }
    door.set_clock("2024-06-01T00:05:00.000001Z");
    door.get(&format!("{PROGRESS}/mine")).await.expect(404);
    door.get("/api/v1/meters/total/query?clientId=mine").await.expect(200);
    door.key = Some(door.make_key("other", tallystick_domain::key::Scope::Admin).await);
    door.get(&format!("{PROGRESS}/mine")).await.expect(404);
}

#[tokio::test]
async fn an_import_of_several_requests_tells_how_far_it_is() {
    let door = Door::open().await;
    let part = async |ids: &[&str], total: &str, status: u16| {
        let event = |id: &&str| {
            let subject = if id.starts_with("bad") { "" } else { "c1" };
            json!({"specversion": "1.0", "id": id, "source": "s", "type": "t", "subject": subject}).to_string()
        };
        let body = format!("[{}]", ids.iter().map(event).collect::<Vec<_>>().join(","));
        let headers = [
            ("content-type", crate::support::BATCH),
            ("tallystick-client-id", "import"),
            ("tallystick-import-total", total),
        ];
        door.call("POST", "/api/v1/events", &headers, body).await.expect(status)
    };
    let progress = async || {
        let told = door.get(&format!("{PROGRESS}/import")).await.expect(200).json();
        ["success", "failed", "total"].map(|name| told[name].as_u64().unwrap())
    };
    part(&["1", "2"], "5", 204).await;
    assert_eq!(progress().await, [2, 0, 5]);
    part(&["3", "bad-4", "bad-5"], "5", 400).await;
    assert_eq!(progress().await, [2, 2, 5]);
    part(&["3"], "5", 204).await;
    assert_eq!(progress().await, [3, 2, 5]);
    part(&["1"], "2", 204).await;
    assert_eq!(progress().await, [1, 0, 2], "what is over starts anew; a duplicate is stored");
    // What a sender says has no bounds; it never breaks the count of anything else under the id.
    part(&["1"], &u64::MAX.to_string(), 204).await;
    door.meter("total", "COUNT").await;
    door.get("/api/v1/meters/total/query?clientId=import").await.expect(200);
    assert_eq!(progress().await[2], u64::MAX);
    assert!(part(&["6"], "many", 400).await.detail().contains("tallystick-import-total"));
    assert_eq!(door.ids().await.len(), 3);
}
