//! The client commands against a running server.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{create_meter, event, run, send, server, stderr, stdout};
use std::io::Write;
use std::process::{Output, Stdio};
use tallystick_testkit::TestServer;
use tempfile::TempDir;

fn file(name: &str, content: &[u8]) -> (TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, content).unwrap();
    let path = path.to_str().unwrap().to_string();
    (dir, path)
}

fn summary(output: &Output) -> serde_json::Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|_| panic!("{} {}", stdout(output), stderr(output)))
}

fn counts(output: &Output) -> [u64; 4] {
    let summary = summary(output);
    ["lines", "accepted", "duplicate", "invalid"].map(|name| summary[name].as_u64().unwrap())
}

fn value(server: &TestServer, arguments: &[&str]) -> String {
    let output = server.command(&[&["query"], arguments].concat());
    assert!(output.status.success(), "{}", stderr(&output));
    stdout(&output).lines().nth(1).unwrap_or_default().trim().to_string()
}

fn ndjson(count: usize) -> String {
    (0..count)
        .map(|at| format!("{}\n", event(&at.to_string(), ["a", "b"][at % 2], "2024-01-31T10:00:00Z", "0.1")))
        .collect()
}

#[test]
fn ndjson_twice_changes_nothing() {
    let server = server();
    create_meter(&server);
    let (_dir, path) = file("events.ndjson", ndjson(2500).as_bytes());
    let first = server.command(&["ingest", &path, "--batch", "100", "--json"]);
    assert_eq!((counts(&first), first.status.code()), ([2500, 2500, 0, 0], Some(0)), "{}", stderr(&first));
    assert_eq!(value(&server, &["tokens"]), "250");
    let again = server.command(&["ingest", &path, "--json"]);
    assert_eq!((counts(&again), again.status.code()), ([2500, 0, 2500, 0], Some(0)));
    assert_eq!(value(&server, &["tokens"]), "250");
    let shown = stdout(&server.command(&["ingest", &path]));
    assert!(shown.starts_with("2500 events") && shown.contains("duplicate  2500"), "{shown}");
}

const CSV: &str = "year,month,day,hour,minute,carrier,flight,origin,distance,tail
2013,1,1,5,15,UA,1,EWR,1400,N14228
2013,3,10,2,30,UA,1,EWR,10.50,NA
2013,11,3,1,30,AA,7,JFK,NA,N2
2013,12,31,23,59,AA,7,JFK,,N2
";
const CSV_OPTIONS: [&str; 13] = [
    "--type",
    "flight",
    "--subject-column",
    "carrier",
    "--time-column",
    "year,month,day,hour,minute",
    "--id-columns",
    "year,month,day,carrier,flight",
    "--time-zone",
    "America/New_York",
    "--null-text",
    "NA",
    "--json",
];

#[test]
fn csv_twice_changes_nothing_and_missing_values_are_shown() {
    let server = server();
    let created = server.command(&[
        "meters",
        "create",
        "distance",
        "--aggregation",
        "sum",
        "--event-type",
        "flight",
        "--value",
        "$.distance",
    ]);
    assert!(created.status.success(), "{}", stderr(&created));
    let (_dir, path) = file("flights.csv", CSV.as_bytes());
    let ingest = [&["ingest", path.as_str()], &CSV_OPTIONS[..]].concat();
    assert_eq!(counts(&server.command(&ingest)), [4, 4, 0, 0]);
    let again = server.command(&ingest);
    assert_eq!((counts(&again), &summary(&again)["gaps_and_folds"]), ([4, 0, 4, 0], &serde_json::json!(2)));
    let shown = stdout(&server.command(&ingest[..ingest.len() - 1]));
    assert!(shown.contains("2 local times never come or come twice"), "{shown}");
    let help = [run(&["ingest", "--help"], &[]), run(&["query", "--help"], &[])];
    assert!(help.iter().all(|output| stdout(output).contains("the earlier is meant")));
    let output = server.command(&["query", "distance", "--window", "day", "--time-zone", "America/New_York"]);
    let shown = stdout(&output);
    let rows: Vec<_> =
        shown.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(&rows[..3], ["WINDOW VALUE", "2013-01-01 1400", "2013-03-10 10.5"], "{shown}");
    assert!(shown.contains("2 of all 4 events of this meter's type were not counted: 2 × "), "{shown}");
    // Half past two does not exist on this night; the clocks went forward.
    assert!(server.get("/api/v2/events").body.contains("\"time\":\"2013-03-10T07:30:00Z\""));
    assert!(!server.get("/api/v2/events").body.contains("NA\""));
}

