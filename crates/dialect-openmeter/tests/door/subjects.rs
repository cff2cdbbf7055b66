//! Described subjects: one or many at once, what stays and what is cleared, and what a deletion leaves.

use crate::support::{Answer, Door, encoded};
use serde_json::{Value, json};

const SUBJECTS: &str = "/api/v1/subjects";

async fn upsert(door: &Door, body: Value) -> Value {
    door.post(SUBJECTS, body.to_string()).await.expect(200).json()
}

async fn delete(door: &Door, path: &str) -> Answer {
    door.call("DELETE", path, &[], "").await
}

async fn keys(door: &Door) -> Vec<String> {
    let listed = door.get(SUBJECTS).await.expect(200).json();
    listed.as_array().unwrap().iter().map(|subject| subject["key"].as_str().unwrap().to_string()).collect()
}

#[tokio::test]
async fn a_described_subject_has_the_published_shape() {
    let door = Door::open().await;
    let body = r#"[{"key":"s/1","displayName":"One","metadata":{"n": 1.10,"big":12345678901234567890123},"stripeCustomerId":"cus_1","unknown":1}]"#;
    let answer = door.post(SUBJECTS, body).await.expect(200);
    let id = answer.json()[0]["id"].as_str().unwrap().to_string();
    assert_eq!(
        answer.text,
        format!(
            "[{{\"createdAt\":\"2024-06-01T00:00:00Z\",\"displayName\":\"One\",\"id\":\"{id}\",\"key\":\"s/1\",\
             \"metadata\":{{\"n\": 1.10,\"big\":12345678901234567890123}},\"stripeCustomerId\":\"cus_1\",\
             \"updatedAt\":\"2024-06-01T00:00:00Z\"}}]"
        )
    );
    let by_key = format!("{SUBJECTS}/{}", encoded("s/1"));
    for path in [by_key, format!("{SUBJECTS}/{id}")] {
        assert_eq!(format!("[{}]", door.get(&path).await.expect(200).text), answer.text);
    }
    assert_eq!(upsert(&door, json!([])).await, json!([]));
    assert_eq!(upsert(&door, json!([{"key": "bare"}])).await[0]["metadata"], json!({}));
}

#[tokio::test]
async fn what_is_left_out_stays_and_null_clears() {
    let door = Door::open().await;
    upsert(&door, json!([{"key": "a", "displayName": "A", "metadata": {"x": 1}, "stripeCustomerId": "cus_1"}])).await;
    door.set_clock("2024-06-02T00:00:00Z");
    let changed = upsert(&door, json!([{"key": "b"}, {"key": "a", "displayName": null}])).await;
    assert_eq!(changed[1].get("displayName"), None);
    assert_eq!((&changed[1]["metadata"], &changed[1]["stripeCustomerId"]), (&json!({"x": 1}), &json!("cus_1")));
    assert_eq!(changed[1]["createdAt"], "2024-06-01T00:00:00Z");
    assert_eq!(changed[1]["updatedAt"], "2024-06-02T00:00:00Z");
    let cleared = upsert(&door, json!([{"key": "a", "metadata": null, "stripeCustomerId": null}])).await;
    assert_eq!((&cleared[0]["metadata"], cleared[0].get("stripeCustomerId")), (&json!({}), None));
    assert_eq!(keys(&door).await, ["a", "b"]);
}

#[tokio::test]
async fn many_are_listed_in_the_order_in_which_they_came() {
    let door = Door::open().await;
    let names: Vec<String> = (0..200).map(|number| format!("s{}", number * 7 % 200)).collect();
    upsert(&door, names.iter().map(|key| json!({"key": key})).collect()).await;
    assert_eq!(keys(&door).await, names);
}

