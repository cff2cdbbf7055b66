//! `tallystick reconcile`.

use super::client::Remote;
use super::meters::with_newline;
use super::table::{Align, Table};
use super::time::parse_moment;
use super::{Ending, print};
use clap::Args;
use serde::Deserialize;
use std::collections::BTreeMap;
use tallystick_domain::time::Zone;

/// Check that every accepted event is accounted for.
#[derive(Args)]
pub struct ReconcileArguments {
    /// Begin with the hour of this time: RFC 3339, or a date or date-time in UTC [default: a day before the end]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// End before the hour of this time, at most 31 days later [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Print the server's answer as it is
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Deserialize)]
struct Report {
    balanced: bool,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    hour: String,
    #[serde(rename = "type")]
    event_type: String,
    source: String,
    accepted: u64,
    counted: u64,
    duplicate: u64,
    unmatched: u64,
    invalid: u64,
    reasons: BTreeMap<String, u64>,
    balanced: bool,
}

/// Runs `tallystick reconcile`.
pub fn run(arguments: &ReconcileArguments) -> anyhow::Result<Ending> {
    let moment = |text: &Option<String>| {
        let parsed = text.as_deref().map(|text| parse_moment(text, Some(&Zone::UTC))).transpose();
        parsed.map(|moment| moment.map(|moment| moment.instant.to_string())).map_err(super::refusal)
    };
    let (from, to) = (moment(&arguments.from)?, moment(&arguments.to)?);
    let bounds = [("from", &from), ("to", &to)];
    let query: Vec<_> = bounds.iter().filter_map(|(name, text)| Some((*name, text.as_deref()?))).collect();
    let answer = arguments.remote.connect()?.get("/api/v1/debug/reconciliation", &query)?.success()?;
    let body = answer.body.clone();
    let report: Report = answer.json()?;
    if arguments.json {
        print(&with_newline(body))?;
    } else {
        print(&render(&report))?;
    }
    Ok(if report.balanced { Ending::Complete } else { Ending::Incomplete })
}

fn render(report: &Report) -> String {
    if report.rows.is_empty() {
        return "nothing was accepted in these hours\n".into();
    }
    let texts = ["HOUR", "TYPE", "SOURCE"].map(|heading| (heading.to_string(), Align::Left));
    let numbers = ["ACCEPTED", "COUNTED", "DUPLICATE", "UNMATCHED", "INVALID"];
    let numbers = numbers.map(|heading| (heading.to_string(), Align::Right));
    let rest = ["REASONS", "BALANCE"].map(|heading| (heading.to_string(), Align::Left));
    let mut table = Table::new(texts.into_iter().chain(numbers).chain(rest).collect());
    for row in &report.rows {
        let reasons: Vec<_> = row.reasons.iter().map(|(reason, count)| format!("{reason}={count}")).collect();
        let found = row.counted + row.duplicate + row.unmatched + row.invalid;
        let balance = match row.balanced {
            true => "ok".to_string(),
            false => format!("{} MISSING", i128::from(row.accepted) - i128::from(found)),
        };
        let source = if row.source.is_empty() { "(other sources)".into() } else { row.source.clone() };
        let numbers = [row.accepted, row.counted, row.duplicate, row.unmatched, row.invalid];
        let mut cells = vec![row.hour.clone(), row.event_type.clone(), source];
        cells.extend(numbers.map(|number| number.to_string()));
        cells.extend([reasons.join(" "), balance]);
        table.push(cells);
    }
    let verdict = match report.balanced {
        true => "every accepted event is accounted for\n",
        false => {
            "IT DOES NOT BALANCE: accepted events are missing, or more are there; look closer with: tallystick verify\n"
        }
    };
    format!("{}{verdict}", table.render())
}
