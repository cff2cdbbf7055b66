//! Subjects, values of dimensions, and how many events count.

use crate::support::Door;
use serde_json::json;

async fn with_events() -> Door {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    for (id, subject, time, data) in [
        ("1", "c2", "2024-05-31T10:00:00Z", r#"{"v":1,"m":"b"}"#),
        ("2", "c1", "2024-05-31T11:00:00Z", r#"{"v":2,"m":"a"}"#),
        ("3", "c1", "2024-05-31T12:00:00Z", r#"{"v":"x"}"#),
        ("4", "c3", "2024-05-15T00:00:00Z", r#"{"v":4,"m":"old"}"#),
        ("5", "c4", "2024-01-01T00:00:00Z", "null"),
        ("6", "c4", "2024-06-01T00:00:00Z", r#"{"v":null,"m":"future"}"#),
    ] {
        door.event(id, subject, time, data).await;
    }
    door
}

async fn get(door: &Door, rest: &str) -> crate::support::Answer {
    door.get(&format!("/api/v1/meters/total/{rest}")).await
}

#[tokio::test]
async fn subjects_are_those_with_events_in_the_range() {
    let door = with_events().await;
    for (parameters, subjects) in [
        ("", json!(["c1", "c2", "c3", "c4"])),
        ("?from=2024-05-31T11:00:00Z", json!(["c1", "c4"])),
        ("?to=2024-05-31T10:00:00Z", json!(["c3", "c4"])),
        ("?from=2024-05-31T10:00:00Z&to=2024-05-31T11:00:00Z", json!(["c2"])),
        ("?from=2025-05-31T10:00:00Z", json!([])),
    ] {
        assert_eq!(get(&door, &format!("subjects{parameters}")).await.expect(200).json(), subjects, "{parameters}");
    }
    for (parameters, reason) in [
        ("from=2024-05-31T10:00:00Z&to=2024-05-31T10:00:00Z", "validation error: from and to cannot be equal"),
        ("from=2024-05-31T10:00:00Z&to=2024-05-30T10:00:00Z", "validation error: from must be before to"),
        ("from=today", "parameter \"from\" in query"),
        ("subject=c1", "parameter \"subject\" in query has an error: there is no such parameter"),
    ] {
        let answer = get(&door, &format!("subjects?{parameters}")).await.expect(400);
        assert!(answer.detail().starts_with(reason), "{parameters}: {}", answer.detail());
    }
}

#[tokio::test]
async fn values_of_a_dimension_are_those_of_the_last_day_by_default() {
    let door = with_events().await;
    for (parameters, values) in [
        ("", json!(["", "a", "b", "future"])),
        ("?from=2024-05-31T11:00:00Z", json!(["", "a", "future"])),
        ("?to=2024-05-31T11:00:00Z", json!(["b"])),
        ("?from=2024-05-02T00:00:00Z", json!(["", "a", "b", "future", "old"])),
        ("?from=2024-05-10T00:00:00Z&to=2024-05-20T00:00:00Z", json!(["old"])),
    ] {
        let answer = get(&door, &format!("group-by/m/values{parameters}")).await.expect(200);
        assert_eq!(answer.json(), values, "{parameters}");
    }
    for (rest, reason) in [
        (
            "group-by/m/values?from=2024-03-03T00:00:00Z&to=2024-03-04T00:00:00Z",
            "from time must not be more than 90 days ago",
        ),
        ("group-by/m/values?to=2024-01-01T00:00:00Z", "from time must not be more than 90 days ago"),
        ("group-by/m/values?from=2024-05-01T23:59:59Z", "time window must be less than 30 days"),
        ("group-by/m/values?from=2024-05-20T00:00:00Z&to=2024-05-20T00:00:00Z", "from and to cannot be equal"),
        ("group-by/m/values?from=2024-05-20T00:00:00Z&to=2024-05-19T00:00:00Z", "from must be before to"),
        ("group-by/nothing/values", "group by key is not valid for this meter"),
        ("group-by/subject/values", "group by key is not valid for this meter"),
    ] {
        let answer = get(&door, rest).await.expect(400);
        assert!(answer.detail().starts_with(&format!("validation error: {reason}")), "{rest}: {}", answer.detail());
    }
}

#[tokio::test]
async fn coverage_balances() {
    let door = with_events().await;
    insta::assert_json_snapshot!(get(&door, "coverage").await.expect(200).json());
    let answer = get(&door, "coverage?from=2024-05-31T00:00:00Z&to=2024-06-01T00:00:00Z").await.expect(200).json();
    assert_eq!((&answer["matched"], &answer["counted"]), (&json!(3), &json!(2)));
    get(&door, "coverage?form=2024-05-31T00:00:00Z").await.expect(400);
    door.get("/api/v1/meters/nope/coverage").await.expect(404);
}
