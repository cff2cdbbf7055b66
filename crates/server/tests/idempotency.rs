//! Writes that are sent again to the real binary, also after it was killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{options, server};
use std::time::Duration;
use tallystick_testkit::postgres::Postgres;
use tallystick_testkit::server::{agent, request, try_call_on};
use tallystick_testkit::{Reply, TestServer};

/// Makes a customer. One that was made twice would be told that it exists.
fn create_customer(agent: &ureq::Agent, url: &str, number: usize) -> Result<Reply, ureq::Error> {
    let request = request("POST", url, "/api/v1/customers").header("content-type", "application/json");
    let request = request.header("idempotency-key", format!("\"customer-{number}\""));
    try_call_on(agent, request, Some(format!(r#"{{"key":"s{number}","name":"N"}}"#).as_bytes()))
}

fn answers_survive(mut server: TestServer) {
    let first = create_customer(&agent(), server.url(), 1).unwrap();
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, None), "{}", first.body);
    server.kill_9();
    server.restart();
    let again = create_customer(&agent(), server.url(), 1).unwrap();
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")), "{}", again.body);
    assert_eq!(first.body, again.body);
}

#[test]
fn an_answer_survives_a_kill_on_both_stores() {
    answers_survive(server());
    let database = Postgres::start();
    answers_survive(options().arg("--state-url").arg(database.url()).start());
}

/// The keys of the newest customers.
fn newest(server: &TestServer) -> Vec<String> {
    let listed = server.get("/api/v1/customers?orderBy=createdAt&order=DESC").body;
    let rests = listed.split("\"key\":\"").skip(1);
    rests.map(|rest| rest.split('"').next().unwrap().to_string()).collect()
}

#[test]
fn what_is_sent_until_it_is_answered_is_done_once_whenever_the_server_dies() {
    let mut server = server();
    let mut next = 0;
    for round in 1..=8_u64 {
        let url = server.url().to_string();
        let sending = std::thread::spawn(move || {
            let agent = agent();
            let mut number = next;
            while let Ok(reply) = create_customer(&agent, &url, number) {
                assert_eq!(reply.status, 201, "{}", reply.body);
                number += 1;
            }
            number
        });
        // The moment need not be a certain one: whatever it is, the sum at the end must be right.
        std::thread::sleep(Duration::from_millis(23 * round));
        server.kill_9();
        let unanswered = sending.join().unwrap();
        server.restart();
        let again = create_customer(&agent(), server.url(), unanswered).unwrap();
        let is_lost = again.status == 409 && again.body.contains("its answer is lost");
        assert!(again.status == 201 || is_lost, "{} {}", again.status, again.body);
        let expected: Vec<_> = (0..=unanswered).rev().take(100).map(|number| format!("s{number}")).collect();
        assert_eq!(newest(&server), expected, "round {round}");
        next = unanswered + 1;
    }
}
