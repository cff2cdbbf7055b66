//! Does what is asked, in the process that has the stores open.

use super::results::{RetentionResult, StatsResult, VerifyResult};
use super::wire::{ExportedEvent, Line, Request};
use crate::backup;
use serde::Serialize;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tallystick_engine::{Engine, Progress, Unit, monotonic};
use tokio::runtime::Handle;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// Events between two looks at the clock.
const LOOK_EVERY: u64 = 1024;

/// Takes a line; `false` if nobody wants more.
pub type Take<'a> = &'a mut (dyn FnMut(&Line<'_>) -> bool + Send);

/// Tells how far the work is, not too often, and ends it when nobody listens any more.
pub struct Reporter<'a> {
    take: Mutex<(Take<'a>, Option<Instant>)>,
    is_leaving: &'a (dyn Fn() -> bool + Sync),
}

impl<'a> Reporter<'a> {
    /// Tells `take`; `is_leaving` ends the work as well.
    pub fn new(take: Take<'a>, is_leaving: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { take: Mutex::new((take, None)), is_leaving }
    }

    /// Tells how far it is, if it is time to or the end.
    pub fn progress(&self, progress: Progress) -> ControlFlow<()> {
        let mut held = self.lock();
        let is_due = held.1.is_none_or(|last| last.elapsed() >= TELL_EVERY) || progress.done == progress.total;
        if is_due {
            held.1 = Some(monotonic());
            return self.go_on((held.0)(&Line::Progress(progress.into())));
        }
        self.go_on(true)
    }

    fn event(&self, event: ExportedEvent<'_>) -> ControlFlow<()> {
        let wants_more = (self.lock().0)(&Line::Event(event));
        self.go_on(wants_more)
    }

    fn go_on(&self, wants_more: bool) -> ControlFlow<()> {
        if wants_more && !(self.is_leaving)() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn lock(&self) -> MutexGuard<'_, (Take<'a>, Option<Instant>)> {
        self.take.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does it, and gives the result. Blocks.
pub fn perform(
    engine: &Engine,
    runtime: &Handle,
    request: &Request,
    reporter: &Reporter<'_>,
) -> Result<serde_json::Value, String> {
    let watch = |progress| reporter.progress(progress);
    match request {
        Request::Verify => {
            let checked = engine.verify(runtime, &watch).map_err(|error| error.to_string())?;
            as_value(&VerifyResult::of(checked, "the state store"))
        }
        Request::Backup { dir } => as_value(&backup::take(engine, runtime, dir, &watch)?),
        Request::Stats => {
            let content = engine.content().map_err(|error| error.to_string())?;
            as_value(&StatsResult::of(&engine.stats().store, content, &engine.sizes(), engine.state_backend()))
        }
        Request::Export => export(engine, reporter),
        Request::Retention { apply } => as_value(&retention(engine, runtime, *apply)?),
    }
}

fn retention(engine: &Engine, runtime: &Handle, apply: bool) -> Result<RetentionResult, String> {
    let reviewed = runtime.block_on(engine.review_retention()).map_err(|error| error.to_string())?;
    if apply {
        runtime.block_on(engine.apply_retention()).map_err(|error| error.to_string())?;
    }
    Ok(RetentionResult::of(&reviewed, apply))
}

fn export(engine: &Engine, reporter: &Reporter<'_>) -> Result<serde_json::Value, String> {
    let total = engine.stats().store.events;
    let mut done = 0u64;
    let exported = engine.export(&mut |namespace, stored| {
        done += 1;
        // More may have come since the total was read.
        let progress = Progress { phase: "exporting", unit: Unit::Events, done: done.min(total), total };
        let told =
            if done.is_multiple_of(LOOK_EVERY) { reporter.progress(progress) } else { ControlFlow::Continue(()) };
        told.is_continue() && reporter.event(ExportedEvent::of(namespace, stored)).is_continue()
    });
    exported.map_err(|error| error.to_string())?;
    Ok(serde_json::json!({ "events": done }))
}

fn as_value(result: &impl Serialize) -> Result<serde_json::Value, String> {
    serde_json::to_value(result).map_err(|error| error.to_string())
}
