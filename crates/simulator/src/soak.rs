//! Many seeds, and what to say when one fails.

use crate::{every_change, flips, history};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tallystick_event_store::faulty::Harm;

/// A seed whose history is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What was wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, what } = self;
        write!(f, "seed {seed} failed: {what}\nrepeat it: cargo run -p tallystick-simulator -- --seed {seed}")
    }
}

/// What was run, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Soaked {
    /// Seeds.
    pub seeds: u64,
    /// Events that were acknowledged as new.
    pub stored: u64,
    /// Batches that were refused as the disk was full.
    pub full: u64,
    /// Batches that were refused as the store had stopped.
    pub stopped: u64,
    /// How often a store was opened in long histories.
    pub starts: u64,
    /// Corrections and cut-offs that were acknowledged as new, in long histories.
    pub facts: u64,
    /// Changes at which a short history was cut.
    pub cuts: u64,
    /// Bits that were turned over.
    pub flips: u64,
}

impl Soaked {
    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.stored += other.stored;
        self.full += other.full;
        self.stopped += other.stopped;
        self.starts += other.starts;
        self.facts += other.facts;
        self.cuts += other.cuts;
        self.flips += other.flips;
    }
}

impl fmt::Display for Soaked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seeds, stored, full, stopped, starts, facts, cuts, flips } = self;
        write!(
            f,
            "{seeds} seeds: {stored} events stored, {facts} facts recorded, {full} batches met a full disk, {stopped} a stopped store, {starts} starts, \
             {cuts} histories cut, {flips} bits flipped"
        )
    }
}

/// Runs what a seed stands for: a long history, and for some seeds a short one that is cut at every change, or flipped
/// bits.
///
/// # Errors
/// The seed and what was not as it must be.
pub fn run_seed(seed: u64) -> Result<Soaked, Failure> {
    let run = || {
        let outcome = history(seed);
        let mut soaked = Soaked {
            seeds: 1,
            stored: outcome.stored,
            full: outcome.full,
            stopped: outcome.stopped,
            starts: outcome.starts,
            facts: outcome.facts,
            ..Soaked::default()
        };
        match seed % 8 {
            0 => soaked.cuts += every_change(seed, Harm::PowerCut),
            2 => soaked.cuts += every_change(seed, Harm::Kill),
            4 => {
                flips(seed, 24);
                soaked.flips += 24;
            }
            _ => {}
        }
        soaked
    };
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| Failure { seed, what: text_of(panic.as_ref()) })
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

/// Runs seed after seed, on this many threads, until the time is over or the last seed is done.
///
/// # Errors
/// The first seed that failed.
pub fn soak(first: u64, seeds: u64, time: Duration, threads: usize) -> Result<Soaked, Failure> {
    let (next, failed) = (AtomicU64::new(first), AtomicBool::new(false));
    let result = Mutex::new(Ok(Soaked::default()));
    let deadline = Instant::now() + time;
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !failed.load(Ordering::Relaxed) && Instant::now() < deadline {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed - first >= seeds {
                        return;
                    }
                    let ran = run_seed(seed);
                    let mut result = result.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    match (ran, result.as_mut()) {
                        (Ok(soaked), Ok(sum)) => sum.add(soaked),
                        (Err(failure), Ok(_)) => {
                            failed.store(true, Ordering::Relaxed);
                            *result = Err(failure);
                        }
                        (_, Err(_)) => return,
                    }
                }
            });
        }
    });
    result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}
