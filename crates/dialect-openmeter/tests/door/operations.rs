//! What is served, what is not, and that the document, the routes and the documentation agree on it.

use crate::support::{Answer, Door, EVENT};
use axum::body::Body;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use tallystick_dialect_openmeter::operations::{Published, is_served, published, published_v3};
use tallystick_domain::key::Scope;
use utoipa::openapi::{OpenApi, PathItem};

const DOCUMENTATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dialects/openmeter.md");
const NOT_SERVED: [&str; 2] =
    [concat!(env!("CARGO_MANIFEST_DIR"), "/not-served.txt"), concat!(env!("CARGO_MANIFEST_DIR"), "/not-served-v3.txt")];
/// Paths that go on with the name of one thing.
const NAMED: [&str; 6] = ["/meters/", "/subjects/", "/customers/", "/features/", "/entitlements/", "/grants/"];
const TABLE_STARTS: [&str; 2] = ["<!-- operations: start -->\n", "<!-- operations of version 3: start -->\n"];
const TABLE_ENDS: [&str; 2] = ["<!-- operations: end -->", "<!-- operations of version 3: end -->"];
const OUR_ENTITLEMENT: &str =
    r#"{"type":"metered","featureKey":"ours_f","usagePeriod":{"interval":"DAY"},"metadata":{"a":"secret-name"}}"#;
const OUR_GRANT: &str = r#"{"amount":7,"effectiveAt":"2024-06-01T00:00:00Z","metadata":{"a":"secret-name"}}"#;
/// Paths of the third version.
const V3: &str = "/api/v3/";

fn ids_of(item: &PathItem) -> Vec<(&'static str, String)> {
    let operations = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
        ("HEAD", &item.head),
        ("OPTIONS", &item.options),
        ("TRACE", &item.trace),
    ];
    let named = operations.into_iter().filter_map(|(method, operation)| Some((method, operation.as_ref()?)));
    named.map(|(method, operation)| (method, operation.operation_id.clone().unwrap())).collect()
}

/// A path with something in the place of its parameters.
fn filled(path: &str, id: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { id } else { part });
    parts.collect::<Vec<_>>().join("/")
}

/// The operations with the names of the SDK's functions that call them.
fn operations(published: Vec<Published>) -> BTreeMap<(&'static str, &'static str), Vec<&'static str>> {
    let mut operations: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for published in published {
        operations.entry((published.path, published.method)).or_default().push(published.id);
    }
    operations
}

async fn call(door: &Door, method: &str, path: &str) -> Answer {
    let body = if matches!(method, "GET" | "DELETE") { Body::empty() } else { Body::from("{}") };
    door.call(method, path, &[("content-type", "application/json")], body).await
}

#[test]
fn all_153_and_138_operations_are_known() {
    // Five of the SDK's functions share a method and path with another, and four of the client's.
    for (published, functions, count) in [(published(), 158, 153), (published_v3(), 142, 138)] {
        assert_eq!(published.iter().collect::<BTreeSet<_>>().len(), functions);
        assert_eq!(operations(published).len(), count);
    }
}

fn all_published() -> impl Iterator<Item = Published> {
    published().into_iter().chain(published_v3())
}

#[tokio::test]
async fn the_document_describes_every_operation_once() {
    let document = Door::open().await.document;
    let described: BTreeMap<(String, &str), String> = document
        .paths
        .paths
        .iter()
        .flat_map(|(path, item)| ids_of(item).into_iter().map(|(method, id)| ((path.clone(), method), id)))
        .collect();
    let unique: BTreeSet<_> = described.values().collect();
    assert_eq!(unique.len(), described.len(), "operation ids repeat");
    for operation in all_published() {
        assert!(described.contains_key(&(operation.path.to_string(), operation.method)), "{operation:?}");
    }
    let text = document.to_json().unwrap();
    assert!(text.contains("\"openapi\":\"3.1.0\""));
    for operation in all_published() {
        assert!(text.contains(&format!("\"{}\"", operation.id)), "{} is not in the document", operation.id);
    }
    // Every reference leads somewhere.
    for reference in text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.components.as_ref().unwrap().schemas.contains_key(reference), "{reference}");
    }
}

