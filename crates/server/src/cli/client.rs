//! Talking to a running server through its public API.

use crate::config::client_key;
use anyhow::{Context, bail};
use clap::Args;
use serde::Deserialize;
use std::time::Duration;
use ureq::http::{Method, Request, Uri};

/// The whole of one answer that a command may hold.
const MAX_ANSWER_BYTES: u64 = 1 << 30;

/// Which server a command talks to.
#[derive(Args, Clone)]
pub struct Remote {
    /// Server to talk to; the API key is read from TALLYSTICK_KEY
    #[arg(long, value_name = "URL", env = "TALLYSTICK_SERVER", default_value = "http://127.0.0.1:8888")]
    server: String,
}

/// A connection pool to one server; every thread can use it.
pub struct Client {
    agent: ureq::Agent,
    server: String,
    authorization: Option<String>,
}

/// What came back, whatever its status.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body as text.
    pub body: String,
    headers: ureq::http::HeaderMap,
}

/// No answer came back.
#[derive(Debug)]
pub enum CallError {
    /// Nothing listens there.
    NoServer(String),
    /// The connection failed; the same request can be sent again.
    Broken(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CallError::NoServer(server) => write!(
                f,
                "no server answers at {server}\n  start one with:   tallystick serve\n  or name another:  --server URL (or TALLYSTICK_SERVER)"
            ),
            CallError::Broken(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for CallError {}

/// The error body of the API.
#[derive(Debug, Default, Deserialize)]
pub struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Debug, Default, Deserialize)]
struct Extensions {
    #[serde(default, rename = "validationErrors")]
    validation_errors: Vec<ValidationError>,
}

/// One thing that is wrong with a request.
#[derive(Debug, Deserialize)]
pub struct ValidationError {
    /// JSONPath of what is wrong, for example `$[3].subject`.
    #[serde(default)]
    pub field: String,
    /// What is wrong and what would be right.
    #[serde(default)]
    pub message: String,
}

impl Problem {
    /// The single faults, if the server named them.
    pub fn faults(&self) -> &[ValidationError] {
        &self.extensions.validation_errors
    }
}

impl Remote {
    /// A client for this server, after one request has shown that something listens there.
    pub fn connect(&self) -> anyhow::Result<Client> {
        let client = self.client(Duration::from_secs(10), Duration::from_secs(300))?;
        client.get("/healthz", &[])?;
        Ok(client)
    }

    /// A client for this server, which waits so long for a connection and for a whole answer.
    pub fn client(&self, connection: Duration, answer: Duration) -> anyhow::Result<Client> {
        let server = self.server.trim_end_matches('/').to_string();
        let uri: Uri = server.parse().with_context(|| format!("--server {server}"))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            bail!("--server {server}: use a URL such as http://127.0.0.1:8888");
        }
        let mut config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(connection))
            .timeout_global(Some(answer))
            .user_agent(concat!("tallystick/", env!("CARGO_PKG_VERSION")));
        if uri.host().is_some_and(is_this_machine) {
            config = config.proxy(None);
        }
        let agent = config.build().new_agent();
        Ok(Client { agent, server, authorization: client_key().map(|key| format!("Bearer {key}")) })
    }
}

