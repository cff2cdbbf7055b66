//! `tallystick export`: everything that is stored, in a form that other tools read.

mod ndjson;

use super::operator::{Bar, run};
use super::{Ending, StoreArguments, refusal};
use crate::control::{ExportedEvent, Line, Request};
use clap::Args;
use ndjson::Ndjson;
use std::io::Write;

const HELP: &str = "\
Each line is a CloudEvent with the exact JSON of its data, as `tallystick ingest` takes it; --namespace limits it to one\n\
namespace, as ingest sends to one. Works beside a running server; events that come meanwhile are not in it.\n\n\
Examples:\n  \
tallystick export --ndjson events.ndjson\n  \
tallystick export --ndjson - | zstd > events.ndjson.zst\n\n\
Exit codes: 0 everything was written, 1 it was not, 2 wrong usage.";

/// Where to write what.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct ExportArguments {
    /// Write one CloudEvent per line to this new file, or to stdout with -
    #[arg(long, value_name = "FILE")]
    ndjson: String,
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
    let mut sink: Box<dyn Sink> = Box::new(Ndjson::create(&arguments.ndjson).map_err(refusal)?);
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
