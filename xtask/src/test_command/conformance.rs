//! The suites in `conformance/`: the vendors' own SDKs against the built binary.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::MetadataCommand;

use super::counts::{Counts, Format};
use super::{Step, install, process};

/// Code that several suites use; not a suite itself.
const SHARED: &str = "support";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Pytest,
    Node,
}

/// One step per suite. A suite starts the server itself, from `TALLYSTICK_BIN`.
pub fn steps(root: &Path) -> Result<Vec<Step>> {
    let suites = suites(&root.join("conformance"))?;
    let binary = binary(root)?;
    let step = |(name, kind, folder): (String, Kind, PathBuf)| {
        let binary = binary.clone();
        Step::new(format!("conformance: {name}"), move || run(kind, &folder, &binary))
    };
    Ok(suites.into_iter().map(step).collect())
}

/// Where cargo puts the binary, wherever the target directory has been moved to.
fn binary(root: &Path) -> Result<PathBuf> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let name = format!("tallystick{}", std::env::consts::EXE_SUFFIX);
    Ok(metadata.target_directory.join("debug").join(name).into_std_path_buf())
}

fn suites(folder: &Path) -> Result<Vec<(String, Kind, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !path.is_dir() || name == SHARED || name.starts_with(['.', '_']) {
            continue;
        }
        let kind = if path.join("requirements.txt").is_file() {
            Kind::Pytest
        } else if path.join("package.json").is_file() {
            Kind::Node
        } else {
            bail!("{} holds neither requirements.txt nor package.json", path.display());
        };
        found.push((name, kind, path));
    }
    found.sort();
    Ok(found)
}

fn run(kind: Kind, folder: &Path, binary: &Path) -> Result<Counts> {
    let (mut command, format) = match kind {
        Kind::Pytest => {
            install::python_environment(folder)?;
            let mut command = process::command(folder.join(".venv/bin/python"), folder);
            command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider"]);
            (command, Format::Pytest)
        }
        Kind::Node => {
            install::node_modules(folder)?;
            let mut command = process::command("npm", folder);
            command.args(["test", "--silent"]);
            (command, Format::Node)
        }
    };
    process::run(command.env("TALLYSTICK_BIN", binary), Some(format))?.must_hold_tests()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder for one test, gone when the value is dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn with(name: &str, files: &[&str]) -> Self {
            let scratch = Self(std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id())));
            for file in files {
                let path = scratch.0.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            scratch
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[test]
    fn each_folder_is_a_suite_of_its_kind() {
        let scratch =
            Scratch::with("suites", &["b/package.json", "a/requirements.txt", "support/server.py", "README.md"]);
        let found: Vec<_> = suites(&scratch.0).unwrap().into_iter().map(|(name, kind, _)| (name, kind)).collect();
        assert_eq!(found, [("a".to_string(), Kind::Pytest), ("b".to_string(), Kind::Node)]);
    }

    #[test]
    fn a_folder_of_no_kind_is_an_error() {
        let scratch = Scratch::with("no-kind", &["a/requirements.txt", "c/notes.md"]);
        assert!(suites(&scratch.0).unwrap_err().to_string().contains("neither requirements.txt nor package.json"));
    }
}
