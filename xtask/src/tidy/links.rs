//! Relative links of the pages lead somewhere.

use super::Finding;
use crate::repository::SourceFile;

/// Links of Markdown files to files or folders that do not exist.
pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.extension() == "md") {
        for (number, target) in links(&file.text) {
            let path = target.split(['#', '?']).next().unwrap_or_default();
            if path.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            if !resolve(&file.path, path).is_some_and(|path| exists(files, &path)) {
                findings.push(Finding::new(&file.path, number, format!("the link `{target}` leads nowhere")));
            }
        }
    }
    findings
}

/// Targets of inline links `[…](target "title")` and of definitions `[…]: target`, code left out.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_fence = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        // Every second piece between backticks is code.
        let prose: String = line.split('`').step_by(2).collect();
        for (at, opening) in prose.match_indices("](") {
            let rest = &prose[at + opening.len()..];
            let target = rest.split([')', ' ']).next().unwrap_or_default();
            found.push((number, target.trim_matches(['<', '>']).to_string()));
        }
        if let Some((_, target)) = prose.split_once("]: ").filter(|(label, _)| label.starts_with('[')) {
            found.push((number, target.trim().to_string()));
        }
    }
    found
}

/// The path from the root that `link` means on the page `page`; nothing when it leaves the repository.
fn resolve(page: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            "" => return None,
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

fn exists(files: &[SourceFile], path: &str) -> bool {
    let inside = |file: &SourceFile| file.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    path.is_empty() || files.iter().any(|file| file.path == path || inside(file))
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn broken(text: &str) -> usize {
        check(&[file("docs/a/page.md", text), file("docs/b.md", ""), file("README.md", "")]).len()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        assert_eq!(broken("[b](../b.md#part) [r](../../README.md \"title\") [d](../../docs) [self](page.md)"), 0);
        assert_eq!(broken("[x](https://example.com/x) [y](mailto:a@example.com) [z](#here)\n[l]: ../b.md"), 0);
        assert_eq!(broken("`[no](link.md)`\n```text\n[no](link.md)\n```\n"), 0);
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        assert_eq!(broken("[b](b.md) and [c](../c.md)"), 2);
        assert_eq!(broken("[up](../../../README.md)"), 1);
        assert_eq!(broken("[abs](/docs/b.md)"), 1);
        assert_eq!(broken("[l]: gone.md"), 1);
        assert_eq!(broken("```\n```\n[after](gone.md)"), 1);
    }
}
