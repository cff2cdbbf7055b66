//! Acknowledged means stored: a server is killed without warning under load, again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::server::{ServerOptions, TestServer, agent, request, try_call_on};

const SENDERS: u64 = 4;
/// Load before the kill, in milliseconds: from "hardly started" to "in the middle of writing segments".
const LOAD_MS: std::ops::Range<u64> = 1..200;

/// A small generator of random numbers (SplitMix64), so that a run can be repeated from its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, range: std::ops::Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }
}

/// What the senders of one round know.
#[derive(Default)]
struct Sent {
    acknowledged: BTreeSet<String>,
    unanswered: BTreeSet<String>,
}

fn body_of(ids: &[String]) -> String {
    let event = |id: &String| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"crash","type":"crash","subject":"s{}","time":"2024-01-01T00:00:00Z","data":{{"id":"{id}","round":"{}","padding":"{:0>200}"}}}}"#,
            id.len(),
            id.split('-').next().unwrap_or_default(),
            id
        )
    };
    format!("[{}]", ids.iter().map(event).collect::<Vec<_>>().join(","))
}

/// Sends batches until the server is gone. Some ids come twice, as they do when senders retry.
fn send_until_killed(url: &str, name: &str, seed: u64, killed: &AtomicBool, sent: &Mutex<Sent>) {
    let mut random = Random(seed);
    let agent = agent();
    let mut previous = Vec::new();
    for batch in 0.. {
        let mut ids: Vec<String> = (0..random.below(1..40)).map(|at| format!("{name}-{batch}-{at}")).collect();
        if random.below(0..3) == 0 {
            ids.extend(previous.iter().take(5).cloned());
        }
        let post = request("POST", url, "/api/v1/events").header("content-type", "application/cloudevents-batch+json");
        let answer = try_call_on(&agent, post, Some(body_of(&ids).as_bytes()));
        let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(reply) if reply.status == 204 => sent.acknowledged.extend(ids.iter().cloned()),
            Ok(reply) => panic!("{}: {}", reply.status, reply.body),
            Err(error) => {
                assert!(killed.load(Ordering::SeqCst), "the server was lost before it was killed: {error}");
                let unknown = ids.into_iter().filter(|id| !sent.acknowledged.contains(id)).collect::<Vec<_>>();
                sent.unanswered.extend(unknown);
                return;
            }
        }
        previous = ids;
    }
}

/// How often each id is stored, for one round or for all.
fn stored(server: &TestServer, round: Option<&str>) -> BTreeMap<String, u64> {
    let filter = round.map(|round| format!("&filterGroupBy%5Bround%5D={round}")).unwrap_or_default();
    let reply = server.get(&format!("/api/v1/meters/crash/query?groupBy=id{filter}"));
    assert_eq!(reply.status, 200, "{}", reply.body);
    let answer: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
    let rows = answer["data"].as_array().expect("rows").iter();
    let id = |row: &serde_json::Value| row["groupBy"]["id"].as_str().expect("an id").to_string();
    rows.map(|row| (id(row), row["value"].as_u64().expect("a count"))).collect()
}

fn check(stored: &BTreeMap<String, u64>, sent: &Sent, context: &str) {
    for id in &sent.acknowledged {
        assert_eq!(stored.get(id), Some(&1), "{context}: the acknowledged event {id}");
    }
    for (id, count) in stored {
        assert_eq!(*count, 1, "{context}: {id}");
        let known = sent.acknowledged.contains(id) || sent.unanswered.contains(id);
        assert!(known, "{context}: {id} was never sent");
    }
}

fn round(server: &mut TestServer, number: u64, random: &mut Random) -> Sent {
    let (killed, sent) = (AtomicBool::new(false), Mutex::new(Sent::default()));
    let url = server.url().to_string();
    let load = Duration::from_millis(random.below(LOAD_MS));
    let seeds: Vec<u64> = (0..SENDERS).map(|_| random.next()).collect();
    std::thread::scope(|scope| {
        for (sender, seed) in seeds.into_iter().enumerate() {
            let (url, killed, sent) = (&url, &killed, &sent);
            scope.spawn(move || send_until_killed(url, &format!("r{number}-{sender}"), seed, killed, sent));
        }
        std::thread::sleep(load);
        killed.store(true, Ordering::SeqCst);
        server.kill_9();
    });
    sent.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What the rounds were worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed {
    /// Events that were acknowledged.
    pub acknowledged: usize,
    /// Rounds in which a kill met a request.
    pub interrupted: usize,
}

/// Starts a server, loads it and kills it, for this many rounds on one data folder. After each restart, every acknowledged
/// event must be there once, and the others at most once. The seed chooses what is sent and when it is killed.
/// Panics at the first event that is not as it must be.
pub fn kill_rounds(options: ServerOptions, rounds: u64, seed: u64) -> Killed {
    let mut random = Random(seed);
    let mut server = start(options);
    let mut all = Sent::default();
    let mut interrupted = 0;
    for number in 0..rounds {
        let mut sent = round(&mut server, number, &mut random);
        server.restart();
        let name = format!("r{number}");
        check(&stored(&server, Some(&name)), &sent, &format!("seed {seed}, round {number}"));
        interrupted += usize::from(!sent.unanswered.is_empty());
        // Whoever got no answer sends again: afterwards the event is there once, whether it was before or not.
        let again: Vec<String> = sent.unanswered.iter().cloned().collect();
        if random.below(0..2) == 0 && !again.is_empty() {
            let reply = server.post("/api/v1/events", "application/cloudevents-batch+json", &body_of(&again));
            assert_eq!(reply.status, 204, "{}", reply.body);
            sent.acknowledged.append(&mut sent.unanswered);
        }
        all.acknowledged.append(&mut sent.acknowledged);
        all.unanswered.append(&mut sent.unanswered);
    }
    check(&stored(&server, None), &all, &format!("seed {seed}, in the end"));
    Killed { acknowledged: all.acknowledged.len(), interrupted }
}

/// A server with small sizes, so that logs rotate and segments are written and merged while the kills come.
fn start(options: ServerOptions) -> TestServer {
    let server = options
        .env("TALLYSTICK_STORE__MEMTABLE_BYTES", "300000")
        .env("TALLYSTICK_STORE__WAL_FILE_BYTES", "200000")
        .env("TALLYSTICK_LIMITS__QUERY_GROUPS", "10000000")
        .env("TALLYSTICK_LOG__LEVEL", "warn")
        .start();
    let meter = ["meters", "create", "crash", "--aggregation", "count", "--event-type", "crash"];
    let created = server.command(&[&meter[..], &["--group-by", "id=$.id", "--group-by", "round=$.round"]].concat());
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    server
}
