//! A private PostgreSQL for tests, from the distribution's package.
//!
//! Invariant: a test never meets another test's database; nothing listens on a network; nothing stays behind when the test
//! process ends, however it ends.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::Duration;

/// The only role of the cluster. Connections are trusted: the socket's directory belongs to its owner alone.
const ROLE: &str = "tallystick";

/// How often to ask whether the server is up, every 50 ms: 30 seconds.
const START_ATTEMPTS: u32 = 600;

/// Runs the server until standard input ends, which is when the process that holds its other end does, killed or not. Then
/// stops it and removes its directory. The arguments are the directory and the server's command.
const SUPERVISOR: &str = r#"
directory=$1
shift
"$@" </dev/null >"$directory/log" 2>&1 &
server=$!
read -r end
kill -QUIT "$server"
wait "$server"
cd / && rm -rf "$directory"
"#;

/// An empty database of its own, in a cluster that the tests of one process share.
#[derive(Debug)]
pub struct Postgres {
    url: String,
}

impl Postgres {
    /// Creates a fresh database; the first call in a process starts the cluster.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, with the package to install, or does not start, with its log.
    pub fn start() -> Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let cluster = CLUSTER.get_or_init(Cluster::start);
        let database = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        cluster.create_database(&database);
        let socket = cluster.directory.display();
        Self { url: format!("postgres://{ROLE}@localhost/{database}?host={socket}") }
    }

    /// The address of the database; it has no password.
    pub fn url(&self) -> &str {
        &self.url
    }
}

/// A started server. It lives in a `static`, which is never dropped: the supervisor ends it.
struct Cluster {
    programs: Programs,
    directory: PathBuf,
    // Its standard input is the pipe that tells the supervisor that this process is alive.
    _supervisor: Child,
}

impl Cluster {
    fn start() -> Self {
        let programs = Programs::find();
        // Not in the system's temporary directory: the path of a socket has at most 107 bytes.
        let directory =
            tempfile::Builder::new().prefix("tallystick-pg-").tempdir_in("/tmp").expect("a temporary directory");
        if let Some(owner) = &programs.owner {
            chown(directory.path(), Some(owner.uid), Some(owner.gid)).expect("the directory changes its owner");
        }
        let mut initdb = programs.command("initdb", directory.path());
        initdb.args(["--auth=trust", "--encoding=UTF8", "--no-sync", "--username", ROLE, "--pgdata"]);
        initdb.arg(directory.path().join("data"));
        if programs.major >= 15 {
            // Sorts by language, as many real databases do, so that a query that relies on byte order shows.
            initdb.args(["--locale-provider=icu", "--icu-locale=en-US"]);
        }
        succeed(&mut initdb);
        // From here on the supervisor removes it.
        let directory = directory.keep();
        let supervisor = programs.supervise(&directory);
        let mut cluster = Self { programs, directory, _supervisor: supervisor };
        cluster.wait_until_ready();
        cluster
    }

    fn wait_until_ready(&mut self) {
        for _ in 0..START_ATTEMPTS {
            let mut ready = self.programs.command("pg_isready", &self.directory);
            ready.args(["--quiet", "--dbname=postgres", "--username", ROLE, "--host"]).arg(&self.directory);
            if output(&mut ready).status.success() {
                return;
            }
            sleep(Duration::from_millis(50));
        }
        let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        panic!("PostgreSQL did not start in time; its log:\n{log}");
    }

    fn create_database(&self, name: &str) {
        let mut createdb = self.programs.command("createdb", &self.directory);
        createdb.args(["--username", ROLE, "--maintenance-db=postgres", "--host"]).arg(&self.directory).arg(name);
        succeed(&mut createdb);
    }
}

/// Who runs the server when the tests run as root, which PostgreSQL refuses.
struct Owner {
    uid: u32,
    gid: u32,
}

/// Where PostgreSQL's programs are and who may run them.
struct Programs {
    folder: PathBuf,
    major: u32,
    owner: Option<Owner>,
}

impl Programs {
    fn find() -> Self {
        let Some((major, folder)) = installed_folder() else {
            panic!("PostgreSQL's server is not installed; the tests need it: apt-get install postgresql");
        };
        Self { folder, major, owner: is_root().then(unprivileged_owner) }
    }

