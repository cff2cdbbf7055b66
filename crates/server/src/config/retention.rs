//! How long events are kept, as the configuration file says it.

use super::ConfigError;
use serde::{Deserialize, Serialize};
use tallystick_domain::Namespace;
use tallystick_engine::RetentionRule;

const HOUR_US: i64 = 3_600_000_000;
/// Longer than the years that events may be of.
const MOST_HOURS: i64 = 10_000 * 366 * 24;

/// One `[[retention]]` entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionConfig {
    /// Whose events; `default` when absent.
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Which type of events.
    pub event_type: String,
    /// How long after their time they are kept, for example `400d` or `36h`.
    pub keep: String,
}

fn default_namespace() -> String {
    Namespace::default_namespace().to_string()
}

impl RetentionConfig {
    /// The rule in the engine's words.
    pub fn rule(&self) -> Result<RetentionRule, ConfigError> {
        let fault = |key: &str, message: &str| ConfigError::retention(&self.event_type, key, message);
        let namespace = Namespace::parse(&self.namespace).map_err(|error| fault("namespace", &error.to_string()))?;
        if self.event_type.is_empty() {
            return Err(fault("event_type", "it must not be empty"));
        }
        let keep_us = microseconds(&self.keep).ok_or_else(|| {
            fault("keep", &format!("{:?} is no time: use whole days or hours, for example 400d or 36h", self.keep))
        })?;
        Ok(RetentionRule { namespace, event_type: self.event_type.clone(), keep_us })
    }
}

fn microseconds(text: &str) -> Option<i64> {
    let (number, hours) = match text.strip_suffix('d') {
        Some(days) => (days, 24),
        None => (text.strip_suffix('h')?, 1),
    };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let hours = number.parse::<i64>().ok().filter(|_| is_number)?.checked_mul(hours)?;
    (1..=MOST_HOURS).contains(&hours).then(|| hours * HOUR_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_hours_are_times_and_nothing_else() {
        assert_eq!((microseconds("400d"), microseconds("36h")), (Some(400 * 24 * HOUR_US), Some(36 * HOUR_US)));
        for text in ["", "d", "400", "0d", "-1d", "1.5d", "+1d", "1w", "400 d", "99999999999d", "9223372036854775807h"]
        {
            assert_eq!(microseconds(text), None, "{text}");
        }
    }
}
