//! Acknowledged means stored: the server is killed without warning under load, again and again.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::hash::{BuildHasher, Hasher, RandomState};
use tallystick_testkit::kill::kill_rounds;

const ROUNDS: u64 = 50;

#[test]
fn what_was_acknowledged_survives_kill_9_exactly_once() {
    let fresh = || RandomState::new().build_hasher().finish();
    let seed = option_env!("TALLYSTICK_CRASH_SEED").map_or_else(fresh, |text| text.parse().unwrap());
    // Shown by the test harness when the test fails; TALLYSTICK_CRASH_SEED at build time repeats its choices.
    println!("seed {seed}");
    let killed = kill_rounds(common::options(), ROUNDS, seed);
    println!("{killed:?}");
    assert!(killed.acknowledged > 1000, "too little load to prove anything");
    assert!(killed.interrupted > ROUNDS as usize / 2, "too few kills met a request");
}
