//! The soak: random histories of the event store on a failing disk, and kills of the real binary, for as long as told.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;
use clap::Args;

/// How long and from which seed.
#[derive(Args)]
pub struct Soak {
    /// How long seeds of the simulation are run
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// The first seed; without it one is drawn and printed
    #[arg(long)]
    seed: Option<u64>,
    /// How often the real binary is killed under load
    #[arg(long, default_value_t = 200)]
    kills: u64,
}

/// Builds what runs, optimised but quickly, and runs it. The first failure ends it, with its seed.
pub fn run(root: &Path, soak: &Soak) -> Result<()> {
    // Small enough to be typed again, and far from the seeds of the tests.
    let fresh = || 1_000_000 + RandomState::new().build_hasher().finish() % 1_000_000_000;
    let seed = soak.seed.unwrap_or_else(fresh);
    println!("soak: seed {seed}, {} seconds of histories, {} kills", soak.seconds, soak.kills);
    // Apart from the simulation: a server must not be built with what only that needs.
    build(root, &["--bin", "tallystick"])?;
    build(root, &["-p", "tallystick-simulator", "-p", "tallystick-testkit", "--bins"])?;
    let bin = release_dir(root)?;
    let seed_text = seed.to_string();
    let again = format!("`cargo xtask soak --seed {seed}`");
    succeed(
        Command::new(bin.join("simulate")).args(["--seed", &seed_text, "--seconds", &soak.seconds.to_string()]),
        &again,
    )?;
    if soak.kills > 0 {
        let kills = soak.kills.to_string();
        succeed(Command::new(bin.join("kill-rounds")).arg(bin.join("tallystick")).args([&kills, &seed_text]), &again)?;
    }
    println!("soak: seed {seed}, nothing lost, nothing counted twice");
    Ok(())
}

fn build(root: &Path, what: &[&str]) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--quiet"]).args(what).current_dir(root);
    // Links in a fraction of the time, and what is looked for here is not speed.
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    succeed(&mut cargo, "the build")
}

fn release_dir(root: &Path) -> Result<PathBuf> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec();
    let metadata = metadata.context("`cargo metadata` failed")?;
    Ok(metadata.target_directory.join("release").into_std_path_buf())
}

fn succeed(command: &mut Command, what: &str) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("`{name}` does not start"))?;
    if !status.success() {
        bail!("{what} failed: `{name}` ended with {status}");
    }
    Ok(())
}