#[test]
fn a_stray_quote_loses_no_other_line() {
    let server = server();
    let text = "id,at,who,note\n1,2024-01-01,a,x\n2,2024-01-02,a,\"open\n3,2024-01-03,a,5\" pipe\n4,2024-01-04,a,\"two\n\"\"lines\"\"\"\n5,2024-01-05,a,\n";
    let (_dir, path) = file("notes.csv", text.as_bytes());
    let options = ["--type", "note", "--subject-column", "who", "--time-column", "at", "--id-columns", "id"];
    let output = server.command(&[&["ingest", path.as_str(), "--time-zone", "UTC", "--json"], &options[..]].concat());
    assert_eq!((counts(&output), output.status.code()), ([5, 3, 0, 2], Some(1)), "{}", stderr(&output));
    let told: Vec<_> =
        summary(&output)["first_invalid"].as_array().unwrap().iter().map(|told| told["line"].clone()).collect();
    assert_eq!(told, [3, 4]);
    assert!(server.get("/api/v2/events").body.contains(r#""note":"two\n\"lines\"""#));
}

#[test]
fn rows_of_two_tables_with_the_same_ids_all_count() {
    let server = server();
    let (_dir, path) = file("rows.csv", b"id,at,who\n1,2024-01-01,a\n2,2024-01-02,b\n");
    let ingest = |event_type: &str| {
        let options = ["--subject-column", "who", "--time-column", "at", "--id-columns", "id", "--time-zone", "UTC"];
        let fixed = ["ingest", path.as_str(), "--json", "--type", event_type];
        counts(&server.command(&[&fixed[..], &options[..]].concat()))
    };
    assert_eq!([ingest("download"), ingest("upload"), ingest("upload")], [[2, 2, 0, 0], [2, 2, 0, 0], [2, 0, 2, 0]]);
}

#[test]
fn an_import_is_watched_by_its_id() {
    let server = server();
    create_meter(&server);
    let invalid = [event("x", "", "2024-01-31T10:00:00Z", "1"), "not json".into()].join("\n");
    let (_dir, path) = file("events.ndjson", format!("{}{invalid}", ndjson(298)).as_bytes());
    let output = server.command(&["ingest", &path, "--batch", "100", "--json", "--client-id", "january"]);
    assert_eq!((counts(&output), output.status.code()), ([300, 298, 0, 2], Some(1)), "{}", stderr(&output));
    let told: serde_json::Value = serde_json::from_str(&server.get("/api/v1/info/progress/january").body).unwrap();
    // The server never sees what is no event.
    assert_eq!(["success", "failed", "total"].map(|name| told[name].as_u64().unwrap()), [298, 1, 299], "{told}");
    let spaced = server.command(&["ingest", &path, "--client-id", "a b"]);
    assert_eq!((spaced.status.code(), stderr(&spaced).contains("1 to 36 ASCII characters")), (Some(2), true));
}

#[test]
fn a_query_tells_what_was_known_then() {
    let server = server();
    create_meter(&server);
    send(&server, &event("1", "a", "2024-01-31T10:00:00Z", "5"));
    assert_eq!(value(&server, &["tokens"]), "5");
    let before = server.command(&["query", "tokens", "--as-of", "2024-02-01"]);
    assert!(stdout(&before).contains("no events count for this query"), "{}", stdout(&before));
    let ahead = server.command(&["query", "tokens", "--as-of", "2999-01-01"]);
    assert_eq!((ahead.status.code(), stderr(&ahead).contains("asOf must not lie ahead")), (Some(1), true));
}

#[test]
fn invalid_lines_are_reported_and_the_rest_is_sent() {
    let server = server();
    create_meter(&server);
    let mut lines: Vec<String> = ndjson(300).lines().map(str::to_string).collect();
    lines[6] = event("x", "", "2024-01-31T10:00:00Z", "1");
    lines[99] = "not json".into();
    lines[150] = event("y", "a", "2024-02-31T10:00:00Z", "1");
    lines[200] = r#"{"specversion":"1.0","id":"z","source":"s","type":"t","subject":"s","data":{"a":1,"a":2}}"#.into();
    lines[299] = "[]".into();
    let (_dir, path) = file("events.ndjson", lines.join("\n").as_bytes());
    let output = server.command(&["ingest", &path, "--batch", "100", "--json"]);
    assert_eq!((counts(&output), output.status.code()), ([300, 295, 0, 5], Some(1)), "{}", stderr(&output));
    let summary = summary(&output);
    let told = summary["first_invalid"].as_array().unwrap();
    let found: Vec<_> = told.iter().map(|invalid| invalid["line"].as_u64().unwrap()).collect();
    assert_eq!(found, [7, 100, 151, 201, 300]);
    let reason = |at: usize| told[at]["reason"].as_str().unwrap();
    assert!(reason(0).contains("subject"), "{}", reason(0));
    assert!(reason(1).contains("not valid JSON"), "{}", reason(1));
    assert!(reason(2).contains("time"), "{}", reason(2));
    assert_eq!(value(&server, &["tokens"]), "29.5", "events of the batches that had invalid lines");
    let shown = server.command(&["ingest", &path]);
    assert!(stdout(&shown).contains("  line 7: subject: "), "{}", stdout(&shown));
}

#[test]
fn batches_that_are_too_large_for_the_server_are_halved() {
    let server = common::options().env("TALLYSTICK_LIMITS__BATCH_EVENTS", "10").start();
    let (_dir, path) = file("events.ndjson", ndjson(95).as_bytes());
    let output = server.command(&["ingest", &path, "--batch", "50", "--json"]);
    assert_eq!(counts(&output), [95, 95, 0, 0], "{}", stderr(&output));
}

#[test]
fn a_refused_key_ends_the_run_and_says_what_is_missing() {
    let server = server();
    common::create_key(server.data_dir(), "admin");
    std::thread::sleep(std::time::Duration::from_millis(200));
    let (_dir, path) = file("events.ndjson", ndjson(5000).as_bytes());
    let output = server.command(&["ingest", &path, "--batch", "10"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("TALLYSTICK_KEY") && stderr(&output).contains("run the same command again"));
    assert!(stdout(&output).contains("accepted   0") && stdout(&output).contains("not sent"), "{}", stdout(&output));
}

#[test]
fn events_come_from_stdin_too() {
    let server = server();
    let mut command = tallystick_testkit::server::bare_command(common::BINARY.as_ref());
    command.args(["ingest", "-", "--json", "--server", server.url()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(ndjson(10).as_bytes()).unwrap();
    assert_eq!(counts(&child.wait_with_output().unwrap()), [10, 10, 0, 0]);
}

#[test]
fn a_file_goes_on_after_the_server_was_away() {
    let mut server = server();
    create_meter(&server);
    let (_dir, path) = file("events.ndjson", ndjson(1000).as_bytes());
    let port = server.url().rsplit(':').next().unwrap().to_string();
    let url = server.url().to_string();
    let mut command = tallystick_testkit::server::bare_command(common::BINARY.as_ref());
    command.args(["ingest", "-", "--json", "--batch", "10", "--server", &url]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let half = text.len() / 2;
    stdin.write_all(&text.as_bytes()[..half]).unwrap();
    while !server.get("/metrics").body.contains("tallystick_http_requests_total{route=\"/api/v1/events\"") {}
    let data_dir = server.data_dir().to_path_buf();
    server.kill_9();
    let writer = std::thread::spawn(move || stdin.write_all(&text.as_bytes()[half..]).unwrap());
    let back = common::options().data_dir(&data_dir).listen(format!("127.0.0.1:{port}")).start();
    writer.join().unwrap();
    let output = child.wait_with_output().unwrap();
    let [lines, accepted, duplicate, invalid] = counts(&output);
    assert_eq!((lines, accepted + duplicate, invalid), (1000, 1000, 0), "{}", stderr(&output));
    assert_eq!(value(&back, &["tokens"]), "100");
}

#[test]
fn a_query_is_a_table_json_or_csv() {
    let server = server();
    create_meter(&server);
    let events = [
        event("1", "a", "2024-01-31T23:30:00Z", "0.10"),
        event("2", "a", "2024-01-31T23:45:00Z", "0.2"),
        event("3", "b", "2024-02-01T00:30:00Z", "12345678901234567890.123"),
        event("4", "b", "2024-02-02T00:30:00Z", "\"x\""),
    ];
    let (_dir, path) = file("e.ndjson", events.join("\n").as_bytes());
    assert!(server.command(&["ingest", &path]).status.success());
    let query =
        ["query", "tokens", "--window", "day", "--group-by", "model", "--from", "2024-01-31", "--to", "2024-02-03"];
    let table = stdout(&server.command(&query));
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines[0], "WINDOW      MODEL                     VALUE");
    assert!(lines[1].starts_with("2024-01-31  m-a                         0.3  ▏"), "{table}");
    assert!(lines[2].starts_with("2024-02-01  m-b    12345678901234567890.123  ███"), "{table}");
    assert!(
        table.ends_with(
            "1 of all 4 events of this meter's type were not counted: 1 × the value is not a decimal number\n"
        )
    );

    let zoned = stdout(&server.command(&[&query[..8], &["--time-zone", "Europe/Budapest", "--json"][..]].concat()));
    let answer: serde_json::Value = serde_json::from_str(&zoned).unwrap();
    assert_eq!(answer["from"], "2024-01-30T23:00:00Z", "midnight in Budapest");
    assert_eq!(answer["data"][0]["windowStart"], "2024-02-01T00:00:00+01:00");
    assert!(zoned.contains("12345678901234567890.123"));

    let csv = stdout(&server.command(&[&query[..], &["--csv"]].concat()));
    assert!(
        csv.starts_with("window_start,window_end,model,value\n") && csv.contains("12345678901234567890.123"),
        "{csv}"
    );

    let filtered = stdout(&server.command(&["query", "tokens", "--filter", "model=m-a", "--filter", "model=m-c"]));
    assert!(filtered.starts_with("VALUE\n  0.3\n"), "{filtered}");
    let subjects = stdout(&server.command(&["query", "tokens", "--subject", "a"]));
    assert!(subjects.starts_with("SUBJECT  VALUE\na          0.3  ███"), "{subjects}");
    let none = stdout(&server.command(&["query", "tokens", "--to", "2000-01-01"]));
    assert_eq!(none, "no events count for this query\n");
}

#[test]
fn wrong_queries_say_what_is_wrong() {
    let server = server();
    create_meter(&server);
    for (arguments, code, part) in [
        (&["query", "nothing"][..], 1, "nothing"),
        (&["query", "tokens", "--group-by", "colour"], 1, "colour"),
        (&["query", "tokens", "--filter", "colour=red"], 1, "colour"),
        (&["query", "tokens", "--filter", "colour"], 2, "NAME=VALUE"),
        (&["query", "tokens", "--from", "yesterday"], 2, "yesterday"),
        (&["query", "tokens", "--from", "2024-01-02", "--to", "2024-01-01"], 1, "before"),
        (&["query", "tokens", "--time-zone", "Mars/Olympus"], 2, "Mars/Olympus"),
        (&["query", "tokens", "--window", "week"], 2, "week"),
        (&["query", "a/b"], 1, "a/b"),
        (&["ingest", "/nowhere.ndjson"], 2, "/nowhere.ndjson"),
        (&["ingest", "/"], 2, "folder"),
        (&["ingest", "-", "--type", "x"], 2, "--type"),
        (&["meters", "create", "Bad-Slug", "--aggregation", "count", "--event-type", "t"], 1, "slug"),
        (&["meters", "create", "a", "--aggregation", "median", "--event-type", "t"], 2, "unique_count"),
    ] {
        let output = server.command(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{arguments:?}: {}", stderr(&output));
        assert_eq!(stdout(&output), "", "{arguments:?}");
    }
}

#[test]
fn meters_are_created_listed_and_deleted() {
    let server = server();
    assert!(stdout(&server.command(&["meters", "list"])).contains("no meters yet"));
    create_meter(&server);
    let listed = stdout(&server.command(&["meters", "list"]));
    assert_eq!(
        listed,
        "METER   AGGREGATION  EVENT TYPE  VALUE     GROUP BY\ntokens  SUM          prompt      $.tokens  model=$.model\n"
    );
    let again = server.command(&["meters", "create", "tokens", "--aggregation", "count", "--event-type", "t"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("already exists"), "{}", stderr(&again));
    assert!(server.command(&["meters", "delete", "tokens"]).status.success());
    assert_eq!(server.command(&["meters", "delete", "tokens"]).status.code(), Some(1));
    assert_eq!(stdout(&server.command(&["meters", "list", "--json"])).trim(), "[]");
}

#[test]
fn without_a_server_the_commands_say_what_to_do() {
    let (_dir, path) = file("e.ndjson", ndjson(1).as_bytes());
    // Nothing can listen on port 1 of this machine without rights that no test needs.
    for arguments in [&["meters", "list"][..], &["query", "tokens"], &["ingest", path.as_str()]] {
        let output = run(arguments, &[("TALLYSTICK_SERVER", "http://127.0.0.1:1")]);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let said = stderr(&output);
        assert!(said.contains("http://127.0.0.1:1") && said.contains("tallystick serve"), "{said}");
    }
}

#[test]
fn plain_http_behind_an_https_url_is_hinted_at() {
    let server = server();
    let url = server.url().replace("http://", "https://");
    let output = run(&["meters", "list", "--server", &url], &[]);
    let hint = format!("--server {}", server.url());
    assert!(output.status.code() == Some(1) && stderr(&output).contains(&hint), "{}", stderr(&output));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let server = server();
    create_meter(&server);
    let mut command = tallystick_testkit::server::bare_command(common::BINARY.as_ref());
    command.args(["meters", "list", "--server", server.url()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
}