#[tokio::test]
async fn one_that_is_wrong_refuses_all_and_each_fault_is_named() {
    let door = Door::open().await;
    upsert(&door, json!([{"key": "known", "displayName": "Known"}])).await;
    let bad =
        json!([{"key": "known", "displayName": "Changed"}, {"key": ""}, {"key": "x", "stripeCustomerId": "acct_1"}]);
    let answer = door.post(SUBJECTS, bad.to_string()).await.expect(400);
    assert_eq!(answer.faulty_fields(), ["$[1].key", "$[2].stripeCustomerId"]);
    assert!(answer.detail().contains("key is required"), "{}", answer.detail());
    for (body, named) in [
        ("", "value is required but missing"),
        ("{}", "value must be an array"),
        ("[{}]", "Error at \"/0/key\": property \"key\" is missing"),
        ("[5]", "value must be an object"),
        (r#"[{"key":5}]"#, "Error at \"/0/key\": value must be a string"),
        (r#"[{"key":"a"},{"key":"b","metadata":[]}]"#, "Error at \"/1/metadata\": value must be an object"),
        (r#"[{"key":"a","metadata":{"x":1,"x":2}}]"#, "duplicate key"),
        (r#"[{"key":"a","displayName":{}}]"#, "value must be a string"),
    ] {
        let answer = door.post(SUBJECTS, body).await.expect(400);
        assert!(answer.detail().contains(named), "{body}: {}", answer.detail());
    }
    let twice = door.post(SUBJECTS, r#"[{"key":"new"},{"key":"new"}]"#).await.expect(409);
    assert!(twice.detail().contains("\"new\" is listed twice"), "{}", twice.detail());
    let many: Value = (0..1001).map(|number| json!({"key": number.to_string()})).collect();
    assert!(door.post(SUBJECTS, many.to_string()).await.expect(413).detail().contains("1000"));
    let listed = door.get(SUBJECTS).await.expect(200).json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["displayName"]), (1, &json!("Known")));
}

#[tokio::test]
async fn a_deleted_description_is_found_by_id_only_and_usage_stays() {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    door.event("1", "s", "2024-05-31T10:00:00Z", r#"{"v":2}"#).await;
    let id = upsert(&door, json!([{"key": "s"}])).await[0]["id"].as_str().unwrap().to_string();
    let (by_key, by_id) = (format!("{SUBJECTS}/s"), format!("{SUBJECTS}/{id}"));
    delete(&door, &by_key).await.expect(204);
    assert_eq!(door.get(&by_id).await.expect(200).json()["deletedAt"], "2024-06-01T00:00:00Z");
    assert!(door.get(&by_key).await.expect(404).detail().contains("subject not found: s"));
    delete(&door, &by_key).await.expect(404);
    delete(&door, &by_id).await.expect(204);
    assert_eq!(keys(&door).await, [""; 0]);
    let usage = door.get("/api/v1/meters/total/query?subject=s").await.expect(200).json();
    assert_eq!(usage["data"][0]["value"], 2);
    let again = upsert(&door, json!([{"key": "s"}])).await;
    assert_ne!(again[0]["id"], id.as_str());
    for odd in ["%00", "a%20b", &"x".repeat(2048)] {
        door.get(&format!("{SUBJECTS}/{odd}")).await.expect(404);
    }
    door.get(&format!("{SUBJECTS}/{}", "x".repeat(2049))).await.expect(400);
}

#[tokio::test]
async fn a_customer_describes_its_subjects_and_events_do_not() {
    let door = Door::open().await;
    upsert(&door, json!([{"key": "known", "metadata": {"mine": true}}])).await;
    door.event("1", "sent", "2024-05-31T10:00:00Z", "{}").await;
    door.set_clock("2024-06-01T00:00:01Z");
    let customer = json!({"name": "A", "key": "a", "usageAttribution": {"subjectKeys": ["known", "new"]}});
    let customer = door.post("/api/v1/customers", customer.to_string()).await.expect(201).json();
    let listed = door.get(SUBJECTS).await.expect(200).json();
    assert_eq!(keys(&door).await, ["known", "new"]);
    assert_eq!(listed[0]["metadata"], json!({"mine": true}));
    assert_eq!(listed[1]["metadata"], json!({"createdBy": "subject.provisioner", "customerId": customer["id"]}));
}

#[tokio::test]
async fn csv_shows_the_names_of_described_subjects() {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    for (id, subject) in [("1", "a"), ("2", "b")] {
        door.event(id, subject, "2024-05-31T10:00:00Z", r#"{"v":1,"m":"x"}"#).await;
    }
    let query =
        "/api/v1/meters/total/query?groupBy=m&groupBy=subject&from=2024-05-31T00:00:00Z&to=2024-06-01T00:00:00Z";
    let csv = async || door.call("GET", query, &[("accept", "text/csv")], "").await.expect(200).text;
    assert!(csv().await.starts_with("window_start,window_end,subject,m,value\n"));
    upsert(&door, json!([{"key": "elsewhere", "displayName": "E"}])).await;
    assert!(csv().await.starts_with("window_start,window_end,subject,m,value\n"));
    upsert(&door, json!([{"key": "a", "displayName": "A, Inc."}])).await;
    let times = "2024-05-31T00:00:00Z,2024-06-01T00:00:00Z";
    assert_eq!(
        csv().await,
        format!(
            "window_start,window_end,subject,subject_display_name,m,value\n{times},b,,x,1.000000\n{times},a,\"A, Inc.\",x,1.000000\n"
        )
    );
    assert!(door.get(query).await.expect(200).json()["data"][0].get("subjectDisplayName").is_none());
}
