//! A fixed set of seeds, and that the simulation would notice.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::catch_unwind;
use std::time::Duration;
use tallystick_event_store::faulty::Harm;
use tallystick_simulator::{Flipped, every_change, flips, history, history_on_a_lying_disk, run_seed, soak};

#[test]
fn a_fixed_set_of_seeds_loses_nothing_and_counts_nothing_twice() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let soaked = soak(0, 240, Duration::from_secs(600), threads).unwrap_or_else(|failure| panic!("{failure}"));
    println!("{soaked}");
    assert_eq!(soaked.seeds, 240);
    // The histories are worth something only if faults strike and events are stored all the same.
    assert!(soaked.stored > 20_000 && soaked.starts > 1500 && soaked.cuts > 1500, "{soaked}");
    assert!(soaked.facts > 200, "{soaked}");
    assert!(soaked.full > 50 && soaked.stopped > 100, "{soaked}");
}

#[test]
fn the_same_seed_gives_the_same_history_byte_for_byte() {
    for seed in 0..12 {
        let (first, again) = (history(seed), history(seed));
        assert!(first.log.lines().count() > 100, "{}", first.log);
        assert_eq!(first, again, "seed {seed}");
        assert_ne!(first.log, history(seed + 1000).log);
    }
}

#[test]
fn short_histories_are_cut_at_every_change() {
    for harm in [Harm::PowerCut, Harm::Kill] {
        let changes: u64 = (1..6).map(|seed| every_change(seed, harm)).sum();
        assert!(changes > 150, "{changes} changes");
    }
}

#[test]
fn a_disk_that_lies_about_its_syncs_is_found_out() {
    let noticed = (0..40).filter(|seed| catch_unwind(|| history_on_a_lying_disk(*seed)).is_err()).count();
    assert!(noticed > 20, "{noticed} of 40");
}

#[test]
fn a_failure_names_its_seed_and_how_to_repeat_it() {
    let failure = tallystick_simulator::Failure { seed: 77, what: "lost".into() };
    let text = failure.to_string();
    assert!(text.contains("seed 77") && text.contains("cargo run -p tallystick-simulator -- --seed 77"), "{text}");
    assert_eq!(run_seed(3).unwrap().seeds, 1);
}

#[test]
fn a_flipped_bit_is_named_or_unneeded_and_the_rest_is_served() {
    let mut sum = Flipped::default();
    for seed in 0..24 {
        let flipped = flips(seed, 40);
        sum.refused += flipped.refused;
        sum.in_part += flipped.in_part;
        sum.unanswered += flipped.unanswered;
        sum.unnoticed += flipped.unnoticed;
    }
    println!("{sum:?}");
    assert_eq!(sum.refused + sum.in_part + sum.unanswered + sum.unnoticed, 24 * 40);
    assert!(sum.refused > 40 && sum.in_part > 10, "{sum:?}");
}
