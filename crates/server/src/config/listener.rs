//! Addresses at which one dialect alone is served, as the configuration file says it.

use super::ConfigError;
use crate::dialects::{DIALECTS, Dialect};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// One `[[listener]]` entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerConfig {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Whose API is served there, at the root.
    pub dialect: String,
}

impl ListenerConfig {
    /// Refuses a dialect that does not exist.
    pub fn check(&self) -> Result<(), ConfigError> {
        let known: Vec<String> = DIALECTS.iter().map(Dialect::word).collect();
        if known.contains(&self.dialect) {
            return Ok(());
        }
        Err(ConfigError::listener(self.listen, &format!("{:?} is not served: use {}", self.dialect, known.join(", "))))
    }
}
