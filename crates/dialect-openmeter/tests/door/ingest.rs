//! Events in.

use crate::support::{BATCH, Door, EVENT, JSON, NOW};
use axum::body::Body;
use serde_json::{Value, json};

const ONE: &str = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c"}"#;

fn with(members: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c",{members}}}"#)
}

/// The one stored event as it is listed, with all digits of its numbers.
async fn listed_text(door: &Door) -> String {
    door.get("/api/v2/events").await.expect(200).text
}

async fn listed(door: &Door) -> Value {
    let body: Value = serde_json::from_str(&listed_text(door).await).unwrap();
    assert_eq!(body["items"].as_array().unwrap().len(), 1, "{body}");
    body["items"][0]["event"].clone()
}

#[tokio::test]
async fn every_content_type_is_read_with_its_parameters_and_in_any_case() {
    let door = Door::open().await;
    let list = format!("[{ONE}]");
    let mut stored = 0;
    for content_type in [EVENT, BATCH, JSON] {
        for spelled in [
            content_type.to_string(),
            format!("{content_type}; charset=utf-8"),
            format!("{content_type};charset=UTF-8"),
            content_type.to_uppercase(),
        ] {
            for body in [ONE, list.as_str()] {
                let answer = door.ingest(&spelled, body.to_string()).await.expect(204);
                assert_eq!(answer.text, "");
                stored += answer.header("tallystick-accepted").parse::<u32>().unwrap();
            }
        }
    }
    assert_eq!((stored, door.ids().await), (1, vec!["1".to_string()]));
}

#[tokio::test]
async fn other_content_types_are_refused() {
    let door = Door::open().await;
    for content_type in ["", "text/plain", "application/cloudevents+xml", "application/x-ndjson", "multipart/form-data"]
    {
        let answer = door.ingest(content_type, ONE).await.expect(400);
        let expected =
            format!("request body has an error: header Content-Type has unexpected value \"{content_type}\"");
        assert_eq!(answer.detail(), expected);
    }
    assert!(door.call("POST", "/api/v1/events", &[], ONE).await.expect(400).detail().contains("unexpected value \"\""));
    assert_eq!(door.ids().await.len(), 0);
}

