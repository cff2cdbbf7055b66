//! `tallystick export`: everything that is stored, in a form that other tools read.

mod ndjson;
#[cfg(feature = "parquet")]
mod parquet;

use super::operator::{Bar, run};
use super::{Ending, StoreArguments, refusal};
use crate::control::{ExportedEvent, Line, Request};
use clap::{ArgGroup, Args};
use ndjson::Ndjson;
use std::io::Write;
use std::path::{Path, PathBuf};

const HELP: &str = "\
Parquet: one folder per namespace, type and day (UTC), namespace=…/type=…/date=YYYY-MM-DD/part-N.parquet, zstd; docs/guide/operate.md\n\
describes the columns. Lines: each is a CloudEvent with the exact JSON of its data, as\n\
`tallystick ingest` takes it; --namespace limits it to one namespace, as ingest sends to one. Works beside a running server; events that come meanwhile are not in it.\n\n\
Examples:\n  \
tallystick export --parquet events\n  \
duckdb -c \"SELECT type, count(*) FROM 'events/**/*.parquet' GROUP BY type\"\n  \
tallystick export --ndjson events.ndjson\n  \
tallystick export --ndjson - | zstd > events.ndjson.zst\n\n\
Exit codes: 0 everything was written, 1 it was not, 2 wrong usage.";

/// Where to write what.
#[derive(Args)]
#[command(after_help = HELP, group(ArgGroup::new("form").required(true).args(["parquet", "ndjson"])))]
pub struct ExportArguments {
    /// Write Parquet files into this new or empty folder
    #[arg(long, value_name = "DIR")]
    parquet: Option<PathBuf>,
    /// Write one CloudEvent per line to this new file, or to stdout with -
    #[arg(long, value_name = "FILE")]
    ndjson: Option<String>,
    /// Only events of this namespace [default: all]
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    #[command(flatten)]
    store: StoreArguments,
}

/// What is told in the end.
#[derive(serde::Deserialize)]
struct Exported {
    events: u64,
}

/// Takes the events of an export.
trait Sink: Send {
    /// Takes one.
    fn event(&mut self, event: &ExportedEvent<'_>) -> anyhow::Result<()>;
    /// Makes everything that was taken last.
    fn finish(&mut self) -> anyhow::Result<()>;
}

/// Runs `tallystick export`.
pub fn run_export(arguments: &ExportArguments) -> anyhow::Result<Ending> {
    let mut sink: Box<dyn Sink> = match (&arguments.parquet, &arguments.ndjson) {
        (Some(dir), _) => parquet_folder(dir).map_err(refusal)?,
        (None, Some(file)) => Box::new(Ndjson::create(file).map_err(refusal)?),
        (None, None) => return Err(refusal("say where to: --parquet DIR or --ndjson FILE")),
    };
    let bar = Bar::new();
    let mut written = 0u64;
    let exported: anyhow::Result<Exported> = run(&arguments.store, &Request::Export, &mut |line| match line {
        Line::Event(event) if arguments.namespace.as_ref().is_none_or(|wanted| *wanted == event.namespace) => {
            written += 1;
            sink.event(event)
        }
        Line::Progress(progress) => {
            bar.show(progress);
            Ok(())
        }
        _ => Ok(()),
    });
    bar.finish();
    let total = exported?.events;
    sink.finish()?;
    let left_out = match total - written {
        0 => String::new(),
        others => format!(", {others} of other namespaces left out"),
    };
    writeln!(std::io::stderr().lock(), "{written} events written{left_out}")?;
    Ok(Ending::Complete)
}

#[cfg(feature = "parquet")]
fn parquet_folder(dir: &Path) -> Result<Box<dyn Sink>, String> {
    Ok(Box::new(parquet::Folder::create(dir)?))
}

#[cfg(not(feature = "parquet"))]
fn parquet_folder(_: &Path) -> Result<Box<dyn Sink>, String> {
    Err("this tallystick was built without Parquet: use --ndjson, or build it with its default features".into())
}
