//! The log: one line per event on stderr, for machines or for people; and traces, in a binary that can export them. Secrets and
//! the data of events are in neither.

use crate::config::{Config, LogConfig, LogFormat};
#[cfg(feature = "otel")]
use crate::otel::{self, Traces};
use std::io::IsTerminal;
use std::sync::Arc;
use tallystick_http_kit::access_log::Observer;
use tallystick_http_kit::request_id::Adopt;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

/// What observes a server, from its start to its end.
pub struct Telemetry {
    #[cfg(feature = "otel")]
    traces: Option<Traces>,
}

impl Telemetry {
    /// Starts the log, and the export of traces when there is an endpoint. Fails when an option cannot be used.
    pub fn start(config: &Config) -> Result<Self, String> {
        let log = log(&config.log)?;
        let started = Self {
            #[cfg(feature = "otel")]
            traces: match config.telemetry.endpoint.is_empty() {
                true => None,
                false => Some(Traces::start(&config.telemetry)?),
            },
        };
        #[cfg(feature = "otel")]
        let all = Registry::default().with(log).with(started.traces.as_ref().map(Traces::layer));
        #[cfg(not(feature = "otel"))]
        let all = Registry::default().with(log);
        all.try_init().map_err(|error| format!("the log cannot be started: {error}"))?;
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            tracing::error!(place, "defect: a thread panicked");
        }));
        Ok(started)
    }

    /// What takes a request's span into its trace, when traces are exported.
    pub fn adopt(&self) -> Option<Adopt> {
        #[cfg(feature = "otel")]
        let adopt = self.traces.as_ref().map(|_| otel::adopt as Adopt);
        #[cfg(not(feature = "otel"))]
        let adopt = None;
        adopt
    }

    /// An observer that tells `next`, and the exported span when there is one.
    pub fn observer(&self, next: Arc<dyn Observer>) -> Arc<dyn Observer> {
        #[cfg(feature = "otel")]
        if self.traces.is_some() {
            return Arc::new(otel::SpanObserver(next));
        }
        next
    }

    /// Sends what is left, at the end.
    pub fn finish(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.finish();
        }
    }
}

/// The lines on stderr.
fn log<S>(config: &LogConfig) -> Result<impl Layer<S> + Send + Sync + 'static, String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|error| format!("log.level {:?}: {error}; use info, or info,module=debug", config.level))?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    // Colours are for a terminal; in a file they are noise.
    let lines = lines.with_ansi(std::io::stderr().is_terminal());
    let lines: Box<dyn Layer<S> + Send + Sync> = match config.format {
        LogFormat::Json => Box::new(lines.json().flatten_event(true).with_span_list(false)),
        LogFormat::Pretty => Box::new(lines),
    };
    Ok(lines.with_filter(filter))
}
