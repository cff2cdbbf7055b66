//! Bodies that mean no good: each has a clear 400 or 413, and the door stays open.

use crate::support::{BATCH, Door, EVENT, JSON};
use axum::body::Body;
use tallystick_engine::Limits;
use tallystick_http_kit::HttpLimits;

fn with_data(data: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c","data":{data}}}"#)
}

#[tokio::test]
async fn what_is_not_json_is_refused_at_a_byte() {
    let door = Door::open().await;
    for (body, byte) in [
        ("{\"id\":\"1\"".as_bytes().to_vec(), "near byte 8"),
        (b"nonsense".to_vec(), "near byte 1"),
        (b"[{}\n,\n{]".to_vec(), "near byte 7"),
        (b"[{},]".to_vec(), "near byte 4"),
        (b"{} {}".to_vec(), "near byte 3"),
        (b"[{}] x".to_vec(), "near byte 5"),
        (b"{\"data\":NaN}".to_vec(), "near byte 8"),
        (b"{\"data\":{\"v\":Infinity}}".to_vec(), "near byte 13"),
        (b"{\"data\":{\"v\":01}}".to_vec(), "near byte 14"),
        (b"{\"id\":\"a\0b\"}".to_vec(), "near byte 7"),
        (b"\0".to_vec(), "near byte 0"),
        (b"\xef\xbb\xbf{}".to_vec(), "at byte 0"),
        (b"{\"id\":\"\xff\"}".to_vec(), "wrong byte at 7"),
        ("[".repeat(100_000).into_bytes(), "near byte 99999"),
    ] {
        for content_type in [EVENT, BATCH, JSON] {
            let answer = door.ingest(content_type, body.clone()).await.expect(400);
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            assert!(answer.detail().starts_with("request body has an error: "), "{shown}: {}", answer.detail());
            assert!(answer.detail().contains(byte), "{shown}: {}", answer.detail());
        }
    }
    assert_eq!(door.ids().await.len(), 0);
}

#[tokio::test]
async fn what_an_event_cannot_hold_is_named() {
    let door = Door::open().await;
    let deep_lists = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_objects = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    for (data, reason) in [
        (format!("{{\"v\":{deep_lists}}}"), "data: "),
        (deep_objects, "data: "),
        (r#"{"v":1e400}"#.into(), "number out of range"),
        (r#"{"v":"\ud800"}"#.into(), "data: "),
        (r#"{"\udfff":1}"#.into(), "data: "),
    ] {
        let answer = door.ingest(EVENT, with_data(&data)).await.expect(400);
        assert!(answer.detail().contains(reason), "{}", answer.detail());
        assert_eq!(answer.faulty_fields(), ["$.data"]);
    }
    for (member, field) in [(r#""subject":"\ud800""#, "$.subject"), (r#""own":"\ud800""#, "$"), (r#""\ud800":1"#, "$")]
    {
        let body = format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t",{member},"x":1}}"#);
        let answer = door.ingest(EVENT, body).await.expect(400);
        assert!(answer.faulty_fields().iter().any(|named| named == field), "{member}: {}", answer.text);
    }
    assert_eq!(door.ids().await.len(), 0);
}

#[tokio::test]
async fn depth_up_to_the_limit_is_kept() {
    let limits = Limits { json_depth: 8, ..Limits::default() };
    let door = Door::open_with(limits, HttpLimits::default()).await;
    let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    door.ingest(EVENT, with_data(&nested(8))).await.expect(204);
    assert!(door.ingest(EVENT, with_data(&nested(9))).await.expect(400).detail().contains("nested too deeply"));
}

#[tokio::test]
async fn long_numbers_are_kept_and_left_to_the_meter() {
    let door = Door::open().await;
    let digits = "1".repeat(40);
    door.ingest(EVENT, with_data(&format!("{{\"v\":{digits}}}"))).await.expect(204);
    door.meter("total", "SUM").await;
    let item = &door.get("/api/v2/events").await.expect(200).json()["items"][0];
    assert!(item["validationError"].as_str().unwrap().contains("28 significant digits"), "{item}");
}

#[tokio::test]
async fn a_small_body_makes_no_huge_answer() {
    let door = Door::open().await;
    let members = vec!["\"-\":1"; 10_000].join(",");
    let answer = door.ingest(EVENT, format!("{{{members}}}")).await.expect(400);
    assert_eq!(answer.faulty_fields().len(), 15);
}

#[tokio::test]
async fn a_batch_over_the_limit_is_refused_whole() {
    let limits = Limits { batch_events: 3, ..Limits::default() };
    let door = Door::open_with(limits, HttpLimits::default()).await;
    let batch = |count: usize| {
        let event = |n| format!(r#"{{"specversion":"1.0","id":"{n}","source":"s","type":"t","subject":"c"}}"#);
        format!("[{}]", (0..count).map(event).collect::<Vec<_>>().join(","))
    };
    let answer = door.ingest(BATCH, batch(4)).await.expect(413);
    assert!(answer.detail().contains("at most 3 are allowed"), "{}", answer.detail());
    // Nothing after the limit is read, so what stands there does not matter.
    door.ingest(BATCH, format!("{},nonsense", batch(4).trim_end_matches(']'))).await.expect(413);
    assert_eq!(door.ids().await.len(), 0);
    door.ingest(BATCH, batch(3)).await.expect(204);
    assert_eq!(door.ids().await.len(), 3);
}

#[tokio::test]
async fn a_large_body_is_read_beside_the_async_threads_with_the_same_result() {
    let door = Door::open().await;
    let event =
        |n: usize| with_data(&format!("{{\"pad\":\"{}\"}}", "x".repeat(500))).replacen("\"1\"", &format!("\"{n}\""), 1);
    let events: Vec<_> = (0..1000).map(event).collect();
    let body = format!("[{}]", events.join(","));
    assert!(body.len() > 512 << 10);
    let answer = door.ingest(BATCH, body.clone()).await.expect(204);
    assert_eq!(answer.header("tallystick-accepted"), "1000");
    let broken = format!("{body} x");
    assert!(door.ingest(BATCH, broken).await.expect(400).detail().contains(&format!("near byte {}", body.len() + 1)));
}

#[tokio::test]
async fn a_body_that_never_ends_is_given_up() {
    let http_limits = HttpLimits { body_timeout: std::time::Duration::from_millis(50), ..HttpLimits::default() };
    let door = Door::open_with(Limits::default(), http_limits).await;
    let (sender, receiver) = tokio::io::duplex(16);
    let endless = Body::from_stream(tokio_util::io::ReaderStream::new(receiver));
    let answer = door.ingest(EVENT, endless).await.expect(408);
    assert!(answer.detail().contains("did not arrive within 0.05 seconds"), "{}", answer.detail());
    drop(sender);
}
