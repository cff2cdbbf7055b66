//! The load: keep-alive connections that send bodies made beforehand, so that the client costs little beside the server.
//!
//! Only the ids in a body are written anew for each request: random ones, as senders make them.

use crate::data::{DataSet, Random};
use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends of every client of this process have ids of their own.
static STREAMS: AtomicU64 = AtomicU64::new(1);

/// How long a sender waits after a 503.
const BACK_OFF: Duration = Duration::from_millis(2);

/// What to send, how and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Where to.
    pub address: SocketAddr,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Events in one request.
    pub batch: usize,
    /// How long answers are counted.
    pub time: Duration,
    /// Most events per second; as fast as possible when absent.
    pub pace: Option<f64>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Requests that were answered 200 or 204 in the counted time.
    pub requests: u64,
    /// Events in them.
    pub events: u64,
    /// All events that were answered so, before and after the counted time too.
    pub acknowledged: u64,
    /// Requests that were answered 503.
    pub overloaded: u64,
    /// The counted time in seconds.
    pub seconds: f64,
    /// Microseconds from the first byte out to the last byte in, sorted.
    pub latencies_us: Vec<u32>,
}

impl Outcome {
    /// Events per second.
    pub fn events_per_second(&self) -> f64 {
        self.events as f64 / self.seconds
    }

    /// The latency below which this share of the requests stayed, in milliseconds.
    pub fn latency_ms(&self, share: f64) -> f64 {
        percentile(&self.latencies_us, share) / 1000.0
    }
}

/// The value below which a share of sorted values lies; 0 of none.
pub fn percentile(sorted: &[u32], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).map_or(0.0, |value| f64::from(*value))
}

/// A request as bytes, and where the ids in it are.
#[derive(Clone)]
struct Template {
    bytes: Vec<u8>,
    ids: Vec<usize>,
}

/// Requests for every connection, made once and used for every contestant.
pub struct Bodies {
    batch: usize,
    connections: Vec<Vec<Template>>,
}

impl Bodies {
    /// Bodies of `batch` events for so many connections, out of a data set.
    pub fn new(data: DataSet, connections: usize, batch: usize) -> Self {
        let each = if batch >= 100 { 4 } else { 64 };
        let events = (connections * each * batch) as u64;
        let mut rows = DataSet { events, ..data }.rows();
        let mut template = || {
            let texts: Vec<String> = rows.by_ref().take(batch).map(|row| row.cloud_event()).collect();
            Template::new(&texts)
        };
        Self { batch, connections: (0..connections).map(|_| (0..each).map(|_| template()).collect()).collect() }
    }
}

impl Bodies {
    /// Requests that read these paths, by connection.
    pub fn of_paths(paths: &[Vec<String>]) -> Self {
        let request = |path: &String| Template {
            bytes: format!("GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n").into_bytes(),
            ids: vec![],
        };
        Self { batch: 1, connections: paths.iter().map(|paths| paths.iter().map(request).collect()).collect() }
    }
}

impl Template {
    fn new(events: &[String]) -> Self {
        let (body, media_type) = match events {
            [one] => (one.clone(), "application/cloudevents+json"),
            many => (format!("[{}]", many.join(",")), "application/cloudevents-batch+json"),
        };
        let head = format!(
            "POST /api/v1/events HTTP/1.1\r\nHost: bench\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let key = "\"id\":\"";
        let ids = body.match_indices(key).map(|(at, _)| head.len() + at + key.len()).collect();
        Self { bytes: (head + &body).into_bytes(), ids }
    }

    /// Gives every event another id.
    fn renew(&mut self, random: &mut Random) {
        for at in &self.ids {
            write_uuid(&mut self.bytes[*at..*at + 36], random);
        }
    }
}

/// Random hexadecimal digits into the places of a UUID.
fn write_uuid(text: &mut [u8], random: &mut Random) {
    let mut words = [random.word(), random.word()];
    for (place, byte) in text.iter_mut().enumerate() {
        if *byte == b'-' {
            continue;
        }
        let word = &mut words[place & 1];
        *byte = b"0123456789abcdef"[(*word & 15) as usize];
        *word >>= 4;
    }
    text[14] = b'4';
}

/// Sends a load from one thread of its own.
///
/// # Errors
/// When a connection breaks or an answer is none of 200, 204 and 503.
pub fn run(load: Load, bodies: &Bodies) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(send_all(load, bodies))
}

