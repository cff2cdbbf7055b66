//! Balances, grants and reservations of a running server: the command line, and many clients at once.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_meter, event, run, send, server, stderr, stdout};
use serde_json::{Value, json};
use std::process::Output;
use std::sync::Barrier;
use tallystick_domain::Instant;
use tallystick_engine::Clock;
use tallystick_testkit::TestServer;

const DAY_US: i64 = 86_400_000_000;
const JSON: &str = "application/json";
const CUSTOMER: &str = "/api/v2/customers/acme/entitlements";
const RESERVATIONS: &str = "/api/v2/customers/acme/entitlements/tokens/reservations";

/// Midnight so many days after that of ten days ago.
fn day(number: i64) -> String {
    let now = Clock::System.now().as_micros();
    let midnight = now - now.rem_euclid(DAY_US);
    Instant::from_micros(midnight + (number - 10) * DAY_US).unwrap().to_string()
}

/// Creates something, which must succeed.
#[track_caller]
fn create(server: &TestServer, path: &str, body: &Value) -> Value {
    let reply = server.post(path, JSON, &body.to_string());
    assert_eq!(reply.status, 201, "{path}: {}", reply.body);
    serde_json::from_str(&reply.body).unwrap()
}

/// A server with customer `acme` and the features `tokens` (metered), `look` and `beta`.
fn furnished() -> TestServer {
    let server = server();
    create_meter(&server);
    create(&server, "/api/v1/features", &json!({"key": "tokens", "name": "T", "meterSlug": "tokens"}));
    for key in ["look", "beta"] {
        create(&server, "/api/v1/features", &json!({"key": key, "name": key}));
    }
    let customer = json!({"key": "acme", "name": "A", "usageAttribution": {"subjectKeys": ["acme-1"]}});
    create(&server, "/api/v1/customers", &customer);
    server
}

/// Gives `acme` a year of `tokens` that began ten days ago, without any grant.
fn entitle(server: &TestServer) {
    let body = json!({
        "type": "metered", "featureKey": "tokens", "usagePeriod": {"interval": "YEAR", "anchor": day(0)},
        "measureUsageFrom": "CURRENT_PERIOD_START",
    });
    create(server, CUSTOMER, &body);
}

/// Runs a command that must succeed, and gives what it printed.
#[track_caller]
fn shown(server: &TestServer, arguments: &[&str]) -> String {
    let output = server.command(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", stderr(&output));
    stdout(&output)
}

/// Creates a grant that began ten days ago, and gives its id.
fn grant(server: &TestServer, amount: &str, more: &[&str]) -> String {
    let begin = day(0);
    let fixed = ["grants", "create", "acme", "tokens", "--amount", amount, "--effective-at", &begin];
    let said = shown(server, &[&fixed[..], more].concat());
    let id =
        said.strip_prefix("created grant ").and_then(|rest| rest.split(' ').next()).unwrap_or_else(|| panic!("{said}"));
    assert_eq!(said, format!("created grant {id} of {amount}\n  see it: tallystick balance acme tokens\n"));
    id.to_string()
}

fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, part: &str) {
    let said = stderr(output);
    assert_eq!((output.status.code(), stdout(output).as_str()), (Some(code), ""), "{said}");
    assert!(said.contains(part), "{said} does not say {part:?}");
}

