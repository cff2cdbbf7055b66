//! One target as a program, and what libFuzzer prints when an input breaks something.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Longer inputs are not made.
pub const MAX_LEN: u64 = 16 << 10;
/// Seconds after which one input counts as an endless loop.
const TIMEOUT: u64 = 20;
/// Memory beyond which an input counts as a way to make the server fall over.
const MEMORY_MIB: u64 = 2048;

/// A built target.
pub struct Program {
    pub name: String,
    pub path: PathBuf,
    /// Where the input goes that broke something.
    pub artifacts: PathBuf,
    /// Where interesting inputs are collected from run to run.
    pub found: PathBuf,
    /// The committed inputs.
    pub corpus: PathBuf,
}

impl Program {
    /// Runs inputs, each once.
    pub fn replay(&self, inputs: &[PathBuf]) -> Result<()> {
        let output = self.command()?.args(inputs).output().with_context(|| self.does_not_start())?;
        self.judge(&output, "replay")
    }

    /// Fuzzes for some seconds, from the same choices each time, and says how many inputs were tried. Nothing is kept.
    pub fn sample(&self, inputs: &[PathBuf], seconds: u64) -> Result<String> {
        let inputs: Vec<String> = inputs.iter().map(|input| input.display().to_string()).collect();
        let mut command = self.command()?;
        command.args(["-seed=1".into(), format!("-max_total_time={seconds}")]);
        // Given as a list and not as a folder, since what is found is written into the first folder.
        command.arg(format!("-seed_inputs={}", inputs.join(",")));
        let output = command.output().with_context(|| self.does_not_start())?;
        self.judge(&output, "run")?;
        let said = String::from_utf8_lossy(&output.stderr);
        let Some(done) = said.lines().rev().find(|line| line.starts_with("Done ")) else {
            bail!("{} does not say how many inputs it tried", self.name)
        };
        Ok(done.to_string())
    }

    /// Fuzzes for some seconds and shows what libFuzzer says meanwhile.
    pub fn explore(&self, seconds: u64) -> Result<()> {
        let mut command = self.command()?;
        command.arg(format!("-max_total_time={seconds}")).arg(&self.found).arg(&self.corpus);
        let status = command.status().with_context(|| self.does_not_start())?;
        if status.success() {
            return Ok(());
        }
        bail!("{}: an input broke something; it is the newest file of {}", self.name, self.artifacts.display())
    }

    /// Adds to the corpus what of the inputs found so far reaches code that no committed one reaches.
    pub fn keep(&self) -> Result<()> {
        let mut command = self.command()?;
        let output = command.arg("-merge=1").arg(&self.corpus).arg(&self.found).output();
        self.judge(&output.with_context(|| self.does_not_start())?, "merge")
    }

    /// Writes sound inputs into the corpus. Those of an earlier format stay beside them.
    pub fn write_seeds(&self) -> Result<()> {
        let output = self.command()?.env("TALLYSTICK_FUZZ_SEEDS", &self.corpus).output();
        self.judge(&output.with_context(|| self.does_not_start())?, "making of seeds")
    }

    fn command(&self) -> Result<Command> {
        for folder in [&self.artifacts, &self.found] {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let mut command = Command::new(&self.path);
        command.stdin(Stdio::null()).args([
            format!("-max_len={MAX_LEN}"),
            format!("-timeout={TIMEOUT}"),
            format!("-rss_limit_mb={MEMORY_MIB}"),
            format!("-artifact_prefix={}/", self.artifacts.display()),
        ]);
        Ok(command)
    }

    fn does_not_start(&self) -> String {
        format!("the fuzz target {} does not start", self.path.display())
    }

    /// An error that tells which input broke what, and how to see it again.
    fn judge(&self, output: &Output, what: &str) -> Result<()> {
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let shown: Vec<&str> = said.lines().filter(|line| !is_noise(line)).collect();
        let shown = shown[shown.len().saturating_sub(20)..].join("\n");
        let Some(input) = input_of(&said) else { bail!("the {what} of {} failed:\n{shown}", self.name) };
        bail!(
            "the {what} of {name} failed:\n{shown}\nthe input is {input}\n  see it again: cargo xtask fuzz --target {name} \
             --replay {input}\n  when it is fixed, it belongs into fuzz/corpus/{name}/",
            name = self.name
        )
    }
}

/// The input that was run last: the one that was written down, or else the one that was replayed.
fn input_of(said: &str) -> Option<&str> {
    let after = |start: &str| said.lines().rev().find_map(|line| line.split_once(start).map(|(_, path)| path.trim()));
    after("Test unit written to ").or_else(|| after("Running: "))
}

/// Lines that say nothing of the fault.
fn is_noise(line: &str) -> bool {
    let starts = ["INFO:", "Running: ", "Executed ", "#", "0x", "NOTE: "];
    starts.iter().any(|start| line.starts_with(start)) || line.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRASH: &str = "INFO: Seed: 1\nRunning: corpus/a\nExecuted corpus/a in 0 ms\nRunning: corpus/b\n\
                         thread '<unnamed>' panicked at a.rs:1:2:\nother rows\n";

    #[test]
    fn the_input_is_the_one_that_was_written_or_run_last() {
        assert_eq!(input_of(CRASH), Some("corpus/b"));
        let written = format!("{CRASH}artifact_prefix='x/'; Test unit written to x/crash-1\nBase64: \n");
        assert_eq!(input_of(&written), Some("x/crash-1"));
        assert_eq!(input_of("it does not start"), None);
    }

    #[test]
    fn a_failed_replay_names_its_input_and_the_way_to_it() {
        let scratch = std::env::temp_dir().join(format!("xtask-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&scratch).unwrap();
        let path = scratch.join("target");
        let script = "#!/bin/sh\necho 'Running: corpus/b' >&2; echo 'it broke' >&2; exit 77\n";
        std::fs::write(&path, script).unwrap();
        std::process::Command::new("chmod").arg("+x").arg(&path).status().unwrap();
        let folder = |name: &str| scratch.join(name);
        let (artifacts, found, corpus) = (folder("artifacts"), folder("found"), folder("corpus"));
        let program = Program { name: "t".into(), path, artifacts, found, corpus };
        let error = program.replay(&[]).unwrap_err().to_string();
        std::fs::remove_dir_all(&scratch).unwrap();
        assert!(error.contains("it broke\nthe input is corpus/b\n"), "{error}");
        assert!(error.contains("cargo xtask fuzz --target t --replay corpus/b"), "{error}");
    }
}