fn is_this_machine(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl Client {
    /// Reads.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Answer, CallError> {
        let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let path = if pairs.is_empty() { path.to_string() } else { format!("{path}?{}", pairs.join("&")) };
        self.call(Method::GET, &path, &[], None)
    }

    /// Sends a body.
    pub fn post(&self, path: &str, content_type: &str, accept: Option<&str>, body: &[u8]) -> Result<Answer, CallError> {
        let accept = accept.map(|accept| ("accept", accept));
        let headers: Vec<_> = std::iter::once(("content-type", content_type)).chain(accept).collect();
        self.post_with(path, &headers, body)
    }

    /// Sends a body with these headers.
    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, CallError> {
        self.call(Method::POST, path, headers, Some(body))
    }

    /// Deletes.
    pub fn delete(&self, path: &str) -> Result<Answer, CallError> {
        self.call(Method::DELETE, path, &[], None)
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, CallError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.server));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(value) = &self.authorization {
            request = request.header("authorization", value);
        }
        let broken = |error: ureq::Error| self.call_error(error);
        let invalid = |error: ureq::http::Error| CallError::Broken(format!("cannot make the request: {error}"));
        let mut response = match body {
            Some(bytes) => self.agent.run(request.body(bytes).map_err(invalid)?).map_err(broken)?,
            None => self.agent.run(request.body(()).map_err(invalid)?).map_err(broken)?,
        };
        let bytes = response.body_mut().with_config().limit(MAX_ANSWER_BYTES).read_to_vec().map_err(broken)?;
        let body = String::from_utf8(bytes).map_err(|_| CallError::Broken("the answer is not UTF-8".into()))?;
        Ok(Answer { status: response.status().as_u16(), body, headers: response.headers().clone() })
    }

    fn call_error(&self, error: ureq::Error) -> CallError {
        let nobody = match &error {
            ureq::Error::Io(io) => io.kind() == std::io::ErrorKind::ConnectionRefused,
            ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => true,
            _ => false,
        };
        if nobody {
            return CallError::NoServer(self.server.clone());
        }
        let hint = match self.server.strip_prefix("https://") {
            Some(rest) => {
                format!("\n  a server without a TLS proxy before it speaks plain HTTP: --server http://{rest}")
            }
            None => String::new(),
        };
        CallError::Broken(format!("the connection to {} failed: {error}{hint}", self.server))
    }
}

impl Answer {
    /// A response header that holds a count.
    pub fn count(&self, header: &str) -> Option<u64> {
        self.headers.get(header)?.to_str().ok()?.parse().ok()
    }

    /// The error body, or what there is of one.
    pub fn problem(&self) -> Problem {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// Why the server refused, for people.
    pub fn reason(&self) -> String {
        let problem = self.problem();
        let mut text = match (problem.detail.as_str(), problem.title.as_str()) {
            ("", "") => format!("the server answered with status {}", self.status),
            ("", title) => format!("{title} (status {})", self.status),
            (detail, _) => detail.to_string(),
        };
        for fault in problem.faults() {
            if !text.contains(&fault.message) {
                text.push_str(&format!("\n  {}: {}", fault.field, fault.message));
            }
        }
        match self.status {
            401 => format!("{text}\n  set TALLYSTICK_KEY to a key of this server (tallystick keys create)"),
            403 => format!("{text}\n  use a key with another scope (tallystick keys list)"),
            _ => text,
        }
    }

    /// The answer itself if it is a success.
    pub fn success(self) -> anyhow::Result<Self> {
        if (200..300).contains(&self.status) { Ok(self) } else { bail!("{}", self.reason()) }
    }

    /// The body of a success, decoded.
    pub fn json<T: for<'de> Deserialize<'de>>(self) -> anyhow::Result<T> {
        let answer = self.success()?;
        serde_json::from_str(&answer.body).context("the server's answer is not what this version expects")
    }
}

/// A text as one value of a query string or one segment of a path.
pub fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
    let piece = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_encoded_byte_by_byte() {
        assert_eq!(encoded("a-b_c.d~1"), "a-b_c.d~1");
        assert_eq!(encoded("a b/ü+"), "a%20b%2F%C3%BC%2B");
    }

    #[test]
    fn this_machine_is_never_asked_for_through_a_proxy() {
        for (host, expected) in [("localhost", true), ("127.0.0.1", true), ("[::1]", true), ("example.org", false)] {
            assert_eq!(is_this_machine(host), expected, "{host}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let answer = |status, body: &str| Answer { status, body: body.into(), headers: Default::default() };
        assert_eq!(answer(400, r#"{"title":"Bad Request","detail":"no"}"#).reason(), "no");
        assert_eq!(answer(500, r#"{"title":"Internal Server Error"}"#).reason(), "Internal Server Error (status 500)");
        assert_eq!(answer(502, "<html>").reason(), "the server answered with status 502");
        assert!(answer(401, r#"{"detail":"x"}"#).reason().contains("TALLYSTICK_KEY"));
    }
}
