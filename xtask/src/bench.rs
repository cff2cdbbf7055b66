//! Builds the product and the bench as they are released, and runs the bench from the root of the repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

const BUILD: [&str; 6] = ["build", "--release", "-p", "tallystick-server", "-p", "tallystick-bench"];
/// Where the figures of the last run stand.
const RESULTS: &str = "bench/results/latest.json";

/// Measures; further arguments go to the bench.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let target = built(root)?;
    let mut command = bench(root, &target);
    command.args(["run", "--results", RESULTS, "--dir"]).arg(target.join("bench")).args(arguments);
    must(&mut command)
}

/// Writes the table of the last run into the page that shows it.
pub fn report(root: &Path) -> Result<()> {
    let target = built(root)?;
    must(bench(root, &target).arg("report"))
}

/// Builds both; the folder of everything that cargo makes.
fn built(root: &Path) -> Result<PathBuf> {
    must(Command::new("cargo").args(BUILD).current_dir(root))?;
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    Ok(metadata.target_directory.into_std_path_buf())
}

fn bench(root: &Path, target: &Path) -> Command {
    let mut command = Command::new(target.join("release/tallystick-bench"));
    command.current_dir(root);
    command
}

fn must(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} does not start"))?;
    if !status.success() {
        bail!("{command:?} failed");
    }
    Ok(())
}
