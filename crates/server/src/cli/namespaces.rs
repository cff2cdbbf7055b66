//! `tallystick namespaces`: on the state store itself, also while a server runs.

use super::table::{Align, Table};
use super::{Ending, StoreArguments, print, refusal};
use clap::{Args, Subcommand};
use tallystick_domain::Namespace;
use tallystick_engine::NamespaceAdmin;

const HELP: &str = "\
A namespace has its own events, meters, customers, features, keys and portal tokens, and sees nothing of the others. \
The namespace \"default\" is always there. Make a key for a new one next: tallystick keys create --namespace NAME";

/// What to do with the namespaces of a store.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct NamespacesArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Create a namespace
    Create {
        /// Its name: 1 to 64 of a-z, 0-9, '_' and '-', starting with a letter or digit
        #[arg(value_parser = Namespace::parse)]
        name: Namespace,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Show all namespaces
    List {
        #[command(flatten)]
        store: StoreArguments,
    },
}

/// Runs `tallystick namespaces`.
pub fn run(arguments: NamespacesArguments) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.action {
            Action::Create { name, store } => {
                let admin = store.open_state(true, NamespaceAdmin::open).await?;
                admin.create(&name).await.map_err(refusal)?;
                print(&format!("created namespace {name}\n"))
            }
            Action::List { store } => {
                let admin = store.open_state(false, NamespaceAdmin::open).await?;
                let headings = ["NAMESPACE", "CREATED"];
                let mut table = Table::new(headings.map(|heading| (heading.to_string(), Align::Left)).to_vec());
                for (name, created_at) in admin.list().await? {
                    table.push(vec![name.to_string(), created_at.map(|at| at.to_string()).unwrap_or_default()]);
                }
                print(&table.render())
            }
        }
    })
}
