//! What is wrong with a configuration, where, and what is allowed.

use super::DEFAULT_FILE;
use std::path::Path;

/// Why a configuration cannot be used, in one text for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

impl ConfigError {
    /// The file itself cannot be read.
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self(format!("cannot read the configuration file {}: {error}", path.display()))
    }

    /// A declared meter is at fault.
    pub(super) fn meter(slug: &str, key: &str, message: &str) -> Self {
        Self::faulty_meter(slug, &format!("{key}: {message}"))
    }

    /// A declared meter is at fault in several ways, as the text says.
    pub(super) fn faulty_meter(slug: &str, faults: &str) -> Self {
        Self(format!("[[meters]] {slug:?}: {faults}"))
    }

    /// An address of its own for a dialect is at fault.
    pub(super) fn listener(listen: std::net::SocketAddr, message: &str) -> Self {
        Self(format!("[[listener]] {listen}: dialect: {message}"))
    }

    /// A rule of retention is at fault.
    pub(super) fn retention(event_type: &str, key: &str, message: &str) -> Self {
        Self(format!("[[retention]] {event_type:?}: {key}: {message}"))
    }

    /// An option has a value that it cannot have; the option's own documentation says what it can have.
    pub(super) fn value(key: &str, source: &str, message: &str) -> Self {
        let allowed = documentation(key).map(|text| format!("\n  {key}: {text}")).unwrap_or_default();
        Self(format!("{key} in {source}: {message}{allowed}"))
    }

    /// A variable that names no option.
    pub(super) fn unknown_variable(name: &str, known: &[String]) -> Self {
        Self(format!("unknown environment variable {name}; known are:\n  {}", known.join("\n  ")))
    }

    /// What the configuration library found in `source`.
    pub(super) fn from_figment(error: figment::Error, source: &str) -> Self {
        let key = shown_key(&error.path);
        match error.kind {
            figment::error::Kind::UnknownField(field, known) => {
                let parent = error.path.iter().take_while(|part| **part != field).cloned().collect::<Vec<_>>();
                let section = if parent.is_empty() { String::new() } else { format!(" of [{}]", parent.join(".")) };
                let known = known.join(", ");
                Self(format!("unknown key {field:?} in {source}; the keys{section} are: {known}"))
            }
            figment::error::Kind::InvalidType(found, expected) => {
                let expected = match expected.as_str() {
                    "usize" | "u64" => "a whole number that is not negative",
                    other => other,
                };
                Self::value(&key, source, &format!("found {found}, expected {expected}"))
            }
            kind if key.is_empty() => Self(format!("{source}: {kind}")),
            kind => Self::value(&key, source, &kind.to_string()),
        }
    }
}

/// The path of an option; declared meters are counted from 1.
fn shown_key(path: &[String]) -> String {
    match path {
        [first, index, rest @ ..] if first == "meters" => {
            let number = index.parse::<usize>().map_or_else(|_| index.clone(), |index| (index + 1).to_string());
            let place = format!("[[meters]] number {number}");
            std::iter::once(place).chain(rest.iter().cloned()).collect::<Vec<_>>().join(", ")
        }
        _ => path.join("."),
    }
}

/// The comment above an option in the default configuration file, as one line.
fn documentation(key: &str) -> Option<String> {
    let (wanted_section, wanted) = key.rsplit_once('.').unwrap_or(("", key));
    let mut section = "";
    let mut comment: Vec<&str> = Vec::new();
    for line in DEFAULT_FILE.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.trim());
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
            comment.clear();
        } else if section == wanted_section && line.split_once(" = ").is_some_and(|(name, _)| name == wanted) {
            return Some(comment.join(" "));
        } else {
            comment.clear();
        }
    }
    None
}
