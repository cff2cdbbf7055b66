//! What the packaging and the guides tell people to type, read by the same definitions as the command line, so that neither can
//! name a command, an option or a variable that there is not.

use super::Arguments;
use crate::config::{Config, DEFAULT_FILE, Overrides, load};
use clap::Parser;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pages that show commands.
const PAGES: [&str; 6] = [
    "README.md",
    "SECURITY.md",
    "docs/guide/operate.md",
    "docs/guide/entitlements.md",
    "docs/guide/first-value.md",
    "packaging/compose/postgres.yaml",
];
/// Files of the packaging.
const UNIT: &str = "packaging/systemd/tallystick.service";
const CONTAINER: &str = "packaging/container/Containerfile";
const COMPOSE: &str = "packaging/compose/postgres.yaml";
/// Variables that are no options of the server.
const OTHER_VARIABLES: [&str; 4] = ["TALLYSTICK_KEY", "TALLYSTICK_SERVER", "TALLYSTICK_CONFIG", "TALLYSTICK_BIN"];

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words as a shell takes them apart, up to what is not the command's own any more: a pipe, a redirection, a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '#' | ';' | '&') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The words from the name of the binary on, if the line starts it, perhaps as another user, in a container, with variables.
fn command_of(words: &[String]) -> Option<&[String]> {
    let is_ours = |word: &String| matches!(word.as_str(), "tallystick" | "/usr/bin/tallystick");
    let skipped = match words.first()?.as_str() {
        "sudo" => words.iter().position(|word| word == "-u").map_or(1, |at| at + 2),
        "docker" | "podman" => words.iter().position(|word| word == "--rm")? + 1,
        _ => words.iter().take_while(|word| word.contains('=')).count(),
    };
    words.get(skipped..).filter(|rest| rest.first().is_some_and(is_ours))
}

/// Lines of the examples of a page: its shell blocks, or its comments where it is no page; `\` joins lines.
fn example_lines(path: &str, text: &str) -> Vec<String> {
    let (mut lines, mut inside) = (Vec::new(), false);
    for line in text.lines() {
        let example = match path.strip_suffix(".md") {
            Some(_) if line.starts_with("```") => {
                inside = line == "```sh";
                continue;
            }
            Some(_) => Some(line).filter(|_| inside),
            None => line.strip_prefix("#   "),
        };
        lines.extend(example.map(|line| format!("{line}\n")));
    }
    lines.concat().replace("\\\n", " ").lines().map(str::to_string).collect()
}

/// Reads words as the binary would.
fn check(words: &[impl AsRef<str>], place: &str) {
    if let Err(error) = Arguments::try_parse_from(words.iter().map(AsRef::as_ref)) {
        panic!("{place}: {error}");
    }
}

/// The texts of a list such as `["CMD", "a"]` that stands behind this beginning of a line.
fn lists(text: &str, start: &str) -> Vec<Vec<String>> {
    let rest = text.lines().filter_map(|line| line.trim().strip_prefix(start));
    rest.map(|list| serde_json::from_str(list.trim()).unwrap_or_else(|error| panic!("{list}: {error}"))).collect()
}

/// The value of a key of the unit, which stands in it once.
fn of_unit<'a>(unit: &'a str, key: &str) -> &'a str {
    let mut values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let value = values.next().unwrap_or_else(|| panic!("{key} is not in {UNIT}"));
    assert_eq!(values.next(), None, "{key} is twice in {UNIT}");
    value
}

