//! Length limits as ratchets: what is too long stands in a committed list that can only get shorter.

use std::collections::BTreeMap;

use super::{Finding, functions, is_code};
use crate::repository::SourceFile;

/// The list of what is longer than its limit: one line `function|file LINES PATH [NAME]` each.
const BASELINE: &str = "xtask/tidy-baseline.txt";
const FUNCTION_LINES: usize = 70;
const FILE_LINES: usize = 600;

/// Something longer than its limit.
struct Long {
    path: String,
    line: usize,
    lines: usize,
    limit: usize,
    key: String,
}

/// New or grown long functions and files, and entries of the list that no longer say the truth.
pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut long = Vec::new();
    for file in files.iter().filter(|file| is_code(file)) {
        let lines = file.text.lines().count();
        if lines > FILE_LINES {
            let key = format!("file {}", file.path);
            long.push(Long { path: file.path.clone(), line: lines, lines, limit: FILE_LINES, key });
        }
        if file.extension() == "rs" {
            match functions::functions(&file.text) {
                Ok(functions) => {
                    long.extend(functions.into_iter().filter_map(|function| long_function(file, function)))
                }
                Err(error) => findings.push(Finding::new(&file.path, 1, format!("cannot be parsed: {error}"))),
            }
        }
    }
    let baseline = files.iter().find(|file| file.path == BASELINE).map_or("", |file| file.text.as_str());
    findings.extend(compare(&long, baseline));
    findings
}

fn long_function(file: &SourceFile, function: functions::Function) -> Option<Long> {
    let functions::Function { name, line, lines } = function;
    let key = format!("function {} {name}", file.path);
    (lines > FUNCTION_LINES).then(|| Long { path: file.path.clone(), line, lines, limit: FUNCTION_LINES, key })
}

fn compare(long: &[Long], baseline: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut entries = BTreeMap::new();
    for (number, text) in (1..).zip(baseline.lines()) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match parse_entry(text) {
            Some((key, lines)) => drop(entries.insert(key, (number, lines))),
            None => findings.push(Finding::new(BASELINE, number, "not of the form `function|file LINES PATH [NAME]`")),
        }
    }
    for found in long {
        let Long { path, line, lines, limit, key } = found;
        match entries.remove(key) {
            None => findings.push(Finding::new(path, *line, format!("{key} has {lines} lines, the limit is {limit}"))),
            Some((_, allowed)) if *lines > allowed => {
                findings.push(Finding::new(path, *line, format!("{key} grew from {allowed} to {lines} lines")));
            }
            Some((number, allowed)) if *lines < allowed => {
                let message = format!("{key} shrank from {allowed} to {lines} lines: lower its entry");
                findings.push(Finding::new(BASELINE, number, message));
            }
            Some(_) => {}
        }
    }
    let stale = |(key, (number, _))| Finding::new(BASELINE, number, format!("{key} is short enough now: remove it"));
    findings.extend(entries.into_iter().map(stale));
    findings
}

/// `function 85 a.rs f` as the key `function a.rs f` and 85.
fn parse_entry(text: &str) -> Option<(String, usize)> {
    let mut words = text.split_whitespace();
    let kind = words.next().filter(|kind| matches!(*kind, "function" | "file"))?;
    let lines = words.next()?.parse().ok()?;
    let name: Vec<&str> = words.collect();
    (!name.is_empty()).then(|| (format!("{kind} {}", name.join(" ")), lines))
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2))
    }

    fn messages(code: &str, baseline: &str) -> Vec<String> {
        let files = [file("crates/a/src/b.rs", code), file(BASELINE, baseline)];
        check(&files).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn the_limit_itself_is_allowed_and_one_more_is_not() {
        assert!(messages(&function(70), "").is_empty());
        assert_eq!(messages(&function(71), ""), ["function crates/a/src/b.rs f has 71 lines, the limit is 70"]);
        assert!(messages(&"// c\n".repeat(600), "").is_empty());
        assert_eq!(messages(&"// c\n".repeat(601), "").len(), 1);
    }

    #[test]
    fn an_entry_allows_its_length_and_nothing_else() {
        let entry = "# a comment\nfunction 80 crates/a/src/b.rs f\n";
        assert!(messages(&function(80), entry).is_empty());
        assert_eq!(messages(&function(81), entry), ["function crates/a/src/b.rs f grew from 80 to 81 lines"]);
        assert!(messages(&function(79), entry)[0].ends_with("shrank from 80 to 79 lines: lower its entry"));
        assert!(messages(&function(9), entry)[0].ends_with("is short enough now: remove it"));
    }

    #[test]
    fn a_malformed_entry_and_unreadable_code_are_found() {
        assert_eq!(messages("", "function many a.rs f\n").len(), 1);
        assert_eq!(messages("fn {", "").len(), 1);
    }
}
