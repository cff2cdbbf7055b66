//! The section `telemetry`: where traces go.

use serde::{Deserialize, Serialize};

/// Export of traces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Base URL of a collector that takes OTLP over HTTP; empty exports nothing.
    pub endpoint: String,
    /// The name under which the server appears there.
    pub service_name: String,
    /// Of so many traces that begin here, one is recorded.
    pub sample_one_in: u64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { endpoint: String::new(), service_name: "tallystick".to_string(), sample_one_in: 1 }
    }
}

impl TelemetryConfig {
    /// The first option whose value cannot be used, and why.
    pub(super) fn fault(&self) -> Option<(&'static str, String)> {
        let is_url = ["http://", "https://"].iter().any(|scheme| self.endpoint.starts_with(scheme));
        if !self.endpoint.is_empty() && !is_url {
            return Some(("telemetry.endpoint", format!("{:?} is not an http:// or https:// URL", self.endpoint)));
        }
        if !self.endpoint.is_empty() && !cfg!(feature = "otel") {
            let reason = "this binary cannot export traces: build it with --features otel, or leave the option empty";
            return Some(("telemetry.endpoint", reason.to_string()));
        }
        self.service_name.is_empty().then(|| ("telemetry.service_name", "it is empty".to_string()))
    }
}
