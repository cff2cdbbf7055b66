//! `tallystick ingest`: a file of events, sent in batches. Ids make it safe to send anything twice.

mod csv;
mod event;
mod ndjson;
mod progress;
mod rows;
mod send;
mod summary;

use super::client::Remote;
use super::time::CLOCK_RULE;
use super::{Ending, print, refusal};
use anyhow::Context;
use clap::{Args, ValueEnum};
use progress::Progress;
use send::{Batch, Import, Sender};
use std::fs::File;
use std::io::Read;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use summary::Tally;
use tallystick_engine::monotonic;

/// A batch is also cut at this many bytes, to stay below what a server takes by default.
const BATCH_BYTES: usize = 4 << 20;

const HELP: &str = "\
A line that is invalid is reported and the rest is sent. Every event has an id, so a file can be sent again at any time,\n\
for example after an interruption: what the server has already is counted as duplicate and changes nothing.\n\n\
Exit codes: 0 all lines are stored, 1 some were invalid or sending failed, 2 wrong usage.";

/// Which file to send and how to read it.
#[derive(Args)]
#[command(after_help = format!("{CLOCK_RULE} The summary counts both.\n\n{HELP}"))]
pub struct IngestArguments {
    /// File to read, or - for stdin
    file: String,
    /// How to read it [default: csv for *.csv, ndjson for the rest]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Events per request
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Requests at the same time; 1 keeps the order of the file
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    parallel: u32,
    /// Id under which the server tells how far this import is: GET /api/v1/info/progress/ID
    #[arg(long, value_name = "ID", value_parser = client_id)]
    client_id: Option<String>,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    csv: csv::CsvArguments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One CloudEvent (a JSON object) per line
    Ndjson,
    /// A table with a heading; the options --type and following say what its columns mean
    Csv,
}

/// What was read of one line.
pub(super) struct Line {
    /// Its number in the file, from 1.
    number: u64,
    /// How much of the file it took.
    bytes: u64,
    /// The event as JSON, or why there is none.
    event: Result<String, String>,
    /// Whether its local time never comes on its clock or comes twice.
    is_gap_or_fold: bool,
}

/// Lines until the end of the file; an error is one of the file itself.
type Lines = Box<dyn Iterator<Item = anyhow::Result<Line>>>;

/// Runs `tallystick ingest`.
pub fn run(arguments: &IngestArguments) -> anyhow::Result<Ending> {
    let format = arguments.format.unwrap_or_else(|| format_of(&arguments.file));
    let (file, length) = open(&arguments.file).map_err(|error| refusal(format!("{error:#}")))?;
    let lines: Lines = match format {
        Format::Ndjson => {
            arguments.csv.refuse_for_ndjson().map_err(refusal)?;
            Box::new(ndjson::lines(file))
        }
        Format::Csv => Box::new(csv::lines(file, &arguments.csv)?),
    };
    let client = arguments.remote.connect()?;
    let started = monotonic();
    let tally = Tally::default();
    let progress = Progress::start(length);
    let import = arguments.client_id.as_deref().map(|id| Import::new(id, &arguments.file, format)).transpose()?;
    let sender = Sender { client: &client, tally: &tally, progress: &progress, import };
    let sent = send_all(lines, &sender, arguments);
    progress.finish();
    let summary = tally.summary(started.elapsed());
    print(&if arguments.json { summary.json()? } else { summary.text() })?;
    sent.with_context(|| format!("stopped after {} lines; run the same command again to go on", summary.settled()))?;
    Ok(if summary.is_complete() { Ending::Complete } else { Ending::Incomplete })
}

fn client_id(text: &str) -> Result<String, String> {
    let is_good = (1..=36).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_good { Ok(text.to_owned()) } else { Err("use 1 to 36 ASCII characters without spaces".to_owned()) }
}

fn format_of(file: &str) -> Format {
    if file.to_ascii_lowercase().ends_with(".csv") { Format::Csv } else { Format::Ndjson }
}

/// The file and its length, if it has one.
fn open(name: &str) -> anyhow::Result<(Box<dyn Read>, Option<u64>)> {
    if name == "-" {
        return Ok((Box::new(std::io::stdin()), None));
    }
    let file = File::open(name).with_context(|| format!("cannot read {name}"))?;
    let metadata = file.metadata().with_context(|| format!("cannot read {name}"))?;
    anyhow::ensure!(!metadata.is_dir(), "cannot read {name}: it is a folder");
    Ok((Box::new(file), metadata.is_file().then_some(metadata.len())))
}

/// Reads on this thread and sends on the others, a bounded number of batches ahead.
fn send_all(lines: Lines, sender: &Sender<'_>, arguments: &IngestArguments) -> anyhow::Result<()> {
    let (batches, waiting) = sync_channel::<Batch>(arguments.parallel as usize);
    let waiting = Mutex::new(waiting);
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            (0..arguments.parallel).map(|_| scope.spawn(|| deliver_waiting(&waiting, sender))).collect();
        let read = read_batches(lines, sender.tally, arguments.batch as usize, &batches);
        drop(batches);
        let mut outcome = read;
        for worker in workers {
            let sent = worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a sending thread failed")));
            outcome = sent.and(outcome);
        }
        outcome
    })
}

/// Sends what is waiting until there is no more. After a failure the rest is taken and dropped, so that reading ends.
fn deliver_waiting(waiting: &Mutex<Receiver<Batch>>, sender: &Sender<'_>) -> anyhow::Result<()> {
    let next = || waiting.lock().ok().and_then(|queue| queue.recv().ok());
    let mut outcome = Ok(());
    while let Some(batch) = next() {
        if sender.tally.has_failed() {
            continue;
        }
        if let Err(error) = sender.deliver(batch) {
            sender.tally.fail();
            outcome = Err(error);
        }
    }
    outcome
}

fn read_batches(lines: Lines, tally: &Tally, size: usize, batches: &SyncSender<Batch>) -> anyhow::Result<()> {
    let mut batch = Batch::default();
    for line in lines {
        let line = line?;
        if tally.has_failed() {
            return Ok(());
        }
        tally.read_line();
        let Line { number, bytes, event, is_gap_or_fold } = line;
        if is_gap_or_fold {
            tally.gap_or_fold();
        }
        batch.source_bytes += bytes;
        match event {
            Ok(event) => batch.push(number, event),
            Err(reason) => tally.no_event(number, &reason),
        }
        if batch.len() >= size || batch.event_bytes() >= BATCH_BYTES {
            // Nobody takes it any more only after a failure, which the workers report.
            if batches.send(std::mem::take(&mut batch)).is_err() {
                return Ok(());
            }
        }
    }
    // An empty last batch still carries the bytes of invalid lines to the progress bar.
    let _ = batches.send(batch);
    Ok(())
}
