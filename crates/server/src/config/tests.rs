//! What each source may say, which one wins, and what the messages tell.

use super::*;
use crate::config::{DEFAULT_FILE, LogFormat, MeterConfig};
use std::collections::BTreeMap;

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn with_file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn from_file(text: &str) -> Result<Config, String> {
    let (_dir, path) = with_file(text);
    load(Some(&path), &[], &Overrides::default()).map_err(|error| error.to_string())
}

fn from_environment(pairs: &[(&str, &str)]) -> Result<Config, String> {
    load(None, &variables(pairs), &Overrides::default()).map_err(|error| error.to_string())
}

fn leaves(tree: &toml::Table, prefix: &str, found: &mut BTreeMap<String, String>) {
    for (key, value) in tree {
        match value {
            toml::Value::Table(section) => leaves(section, &format!("{prefix}{key}."), found),
            value => drop(found.insert(format!("{prefix}{key}"), value.to_string())),
        }
    }
}

#[test]
fn the_default_file_holds_every_option_with_its_default() {
    let (mut in_file, mut in_struct) = (BTreeMap::new(), BTreeMap::new());
    leaves(&DEFAULT_FILE.parse().unwrap(), "", &mut in_file);
    leaves(&toml::Table::try_from(Config::default()).unwrap(), "", &mut in_struct);
    assert_eq!(in_file, in_struct);
}

#[test]
fn every_option_of_the_default_file_is_explained_in_error_messages() {
    let mut in_file = BTreeMap::new();
    leaves(&DEFAULT_FILE.parse().unwrap(), "", &mut in_file);
    for key in in_file.keys() {
        let message = ConfigError::value(key, "x", "y").to_string();
        assert!(message.lines().nth(1).is_some_and(|line| line.len() > key.len() + 20), "{key}: {message}");
    }
}

#[test]
fn the_commented_meter_of_the_default_file_is_valid_and_complete() {
    let at = DEFAULT_FILE.find("# [[meters]]").unwrap();
    let example: String = DEFAULT_FILE[at..].lines().map(|line| format!("{}\n", &line[2..])).collect();
    let config = from_file(&example).unwrap();
    let meter = &config.meters[0];
    let shown = toml::Table::try_from(meter).unwrap();
    // A struct literal, so that a new field of a declared meter cannot be forgotten here.
    let MeterConfig {
        slug,
        name,
        description,
        event_type,
        event_from,
        aggregation,
        value_property,
        group_by,
        metadata,
    } = meter.clone();
    assert!(name.is_some() && description.is_some() && event_from.is_some());
    assert!(value_property.is_some() && metadata.is_some() && !group_by.is_empty());
    assert_eq!((slug.as_str(), event_type.as_str(), aggregation.as_str()), ("tokens_total", "prompt", "sum"));
    assert_eq!(shown.len(), 9);
    assert!(config.engine().unwrap().meters[0].value_property.is_some());
}

#[test]
fn the_default_file_itself_loads_to_the_defaults() {
    assert_eq!(from_file(DEFAULT_FILE).unwrap(), Config::default());
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let (_dir, path) = with_file(
        "listen = '127.0.0.1:1'\ndata_dir = 'file'\nstate_url = 'sqlite:file'\n[limits]\nbatch_events = 1\nbody_bytes = 2000",
    );
    let environment = variables(&[
        ("TALLYSTICK_LISTEN", "127.0.0.1:2"),
        ("TALLYSTICK_DATA_DIR", "2013"),
        ("TALLYSTICK_LIMITS__BATCH_EVENTS", "2"),
        ("TALLYSTICK_KEY", "tsk_secret"),
    ]);
    let flags = Overrides { listen: Some("127.0.0.1:3".into()), insecure: true, ..Overrides::default() };
    let config = load(Some(&path), &environment, &flags).unwrap();
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.data_dir, PathBuf::from("2013"));
    assert_eq!(config.state_url(), Some("sqlite:file"));
    assert_eq!((config.limits.batch_events, config.limits.body_bytes), (2, 2000));
    assert_eq!(config.limits.json_depth, Config::default().limits.json_depth);
    assert!(config.insecure);
}

#[test]
fn every_option_can_be_set_by_a_variable() {
    let mut in_file = BTreeMap::new();
    leaves(&DEFAULT_FILE.parse().unwrap(), "", &mut in_file);
    for (key, value) in in_file {
        let name = format!("TALLYSTICK_{}", key.to_uppercase().replace('.', "__"));
        let value = value.trim_matches('"');
        assert_eq!(from_environment(&[(&name, value)]).as_ref(), Ok(&Config::default()), "{name}={value}");
    }
    let config = from_environment(&[("TALLYSTICK_LOG__FORMAT", "pretty"), ("TALLYSTICK_INSECURE", "true")]).unwrap();
    assert_eq!((config.log.format, config.insecure), (LogFormat::Pretty, true));
}

#[test]
fn an_unknown_key_is_named_with_its_file_and_the_known_ones() {
    let (_dir, path) = with_file("[limits]\nbodybytes = 1");
    let message = load(Some(&path), &[], &Overrides::default()).unwrap_err().to_string();
    for part in ["bodybytes", path.to_str().unwrap(), "body_bytes", "[limits]"] {
        assert!(message.contains(part), "{part} is missing in: {message}");
    }
    assert!(from_file("lissten = 'x'").unwrap_err().contains("listen"));
    assert!(from_file("[[meters]]\nslug = 'a'\nevent_typ = 'b'").unwrap_err().contains("event_typ"));
}

