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
    let listed = door.get("/api/v1/events?from=2024-05-31T00:00:00Z").await.expect(200).json();
    assert_eq!(listed.as_array().unwrap().len(), 2);
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
