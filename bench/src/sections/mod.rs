//! The parts of a run, each of which can run alone.

mod checks;
mod contention;
mod ingest;
mod live;
mod memory;
mod queries;
mod start;
mod variants;

pub use checks::CHECKS_OVER_HTTP;
pub use contention::contention_name;
pub use ingest::load_name;
pub use queries::{OURS, query_name};
pub use variants::{hard_cases, variant_name};

use crate::data::{Answers, Expected};
use crate::disk::size_of;
use crate::options::{RunOptions, Section};
use crate::process::{Server, processors};
use crate::results::Results;
use crate::store::{self, Manner};
use crate::targets;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// A run that goes on.
pub struct Run<'a> {
    /// How to measure.
    pub options: &'a RunOptions,
    /// What was measured so far.
    pub results: Results,
    filled: Option<Filled>,
}

/// A data folder of the product with the whole data set, sealed and merged.
#[derive(Clone)]
pub struct Filled {
    /// The data folder.
    folder: PathBuf,
    /// What its events add up to.
    answers: Arc<Answers>,
}

impl Run<'_> {
    /// An empty folder of that name in the run's folder.
    fn fresh_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.options.dir.join(name);
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// The product's server on a data folder.
    fn product(&self, data_dir: &Path, options: &[(&str, &str)]) -> Result<Server> {
        let given = self.options.server_env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let options: Vec<(&str, &str)> = given.chain(options.iter().copied()).collect();
        Server::product(&self.binary()?, data_dir, &options)
    }

    /// The whole data set in a folder, stored by the first section that needs it.
    fn filled(&mut self) -> Result<Filled> {
        if let Some(filled) = &self.filled {
            return Ok(filled.clone());
        }
        let filled = fill(self)?;
        self.filled = Some(filled.clone());
        Ok(filled)
    }

    fn binary(&self) -> Result<PathBuf> {
        let binary = match &self.options.server {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("tallystick"),
        };
        if !binary.exists() {
            bail!("{} is not there: build it, or name it with --server", binary.display());
        }
        Ok(binary)
    }
}

/// Says in a folder which data set its store holds.
const STAMP: &str = "stamp";

/// The store of an earlier run that kept it, if it holds the same data set.
fn kept(run: &Run<'_>) -> Option<Filled> {
    let folder = run.options.dir.join("served");
    let is_same = std::fs::read_to_string(folder.join(STAMP)).is_ok_and(|text| text == stamp(run.options));
    if !run.options.keeps_store() || !is_same {
        return None;
    }
    let mut expected = Expected::default();
    run.options.data().rows().for_each(|row| expected.add(&row));
    Some(Filled { folder, answers: Arc::new(expected.answers()) })
}

fn stamp(options: &RunOptions) -> String {
    format!("{} {}", options.seed, options.events)
}

/// Stores the data set in process, seals it, and notes what that took.
fn fill(run: &mut Run<'_>) -> Result<Filled> {
    if let Some(kept) = kept(run) {
        return Ok(kept);
    }
    let folder = run.fresh_folder("served")?;
    let events = folder.join("events");
    let store = store::open(&events, store::options(Manner { threads: 0, cached: false }))?;
    let (begun, data) = (Instant::now(), run.options.data());
    let mut expected = Expected::default();
    store::fill(&store, data.rows(), |row| expected.add(row))?;
    run.results.add("load in process", "Tallystick", data.events as f64 / begun.elapsed().as_secs_f64(), "events/s");
    store::settle(&store)?;
    let speed = data.events as f64 / begun.elapsed().as_secs_f64();
    run.results.add("load in process, sealed and merged", "Tallystick", speed, "events/s");
    let count = store.stats().events as f64;
    let segments = size_of(&events.join("segments"))? as f64;
    let identities = size_of(&events.join("dedupe"))? as f64;
    run.results.add("bytes per event, with ids", "Tallystick", segments / count, "bytes");
    run.results.add("bytes per event, with ids and identities", "Tallystick", (segments + identities) / count, "bytes");
    run.results.add("segments", "Tallystick", store.stats().segments as f64, "files");
    store.close()?;
    if run.options.keeps_store() {
        std::fs::write(folder.join(STAMP), stamp(run.options))?;
    }
    Ok(Filled { folder, answers: Arc::new(expected.answers()) })
}

/// Runs what was asked for, prints the verdicts and writes the figures.
///
/// # Errors
/// When a part cannot be measured, or an answer is wrong.
pub fn run(options: &RunOptions) -> Result<()> {
    std::fs::create_dir_all(&options.dir).with_context(|| format!("cannot make {}", options.dir.display()))?;
    let mut run = Run { options, results: Results::default(), filled: None };
    run.results.add("run, events of the data set", "all", options.events as f64, "events");
    run.results.add("run, processors", "all", processors() as f64, "cores");
    let parts: [(Section, Part); 8] = [
        (Section::Ingest, ingest::run),
        (Section::Queries, queries::run),
        (Section::Memory, memory::run),
        (Section::Start, start::run),
        (Section::Contention, contention::run),
        (Section::Variants, variants::run),
        (Section::Live, live::run),
        (Section::Checks, checks::run),
    ];
    for (section, part) in parts {
        if options.wants(section) {
            part(&mut run).with_context(|| format!("section {section:?}"))?;
        }
    }
    if let Some(filled) = run.filled.as_ref().filter(|_| !options.keeps_store()) {
        std::fs::remove_dir_all(&filled.folder)?;
    }
    print!("\n{}", targets::table(&run.results));
    options.results.as_ref().map_or(Ok(()), |path| run.results.write(path))
}

type Part = fn(&mut Run<'_>) -> Result<()>;
