//! From the sources to one configuration: defaults < file < environment < flags.

use super::{Config, ConfigError, environment};
use figment::Figment;
use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Value};
use std::path::{Path, PathBuf};

/// What the command line sets; an absent flag leaves the option to the other sources.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--state-url`.
    pub state_url: Option<String>,
    /// `--insecure`.
    pub insecure: bool,
}

impl Overrides {
    fn tree(&self) -> Result<Dict, ConfigError> {
        let mut tree = Dict::new();
        let mut set = |key: &str, value: Option<Value>| value.map(|value| tree.insert(key.to_string(), value));
        set("listen", self.listen.clone().map(Value::from));
        if let Some(path) = &self.data_dir {
            let not_text = || ConfigError::value("data_dir", "the command line", "the path is not valid UTF-8");
            set("data_dir", Some(Value::from(path.to_str().ok_or_else(not_text)?)));
        }
        set("state_url", self.state_url.clone().map(Value::from));
        set("insecure", self.insecure.then(|| Value::from(true)));
        Ok(tree)
    }
}

/// Reads and checks the configuration. Each source is merged and checked by itself, so that a fault can be told to
/// come from it.
pub fn load(file: Option<&Path>, variables: &[(String, String)], overrides: &Overrides) -> Result<Config, ConfigError> {
    let defaults = Value::serialize(Config::default()).ok().and_then(Value::into_dict).unwrap_or_default();
    let mut figment = Figment::from(Serialized::defaults(Config::default()))
        .merge(Serialized::default("meters", Vec::<super::MeterConfig>::new()))
        .merge(Serialized::default("retention", Vec::<super::RetentionConfig>::new()))
        .merge(Serialized::default("listener", Vec::<super::ListenerConfig>::new()));
    let mut config = Config::default();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        figment = figment.merge(Toml::string(&text));
        config = extract(&figment, &path.display().to_string())?;
    }
    let environment = environment::read(variables, &defaults)?;
    let sources = [(environment, "the environment"), (overrides.tree()?, "the command line")];
    for (tree, source) in sources {
        if !tree.is_empty() {
            figment = figment.merge(Serialized::defaults(tree));
            config = extract(&figment, source)?;
        }
    }
    Ok(config)
}

fn extract(figment: &Figment, source: &str) -> Result<Config, ConfigError> {
    let config: Config = figment.extract().map_err(|error| ConfigError::from_figment(error, source))?;
    if let Some((key, message)) = config.out_of_bounds() {
        return Err(ConfigError::value(key, source, &message));
    }
    for meter in &config.meters {
        meter.definition()?;
    }
    for listener in &config.listener {
        listener.check()?;
    }
    for retention in &config.retention {
        retention.rule()?;
    }
    Ok(config)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
