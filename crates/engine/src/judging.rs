//! Events pass the meters that judge on their way into the store.
//!
//! Invariant: an event that is stored bears what every meter of its type that judges made of it, by the meters that the state
//! store had when the event was accepted.

use crate::corrections::NewCorrection;
use crate::engine::Engine;
use crate::error::EngineError;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use tallystick_domain::event::{EventBatch, EventField, EventQuery, EventRef};
use tallystick_domain::meter::{Filter, Judging, LazyFacts, Metered, with_metered};
use tallystick_domain::{MeterId, Namespace};
use tallystick_event_store::Change;

/// The meters that judge, of the namespaces that were asked for. A change of a meter drops those of its namespace.
#[derive(Default)]
pub(crate) struct Judges(Mutex<Known>);

#[derive(Default)]
struct Known {
    benches: HashMap<Namespace, Arc<Bench>>,
    /// How often anything was dropped: what was read before is not kept after.
    drops: u64,
}

/// The meters of a namespace that judge, by the type of their events.
#[derive(Default)]
pub(crate) struct Bench(HashMap<String, Vec<(MeterId, Judging)>>);

impl Judges {
    /// Forgets those of a namespace, after a meter of it changed.
    pub fn forget(&self, namespace: &Namespace) {
        let mut known = self.lock();
        known.benches.remove(namespace);
        known.drops += 1;
    }

    fn known(&self, namespace: &Namespace) -> (Option<Arc<Bench>>, u64) {
        let known = self.lock();
        (known.benches.get(namespace).cloned(), known.drops)
    }

    fn keep(&self, namespace: &Namespace, bench: &Arc<Bench>, drops: u64) {
        let mut known = self.lock();
        if known.drops == drops {
            known.benches.insert(namespace.clone(), Arc::clone(bench));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // A panic while it is held leaves whole values behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Bench {
    /// Whether no meter judges.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The data of an event with what the meters made of it; `None` when none makes anything of it.
    pub fn judged(&self, event: EventRef<'_>) -> Option<String> {
        let meters = self.0.get(event.event_type())?.iter();
        let facts = LazyFacts::of(event);
        let metered = meters.filter_map(|(meter, judging)| Some((*meter, judging.judge(event, &facts)?)));
        let metered: Vec<(MeterId, Metered)> = metered.collect();
        (!metered.is_empty()).then(|| with_metered(event.data(), &metered))
    }

    /// A batch in whose events stands what the meters made of them.
    pub fn judge_batch(&self, batch: EventBatch) -> Result<EventBatch, EngineError> {
        if !batch.iter().any(|event| self.0.contains_key(event.event_type())) {
            return Ok(batch);
        }
        let judged = batch.with_data(|event| self.judged(event));
        judged.ok_or_else(|| EngineError::TooLarge("the batch is too large to be judged: send less at a time".into()))
    }
}

impl Engine {
    /// The meters of a namespace that judge.
    pub(crate) async fn bench(&self, namespace: &Namespace) -> Result<Arc<Bench>, EngineError> {
        let (known, drops) = self.judges().known(namespace);
        if let Some(bench) = known {
            return Ok(bench);
        }
        let mut bench = Bench::default();
        for meter in self.state().list_meters(namespace, false).await? {
            if let Some(judging) = meter.judging {
                bench.0.entry(meter.event_type).or_default().push((meter.id, judging));
            }
        }
        let bench = Arc::new(bench);
        self.judges().keep(namespace, &bench, drops);
        Ok(bench)
    }

    /// Corrections whose new data bear what the meters make of them.
    pub(crate) async fn judged_anew(
        &self,
        namespace: &Namespace,
        mut wanted: Vec<NewCorrection>,
    ) -> Result<Vec<NewCorrection>, EngineError> {
        let bench = self.bench(namespace).await?;
        let amends = |correction: &&NewCorrection| matches!(correction.change, Change::Amend { .. });
        let ids: BTreeSet<String> = wanted.iter().filter(amends).map(|correction| correction.id.clone()).collect();
        if bench.is_empty() || ids.is_empty() {
            return Ok(wanted);
        }
        let sources: BTreeSet<String> = wanted.iter().map(|correction| correction.source.clone()).collect();
        let query = EventQuery {
            namespace: namespace.clone(),
            limit: ids.len().saturating_mul(sources.len()),
            fields: vec![(EventField::Id, Filter::In(ids)), (EventField::Source, Filter::In(sources))],
            time: None,
            ingested_at: None,
            after: None,
        };
        let found = self.read_events(move |events| events.list_histories(&query, None)).await?;
        let found = found.into_iter().filter_map(|history| history.original).map(|stored| stored.event);
        let found: HashMap<_, _> =
            found.map(|event| ((event.source().to_owned(), event.id().to_owned()), event)).collect();
        for NewCorrection { source, id, change, .. } in &mut wanted {
            if let (Change::Amend { data }, Some(event)) = (change, found.get(&(source.clone(), id.clone()))) {
                let amended = event.with_data(data.as_deref());
                *data = bench.judged(amended.view()).or(data.take());
            }
        }
        Ok(wanted)
    }
}
