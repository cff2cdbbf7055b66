//! The lines that go over the socket.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;
use tallystick_domain::Namespace;
use tallystick_domain::event::StoredRef;
use tallystick_engine::{Progress, Unit};

/// The longest request line.
pub const REQUEST_BYTES: u64 = 64 << 10;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Read everything again and check it.
    Verify,
    /// Copy everything into an empty folder of the server's machine.
    Backup {
        /// The folder, as an absolute path.
        dir: PathBuf,
    },
    /// Describe what is stored.
    Stats,
    /// Hand out every event.
    Export,
    /// Say how long events are kept.
    Retention {
        /// Let what is older go now.
        apply: bool,
    },
}

/// A line of the answer. The last one is a result or an error.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line<'a> {
    /// How far it is.
    #[serde(borrow)]
    Progress(ProgressLine<'a>),
    /// An event.
    #[serde(borrow)]
    Event(ExportedEvent<'a>),
    /// It is done.
    Result(serde_json::Value),
    /// It cannot be done; says why.
    Error(String),
}

/// How far the work is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgressLine<'a> {
    /// What is being done.
    #[serde(borrow)]
    pub phase: Cow<'a, str>,
    /// `bytes` or `events`.
    #[serde(borrow)]
    pub unit: Cow<'a, str>,
    /// How much of it is done.
    pub done: u64,
    /// How much there is.
    pub total: u64,
}

impl From<Progress> for ProgressLine<'static> {
    fn from(progress: Progress) -> Self {
        let unit = match progress.unit {
            Unit::Bytes => "bytes",
            Unit::Events => "events",
        };
        Self { phase: progress.phase.into(), unit: unit.into(), done: progress.done, total: progress.total }
    }
}

/// A stored event. Its JSON texts are strings here: they may hold line breaks, and they are never parsed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedEvent<'a> {
    /// Whose it is.
    #[serde(borrow)]
    pub namespace: Cow<'a, str>,
    /// Identity within the source.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// Where it comes from.
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    /// What kind of usage it is.
    #[serde(borrow, rename = "type")]
    pub event_type: Cow<'a, str>,
    /// Whom it is about.
    #[serde(borrow)]
    pub subject: Cow<'a, str>,
    /// When it happened, in microseconds since 1970.
    pub time_us: i64,
    /// When it was accepted, in microseconds since 1970.
    pub ingested_us: i64,
    /// Its values, a JSON object.
    #[serde(borrow)]
    pub data: Option<Cow<'a, str>>,
    /// Further attributes, a JSON object.
    #[serde(borrow)]
    pub extras: Option<Cow<'a, str>>,
}

impl<'a> ExportedEvent<'a> {
    /// What is told of a stored event.
    pub fn of(namespace: &'a Namespace, stored: StoredRef<'a>) -> Self {
        let event = stored.event;
        Self {
            namespace: namespace.as_str().into(),
            id: event.id().into(),
            source: event.source().into(),
            event_type: event.event_type().into(),
            subject: event.subject().into(),
            time_us: event.time().as_micros(),
            ingested_us: stored.ingested_at.as_micros(),
            data: event.data().map(Cow::from),
            extras: event.extras().map(Cow::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_and_unknown_ones_are_refused() {
        let backup = Request::Backup { dir: "/x".into() };
        assert_eq!(serde_json::to_string(&backup).unwrap(), r#"{"op":"backup","dir":"/x"}"#);
        assert_eq!(serde_json::from_str::<Request>(r#"{"op":"verify"}"#).unwrap(), Request::Verify);
        for wrong in [r#"{"op":"drop"}"#, r#"{"op":"backup"}"#, "{}", "[]", ""] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_event_comes_back_as_it_was_and_stays_on_its_line() {
        let text = "{\n \"a\": 1.50,\t\"q\\u0041\": \"\u{2028}\"}";
        let event = ExportedEvent {
            namespace: "default".into(),
            id: "1\n".into(),
            source: "s".into(),
            event_type: "t".into(),
            subject: "é\"".into(),
            time_us: -1,
            ingested_us: 2,
            data: Some(text.into()),
            extras: None,
        };
        let line = serde_json::to_string(&Line::Event(event.clone())).unwrap();
        assert!(!line.contains('\n'));
        let Line::Event(read) = serde_json::from_str(&line).unwrap() else { panic!("{line}") };
        assert_eq!(read, event);
    }
}