#[test]
fn a_burn_down_is_shown_with_its_grants_a_reset_and_overage() {
    let server = furnished();
    entitle(&server);
    let first = grant(&server, "100", &[]);
    let second = grant(&server, "50", &["--priority", "2", "--max-rollover", "20"]);
    send(&server, &event("1", "acme-1", &day(1), "120"));
    let body = json!({"effectiveAt": day(3), "retainAnchor": true}).to_string();
    assert_eq!(server.post(&format!("{CUSTOMER}/tokens/reset"), JSON, &body).status, 204);
    send(&server, &event("2", "acme", &day(4), "25.5"));
    let begin = day(0);
    let picture = shown(&server, &["balance", "acme", "tokens", "--from", &begin]);
    let rows = rows(&picture);
    assert_eq!(picture.lines().next().unwrap(), "tokens of acme: metered, hard limit; access: no");
    assert_eq!(rows[1][..2], ["period", day(3).replace(":00Z", "Z").as_str()], "{picture}");
    assert_eq!(rows[2].join(" "), "balance 0 of 20, used 25.5, overage 5.5", "{picture}");
    let empty = "·".repeat(30);
    assert_eq!(rows[4], ["GRANT", "PRIORITY", "LEFT", "OF", "ENDS"]);
    assert_eq!(rows[5], ["█", &first, "1", "0", "100", "never", &empty], "{picture}");
    assert_eq!(rows[6], ["▓", &second, "2", "0", "50", "never", &empty], "{picture}");
    assert_eq!(rows[8], ["UNTIL", "USED", "LEFT", "OVERAGE"]);
    let at_reset = day(3).replace(":00Z", "Z");
    assert_eq!(rows[9], [&at_reset, "120", "30", "0", &"▓".repeat(6)], "30 of the most, 150: {picture}");
    assert_eq!(rows[10], [&at_reset, "reset", "20", "0", &"▓".repeat(4)], "{picture}");
    assert_eq!(rows[11][1..], ["25.5", "0", "5.5", "!"], "{picture}");
    assert_eq!(rows.len(), 12, "{picture}");
    // Usage that comes late, for the time before the reset, takes from what was rolled over.
    send(&server, &event("late", "acme", &day(2), "15"));
    let later = shown(&server, &["balance", "acme", "tokens", "--from", &begin]);
    assert!(later.contains("balance  0 of 15, used 25.5, overage 10.5"), "{later}");
    let of_period = shown(&server, &["balance", "acme", "tokens"]);
    assert!(!of_period.contains("135") && of_period.contains("25.5"), "{of_period}");
}

#[test]
fn a_balance_has_a_line_for_each_feature() {
    let server = furnished();
    assert_eq!(shown(&server, &["balance", "acme"]), "customer acme has no entitlements\n");
    entitle(&server);
    grant(&server, "200", &[]);
    create(&server, CUSTOMER, &json!({"type": "static", "featureKey": "look", "config": "{\"a\":1}"}));
    create(&server, CUSTOMER, &json!({"type": "boolean", "featureKey": "beta"}));
    send(&server, &event("1", "acme", &day(1), "50.25"));
    let text = shown(&server, &["balance", "acme"]);
    let rows = rows(&text);
    assert_eq!(rows[0], ["FEATURE", "ACCESS", "LEFT", "OF", "USED", "OVERAGE"]);
    assert_eq!((&rows[1][..], &rows[2][..]), (&["beta", "yes"][..], &["look", "yes", "{\"a\":1}"][..]));
    let bar = format!("{}{}", "█".repeat(22), "·".repeat(8));
    assert_eq!(rows[3], ["tokens", "yes", "149.75", "200", "50.25", "0", &bar], "{text}");
    let look = shown(&server, &["balance", "acme", "look"]);
    assert_eq!(look, "look of acme: static; access: yes\nconfig   {\"a\":1}\n");
    assert_eq!(shown(&server, &["balance", "acme", "beta"]), "beta of acme: boolean; access: yes\n");
}

