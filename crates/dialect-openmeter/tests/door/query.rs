//! Meter queries.

use crate::support::{Answer, Door, encoded};
use axum::body::Body;
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

const PATH: &str = "/api/v1/meters/total/query";

/// Three subjects, two days, exact decimals, and what does not count.
async fn with_events() -> Door {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    for (id, subject, time, data) in [
        ("1", "c1", "2024-05-01T10:00:00Z", r#"{"v":0.1,"m":"a","n":"x"}"#),
        ("2", "c1", "2024-05-01T10:30:30.5Z", r#"{"v":"0.2","m":"b","n":"x"}"#),
        ("3", "c2", "2024-05-01T23:59:59.999999Z", r#"{"v":0.3,"m":"a"}"#),
        ("4", "c2", "2024-05-02T00:00:00Z", r#"{"v":1234567890.123456789,"m":"b","n":"y"}"#),
        ("5", "c3", "2024-05-02T05:00:00Z", r#"{"v":-1,"n":"y"}"#),
        ("6", "c3", "2024-05-02T06:00:00Z", r#"{"v":"junk","m":"a"}"#),
        ("7", "c3", "2024-05-02T07:00:00Z", r#"{"v":1e3,"m":"it's, \"q\""}"#),
    ] {
        door.event(id, subject, time, data).await;
    }
    door
}

async fn query(door: &Door, parameters: &str) -> Answer {
    door.get(&format!("{PATH}?{parameters}")).await
}

#[derive(serde::Deserialize)]
struct Rows {
    data: Vec<Row>,
}

/// A row whose value keeps its digits.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    customer_id: Option<String>,
    subject: Option<String>,
    group_by: BTreeMap<String, String>,
    value: Box<RawValue>,
}

/// The rows as `customer/subject/group… = value`.
#[track_caller]
fn rows(answer: Answer) -> Vec<String> {
    let rows: Rows = serde_json::from_str(&answer.expect(200).text).unwrap();
    let shown = rows.data.into_iter().map(|row| {
        let names: Vec<_> = row.customer_id.into_iter().chain(row.subject).chain(row.group_by.into_values()).collect();
        format!("{} = {}", names.join("/"), row.value)
    });
    shown.collect()
}

#[tokio::test]
async fn answers_have_the_published_shape_and_exact_values() {
    let door = with_events().await;
    let shown = [
        query(&door, "").await.expect(200).text,
        query(&door, "windowSize=DAY&groupBy=m&groupBy=subject").await.expect(200).text,
        query(
            &door,
            "windowSize=MONTH&windowTimeZone=America/New_York&from=2024-05-01T00:00:00Z&to=2024-06-01T00:00:00-04:00",
        )
        .await
        .expect(200)
        .text,
        query(&door, "from=2030-01-01T00:00:00Z").await.expect(200).text,
    ];
    insta::assert_snapshot!(shown.join("\n"));
}

#[tokio::test]
async fn bounds_are_exact_and_the_end_is_excluded() {
    let door = with_events().await;
    for (bounds, value) in [
        ("from=2024-05-01T10:30:30.5Z&to=2024-05-01T23:59:59.999999Z", "0.2"),
        ("from=2024-05-01T10:30:30.500001Z&to=2024-05-02T00:00:00Z", "0.3"),
        ("from=2024-05-01T12:30:30.5%2B02:00&to=2024-05-02T00:00:00.000001Z", "1234567890.623456789"),
        ("to=2024-05-01T10:00:00.000001Z", "0.1"),
    ] {
        assert_eq!(rows(query(&door, bounds).await), [format!(" = {value}")], "{bounds}");
    }
    assert_eq!(rows(query(&door, "to=2024-05-01T10:00:00Z").await).len(), 0);
}

#[tokio::test]
async fn without_windows_the_bounds_are_those_asked_or_the_minutes_around_the_events() {
    let door = with_events().await;
    door.meter("events", "COUNT").await;
    for (parameters, start, end) in [
        ("", "2024-05-01T10:00:00Z", "2024-05-02T07:01:00Z"),
        ("from=2024-05-01T10:30:30.5%2B00:00", "2024-05-01T10:30:30.5+00:00", "2024-05-02T07:01:00Z"),
        ("from=2024-05-01T10:30:00Z&to=2024-05-01T10:31:00Z", "2024-05-01T10:30:00Z", "2024-05-01T10:31:00Z"),
        ("to=2024-05-01T12:31:00%2B02:00", "2024-05-01T10:00:00Z", "2024-05-01T12:31:00+02:00"),
        ("from=2024-05-01T10:30:00Z&windowTimeZone=Asia/Tokyo", "2024-05-01T10:30:00Z", "2024-05-02T07:01:00Z"),
    ] {
        for meter in ["total", "events"] {
            let answer = door.get(&format!("/api/v1/meters/{meter}/query?{parameters}")).await.expect(200).json();
            let row = &answer["data"][0];
            assert_eq!((&row["windowStart"], &row["windowEnd"]), (&json!(start), &json!(end)), "{meter} {parameters}");
        }
    }
}

#[tokio::test]
async fn a_count_of_nothing_is_one_row_of_zero() {
    let door = with_events().await;
    door.meter("events", "COUNT").await;
    door.meter("values", "UNIQUE_COUNT").await;
    for (parameters, start, end) in [
        ("filterGroupBy[m]=none", "1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z"),
        ("from=2030-01-01T00:00:00Z&to=2030-02-01T00:00:00Z", "2030-01-01T00:00:00Z", "2030-02-01T00:00:00Z"),
        ("from=2030-01-01T00:00:30Z", "2030-01-01T00:00:30Z", "2030-01-01T00:01:00Z"),
        ("to=1960-01-01T00:00:30Z", "1960-01-01T00:00:00Z", "1960-01-01T00:00:30Z"),
    ] {
        for meter in ["events", "values"] {
            let answer = door.get(&format!("/api/v1/meters/{meter}/query?{parameters}")).await.expect(200).json();
            let row = json!({"groupBy": {}, "subject": null, "value": 0, "windowEnd": end, "windowStart": start});
            assert_eq!(answer["data"], json!([row]), "{meter} {parameters}");
        }
        assert_eq!(rows(query(&door, parameters).await).len(), 0, "{parameters}");
    }
    for grouped in ["groupBy=m", "subject=nobody", "windowSize=DAY"] {
        let path = format!("/api/v1/meters/events/query?from=2030-01-01T00:00:00Z&{grouped}");
        assert_eq!(rows(door.get(&path).await).len(), 0, "{grouped}");
    }
}

#[tokio::test]
async fn subjects_and_dimensions_select_and_group() {
    let door = with_events().await;
    for (parameters, expected) in [
        ("groupBy=subject", &["c3 = 999", "c2 = 1234567890.423456789", "c1 = 0.3"][..]),
        ("subject=c1&subject=c2", &["c2 = 1234567890.423456789", "c1 = 0.3"]),
        ("subject=c1,c2", &[]),
        ("subject=", &[]),
        ("groupBy=n", &[" = 1000.3", "x = 0.3", "y = 1234567889.123456789"]),
        ("groupBy=n&groupBy=n", &[" = 1000.3", "x = 0.3", "y = 1234567889.123456789"]),
        ("filterGroupBy[m]=a", &[" = 0.4"]),
        ("filterGroupBy[m]=a&filterGroupBy[n]=x", &[" = 0.1"]),
        ("filterGroupBy[n]=", &[" = 1000.3"]),
        ("filterGroupBy%5Bm%5D=a&groupBy=m&subject=c2", &["c2/a = 0.3"]),
        ("filterGroupBy=%7B%27m%27%3A+%27a%27%7D", &[" = 0.4"]),
        ("filterGroupBy=%7B%22m%22%3A%22b%22%7D", &[" = 1234567890.323456789"]),
        ("filterGroupBy=%7B%7D&subject=c1", &["c1 = 0.3"]),
    ] {
        assert_eq!(rows(query(&door, parameters).await), expected, "{parameters}");
    }
    for (filters, expected) in [
        (json!({}), " = 1234568889.723456789"),
        (json!({"m": {"$eq": "a"}}), " = 0.4"),
        (json!({"m": {"$eq": ""}}), " = -1"),
        (json!({"m": {"$in": ["", "b"]}, "n": {"$ne": "x"}}), " = 1234567889.123456789"),
        (json!({"m": {"$like": "it%"}}), " = 1000"),
        (json!({"n": {"$or": [{"$eq": "x"}, {"$and": [{"$gte": "y"}, {"$lt": "z"}]}]}}), " = 1234567889.423456789"),
    ] {
        let text = encoded(&filters.to_string());
        assert_eq!(rows(query(&door, &format!("advancedMeterGroupByFilters={text}")).await), [expected], "{filters}");
        let body = json!({"advancedMeterGroupByFilters": filters}).to_string();
        assert_eq!(rows(door.post(PATH, body).await), [expected], "{filters}");
    }
}

#[tokio::test]
async fn a_body_asks_the_same() {
    let door = with_events().await;
    for (body, expected) in [
        (json!({}), &[" = 1234568889.723456789"][..]),
        (json!({"subject": ["c1"]}), &["c1 = 0.3"]),
        (json!({"subject": []}), &["c3 = 999", "c2 = 1234567890.423456789", "c1 = 0.3"]),
        (json!({"filterGroupBy": {"m": ["a", "b"], "n": ["x"]}}), &[" = 0.3"]),
        (json!({"filterGroupBy": {"m": []}}), &[" = 1234568889.723456789"]),
        (json!({"filterGroupBy": {"m": [""]}}), &[" = -1"]),
        (json!({"groupBy": ["n"], "to": "2024-05-02T00:00:00Z"}), &[" = 0.3", "x = 0.3"]),
        (json!({"windowSize": "DAY", "from": "2024-05-02T00:00:00Z"}), &[" = 1234568889.123456789"]),
        (json!({"clientId": "me", "from": null, "groupBy": null}), &[" = 1234568889.723456789"]),
    ] {
        assert_eq!(rows(door.post(PATH, body.to_string()).await), expected, "{body}");
    }
    for empty in ["", " \n"] {
        assert_eq!(rows(door.call("POST", PATH, &[], empty).await), [" = 1234568889.723456789"]);
        assert_eq!(rows(door.post(PATH, empty).await), [" = 1234568889.723456789"]);
    }
    let unchanged = [("content-type", "application/json; charset=utf-8")];
    assert_eq!(rows(door.call("POST", PATH, &unchanged, "{}").await).len(), 1);
    door.call("POST", PATH, &[("content-type", "text/plain")], "{}").await.expect(400);
}

const BAD_PARAMETERS: [(&str, &str); 30] = [
    (
        "windowSize=SECOND",
        "parameter \"windowSize\" in query has an error: value is not one of the allowed values [MINUTE, HOUR, DAY, MONTH]",
    ),
    ("windowSize=day", "value is not one of the allowed values"),
    ("windowTimeZone=Mars/Olympus", "validation error: invalid time zone: "),
    ("windowSize=DAY&windowTimeZone=Local", "validation error: invalid time zone: "),
    ("windowTimeZone=", "validation error: invalid time zone: "),
    ("from=2024-05-01", "parameter \"from\" in query has an error: "),
    ("to=2024-05-01T10:00:60Z", "parameter \"to\" in query has an error: "),
    ("from=2024-05-01T00:00:00+02:00", "; write + as %2B"),
    ("from=2024-05-01T00:00:00Z&to=2024-05-01T00:00:00Z", "validation error: from and to cannot be equal"),
    ("from=2024-05-02T00:00:00Z&to=2024-05-01T00:00:00Z", "validation error: from must be before to"),
    ("from=2024-05-01T00:00:00Z&from=2024-05-02T00:00:00Z", "more than once"),
    ("groupBy=nothing", "validation error: invalid group by: nothing"),
    ("groupBy=customer_id", "customer filter is required with customer_id group by"),
    ("filterGroupBy[nothing]=a", "validation error: invalid group by filter: nothing"),
    ("filterGroupBy=m", "must be given as filterGroupBy[name]=value"),
    ("filterGroupBy=%7B%27m%27%3A%201%7D", "must be given as filterGroupBy[name]=value"),
    ("filterGroupBy[m]=a&filterGroupBy[m]=b", "came twice"),
    ("filterGroupBy[m=a", "there is no such parameter"),
    ("filtergroupby[m]=a", "there is no such parameter"),
    ("filter[m]=a", "there is no such parameter"),
    ("subjects=c1", "there is no such parameter"),
    ("advancedMeterGroupByFilters=nonsense", "unmarshaling param advancedMeterGroupByFilters: "),
    ("advancedMeterGroupByFilters=[]", "unmarshaling param advancedMeterGroupByFilters: "),
    ("advancedMeterGroupByFilters=%7B%22nothing%22:%7B%22$eq%22:%22a%22%7D%7D", "invalid group by filter: nothing"),
    ("advancedMeterGroupByFilters=%7B%22m%22:%7B%7D%7D", "filter is invalid: it has no operator"),
    ("advancedMeterGroupByFilters=%7B%22m%22:%7B%22$contains%22:%22a%22%7D%7D", "unknown operator"),
    ("advancedMeterGroupByFilters=%7B%22m%22:%7B%22$eq%22:%22a%22%7D%7D&filterGroupBy[m]=a", "cannot be used together"),
    ("filterCustomerId=nobody", "not a ULID"),
    ("clientId=", "minimum string length is 1"),
    ("clientId=1234567890123456789012345678901234567", "maximum string length is 36"),
];

#[tokio::test]
async fn a_query_that_is_not_understood_is_never_answered() {
    let door = with_events().await;
    for (parameters, reason) in BAD_PARAMETERS {
        for accept in ["application/json", "text/csv"] {
            let answer = door.call("GET", &format!("{PATH}?{parameters}"), &[("accept", accept)], Body::empty()).await;
            assert!(answer.expect(400).detail().contains(reason), "{parameters}");
        }
    }
    for (body, reason) in [
        (json!([]), "#/components/schemas/MeterQueryRequest: Error at \"/\": value must be an object"),
        (json!(vec![(); 10]), "value must be an object"),
        (json!("c1"), "value must be an object"),
        (json!({"from": 5}), "Error at \"/from\": value must be a string"),
        (json!({"from": "2024-05-01"}), "request body has an error: Error at \"/from\": "),
        (json!({"windowSize": "WEEK"}), "Error at \"/windowSize\": value is not one of"),
        (json!({"subject": "c1"}), "Error at \"/subject\": value must be an array"),
        (json!({"subject": [1]}), "Error at \"/subject/0\": value must be a string"),
        (json!({"subject": vec!["c"; 101]}), "Error at \"/subject\": maximum number of items is 100"),
        (json!({"groupBy": vec!["m"; 101]}), "maximum number of items is 100"),
        (json!({"filterCustomerId": vec!["c"; 101]}), "maximum number of items is 100"),
        (json!({"filterGroupBy": {"m": "a"}}), "Error at \"/filterGroupBy/m\": value must be an array"),
        (json!({"filterGroupBy": {"nothing": []}}), "invalid group by filter: nothing"),
        (json!({"filter": {"m": ["a"]}}), "unknown field `filter`"),
        (json!({"advancedMeterGroupByFilters": {"m": {"$eq": 1}}}), "$eq must be a string"),
        (
            json!({"advancedMeterGroupByFilters": {"m": {"$eq": "a"}}, "filterGroupBy": {"m": ["a"]}}),
            "cannot be used together",
        ),
    ] {
        let answer = door.post(PATH, body.to_string()).await.expect(400);
        assert!(answer.detail().contains(reason), "{body}: {}", answer.detail());
        assert!(!answer.detail().contains("struct "), "{body}: {}", answer.detail());
    }
    let twice = r#"{"filterGroupBy":{"m":["a"]},"filterGroupBy":{"m":["b"]}}"#;
    assert!(door.post(PATH, twice).await.expect(400).detail().contains("duplicate key"));
}

#[tokio::test]
async fn a_parameter_beside_a_body_is_refused_and_not_ignored() {
    let door = with_events().await;
    for (parameters, name) in [
        ("subject=nobody", "subject"),
        ("from=2030-01-01T00:00:00Z", "from"),
        ("filterGroupBy[m]=a", "filterGroupBy[m]"),
        ("clientId=me", "clientId"),
        ("nonsense", "nonsense"),
    ] {
        for body in ["", "{}"] {
            let answer = door.post(&format!("{PATH}?{parameters}"), body).await.expect(400);
            let expected =
                format!("parameter \"{name}\" in query has an error: a query by POST takes its parameters in the body");
            assert_eq!(answer.detail(), expected);
        }
    }
    assert_eq!(rows(door.post(&format!("{PATH}?"), "{}").await).len(), 1);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let door = with_events().await;
    let answer = door.get("/api/v1/meters/nope/query").await.expect(404);
    assert_eq!(answer.detail(), "not found error: meter not found: nope");
    let customer = "01HW0000000000000000000000";
    let answer = query(&door, &format!("filterCustomerId={customer}")).await.expect(404);
    assert_eq!(answer.detail(), format!("not found error: customer with id {customer} not found"));
    door.post(PATH, format!(r#"{{"filterCustomerId":["{customer}"]}}"#)).await.expect(404);
}

#[tokio::test]
async fn csv_is_asked_for_by_accept() {
    let door = with_events().await;
    for (accept, is_csv) in [
        ("text/csv", true),
        ("Text/CSV; charset=utf-8", true),
        ("text/csv;q=0.5", true),
        ("text/csv;q=0", false),
        ("text/csv; Q=0.000", false),
        ("text/csv, */*", false),
        ("application/json", false),
        ("*/*", false),
        ("", false),
    ] {
        for method in ["GET", "POST"] {
            let answer = door.call(method, PATH, &[("accept", accept)], Body::empty()).await.expect(200);
            let expected = if is_csv { "text/csv" } else { "application/json" };
            assert_eq!(answer.header("content-type"), expected, "{method} {accept}");
        }
    }
}

#[tokio::test]
async fn csv_has_every_digit_and_is_quoted_where_it_must_be() {
    let door = with_events().await;
    let mut shown = String::new();
    for parameters in [
        "",
        "groupBy=m&subject=c2&groupBy=n&subject=c3",
        "windowSize=DAY&groupBy=n",
        "from=2030-01-01T00:00:00Z&groupBy=m",
    ] {
        let answer = door
            .call("GET", &format!("{PATH}?{parameters}"), &[("accept", "text/csv")], Body::empty())
            .await
            .expect(200);
        assert_eq!(answer.header("content-disposition"), "attachment; filename=total.csv");
        shown.push_str(&format!("{parameters}\n{}\n", answer.text));
    }
    insta::assert_snapshot!(shown);
}

#[tokio::test]
async fn usage_is_attributed_to_customers() {
    let door = with_events().await;
    let draft = |key: &str, subjects: &[&str]| tallystick_domain::customer::CustomerDraft {
        key: Some(key.into()),
        name: key.into(),
        subject_keys: subjects.iter().map(|subject| subject.to_string()).collect(),
        ..Default::default()
    };
    let caller = door.engine.authenticate(None).await.unwrap();
    let first = door.engine.create_customer(&caller, draft("c1", &["c2"])).await.unwrap().id.to_string();
    let second = door.engine.create_customer(&caller, draft("other", &["c3"])).await.unwrap().id.to_string();
    let answer = query(&door, &format!("filterCustomerId={first}&filterCustomerId={second}&groupBy=customer_id")).await;
    let mut expected = vec![format!("{first} = 1234567890.723456789"), format!("{second} = 999")];
    expected.sort();
    assert_eq!(rows(answer), expected);
    let path = format!("{PATH}?filterCustomerId={first}&groupBy=n&subject=c2");
    let csv = door.call("GET", &path, &[("accept", "text/csv")], Body::empty()).await.expect(200).text;
    assert!(csv.starts_with("window_start,window_end,subject,subject_display_name,n,customer_id,value\n"), "{csv}");
    assert!(csv.contains(&format!(",c2,,y,{first},1234567890.123456789\n")), "{csv}");
    let listed = door
        .get(&format!("/api/v1/events?customerId={second}&limit=1&from=2024-05-01T00:00:00Z"))
        .await
        .expect(200)
        .json();
    assert_eq!(listed[0]["customerId"], json!(second));
}
