//! Every crate says what always holds in it, and takes part in the workspace's lints.

use super::Finding;
use crate::repository::SourceFile;

/// Rooms inside a crate that state an invariant of their own once they exist.
const ROOMS: [&str; 4] = ["time", "event", "entitlement", "price"];

/// Crate roots and rooms whose module docs hold no line `Invariant: …`.
pub fn invariants(files: &[SourceFile]) -> Vec<Finding> {
    let without = |file: &&SourceFile| is_room(&file.path) && !states_invariant(&file.text);
    let message = "begins without module docs that hold a line `Invariant: …`";
    files.iter().filter(without).map(|file| Finding::new(&file.path, 1, message)).collect()
}

fn is_room(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["crates", _, "src", "lib.rs" | "main.rs"] | ["xtask", "src", "main.rs"] => true,
        ["crates", "domain", "src", room, "mod.rs"] => ROOMS.contains(room),
        _ => false,
    }
}

fn states_invariant(text: &str) -> bool {
    let mut docs = text.lines().map_while(|line| line.strip_prefix("//!"));
    docs.any(|line| line.trim_start().strip_prefix("Invariant:").is_some_and(|rest| !rest.trim().is_empty()))
}

/// Manifests that do not inherit the lints, and a workspace that lets `unsafe` in.
pub fn lints(files: &[SourceFile]) -> Vec<Finding> {
    files.iter().filter(|file| is_manifest(&file.path)).filter_map(manifest).collect()
}

fn is_manifest(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["Cargo.toml"] | ["crates", _, "Cargo.toml"] | ["xtask", "Cargo.toml"])
}

fn manifest(file: &SourceFile) -> Option<Finding> {
    let table: toml::Table = match file.text.parse() {
        Ok(table) => table,
        Err(error) => return Some(Finding::new(&file.path, 1, format!("cannot be parsed: {error}"))),
    };
    if let Some(workspace) = table.get("workspace") {
        let level = workspace.get("lints").and_then(|lints| lints.get("rust")?.get("unsafe_code")?.as_str());
        return (level != Some("forbid"))
            .then(|| Finding::new(&file.path, 1, "[workspace.lints.rust] must hold unsafe_code = \"forbid\""));
    }
    let inherits = table.get("lints").and_then(|lints| lints.get("workspace")?.as_bool());
    (inherits != Some(true)).then(|| Finding::new(&file.path, 1, "must hold `[lints]` with `workspace = true`"))
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    #[test]
    fn a_room_without_an_invariant_is_found() {
        let stated = "//! A room.\n//!\n//! Invariant: it holds.\n\nmod a;\n";
        for text in
            ["", "//! A room.\n", "//! Invariant:\n", "mod a;\n//! Invariant: too late\n", "// Invariant: no docs\n"]
        {
            for path in
                ["crates/a/src/lib.rs", "crates/a/src/main.rs", "crates/domain/src/time/mod.rs", "xtask/src/main.rs"]
            {
                assert_eq!(invariants(&[file(path, text)]).len(), 1, "{path} {text}");
                assert_eq!(invariants(&[file(path, stated)]), []);
            }
        }
        assert_eq!(invariants(&[file("crates/a/src/other.rs", ""), file("crates/a/src/time/mod.rs", "")]), []);
    }

    #[test]
    fn a_crate_outside_the_lints_is_found() {
        for text in ["", "[lints]\nworkspace = false", "[lints.rust]\nunsafe_code = \"forbid\"", "[lints"] {
            assert_eq!(lints(&[file("crates/a/Cargo.toml", text)]).len(), 1, "{text}");
        }
        assert_eq!(lints(&[file("crates/a/Cargo.toml", "[lints]\nworkspace = true")]), []);
        assert_eq!(lints(&[file("crates/a/fixtures/x/Cargo.toml", "")]), []);
    }

    #[test]
    fn a_workspace_that_allows_unsafe_is_found() {
        assert_eq!(lints(&[file("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"forbid\"")]), []);
        assert_eq!(lints(&[file("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"warn\"")]).len(), 1);
        assert_eq!(lints(&[file("Cargo.toml", "[workspace]")]).len(), 1);
    }
}
