//! The portal: what a token opens, for how long, and which texts are no tokens.

use crate::support::{Answer, Door};
use serde_json::{Value, json};
use tallystick_domain::key::Scope;

const TOKENS: &str = "/api/v1/portal/tokens";
const QUERY: &str = "/api/v1/portal/meters/total/query";

/// A door with usage of two subjects: 3 of `a` and 4 of `b`.
async fn with_usage() -> Door {
    let door = Door::open().await;
    door.meter("total", "SUM").await;
    door.meter("calls", "COUNT").await;
    for (id, subject, data) in
        [("1", "a", r#"{"v":1,"m":"x"}"#), ("2", "a", r#"{"v":2,"m":"y"}"#), ("3", "b", r#"{"v":4}"#)]
    {
        door.event(id, subject, "2024-05-31T10:00:00Z", data).await;
    }
    door
}

async fn token(door: &Door, body: Value) -> Value {
    door.post(TOKENS, body.to_string()).await.expect(200).json()
}

fn text_of(token: &Value) -> String {
    token["token"].as_str().unwrap().to_string()
}

async fn ask(door: &Door, path: &str, text: &str) -> Answer {
    door.call("GET", path, &[("authorization", &format!("Bearer {text}"))], "").await
}

async fn invalidate(door: &Door, body: Value) -> Answer {
    door.post(&format!("{TOKENS}/invalidate"), body.to_string()).await
}

#[tokio::test]
async fn a_token_opens_the_usage_of_its_subject_alone() {
    let door = with_usage().await;
    let made = token(&door, json!({"subject": "a", "unknown": 1})).await;
    assert_eq!(made["allowedMeterSlugs"], json!([]));
    assert_eq!(
        (&made["createdAt"], &made["expiresAt"]),
        (&json!("2024-06-01T00:00:00Z"), &json!("2024-06-01T01:00:00Z"))
    );
    assert_eq!((made.get("expired"), &made["subject"]), (None, &json!("a")));
    let text = text_of(&made);
    let answer = ask(&door, QUERY, &text).await.expect(200).json();
    assert_eq!(answer["data"].as_array().unwrap().len(), 1);
    assert_eq!((&answer["data"][0]["subject"], &answer["data"][0]["value"]), (&json!("a"), &json!(3)));
    let windows =
        ask(&door, &format!("{QUERY}?windowSize=DAY&groupBy=m&filterGroupBy[m]=y"), &text).await.expect(200).json();
    assert_eq!((&windows["data"][0]["value"], &windows["windowSize"]), (&json!(2), &json!("DAY")));
    let advanced = "advancedMeterGroupByFilters=%7B%22m%22%3A%7B%22%24ne%22%3A%22y%22%7D%7D";
    assert_eq!(ask(&door, &format!("{QUERY}?{advanced}"), &text).await.expect(200).json()["data"][0]["value"], 1);
    let bearer = format!("Bearer {text}");
    let range = "from=2024-05-31T00:00:00Z&to=2024-06-01T00:00:00Z";
    let headers = [("authorization", bearer.as_str()), ("accept", "text/csv")];
    let csv = door.call("GET", &format!("{QUERY}?{range}"), &headers, "").await.expect(200);
    assert_eq!(
        csv.text,
        "window_start,window_end,subject,value\n2024-05-31T00:00:00Z,2024-06-01T00:00:00Z,a,3.000000\n"
    );
    for beyond in
        ["subject=b", "filterCustomerId=01ARZ3NDEKTSV4RRFFQ69G5FAV", "groupBy=customer_id", "nonsense=1", "groupBy=z"]
    {
        ask(&door, &format!("{QUERY}?{beyond}"), &text).await.expect(400);
    }
    let before = ask(&door, &format!("{QUERY}?asOf=2024-05-31T23:59:59Z"), &text).await.expect(200);
    assert_eq!(before.json()["data"], json!([]), "nothing was known then");
    ask(&door, "/api/v1/portal/meters/nothing/query", &text).await.expect(404);
    // A subject without usage has a token as well.
    let nobody = text_of(&token(&door, json!({"subject": "nobody"})).await);
    assert_eq!(ask(&door, QUERY, &nobody).await.expect(200).json()["data"], json!([]));
}

#[tokio::test]
async fn a_token_opens_the_meters_that_it_names() {
    let door = with_usage().await;
    let made = token(&door, json!({"subject": "a", "allowedMeterSlugs": ["calls"]})).await;
    assert_eq!(made["allowedMeterSlugs"], json!(["calls"]));
    let text = text_of(&made);
    let calls = ask(&door, "/api/v1/portal/meters/calls/query", &text).await.expect(200).json();
    assert_eq!(calls["data"][0]["value"], 2);
    let refused = ask(&door, QUERY, &text).await.expect(401);
    assert_eq!(refused.detail(), "unauthorized error: meter slug not allowed");
    for (body, status) in [
        (json!({"subject": "a", "allowedMeterSlugs": []}), 400),
        (json!({"subject": "a", "allowedMeterSlugs": ["nothing"]}), 404),
        (json!({"subject": ""}), 400),
        (json!({}), 400),
        (json!({"subject": "a", "expiresAt": "2024-06-01T00:00:00Z"}), 400),
        (json!({"subject": "a", "expiresAt": "soon"}), 400),
    ] {
        door.post(TOKENS, body.to_string()).await.expect(status);
    }
    assert_eq!(door.get(TOKENS).await.expect(200).json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_token_ends_when_it_expires() {
    let door = with_usage().await;
    let text = text_of(&token(&door, json!({"subject": "a", "expiresAt": "2024-06-01T00:00:10.5Z"})).await);
    door.set_clock("2024-06-01T00:00:10.499999Z");
    ask(&door, QUERY, &text).await.expect(200);
    door.set_clock("2024-06-01T00:00:10.5Z");
    let refused = ask(&door, QUERY, &text).await.expect(401);
    assert_eq!(refused.detail(), "unauthorized error: invalid token: it has expired");
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    assert_eq!(door.get(TOKENS).await.expect(200).json()[0]["expired"], true);
}

#[tokio::test]
async fn tokens_are_listed_without_their_text_and_invalidated_at_once() {
    let door = with_usage().await;
    let mut texts = Vec::new();
    for (second, subject) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
        door.set_clock(&format!("2024-06-01T00:00:0{second}Z"));
        texts.push(token(&door, json!({"subject": subject})).await);
    }
    let subjects = async |parameters: &str| {
        let listed = door.get(&format!("{TOKENS}{parameters}")).await.expect(200).json();
        assert!(listed.as_array().unwrap().iter().all(|token| token.get("token").is_none()));
        listed
            .as_array()
            .unwrap()
            .iter()
            .map(|token| token["subject"].as_str().unwrap().to_string())
            .collect::<String>()
    };
    assert_eq!((subjects("").await.as_str(), subjects("?limit=2").await.as_str()), ("caba", "ca"));
    for bad in ["?limit=0", "?limit=101", "?limit=x", "?page=1"] {
        door.get(&format!("{TOKENS}{bad}")).await.expect(400);
    }
    invalidate(&door, json!({"subject": "a"})).await.expect(204);
    for (made, status) in texts.iter().zip([401, 200, 401, 200]) {
        ask(&door, QUERY, &text_of(made)).await.expect(status);
    }
    let last = json!({"id": texts[3]["id"]});
    invalidate(&door, json!({"id": texts[3]["id"], "subject": "other"})).await.expect(204);
    assert_eq!(subjects("").await, "cb");
    for _ in 0..2 {
        invalidate(&door, last.clone()).await.expect(204);
        ask(&door, QUERY, &text_of(&texts[3])).await.expect(401);
    }
    assert_eq!(subjects("").await, "b");
    invalidate(&door, json!({})).await.expect(400);
    invalidate(&door, json!({"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"})).await.expect(404);
    invalidate(&door, json!({"id": "nonsense"})).await.expect(404);
    invalidate(&door, json!({"subject": "nobody"})).await.expect(204);
}

#[tokio::test]
async fn no_other_text_opens_the_portal_and_a_token_opens_nothing_else() {
    let mut door = with_usage().await;
    ask(&door, QUERY, "a.b.c").await.expect(401);
    let text = text_of(&token(&door, json!({"subject": "a"})).await);
    let foreign = with_usage().await;
    let theirs = text_of(&token(&foreign, json!({"subject": "a"})).await);
    let (head, rest) = text.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let unsigned = "eyJhbGciOiJub25lIn0";
    let read = door.make_key("default", Scope::Read).await;
    let admin = door.make_key("default", Scope::Admin).await;
    for bad in [
        format!("{unsigned}.{payload}."),
        format!("{unsigned}.{payload}.{signature}"),
        format!("{head}.{payload}."),
        format!("{head}.{payload}.{}", signature.chars().rev().collect::<String>()),
        theirs,
        admin.clone(),
        String::new(),
    ] {
        let refused = ask(&door, QUERY, &bad).await.expect(401);
        assert!(refused.detail().starts_with("unauthorized error: "), "{}", refused.detail());
    }
    door.get(QUERY).await.expect(401);
    ask(&door, QUERY, &text).await.expect(200);
    for path in ["/api/v1/meters", "/api/v1/meters/total/query", "/api/v2/events", TOKENS] {
        ask(&door, path, &text).await.expect(401);
    }
    door.key = Some(read);
    door.post(TOKENS, r#"{"subject":"a"}"#).await.expect(403);
    invalidate(&door, json!({"subject": "a"})).await.expect(403);
    door.get(TOKENS).await.expect(200);
    // Another namespace neither sees nor ends the token.
    door.key = Some(door.make_key("other", Scope::Admin).await);
    assert_eq!(door.get(TOKENS).await.expect(200).text, "[]");
    invalidate(&door, json!({"subject": "a"})).await.expect(204);
    door.key = None;
    ask(&door, QUERY, &text).await.expect(200);
}

#[tokio::test]
async fn browsers_are_told_who_may_ask() {
    let door = with_usage().await;
    let origin = ("origin", "https://app.example.com");
    let asked = [origin, ("access-control-request-method", "GET"), ("access-control-request-headers", "authorization")];
    let preflight = door.call("OPTIONS", QUERY, &asked, "").await.expect(200);
    assert_eq!(preflight.text, "");
    for (name, value) in [
        ("access-control-allow-origin", "https://app.example.com"),
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-methods", "GET,OPTIONS"),
        ("access-control-allow-headers", "accept,authorization,content-type,traceparent,tracestate"),
        ("access-control-max-age", "1728000"),
    ] {
        assert_eq!(preflight.header(name), value, "{name}");
    }
    let refused = door.call("GET", QUERY, &[origin], "").await.expect(401);
    assert_eq!(refused.header("access-control-allow-origin"), "https://app.example.com");
    assert_eq!(refused.header("content-type"), "application/problem+json");
    let shown = "retry-after,x-request-id,ratelimit,ratelimit-policy";
    assert_eq!(refused.header("access-control-expose-headers"), shown);
    let elsewhere = door.call("GET", "/api/v1/meters", &[origin], "").await.expect(200);
    assert_eq!(elsewhere.header("access-control-allow-origin"), "");
}

#[tokio::test]
async fn only_listed_pages_may_ask_where_some_are_listed() {
    let limits = tallystick_http_kit::HttpLimits {
        portal_origins: "https://a.example.com, https://b.example.com".into(),
        ..Default::default()
    };
    let door = Door::open_with(tallystick_engine::Limits::default(), limits).await;
    for (origin, allowed) in [("https://b.example.com", "https://b.example.com"), ("https://evil.example.com", "")] {
        let answer = door.call("GET", QUERY, &[("origin", origin)], "").await.expect(401);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
}
