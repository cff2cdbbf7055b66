//! The log at its most talkative holds neither secrets nor the data of events, whatever is sent to which route.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_key, options, run, stdout};
use std::collections::BTreeSet;
use tallystick_testkit::TestServer;
use tallystick_testkit::server::{call, request};

/// In everything that must not be logged: no other text of the program has it.
const MARKER: &str = "mArKeR";
/// Parts of event data and of names, marked.
const SUBJECT: &str = "subject-mArKeR";

/// Every operation of the document: method and path.
fn operations(server: &TestServer) -> Vec<(String, String)> {
    let document: serde_json::Value = serde_json::from_str(&server.get("/openapi.json").body).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in ["get", "post", "put", "patch", "delete"] {
            if item.get(method).is_some() {
                found.push((method.to_uppercase(), path.clone()));
            }
        }
    }
    found
}

/// A path with a marked text for each of its parameters.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { SUBJECT } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn sound_event(id: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}-{MARKER}","source":"source-{MARKER}","type":"prompt","subject":"{SUBJECT}","data":{{"tokens":"12{MARKER}","model":"{MARKER}"}}}}"#
    )
}

/// Bodies with the marker, from sound ones to ones that are cut off or no JSON.
fn bodies() -> Vec<(&'static str, Vec<u8>)> {
    let cloud_event = "application/cloudevents+json";
    let named = format!(
        r#"{{"name":"{MARKER}","key":"{MARKER}","subject":"{SUBJECT}","slug":"{MARKER}","source":"{MARKER}","id":"{MARKER}","reason":"{MARKER}"}}"#
    );
    let wrong_time =
        format!(r#"{{"specversion":"1.0","id":"x","source":"s","type":"t","subject":"{SUBJECT}","time":"{MARKER}"}}"#);
    vec![
        (cloud_event, sound_event("1").into_bytes()),
        (cloud_event, wrong_time.into_bytes()),
        ("application/cloudevents-batch+json", format!("[{},{{}}]", sound_event("2")).into_bytes()),
        (cloud_event, sound_event("3").replace("\"data\"", MARKER).into_bytes()),
        (cloud_event, sound_event("4").as_bytes()[..90].to_vec()),
        ("application/json", named.clone().into_bytes()),
        ("application/json", format!("[{named}]").into_bytes()),
        ("application/json", MARKER.as_bytes().to_vec()),
        (MARKER, format!("{MARKER}\u{0}").into_bytes()),
        ("application/json", [MARKER.as_bytes(), &[0xff, 0xfe]].concat()),
    ]
}

/// What a secret that is sent may look like.
fn secrets(key: &str) -> [String; 4] {
    let token = format!("eyJhbGciOiJIUzI1NiJ9.{MARKER}.{MARKER}");
    [format!("Bearer {key}"), format!("Bearer tsk_{MARKER}"), format!("Bearer {token}"), format!("Basic {MARKER}")]
}

/// Sends everything to one operation and returns the statuses.
fn drive(server: &TestServer, key: &str, method: &str, path: &str) -> BTreeSet<u16> {
    let query = format!("subject={MARKER}&from={MARKER}&filter={MARKER}&cursor={MARKER}&{MARKER}=1");
    let mut statuses = BTreeSet::new();
    let mut sent = 0;
    let mut send = |path: &str, authorization: &str, content_type: Option<&str>, body: Option<&[u8]>| {
        sent += 1;
        let mut request = request(method, server.url(), path)
            .header("authorization", authorization)
            .header("idempotency-key", format!("{method}-{path}-{sent}-{MARKER}"))
            .header("x-api-key", MARKER)
            .header("cookie", format!("session={MARKER}"));
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        statuses.insert(call(request, body).status);
    };
    for authorization in &secrets(key) {
        send(&filled(path), authorization, None, None);
        send(&format!("{}?{query}", filled(path)), authorization, None, None);
    }
    if matches!(method, "POST" | "PUT" | "PATCH") {
        for (content_type, body) in bodies() {
            send(&filled(path), &format!("Bearer {key}"), Some(content_type), Some(&body));
        }
    }
    statuses
}

/// The lines of a log that hold one of these texts.
fn telling<'a>(log: &'a str, texts: &[&str]) -> Vec<&'a str> {
    log.lines().filter(|line| texts.iter().any(|text| line.contains(text))).collect()
}

#[test]
fn neither_secrets_nor_events_are_in_the_log_at_any_level() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let key = create_key(&data, "admin");
    let secret = format!("portal-secret-{MARKER}-that-is-long-enough");
    let mut server = options()
        .data_dir(&data)
        .env("TALLYSTICK_PORTAL__TOKEN_SECRET", &secret)
        .env("TALLYSTICK_LOG__LEVEL", "trace")
        .start();
    let mut statuses = BTreeSet::new();
    for (method, path) in operations(&server) {
        statuses.extend(drive(&server, &key, &method, &path));
    }
    assert_eq!(call(request("GET", server.url(), &format!("/nowhere/{MARKER}?a={MARKER}")), None).status, 404);
    // The server has understood some of it and refused some of it: silence about both.
    for status in [200, 204, 400, 401, 404, 501] {
        assert!(statuses.contains(&status), "{status} was never answered: {statuses:?}");
    }
    let marked = server.call_with_key("GET", "/api/v2/events", &key);
    assert!(marked.body.contains(SUBJECT), "the event was not stored: {}", marked.body);
    let token = portal_token(&server, &key);
    assert_eq!(server.call_with_key("GET", "/api/v1/portal/meters/tokens/query", &token).status, 404);
    let ended = server.stop();
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.stderr.contains("\"level\":\"TRACE\"") || ended.stderr.contains("\"level\":\"DEBUG\""),
        "nothing is talkative"
    );
    let told = telling(&format!("{}{}", ended.stdout, ended.stderr), &[MARKER, &key, &token]).join("\n");
    assert!(told.is_empty(), "{told}");
}

/// A token for one subject.
fn portal_token(server: &TestServer, key: &str) -> String {
    let request =
        request("POST", server.url(), "/api/v1/portal/tokens").header("authorization", format!("Bearer {key}"));
    let body = format!(r#"{{"subject":"{SUBJECT}"}}"#);
    let made = call(request.header("content-type", "application/json"), Some(body.as_bytes()));
    let made: serde_json::Value = serde_json::from_str(&made.body).unwrap();
    made["token"].as_str().unwrap().to_string()
}

#[test]
fn a_configuration_with_secrets_is_refused_without_repeating_them() {
    let url = format!("postgres://user:{MARKER}@127.0.0.1:1/none");
    let refused = run(
        &["serve", "--listen", "127.0.0.1:0"],
        &[
            ("TALLYSTICK_STATE_URL", url.as_str()),
            ("TALLYSTICK_DATA_DIR", tempfile::tempdir().unwrap().path().to_str().unwrap()),
            ("TALLYSTICK_LOG__LEVEL", "trace"),
        ],
    );
    assert_eq!(refused.status.code(), Some(2));
    let said = format!("{}{}", stdout(&refused), common::stderr(&refused));
    assert!(said.contains("state") && !said.contains(MARKER), "{said}");
    let short = run(&["serve", "--listen", "127.0.0.1:0"], &[("TALLYSTICK_PORTAL__TOKEN_SECRET", MARKER)]);
    assert!(short.status.code() == Some(2) && !common::stderr(&short).contains(MARKER));
}
