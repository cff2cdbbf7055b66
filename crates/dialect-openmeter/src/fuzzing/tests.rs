use super::*;

const EVENT: &str = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"c","time":"2024-01-01T00:00:00Z","data":{"n":1.50},"traceparent":"00-1"}"#;

#[test]
fn valid_bodies_are_compared_and_others_are_told_apart() {
    assert_eq!(cloudevents_body(EVENT.as_bytes()), Some(1));
    assert_eq!(cloudevents_body(format!("[{EVENT},{EVENT}]").as_bytes()), Some(2));
    assert_eq!(cloudevents_body(EVENT.replace("1.50", "01").as_bytes()), None);
    assert_eq!(cloudevents_body(EVENT.replace("subject", "subjekt").as_bytes()), None);
    assert_eq!(cloudevents_body(b"[]"), Some(0));
    assert_eq!(cloudevents_body(b"\xff"), None);
}

#[test]
fn cursors_are_told_from_other_texts() {
    let time = Instant::parse_rfc3339("2024-01-01T00:00:00.5Z").unwrap();
    let position = tallystick_domain::event::EventPosition { time, source: "ü".into(), id: "1".into() };
    assert!(cursor(cursor::encode(&position).as_bytes()));
    assert!(!cursor(b"MjAyNA") && !cursor(b"") && !cursor(b"\xff"));
}

#[test]
fn filters_are_applied_to_texts_and_moments() {
    assert_eq!(filter(b"{\"$like\":\"a%b_\\\\%\"}\nabc%\nabc\nAbc%"), Some(1));
    assert_eq!(filter(b"{\"$nilike\":\"A%\"}\nabc\nb"), Some(1));
    assert_eq!(filter(b"{\"$or\":[{\"$in\":[\"x\"]},{\"$gte\":\"y\"}]}\nx\ny\na"), Some(2));
    let moments = b"{\"$gt\":\"2024-01-01T00:00:00Z\"}\n2024-01-01T00:00:00.000001Z\n2024-01-01T00:00:00Z";
    // Both lines are texts too, of which the first is greater by its bytes neither.
    assert_eq!(filter(moments), Some(1));
    assert_eq!(filter(b"{\"$near\":\"a\"}\na"), None);
}