#[tokio::test]
async fn the_document_names_the_window_sizes_and_the_form_of_times() {
    let document: Value = serde_json::from_str(&Door::open().await.document.to_json().unwrap()).unwrap();
    let sizes = json!(["MINUTE", "HOUR", "DAY", "MONTH"]);
    let in_body = &document["components"]["schemas"]["MeterQueryRequest"]["properties"]["windowSize"];
    let is_known = in_body.to_string().contains("#/components/schemas/WindowSize");
    assert!(is_known && document["components"]["schemas"]["WindowSize"]["enum"] == sizes, "{in_body}");
    let (mut windows, mut times) = (0, 0);
    for (path, item) in document["paths"].as_object().unwrap() {
        let parameters = item["get"]["parameters"].as_array().into_iter().flatten();
        for parameter in parameters {
            match parameter["name"].as_str().unwrap() {
                "windowSize" => {
                    windows += 1;
                    assert!(parameter["schema"].to_string().contains(&sizes.to_string()), "{path}: {parameter}");
                }
                "from" | "to" | "asOf" | "ingestedAtFrom" | "ingestedAtTo" => {
                    times += 1;
                    assert_eq!(parameter["schema"]["format"], "date-time", "{path}: {parameter}");
                }
                _ => {}
            }
        }
    }
    assert_eq!((windows, times), (4, 22));
    let features = &document["paths"]["/api/v1/features"]["get"]["responses"]["200"]["content"]["application/json"];
    let name = features["schema"]["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()).unwrap();
    let forms = document["components"]["schemas"][name]["oneOf"].as_array().unwrap();
    assert_eq!(forms.len(), 2, "a list of features is an array or a page: {features}");
}

#[tokio::test]
async fn every_described_operation_has_a_route_and_unserved_ones_say_so() {
    let door = Door::open().await;
    for operation in all_published() {
        let answer = call(&door, operation.method, &filled(operation.path, "x")).await;
        if is_served(&door.document, &operation) {
            assert!(answer.status != 501 && answer.status != 405, "{operation:?}");
            let has_route =
                answer.status != 404 || !["", "there is no such operation"].contains(&answer.detail().as_str());
            assert!(has_route, "{operation:?} has no route");
        } else {
            let answer = answer.expect(501);
            let start = if operation.path.starts_with(V3) { "operation " } else { "not implemented error: operation " };
            assert!(answer.detail().starts_with(start), "{}", answer.detail());
            assert!(answer.detail().contains(operation.id), "{operation:?}: {}", answer.detail());
        }
    }
}

#[tokio::test]
async fn the_list_of_what_is_not_served_is_true() {
    let document = Door::open().await.document;
    for (file, published) in NOT_SERVED.into_iter().zip([published(), published_v3()]) {
        let not_served = published.into_iter().filter(|operation| !is_served(&document, operation));
        let mut actual = String::new();
        for operation in not_served {
            writeln!(actual, "{} {} {}", operation.method, operation.path, operation.id).unwrap();
        }
        let committed = std::fs::read_to_string(file).unwrap();
        assert_eq!(committed, actual, "take out of {file} what is served now, and add nothing to it");
    }
}

fn table(document: &OpenApi, published: Vec<Published>, functions_of: &str) -> String {
    let (mut lines, mut served) = (String::new(), 0);
    let all = operations(published);
    for ((path, method), ids) in &all {
        let is_served = is_served(document, &Published { method, path, id: ids[0] });
        served += usize::from(is_served);
        let answer = if is_served { "yes" } else { "501" };
        writeln!(lines, "| `{method} {path}` | `{}` | {answer} |", ids.join("` `")).unwrap();
    }
    let head = format!("| operation | function of the {functions_of} | served |\n| --- | --- | --- |\n");
    format!("{served} of {} operations are served.\n\n{head}{lines}", all.len())
}

#[tokio::test]
async fn the_documentation_lists_every_operation() {
    let document = Door::open().await.document;
    let text = std::fs::read_to_string(DOCUMENTATION).unwrap();
    for ((start, end), (published, functions_of)) in
        TABLE_STARTS.into_iter().zip(TABLE_ENDS).zip([(published(), "SDK"), (published_v3(), "client")])
    {
        let (_, rest) = text.split_once(start).expect("the documentation has a table");
        let (committed, _) = rest.split_once(end).expect("the table ends");
        let actual = table(&document, published, functions_of);
        assert_eq!(committed, actual, "the table between the marks in {DOCUMENTATION} must be:\n{actual}");
    }
}

#[tokio::test]
async fn no_operation_answers_without_a_key_or_with_a_wrong_one() {
    let mut door = Door::open().await;
    door.meter("total", "SUM").await;
    door.make_key("default", Scope::Admin).await;
    for key in [None, Some("tsk_wrong".to_string())] {
        door.key = key;
        for (path, item) in door.document.paths.paths.clone() {
            for (method, operation) in ids_of(&item) {
                let answer = call(&door, method, &filled(&path, "total")).await;
                assert_eq!(answer.status, 401, "{operation}: {}", answer.text);
                let start = if path.starts_with(V3) { "" } else { "unauthorized error: " };
                assert!(answer.detail().starts_with(start), "{operation}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn another_namespace_sees_nothing() {
    let mut door = Door::open().await;
    door.meter("total", "SUM").await;
    door.event("secret-event", "secret-subject", "2024-05-31T12:00:00Z", r#"{"v":1,"m":"secret-value"}"#).await;
    let id = door.get("/api/v1/meters/total").await.json()["id"].as_str().unwrap().to_string();
    let mut made = vec![id.clone(), "total".to_string()];
    for (path, body) in [
        ("/api/v1/subjects", r#"[{"key":"ours_s","displayName":"secret-name"}]"#),
        ("/api/v1/customers", r#"{"key":"ours_c","name":"secret-name"}"#),
        ("/api/v1/portal/tokens", r#"{"subject":"secret-subject"}"#),
        ("/api/v1/features", r#"{"key":"ours_f","name":"secret-name","meterSlug":"total"}"#),
        ("/api/v2/customers/ours_c/entitlements", OUR_ENTITLEMENT),
        ("/api/v2/customers/ours_c/entitlements/ours_f/grants", OUR_GRANT),
    ] {
        let answer = door.post(path, body).await.json();
        let item = if answer.is_array() { &answer[0] } else { &answer };
        made.extend(["id", "key"].iter().filter_map(|field| item[*field].as_str().map(str::to_string)));
    }
    let own = door.make_key("default", Scope::Admin).await;
    door.key = Some(door.make_key("other", Scope::Admin).await);
    for (path, item) in door.document.paths.paths.clone() {
        for (method, operation) in ids_of(&item) {
            for name in &made {
                // A dimension that the meter has, so that nothing but the namespace can hide its values.
                let path = filled(&path.replace("{groupByKey}", "m"), name);
                let answer = call(&door, method, &path).await;
                assert!(
                    !answer.text.contains("secret") && !answer.text.contains(&id) || answer.status == 404,
                    "{operation}: {}",
                    answer.text
                );
                let names_one = NAMED.iter().any(|kind| path.contains(kind)) && !path.contains("/portal/");
                let is_hidden = [400, 404, 501].contains(&answer.status.as_u16());
                assert!(!names_one || is_hidden, "{operation}: {} {}", answer.status, answer.text);
                let is_its_own = [id.as_str(), "total"].contains(&name.as_str()) && path.contains("/meters/");
                // The third version knows no names but ids, and refuses a body before it looks for its meter.
                let is_refused = path.starts_with(V3) && answer.status == 400;
                assert!(
                    !is_its_own || path.contains("/portal/") || answer.status == 404 || is_refused,
                    "{operation}: {}",
                    answer.status
                );
            }
        }
    }
    let lists = ["events", "meters?includeDeleted=true", "entitlements", "grants?includeDeleted=true"];
    for path in lists.map(|name| format!("/api/v1/{name}")) {
        assert_eq!(door.get(&path).await.expect(200).text, "[]");
    }
    assert_eq!(door.ids().await.len(), 0);
    // The same identity is another event here, and the first namespace has lost nothing.
    let same = r#"{"specversion":"1.0","id":"secret-event","source":"s","type":"t","subject":"secret-subject"}"#;
    assert_eq!(door.ingest(EVENT, same).await.expect(204).header("tallystick-accepted"), "1");
    door.key = Some(own);
    assert_eq!(door.ids().await, ["secret-event"]);
    assert_eq!(door.get("/api/v1/meters/total").await.expect(200).json()["id"], id);
    for path in [
        "subjects/ours_s",
        "customers/ours_c",
        "features/ours_f",
        "subjects/ours_c/entitlements/ours_f",
        "subjects/ours_c/entitlements/ours_f/grants",
    ] {
        assert!(door.get(&format!("/api/v1/{path}")).await.expect(200).text.contains("secret-name"), "{path}");
    }
}

#[tokio::test]
async fn what_a_body_or_a_filter_names_is_looked_for_in_the_own_namespace() {
    let mut door = Door::open().await;
    door.meter("total", "SUM").await;
    let meter = door.get("/api/v1/meters/total").await.json()["id"].as_str().unwrap().to_string();
    let made = door.post("/api/v1/customers", r#"{"key":"ours","name":"N"}"#).await.expect(201).json();
    let customer = made["id"].as_str().unwrap();
    let token = door.post("/api/v1/portal/tokens", r#"{"subject":"s"}"#).await.expect(200).json();
    let feature =
        door.post("/api/v1/features", r#"{"key":"f","name":"F","meterSlug":"total"}"#).await.expect(201).json();
    let issuing = r#"{"type":"metered","featureKey":"f","usagePeriod":{"interval":"DAY"},"issue":{"amount":1}}"#;
    let entitlement = door.post("/api/v2/customers/ours/entitlements", issuing).await.expect(201).json();
    let grants = door.get("/api/v1/grants").await.json();
    let own = door.make_key("default", Scope::Admin).await;
    door.key = Some(door.make_key("other", Scope::Admin).await);
    door.meter("theirs", "SUM").await;
    let by_customer = format!("/api/v1/meters/theirs/query?filterCustomerId={customer}");
    door.get(&by_customer).await.expect(404);
    let in_body = json!({"filterCustomerId": [customer]}).to_string();
    door.post("/api/v1/meters/theirs/query", in_body).await.expect(404);
    door.get(&format!("/api/v1/events?customerId={customer}")).await.expect(400);
    let filter = crate::support::encoded(&json!({"customerId": {"$in": [customer]}}).to_string());
    door.get(&format!("/api/v2/events?filter={filter}")).await.expect(400);
    for name in ["total", meter.as_str()] {
        let feature = json!({"key": "f", "name": "F", "meterSlug": name}).to_string();
        door.post("/api/v1/features", feature).await.expect(404);
    }
    let their = r#"{"key":"theirs","name":"N"}"#;
    door.post("/api/v1/customers", their).await.expect(201);
    let given = json!({"type": "boolean", "featureId": feature["id"]}).to_string();
    door.post("/api/v2/customers/theirs/entitlements", given).await.expect(404);
    let (entitlement, grant) = (entitlement["id"].as_str().unwrap(), grants[0]["id"].as_str().unwrap());
    for path in ["", "/value", "/grants", "/history?windowSize=DAY"] {
        let answer = door.get(&format!("/api/v2/customers/theirs/entitlements/{entitlement}{path}")).await;
        assert!(answer.status == 404 || answer.text == r#"{"hasAccess":false}"#, "{path}: {}", answer.text);
    }
    door.call("DELETE", &format!("/api/v1/grants/{grant}"), &[], "").await.expect(404);
    door.get(&format!("/api/v2/grants?customer={customer}")).await.expect(404);
    for path in ["v1/entitlements?subject=ours".to_string(), "v1/grants?subject=ours".into()] {
        assert_eq!(door.get(&format!("/api/{path}")).await.expect(200).text, "[]");
    }
    let listed = door.get(&format!("/api/v2/entitlements?customerIds={customer}")).await.expect(200).json();
    assert_eq!(listed["totalCount"], 0);
    let allowed = json!({"subject": "s", "allowedMeterSlugs": ["total"]}).to_string();
    door.post("/api/v1/portal/tokens", allowed).await.expect(404);
    let invalid = json!({"id": token["id"]}).to_string();
    door.post("/api/v1/portal/tokens/invalidate", invalid).await.expect(404);
    door.key = Some(own);
    assert_eq!(door.get("/api/v1/portal/tokens").await.json()[0]["id"], token["id"], "it is as it was");
}
