//! Every accepted event is accounted for, with the reason why it does not count.

use crate::support::{BATCH, Door, EVENT, encoded};
use serde_json::json;

const PATH: &str = "/api/v1/debug/reconciliation";

#[tokio::test]
async fn what_was_accepted_is_counted_repeated_unmatched_or_invalid() {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    door.event("1", "c1", "2024-05-31T10:00:00Z", r#"{"v":1}"#).await;
    door.event("2", "c1", "2024-01-01T00:00:00Z", r#"{"v":"x"}"#).await;
    door.event("1", "c1", "2024-05-31T10:00:00Z", r#"{"v":1}"#).await;
    let other = r#"{"specversion":"1.0","id":"3","source":"s","type":"other","subject":"c"}"#;
    door.ingest(EVENT, other).await.expect(204);
    door.set_clock("2024-06-01T01:30:00Z");
    let later = r#"[{"specversion":"1.0","id":"4","source":"z","type":"t","subject":"c","data":{}},
                    {"specversion":"1.0","id":"5","source":"z","type":"t","subject":"c","data":{"v":"7"}}]"#;
    door.ingest(BATCH, later).await.expect(204);
    let row = |hour: &str, event_type: &str, source: &str, numbers: [u64; 5], reasons: serde_json::Value| {
        json!({
            "hour": hour, "type": event_type, "source": source, "accepted": numbers[0], "counted": numbers[1],
            "duplicate": numbers[2], "unmatched": numbers[3], "invalid": numbers[4], "reasons": reasons, "balanced": true,
        })
    };
    let (first, second) = ("2024-06-01T00:00:00Z", "2024-06-01T01:00:00Z");
    let rows = json!([
        row(first, "other", "s", [1, 0, 0, 1, 0], json!({})),
        row(first, "t", "s", [3, 1, 1, 0, 1], json!({"not_numeric": 1})),
        row(second, "t", "z", [2, 1, 0, 0, 1], json!({"missing_value": 1})),
    ]);
    let answer = door.get(PATH).await.expect(200).json();
    assert_eq!(answer, json!({"balanced": true, "rows": rows}));
    let range = format!("{PATH}?from={}&to={}", encoded(second), encoded("2024-06-01T02:00:00Z"));
    assert_eq!(door.get(&range).await.expect(200).json()["rows"], json!([rows[2]]));
}

#[tokio::test]
async fn a_report_is_bounded_and_says_what_it_does_not_understand() {
    let door = Door::open().await;
    for (parameters, reason) in [
        ("from=2024-06-01T00:00:00Z&to=2024-06-01T00:00:00Z", "it must be after from"),
        ("from=2024-01-01T00:00:00Z&to=2024-06-01T00:00:00Z", "at most 31 days"),
        ("since=2024-01-01T00:00:00Z", "there is no such parameter"),
    ] {
        let answer = door.get(&format!("{PATH}?{parameters}")).await.expect(400);
        assert!(answer.detail().contains(reason), "{parameters}: {}", answer.detail());
    }
    assert_eq!(door.get(PATH).await.expect(200).json(), json!({"balanced": true, "rows": []}));
}

#[tokio::test]
async fn another_namespace_sees_its_own_events_only() {
    let mut door = Door::open().await;
    door.event("1", "c1", "2024-05-31T10:00:00Z", r#"{"v":1}"#).await;
    let scope = tallystick_domain::key::Scope::Read;
    door.key = Some(door.make_key("tenant-b", scope).await);
    assert_eq!(door.get(PATH).await.expect(200).json()["rows"], json!([]));
    door.key = Some(door.make_key("default", tallystick_domain::key::Scope::Ingest).await);
    door.get(PATH).await.expect(403);
}
