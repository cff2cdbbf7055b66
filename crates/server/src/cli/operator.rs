//! What the operator's commands share: they talk to the server of a data directory when one runs there, and open the
//! stores themselves when none does.

use super::{StoreArguments, refusal};
use crate::config::{Config, Overrides};
use crate::control::{Line, ProgressLine, Reached, Reporter, Request, VerifyResult, ask, perform, reach, socket_path};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;
use std::io::{IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use tallystick_engine::{EVENTS_DIR, Engine, OpenError, Progress, StoreError, verify_closed};
use tokio::runtime::Runtime;

const BYTES: &str = "{msg:<12} {wide_bar} {bytes}/{total_bytes}  {binary_bytes_per_sec}  {eta} left";
const EVENTS: &str = "{msg:<12} {wide_bar} {human_pos}/{human_len}  {per_sec}  {eta} left";

/// Takes what comes before the result.
pub type Take<'a> = &'a mut (dyn FnMut(&Line<'_>) -> anyhow::Result<()> + Send);

/// The runtime of a command.
pub fn runtime() -> anyhow::Result<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

/// Does what is asked, here or in the server.
pub fn run<T: DeserializeOwned>(store: &StoreArguments, request: &Request, take: Take<'_>) -> anyhow::Result<T> {
    let config = store.config(&Overrides::default())?;
    let result = match reach(&config.data_dir)? {
        Reached::Server(stream) => ask(&stream, request, &mut |line| take(&line))?,
        Reached::Nobody => run_here(&config, request, take)?,
    };
    serde_json::from_value(result).context("the answer cannot be read: is the server of another version?")
}

fn run_here(config: &Config, request: &Request, take: Take<'_>) -> anyhow::Result<serde_json::Value> {
    let dir = config.data_dir.display();
    if !config.data_dir.join(EVENTS_DIR).join("MANIFEST").exists() {
        return Err(refusal(format!("there is no event store in {dir}: name the data directory with --data-dir")));
    }
    let runtime = runtime()?;
    if *request == Request::Verify {
        return verify_here(config, &runtime, take);
    }
    let mut engine_config = config.engine().map_err(refusal)?;
    // Meters are declared by a server, not by whoever looks after its data.
    engine_config.meters.clear();
    let engine = runtime.block_on(Engine::open(engine_config)).map_err(|error| explain(config, error))?;
    let mut fault = None;
    let mut each = |line: &Line<'_>| match take(line) {
        Ok(()) => true,
        Err(error) => {
            fault = Some(error);
            false
        }
    };
    let performed = perform(&engine, runtime.handle(), request, &Reporter::new(&mut each, &|| false));
    let closed = runtime.block_on(engine.close());
    if let Some(fault) = fault {
        return Err(fault);
    }
    let result = performed.map_err(anyhow::Error::msg)?;
    closed.map_err(anyhow::Error::msg)?;
    Ok(result)
}

/// Without opening the store, which a damaged one would refuse.
fn verify_here(config: &Config, runtime: &Runtime, take: Take<'_>) -> anyhow::Result<serde_json::Value> {
    let take = Mutex::new(take);
    let watch = |progress: Progress| {
        let told = take.lock().map(|mut take| take(&Line::Progress(progress.into())));
        if matches!(told, Ok(Ok(()))) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let checked = verify_closed(&config.data_dir, config.state_url(), runtime.handle(), &watch);
    let checked = checked.map_err(|error| explain(config, error))?;
    let state = config.data_dir.join(tallystick_engine::STATE_FILE).display().to_string();
    let state = if config.state_url().is_some() { "the state store".to_owned() } else { state };
    Ok(serde_json::to_value(VerifyResult::of(checked, &state))?)
}

fn explain(config: &Config, error: OpenError) -> anyhow::Error {
    match error {
        OpenError::Events(StoreError::Locked { .. }) => anyhow::anyhow!(
            "a process has the data in {} open, but nobody listens at {}: is a server just starting, or did it log why it \
             has no control socket?",
            config.data_dir.display(),
            socket_path(&config.data_dir).display()
        ),
        other => refusal(other),
    }
}

/// A progress bar on stderr, when that is a terminal.
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar without anything to show yet.
    pub fn new() -> Self {
        let is_shown = std::io::stderr().is_terminal();
        Self(if is_shown { ProgressBar::new(0) } else { ProgressBar::hidden() })
    }

    /// Shows how far it is.
    pub fn show(&self, progress: &ProgressLine<'_>) {
        if self.0.message() != progress.phase {
            let template = if progress.unit == "bytes" { BYTES } else { EVENTS };
            if let Ok(style) = ProgressStyle::with_template(template) {
                self.0.set_style(style);
            }
            self.0.reset();
            self.0.set_message(progress.phase.to_string());
        }
        self.0.set_length(progress.total);
        self.0.set_position(progress.done);
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

/// Runs a command of which only progress and the result are of interest.
pub fn run_with_bar<T: DeserializeOwned>(store: &StoreArguments, request: &Request) -> anyhow::Result<T> {
    let bar = Bar::new();
    let result = run(store, request, &mut |line| {
        if let Line::Progress(progress) = line {
            bar.show(progress);
        }
        Ok(())
    });
    bar.finish();
    result
}

/// Prints each damaged file on stderr.
pub fn print_damaged(result: &VerifyResult) -> anyhow::Result<()> {
    let mut err = std::io::stderr().lock();
    for damage in &result.damaged {
        writeln!(err, "damaged: {}: {}", damage.file.display(), super::table::printable(&damage.what))?;
    }
    Ok(())
}

/// A result as the machine reads it.
pub fn as_json(result: &impl serde::Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(result)? + "\n")
}

/// Bytes for people.
pub fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// An absolute path: the server that is asked works in another folder.
pub fn absolute(path: &Path) -> anyhow::Result<std::path::PathBuf> {
    std::path::absolute(path).with_context(|| format!("cannot tell where {} is", path.display()))
}
