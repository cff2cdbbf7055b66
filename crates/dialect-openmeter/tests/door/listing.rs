//! Events out.

use crate::support::{Door, EVENT, encoded, ids_of};
use serde_json::json;

async fn with_events() -> Door {
    let door = Door::open().await;
    for (id, subject, time, data) in [
        ("old", "c1", "2024-04-29T23:59:59.999999Z", "{}"),
        ("edge", "c1", "2024-04-30T00:00:00Z", "{}"),
        ("a1", "c1", "2024-05-10T10:00:00Z", r#"{"v":1}"#),
        ("a2", "c2", "2024-05-10T10:00:00.5Z", r#"{"v":"x"}"#),
        ("b_1", "c2", "2024-05-20T00:00:00Z", "{}"),
        ("b%1", "c3", "2024-05-30T00:00:00Z", "null"),
    ] {
        door.event(id, subject, time, data).await;
    }
    door
}

#[tokio::test]
async fn the_first_version_shows_32_days_newest_first() {
    let door = with_events().await;
    for (parameters, ids) in [
        ("", &["b%1", "b_1", "a2", "a1", "edge"][..]),
        ("?limit=2", &["b%1", "b_1"]),
        ("?from=2024-05-10T10:00:00.1Z", &["b%1", "b_1", "a2"]),
        ("?from=2024-05-10T10:00:00Z&to=2024-05-10T10:00:00.5Z", &["a1"]),
        ("?from=2024-05-10T12:00:00%2B02:00&to=2024-05-20T00:00:00Z", &["a2", "a1"]),
        ("?to=2024-05-10T10:00:00Z", &["edge"]),
        ("?from=2024-05-10T10:00:00Z&to=2024-05-10T10:00:00Z", &[]),
        ("?subject=c2", &["b_1", "a2"]),
        ("?subject=c", &[]),
        ("?id=a", &["a2", "a1"]),
        ("?id=_", &["b_1"]),
        ("?id=%25", &["b%1"]),
        ("?id=A", &[]),
        ("?id=1&subject=c1", &["a1"]),
        ("?ingestedAtFrom=2024-06-01T00:00:00Z", &["b%1", "b_1", "a2", "a1", "edge"]),
        ("?ingestedAtTo=2024-06-01T00:00:00Z", &[]),
        ("?clientId=me", &["b%1", "b_1", "a2", "a1", "edge"]),
    ] {
        let answer = door.get(&format!("/api/v1/events{parameters}")).await.expect(200);
        assert_eq!(ids_of(&answer.json()), ids, "{parameters}");
    }
}

#[tokio::test]
async fn the_first_version_refuses_what_it_does_not_understand() {
    let door = with_events().await;
    let customer = "01HW0000000000000000000000";
    for (parameters, reason) in [
        ("limit=0".to_string(), "number must be at least 1"),
        ("limit=101".into(), "number must be at most 100"),
        ("limit=ten".into(), "must be an integer"),
        ("limit=".into(), "must be an integer"),
        ("limit=99999999999999999999999".into(), "number must be at most 100"),
        ("limit=1&limit=2".into(), "more than once"),
        ("from=2024-05-10".into(), "parameter \"from\" in query has an error: "),
        ("from=".into(), "parameter \"from\""),
        ("to=2024-05-10T10:00:00".into(), "parameter \"to\""),
        ("from=2024-04-29T23:59:59Z".into(), "validation error: validate input: from date is too old: "),
        ("ingestedAtFrom=2024-01-01T00:00:00Z".into(), "ingestedAtFrom date is too old"),
        ("from=2024-05-10T00:00:00Z&to=2024-05-09T00:00:00Z".into(), "to date is before from date"),
        (
            "ingestedAtFrom=2024-05-10T00:00:00Z&ingestedAtTo=2024-05-09T00:00:00Z".into(),
            "is before ingestedAtFrom date",
        ),
        ("clientId=".into(), "minimum string length is 1"),
        (format!("clientId={}", "x".repeat(37)), "maximum string length is 36"),
        ("customerId=nobody".into(), "not a ULID"),
        (format!("customerId={customer}"), "validation error: customers not found in namespace default: "),
        ("subjects=c1".into(), "there is no such parameter"),
        ("filter=%7B%7D".into(), "there is no such parameter"),
        ("id=%FF".into(), "not valid percent-encoded UTF-8"),
    ] {
        let answer = door.get(&format!("/api/v1/events?{parameters}")).await.expect(400);
        assert!(answer.detail().contains(reason), "{parameters}: {}", answer.detail());
    }
}

#[tokio::test]
async fn the_horizon_moves_with_the_clock() {
    let door = with_events().await;
    door.set_clock("2024-07-01T00:00:00Z");
    assert_eq!(ids_of(&door.get("/api/v1/events").await.expect(200).json()), ["b%1"]);
    assert_eq!(door.ids().await.len(), 6);
}

#[tokio::test]
async fn the_second_version_filters() {
    let door = with_events().await;
    for (filter, ids) in [
        (json!({}), &["b%1", "b_1", "a2", "a1", "edge", "old"][..]),
        (json!({"subject": {"$eq": "c2"}}), &["b_1", "a2"]),
        (json!({"subject": {"$ne": "c2"}, "id": {"$like": "a%"}}), &["a1"]),
        (json!({"id": {"$like": "b\\_%"}}), &["b_1"]),
        (json!({"id": {"$ilike": "A_"}}), &["a2", "a1"]),
        (json!({"id": {"$in": ["a1", "old"]}}), &["a1", "old"]),
        (json!({"id": {"$in": []}}), &[]),
        (json!({"id": {"$nin": ["a1", "old"]}}), &["b%1", "b_1", "a2", "edge"]),
        (json!({"source": {"$eq": "other"}}), &[]),
        (json!({"type": {"$eq": "t"}, "time": {"$lt": "2024-04-30T00:00:00Z"}}), &["old"]),
        (json!({"time": {"$gte": "2024-05-20T00:00:00Z"}}), &["b%1", "b_1"]),
        (json!({"time": {"$and": [{"$gt": "2024-05-10T10:00:00Z"}, {"$lt": "2024-05-30T00:00:00Z"}]}}), &["b_1", "a2"]),
        (json!({"subject": {"$or": [{"$eq": "c3"}, {"$eq": "c2"}]}}), &["b%1", "b_1", "a2"]),
        (json!({"ingestedAt": {"$lt": "2024-06-01T00:00:00Z"}}), &[]),
        (json!({"customerId": {"$in": []}}), &["b%1", "b_1", "a2", "a1", "edge", "old"]),
    ] {
        let answer = door.get(&format!("/api/v2/events?filter={}", encoded(&filter.to_string()))).await.expect(200);
        assert_eq!(ids_of(&answer.json()), ids, "{filter}");
    }
}

#[tokio::test]
async fn the_second_version_refuses_what_it_does_not_understand() {
    let door = with_events().await;
    for (filter, reason) in [
        (r#"{"subject":{}}"#, "subject: filter is invalid: it has no operator"),
        (r#"{"subject":null}"#, "must be an object"),
        (r#"{"subject":"c1"}"#, "must be an object"),
        (r#"{"subject":{"$contains":"c"}}"#, "unknown operator"),
        (r#"{"subject":{"$eq":"a","$ne":"b"}}"#, "filter is invalid: multiple operators are set"),
        (r#"{"subject":{"$eq":""}}"#, "filter is invalid: format mismatch"),
        (r#"{"subject":{"$in":["a",""]}}"#, "filter is invalid: format mismatch"),
        (r#"{"subject":{"$and":[{"$or":[{"$eq":"a"}]}]}}"#, "filter complexity exceeds maximum allowed depth"),
        (r#"{"time":{"$eq":"2024-05-10T00:00:00Z"}}"#, "unknown operator"),
        (r#"{"time":{"$gt":"yesterday"}}"#, "RFC 3339"),
        (r#"{"subjct":{"$eq":"c1"}}"#, "there is no such field"),
        (r#"{"data":{"$eq":"c1"}}"#, "there is no such field"),
        (r#"{"subject":{"$eq":"a"},"subject":{"$eq":"b"}}"#, "duplicate key"),
        (r#"{"customerId":{"$eq":"x"}}"#, "must be {\"$in\": [customer ids]}"),
        (r#"{"customerId":{"$in":["x"]}}"#, "not a ULID"),
        (r#"{"customerId":{"$in":["01HW0000000000000000000000"]}}"#, "customers not found"),
        (r#"["subject"]"#, "must be a JSON object"),
        ("nonsense", "not valid JSON"),
        ("", "not valid JSON"),
    ] {
        let answer = door.get(&format!("/api/v2/events?filter={}", encoded(filter))).await.expect(400);
        assert!(answer.detail().contains(reason), "{filter}: {}", answer.detail());
    }
    for parameters in
        ["limit=0", "limit=101", "clientId=", "from=2024-05-10T00:00:00Z", "subject=c1", "cursor=a&cursor=b"]
    {
        door.get(&format!("/api/v2/events?{parameters}")).await.expect(400);
    }
}

#[tokio::test]
async fn pages_hold_every_event_once_also_at_the_same_moment() {
    let door = Door::open().await;
    for n in 0..7 {
        let time = ["2024-05-10T10:00:00Z", "2024-05-10T10:00:00.5Z"][n % 2];
        door.event(&format!("e{n}"), "c", time, "{}").await;
    }
    let all = door.ids().await;
    for limit in [1, 2, 3, 6, 7, 8] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = door.get(&format!("/api/v2/events?limit={limit}{cursor}")).await.expect(200).json();
            seen.extend(ids_of(&page));
            pages += 1;
            let Some(next) = page.get("nextCursor") else { break };
            cursor = format!("&cursor={}", next.as_str().unwrap());
        }
        assert_eq!((&seen, pages), (&all, 7_usize.div_ceil(limit)), "{limit}");
    }
}

#[tokio::test]
async fn a_cursor_that_was_not_handed_out_is_refused() {
    let door = with_events().await;
    for (cursor, reason) in [
        ("", "validation error: text is empty"),
        ("%21%21", "validation error: decode cursor: "),
        ("bm9kZWxpbWl0ZXI", "validation error: cursor is invalid: no delimiter found"),
        ("bm93LFsicyIsIjEiXQ", "validation error: parse cursor timestamp: "),
    ] {
        let answer = door.get(&format!("/api/v2/events?cursor={cursor}")).await.expect(400);
        assert!(answer.detail().starts_with(reason), "{cursor}: {}", answer.detail());
    }
}

#[tokio::test]
async fn an_event_is_listed_with_why_it_does_not_count() {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    door.meter("total_too", "MAX").await;
    door.meter("events", "COUNT").await;
    door.event("good", "c1", "2024-05-01T10:00:00.25Z", r#"{"v":1.50}"#).await;
    door.event("bad", "c1", "2024-05-01T10:00:01Z", r#"{"v":"x"}"#).await;
    door.event("none", "c1", "2024-05-01T10:00:02Z", "null").await;
    let other =
        r#"{"specversion":"1.0","id":"other","source":"s","type":"else","subject":"c","time":"2024-05-01T10:00:03Z"}"#;
    door.ingest(EVENT, other).await.expect(204);
    insta::assert_snapshot!(door.get("/api/v2/events").await.expect(200).text);
}
