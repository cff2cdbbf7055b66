//! Bodies that mean no good: each has a clear 400 or 413, and the door stays open.

use crate::support::{BATCH, Door, EVENT, JSON};
use axum::body::Body;
use serde_json::{Value, json};
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
async fn one_number_beyond_a_double_refuses_the_whole_batch_at_its_index() {
    let door = Door::open().await;
    let good = with_data(r#"{"v":1}"#);
    for number in ["1e400", "-1e400", "1e999999999999"] {
        let bad = with_data(&format!("{{\"v\":{number}}}")).replacen("\"1\"", "\"2\"", 1);
        let answer = door.ingest(BATCH, format!("[{good},{bad}]")).await.expect(400);
        assert!(answer.detail().contains("number out of range"), "{}", answer.detail());
        assert_eq!(answer.faulty_fields(), ["$[1].data"]);
    }
    assert_eq!(door.ids().await.len(), 0);
}

/// Values of events, with what they add to a total, or a part of the reason why they do not count.
const VALUES: &[(&str, Result<f64, &str>)] = &[
    ("10", Ok(10.0)),
    (r#""10""#, Ok(10.0)),
    (r#""+5""#, Ok(5.0)),
    (r#"".5""#, Ok(0.5)),
    (r#""5.""#, Ok(5.0)),
    (r#""00012""#, Ok(12.0)),
    (r#""1e3""#, Ok(1000.0)),
    ("1E+3", Ok(1000.0)),
    ("-0", Ok(0.0)),
    (r#"" 1""#, Err("is not a decimal number")),
    (r#""1 ""#, Err("is not a decimal number")),
    (r#""0x10""#, Err("is not a decimal number")),
    (r#""1,000""#, Err("is not a decimal number")),
    (r#""1_000""#, Err("is not a decimal number")),
    (r#""""#, Err("is not a decimal number")),
    (r#""NaN""#, Err("cannot be NaN")),
    (r#""Infinity""#, Err("cannot be infinity")),
    (r#""-inf""#, Err("cannot be infinity")),
    (r#""1e400""#, Err("out of range")),
    (r#""1e-400""#, Err("out of range")),
    ("1e-400", Err("out of range")),
    ("1234567890123456789012345678901234567890", Err("out of range")),
    (r#""1234567890123456789012345678901234567890""#, Err("out of range")),
    ("null", Err("cannot be null")),
    ("true", Err("unsupported value property type")),
];

#[tokio::test]
async fn a_value_counts_exactly_or_is_shown_as_not_counted() {
    for (value, expected) in VALUES {
        let door = Door::open().await;
        door.meter("total", "SUM").await;
        door.ingest(EVENT, with_data(&format!("{{\"v\":{value}}}"))).await.expect(204);
        let data = door.get("/api/v1/meters/total/query").await.expect(200).json()["data"].clone();
        let item = door.get("/api/v2/events").await.expect(200).json()["items"][0].clone();
        let problem = item["validationError"].as_str().unwrap_or_default();
        match expected {
            Ok(number) => assert_eq!((data[0]["value"].as_f64(), problem), (Some(*number), ""), "{value}"),
            Err(reason) => {
                assert_eq!(data, json!([]), "{value}");
                assert!(problem.contains(reason), "{value}: {problem}");
            }
        }
    }
}

#[tokio::test]
async fn a_number_and_its_text_are_one_value_and_one_group() {
    let door = Door::open().await;
    door.meter("calls", "COUNT").await;
    door.meter("values", "UNIQUE_COUNT").await;
    let digits = "1".repeat(40);
    let same = ["10", r#""10""#, "10.0", "1e1"];
    let others = ["0.50", "-0", "true", "null", "[]", "{}", r#""10.0""#, r#"" 10""#, digits.as_str()];
    for (id, value) in same.iter().chain(&others).enumerate() {
        let data = format!("{{\"v\":{value},\"m\":{value}}}");
        door.event(&id.to_string(), "c", "2024-05-01T00:00:00Z", &data).await;
    }
    let rows = door.get("/api/v1/meters/calls/query?groupBy=m").await.expect(200).json()["data"].clone();
    let groups: Vec<(String, u64)> = rows.as_array().unwrap().iter().map(group_of).collect();
    let expected = [
        ("", 2),
        (" 10", 1),
        ("0", 1),
        ("0.5", 1),
        ("10", 4),
        ("10.0", 1),
        (digits.as_str(), 1),
        ("null", 1),
        ("true", 1),
    ];
    assert_eq!(groups, expected.map(|(name, count)| (name.to_string(), count)));
    // null, the list and the object are no values.
    let distinct = door.get("/api/v1/meters/values/query").await.expect(200).json();
    assert_eq!(distinct["data"][0]["value"], json!(7));
}

fn group_of(row: &Value) -> (String, u64) {
    (row["groupBy"]["m"].as_str().unwrap().to_string(), row["value"].as_u64().unwrap())
}

#[tokio::test]
async fn nul_in_data_is_kept_and_elsewhere_refused() {
    let door = Door::open().await;
    door.meter("calls", "COUNT").await;
    let data = r#"{"v":1,"m":"a\u0000b"}"#;
    door.event("1", "c", "2024-05-01T00:00:00Z", data).await;
    assert!(door.get("/api/v2/events").await.expect(200).text.contains(data));
    let rows = door.get("/api/v1/meters/calls/query?groupBy=m").await.expect(200).json();
    assert_eq!(rows["data"][0]["groupBy"]["m"], json!("a\0b"));
    for name in ["id", "source", "type", "subject"] {
        let mut event: Value = serde_json::from_str(&with_data("{}")).unwrap();
        event[name] = json!("a\0b");
        let answer = door.ingest(EVENT, event.to_string()).await.expect(400);
        assert_eq!(answer.faulty_fields(), [format!("$.{name}")]);
        assert!(answer.detail().contains("control character"), "{}", answer.detail());
    }
}

#[tokio::test]
async fn a_key_that_comes_twice_is_refused_wherever_it_stands() {
    let door = Door::open().await;
    let twice_in_event = with_data("{}").replacen('{', r#"{"subject":"d","#, 1);
    let twice_own = with_data("{}").replacen('{', r#"{"own":1,"own":2,"#, 1);
    for body in [
        with_data(r#"{"v":1,"v":1}"#),
        with_data(r#"{"a":{"v":1,"\u0076":2}}"#),
        with_data(r#"{"a":[{"v":1,"v":2}]}"#),
        twice_in_event,
        twice_own,
    ] {
        let answer = door.ingest(EVENT, body.clone()).await.expect(400);
        let named = answer.detail().contains("duplicate key") || answer.detail().contains("came twice");
        assert!(named, "{body}: {}", answer.detail());
    }
    assert_eq!(door.ids().await.len(), 0);
}

#[tokio::test]
async fn depth_counts_the_data_itself() {
    let door = Door::open().await;
    let objects = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    let lists = |levels: usize| format!("{{\"a\":{}1{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
    for nested in [objects(65), lists(65)] {
        let answer = door.ingest(EVENT, with_data(&nested)).await.expect(400);
        assert!(answer.detail().contains("nested too deeply"), "{}", answer.detail());
    }
    for nested in [objects(64), lists(64)] {
        door.ingest(EVENT, with_data(&nested)).await.expect(204);
    }
}

#[tokio::test]
async fn the_depth_of_other_bodies_is_bounded_too() {
    let door = Door::open().await;
    let body = |slug: &str, levels: usize| {
        // Further fields are ignored, but they are read.
        let nested = format!("{}{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        format!(r#"{{"slug":"{slug}","aggregation":"COUNT","eventType":"t","own":{nested}}}"#)
    };
    door.post("/api/v1/meters", body("a", 64)).await.expect(201);
    let answer = door.post("/api/v1/meters", body("b", 65)).await.expect(400);
    assert!(answer.detail().contains("nested too deeply"), "{}", answer.detail());
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
