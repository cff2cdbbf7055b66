//! What the compiler does not check. Each rule is a function from files to findings.

mod functions;
mod leftovers;
mod links;
mod places;
mod ratchet;
mod rooms;

use std::fmt;

use crate::repository::{Repository, SourceFile};

/// One breach of a rule, where it is and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub message: String,
}

impl Finding {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// The map stays short enough to be read in one sitting.
const ARCHITECTURE_LINES: usize = 200;

/// All findings, rule by rule.
pub fn check(repository: &Repository) -> Vec<Finding> {
    let files = &repository.files;
    let mut findings = ratchet::check(files);
    findings.extend(places::check(files));
    findings.extend(leftovers::check(files));
    findings.extend(rooms::invariants(files));
    findings.extend(rooms::lints(files));
    findings.extend(links::check(files));
    findings.extend(architecture_is_short(files));
    findings
}

fn architecture_is_short(files: &[SourceFile]) -> Vec<Finding> {
    const MAP: &str = "ARCHITECTURE.md";
    let Some(map) = files.iter().find(|file| file.path == MAP) else {
        return vec![Finding::new(MAP, 1, "the map of the repository is missing")];
    };
    let lines = map.text.lines().count();
    if lines <= ARCHITECTURE_LINES {
        return Vec::new();
    }
    vec![Finding::new(MAP, lines, format!("{lines} lines; a map has at most {ARCHITECTURE_LINES}"))]
}

/// Files whose text is code of some language.
fn is_code(file: &SourceFile) -> bool {
    matches!(file.extension(), "rs" | "py" | "js" | "mjs" | "ts" | "sh" | "sql")
}

/// A made-up file for the tests of the rules.
#[cfg(test)]
fn file(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.into(), text: text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_tidy() {
        let findings = check(&Repository::read(&crate::repository::root()).unwrap());
        let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(list.is_empty(), "\n{}", list.join("\n"));
    }

    #[test]
    fn a_long_or_missing_map_is_found() {
        assert_eq!(architecture_is_short(&[file("ARCHITECTURE.md", &"x\n".repeat(200))]), []);
        assert_eq!(architecture_is_short(&[file("ARCHITECTURE.md", &"x\n".repeat(201))]).len(), 1);
        assert_eq!(architecture_is_short(&[file("README.md", "")]).len(), 1);
    }
}
