//! `tallystick stats`.

use super::operator::{as_json, bytes, run_with_bar};
use super::table::{Align, Table};
use super::{Ending, StoreArguments, print};
use crate::control::{FileGroup, PartLine, Request, StatsResult};
use clap::Args;

const HELP: &str = "\
Bytes per event count the sealed events; compression compares a sample of them as plain texts with what they take in\n\
their files. Parts are what the bytes of the segments are spent on, columns of data by the path of their property. Works beside a running server.\n\n\
Examples:\n  \
tallystick stats\n  \
tallystick stats --json | jq .types";

/// Which data to describe.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct StatsArguments {
    /// Print everything as JSON, each segment too
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// Runs `tallystick stats`.
pub fn run(arguments: &StatsArguments) -> anyhow::Result<Ending> {
    let stats: StatsResult = run_with_bar(&arguments.store, &Request::Stats)?;
    print(&if arguments.json { as_json(&stats)? } else { text(&stats) })
}

fn text(stats: &StatsResult) -> String {
    let mut files = table(&["", "FILES", "ITEMS", "BYTES"], 1);
    let mut push = |name: &str, group: &FileGroup| {
        let shown = |count: u64| if count == 0 { String::new() } else { count.to_string() };
        files.push(vec![name.into(), shown(group.files), shown(group.items), bytes(group.bytes)]);
    };
    push("segments", &stats.segments);
    push("identities", &stats.runs);
    push("log", &stats.log);
    push("in memory", &stats.memory);
    let mut types = table(&["NAMESPACE", "TYPE", "EVENTS", "FIRST", "LAST"], 2);
    for of in &stats.types {
        let (first, last) = (of.first.clone(), of.last.clone());
        types.push(vec![of.namespace.clone(), of.event_type.clone(), of.events.to_string(), first, last]);
    }
    let mut parts = table(&["PART", "BYTES", "PER EVENT"], 1);
    for PartLine { part, bytes: size, bytes_per_event_milli } in &stats.parts {
        parts.push(vec![part.clone(), bytes(*size), thousandths(*bytes_per_event_milli)]);
    }
    format!(
        "events               {}\nbytes per event      {} with ids, {} with the files of identities\n\
         compression          {} times (sample of {} events)\nwaiting to be merged {} segments, {}\nstate                {}\n\n{}\n{}\n{}",
        stats.events,
        thousandths(stats.bytes_per_event_milli),
        thousandths(stats.bytes_per_event_with_index_milli),
        thousandths(stats.compression_milli),
        stats.sample_events,
        stats.debt_segments,
        bytes(stats.debt_bytes),
        stats.state,
        files.render(),
        parts.render(),
        types.render(),
    )
}

/// A table whose first columns are texts and whose others are numbers.
fn table(headings: &[&str], texts: usize) -> Table {
    let column =
        |(at, heading): (usize, &&str)| ((*heading).to_string(), if at < texts { Align::Left } else { Align::Right });
    Table::new(headings.iter().enumerate().map(column).collect())
}

/// A number of thousandths with one digit after the point.
fn thousandths(value: u64) -> String {
    let tenths = value.saturating_add(50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_are_rounded_to_tenths() {
        assert_eq!([0, 49, 50, 26_000, 26_951].map(thousandths), ["0.0", "0.0", "0.1", "26.0", "27.0"]);
    }
}
