//! The only home of the clock and of randomness. Everything else is handed what it needs.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tallystick_domain::Instant;

/// Where "now" comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that a test sets: microseconds since 1970.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// The current instant. A machine clock outside of the stored years is held at their edge.
    #[allow(clippy::disallowed_methods, reason = "this is the clock's home")]
    pub fn now(&self) -> Instant {
        let micros = match self {
            Clock::System => jiff::Timestamp::now().as_microsecond(),
            Clock::Fixed(micros) => micros.load(Ordering::SeqCst),
        };
        let micros = micros.clamp(Instant::MIN.as_micros(), Instant::MAX.as_micros());
        Instant::MIN.saturating_add_micros(micros - Instant::MIN.as_micros())
    }
}

/// A moment for measuring durations; it never jumps.
pub fn monotonic() -> std::time::Instant {
    std::time::Instant::now()
}

/// `N` bytes from the operating system's generator.
#[allow(clippy::disallowed_methods, reason = "this is the home of randomness")]
pub(crate) fn random_bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
