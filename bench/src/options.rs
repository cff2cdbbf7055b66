//! The command line.

use crate::data::{DataSet, Variant};
use crate::endpoints::Endpoint;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// Measures the product beside its upper bounds and beside other engines.
#[derive(Parser)]
#[command(name = "tallystick-bench", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done.
#[derive(Subcommand)]
pub enum Command {
    /// Measure, print a table and write it as JSON
    Run(Box<RunOptions>),
    /// Serve one of the upper bounds on a free port
    #[command(hide = true)]
    Endpoint {
        /// Which one
        #[arg(value_enum)]
        which: Endpoint,
    },
    /// Write the data set to standard output
    Generate(GenerateOptions),
    /// Write the table of the last run into the page that shows it
    Report(ReportOptions),
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Section {
    /// Events through HTTP
    Ingest,
    /// Answers of all engines over the same rows
    Queries,
    /// Sparse properties, mixed scales, unsealed rows
    Variants,
    /// Queries while events come in
    Contention,
    /// Memory of the server
    Memory,
    /// Totals of single subjects that are kept up to date
    Live,
    /// Checks of entitlements, in process and over HTTP
    Checks,
    /// Starts after a clean end and after a kill
    Start,
}

/// Another engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// ClickHouse, in process
    Chdb,
    /// DuckDB, in process
    Duckdb,
}

/// How to measure.
#[derive(Args)]
pub struct RunOptions {
    /// Events of the data set: 20k, 1M, 100M
    #[arg(long, default_value = "10M", value_parser = count)]
    pub events: u64,
    /// Seed of the data set
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// These sections only, separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    pub only: Vec<Section>,
    /// Leave engines out, separated by commas
    #[arg(long, value_enum, value_delimiter = ',')]
    pub without: Vec<Engine>,
    /// Folder for everything that is made on the way; what the other engines loaded stays there for the next run
    #[arg(long, env = "TALLYSTICK_BENCH_DIR", default_value = "target/bench")]
    pub dir: PathBuf,
    /// The product's binary; the one beside this program by default
    #[arg(long, env = "TALLYSTICK_BIN")]
    pub server: Option<PathBuf>,
    /// A Python that has the other engines; a virtual environment is made in the folder by default
    #[arg(long, env = "TALLYSTICK_BENCH_PYTHON")]
    pub python: Option<PathBuf>,
    /// The other engines' scripts
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/engines"))]
    pub scripts: PathBuf,
    /// Where the figures go; nowhere by default
    #[arg(long)]
    pub results: Option<PathBuf>,
    /// Milliseconds of one round of load
    #[arg(long, default_value_t = 2000)]
    pub round_ms: u64,
    /// Rounds of load for each contestant, of which the middle one counts
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// How often a query runs, of which the best counts
    #[arg(long, default_value_t = 7)]
    pub repeats: usize,
    /// Loads of the ingest section, as CONNECTIONSxBATCH, separated by commas
    #[arg(long, value_delimiter = ',', value_parser = shape, default_value = "1x1,64x1,256x1,16x100,4x1000")]
    pub loads: Vec<(usize, usize)>,
    /// Keep the filled store for the next run with the same data set; with --only queries, which changes nothing in it
    #[arg(long)]
    pub keep: bool,
    /// A variable for the environment of the product's server, as NAME=VALUE; may be given several times
    #[arg(long = "server-env", value_parser = variable)]
    pub server_env: Vec<(String, String)>,
}

impl RunOptions {
    /// Whether a section was asked for.
    pub fn wants(&self, section: Section) -> bool {
        self.only.is_empty() || self.only.contains(&section)
    }

    /// Whether the filled store stays for the next run: only if no section adds events to it.
    pub fn keeps_store(&self) -> bool {
        self.keep && self.only == [Section::Queries]
    }

    /// The data set that everything is measured on.
    pub fn data(&self) -> DataSet {
        DataSet { seed: self.seed, events: self.events, variant: Variant::Dense }
    }

    /// How long one round of load takes.
    pub fn round(&self) -> Duration {
        Duration::from_millis(self.round_ms)
    }
}

/// Which data set to write.
#[derive(Args)]
pub struct GenerateOptions {
    /// How many events
    #[arg(long, default_value = "1M", value_parser = count)]
    pub events: u64,
    /// Seed of the data set
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// What the events look like
    #[arg(long, value_enum, default_value = "dense")]
    pub variant: Variant,
    /// Tab-separated columns instead of one CloudEvent per line
    #[arg(long)]
    pub tsv: bool,
}

/// Which table goes where.
#[derive(Args)]
pub struct ReportOptions {
    /// The figures
    #[arg(long, default_value = "bench/results/latest.json")]
    pub results: PathBuf,
    /// The page with the marks between which the table stands
    #[arg(long, default_value = "bench/README.md")]
    pub page: PathBuf,
}

fn count(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.strip_suffix(['k', 'K']) {
        Some(digits) => (digits, 1000),
        None => text.strip_suffix(['m', 'M']).map_or((text, 1), |digits| (digits, 1_000_000)),
    };
    let number: u64 = digits.parse().map_err(|_| "a number such as 20k, 1M or 100M".to_string())?;
    number.checked_mul(unit).filter(|events| *events >= 1000).ok_or_else(|| "at least 1000 events".into())
}

fn shape(text: &str) -> Result<(usize, usize), String> {
    let parsed = text.split_once('x').and_then(|(one, other)| Some((one.parse().ok()?, other.parse().ok()?)));
    let in_bounds =
        parsed.filter(|(connections, batch)| (1..=4000).contains(connections) && (1..=10_000).contains(batch));
    in_bounds.ok_or_else(|| "CONNECTIONSxBATCH, such as 16x100".into())
}

fn variable(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').ok_or("NAME=VALUE")?;
    Ok((parts.0.to_string(), parts.1.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn counts_have_units() {
        assert_eq!((count("20k"), count("10M"), count("1234")), (Ok(20_000), Ok(10_000_000), Ok(1234)));
        assert!(count("10").is_err() && count("x").is_err());
    }

    #[test]
    fn loads_are_connections_by_events() {
        assert_eq!(shape("16x100"), Ok((16, 100)));
        assert!(shape("16").is_err() && shape("0x1").is_err());
    }
}
