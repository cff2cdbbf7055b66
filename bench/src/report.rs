//! The page that shows the last run.

use crate::options::ReportOptions;
use crate::results::Results;
use crate::targets;
use anyhow::{Context, Result};

const BEGIN: &str = "<!-- results: begin -->\n";
const END: &str = "<!-- results: end -->";

/// Writes the last run's tables between the marks of the page.
///
/// # Errors
/// When a file is not there or the page has no marks.
pub fn update(options: &ReportOptions) -> Result<()> {
    let results = Results::read(&options.results)?;
    let page =
        std::fs::read_to_string(&options.page).with_context(|| format!("cannot read {}", options.page.display()))?;
    let page = replaced(&page, &results).with_context(|| format!("{} has no marks", options.page.display()))?;
    std::fs::write(&options.page, page)?;
    Ok(())
}

fn replaced(page: &str, results: &Results) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{}\n{END}{after}", targets::table(results), results.markdown()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_page_is_the_one_of_the_last_run() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(root.join("README.md")).unwrap();
        let results = Results::read(&root.join("results/latest.json")).unwrap();
        assert_eq!(replaced(&page, &results).unwrap(), page, "run `cargo xtask bench --report`");
    }

    #[test]
    fn a_page_without_marks_is_left_alone() {
        assert_eq!(replaced("text", &Results::default()), None);
    }
}
