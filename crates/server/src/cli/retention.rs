//! `tallystick retention`.

use super::table::{Align, Table};
use super::{Ending, StoreArguments, print, refusal};
use crate::config::Overrides;
use clap::Args;
use tallystick_engine::{Engine, Retention};

/// Show how long events are kept, and what would go now; the server must not run.
#[derive(Args)]
pub struct RetentionArguments {
    /// Let what is older than it is kept go now; it does not count any more, for good
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// Runs `tallystick retention`.
pub fn run(arguments: &RetentionArguments) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let config = arguments.store.config(&Overrides::default())?;
        if config.retention.is_empty() {
            return print("no [[retention]] is configured: every event is kept for ever\n");
        }
        if !config.data_dir.is_dir() {
            let dir = config.data_dir.display();
            return Err(refusal(format!("there is no data directory {dir}: name it with --data-dir")));
        }
        let engine = Engine::open(config.engine().map_err(refusal)?).await.map_err(refusal)?;
        let reviewed = review(&engine, arguments.apply).await;
        engine.close().await.map_err(anyhow::Error::msg)?;
        print(&reviewed?)
    })
}

async fn review(engine: &Engine, apply: bool) -> anyhow::Result<String> {
    let reviewed = engine.review_retention().await?;
    let text = render(&reviewed);
    if !apply {
        return Ok(format!("{text}nothing was changed: apply it with --apply, or let the server do it at its start\n"));
    }
    let rules = engine.apply_retention().await?;
    Ok(format!("{text}applied {rules} rules\n"))
}

fn render(reviewed: &[Retention]) -> String {
    let left = |heading: &str| (heading.to_string(), Align::Left);
    let right = |heading: &str| (heading.to_string(), Align::Right);
    let columns = vec![
        left("NAMESPACE"),
        left("TYPE"),
        left("KEPT SINCE"),
        left("KEPT FROM NOW ON"),
        right("EVENTS THAT GO"),
        right("ABOUT BYTES"),
        left("OLDEST"),
        left("NEWEST"),
    ];
    let mut table = Table::new(columns);
    for Retention { rule, cut_off, next_cut_off, expirable } in reviewed {
        let moment = |at: Option<tallystick_domain::Instant>| at.map_or_else(String::new, |at| at.to_string());
        table.push(vec![
            rule.namespace.to_string(),
            rule.event_type.clone(),
            cut_off.map_or_else(|| "ever".to_string(), |at| at.to_string()),
            next_cut_off.to_string(),
            expirable.events.to_string(),
            expirable.bytes.to_string(),
            moment(expirable.oldest),
            moment(expirable.newest),
        ]);
    }
    table.render()
}
