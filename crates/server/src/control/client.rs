//! The command's end of the socket.

use super::socket_path;
use super::wire::{Line, Request};
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Whether a server runs on a data directory.
pub enum Reached {
    /// It answers.
    Server(UnixStream),
    /// None listens there.
    Nobody,
}

/// Looks for a server on a data directory.
pub fn reach(data_dir: &Path) -> anyhow::Result<Reached> {
    let path = socket_path(data_dir);
    match UnixStream::connect(&path) {
        Ok(stream) => Ok(Reached::Server(stream)),
        // The second is a socket that a killed server left.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(Reached::Nobody),
        Err(error) => Err(error).with_context(|| format!("cannot talk to the server through {}", path.display())),
    }
}

/// Asks a server, hands every line but the last to `take`, and gives the result.
pub fn ask(
    stream: &UnixStream,
    request: &Request,
    take: &mut dyn FnMut(Line<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<serde_json::Value> {
    let mut text = serde_json::to_string(request)?;
    text.push('\n');
    let mut out = stream;
    out.write_all(text.as_bytes()).context("the server went away")?;
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    loop {
        text.clear();
        if reader.read_line(&mut text).context("the server went away")? == 0 {
            bail!("the server went away before it was done");
        }
        match serde_json::from_str(&text).context("the server's answer cannot be read")? {
            Line::Result(result) => return Ok(result),
            Line::Error(reason) => bail!(reason),
            line => take(line)?,
        }
    }
}
