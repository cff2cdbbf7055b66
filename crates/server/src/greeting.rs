//! What a start says: on stdout for people, in the log for what needs attention.

use crate::config::{Config, file_word};
use crate::openapi::PAGE_PATH;
use std::io::Write;
use std::net::SocketAddr;
use tallystick_engine::Engine;

/// Where the server is, where its data is, and how to send a first event.
pub fn print(
    config: &Config,
    address: SocketAddr,
    doors: &[(&str, SocketAddr)],
    engine: &Engine,
    has_keys: bool,
) -> std::io::Result<()> {
    let url = format!("http://{}", reachable(address));
    let data_dir = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
    let state = match config.state_url() {
        None => "state.sqlite in the data folder",
        Some(url) if url.starts_with("sqlite:") => "SQLite, as state_url says",
        Some(_) => "PostgreSQL, as state_url says",
    };
    let (access, authorization) = match (has_keys, config.is_loopback()) {
        (true, _) => ("an API key is required", "\n    -H \"Authorization: Bearer $TALLYSTICK_KEY\" \\"),
        (false, true) => ("open to this machine, since no API key is in force", ""),
        (false, false) => ("OPEN TO EVERYBODY who can connect (--insecure)", ""),
    };
    let text = format!(
        "Tallystick {version}\n  \
         listening on  {url}\n{doors}  \
         data in       {data}\n  \
         state in      {state}\n  \
         access        {access}\n  \
         docs          {url}{PAGE_PATH}\n{warnings}\n\
         Send a first event:\n  \
         curl -i {url}/api/v1/events \\{authorization}\n    \
         -H 'Content-Type: application/cloudevents+json' \\\n    \
         -d '{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"demo\",\"type\":\"request\",\"subject\":\"customer-1\",\"data\":{{\"tokens\":12}}}}'\n",
        version = env!("CARGO_PKG_VERSION"),
        doors = doors
            .iter()
            .map(|(name, address)| format!("  {name:<12}  http://{}\n", reachable(*address)))
            .collect::<String>(),
        data = data_dir.display(),
        warnings = drift(engine),
    );
    let mut out = std::io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    // Nobody may be reading; that is no reason not to serve.
    written.or_else(|error| if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
}

/// An address that a client on this machine can use.
fn reachable(address: SocketAddr) -> String {
    match address.ip().is_unspecified() {
        true => format!("localhost:{}", address.port()),
        false => address.to_string(),
    }
}

/// Tells of declared meters that the store holds differently, in the log and as lines of the greeting.
fn drift(engine: &Engine) -> String {
    let mut lines = String::new();
    for drift in engine.drift() {
        let (slug, fields) =
            (&drift.slug, drift.fields.iter().map(|field| file_word(field)).collect::<Vec<_>>().join(", "));
        tracing::warn!(
            meter = slug,
            fields,
            "the configuration declares this meter differently; the stored one counts"
        );
        lines.push_str(&format!("  warning       meter {slug}: the configuration differs from the store in {fields}; the stored one counts\n"));
    }
    lines
}
