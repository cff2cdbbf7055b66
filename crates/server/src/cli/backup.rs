//! `tallystick backup` and `tallystick restore`.

use super::operator::{Bar, absolute, as_json, bytes, print_damaged, run_with_bar, runtime};
use super::{Ending, StoreArguments, print, refusal};
use crate::backup::{Description, RestoreError, restore};
use crate::config::Overrides;
use crate::control::{BackupResult, Request};
use clap::Args;
use std::ops::ControlFlow;
use std::path::PathBuf;
use tallystick_engine::Progress;

const BACKUP_HELP: &str = "\
The folder holds every event that was acknowledged before the command began, and perhaps later ones, but none without all\n\
that were acknowledged before it. The server goes on taking events; the folder is on the server's machine. State is copied\n\
too, unless it is in PostgreSQL: save that with pg_dump, before the backup of the events. BACKUP.json, written last,\n\
describes the backup; a folder without it is not complete.\n\n\
Example:\n  \
tallystick backup /backups/2026-01-31\n\n\
Exit codes: 0 the backup is complete, 1 it is not, 2 wrong usage.";

const RESTORE_HELP: &str = "\
The backup is checked as a whole before anything is written, as `tallystick verify` checks a data directory. With state in\n\
PostgreSQL, restore its dump first.\n\n\
Example:\n  \
tallystick restore /backups/2026-01-31 --data-dir /var/lib/tallystick\n\n\
Exit codes: 0 the data directory can be served, 1 the backup is damaged or could not be copied, 2 nothing was tried.";

/// Where to put a backup.
#[derive(Args)]
#[command(after_help = BACKUP_HELP)]
pub struct BackupArguments {
    /// New or empty folder
    dir: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// Which backup to make a data directory of.
#[derive(Args)]
#[command(after_help = RESTORE_HELP)]
pub struct RestoreArguments {
    /// Folder of the backup
    dir: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArguments,
}

/// Runs `tallystick backup`.
pub fn run(arguments: &BackupArguments) -> anyhow::Result<Ending> {
    let request = Request::Backup { dir: absolute(&arguments.dir)? };
    let result: BackupResult = run_with_bar(&arguments.store, &request)?;
    let mut text = format!(
        "{}: {} events, {} files, {}\n",
        result.dir.display(),
        result.events,
        result.files,
        bytes(result.bytes)
    );
    if result.state != "sqlite" {
        text.push_str("state is in PostgreSQL and not in the backup: save it with pg_dump\n");
    }
    print(&if arguments.json { as_json(&result)? } else { text })
}

/// Runs `tallystick restore`.
pub fn run_restore(arguments: &RestoreArguments) -> anyhow::Result<Ending> {
    let config = arguments.store.config(&Overrides::default())?;
    let description = Description::read(&arguments.dir).map_err(refusal)?;
    if description.state == "sqlite" && config.state_url().is_some() {
        let reason = "the backup holds the state as a file for the data directory, but state_url names another place: leave \
                      it out to restore";
        return Err(refusal(reason));
    }
    let (bar, runtime) = (Bar::new(), runtime()?);
    let watch = |progress: Progress| {
        bar.show(&progress.into());
        ControlFlow::Continue(())
    };
    let restored = restore(&arguments.dir, &config.data_dir, runtime.handle(), &watch);
    bar.finish();
    let result = match restored {
        Ok(result) => result,
        Err(RestoreError::Refused(reason)) => return Err(refusal(reason)),
        Err(RestoreError::Failed(reason)) => anyhow::bail!(reason),
        Err(RestoreError::Damaged(found)) => {
            print_damaged(&found)?;
            anyhow::bail!("the backup is damaged; nothing was written");
        }
    };
    let mut text = format!(
        "{}: {} events, {} files, {}\n",
        result.data_dir.display(),
        result.events,
        result.files,
        bytes(result.bytes)
    );
    if result.state != "sqlite" {
        text.push_str("state was in PostgreSQL: restore its dump before the server is started\n");
    }
    print(&if arguments.json { as_json(&result)? } else { text })
}
