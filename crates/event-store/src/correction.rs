//! Corrections of stored events and what became of them, expiry, and the count of what was accepted.

use crate::{AppendError, StoreError};
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::event::StoredEvent;

/// What a correction does to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The event does not count any more. Nothing undoes it.
    Retract,
    /// The event has other data; everything else about it stays. The newest one wins.
    Amend {
        /// A valid JSON object, or `None` for no data.
        data: Option<String>,
    },
}

/// A correction of one stored event of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correction {
    /// Source of the event.
    pub source: String,
    /// Id of the event.
    pub id: String,
    /// What to do.
    pub change: Change,
    /// Why, for people.
    pub reason: String,
    /// Who asked for it.
    pub actor: String,
    /// When it became known.
    pub known_at: Instant,
}

/// What became of a correction. All but the first changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrected {
    /// It is durable, and queries heed it.
    Recorded,
    /// The event was retracted before, or has this data.
    AlreadySo,
    /// No event of the namespace has this source and id.
    NoSuchEvent,
    /// The event was retracted, so it cannot be amended.
    Retracted,
    /// The event is older than what is kept of its type.
    Expired,
}

/// Why corrections were not taken. None of them was recorded, except after [`AppendError::Stopped`], as for events.
#[derive(Debug, thiserror::Error)]
pub enum CorrectError {
    /// The log did not take them.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The events could not be looked up.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A correction that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCorrection {
    /// What it did.
    pub change: Change,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub actor: String,
    /// When it became known.
    pub known_at: Instant,
}

/// An event from its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventHistory {
    /// The event as it was accepted; `None` when it expired and only its corrections are left.
    pub original: Option<StoredEvent>,
    /// Its corrections, in the order in which they were recorded.
    pub corrections: Vec<RecordedCorrection>,
}

/// What an expiry would take away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expirable {
    /// Events before the cut-off that are visible now, retracted ones too.
    pub events: u64,
    /// About how many bytes of segments they take: whole blocks count whole, others by their share of rows. Events in
    /// memory take none.
    pub bytes: u64,
    /// Time of the earliest of them.
    pub oldest: Option<Instant>,
    /// Time of the latest of them.
    pub newest: Option<Instant>,
}

/// Events of one namespace that were accepted in one hour, of one type and source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HourTally {
    /// The beginning of the hour.
    pub hour: Instant,
    /// Type of the events.
    pub event_type: String,
    /// Source of the events.
    pub source: String,
    /// Accepted for the first time, by the ledger.
    pub new: u64,
    /// Sent again, by the ledger.
    pub duplicates: u64,
    /// The stored events as they were counted, by what was said of them; `retracted` and `expired` come from the store.
    pub found: BTreeMap<&'static str, u64>,
}

impl HourTally {
    /// Whether each accepted event is there, once.
    pub fn balances(&self) -> bool {
        self.new == self.found.values().sum::<u64>()
    }
}
