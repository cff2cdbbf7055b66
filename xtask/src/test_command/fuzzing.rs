//! The fuzz targets as tests: the committed inputs of each break nothing, nor does what some seconds of fuzzing make up.

use std::cell::OnceCell;
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, Result};

use super::Step;
use super::counts::Counts;
use crate::fuzz::{Targets, names};

/// How long each target is fuzzed.
const SECONDS: u64 = 4;

/// One step that builds, and one for each target.
pub fn steps(root: &Path) -> Result<Vec<Step>> {
    let built: Rc<OnceCell<Targets>> = Rc::default();
    let (filled, folder) = (built.clone(), root.to_path_buf());
    let build = Step::new("building the fuzz targets", move || {
        let targets = Targets::build(&folder)?;
        filled.set(targets).ok().context("the fuzz targets were built twice")?;
        Ok(Counts::default())
    });
    let step = |name: String| {
        let built = built.clone();
        Step::new(format!("fuzz: {name}"), move || {
            run(built.get().context("the fuzz targets could not be built")?, &name)
        })
    };
    Ok(std::iter::once(build).chain(names(root)?.into_iter().map(step)).collect())
}

/// Two tests: the committed inputs, and the fuzzing.
fn run(targets: &Targets, name: &str) -> Result<Counts> {
    let (program, corpus) = (targets.program(name), targets.corpus(name)?);
    program.replay(&corpus)?;
    println!("{} committed inputs break nothing", corpus.len());
    println!("{}", program.sample(&corpus, SECONDS)?);
    Ok(Counts { passed: 2, ..Counts::default() })
}
