//! The files of the repository as plain data, so that every check is a function that a test can feed.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use ignore::WalkBuilder;

/// The root of the workspace.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// One file: its path from the root with `/` between the parts, and its text (empty when it is not text).
pub struct SourceFile {
    pub path: String,
    pub text: String,
}

impl SourceFile {
    /// The part after the last dot of the file name, or nothing.
    pub fn extension(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        name.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Lock files are written by package managers, so rules about text do not hold for them.
    pub fn is_lock_file(&self) -> bool {
        self.extension() == "lock" || self.path.ends_with("package-lock.json")
    }

    /// Rust that only runs in tests: integration tests, and modules of tests in a file of their own.
    pub fn is_test_code(&self) -> bool {
        self.path.starts_with("crates/testkit/")
            || self.path.contains("/tests/")
            || self.path.contains("/benches/")
            || self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
    }
}

/// Every file that is not ignored, sorted by path.
pub struct Repository {
    pub files: Vec<SourceFile>,
}

impl Repository {
    /// Reads what `.gitignore` lets through; a source archive without `.git` gives the same list.
    pub fn read(root: &Path) -> Result<Self> {
        let walk = WalkBuilder::new(root)
            .hidden(false)
            .require_git(false)
            .parents(false)
            .git_global(false)
            .git_exclude(false)
            .filter_entry(|entry| entry.file_name() != ".git")
            .sort_by_file_path(Path::cmp)
            .build();
        let mut files = Vec::new();
        for entry in walk {
            let entry = entry.context("the repository cannot be listed")?;
            if !entry.file_type().is_some_and(|kind| kind.is_file()) {
                continue;
            }
            let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            let bytes = std::fs::read(entry.path()).with_context(|| format!("cannot read {}", relative.display()))?;
            files.push(SourceFile { path: parts.join("/"), text: String::from_utf8(bytes).unwrap_or_default() });
        }
        Ok(Self { files })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_lists_its_own_sources_and_no_build_output() {
        let repository = Repository::read(&root()).unwrap();
        assert!(repository.files.iter().any(|file| file.path == "xtask/src/repository.rs"));
        assert!(repository.files.iter().any(|file| file.path == ".gitignore"));
        assert!(!repository.files.iter().any(|file| file.path.starts_with("target/")));
        assert!(!repository.files.iter().any(|file| file.path.starts_with(".git/")));
    }

    #[test]
    fn kinds_are_read_from_the_path() {
        let file = |path: &str| SourceFile { path: path.into(), text: String::new() };
        assert_eq!(file("a/b.c.rs").extension(), "rs");
        assert_eq!(file("a.d/LICENSE").extension(), "");
        assert!(file("Cargo.lock").is_lock_file());
        assert!(!file("crates/a/src/block.rs").is_lock_file());
        assert!(file("crates/a/tests/b.rs").is_test_code());
        assert!(!file("crates/a/src/b.rs").is_test_code());
    }
}
