//! `tallystick keys`: on the state store itself, so that the first key can be made before the first start.

use super::table::{Align, Table};
use super::{Ending, StoreArguments, print, refusal};
use crate::config::{self, Config, Overrides};
use anyhow::Context;
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::Path;
use tallystick_domain::Namespace;
use tallystick_domain::key::{ApiKey, Scope};
use tallystick_engine::{KeyAdmin, OpenError};

/// What to do with the keys of a store.
#[derive(Args)]
pub struct KeysArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Create a key; its secret is printed once, alone on stdout
    Create {
        /// Name of the key, for people
        #[arg(long)]
        name: String,
        /// What it may do: ingest (send events), read (read everything), admin (everything)
        #[arg(long, required = true, value_name = "SCOPE[,SCOPE...]", value_delimiter = ',', value_parser = scope)]
        scope: Vec<Scope>,
        /// The only namespace that it sees; it must exist: tallystick namespaces create
        #[arg(long, default_value = "default", value_parser = Namespace::parse)]
        namespace: Namespace,
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Show all keys, without their secrets
    List {
        #[command(flatten)]
        store: StoreArguments,
    },
    /// Make a key useless
    Revoke {
        /// Id of the key, as `keys list` shows it
        id: String,
        #[command(flatten)]
        store: StoreArguments,
    },
}

/// Runs `tallystick keys`.
pub fn run(arguments: KeysArguments) -> anyhow::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments.action {
            Action::Create { name, scope, namespace, store } => {
                let admin = store.open_state(true, KeyAdmin::open).await?;
                let created = admin.create(namespace, &name, scope).await.map_err(refusal)?;
                announce(&created.key)?;
                print(&format!("{}\n", created.secret))
            }
            Action::List { store } => {
                print(&table(&store.open_state(false, KeyAdmin::open).await?.list().await?).render())
            }
            Action::Revoke { id, store } => {
                store.open_state(false, KeyAdmin::open).await?.revoke(&id).await?;
                print(&format!("revoked key {id}\n"))
            }
        }
    })
}

/// On stderr, so that stdout holds the secret alone.
fn announce(key: &ApiKey) -> anyhow::Result<()> {
    let mut err = std::io::stderr().lock();
    let scopes = scopes(key);
    writeln!(
        err,
        "created key {} {:?} in namespace {} with scope {scopes}\nits secret follows and is not shown again; send it as: Authorization: Bearer SECRET",
        key.id, key.name, key.namespace
    )?;
    Ok(())
}

fn table(keys: &[ApiKey]) -> Table {
    let headings = ["ID", "NAME", "NAMESPACE", "SCOPES", "CREATED", "REVOKED"];
    let mut table = Table::new(headings.map(|heading| (heading.to_string(), Align::Left)).to_vec());
    for key in keys {
        let revoked = key.revoked_at.map(|at| at.to_string()).unwrap_or_default();
        let (id, namespace) = (key.id.to_string(), key.namespace.to_string());
        table.push(vec![id, key.name.clone(), namespace, scopes(key), key.created_at.to_string(), revoked]);
    }
    table
}

fn scopes(key: &ApiKey) -> String {
    key.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(",")
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "use ingest, read or admin".to_string())
}

impl StoreArguments {
    /// Opens the state store that a server with the same options uses, to manage a part of it. One that is missing is made
    /// only if it `may_create`.
    pub(super) async fn open_state<T>(
        &self,
        may_create: bool,
        open: impl AsyncFnOnce(&Path, Option<&str>) -> Result<T, OpenError>,
    ) -> anyhow::Result<T> {
        let config = self.config(&Overrides::default())?;
        if !may_create && config.state_url().is_none() && !config.data_dir.is_dir() {
            let dir = config.data_dir.display();
            return Err(refusal(format!("there is no data directory {dir}: name it with --data-dir")));
        }
        let opened = open(&config.data_dir, config.state_url()).await;
        opened.context("cannot open the state store").map_err(|error| refusal(format!("{error:#}")))
    }

    /// The configuration with these arguments, the environment and `others` applied.
    pub(super) fn config(&self, others: &Overrides) -> anyhow::Result<Config> {
        let overrides =
            Overrides { data_dir: self.data_dir.clone(), state_url: self.state_url.clone(), ..others.clone() };
        config::load(self.config.as_deref(), &config::process_environment(), &overrides).map_err(refusal)
    }
}
