//! One CloudEvent per line. Values are never parsed, so every digit stays as it is.

use super::Sink;
use crate::control::ExportedEvent;
use anyhow::Context;
use std::fs::File;
use std::io::{BufWriter, Write};
use tallystick_domain::Instant;

/// A file of lines, or stdout.
pub struct Ndjson {
    out: BufWriter<Box<dyn Write + Send>>,
    file: Option<File>,
}

impl Ndjson {
    /// Creates the file, which must not be there.
    pub fn create(name: &str) -> Result<Self, String> {
        if name == "-" {
            return Ok(Self { out: BufWriter::with_capacity(1 << 16, Box::new(std::io::stdout())), file: None });
        }
        let failed = |error: std::io::Error| format!("cannot create {name}: {error}");
        let file = File::create_new(name).map_err(failed)?;
        let out = file.try_clone().map_err(failed)?;
        Ok(Self { out: BufWriter::with_capacity(1 << 16, Box::new(out)), file: Some(file) })
    }
}

impl Sink for Ndjson {
    fn event(&mut self, event: &ExportedEvent<'_>) -> anyhow::Result<()> {
        self.out.write_all(line(event)?.as_bytes())?;
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.out.flush()?;
        self.file.as_ref().map_or(Ok(()), |file| file.sync_all().context("cannot make the file last"))
    }
}

/// The event as one line.
fn line(event: &ExportedEvent<'_>) -> anyhow::Result<String> {
    let time = Instant::from_micros(event.time_us).context("an event has a time outside of the stored years")?;
    let mut text = String::from(r#"{"specversion":"1.0""#);
    let attributes = [
        ("id", &*event.id),
        ("source", &*event.source),
        ("type", &*event.event_type),
        ("subject", &*event.subject),
        ("time", &time.to_string()),
    ];
    for (name, value) in attributes {
        text.push_str(&format!(",\"{name}\":{}", serde_json::to_string(value)?));
    }
    if let Some(members) = event.extras.as_deref().and_then(members) {
        text.push(',');
        text.push_str(&on_one_line(members));
    }
    if let Some(data) = &event.data {
        text.push_str(",\"data\":");
        text.push_str(&on_one_line(data));
    }
    text.push_str("}\n");
    Ok(text)
}

/// What stands between the braces of an object; `None` if that is nothing.
fn members(object: &str) -> Option<&str> {
    let inner = object.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    (!inner.is_empty()).then_some(inner)
}

/// In JSON a line break stands only between tokens, where a space means the same.
fn on_one_line(json: &str) -> String {
    json.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_every_attribute_and_the_digits_of_the_data() {
        let event = ExportedEvent {
            namespace: "default".into(),
            id: "1\"".into(),
            source: "s".into(),
            event_type: "t".into(),
            subject: "c".into(),
            time_us: 1_500_000,
            ingested_us: 0,
            data: Some("{\r\n\"n\": 1.500,\n\"big\":123456789012345678901234567890}".into()),
            extras: Some(r#"{"region":"eu"}"#.into()),
        };
        assert_eq!(
            line(&event).unwrap(),
            "{\"specversion\":\"1.0\",\"id\":\"1\\\"\",\"source\":\"s\",\"type\":\"t\",\"subject\":\"c\",\
             \"time\":\"1970-01-01T00:00:01.5Z\",\"region\":\"eu\",\"data\":{  \"n\": 1.500, \
             \"big\":123456789012345678901234567890}}\n"
        );
        let bare = ExportedEvent { data: None, extras: Some("{ }".into()), ..event };
        assert!(line(&bare).unwrap().ends_with("\"time\":\"1970-01-01T00:00:01.5Z\"}\n"));
    }
}
