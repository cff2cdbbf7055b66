//! Sending batches: again when the server is busy or away, without the lines that it refuses.

use super::super::client::{Answer, CallError, Client, Problem};
use super::Format;
use super::progress::Progress;
use super::summary::Tally;
use anyhow::{Context, bail};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::time::Duration;

const PATH: &str = "/api/v1/events";
const CONTENT_TYPE: &str = "application/cloudevents-batch+json";
/// With the waits below, about a minute: enough for a server to be restarted.
const ATTEMPTS: u32 = 16;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Events that are sent in one request, each with the number of its line.
#[derive(Default)]
pub struct Batch {
    /// How much of the file it covers.
    pub source_bytes: u64,
    events: Vec<(u64, String)>,
    event_bytes: usize,
}

impl Batch {
    /// Adds an event.
    pub fn push(&mut self, line: u64, event: String) {
        self.event_bytes += event.len() + 1;
        self.events.push((line, event));
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Length of the request's body.
    pub fn event_bytes(&self) -> usize {
        self.event_bytes
    }
}

/// What the threads share that send.
pub struct Sender<'a> {
    /// The server.
    pub client: &'a Client,
    /// What became of the lines.
    pub tally: &'a Tally,
    /// What the user sees meanwhile.
    pub progress: &'a Progress,
    /// What others see meanwhile.
    pub import: Option<Import<'a>>,
}

/// What the server is told so that it can tell others how far the import is.
pub struct Import<'a> {
    id: &'a str,
    /// About how many events there are; unknown for what is not a file.
    events: u64,
}

impl<'a> Import<'a> {
    /// Counts the lines of the file.
    pub fn new(id: &'a str, file: &str, format: Format) -> anyhow::Result<Self> {
        let events = match file {
            "-" => 0,
            name => lines_of(&mut File::open(name).with_context(|| format!("cannot read {name}"))?)?,
        };
        Ok(Self { id, events: events.saturating_sub(u64::from(format == Format::Csv)) })
    }
}

fn lines_of(file: &mut dyn Read) -> anyhow::Result<u64> {
    let (mut buffer, mut lines, mut last) = (vec![0; 1 << 16], 0, b'\n');
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(lines + u64::from(last != b'\n')),
            count => {
                lines += buffer[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
                last = buffer[count - 1];
            }
        }
    }
}

enum Outcome {
    Stored {
        accepted: u64,
        duplicates: u64,
    },
    /// Single events are invalid, by their index; nothing was stored.
    Faulty(BTreeMap<usize, String>),
    /// The request as a whole was refused.
    Refused(String),
}

impl Sender<'_> {
    /// Sends a batch until each of its events is stored or known to be invalid.
    pub fn deliver(&self, batch: Batch) -> anyhow::Result<()> {
        let mut pending = vec![batch.events];
        while let Some(mut events) = pending.pop() {
            if events.is_empty() {
                continue;
            }
            match self.send(&events)? {
                Outcome::Stored { accepted, duplicates } => self.tally.stored(accepted, duplicates),
                Outcome::Faulty(faults) => {
                    for (index, reason) in &faults {
                        self.tally.invalid(events[*index].0, reason);
                    }
                    let mut index = 0..;
                    events.retain(|_| index.next().is_some_and(|index| !faults.contains_key(&index)));
                    pending.push(events);
                }
                Outcome::Refused(reason) if events.len() == 1 => self.tally.invalid(events[0].0, &reason),
                // The server did not say which of them it means; halves find it.
                Outcome::Refused(_) => {
                    let second = events.split_off(events.len() / 2);
                    pending.push(second);
                    pending.push(events);
                }
            }
        }
        self.progress.advance(batch.source_bytes, self.tally.settled());
        Ok(())
    }

    /// The events that the server will see, as far as it is known.
    fn total(&self, import: &Import<'_>) -> u64 {
        import.events.max(self.tally.read()).saturating_sub(self.tally.unsendable())
    }

    fn send(&self, events: &[(u64, String)]) -> anyhow::Result<Outcome> {
        let texts: Vec<&str> = events.iter().map(|(_, event)| event.as_str()).collect();
        let body = format!("[{}]", texts.join(","));
        let total = self.import.as_ref().map(|import| (import.id, self.total(import).to_string()));
        let named =
            total.as_ref().map(|(id, total)| [("tallystick-client-id", *id), ("tallystick-import-total", total)]);
        let headers: Vec<_> =
            std::iter::once(("content-type", CONTENT_TYPE)).chain(named.into_iter().flatten()).collect();
        let mut wait = FIRST_WAIT;
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            match self.client.post_with(PATH, &headers, body.as_bytes()) {
                Ok(answer) if is_temporary(answer.status) => last = answer.reason(),
                Ok(answer) => return outcome(&answer, events.len()),
                Err(error @ (CallError::NoServer(_) | CallError::Broken(_))) => last = error.to_string(),
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        bail!("gave up after {ATTEMPTS} attempts: {last}")
    }
}

/// Statuses after which the same request may succeed. Ids make it safe to repeat.
fn is_temporary(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

fn outcome(answer: &Answer, sent: usize) -> anyhow::Result<Outcome> {
    let duplicates = answer.count("tallystick-duplicates").unwrap_or(0);
    match answer.status {
        200..=299 => {
            let accepted = answer.count("tallystick-accepted").unwrap_or(sent as u64 - duplicates.min(sent as u64));
            Ok(Outcome::Stored { accepted, duplicates })
        }
        400 | 413 | 422 => {
            let faults = faults_by_index(&answer.problem(), sent);
            Ok(if faults.is_empty() { Outcome::Refused(answer.reason()) } else { Outcome::Faulty(faults) })
        }
        _ => bail!("{}", answer.reason()),
    }
}

/// The faults that name an event of the batch: `$[3].subject`, or `$[3]` for the whole of it.
fn faults_by_index(problem: &Problem, sent: usize) -> BTreeMap<usize, String> {
    let mut faults: BTreeMap<usize, String> = BTreeMap::new();
    for fault in problem.faults() {
        let Some((index, rest)) = fault.field.strip_prefix("$[").and_then(|rest| rest.split_once(']')) else {
            continue;
        };
        let Some(index) = index.parse().ok().filter(|index: &usize| *index < sent) else { continue };
        let attribute = rest.trim_start_matches('.');
        let reason = match attribute {
            "" => fault.message.clone(),
            _ => format!("{attribute}: {}", fault.message),
        };
        faults.entry(index).and_modify(|known| *known = format!("{known}; {reason}")).or_insert(reason);
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_by_event() {
        let body = r#"{"extensions":{"validationErrors":[
            {"field":"$[3].subject","message":"must not be empty"},{"field":"$[0]","message":"is bad"},
            {"field":"$[3].id","message":"is long"},{"field":"$[9].id","message":"x"},{"field":"$.name","message":"x"}]}}"#;
        let faults = faults_by_index(&serde_json::from_str(body).unwrap(), 5);
        let found: Vec<_> = faults.iter().map(|(index, reason)| (*index, reason.as_str())).collect();
        assert_eq!(found, [(0, "is bad"), (3, "subject: must not be empty; id: is long")]);
    }
}