async fn send_all(load: Load, bodies: &Bodies) -> Result<Outcome> {
    if bodies.batch != load.batch || bodies.connections.len() < load.connections {
        bail!("the bodies were made for another load");
    }
    let warm_up = load.time / 8;
    let started = Instant::now();
    let (from, until) = (started + warm_up, started + warm_up + load.time);
    let mut senders = tokio::task::JoinSet::new();
    for templates in bodies.connections.iter().take(load.connections) {
        let stream = TcpStream::connect(load.address).await.context("the server does not accept a connection")?;
        stream.set_nodelay(true)?;
        let sender = Sender {
            stream,
            templates: templates.clone(),
            random: Random::new(STREAMS.fetch_add(1, Ordering::Relaxed) << 32),
            load,
            answer: Vec::with_capacity(4096),
        };
        senders.spawn(sender.run(from, until));
    }
    let mut all = Outcome::default();
    while let Some(sent) = senders.join_next().await {
        let one = sent??;
        all.requests += one.requests;
        all.acknowledged += one.acknowledged;
        all.overloaded += one.overloaded;
        all.latencies_us.extend(one.latencies_us);
    }
    all.events = all.requests * load.batch as u64;
    all.seconds = load.time.as_secs_f64();
    all.latencies_us.sort_unstable();
    Ok(all)
}

/// One connection.
struct Sender {
    stream: TcpStream,
    templates: Vec<Template>,
    random: Random,
    load: Load,
    answer: Vec<u8>,
}

impl Sender {
    async fn run(mut self, from: Instant, until: Instant) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        let pause = self
            .load
            .pace
            .map(|pace| Duration::from_secs_f64(self.load.batch as f64 * self.load.connections as f64 / pace));
        let mut due = Instant::now();
        for turn in 0.. {
            if let Some(pause) = pause {
                due += pause;
                tokio::time::sleep_until(due.into()).await;
            }
            let at = turn % self.templates.len();
            self.templates[at].renew(&mut self.random);
            let sent = Instant::now();
            if sent >= until {
                break;
            }
            self.stream.write_all(&self.templates[at].bytes).await?;
            let status = self.read_answer().await?;
            let now = Instant::now();
            if matches!(status, 200 | 204) {
                outcome.acknowledged += self.load.batch as u64;
            }
            match status {
                200 | 204 if sent >= from && now < until => {
                    outcome.requests += 1;
                    outcome.latencies_us.push(u32::try_from((now - sent).as_micros()).unwrap_or(u32::MAX));
                }
                200 | 204 => {}
                503 => {
                    outcome.overloaded += 1;
                    tokio::time::sleep(BACK_OFF).await;
                }
                _ => bail!("the server answered {}", String::from_utf8_lossy(&self.answer)),
            }
        }
        Ok(outcome)
    }

    /// Reads one answer whole; its status.
    async fn read_answer(&mut self) -> Result<u16> {
        self.answer.clear();
        let head = loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the server closed a connection");
            }
            if let Some(at) = self.answer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
        };
        let text = std::str::from_utf8(&self.answer[..head])?.to_ascii_lowercase();
        let status = text.get(9..12).context("an answer without a status")?.parse()?;
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
        let length: usize = length.map_or(Ok(0), str::parse)?;
        while self.answer.len() < head + length {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the server closed a connection");
            }
        }
        Ok(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Variant;

    #[test]
    fn only_ids_change_from_request_to_request_and_stay_uuids() {
        let bodies = Bodies::new(DataSet { seed: 1, events: 0, variant: Variant::Dense }, 1, 100);
        let before = bodies.connections[0][0].clone();
        let mut after = before.clone();
        after.renew(&mut Random::new(3));
        assert_eq!((after.ids.len(), after.bytes.len()), (100, before.bytes.len()));
        let mut masked = after.clone();
        for at in &before.ids {
            let id = String::from_utf8(after.bytes[*at..at + 36].to_vec()).unwrap();
            assert!(
                id.char_indices().all(|(place, c)| c.is_ascii_hexdigit() != [8, 13, 18, 23].contains(&place)),
                "{id}"
            );
            assert_ne!(id.as_bytes(), &before.bytes[*at..at + 36]);
            masked.bytes[*at..at + 36].copy_from_slice(&before.bytes[*at..at + 36]);
        }
        assert_eq!(masked.bytes, before.bytes);
    }

    #[test]
    fn percentiles_of_sorted_values() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!(
            (percentile(&values, 0.5), percentile(&values, 0.99), percentile(&values, 1.0)),
            (51.0, 100.0, 100.0)
        );
        assert!(percentile(&[], 0.5).abs() < f64::EPSILON);
    }
}
