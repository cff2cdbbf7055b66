//! The real binary, started on a free loopback port with a data folder of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// How long a server may take to become ready or to end. Generous, since test machines are slow and busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer that a test reads.
const MAX_BODY_BYTES: u64 = 256 << 20;
const POLL: Duration = Duration::from_millis(5);

/// How to start a server; what is not said has the binary's own default.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    binary: PathBuf,
    data_dir: Option<PathBuf>,
    listen: String,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl ServerOptions {
    /// Options for this binary: in a crate's tests, `env!("CARGO_BIN_EXE_tallystick")`.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        let listen = "127.0.0.1:0".to_string();
        Self { binary: binary.into(), data_dir: None, listen, arguments: Vec::new(), variables: Vec::new() }
    }

    /// Another address than a free port of 127.0.0.1.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// A data folder that outlives the server; without it the server gets one that is removed in the end.
    pub fn data_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.data_dir = Some(path.into());
        self
    }

    /// A further argument of `tallystick serve`.
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// A variable of the environment, which is empty otherwise.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Starts a server that must become ready.
    pub fn start(self) -> TestServer {
        self.try_start().unwrap_or_else(|exited| panic!("the server did not start: {exited:?}"))
    }

    /// Starts a server that may refuse.
    pub fn try_start(self) -> Result<TestServer, Exited> {
        let temporary = match &self.data_dir {
            Some(_) => None,
            None => Some(tempfile::tempdir().expect("a temporary folder can be made")),
        };
        let data_dir = match (&self.data_dir, &temporary) {
            (Some(path), _) => path.clone(),
            (None, Some(dir)) => dir.path().join("data"),
            (None, None) => unreachable!("one of the two is there"),
        };
        let running = Running::start(&self, &data_dir)?;
        Ok(TestServer { options: self, data_dir, running: Some(running), _temporary: temporary })
    }
}

/// A started server, killed when it goes out of scope.
#[derive(Debug)]
pub struct TestServer {
    options: ServerOptions,
    data_dir: PathBuf,
    running: Option<Running>,
    _temporary: Option<TempDir>,
}

/// A server that ended by itself.
#[derive(Debug)]
pub struct Exited {
    /// Its exit code, if it was not killed.
    pub code: Option<i32>,
    /// What it wrote.
    pub stdout: String,
    /// What it wrote.
    pub stderr: String,
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, with small letters.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Reply {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl TestServer {
    /// Starts this binary with its defaults.
    pub fn start(binary: impl Into<PathBuf>) -> Self {
        ServerOptions::new(binary).start()
    }

    /// Where it listens, for example `http://127.0.0.1:40123`. Changes with a restart.
    pub fn url(&self) -> &str {
        &self.running().url
    }

    /// Where its data is.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// What it wrote to stdout since it was started last.
    pub fn stdout(&self) -> String {
        self.running().stdout.text()
    }

    /// What it wrote to stderr since it was started last.
    pub fn stderr(&self) -> String {
        self.running().stderr.text()
    }

    /// Kills it without warning and waits until it is gone.
    pub fn kill_9(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill();
        }
    }

    /// Starts it again on the same data, after killing it if it still runs. Panics when it does not become ready.
    pub fn restart(&mut self) {
        self.try_restart().unwrap_or_else(|exited| panic!("the server did not start again: {exited:?}"));
    }

    /// Starts it again on the same data; it may refuse.
    pub fn try_restart(&mut self) -> Result<(), Exited> {
        self.kill_9();
        self.running = Some(Running::start(&self.options, &self.data_dir)?);
        Ok(())
    }

    /// Asks it to end (SIGTERM) and goes on.
    pub fn terminate(&self) {
        let pid = Pid::from_child(&self.running().child);
        kill_process(pid, Signal::TERM).expect("the server can be asked to end");
    }

    /// Waits until it ended and tells how.
    pub fn wait(&mut self) -> Exited {
        let running = self.running.take().expect("the server was started");
        running.finish()
    }

    /// Asks it to end and waits for it.
    pub fn stop(&mut self) -> Exited {
        self.terminate();
        self.wait()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// Reads from it.
    pub fn get(&self, path: &str) -> Reply {
        call(request("GET", self.url(), path), None)
    }

    /// Sends to it.
    pub fn post(&self, path: &str, content_type: &str, body: &str) -> Reply {
        call(request("POST", self.url(), path).header("content-type", content_type), Some(body.as_bytes()))
    }

    /// Asks it for a path with any method, a key and no body.
    pub fn call_with_key(&self, method: &str, path: &str, key: &str) -> Reply {
        call(request(method, self.url(), path).header("authorization", format!("Bearer {key}")), None)
    }

    /// Runs a command of the same binary against this server.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let mut command = bare_command(&self.options.binary);
        command.env("TALLYSTICK_SERVER", self.url()).args(arguments);
        command.output().expect("the binary can be run")
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the server runs")
    }
}

/// A command of a binary without the environment of the tests.
pub fn bare_command(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().stdin(Stdio::null());
    command
}

/// A request to a server, to which headers can be added.
pub fn request(method: &str, url: &str, path: &str) -> ureq::http::request::Builder {
    ureq::http::Request::builder().method(method).uri(format!("{url}{path}"))
}

/// Makes a request, whatever its status. Panics when no answer comes.
pub fn call(request: ureq::http::request::Builder, body: Option<&[u8]>) -> Reply {
    try_call(request, body).expect("the server answers")
}

/// Makes a request, whatever its status.
pub fn try_call(request: ureq::http::request::Builder, body: Option<&[u8]>) -> Result<Reply, ureq::Error> {
    try_call_on(&agent(), request, body)
}

/// A connection pool for many requests.
pub fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(PATIENCE));
    config.build().new_agent()
}

