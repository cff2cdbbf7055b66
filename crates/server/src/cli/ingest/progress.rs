//! A progress bar on stderr, when that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;
use tallystick_engine::monotonic;

const KNOWN_LENGTH: &str = "{wide_bar} {percent}%  {msg}  {eta} left";
const UNKNOWN_LENGTH: &str = "{spinner} {msg}";

/// What the user sees while a file is sent.
pub struct Progress {
    bar: ProgressBar,
    started: std::time::Instant,
}

impl Progress {
    /// Starts a bar over the bytes of the file, or a running count when its length is not known.
    pub fn start(length: Option<u64>) -> Self {
        let started = monotonic();
        if !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), started };
        }
        let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = if length.is_some() { KNOWN_LENGTH } else { UNKNOWN_LENGTH };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, started }
    }

    /// A batch was settled: how much of the file it covers, and how many lines are settled by now.
    pub fn advance(&self, bytes: u64, settled: u64) {
        self.bar.inc(bytes);
        self.bar.set_message(format!("{settled} events  {}/s", per_second(settled, self.started.elapsed())));
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// How many of something happened per second.
pub fn per_second(count: u64, elapsed: Duration) -> u64 {
    let millis = elapsed.as_millis().max(1);
    u64::try_from(u128::from(count) * 1000 / millis).unwrap_or(u64::MAX)
}
