//! `TALLYSTICK_*` variables as configuration keys.

use super::fault::ConfigError;
use figment::value::{Dict, Value};

const PREFIX: &str = "TALLYSTICK_";

/// Variables of that prefix which are no options of the server: what the client commands read, where the configuration
/// file is, and which binary a test starts.
const OTHERS: [&str; 4] = ["TALLYSTICK_KEY", "TALLYSTICK_SERVER", "TALLYSTICK_CONFIG", "TALLYSTICK_BIN"];

/// The variables of this process that are meant for us.
#[expect(clippy::disallowed_methods, reason = "this is the home of the environment")]
pub fn process_environment() -> Vec<(String, String)> {
    let texts = std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        // A value that is no text becomes one that no option accepts, rather than being passed over.
        Some((name, value.to_string_lossy().into_owned()))
    });
    texts.filter(|(name, _)| name.starts_with(PREFIX)).collect()
}

/// Turns variables into a tree of values, each of the kind that its option has in `defaults`.
pub(super) fn read(variables: &[(String, String)], defaults: &Dict) -> Result<Dict, ConfigError> {
    let mut tree = Dict::new();
    for (name, text) in variables {
        if OTHERS.contains(&name.as_str()) {
            continue;
        }
        let key = name.strip_prefix(PREFIX).unwrap_or(name).to_lowercase();
        let path: Vec<&str> = key.split("__").collect();
        let known = lookup(defaults, &path).ok_or_else(|| ConfigError::unknown_variable(name, &names(defaults)))?;
        let value = value_like(known, text).ok_or_else(|| {
            let source = format!("environment variable {name}");
            ConfigError::value(&path.join("."), &source, &format!("{text:?} is not {}", kind(known)))
        })?;
        insert(&mut tree, &path, value);
    }
    Ok(tree)
}

/// The option of a path, unless the path names a section.
fn lookup<'a>(tree: &'a Dict, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    match tree.get(*first)? {
        Value::Dict(_, section) => lookup(section, rest),
        value => rest.is_empty().then_some(value),
    }
}

fn value_like(known: &Value, text: &str) -> Option<Value> {
    match known {
        Value::Bool(..) => text.parse::<bool>().ok().map(Value::from),
        Value::Num(..) => text.parse::<u64>().ok().map(Value::from),
        _ => Some(Value::from(text)),
    }
}

fn kind(known: &Value) -> &'static str {
    match known {
        Value::Bool(..) => "true or false",
        _ => "a whole number",
    }
}

fn insert(tree: &mut Dict, path: &[&str], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        tree.insert((*first).to_string(), value);
        return;
    }
    let section = tree.entry((*first).to_string()).or_insert_with(|| Value::from(Dict::new()));
    if let Value::Dict(_, section) = section {
        insert(section, rest, value);
    }
}

/// The names of all variables that are options.
fn names(defaults: &Dict) -> Vec<String> {
    let mut names = Vec::new();
    for (key, value) in defaults {
        let name = key.to_uppercase();
        match value {
            Value::Dict(_, section) => {
                names.extend(section.keys().map(|inner| format!("{PREFIX}{name}__{}", inner.to_uppercase())));
            }
            _ => names.push(format!("{PREFIX}{name}")),
        }
    }
    names
}

/// The API key that the client commands send. It is no flag, since other users of a machine can read its flags.
#[expect(clippy::disallowed_methods, reason = "this is the home of the environment")]
pub fn client_key() -> Option<String> {
    std::env::var("TALLYSTICK_KEY").ok().filter(|key| !key.is_empty())
}