/// Makes a request over a pool, whatever its status.
pub fn try_call_on(
    agent: &ureq::Agent,
    request: ureq::http::request::Builder,
    body: Option<&[u8]>,
) -> Result<Reply, ureq::Error> {
    let mut response = match body {
        Some(bytes) => agent.run(request.body(bytes)?)?,
        None => agent.run(request.body(())?)?,
    };
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    let body = response.body_mut().with_config().limit(MAX_BODY_BYTES).read_to_string()?;
    Ok(Reply { status: response.status().as_u16(), headers, body })
}

#[derive(Debug)]
struct Running {
    child: Child,
    url: String,
    stdout: Captured,
    stderr: Captured,
}

impl Running {
    fn start(options: &ServerOptions, data_dir: &Path) -> Result<Self, Exited> {
        let mut command = bare_command(&options.binary);
        command.args(["serve", "--listen", &options.listen, "--data-dir"]).arg(data_dir).args(&options.arguments);
        command.envs(options.variables.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary can be run");
        let stdout = Captured::of(child.stdout.take());
        let stderr = Captured::of(child.stderr.take());
        let mut running = Self { child, url: String::new(), stdout, stderr };
        let deadline = Instant::now() + PATIENCE;
        while !running.is_ready() {
            if running.child.try_wait().expect("the server can be watched").is_some() {
                return Err(running.finish());
            }
            assert!(Instant::now() < deadline, "not ready in time: {}", running.stderr.text());
            thread::sleep(POLL);
        }
        Ok(running)
    }

    fn is_ready(&mut self) -> bool {
        if self.url.is_empty() {
            let said = self.stdout.text();
            let Some(line) = said.lines().find_map(|line| line.trim().strip_prefix("listening on")) else {
                return false;
            };
            if !said.contains("first event") {
                return false;
            }
            self.url = line.trim().to_string();
        }
        let request = request("GET", &self.url, "/readyz");
        try_call(request, None).is_ok_and(|reply| reply.status == 200)
    }

    fn kill(&mut self) {
        // It may have ended by itself already.
        drop(self.child.kill());
        drop(self.child.wait());
    }

    fn finish(mut self) -> Exited {
        let deadline = Instant::now() + PATIENCE;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().expect("the server can be watched") {
                break status;
            }
            assert!(Instant::now() < deadline, "did not end in time: {}", self.stderr.text());
            thread::sleep(POLL);
        };
        Exited { code: status.code(), stdout: self.stdout.complete(), stderr: self.stderr.complete() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("--- stderr of the server ---\n{}", self.stderr.text());
        }
    }
}

/// What a stream wrote until now.
#[derive(Debug, Default)]
struct Captured {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Captured {
    fn of(stream: Option<impl Read + Send + 'static>) -> Self {
        let Some(stream) = stream else { return Self::default() };
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        let reader = thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while stream.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
                shared.lock().unwrap_or_else(PoisonError::into_inner).push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything, after the writer is gone.
    fn complete(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
        self.text()
    }
}
