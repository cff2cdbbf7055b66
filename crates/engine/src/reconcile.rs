//! Whether every accepted event is accounted for.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::event::StoredEvent;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::Meter;
use tallystick_event_store::HourTally;

const HOUR_US: i64 = 3_600_000_000;
/// The most hours of one report: every event of them is read.
const MOST_HOURS: i64 = 31 * 24;

/// At least one meter counts the event.
const COUNTED: &str = "counted";
/// There is no meter of the event's type.
const UNMATCHED: &str = "unmatched";
/// Every meter of its type that could count it starts later.
const BEFORE_EVENT_FROM: &str = "before_event_from";

/// What became of the events that were accepted in one hour, of one type and source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconciledHour {
    /// The beginning of the hour of acceptance.
    pub hour: Instant,
    /// Type of the events.
    pub event_type: String,
    /// Source of the events; `""` for sources that are counted together, as there were too many.
    pub source: String,
    /// Events that were accepted, those too that had been sent before.
    pub accepted: u64,
    /// Events that at least one meter counts.
    pub counted: u64,
    /// Events that had been sent before.
    pub duplicate: u64,
    /// Events of whose type there is no meter.
    pub unmatched: u64,
    /// Events that no meter of their type counts, by the reason.
    pub invalid: BTreeMap<&'static str, u64>,
}

impl ReconciledHour {
    /// Whether every accepted event is accounted for, once.
    pub fn balances(&self) -> bool {
        self.accepted == self.counted + self.duplicate + self.unmatched + self.invalid.values().sum::<u64>()
    }

    fn of(mut tally: HourTally) -> Self {
        Self {
            hour: tally.hour,
            accepted: tally.new + tally.duplicates,
            counted: tally.found.remove(COUNTED).unwrap_or(0),
            duplicate: tally.duplicates,
            unmatched: tally.found.remove(UNMATCHED).unwrap_or(0),
            invalid: tally.found,
            event_type: tally.event_type,
            source: tally.source,
        }
    }
}

impl Engine {
    /// What became of the events that were accepted from the hour of `from` up to `to`, in the order of hour, type and
    /// source. What was accepted comes from the ledger, the rest from the stored events one by one.
    pub async fn reconcile(
        &self,
        caller: &Caller,
        from: Instant,
        to: Instant,
    ) -> Result<Vec<ReconciledHour>, EngineError> {
        caller.require(Scope::Read)?;
        if to.as_micros() - from.as_micros() > MOST_HOURS * HOUR_US {
            let message = format!("a report covers at most {} days", MOST_HOURS / 24);
            return Err(EngineError::invalid("to", message));
        }
        let namespace = caller.namespace().clone();
        let meters = self.state().list_meters(&namespace, false).await?;
        let tallies = self
            .read_events(
                move |events| Ok(events.reconcile(&namespace, from, to, &|stored| judgement(stored, &meters))?),
            )
            .await?;
        Ok(tallies.into_iter().map(ReconciledHour::of).collect())
    }
}

/// What an event counts as: by the first meter that counts it, or the first reason why none does.
fn judgement(stored: &StoredEvent, meters: &[Meter]) -> &'static str {
    let mut reason = UNMATCHED;
    for meter in meters.iter().filter(|meter| meter.event_type == stored.event.event_type()) {
        let refused = match meter.judge(stored) {
            _ if meter.event_from.is_some_and(|from| stored.event.time() < from) => BEFORE_EVENT_FROM,
            Ok(()) => return COUNTED,
            Err(why) => why.code(),
        };
        if reason == UNMATCHED {
            reason = refused;
        }
    }
    reason
}
