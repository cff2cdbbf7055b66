//! Processes that are measured, and what the system tells about them.

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(200);
/// Below this share of a core a process counts as idle.
const IDLE_SHARE: f64 = 0.03;
/// Clock ticks of `/proc` per second, on every Linux that there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// A started server, killed when it goes out of scope.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From its start until it said so.
    pub start: Duration,
}

impl Server {
    /// Starts a command and waits for the line that says where it listens.
    ///
    /// # Errors
    /// When it ends instead.
    pub fn start(command: &mut Command) -> Result<Self> {
        let started = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?} does not start"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next().transpose()? {
            if let Some((_, url)) = line.split_once("listening on  http://") {
                let (address, start) = (url.trim().parse()?, started.elapsed());
                // The rest is read, so that the server never waits for a full pipe.
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(Self { child, address, start });
            }
        }
        bail!("{command:?} ended before it listened: {}", child.wait()?)
    }

    /// The product on a data folder, quiet, on a free port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn product(binary: &Path, data_dir: &Path, options: &[(&str, &str)]) -> Result<Self> {
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data-dir").arg(data_dir).args(["--listen", "127.0.0.1:0"]);
        command.env("TALLYSTICK_LOG__LEVEL", "warn").envs(options.iter().copied());
        Self::start(&mut command)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it hardly works any more, at most so long; how long that took.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn wait_until_idle(&self, most: Duration) -> Result<Duration> {
        let started = Instant::now();
        let mut before = cpu_seconds(self.pid())?;
        while started.elapsed() < most {
            std::thread::sleep(POLL);
            let now = cpu_seconds(self.pid())?;
            if now - before <= IDLE_SHARE * POLL.as_secs_f64() {
                return Ok(started.elapsed() - POLL);
            }
            before = now;
        }
        Ok(started.elapsed())
    }

    /// Asks it to end and waits for that.
    ///
    /// # Errors
    /// When it ends with an error.
    pub fn stop(mut self) -> Result<()> {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("no such process")?;
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }

    /// Ends it without a warning, as a crash does.
    ///
    /// # Errors
    /// When the system does not.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Processor time that a process used so far, in seconds.
///
/// # Errors
/// When there is no such process.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in parentheses, which may hold spaces.
    let rest = text.rsplit_once(')').context("an unknown form of /proc")?.1;
    let ticks: Vec<f64> = rest.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// A figure of `/proc/PID/status` in MiB: `VmRSS` is the memory now, `VmHWM` the most so far.
///
/// # Errors
/// When there is no such process or figure.
pub fn memory_mib(pid: u32, figure: &str) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find(|line| line.starts_with(figure)).context("an unknown form of /proc")?;
    let kib: f64 = line.split_whitespace().nth(1).context("an unknown form of /proc")?.parse()?;
    Ok(kib / 1024.0)
}

/// The load average of the last minute.
pub fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(f64::NAN)
}

/// Processors that this process may use.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
