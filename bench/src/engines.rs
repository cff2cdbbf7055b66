//! The other engines: scripts that load the same rows and answer the same questions in processes of their own.

use crate::data::{Answers, DataSet};
use crate::options::{Engine, RunOptions};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Changes when the scripts load in another way, so that what older ones loaded is not used.
const LOADED_AS: u32 = 1;

/// What a script reports.
#[derive(Deserialize)]
pub struct Report {
    /// Of the engine.
    pub version: String,
    /// How long it took to load the rows, unless they were there.
    pub load_seconds: Option<f64>,
    /// Bytes on disk per event, by table.
    pub bytes_per_event: BTreeMap<String, f64>,
    /// Each table with each number of threads.
    pub contestants: Vec<Contestant>,
}

/// A table with a number of threads.
#[derive(Deserialize)]
pub struct Contestant {
    /// Its name.
    #[serde(rename = "contestant")]
    pub name: String,
    /// Best time of each question in milliseconds.
    pub best_ms: BTreeMap<String, f64>,
    /// The answers as lines.
    pub answers: BTreeMap<String, Vec<String>>,
}

/// Runs an engine over the data set.
///
/// # Errors
/// When it fails or an answer differs.
pub fn run(engine: Engine, options: &RunOptions, data: DataSet, expected: &Answers) -> Result<Report> {
    let (script, name) = match engine {
        Engine::Chdb => ("clickhouse.py", "chdb"),
        Engine::Duckdb => ("duck.py", "duckdb"),
    };
    let folder = absolute(&options.dir.join(name))?;
    let stamp = format!("{LOADED_AS} {} {}", data.seed, data.events);
    let is_loaded = std::fs::read_to_string(folder.join("stamp")).is_ok_and(|text| text == stamp);
    let tsv = absolute(&options.dir.join("rows.tsv"))?;
    if !is_loaded {
        write_rows(&tsv, data, &stamp)?;
    }
    let out = absolute(&options.dir.join(format!("{name}.json")))?;
    let mut command = Command::new(python(options)?);
    command.arg(options.scripts.join(script)).arg("--dir").arg(&folder).arg("--tsv").arg(&tsv);
    command.args(["--stamp", &stamp, "--repeats", &options.repeats.to_string(), "--out"]).arg(&out);
    // Its own cache of compiled scripts has no place in the repository.
    let status = command.env("PYTHONDONTWRITEBYTECODE", "1").status().context("Python does not start")?;
    if !status.success() {
        bail!("{script} ended with {status}");
    }
    let report: Report = serde_json::from_str(&std::fs::read_to_string(&out)?)?;
    for contestant in &report.contestants {
        for (question, lines) in &contestant.answers {
            compare(question, &contestant.name, lines, expected)?;
        }
    }
    Ok(report)
}

/// Fails when an answer is not the one that the rows add up to.
///
/// # Errors
/// Names the question and the first line that differs.
pub fn compare(question: &str, contestant: &str, lines: &[String], expected: &Answers) -> Result<()> {
    let right = expected.get(question).with_context(|| format!("nobody knows {question}"))?;
    if lines == right.as_slice() {
        return Ok(());
    }
    let at = lines.iter().zip(right).position(|(one, other)| one != other).unwrap_or(lines.len().min(right.len()));
    bail!(
        "{contestant} answers {question} differently: {} lines for {}, line {at} is {:?} for {:?}",
        lines.len(),
        right.len(),
        lines.get(at),
        right.get(at)
    )
}

/// The rows as text for engines that read files; kept for the next engine.
fn write_rows(path: &Path, data: DataSet, stamp: &str) -> Result<()> {
    let mark = path.with_extension("stamp");
    if path.exists() && std::fs::read_to_string(&mark).is_ok_and(|text| text == stamp) {
        return Ok(());
    }
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path)?);
    data.rows().try_for_each(|row| row.write_tsv(&mut out))?;
    out.flush()?;
    Ok(std::fs::write(mark, stamp)?)
}

/// Removes the rows as text: they are made again when they are needed.
///
/// # Errors
/// When the folder cannot be written.
pub fn forget_rows(options: &RunOptions) -> Result<()> {
    let path = options.dir.join("rows.tsv");
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

fn absolute(path: &Path) -> Result<PathBuf> {
    Ok(std::path::absolute(path)?)
}

/// A Python with the other engines: the given one, or one in a virtual environment that is made here.
fn python(options: &RunOptions) -> Result<PathBuf> {
    if let Some(python) = &options.python {
        return Ok(python.clone());
    }
    let folder = absolute(&options.dir.join("python"))?;
    let (python, mark) = (folder.join("bin/python"), folder.join("installed"));
    let wanted = std::fs::read_to_string(options.scripts.join("requirements.txt"))?;
    if std::fs::read_to_string(&mark).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    println!("installing the other engines into {}", folder.display());
    must(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    must(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "-r"])
            .arg(options.scripts.join("requirements.txt")),
    )?;
    std::fs::write(mark, wanted)?;
    Ok(python)
}

fn must(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?} does not start"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_different_answer_is_named() {
        let expected = Answers::from([("one_subject", vec!["5".to_string()])]);
        assert!(compare("one_subject", "x", &["5".to_string()], &expected).is_ok());
        let error = compare("one_subject", "x", &["6".to_string()], &expected).unwrap_err().to_string();
        assert!(error.contains("x answers one_subject differently") && error.contains("\"6\""), "{error}");
        assert!(compare("one_subject", "x", &[], &expected).is_err());
        assert!(compare("unknown", "x", &[], &expected).is_err());
    }
}