#[test]
fn an_unknown_variable_is_named() {
    for name in
        ["TALLYSTICK_LISTE", "TALLYSTICK_LIMITS", "TALLYSTICK_LIMITS__X", "TALLYSTICK_LISTEN__X", "TALLYSTICK_METERS"]
    {
        let message = from_environment(&[(name, "1")]).unwrap_err();
        assert!(message.contains(name) && message.contains("TALLYSTICK_LIMITS__BODY_BYTES"), "{message}");
    }
}

#[test]
fn a_wrong_value_is_named_with_its_source_and_what_is_allowed() {
    let cases: [(Result<Config, String>, [&str; 3]); 8] = [
        (from_file("[limits]\nbody_bytes = 'x'"), ["limits.body_bytes", "whole number", "after decompression"]),
        (from_file("[limits]\nbody_bytes = -1"), ["limits.body_bytes", "t.toml", "At least 1024"]),
        (from_file("[limits]\njson_depth = 128"), ["limits.json_depth", "128", "1 to 127"]),
        (from_file("[log]\nformat = 'xml'"), ["log.format", "xml", "pretty"]),
        (from_file("listen = 'localhost'"), ["listen", "t.toml", "Address and port"]),
        (from_file("x ="), ["t.toml", "line 1", ""]),
        (
            from_environment(&[("TALLYSTICK_LIMITS__BODY_BYTES", "1k")]),
            ["TALLYSTICK_LIMITS__BODY_BYTES", "1k", "At least"],
        ),
        (from_environment(&[("TALLYSTICK_INSECURE", "yes")]), ["TALLYSTICK_INSECURE", "yes", "true or false"]),
    ];
    for (result, parts) in cases {
        let message = result.unwrap_err();
        for part in parts {
            assert!(message.contains(part), "{part:?} is missing in: {message}");
        }
    }
    for listen in ["nowhere", "localhost:1", "127.0.0.1"] {
        let flags = Overrides { listen: Some(listen.into()), ..Overrides::default() };
        let message = load(None, &[], &flags).unwrap_err().to_string();
        assert!(message.contains("listen in the command line") && message.contains("form 127.0.0.1:8888"), "{message}");
    }
}

#[test]
fn a_portal_secret_that_can_be_guessed_is_refused_and_never_repeated() {
    let (short, long) = ("hunter2".to_string(), "hunter2".repeat(5));
    let message = from_environment(&[("TALLYSTICK_PORTAL__TOKEN_SECRET", &short)]).unwrap_err();
    assert!(message.contains("portal.token_secret") && message.contains("32 bytes"), "{message}");
    assert!(!message.contains("hunter2"), "{message}");
    let config = from_environment(&[("TALLYSTICK_PORTAL__TOKEN_SECRET", &long)]).unwrap();
    assert!(!format!("{config:?} {:?}", config.engine()).contains("hunter2"));
    for (origins, is_good) in [
        ("*", true),
        ("", true),
        ("https://a.example.com, http://localhost:3000", true),
        ("a.example.com", false),
        ("https://a.example.com/", false),
        ("https://a.example.com,*", false),
    ] {
        let read = from_environment(&[("TALLYSTICK_PORTAL__CORS_ORIGINS", origins)]);
        assert_eq!(read.is_ok(), is_good, "{origins}: {read:?}");
    }
}

#[test]
fn traces_go_to_a_url_from_a_binary_that_can_send_them() {
    for (text, key) in [
        ("endpoint = 'collector:4318'", "telemetry.endpoint"),
        ("service_name = ''", "telemetry.service_name"),
        ("sample_one_in = 0", "telemetry.sample_one_in"),
    ] {
        let message = from_file(&format!("[telemetry]\n{text}")).unwrap_err();
        assert!(message.contains(key), "{message}");
    }
    match from_file("[telemetry]\nendpoint = 'http://127.0.0.1:4318'") {
        Ok(config) => assert!(cfg!(feature = "otel") && config.telemetry.sample_one_in == 1),
        Err(message) => assert!(!cfg!(feature = "otel") && message.contains("--features otel"), "{message}"),
    }
}

#[test]
fn declared_meters_are_checked_and_named() {
    let bad = "[[meters]]\nslug = 'a'\nevent_type = 't'\naggregation = 'median'";
    let message = from_file(bad).unwrap_err();
    assert!(message.contains("\"a\"") && message.contains("median") && message.contains("unique_count"), "{message}");
    let missing = from_file("[[meters]]\nslug = 'a'\naggregation = 'sum'").unwrap_err();
    assert!(missing.contains("event_type") && missing.contains("[[meters]] number 1"), "{missing}");
}

#[test]
fn a_missing_file_is_named() {
    let message = load(Some(Path::new("/nowhere/t.toml")), &[], &Overrides::default()).unwrap_err().to_string();
    assert!(message.contains("/nowhere/t.toml"), "{message}");
}

#[test]
fn only_loopback_is_open_without_a_key() {
    for (listen, loopback) in [
        ("127.0.0.1:1", true),
        ("127.9.9.9:1", true),
        ("[::1]:1", true),
        ("[::ffff:127.0.0.1]:1", true),
        ("0.0.0.0:1", false),
        ("[::]:1", false),
        ("10.0.0.1:1", false),
    ] {
        let config = Config { listen: listen.parse().unwrap(), ..Config::default() };
        assert_eq!((config.is_loopback(), config.engine().unwrap().require_key), (loopback, !loopback), "{listen}");
    }
    let insecure = Config { listen: "0.0.0.0:1".parse().unwrap(), insecure: true, ..Config::default() };
    assert!(!insecure.engine().unwrap().require_key);
}
