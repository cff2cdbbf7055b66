//! Corrections: what was accepted stays, what counts changes at once.

use crate::support::Door;
use serde_json::{Value, json};
use tallystick_domain::key::Scope;

const RETRACT: &str = "/api/v1/events/retract";
const AMEND: &str = "/api/v1/events/amend";

async fn total(door: &Door) -> Value {
    door.get("/api/v1/meters/total/query").await.expect(200).json()["data"][0]["value"].clone()
}

/// A door with the events 1, 2 and 3 of source `s`, worth 1, 2 and 4.
async fn filled() -> Door {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    for (id, value) in [("1", "1"), ("2", "2"), ("3", "4")] {
        door.event(id, "c1", "2024-05-31T10:00:00Z", &format!(r#"{{"v":{value}}}"#)).await;
    }
    door
}

fn outcomes(answer: &Value) -> Vec<&str> {
    answer.as_array().unwrap().iter().map(|of| of["outcome"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_retracted_event_does_not_count_and_does_not_come_back() {
    let door = filled().await;
    let body = r#"{"source":"s","id":"1","reason":"sent twice"}"#;
    let answer = door.post(RETRACT, body).await.expect(200).json();
    assert_eq!(answer, json!([{"source": "s", "id": "1", "outcome": "recorded"}]));
    assert_eq!(total(&door).await, json!(6));
    assert_eq!(outcomes(&door.post(RETRACT, body).await.expect(200).json()), ["unchanged"], "twice is once");
    door.event("1", "c1", "2024-05-31T10:00:00Z", r#"{"v":1}"#).await;
    assert_eq!(total(&door).await, json!(6), "sending it again does not bring it back");
    let amend = r#"{"source":"s","id":"1","data":{"v":9},"reason":"no"}"#;
    assert!(door.post(AMEND, amend).await.expect(409).detail().contains("was retracted"));
    let in_list = door.post(AMEND, format!("[{amend}]")).await.expect(200).json();
    assert_eq!(outcomes(&in_list), ["retracted"]);
    let listed = door.get("/api/v1/events?from=2024-05-31T00:00:00Z&id=1").await.expect(200).json();
    assert_eq!(listed[0]["validationError"], "the event was retracted: sent twice");
}

#[tokio::test]
async fn an_event_is_listed_with_what_became_of_it() {
    let mut door = filled().await;
    door.key = Some(door.make_key("default", Scope::Admin).await);
    let amend = |data: &str| format!(r#"{{"source":"s","id":"2","data":{data},"reason":"wrong unit"}}"#);
    door.set_clock("2024-06-02T00:00:00Z");
    door.post(AMEND, amend(r#"{"v":3.50}"#)).await.expect(200);
    door.set_clock("2024-06-03T00:00:00Z");
    door.post(AMEND, amend("null")).await.expect(200);
    door.post(RETRACT, r#"{"source":"s","id":"1","reason":"sent twice"}"#).await.expect(200);
    let page = door.get("/api/v2/events").await.expect(200);
    assert!(
        page.text.contains(r#""originalData":{"v":2}"#) && page.text.contains(r#""data":{"v":3.50}"#),
        "{}",
        page.text
    );
    let page = page.json();
    let item =
        |id: &str| page["items"].as_array().unwrap().iter().find(|item| item["event"]["id"] == id).unwrap().clone();
    let (retracted, amended, untouched) = (item("1"), item("2"), item("3"));
    assert_eq!(untouched.as_object().unwrap().keys().collect::<Vec<_>>(), ["event", "ingestedAt", "storedAt"]);
    assert_eq!(retracted["event"]["data"], json!({"v": 1}));
    assert_eq!(retracted["validationError"], "the event was retracted: sent twice");
    let fact = &retracted["corrections"][0];
    assert_eq!(
        (&fact["kind"], &fact["reason"], &fact["knownAt"]),
        (&json!("retract"), &json!("sent twice"), &json!("2024-06-03T00:00:00Z"))
    );
    assert!(fact["actor"].as_str().unwrap().starts_with("key ") && fact.get("data").is_none(), "{fact}");
    assert_eq!(amended["event"].get("data"), None, "without data since the last amendment");
    let kinds: Vec<_> =
        amended["corrections"].as_array().unwrap().iter().map(|fact| (&fact["kind"], &fact["data"])).collect();
    assert_eq!(kinds, [(&json!("amend"), &json!({"v": 3.5})), (&json!("amend"), &Value::Null)]);
}

#[tokio::test]
async fn a_meter_answers_as_known_at_an_instant() {
    let door = filled().await;
    let as_of = async |time: &str| {
        let by_get = door.get(&format!("/api/v1/meters/total/query?asOf={time}")).await.expect(200).json();
        let body = format!(r#"{{"asOf":"{time}"}}"#);
        assert_eq!(door.post("/api/v1/meters/total/query", body).await.expect(200).json(), by_get);
        by_get["data"][0]["value"].clone()
    };
    door.set_clock("2024-06-02T00:00:00Z");
    door.event("late", "c1", "2024-05-31T10:00:00Z", r#"{"v":10}"#).await;
    door.set_clock("2024-06-03T00:00:00Z");
    door.post(AMEND, r#"{"source":"s","id":"2","data":{"v":100},"reason":"r"}"#).await.expect(200);
    door.set_clock("2024-06-04T00:00:00Z");
    door.post(RETRACT, r#"{"source":"s","id":"2","reason":"r"}"#).await.expect(200);
    for (time, expected) in [
        ("2024-05-31T23:59:59Z", Value::Null),
        ("2024-06-01T00:00:00Z", json!(7)),
        ("2024-06-02T12:00:00Z", json!(17)),
        ("2024-06-03T00:00:00Z", json!(115)),
        ("2024-06-04T00:00:00Z", json!(15)),
    ] {
        assert_eq!(as_of(time).await, expected, "{time}");
    }
    assert_eq!(total(&door).await, json!(15));
    let ahead = door.get("/api/v1/meters/total/query?asOf=2024-06-04T00:00:01Z").await.expect(400);
    assert!(ahead.detail().contains("asOf must not lie ahead"), "{}", ahead.text);
    door.get("/api/v1/meters/total/query?asOf=yesterday").await.expect(400);
    door.post("/api/v1/meters/total/query", r#"{"asOf":7}"#).await.expect(400);
}

#[tokio::test]
async fn an_amended_event_counts_with_its_new_data_to_the_digit() {
    let door = filled().await;
    let amend = |data: &str| format!(r#"{{"source":"s","id":"2","data":{data},"reason":"wrong unit"}}"#);
    door.post(AMEND, amend(r#"{"v":0.1000000000000000000000000001}"#)).await.expect(200);
    let text = door.get("/api/v1/meters/total/query").await.expect(200).text;
    assert!(text.contains("5.1000000000000000000000000001"), "{text}");
    door.post(AMEND, amend("null")).await.expect(200);
    assert_eq!(total(&door).await, json!(5), "without data there is no value");
    door.post(AMEND, amend(r#"{"v":3}"#)).await.expect(200);
    assert_eq!(total(&door).await, json!(8), "the newest wins");
}

#[tokio::test]
async fn a_list_says_what_became_of_each() {
    let door = filled().await;
    let body = r#"[{"source":"s","id":"1","reason":"r"},{"source":"s","id":"9","reason":"r"},{"source":"s","id":"1","reason":"r"}]"#;
    let answer = door.post(RETRACT, body).await.expect(200).json();
    assert_eq!(outcomes(&answer), ["recorded", "not_found", "unchanged"]);
    assert_eq!(total(&door).await, json!(6));
    assert_eq!(door.post(RETRACT, "[]").await.expect(200).json(), json!([]));
    let single = r#"{"source":"s","id":"9","reason":"r"}"#;
    assert!(door.post(RETRACT, single).await.expect(404).detail().contains("event not found"));
}

#[tokio::test]
async fn a_wrong_correction_is_named_and_none_is_recorded() {
    let door = filled().await;
    for (path, body, part) in [
        (RETRACT, r#"[{"source":"s","id":"1","reason":"r"},{"source":"s","id":"2","reason":" "}]"#, "say why"),
        (RETRACT, r#"{"source":"","id":"1","reason":"r"}"#, "must not be empty"),
        (RETRACT, r#"{"id":"1","reason":"r"}"#, "source"),
        (AMEND, r#"{"source":"s","id":"1","reason":"r"}"#, "data"),
        (AMEND, r#"{"source":"s","id":"1","data":[1],"reason":"r"}"#, "JSON object"),
        (AMEND, r#"{"source":"s","id":"1","data":{"v":1,"v":2},"reason":"r"}"#, "v"),
        (AMEND, "", "missing"),
        (AMEND, "7", "object"),
    ] {
        let answer = door.post(path, body).await.expect(400);
        assert!(answer.text.contains(part), "{body}: {}", answer.text);
    }
    let long = format!(r#"{{"source":"s","id":"1","reason":"{}"}}"#, "é".repeat(1025));
    door.post(RETRACT, long).await.expect(400);
    assert_eq!(total(&door).await, json!(7));
}

#[tokio::test]
async fn only_admins_correct_and_only_their_own_namespace() {
    let mut door = filled().await;
    let body = r#"{"source":"s","id":"1","reason":"r"}"#;
    let (owner, ingest) = (door.make_key("default", Scope::Admin).await, door.make_key("default", Scope::Ingest).await);
    door.key = Some(door.make_key("tenant-b", Scope::Admin).await);
    door.post(RETRACT, body).await.expect(404);
    door.key = Some(ingest);
    door.post(RETRACT, body).await.expect(403);
    door.key = Some(owner);
    assert_eq!(total(&door).await, json!(7));
    door.post(RETRACT, body).await.expect(200);
    assert_eq!(total(&door).await, json!(6));
}
