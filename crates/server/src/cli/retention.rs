//! `tallystick retention`.

use super::operator::{as_json, run_with_bar};
use super::table::{Align, Table};
use super::{Ending, StoreArguments, print};
use crate::control::{Request, RetentionResult};
use clap::Args;

const HELP: &str = "\
Rules stand as [[retention]] in the configuration; a running server applies its own at its start and every hour. Events\n\
that went do not count any more, for good: sent again, they are repeated events. Works beside a running server.\n\n\
Examples:\n  \
tallystick retention\n  \
tallystick retention --apply";

/// How long events are kept.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct RetentionArguments {
    /// Only show what would go; the default
    #[arg(long, conflicts_with = "apply")]
    dry_run: bool,
    /// Let what is older than it is kept go now
    #[arg(long)]
    apply: bool,
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// Runs `tallystick retention`.
pub fn run(arguments: &RetentionArguments) -> anyhow::Result<Ending> {
    let apply = arguments.apply && !arguments.dry_run;
    let result: RetentionResult = run_with_bar(&arguments.store, &Request::Retention { apply })?;
    print(&if arguments.json { as_json(&result)? } else { text(&result) })
}

fn text(result: &RetentionResult) -> String {
    if result.rules.is_empty() {
        return "no [[retention]] is configured: every event is kept for ever\n".into();
    }
    let left = |heading: &str| (heading.to_string(), Align::Left);
    let right = |heading: &str| (heading.to_string(), Align::Right);
    let mut table = Table::new(vec![
        left("NAMESPACE"),
        left("TYPE"),
        left("KEPT SINCE"),
        left("KEPT FROM NOW ON"),
        right("EVENTS THAT GO"),
        right("ABOUT BYTES"),
        left("OLDEST"),
        left("NEWEST"),
    ]);
    for rule in &result.rules {
        table.push(vec![
            rule.namespace.clone(),
            rule.event_type.clone(),
            rule.cut_off.clone().unwrap_or_else(|| "ever".into()),
            rule.next_cut_off.clone(),
            rule.events.to_string(),
            rule.about_bytes.to_string(),
            rule.oldest.clone().unwrap_or_default(),
            rule.newest.clone().unwrap_or_default(),
        ]);
    }
    let ending = match result.applied {
        true => "these events are gone",
        false => "nothing was changed: apply it with --apply, or let the server do it within the hour",
    };
    format!("{}{ending}\n", table.render())
}