#[test]
fn json_is_the_servers_answer() {
    let server = furnished();
    entitle(&server);
    let id = grant(&server, "0.1234567890123456789", &[]);
    let all = shown(&server, &["balance", "acme", "--json"]);
    assert_eq!(all, format!("{}\n", server.get("/api/v1/customers/acme/access").body));
    let one = shown(&server, &["balance", "acme", "tokens", "--json"]);
    assert_eq!(one, format!("{}\n", server.get(&format!("{CUSTOMER}/tokens/value")).body));
    assert!(one.contains(r#""balance":0.1234567890123456789,"#), "{one}");
    let listed: Value = serde_json::from_str(&shown(&server, &["grants", "list", "acme", "tokens", "--json"])).unwrap();
    assert_eq!(listed["items"][0]["id"], id.as_str());
    let made = shown(&server, &["grants", "create", "acme", "tokens", "--amount", "2", "--json"]);
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!((&made["amount"], &made["priority"]), (&json!(2), &json!(1)));
}

#[test]
fn grants_are_created_listed_and_voided() {
    let server = furnished();
    entitle(&server);
    assert!(shown(&server, &["grants", "list", "acme", "tokens"]).contains("no grants yet: tallystick grants create"));
    let plain = grant(&server, "10", &[]);
    let more = ["--priority", "7", "--expires-after", "3months", "--recurs", "P2W", "--min-rollover", "1"];
    let rich = grant(&server, "5.5", &more);
    let text = shown(&server, &["grants", "list", "acme", "tokens"]);
    let expected = json!([["GRANT", "AMOUNT", "PRIORITY", "BEGINS", "ENDS"], [plain, "10", "1", day(0), "never"]]);
    assert_eq!(json!(rows(&text)[..2]), expected, "{text}");
    assert_eq!(rows(&text)[2][..4], [rich.as_str(), "5.5", "7", day(0).as_str()], "{text}");
    let listed: Value = serde_json::from_str(&server.get(&format!("{CUSTOMER}/tokens/grants")).body).unwrap();
    let made = &listed["items"][1];
    assert_eq!((&made["minRolloverAmount"], &made["maxRolloverAmount"]), (&json!(1), &json!(5.5)));
    assert_eq!((&made["recurrence"]["intervalISO"], &made["expiration"]["count"]), (&json!("P2W"), &json!(3)));
    send(&server, &event("1", "acme", &day(1), "4"));
    let at = day(2);
    assert_eq!(
        shown(&server, &["grants", "void", &plain, "--at", &at]),
        format!("voided grant {plain}; what was burned from it stays burned\n")
    );
    assert!(shown(&server, &["grants", "list", "acme", "tokens"]).contains(&format!("voided {at}")));
    let value: Value = serde_json::from_str(&server.get(&format!("{CUSTOMER}/tokens/value")).body).unwrap();
    assert_eq!((&value["balance"], &value["usage"], &value["overage"]), (&json!(5.5), &json!(4), &json!(0)));
    assert!(shown(&server, &["grants", "void", &rich]).contains(&rich));
    assert_refused(&server.command(&["grants", "void", &rich]), 1, "voided");
}

#[test]
fn wrong_balances_and_grants_say_what_is_wrong() {
    let server = furnished();
    entitle(&server);
    create(&server, CUSTOMER, &json!({"type": "boolean", "featureKey": "beta"}));
    let early = day(-1);
    let create = |more: &[&'static str]| [&["grants", "create", "acme", "tokens"][..], more].concat();
    for (arguments, code, part) in [
        (vec!["balance", "nobody"], 1, "nobody"),
        (vec!["balance", "nobody", "tokens"], 1, "nobody"),
        (vec!["balance", "acme", "none"], 1, "none"),
        (vec!["balance", "acme", "look"], 1, "look"),
        (vec!["balance", "a/b?c"], 1, "a/b?c"),
        (vec!["balance"], 2, "<CUSTOMER>"),
        (vec!["balance", "acme", "--from", "2024-01-01"], 2, "<FEATURE>"),
        (vec!["balance", "acme", "tokens", "--from", "yesterday"], 2, "yesterday"),
        (vec!["balance", "acme", "tokens", "--from", "2000-01-01"], 1, "from must not be before"),
        (vec!["grants", "list", "nobody", "tokens"], 1, "nobody"),
        (vec!["grants", "list", "acme", "none"], 1, "none"),
        (vec!["grants", "list", "acme", "beta"], 1, "metered"),
        (create(&[]), 2, "--amount"),
        (create(&["--amount", "ten"]), 2, "ten"),
        (create(&["--amount", "1e30"]), 2, "1e30"),
        (create(&["--amount", "0"]), 1, "amount"),
        (create(&["--amount=-5"]), 1, "amount"),
        (create(&["--amount", "1", "--priority", "0"]), 2, "priority"),
        (create(&["--amount", "1", "--priority", "256"]), 2, "priority"),
        (create(&["--amount", "1", "--expires-after", "3"]), 2, "for example 3month"),
        (create(&["--amount", "1", "--recurs", "FORTNIGHT"]), 1, "interval"),
        (create(&["--amount", "1", "--effective-at", "soon"]), 2, "soon"),
        (create(&["--amount", "1", "--min-rollover=-1"]), 1, "must not be below zero"),
        (vec!["grants", "create", "acme", "tokens", "--amount", "1", "--effective-at", &early], 1, "effectiveAt"),
        (vec!["grants", "create", "acme", "beta", "--amount", "1"], 1, "metered"),
        (vec!["grants", "create", "nobody", "tokens", "--amount", "1"], 1, "nobody"),
        (vec!["grants", "void", "01ARZ3NDEKTSV4RRFFQ69G5FAV"], 1, "grant not found"),
        (vec!["grants", "void", "x"], 1, "x"),
        (vec!["grants", "void", "x", "--at", "soon"], 2, "soon"),
        (vec!["grants"], 2, "create"),
    ] {
        let output = server.command(&arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert_refused(&output, code, part);
    }
    assert!(shown(&server, &["grants", "list", "acme", "tokens"]).contains("no grants yet"), "nothing was created");
}

#[test]
fn without_a_server_or_a_key_the_commands_say_what_to_do() {
    let nowhere = [("TALLYSTICK_SERVER", "http://127.0.0.1:1")];
    for arguments in [
        &["balance", "acme"][..],
        &["balance", "acme", "tokens"],
        &["grants", "list", "acme", "tokens"],
        &["grants", "create", "acme", "tokens", "--amount", "1"],
        &["grants", "void", "01ARZ3NDEKTSV4RRFFQ69G5FAV"],
    ] {
        let output = run(arguments, &nowhere);
        assert_refused(&output, 1, "no server answers at http://127.0.0.1:1");
        assert!(stderr(&output).contains("tallystick serve"));
    }
    let server = furnished();
    entitle(&server);
    let key = common::create_key(server.data_dir(), "read");
    let with_key =
        |arguments: &[&str]| run(arguments, &[("TALLYSTICK_SERVER", server.url()), ("TALLYSTICK_KEY", &key)]);
    assert_refused(&server.command(&["balance", "acme"]), 1, "TALLYSTICK_KEY");
    assert!(with_key(&["balance", "acme", "tokens"]).status.success());
    assert_refused(&with_key(&["grants", "create", "acme", "tokens", "--amount", "1"]), 1, "no admin scope");
}

/// Reserves one unit with a connection of its own, and gives the status and what is left.
fn reserve(server: &TestServer) -> (u16, Option<Value>) {
    let reply = server.post(RESERVATIONS, JSON, r#"{"amount":1,"expiresIn":"PT1H"}"#);
    let body: Value = serde_json::from_str(&reply.body).unwrap();
    (reply.status, body["extensions"].get("left").cloned())
}

#[test]
fn of_64_clients_one_gets_the_last_unit() {
    let server = furnished();
    entitle(&server);
    grant(&server, "3", &[]);
    send(&server, &event("1", "acme", &day(1), "2"));
    let start = Barrier::new(64);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let clients = (0..64).map(|_| {
            scope.spawn(|| {
                start.wait();
                reserve(&server)
            })
        });
        let clients: Vec<_> = clients.collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let refused = answers.iter().filter(|answer| **answer == (409, Some(json!(0)))).count();
    assert_eq!((answers.iter().filter(|(status, _)| *status == 201).count(), refused), (1, 63), "{answers:?}");
    let value = server.get(&format!("{CUSTOMER}/tokens/value")).body;
    assert!(value.contains(r#""hasAccess":false"#) && value.contains(r#""balance":1,"#), "{value}");
}

#[test]
fn a_reservation_outlives_a_kill() {
    let mut server = furnished();
    entitle(&server);
    grant(&server, "1", &[]);
    let made = create(&server, RESERVATIONS, &json!({"amount": 1, "expiresIn": "PT1H"}));
    server.kill_9();
    server.restart();
    assert_eq!(reserve(&server), (409, Some(json!(0))));
    let path = format!("{RESERVATIONS}/{}/commit", made["id"].as_str().unwrap());
    let usage = event("u", "acme", &day(1), "0.5");
    let committed = server.post(&path, "application/cloudevents+json", &usage);
    assert_eq!(committed.status, 200, "{}", committed.body);
    server.kill_9();
    server.restart();
    let again = server.post(&path, "application/cloudevents+json", &usage);
    assert_eq!((again.status, &again.body), (200, &committed.body), "the same event once more changes nothing");
    assert_eq!(reserve(&server), (409, Some(json!(0.5))));
}
