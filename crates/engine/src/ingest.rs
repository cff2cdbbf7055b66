//! Taking events in: checked whole, stored whole or not at all.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{EngineError, InvalidEvent};
use crate::judging::Bench;
use std::sync::atomic::Ordering;
use tallystick_domain::Instant;
use tallystick_domain::event::{Event, EventFault, EventParts, NewEvents, StoredEvent};
use tallystick_domain::key::Scope;
use tallystick_event_store::Appended;

/// An event as a dialect read it.
#[derive(Clone, Debug, Default)]
pub struct NewEvent {
    /// Identity within the source; empty when the sender left it out.
    pub id: String,
    /// Where the event comes from; empty when left out.
    pub source: String,
    /// What kind of usage it is; empty when left out.
    pub event_type: String,
    /// Whom it is about; empty when left out.
    pub subject: String,
    /// When it happened; now when left out.
    pub time: Option<Instant>,
    /// The JSON object with its values.
    pub data: Option<String>,
    /// Further attributes as a JSON object.
    pub extras: Option<String>,
    /// Whether it is stored and shown, and no meter that judges counts it.
    pub kept_only: bool,
    /// What the dialect found wrong with it.
    pub faults: Vec<EventFault>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestReport {
    /// Events that are new.
    pub stored: u64,
    /// Events that were there already, or came twice in the batch.
    pub duplicates: u64,
}

impl Engine {
    /// Stores a batch. Returns when every event of it is durable; refuses all of it when one is invalid. Events are
    /// accepted at whole milliseconds.
    pub async fn ingest(&self, caller: &Caller, events: Vec<NewEvent>) -> Result<IngestReport, EngineError> {
        self.check_batch(caller, events.len())?;
        let (now, depth) = (self.clock().now().floor_millisecond(), self.config().limits.json_depth);
        let bench = self.bench(caller.namespace()).await?;
        // A large batch is checked where it does not keep other requests waiting.
        let checked = match events.len() {
            0..INLINE_EVENTS => check_all(events, now, depth, &bench),
            _ => tokio::task::spawn_blocking(move || check_all(events, now, depth, &bench))
                .await
                .map_err(|error| EngineError::Internal(format!("checking a batch failed: {error}")))?,
        };
        let stored = checked.map_err(|invalid| self.refused(invalid))?;
        let appended = self.events().append(caller.namespace(), stored).await?;
        Ok(self.count(appended))
    }

    /// Refuses an event that [`Engine::ingest`] would refuse, and stores nothing.
    pub(crate) fn check_event(&self, event: &NewEvent) -> Result<(), EngineError> {
        let (now, depth) = (self.clock().now().floor_millisecond(), self.config().limits.json_depth);
        let checked = check_all(vec![event.clone()], now, depth, &Bench::default());
        checked.map(drop).map_err(|invalid| self.refused(invalid))
    }

    fn refused(&self, invalid: Invalid) -> EngineError {
        self.counters().invalid.fetch_add(invalid.events, Ordering::Relaxed);
        EngineError::InvalidEvents(invalid.faults)
    }

    /// As [`Engine::ingest`], for events that are valid already.
    pub async fn ingest_plain(&self, caller: &Caller, events: NewEvents) -> Result<IngestReport, EngineError> {
        self.check_batch(caller, events.len())?;
        let now = self.clock().now().floor_millisecond();
        let bench = self.bench(caller.namespace()).await?;
        let batch = events.accepted_at(now);
        let batch = match bench.is_empty() || batch.len() < INLINE_EVENTS {
            true => bench.judge_batch(batch)?,
            false => tokio::task::spawn_blocking(move || bench.judge_batch(batch))
                .await
                .map_err(|error| EngineError::Internal(format!("judging a batch failed: {error}")))??,
        };
        let appended = self.events().append_batch(caller.namespace(), batch, now).await?;
        Ok(self.count(appended))
    }

    fn check_batch(&self, caller: &Caller, events: usize) -> Result<(), EngineError> {
        caller.require(Scope::Ingest)?;
        let most = self.config().limits.batch_events;
        if events > most {
            return Err(EngineError::TooLarge(format!(
                "the batch has {events} events, at most {most} are allowed (limits.batch_events)"
            )));
        }
        Ok(())
    }

    fn count(&self, Appended { stored, duplicates }: Appended) -> IngestReport {
        self.counters().accepted.fetch_add(stored, Ordering::Relaxed);
        self.counters().duplicates.fetch_add(duplicates, Ordering::Relaxed);
        IngestReport { stored, duplicates }
    }
}

/// Checks events as [`Engine::ingest`] does and stores nothing: how many would be stored, or how many are invalid.
pub fn check_events(events: Vec<NewEvent>, max_depth: usize) -> Result<u64, u64> {
    let checked = check_all(events, Instant::MIN, max_depth, &Bench::default());
    checked.map(|events| events.len() as u64).map_err(|invalid| invalid.events)
}

/// Batches from this size on are checked on a thread that may block.
const INLINE_EVENTS: usize = 256;

/// What is wrong with a batch.
struct Invalid {
    events: u64,
    faults: Vec<InvalidEvent>,
}

fn check_all(
    events: Vec<NewEvent>,
    now: Instant,
    max_depth: usize,
    bench: &Bench,
) -> Result<Vec<StoredEvent>, Invalid> {
    let mut stored = Vec::with_capacity(events.len());
    let mut invalid = Invalid { events: 0, faults: Vec::new() };
    for (index, event) in events.into_iter().enumerate() {
        let kept_only = event.kept_only;
        match checked(event, now, max_depth) {
            Ok(event) => {
                let judged = if kept_only { None } else { bench.judged(event.view()) };
                let event = if judged.is_some() { event.with_data(judged.as_deref()) } else { event };
                stored.push(StoredEvent { event, ingested_at: now });
            }
            Err(faults) => {
                invalid.events += 1;
                invalid.faults.extend(faults.into_iter().map(|fault| InvalidEvent { index, fault }));
            }
        }
    }
    if invalid.faults.is_empty() { Ok(stored) } else { Err(invalid) }
}

fn checked(event: NewEvent, now: Instant, max_depth: usize) -> Result<Event, Vec<EventFault>> {
    let mut faults = event.faults;
    let parts = EventParts {
        id: event.id,
        source: event.source,
        event_type: event.event_type,
        subject: event.subject,
        time: event.time.unwrap_or(now),
        data: event.data,
        extras: event.extras,
    };
    match Event::new(parts, max_depth) {
        Ok(event) if faults.is_empty() => Ok(event),
        Ok(_) => Err(faults),
        Err(more) => {
            // The dialect may have named the same field in its own words already.
            let more = more.into_iter().filter(|fault| faults.iter().all(|known| known.field != fault.field));
            let more: Vec<_> = more.collect();
            faults.extend(more);
            Err(faults)
        }
    }
}
