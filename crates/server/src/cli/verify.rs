//! `tallystick verify`.

use super::operator::{as_json, bytes, print_damaged, run_with_bar};
use super::{Ending, StoreArguments, print};
use crate::control::{Request, VerifyResult};
use clap::Args;

const HELP: &str = "\
Reads every segment, every file of identities, the MANIFEST and the log again, checks every checksum, computes every\n\
event's identity anew and compares: events with identities, property columns with the data, files with the MANIFEST, and\n\
beside a running server the log with the events in memory. The\n\
state store is checked by its own means. Works beside a running server, which goes on serving.\n\n\
Examples:\n  \
tallystick verify\n  \
tallystick verify --data-dir /var/lib/tallystick --json\n\n\
Exit codes: 0 everything is as it was written, 1 something is damaged (each file is named), 2 wrong usage.";

/// Which data to check.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct VerifyArguments {
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// Runs `tallystick verify`.
pub fn run(arguments: &VerifyArguments) -> anyhow::Result<Ending> {
    let result: VerifyResult = run_with_bar(&arguments.store, &Request::Verify)?;
    print_damaged(&result)?;
    print(&if arguments.json { as_json(&result)? } else { summary(&result) })?;
    Ok(if result.ok { Ending::Complete } else { Ending::Incomplete })
}

fn summary(result: &VerifyResult) -> String {
    let state = match &result.state {
        Some(backend) => format!("checked ({backend})"),
        None => "not there".to_owned(),
    };
    let verdict = match result.damaged.len() {
        0 => "everything is as it was written".to_owned(),
        1 => "1 fault, see above".to_owned(),
        faults => format!("{faults} faults, see above"),
    };
    let memory = match result.memory_events {
        0 => String::new(),
        events => format!(", {events} compared with memory"),
    };
    format!(
        "segments    {} with {} events\nidentities  {} in {} files\nlog         {} events in {} frames{memory}\nread        {}\n\
         state       {state}\n{verdict}\n",
        result.segments,
        result.segment_events,
        result.identities,
        result.runs,
        result.log_events,
        result.log_frames,
        bytes(result.bytes),
    )
}
