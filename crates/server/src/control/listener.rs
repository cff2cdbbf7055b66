//! The server's end of the socket.

use super::perform::{Reporter, perform};
use super::socket_path;
use super::wire::{Line, REQUEST_BYTES, Request};
use crate::shutdown::Leaving;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tallystick_engine::Engine;
use tokio::net::{UnixListener, UnixSocket};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Requests at the same time; a further one is refused.
const CONNECTIONS: usize = 4;
/// How long a connection may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait after a failed accept, for example when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An open socket, gone when it is closed or dropped.
pub struct ControlSocket {
    path: PathBuf,
    accepting: JoinHandle<()>,
}

impl ControlSocket {
    /// Listens in the data directory of an engine. The engine holds the lock of the directory, so a socket that is there
    /// was left by a server that is gone.
    pub fn open(engine: &Engine, data_dir: &Path, leaving: &Leaving) -> io::Result<Self> {
        let path = socket_path(data_dir);
        remove(&path)?;
        let socket = UnixSocket::new_stream()?;
        socket.bind(&path)?;
        // Nobody can connect before it listens, so nobody gets in before the mode is set.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        let listener = socket.listen(CONNECTIONS as u32)?;
        let accepting = tokio::spawn(accept(listener, engine.clone(), leaving.clone()));
        Ok(Self { path, accepting })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Err(error) = remove(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the control socket stays until the next start");
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn accept(listener: UnixListener, engine: Engine, leaving: Leaving) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = listener.accept().await.and_then(|(stream, _)| {
            let stream = stream.into_std()?;
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
            Ok(stream)
        });
        let stream = match accepted {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the control socket could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let slot = Arc::clone(&slots).try_acquire_owned();
        let (engine, leaving, runtime) = (engine.clone(), leaving.clone(), Handle::current());
        tokio::task::spawn_blocking(move || {
            let answered = match slot {
                Ok(_slot) => answer(&stream, &engine, &runtime, &leaving),
                Err(_) => say(&stream, &Line::Error("too many commands are under way; try again later".into())),
            };
            if let Err(error) = answered {
                tracing::debug!(%error, "a command went away before its end");
            }
        });
    }
}

fn say(stream: &UnixStream, line: &Line<'_>) -> io::Result<()> {
    write_line(&mut BufWriter::new(stream), line)
}

fn write_line(mut out: impl Write, line: &Line<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut out, line)?;
    out.write_all(b"\n")?;
    // Events come in great numbers; everything else is for somebody who waits.
    if matches!(line, Line::Event(_)) { Ok(()) } else { out.flush() }
}

/// Reads a request, does it, and tells the result.
fn answer(stream: &UnixStream, engine: &Engine, runtime: &Handle, leaving: &Leaving) -> io::Result<()> {
    let mut text = String::new();
    BufReader::new(stream).take(REQUEST_BYTES).read_line(&mut text)?;
    let request: Request = match serde_json::from_str(&text) {
        Ok(request) => request,
        Err(error) => {
            let reason = format!("this server does not know the request ({error}); use the tallystick of its version");
            return say(stream, &Line::Error(reason));
        }
    };
    tracing::info!(?request, "an operator's command begins");
    let mut out = BufWriter::with_capacity(1 << 16, stream);
    let mut take = |line: &Line<'_>| write_line(&mut out, line).is_ok();
    let is_leaving = || leaving.has_begun();
    let performed = perform(engine, runtime, &request, &Reporter::new(&mut take, &is_leaving));
    let last = match performed {
        Ok(result) => Line::Result(result),
        Err(_) if leaving.has_begun() => Line::Error("the server is stopping".into()),
        Err(reason) => {
            tracing::warn!(?request, reason, "an operator's command failed");
            Line::Error(reason)
        }
    };
    write_line(&mut out, &last)
}