#[tokio::test]
async fn accepted_and_duplicates_are_counted() {
    let door = Door::open().await;
    let event = |id: &str, source: &str| {
        format!(r#"{{"specversion":"1.0","id":"{id}","source":"{source}","type":"t","subject":"c"}}"#)
    };
    let batch = [event("1", "a"), event("2", "a"), event("1", "a"), event("1", "b")].join(",");
    let first = door.ingest(BATCH, format!("[{batch}]")).await.expect(204);
    assert_eq!((first.header("tallystick-accepted"), first.header("tallystick-duplicates")), ("3", "1"));
    let again = door.ingest(BATCH, format!("[{batch}]")).await.expect(204);
    assert_eq!((again.header("tallystick-accepted"), again.header("tallystick-duplicates")), ("0", "4"));
    assert_eq!(door.ids().await.len(), 3);
}

#[tokio::test]
async fn an_empty_list_is_a_batch_of_nothing_only_under_the_cloudevents_types() {
    let door = Door::open().await;
    for content_type in [EVENT, BATCH] {
        let answer = door.ingest(content_type, " [ ] ").await.expect(204);
        assert_eq!((answer.header("tallystick-accepted"), answer.header("tallystick-duplicates")), ("0", "0"));
    }
    assert_eq!(door.ingest(JSON, "[]").await.expect(400).detail(), "invalid event: no events found");
    for content_type in [EVENT, BATCH, JSON] {
        for nothing in ["", "  \n"] {
            let answer = door.ingest(content_type, nothing).await.expect(400);
            assert_eq!(answer.detail(), "request body has an error: value is required but missing");
        }
    }
}

#[tokio::test]
async fn data_keeps_its_text_to_the_byte() {
    let door = Door::open().await;
    let data = "{ \"z\" : 12345678901234567890123.4500 ,\n\t\"a\":1.0,\"e\":1E-3,\"u\":\"\\u00e9\\/\\u0041é\",\"l\":[ ],\"big\":9007199254740993}";
    door.ingest(EVENT, with(&format!("\"data\" :  {data} ,\"time\":\"2024-05-01T10:00:00Z\""))).await.expect(204);
    assert!(listed_text(&door).await.contains(&format!("\"data\":{data}")), "{}", listed_text(&door).await);
}

#[tokio::test]
async fn time_is_now_when_it_is_left_out() {
    for members in ["\"data\":{}", "\"time\":null"] {
        let door = Door::open().await;
        door.ingest(EVENT, with(members)).await.expect(204);
        assert_eq!(listed(&door).await["time"], NOW);
    }
    let door = Door::open().await;
    door.ingest(EVENT, with("\"time\":\"2024-05-01T12:00:00.1234567+02:00\"")).await.expect(204);
    assert_eq!(listed(&door).await["time"], "2024-05-01T10:00:00.123456Z");
}

#[tokio::test]
async fn the_years_that_are_stored_have_edges() {
    let door = Door::open().await;
    for (id, time) in
        [("first", "0001-01-01T00:00:00Z"), ("last", "9998-12-31T23:59:59.999999Z"), ("old", "1969-07-20T20:17:40Z")]
    {
        door.event(id, "c", time, "{}").await;
    }
    assert_eq!(door.ids().await, ["last", "old", "first"]);
    for time in ["0000-12-31T23:59:59Z", "9999-01-01T00:00:00Z"] {
        let answer = door.ingest(EVENT, with(&format!("\"time\":\"{time}\""))).await.expect(400);
        assert!(answer.detail().contains("outside of the years"), "{}", answer.detail());
    }
}

#[tokio::test]
async fn each_attribute_has_its_rule() {
    let door = Door::open().await;
    for (body, field, code) in [
        (r#"{"id":"1","source":"s","type":"t","subject":"c"}"#, "$.specversion", "required"),
        (r#"{"specversion":null,"id":"1","source":"s","type":"t","subject":"c"}"#, "$.specversion", "required"),
        (r#"{"specversion":"2.0","id":"1","source":"s","type":"t","subject":"c"}"#, "$.specversion", "unknown_value"),
        (r#"{"specversion":1.0,"id":"1","source":"s","type":"t","subject":"c"}"#, "$.specversion", "wrong_type"),
        (r#"{"specversion":"1.0","source":"s","type":"t","subject":"c"}"#, "$.id", "required"),
        (r#"{"specversion":"1.0","id":"","source":"s","type":"t","subject":"c"}"#, "$.id", "required"),
        (r#"{"specversion":"1.0","id":1,"source":"s","type":"t","subject":"c"}"#, "$.id", "wrong_type"),
        (r#"{"specversion":"1.0","id":"1","type":"t","subject":"c"}"#, "$.source", "required"),
        (r#"{"specversion":"1.0","id":"1","source":"s","subject":"c"}"#, "$.type", "required"),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#, "$.subject", "required"),
        (r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":null}"#, "$.subject", "required"),
        (
            r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"a\u0000b"}"#,
            "$.subject",
            "control_character",
        ),
        (&with(r#""time":"yesterday""#), "$.time", "invalid_time"),
        (&with(r#""time":"2024-05-01""#), "$.time", "invalid_time"),
        (&with(r#""time":"""#), "$.time", "invalid_time"),
        (&with(r#""time":1714557600"#), "$.time", "wrong_type"),
        (&with(r#""data":"text""#), "$.data", "not_an_object"),
        (&with(r#""data":[1]"#), "$.data", "not_an_object"),
        (&with(r#""data":5"#), "$.data", "not_an_object"),
        (&with(r#""data":{"a":1,"a":2}"#), "$.data", "invalid_json"),
        (&with(r#""data":{"a":{"b":1,"\u0062":2}}"#), "$.data", "invalid_json"),
        (&with(r#""datacontenttype":"application/xml""#), "$.datacontenttype", "unknown_value"),
        (&with(r#""datacontenttype":"""#), "$.datacontenttype", "unknown_value"),
        (&with(r#""data_base64":"e30=""#), "$.data_base64", "unsupported"),
        (&with(r#""dataschema":"""#), "$.dataschema", "required"),
        (&with(r#""dataschema":5"#), "$.dataschema", "wrong_type"),
        (&with(r#""trace-parent":"x""#), "$", "invalid_name"),
        (&with(r#""":"x""#), "$", "invalid_name"),
        (&with(r#""nested":{}"#), "$", "wrong_type"),
        (&with(r#""id":"2""#), "$.id", "duplicate_key"),
        (&with(r#""data":{},"data":{}"#), "$.data", "duplicate_key"),
        (&with(r#""own":1,"\u006fwn":2"#), "$", "duplicate_key"),
    ] {
        for (content_type, is_list) in [(EVENT, false), (JSON, false), (BATCH, true)] {
            let body = if is_list { format!("[{body}]") } else { body.to_string() };
            let answer = door.ingest(content_type, body.clone()).await.expect(400);
            let fault = &answer.json()["extensions"]["validationErrors"][0];
            let field = if is_list { field.replacen('$', "$[0]", 1) } else { field.to_string() };
            assert_eq!((fault["field"].as_str(), fault["code"].as_str()), (Some(field.as_str()), Some(code)), "{body}");
            assert_eq!(answer.faulty_fields().len(), 1, "{body}: {}", answer.text);
            assert!(answer.detail().starts_with("invalid event: "), "{}", answer.detail());
        }
    }
    assert_eq!(door.ids().await.len(), 0);
}

#[tokio::test]
async fn what_may_be_left_out_may_also_be_null() {
    let door = Door::open().await;
    let nulls = r#""time":null,"data":null,"datacontenttype":null,"dataschema":null,"data_base64":null,"own":null"#;
    door.ingest(EVENT, with(nulls)).await.expect(204);
    let event = listed(&door).await;
    assert_eq!(event, json!({"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c","time":NOW}));
}

#[tokio::test]
async fn the_older_specversion_and_a_content_type_with_parameters_pass() {
    let door = Door::open().await;
    let older = r#"{"specversion":"0.3","id":"1","source":"s","type":"t","subject":"c","data":{},"datacontenttype":"Application/JSON; charset=utf-8"}"#;
    door.ingest(EVENT, older).await.expect(204);
    let event = listed(&door).await;
    assert_eq!((&event["specversion"], &event["datacontenttype"]), (&json!("1.0"), &json!("application/json")));
}

#[tokio::test]
async fn the_senders_own_attributes_come_back() {
    let door = Door::open().await;
    let own = r#""traceid":"é\"","count":12345678901234567890,"flag":true,"dataschema":"https://example.com/s.json""#;
    door.ingest(EVENT, with(own)).await.expect(204);
    let text = listed_text(&door).await;
    for part in [
        r#""traceid":"é\"""#,
        r#""count":12345678901234567890"#,
        r#""flag":true"#,
        r#""dataschema":"https://example.com/s.json""#,
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[tokio::test]
async fn every_invalid_event_is_named_and_nothing_is_stored() {
    let door = Door::open().await;
    let body = format!(
        r#"[{ONE},{{"specversion":"1.0","id":"2","source":"s","type":"t"}},5,{{"specversion":"3.0","time":"no","id":"3","source":"s","type":"t","subject":"c"}},{ONE}]"#
    );
    let answer = door.ingest(BATCH, body).await.expect(400);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    insta::assert_json_snapshot!([&answer.json()["detail"], &answer.json()["extensions"]]);
    assert_eq!(door.ids().await.len(), 0);
}

#[tokio::test]
async fn a_long_list_of_faults_is_short_in_the_detail_and_whole_in_the_list() {
    let door = Door::open().await;
    let body = format!("[{}]", vec!["{}"; 100].join(","));
    let answer = door.ingest(JSON, body).await.expect(400);
    assert_eq!(answer.faulty_fields().len(), 500);
    assert!(answer.detail().ends_with("and 495 more, see validationErrors"), "{}", answer.detail());
}

#[tokio::test]
async fn an_event_in_headers_is_read() {
    let door = Door::open().await;
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", "Euro%20%E2%82%AC"),
        ("ce-source", "\"quoted source\""),
        ("ce-type", "t"),
        ("ce-subject", "c"),
        ("ce-time", "2024-05-01T10:00:00.5Z"),
        ("ce-traceid", "abc"),
        ("content-type", "application/json; charset=utf-8"),
    ];
    door.call("POST", "/api/v1/events", &headers, " {\"v\": 1.50} \n").await.expect(204);
    let event = listed(&door).await;
    insta::assert_json_snapshot!(event);
    assert!(listed_text(&door).await.contains("\"data\":{\"v\": 1.50}"));
}

#[tokio::test]
async fn an_event_in_headers_needs_no_body_and_has_the_same_rules() {
    let door = Door::open().await;
    let full = [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "s"), ("ce-type", "t"), ("ce-subject", "c")];
    door.call("POST", "/api/v1/events", &full, Body::empty()).await.expect(204);
    assert_eq!(listed(&door).await.get("data"), None);
    for (changed, body, field) in [
        (("ce-subject", ""), "{}", "$.subject"),
        (("ce-specversion", "9"), "{}", "$.specversion"),
        (("ce-id", "%FF"), "{}", "$.id"),
        (("ce-time", "now"), "{}", "$.time"),
        (("ce-datacontenttype", "text/xml"), "{}", "$.datacontenttype"),
        (("ce-data", "x"), "{}", "$.data"),
        (("ce-data_base64", "x"), "{}", "$"),
        (("ce-a-b", "x"), "{}", "$"),
        (("ce-own", "1"), "[1]", "$.data"),
        (("ce-own", "1"), "{\"a\":1,\"a\":2}", "$.data"),
    ] {
        let mut headers: Vec<_> = full.into_iter().filter(|(name, _)| *name != changed.0).collect();
        headers.extend([changed, ("content-type", "application/json")]);
        let answer = door.call("POST", "/api/v1/events", &headers, body).await.expect(400);
        assert_eq!(answer.faulty_fields(), [field], "{changed:?} {}", answer.text);
    }
    let without = door.call("POST", "/api/v1/events", &full[1..], Body::empty()).await.expect(400);
    assert_eq!(without.faulty_fields(), ["$.specversion"]);
    let twice: Vec<_> = full.into_iter().chain([("ce-id", "2")]).collect();
    assert_eq!(door.call("POST", "/api/v1/events", &twice, Body::empty()).await.expect(400).faulty_fields(), ["$.id"]);
    let xml: Vec<_> = full.into_iter().chain([("content-type", "text/xml")]).collect();
    assert!(door.call("POST", "/api/v1/events", &xml, "<a/>").await.expect(400).detail().contains("text/xml"));
}

#[tokio::test]
async fn a_structured_body_wins_over_headers() {
    let door = Door::open().await;
    let headers = [("ce-id", "header"), ("content-type", EVENT)];
    door.call("POST", "/api/v1/events", &headers, ONE).await.expect(204);
    assert_eq!(door.ids().await, ["1"]);
}
