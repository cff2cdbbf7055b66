//! Corrections of accepted events: facts that are added, while what was accepted stays as it was.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{EngineError, Fault};
use tallystick_domain::json;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{METERED, names_metered};
use tallystick_event_store::{Change, CorrectError, Corrected, Correction};

/// The longest reason, in characters.
const MAX_REASON_CHARS: usize = 1024;

/// What is wanted of an accepted event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCorrection {
    /// Source of the event.
    pub source: String,
    /// Id of the event.
    pub id: String,
    /// What to do.
    pub change: Change,
    /// Why, for people: 1 to 1,024 characters.
    pub reason: String,
}

impl Engine {
    /// Records corrections of events of the caller's namespace, in order, with the caller as their actor. Returns when they
    /// are durable, with what became of each; from then on queries heed them. Refuses all of them when one is invalid. Each
    /// call looks through the ids of all events of the namespace once.
    pub async fn correct_events(
        &self,
        caller: &Caller,
        wanted: Vec<NewCorrection>,
    ) -> Result<Vec<Corrected>, EngineError> {
        caller.require(Scope::Admin)?;
        let limits = &self.config().limits;
        if wanted.len() > limits.batch_events {
            let (count, most) = (wanted.len(), limits.batch_events);
            let message = format!("there are {count} corrections, at most {most} are allowed (limits.batch_events)");
            return Err(EngineError::TooLarge(message));
        }
        let faults: Vec<_> = wanted.iter().enumerate().flat_map(|at| faults_of(at, limits.json_depth)).collect();
        if !faults.is_empty() {
            return Err(EngineError::Invalid(faults));
        }
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = self.judged_anew(caller.namespace(), wanted).await?;
        let (known_at, actor) = (self.now(), caller.actor().to_owned());
        let correction = |NewCorrection { source, id, change, reason }| {
            let actor = actor.clone();
            Correction { source, id, change, reason, actor, known_at }
        };
        let corrections = wanted.into_iter().map(correction).collect();
        let (engine, namespace) = (self.clone(), caller.namespace().clone());
        let recording = tokio::task::spawn_blocking(move || engine.events().correct(&namespace, corrections));
        let recorded =
            recording.await.map_err(|error| EngineError::Internal(format!("a correction failed: {error}")))?;
        recorded.map_err(|error| match error {
            CorrectError::Append(error) => error.into(),
            CorrectError::Store(error) => EngineError::Internal(error.to_string()),
        })
    }
}

fn faults_of((index, wanted): (usize, &NewCorrection), max_depth: usize) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut note = |field: &str, message: String| faults.push(Fault::new(format!("$[{index}].{field}"), message));
    for (field, text) in [("source", &wanted.source), ("id", &wanted.id)] {
        if text.is_empty() {
            note(field, format!("{field} must not be empty: it names the event"));
        }
    }
    let reason = wanted.reason.chars().count();
    if wanted.reason.trim().is_empty() || reason > MAX_REASON_CHARS {
        note("reason", format!("reason must say why, in 1 to {MAX_REASON_CHARS} characters"));
    }
    if let Change::Amend { data: Some(data) } = &wanted.change {
        if !data.starts_with('{') {
            note("data", "data must be a JSON object, or null for no data".to_owned());
        } else if let Err(error) = json::check(data, max_depth) {
            note("data", format!("data: {error}"));
        } else if names_metered(data) {
            note("data", format!("data must not have the member {METERED:?}, which is reserved"));
        }
    }
    faults
}
