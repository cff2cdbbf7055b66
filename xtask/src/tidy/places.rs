//! No path of somebody's machine and no host of a package registry in a committed file.

use super::Finding;
use crate::repository::SourceFile;

/// Directories that exist on one machine only. Split, so that this file does not name them itself.
const DIRECTORIES: [&str; 4] =
    [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];
const TEMPORARY: &str = concat!("/t", "mp/");

/// Hosts of registries: a checkout must build against whichever the user has configured.
const HOSTS: [&str; 8] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npm", "js.org"),
    concat!("npm", "js.com"),
    concat!("yarn", "pkg.com"),
    concat!("proxy.golang", ".org"),
    concat!("deb.debian", ".org"),
];

/// The registries that a lock file may name: the public ones.
const LOCKED: [&str; 3] = [
    concat!("registry+https://github.com/rust-lang/crates", ".io-index"),
    concat!("https://registry.npm", "js.org/"),
    concat!("https://files.python", "hosted.org/"),
];

/// Every mention of a machine's directory or a registry's host.
pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    files.iter().flat_map(|file| if file.is_lock_file() { lock_file(file) } else { text(file) }).collect()
}

fn text(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut in_tests = file.is_test_code();
    for (number, line) in (1..).zip(file.text.lines()) {
        in_tests |= line.trim() == "#[cfg(test)]";
        for directory in DIRECTORIES {
            if names_directory(line, directory) {
                findings.push(Finding::new(&file.path, number, format!("`{directory}` is a path of one machine")));
            }
        }
        if file.extension() == "rs" && !in_tests && names_directory(line, TEMPORARY) {
            findings.push(Finding::new(&file.path, number, format!("`{TEMPORARY}` is for tests only")));
        }
        for host in HOSTS {
            if line.contains(host) {
                findings.push(Finding::new(&file.path, number, format!("`{host}` is a package registry")));
            }
        }
    }
    findings
}

/// An absolute path: the directory is not the tail of a longer one, and something follows it.
fn names_directory(line: &str, directory: &str) -> bool {
    line.match_indices(directory).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + directory.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}>*/".contains(c))
            && after.is_some_and(|c| c.is_alphanumeric() || "._-".contains(c))
    })
}

/// A lock file written behind a mirror would send everybody else to that mirror.
fn lock_file(file: &SourceFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let line = line.trim();
        let source = ["source = \"", "\"resolved\": \""].iter().find_map(|key| line.strip_prefix(key));
        if let Some(source) = source.filter(|source| !LOCKED.iter().any(|locked| source.starts_with(locked))) {
            let source = source.trim_end_matches(['"', ',']);
            findings.push(Finding::new(&file.path, number, format!("`{source}` is not the public registry")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::file;
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&[file(path, text)]).len()
    }

    #[test]
    fn a_path_of_a_machine_is_found_wherever_it_stands() {
        assert_eq!(count("docs/a.md", concat!("see `/ho", "me/ann/notes`")), 1);
        assert_eq!(count("docs/a.md", concat!("cd /ro", "ot/src && ls /wo", "rk/main")), 2);
        assert_eq!(count("crates/a/src/b.rs", concat!("let p = \"/Us", "ers/ann\";")), 1);
        assert_eq!(
            count("a.md", concat!("https://example.com/wo", "rk/x and crates/wo", "rk/x and /ho", "me/ alone")),
            0
        );
    }

    #[test]
    fn temporary_files_belong_to_tests() {
        let line = concat!("open(\"/t", "mp/x\")");
        assert_eq!(count("crates/a/src/b.rs", line), 1);
        assert_eq!(count("crates/a/tests/b.rs", line), 0);
        assert_eq!(count("crates/a/src/b.rs", &format!("#[cfg(test)]\nmod tests {{ {line} }}")), 0);
        assert_eq!(count("docs/a.md", line), 0);
    }

    #[test]
    fn a_registry_is_found_but_not_in_a_lock_file() {
        assert_eq!(count("setup.sh", concat!("pip install --index-url https://pypi", ".org/simple x")), 1);
        assert_eq!(
            count("Cargo.lock", concat!("source = \"registry+https://github.com/rust-lang/crates", ".io-index\"")),
            0
        );
    }

    #[test]
    fn a_mirror_in_a_lock_file_is_found() {
        let line = "      \"resolved\": \"https://mirror.example.com/x/-/x-1.0.0.tgz\",";
        assert_eq!(count("conformance/a/package-lock.json", line), 1);
        assert_eq!(count("Cargo.lock", "source = \"registry+https://mirror.example.com/index\""), 1);
    }
}
