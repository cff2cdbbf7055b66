//! Random histories of the event store on a disk that fails, compared with a model.
//!
//! Invariant: a seed is the whole history: what is sent, which steps the store's threads take, what the disk does and what
//! survives. So a failure is repeated by its seed alone.

mod audit;
mod boundaries;
mod facts;
mod flips;
mod generate;
mod history;
mod model;
mod soak;
mod world;

pub use boundaries::every_change;
pub use flips::{Flipped, flips};
pub use history::{Outcome, history, history_on_a_lying_disk};
pub use soak::{Failure, Soaked, run_seed, soak};
