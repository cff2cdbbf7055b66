//! Writes that are sent again to the real binary, also after it was killed.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{options, server};
use std::time::Duration;
use tallystick_testkit::postgres::Postgres;
use tallystick_testkit::server::{agent, request, try_call_on};
use tallystick_testkit::{Reply, TestServer};

fn create_customer(agent: &ureq::Agent, url: &str, number: usize) -> Result<Reply, ureq::Error> {
    let request = request("POST", url, "/api/v1/customers").header("content-type", "application/json");
    let request = request.header("idempotency-key", format!("\"customer-{number}\""));
    // Without a key of its own, so that nothing but the idempotency key tells a second customer from the first.
    try_call_on(agent, request, Some(format!(r#"{{"name":"customer {number}"}}"#).as_bytes()))
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

#[test]
fn what_is_sent_until_it_is_answered_is_done_once_whenever_the_server_dies() {
    let mut server = server();
    let mut next = 0;
    for round in 1..=6_u64 {
        let url = server.url().to_string();
        let sending = std::thread::spawn(move || {
            let agent = agent();
            let mut number = next;
            while let Ok(reply) = create_customer(&agent, &url, number) {
                assert!([201, 409].contains(&reply.status), "{}", reply.body);
                number += 1;
            }
            number
        });
        // The moment need not be a certain one: whatever it is, the sum at the end must be right.
        std::thread::sleep(Duration::from_millis(37 * round));
        server.kill_9();
        // The number whose answer is not known, with which the next round begins.
        next = sending.join().unwrap();
        server.restart();
    }
    let last = create_customer(&agent(), server.url(), next).unwrap();
    assert!([201, 409].contains(&last.status), "{}", last.body);
    let mut names = Vec::new();
    for page in 1.. {
        let listed = server.get(&format!("/api/v1/customers?page={page}&pageSize=100")).body;
        let found: Vec<_> =
            listed.split("\"name\":\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_string()).collect();
        if found.is_empty() {
            break;
        }
        names.extend(found);
    }
    names.sort();
    let mut expected: Vec<_> = (0..=next).map(|number| format!("customer {number}")).collect();
    expected.sort();
    assert_eq!(names, expected);
}
