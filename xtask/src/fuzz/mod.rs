//! The fuzz targets: built with coverage by the stable toolchain, replayed over the committed inputs, and run.
//!
//! `fuzz/` is laid out for cargo-fuzz too, which is not needed here: libFuzzer is linked into the programs, and the flags
//! below are all that it wants from the compiler. No sanitizer is used, as there is no unsafe code to find faults in.

mod libfuzzer;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::MetadataCommand;

use crate::test_command::{install, process};
use libfuzzer::Program;

/// What makes the compiler count which edges of the code ran, and note what was compared with what.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
];

/// Committed inputs of one target: more are not kept.
const MOST_INPUTS: usize = 160;
/// Bytes of the committed inputs of all targets.
const MOST_BYTES: u64 = 400 << 10;

/// The built targets.
pub struct Targets {
    root: PathBuf,
    folder: PathBuf,
}

/// What to do with the targets.
pub struct Wish {
    /// One target only.
    pub target: Option<String>,
    /// How long each is run.
    pub seconds: u64,
    /// An input to run instead.
    pub replay: Option<PathBuf>,
    /// Whether the corpus gets what was found.
    pub keep: bool,
    /// Whether to write sound inputs instead.
    pub seeds: bool,
}

/// Builds the targets and does what is wished.
pub fn run(root: &Path, wish: &Wish) -> Result<()> {
    let all = names(root)?;
    let chosen: Vec<_> = all.iter().filter(|name| wish.target.as_ref().is_none_or(|wanted| wanted == *name)).collect();
    ensure!(!chosen.is_empty(), "there is no such target; there are {}", all.join(", "));
    let targets = Targets::build(root)?;
    for name in chosen {
        let program = targets.program(name);
        if wish.seeds {
            program.write_seeds()?;
            continue;
        }
        if let Some(input) = &wish.replay {
            program.replay(std::slice::from_ref(input))?;
            println!("{name}: the input breaks nothing");
            continue;
        }
        program.replay(&targets.corpus(name)?)?;
        println!("\n==> {name}");
        program.explore(wish.seconds)?;
        if wish.keep {
            targets.keep(&all, &program)?;
        }
    }
    Ok(())
}

/// The targets of the repository, by name.
pub fn names(root: &Path) -> Result<Vec<String>> {
    let mut names: Vec<String> = files(&root.join("fuzz/fuzz_targets"))?
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix(".rs")?.to_string()))
        .collect();
    names.sort();
    Ok(names)
}

impl Targets {
    /// Builds all of them, in a folder beside what the rest of the repository is built to: what runs while it is built,
    /// such as derive macros, is not built twice.
    pub fn build(root: &Path) -> Result<Self> {
        install::cpp()?;
        let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
        let target_folder = metadata.target_directory.into_std_path_buf();
        let host = host()?;
        let mut cargo = process::command("cargo", root);
        cargo.args([
            "build",
            "--quiet",
            "--manifest-path",
            "fuzz/Cargo.toml",
            "--bins",
            "--target",
            &host,
            "--target-dir",
        ]);
        cargo.arg(&target_folder).env("RUSTFLAGS", FLAGS.join(" ")).env_remove("CARGO_ENCODED_RUSTFLAGS");
        process::run(&mut cargo, None)?;
        Ok(Self { root: root.to_path_buf(), folder: target_folder.join(host).join("debug") })
    }

    /// The program of a target.
    pub fn program(&self, name: &str) -> Program {
        Program {
            name: name.to_string(),
            path: self.folder.join(name),
            artifacts: self.root.join("fuzz/artifacts").join(name),
            found: self.root.join("fuzz/found").join(name),
            corpus: self.corpus_folder(name),
        }
    }

    /// The committed inputs of a target. One without any is an error: nothing would be replayed.
    pub fn corpus(&self, name: &str) -> Result<Vec<PathBuf>> {
        let inputs = files(&self.corpus_folder(name))?;
        ensure!(!inputs.is_empty(), "fuzz/corpus/{name} is empty: commit some inputs");
        Ok(inputs)
    }

