//! Where the state store is.

use crate::error::StateError;
use sqlx::any::AnyConnectOptions;
use std::fmt;
use std::path::{Path, PathBuf};

/// The connection parameters that PostgreSQL's driver understands. Others are refused here, because the driver would
/// ignore them and log their values, which may be a mistyped password.
const POSTGRES_PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// The address of a state store. Neither `Debug` nor `Display` shows a password.
#[derive(Clone, PartialEq, Eq)]
pub enum StateUrl {
    /// A SQLite database in this file.
    Sqlite(PathBuf),
    /// A PostgreSQL database, as `postgres://user:password@host:port/database?parameters`.
    Postgres(String),
}

impl StateUrl {
    /// Parses `sqlite:PATH`, `postgres://...` or `postgresql://...`. The error never repeats the text, which may hold a
    /// password.
    pub fn parse(text: &str) -> Result<Self, StateError> {
        if let Some(rest) = text.strip_prefix("sqlite:") {
            return sqlite_path(rest.strip_prefix("//").unwrap_or(rest));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            let url = StateUrl::Postgres(text.to_owned());
            url.connect_options()?;
            return Ok(url);
        }
        Err(StateError::InvalidUrl(
            "the state store's URL must be sqlite:PATH or postgres://user:password@host:port/database".into(),
        ))
    }

    /// The address as the database library takes it.
    pub(crate) fn connect_options(&self) -> Result<AnyConnectOptions, StateError> {
        match self {
            StateUrl::Sqlite(path) => sqlite_url(path)?.parse().map_err(|_| {
                StateError::InvalidUrl(format!("the path {} cannot name a SQLite database", path.display()))
            }),
            StateUrl::Postgres(text) => postgres_options(text),
        }
    }
}

impl StateUrl {
    /// The address of a file that nobody writes to, and that must not be written to.
    pub(crate) fn read_only_options(&self) -> Result<AnyConnectOptions, StateError> {
        let StateUrl::Sqlite(path) = self else { return self.connect_options() };
        let url = sqlite_url(path)?.replace("?mode=rwc", "?mode=ro&immutable=true");
        url.parse()
            .map_err(|_| StateError::InvalidUrl(format!("the path {} cannot name a SQLite database", path.display())))
    }
}

impl fmt::Display for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StateUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            StateUrl::Postgres(text) => match text.parse::<AnyConnectOptions>() {
                Ok(options) => {
                    let url = &options.database_url;
                    write!(f, "postgres://{}", url.host_str().unwrap_or_default())?;
                    if let Some(port) = url.port() {
                        write!(f, ":{port}")?;
                    }
                    f.write_str(url.path())
                }
                Err(_) => f.write_str("postgres://"),
            },
        }
    }
}

impl fmt::Debug for StateUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StateUrl({self})")
    }
}

fn sqlite_path(path: &str) -> Result<StateUrl, StateError> {
    let reason = match path {
        "" => "a SQLite URL needs a path, for example sqlite:data/state.sqlite",
        ":memory:" => {
            "sqlite::memory: would lose everything at a restart: name a file, for example sqlite:data/state.sqlite"
        }
        _ if path.contains('?') => "a SQLite URL takes no parameters: remove the '?' and what follows it",
        _ => return Ok(StateUrl::Sqlite(path.into())),
    };
    Err(StateError::InvalidUrl(reason.into()))
}

/// The library's URL for a file. Every byte that could mean something in a URL is escaped, the slashes and dots too: URL
/// parsers rewrite `a/../b`. A relative path begins with `./`, or `:memory:` and `file:...` would not be file names.
fn sqlite_url(path: &Path) -> Result<String, StateError> {
    let Some(text) = path.to_str() else {
        return Err(StateError::InvalidUrl(format!("the path {} of the state store must be UTF-8", path.display())));
    };
    let mut url = String::from(if path.is_absolute() { "sqlite:" } else { "sqlite:%2E%2F" });
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => url.push(char::from(byte)),
            _ => url.push_str(&format!("%{byte:02X}")),
        }
    }
    Ok(url + "?mode=rwc")
}

fn postgres_options(text: &str) -> Result<AnyConnectOptions, StateError> {
    let options: AnyConnectOptions = text.parse().map_err(|_| {
        StateError::InvalidUrl(
            "the PostgreSQL URL cannot be read: use postgres://user:password@host:port/database, and write characters \
             such as '@', '/', '#' or '%' in the password as %40, %2F, %23 or %25"
                .into(),
        )
    })?;
    let unknown = options
        .database_url
        .query_pairs()
        .find(|(key, _)| !POSTGRES_PARAMETERS.contains(&&**key) && !key.starts_with("options["));
    match unknown {
        Some((key, _)) => Err(StateError::InvalidUrl(format!(
            "the PostgreSQL URL has the parameter {key:?}, which is not known: use {}",
            POSTGRES_PARAMETERS.join(", ")
        ))),
        None => Ok(options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_schemes() {
        assert_eq!(StateUrl::parse("sqlite:a/b.db").unwrap(), StateUrl::Sqlite("a/b.db".into()));
        assert_eq!(StateUrl::parse("sqlite:///a/b.db").unwrap(), StateUrl::Sqlite("/a/b.db".into()));
        for text in ["postgres://u:p@h:5433/d", "postgresql://h/d?sslmode=require&options[a]=b"] {
            assert_eq!(StateUrl::parse(text).unwrap(), StateUrl::Postgres(text.into()));
        }
    }

    #[test]
    fn refuses_the_rest_and_never_repeats_it() {
        for text in [
            "",
            "sqlite:",
            "sqlite::memory:",
            "sqlite:hunter2?mode=rw",
            "hunter2",
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2@h:port/d",
            "postgres://h/d?passwd=hunter2",
        ] {
            let Err(StateError::InvalidUrl(reason)) = StateUrl::parse(text) else { panic!("{text} was taken") };
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }

    #[test]
    fn shows_no_password() {
        for text in ["postgres://u:hunter2@h:5433/d", "postgres://h:5433/d?user=u&password=hunter2"] {
            let url = StateUrl::parse(text).unwrap();
            assert_eq!(format!("{url} {url:?}"), "postgres://h:5433/d StateUrl(postgres://h:5433/d)");
        }
    }
}
