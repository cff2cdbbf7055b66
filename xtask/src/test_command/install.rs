//! What the tests need and a fresh machine does not have.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::process::{self, command, succeeds};

/// Where Debian and its descendants keep the server programs of each PostgreSQL version.
const POSTGRES_VERSIONS: &str = "/usr/lib/postgresql";

/// `initdb` is there; the tests of the state store start a server of their own with it.
pub fn postgres() -> Result<()> {
    if has_postgres() {
        return Ok(());
    }
    apt("PostgreSQL with its program `initdb`", &["postgresql"])?;
    if !has_postgres() {
        bail!("`initdb` is still missing, in the PATH and in {POSTGRES_VERSIONS}/*/bin");
    }
    Ok(())
}

fn has_postgres() -> bool {
    let versions = std::fs::read_dir(POSTGRES_VERSIONS).into_iter().flatten().flatten();
    has_program("initdb") || versions.into_iter().any(|version| version.path().join("bin/initdb").is_file())
}

/// A Python that can make virtual environments; Debian ships that part on its own.
fn python() -> Result<()> {
    let works = || succeeds(command("python3", here()).args(["-c", "import ensurepip, venv"]));
    if works() {
        return Ok(());
    }
    apt("Python 3 with the module `venv`", &["python3", "python3-venv"])?;
    if !works() {
        bail!("`python3 -c 'import ensurepip, venv'` still fails");
    }
    Ok(())
}

/// A C++ compiler, which libFuzzer is written for.
pub fn cpp() -> Result<()> {
    if has_program("c++") { Ok(()) } else { apt("A C++ compiler", &["g++"]) }
}

fn node() -> Result<()> {
    if has_program("node") && has_program("npm") {
        return Ok(());
    }
    apt("Node.js with npm", &["nodejs", "npm"])
}

/// The suite's virtual environment in `.venv`, made again only when `requirements.txt` has changed.
pub fn python_environment(suite: &Path) -> Result<()> {
    let mark = suite.join(".venv/installed-requirements.txt");
    let wanted = read(&suite.join("requirements.txt"))?;
    if std::fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    python()?;
    process::run(command("python3", suite).args(["-m", "venv", "--clear", ".venv"]), None)?;
    let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
    process::run(command(suite.join(".venv/bin/python"), suite).args(install), None)?;
    std::fs::write(&mark, wanted).with_context(|| format!("cannot write {}", mark.display()))
}

/// The suite's `node_modules`, made again only when the lock file has changed.
pub fn node_modules(suite: &Path) -> Result<()> {
    node()?;
    let lock = suite.join("package-lock.json");
    let locked = lock.is_file();
    let wanted = read(&if locked { lock } else { suite.join("package.json") })?;
    let folder = suite.join("node_modules");
    let mark = folder.join(".installed-from");
    if std::fs::read(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let verb = if locked { "ci" } else { "install" };
    process::run(command("npm", suite).args([verb, "--no-audit", "--no-fund"]), None)?;
    // npm makes no folder when there is nothing to put into it.
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    std::fs::write(&mark, wanted).with_context(|| format!("cannot write {}", mark.display()))
}

/// Installs packages of a Debian-like distribution; elsewhere says what to install by hand.
fn apt(what: &str, packages: &[&str]) -> Result<()> {
    if !has_program("apt-get") {
        bail!("{what} is missing and there is no apt-get: install it, then run the tests again");
    }
    println!("{what} is missing: installing {}", packages.join(" "));
    let root = succeeds(command("sh", here()).args(["-c", "test \"$(id -u)\" = 0"]));
    let install = [&["install", "-y", "--no-install-recommends"], packages].concat();
    for arguments in [&["update"][..], &install] {
        let mut command = if root { command("apt-get", here()) } else { command("sudo", here()) };
        if !root {
            command.args(["-n", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        }
        command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
        process::run(&mut command, None).with_context(|| format!("{what} is missing and cannot be installed"))?;
    }
    Ok(())
}

fn has_program(name: &str) -> bool {
    succeeds(command("sh", here()).args(["-c", "command -v \"$1\"", "sh", name]))
}

fn here() -> &'static Path {
    Path::new(".")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_the_path_only_when_they_are_there() {
        assert!(has_program("sh"));
        assert!(!has_program("no-such-program"));
    }
}