    /// Adds to the inputs of a target what was found and reaches more, within the bounds of a repository.
    fn keep(&self, all: &[String], program: &Program) -> Result<()> {
        let before = self.corpus(&program.name)?;
        program.keep()?;
        let mut others = 0;
        for name in all.iter().filter(|name| **name != program.name) {
            others += sized(files(&self.corpus_folder(name))?)?.iter().map(|(size, _)| size).sum::<u64>();
        }
        let excess = excess(&sized(before)?, sized(files(&program.corpus)?)?, MOST_BYTES.saturating_sub(others));
        for path in &excess {
            std::fs::remove_file(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let left_out = excess.len();
        println!("{}: {} inputs, {left_out} more were left out", program.name, files(&program.corpus)?.len());
        Ok(())
    }

    fn corpus_folder(&self, name: &str) -> PathBuf {
        self.root.join("fuzz/corpus").join(name)
    }
}

/// Which inputs are too many for a target whose inputs may take so many bytes. What was there before stays; of what is new,
/// the smallest do.
fn excess(before: &[(u64, PathBuf)], now: Vec<(u64, PathBuf)>, room: u64) -> Vec<PathBuf> {
    let mut new: Vec<_> = now.into_iter().filter(|input| !before.contains(input)).collect();
    new.sort();
    let (mut inputs, mut bytes) = (before.len(), before.iter().map(|(size, _)| size).sum::<u64>());
    new.retain(|(size, _)| {
        let fits = inputs < MOST_INPUTS && bytes + size <= room;
        if fits {
            inputs += 1;
            bytes += size;
        }
        !fits
    });
    new.into_iter().map(|(_, path)| path).collect()
}

/// Files with their sizes.
fn sized(files: Vec<PathBuf>) -> Result<Vec<(u64, PathBuf)>> {
    let size = |path: &Path| std::fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()));
    files.into_iter().map(|path| Ok((size(&path)?.len(), path))).collect()
}

/// The files of a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let paths: std::io::Result<Vec<_>> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut files: Vec<PathBuf> = paths?.into_iter().filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// The triple of this machine. With it given, cargo keeps the flags away from what runs while it builds.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc does not start")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    let Some(host) = host else { bail!("`rustc -vV` does not name the host") };
    Ok(host.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::root;

    #[test]
    fn every_target_is_declared_and_has_inputs() {
        let root = root();
        let manifest: toml::Table = std::fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap().parse().unwrap();
        let bins = manifest["bin"].as_array().unwrap().iter().map(|bin| bin["name"].as_str().unwrap().to_string());
        assert_eq!(names(&root).unwrap(), bins.collect::<Vec<_>>());
        for name in names(&root).unwrap() {
            assert!(!files(&root.join("fuzz/corpus").join(&name)).unwrap().is_empty(), "{name} has no inputs");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_in_bytes_and_nothing_is_lost_for_it() {
        let input = |size: u64, name: &str| (size, PathBuf::from(name));
        let before = [input(500, "old-large"), input(1, "old-small")];
        let with = |new: &[(u64, PathBuf)]| [&before, new].concat();
        assert!(excess(&before, with(&[]), 0).is_empty(), "what is committed stays");
        let new = [input(90, "c"), input(7, "a"), input(8, "b")];
        assert!(excess(&before, with(&new), 606).is_empty());
        assert_eq!(excess(&before, with(&new), 605), [PathBuf::from("c")]);
        assert_eq!(excess(&before, with(&new), 508), [PathBuf::from("b"), PathBuf::from("c")]);
        let many: Vec<_> = (0..MOST_INPUTS as u64).map(|size| input(size, "n")).collect();
        assert_eq!(excess(&before, with(&many), MOST_BYTES).len(), 2);
    }

    #[test]
    fn the_committed_inputs_stay_small() {
        let folders = names(&root()).unwrap().into_iter().map(|name| root().join("fuzz/corpus").join(name));
        let inputs: Vec<_> = folders.map(|folder| sized(files(&folder).unwrap()).unwrap()).collect();
        assert!(inputs.iter().all(|inputs| inputs.len() <= MOST_INPUTS), "a target has more than {MOST_INPUTS}");
        let sizes: Vec<u64> = inputs.into_iter().flatten().map(|(size, _)| size).collect();
        assert!(sizes.iter().sum::<u64>() <= MOST_BYTES, "{} bytes", sizes.iter().sum::<u64>());
        assert!(sizes.iter().all(|size| *size <= libfuzzer::MAX_LEN), "an input that is longer is cut off");
    }

    #[test]
    fn the_host_is_known() {
        assert!(host().unwrap().contains('-'));
    }
}
