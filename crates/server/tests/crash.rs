//! Acknowledged means stored: the server is killed without warning under load, again and again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tallystick_testkit::TestServer;
use tallystick_testkit::server::{agent, request, try_call_on};

const ROUNDS: u64 = 50;
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
            id.split('-').next().unwrap(),
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
        let mut sent = sent.lock().unwrap();
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
    let answer: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    let rows = answer["data"].as_array().unwrap().iter();
    rows.map(|row| (row["groupBy"]["id"].as_str().unwrap().to_string(), row["value"].as_u64().unwrap())).collect()
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
    sent.into_inner().unwrap()
}

#[test]
fn what_was_acknowledged_survives_kill_9_exactly_once() {
    let fresh = || RandomState::new().build_hasher().finish();
    let seed = option_env!("TALLYSTICK_CRASH_SEED").map_or_else(fresh, |text| text.parse().unwrap());
    // Shown by the test harness when the test fails; TALLYSTICK_CRASH_SEED at build time repeats its choices.
    println!("seed {seed}");
    let mut random = Random(seed);
    // Small sizes, so that logs rotate and segments are written and merged while the kills come.
    let mut server = common::options()
        .env("TALLYSTICK_STORE__MEMTABLE_BYTES", "300000")
        .env("TALLYSTICK_STORE__WAL_FILE_BYTES", "200000")
        .env("TALLYSTICK_LIMITS__QUERY_GROUPS", "10000000")
        .env("TALLYSTICK_LOG__LEVEL", "warn")
        .start();
    let created = server.command(&[
        "meters",
        "create",
        "crash",
        "--aggregation",
        "count",
        "--event-type",
        "crash",
        "--group-by",
        "id=$.id",
        "--group-by",
        "round=$.round",
    ]);
    assert!(created.status.success(), "{}", common::stderr(&created));
    let mut all = Sent::default();
    let mut interrupted = 0;
    for number in 0..ROUNDS {
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
    println!("{} acknowledged, {} rounds interrupted a request", all.acknowledged.len(), interrupted);
    assert!(all.acknowledged.len() > 1000, "too little load to prove anything");
    assert!(interrupted > ROUNDS as usize / 2, "too few kills met a request");
}
