//! Nothing half-done: no markers for later, no debug prints, no code that is commented out.

use super::{Finding, is_code};
use crate::repository::SourceFile;

/// Split, so that this file does not hold them itself.
const MARKERS: [&str; 4] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("db", "g!(")];

/// How a line of Rust starts that is a statement or an item and not a sentence.
const STARTS: [&str; 12] =
    ["let ", "fn ", "pub ", "use ", "mod ", "impl ", "struct ", "enum ", "match ", "return ", "assert", "println!"];

/// Every leftover in the code, line by line.
pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| is_code(file)) {
        for (number, line) in (1..).zip(file.text.lines()) {
            if let Some(marker) = MARKERS.iter().find(|marker| has_word(line, marker)) {
                findings.push(Finding::new(&file.path, number, format!("`{marker}` is left over: do it or drop it")));
            }
            if file.extension() == "rs" && is_commented_out(line) {
                findings.push(Finding::new(&file.path, number, "this comment is code: delete it"));
            }
        }
    }
    findings
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let joined = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !joined(before) && (!joined(after) || word.ends_with('('))
    })
}

/// A guess that errs towards silence: prose may end with a semicolon, but not after a call or an assignment.
fn is_commented_out(line: &str) -> bool {
    let Some(comment) = line.trim_start().strip_prefix("//").filter(|rest| !rest.starts_with(['/', '!'])) else {
        return false;
    };
    let comment = comment.trim();
    let ends_a_statement = comment.ends_with(");") || comment.ends_with("?;") || comment.ends_with("};");
    let closes_a_block = matches!(comment, "{" | "}" | "})" | "});" | ")," | ");" | "},");
    let starts = STARTS.iter().any(|start| comment.starts_with(start));
    ends_a_statement
        || closes_a_block
        || (starts && comment.ends_with([';', '{', ',']) && comment.contains(['(', '=', ':', '{']))
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&[file(path, text)]).len()
    }

    #[test]
    fn markers_are_found_as_words() {
        assert_eq!(count("a.rs", concat!("// TO", "DO: later")), 1);
        assert_eq!(count("a.py", concat!("x = 1  # FIX", "ME")), 1);
        assert_eq!(count("a.rs", concat!("    db", "g!(x);")), 1);
        assert_eq!(count("a.rs", concat!("const TO", "DOS: u8 = 1;")), 0);
        assert_eq!(count("notes.md", concat!("TO", "DO")), 0);
    }

    #[test]
    fn commented_out_code_is_found() {
        for code in ["let x = 1;", "store.close();", "pub fn run() {", "}", "use std::fmt;", "assert_eq!(a, b);"] {
            assert_eq!(count("a.rs", &format!("    // {code}\n")), 1, "{code}");
        }
    }

    #[test]
    fn prose_and_docs_are_not_code() {
        for prose in ["a torn tail is cut;", "match what the vendor does, then", "Use it (once).", "let them wait,"] {
            assert_eq!(count("a.rs", &format!("// {prose}\n/// {prose}\n")), 0, "{prose}");
        }
        assert_eq!(count("a.rs", "/// let x = f();\n//! f();\n"), 0);
    }
}
