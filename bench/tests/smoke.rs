//! The bench over a small data set: everything that needs no other engine is measured, and the answers are right.

use std::path::{Path, PathBuf};
use std::process::Command;

const BENCH: &str = env!("CARGO_BIN_EXE_tallystick-bench");

/// The product's binary, built beside the bench; tests of this crate alone do not build it.
fn product() -> PathBuf {
    let binary = Path::new(BENCH).with_file_name("tallystick");
    if !binary.exists() {
        let built = Command::new(env!("CARGO")).args(["build", "-p", "tallystick-server"]).status().unwrap();
        assert!(built.success());
    }
    binary
}

#[test]
fn a_small_run_measures_everything_and_finds_no_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results.json");
    let mut command = Command::new(BENCH);
    command.args(["run", "--events", "20k", "--without", "chdb,duckdb", "--round-ms", "80", "--rounds", "1"]);
    command.args(["--repeats", "1", "--dir"]).arg(folder.path()).arg("--server").arg(product());
    let output = command.arg("--results").arg(&results).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");

    let missing: Vec<&str> = stdout.lines().filter(|line| line.contains("not measured")).collect();
    let (of_others, ours): (Vec<&str>, Vec<&str>) =
        missing.iter().partition(|line| line.contains("ClickHouse") || line.contains("DuckDB"));
    assert!(ours.is_empty(), "{ours:?}");
    assert_eq!(of_others.len(), 10);

    let figures: serde_json::Value = serde_json::from_slice(&std::fs::read(&results).unwrap()).unwrap();
    let figures = figures.as_array().unwrap();
    assert!(figures.len() > 100, "{}", figures.len());
    for figure in figures {
        assert!(figure["measure"].is_string() && figure["contestant"].is_string() && figure["unit"].is_string());
        assert!(figure["value"].is_number() && figure["load"].is_number(), "{figure}");
    }
    let durable = |measure: &str| {
        let found = figures.iter().find(|it| it["measure"] == measure && it["contestant"] == "durable").unwrap();
        found["value"].as_f64().unwrap()
    };
    assert!(durable("ingest, 16 connections, 100 events each") > 0.0);
    assert!(durable("ingest, 16 connections, 100 events each, ÷ parse-only") > 0.0);
}

#[test]
fn the_data_set_is_written_as_events_and_as_columns() {
    let lines = |more: &[&str]| {
        let output = Command::new(BENCH).args(["generate", "--events", "1000"]).args(more).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_string).collect::<Vec<_>>()
    };
    let (events, columns) = (lines(&[]), lines(&["--tsv"]));
    assert_eq!((events.len(), columns.len()), (1000, 1000));
    for (event, row) in events.iter().zip(&columns) {
        let event: serde_json::Value = serde_json::from_str(event).unwrap();
        let row: Vec<&str> = row.split('\t').collect();
        assert_eq!(row.len(), 9);
        assert_eq!((event["type"].as_str(), event["id"].as_str()), (Some(row[0]), Some(row[4])));
        assert_eq!(event["data"]["user"], row[7]);
    }
}