    /// A command that runs as the cluster's owner, in its directory.
    fn command(&self, program: &str, directory: &Path) -> Command {
        let mut command = self.as_owner(self.folder.join(program));
        command.current_dir(directory);
        command
    }

    fn as_owner(&self, program: PathBuf) -> Command {
        let Some(owner) = &self.owner else { return Command::new(program) };
        let mut command = Command::new("setpriv");
        command.args([format!("--reuid={}", owner.uid), format!("--regid={}", owner.gid), "--clear-groups".into()]);
        command.arg(program);
        command
    }

    fn supervise(&self, directory: &Path) -> Child {
        let mut supervisor = self.as_owner("/bin/sh".into());
        supervisor.args(["-c", SUPERVISOR, "tallystick-postgres"]).arg(directory);
        supervisor.arg(self.folder.join("postgres")).arg("-D").arg(directory.join("data"));
        supervisor.args(["-k"]).arg(directory);
        for setting in ["listen_addresses=", "fsync=on", "shared_buffers=32MB", "max_connections=200"] {
            supervisor.args(["-c", setting]);
        }
        // A group of its own: a Ctrl-C or a kill of the tests' group must reach the tests only, or nobody cleans up.
        std::os::unix::process::CommandExt::process_group(&mut supervisor, 0);
        supervisor.current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        supervisor.spawn().unwrap_or_else(|error| panic!("cannot start PostgreSQL: {error}"))
    }
}

/// The newest version that the distribution's package installed, or else the one on the path.
fn installed_folder() -> Option<(u32, PathBuf)> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let packaged = versions.filter_map(|version| {
        let major = version.file_name().to_str()?.parse().ok()?;
        let folder = version.path().join("bin");
        (folder.join("initdb").exists() && folder.join("postgres").exists()).then_some((major, folder))
    });
    packaged.max().or_else(|| {
        // "postgres (PostgreSQL) 16.3"
        let version = Command::new("postgres").arg("--version").output().ok()?;
        let text = String::from_utf8(version.stdout).ok()?;
        let major = text.split_whitespace().nth(2)?.split('.').next()?.parse().ok()?;
        Some((major, PathBuf::new()))
    })
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn unprivileged_owner() -> Owner {
    let id = |user: &str, what: &str| -> Option<u32> {
        let found = Command::new("id").args([what, user]).output().ok()?;
        String::from_utf8(found.stdout).ok()?.trim().parse().ok()
    };
    let owner = |user| Some(Owner { uid: id(user, "-u")?, gid: id(user, "-g")? });
    owner("postgres").or_else(|| owner("nobody")).unwrap_or_else(|| {
        panic!(
            "PostgreSQL does not run as root, and there is no user postgres or nobody: run the tests as another user"
        )
    })
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("cannot run {command:?}: {error}; the tests need: apt-get install postgresql util-linux")
    })
}

fn succeed(command: &mut Command) {
    let output = output(command);
    if !output.status.success() {
        let _ = std::io::stderr().write_all(&output.stderr);
        panic!("{command:?} failed: {}", output.status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn nothing_stays_when_the_process_is_gone() {
        let cluster = Cluster::start();
        let directory = cluster.directory.clone();
        let socket = directory.join(".s.PGSQL.5432");
        assert!(UnixStream::connect(&socket).is_ok());
        assert!(directory.join("data/postmaster.pid").exists());
        // Closes the pipe, as the end of the process does.
        drop(cluster);
        let mut attempts = 0;
        while directory.exists() {
            attempts += 1;
            assert!(attempts < START_ATTEMPTS, "{} is still there", directory.display());
            sleep(Duration::from_millis(50));
        }
        assert!(UnixStream::connect(&socket).is_err());
    }

    #[test]
    fn each_test_has_its_own_database_in_one_cluster() {
        let (one, two) = (Postgres::start(), Postgres::start());
        let parts = |database: &Postgres| {
            let (address, socket) = database.url().split_once('?').expect("a socket");
            (address.to_owned(), socket.to_owned())
        };
        assert_ne!(parts(&one).0, parts(&two).0);
        assert_eq!(parts(&one).1, parts(&two).1);
    }
}