/// The configuration with variables that a file sets; fails for a variable that there is not.
fn with_variables(pairs: &[(&str, &str)]) -> Config {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    load(None, &pairs, &Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
}

/// How long a server may take to end, with room for closing the stores.
fn longest_end(config: &Config) -> Duration {
    Duration::from_millis(config.shutdown_drain_ms + config.shutdown_grace_ms) + Duration::from_secs(15)
}

#[test]
fn every_command_in_the_guides_can_be_typed() {
    let mut found = 0;
    for path in PAGES {
        for line in example_lines(path, &read(path)) {
            let words = words(&line);
            if let Some(command) = command_of(&words) {
                check(command, &format!("{path}: {line}"));
                found += 1;
            }
        }
    }
    assert!(found > 30, "{found}");
}

#[test]
fn words_are_those_of_a_shell() {
    let split = |line: &str| command_of(&words(line)).map(<[String]>::to_vec);
    let some = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(
        split("tallystick query a --value '$.a b' | x"),
        some(&["tallystick", "query", "a", "--value", "$.a b"])
    );
    assert_eq!(split("sudo -u tallystick tallystick verify # now"), some(&["tallystick", "verify"]));
    assert_eq!(split("A=1 tallystick stats > x"), some(&["tallystick", "stats"]));
    assert_eq!(split("docker compose run --rm tallystick stats"), some(&["tallystick", "stats"]));
    assert_eq!(split("cargo run serve"), None);
}

#[test]
fn every_option_and_variable_that_a_page_names_exists() {
    let options: toml::Table = DEFAULT_FILE.parse().unwrap();
    let exists = |path: &[&str]| match path {
        [key] => options.get(*key).is_some_and(|value| !value.is_table()),
        [section, key] => options.get(*section).and_then(|value| value.get(*key)).is_some(),
        _ => false,
    };
    let mut found = 0;
    for page in PAGES.into_iter().chain([UNIT, CONTAINER]) {
        let text = read(page);
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.') {
            let word = word.trim_matches('.');
            let key = match word.strip_prefix("TALLYSTICK_").filter(|_| !OTHER_VARIABLES.contains(&word)) {
                Some(name) if !name.is_empty() => name.to_lowercase().replace("__", "."),
                _ => word.to_string(),
            };
            let path: Vec<&str> = key.split('.').collect();
            let of_section = matches!(path[..], [section, key] if options.get(section).is_some_and(toml::Value::is_table)
                && !matches!(key, "rs" | "md" | "toml" | "sqlite"));
            if of_section || key != word {
                assert!(exists(&path), "{page} names {word}, which is no option");
                found += 1;
            }
        }
    }
    assert!(found > 20, "{found}");
}

#[test]
fn the_unit_starts_the_server_and_waits_for_its_end() {
    let unit = read(UNIT);
    let start: Vec<&str> = of_unit(&unit, "ExecStart").split(' ').collect();
    check(&start, UNIT);
    let (name, dir) = of_unit(&unit, "Environment").split_once('=').unwrap();
    let config = with_variables(&[(name, dir)]);
    assert_eq!(config.data_dir, PathBuf::from("/var/lib").join(of_unit(&unit, "StateDirectory")));
    assert_eq!(of_unit(&unit, "KillSignal"), "SIGTERM");
    let patience = Duration::from_secs(of_unit(&unit, "TimeoutStopSec").parse().unwrap());
    assert!(patience > longest_end(&config), "{patience:?}");
    assert!(of_unit(&unit, "LimitNOFILE").parse::<usize>().unwrap() > 2 * config.limits.connections);
    for (key, value) in [("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("User", "tallystick")] {
        assert_eq!(of_unit(&unit, key), value);
    }
    assert!(read("packaging/systemd/tallystick.sysusers").contains("\nu tallystick "));
}

#[test]
fn the_container_runs_and_asks_its_server() {
    let file = read(CONTAINER);
    let entry = lists(&file, "ENTRYPOINT").remove(0);
    let command = lists(&file, "CMD").remove(0);
    check(&[entry, command].concat(), CONTAINER);
    let health = file.lines().find_map(|line| line.strip_prefix("HEALTHCHECK ")?.split_once(" CMD ")).unwrap();
    check(&serde_json::from_str::<Vec<String>>(health.1).unwrap(), CONTAINER);
    let variables = file.lines().find_map(|line| line.strip_prefix("ENV ")).unwrap();
    let variables: Vec<_> = variables.split(' ').filter_map(|pair| pair.split_once('=')).collect();
    let config = with_variables(&variables);
    assert!(!config.is_loopback() && config.engine().unwrap().require_key);
    // `tallystick health` asks the default address.
    assert_eq!(config.listen.port(), Config::default().listen.port());
    assert!(file.contains("\nUSER 65532:65532\n") && file.contains("\nVOLUME /data\n"));
}

#[test]
fn the_compose_file_runs_and_asks_its_server() {
    let file = read(COMPOSE);
    let commands = lists(&file, "command:");
    assert_eq!(commands.len(), 1);
    check(&[vec!["tallystick".to_string()], commands[0].clone()].concat(), COMPOSE);
    let health: Vec<_> = lists(&file, "test:").into_iter().filter(|words| words[1].contains("tallystick")).collect();
    assert_eq!(health.len(), 1);
    check(&health[0][1..], COMPOSE);
    let set = file.lines().filter_map(|line| line.trim().strip_prefix("TALLYSTICK_")?.split_once(": "));
    let set: Vec<_> = set.map(|(name, value)| (format!("TALLYSTICK_{name}"), value.trim_matches('"'))).collect();
    let pairs: Vec<_> = set.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let config = with_variables(&pairs);
    assert!(config.state_url().is_some_and(|url| url.starts_with("postgres://")));
    let patience = file.lines().find_map(|line| line.trim().strip_prefix("stop_grace_period: ")?.strip_suffix('s'));
    assert!(Duration::from_secs(patience.unwrap().parse().unwrap()) > longest_end(&config));
}
