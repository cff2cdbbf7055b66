//! Checks: may this customer do this now? Answered from memory while nothing changed.
//!
//! Of each customer that was asked for, the entitlements are kept until one of them or the customer changes. Of a metered
//! one the stretch of time is kept in which grants stay as they are; what was used in it is read from live counters.

use crate::balance::{Access, Measured, MeteredAccess, Owners, this_minute};
use crate::caller::Caller;
use crate::engine::Engine;
use crate::entitlements::find;
use crate::error::EngineError;
use crate::holdings::{Holding, Holdings};
use crate::reservations::Held;
use crate::usage::FeatureMeasure;
use hashbrown::DefaultHashBuilder;
use quick_cache::Equivalent;
use quick_cache::sync::Cache;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallystick_domain::customer::Customer;
use tallystick_domain::entitlement::{Kind, Standing, State, Stretch};
use tallystick_domain::time::Period;
use tallystick_domain::{CustomerId, EntitlementId, FeatureId, Instant, Namespace, Quantity, QuantityError};
use tallystick_event_store::{Counted, EventStore, LiveKey, QueryError};

/// Changes of customers are counted in so many parts.
const STRIPES: usize = 256;

/// All that is kept for checks.
pub(crate) struct Checks {
    kept: Cache<Name, Arc<Kept>>,
    hasher: DefaultHashBuilder,
    /// How often a customer changed. What was read before a change must not be kept after it.
    changes: Vec<Mutex<u64>>,
    measures: Mutex<Measures>,
    pub held: Held,
    /// Checks of entitlements that were answered from memory, and those that were computed.
    remembered: AtomicU64,
    computed: AtomicU64,
}

/// How features are measured.
#[derive(Default)]
struct Measures {
    known: HashMap<(Namespace, FeatureId), Arc<FeatureMeasure>>,
    /// How often a meter changed.
    changes: u64,
}

/// A customer's name in requests: its id or key.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Name {
    namespace: Namespace,
    text: Box<str>,
}

/// The same, borrowed. It hashes as a [`Name`] does.
struct NameRef<'a> {
    namespace: &'a Namespace,
    text: &'a str,
}

impl Hash for NameRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.namespace.hash(state);
        self.text.hash(state);
    }
}

impl Equivalent<Name> for NameRef<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        *self.text == *name.text && *self.namespace == name.namespace
    }
}

/// What a customer has that is in force, or will be.
struct Kept {
    checks: Box<[Check]>,
}

struct Check {
    entitlement: EntitlementId,
    feature: FeatureId,
    feature_key: Box<str>,
    active: Period,
    answer: Answer,
}

enum Answer {
    Boolean,
    Static(Arc<str>),
    Metered { is_soft_limit: bool, memory: Mutex<Option<Box<Memory>>> },
}

/// How a metered entitlement stood when it was last asked for.
struct Memory {
    stretch: Stretch,
    adds_up: bool,
    watched: Box<[Watched]>,
    /// Events that were published to the counters of all subjects.
    seen: u64,
    /// The minute that the standing is of.
    at: Instant,
    standing: Arc<Standing>,
}

/// Counters, and how many events were published to all of them.
type Watching = (Box<[Watched]>, u64);

/// A state of the past, and the counters that tell whether the past is as it was then.
struct Snapshot {
    state: State,
    watched: Box<[Watched]>,
}

/// A live counter as it was.
#[derive(Clone)]
struct Watched {
    key: LiveKey,
    start: u64,
    earlier: u64,
}

impl Checks {
    /// Keeps nothing yet; room for this many customers.
    pub fn new(customers: usize) -> Self {
        Self {
            // Each is kept by its id and by its key.
            kept: Cache::new(customers.saturating_mul(2)),
            hasher: DefaultHashBuilder::default(),
            changes: (0..STRIPES).map(|_| Mutex::new(0)).collect(),
            measures: Mutex::default(),
            held: Held::default(),
            remembered: AtomicU64::new(0),
            computed: AtomicU64::new(0),
        }
    }

    /// Checks that were answered from memory since the start, and those that were computed.
    pub fn counts(&self) -> (u64, u64) {
        (self.remembered.load(Ordering::Relaxed), self.computed.load(Ordering::Relaxed))
    }

    /// How many names of customers lead to what is kept.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Forgets a customer whose entitlements changed, or who did.
    pub fn forget(&self, ns: &Namespace, customer: &Customer) {
        let mut changes = self.changes_of(customer.id);
        *changes += 1;
        for text in names_of(customer) {
            self.kept.remove(&NameRef { namespace: ns, text: &text });
        }
    }

    /// Forgets all customers of a namespace and how its features are measured: a meter changed.
    pub fn forget_all(&self, ns: &Namespace) {
        let mut measures = lock(&self.measures);
        measures.changes += 1;
        measures.known.retain(|(namespace, _), _| namespace != ns);
        self.changes.iter().for_each(|changes| *lock(changes) += 1);
        self.kept.retain(|name, _| name.namespace != *ns);
    }

    /// How a feature is measured; if that is not known, how often a meter changed until now.
    pub fn measure(&self, ns: &Namespace, feature: FeatureId) -> Result<Arc<FeatureMeasure>, u64> {
        let measures = lock(&self.measures);
        measures.known.get(&(ns.clone(), feature)).cloned().ok_or(measures.changes)
    }

    /// Keeps how a feature is measured, unless a meter changed since.
    pub fn keep_measure(&self, ns: &Namespace, feature: FeatureId, since: u64, measure: &Arc<FeatureMeasure>) {
        let mut measures = lock(&self.measures);
        if measures.changes == since {
            measures.known.insert((ns.clone(), feature), Arc::clone(measure));
        }
    }

    /// The id of a metered entitlement that is in force, if it is known.
    pub fn metered_id(
        &self,
        ns: &Namespace,
        customer: &str,
        id_or_feature: &str,
        now: Instant,
    ) -> Option<EntitlementId> {
        let kept = self.get(ns, customer)?;
        let check = kept.find(id_or_feature, now)?;
        let is_it = check.active.contains(now) && matches!(check.answer, Answer::Metered { .. });
        is_it.then_some(check.entitlement)
    }

    fn changes_of(&self, customer: CustomerId) -> MutexGuard<'_, u64> {
        let stripe = self.hasher.hash_one(customer) as usize % STRIPES;
        lock(&self.changes[stripe])
    }

    fn get(&self, ns: &Namespace, customer: &str) -> Option<Arc<Kept>> {
        self.kept.get(&NameRef { namespace: ns, text: customer })
    }

    /// Keeps what was read, unless the customer changed since; gives back what is kept. That remembers how entitlements
    /// stood, so it stays when the same was read again.
    fn keep(&self, ns: &Namespace, customer: &Customer, since: u64, read: Kept) -> Arc<Kept> {
        let changes = self.changes_of(customer.id);
        if *changes != since {
            return Arc::new(read);
        }
        let known = names_of(customer).find_map(|text| self.get(ns, &text));
        let kept = known.unwrap_or_else(|| Arc::new(read));
        for text in names_of(customer) {
            self.kept.insert(Name { namespace: ns.clone(), text }, Arc::clone(&kept));
        }
        kept
    }
}

fn names_of(customer: &Customer) -> impl Iterator<Item = Box<str>> {
    let id: Box<str> = customer.id.to_string().into();
    [Some(id), customer.key.as_deref().map(Into::into)].into_iter().flatten()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    fn of(holdings: &[Holding], now: Instant) -> Self {
        let to_come = holdings.iter().filter(|holding| now < holding.entitlement.active().to);
        Self { checks: to_come.map(Check::of).collect() }
    }

    fn find(&self, id_or_feature: &str, now: Instant) -> Option<&Check> {
        let by_key = |check: &&Check| *check.feature_key == *id_or_feature && check.active.contains(now);
        self.checks.iter().find(by_key).or_else(|| {
            let by_id = EntitlementId::parse(id_or_feature);
            let by_feature = FeatureId::parse(id_or_feature)?;
            let is_it = |check: &&Check| {
                Some(check.entitlement) == by_id || check.feature == by_feature && check.active.contains(now)
            };
            self.checks.iter().find(is_it)
        })
    }
}

impl Check {
    fn of(holding: &Holding) -> Self {
        let entitlement = &holding.entitlement;
        let answer = match &entitlement.kind {
            Kind::Boolean => Answer::Boolean,
            Kind::Static { config } => Answer::Static(config.as_str().into()),
            Kind::Metered(metered) => {
                Answer::Metered { is_soft_limit: metered.is_soft_limit, memory: Mutex::default() }
            }
        };
        Self {
            entitlement: entitlement.id,
            feature: entitlement.feature,
            feature_key: entitlement.feature_key.as_str().into(),
            active: entitlement.active(),
            answer,
        }
    }

    /// What a later stretch can be computed from.
    fn snapshot(&self) -> Option<Snapshot> {
        let Answer::Metered { memory, .. } = &self.answer else { return None };
        let memory = lock(memory);
        let memory = memory.as_ref().filter(|memory| memory.adds_up)?;
        Some(Snapshot { state: memory.stretch.state()?, watched: memory.watched.clone() })
    }

    /// The answer of this moment, if it is known without reading events.
    fn known(&self, engine: &Engine, ns: &Namespace, now: Instant) -> Option<Access> {
        let known = self.remembered(engine, ns, now)?;
        engine.checks().remembered.fetch_add(1, Ordering::Relaxed);
        Some(known)
    }

    fn remembered(&self, engine: &Engine, ns: &Namespace, now: Instant) -> Option<Access> {
        if !self.active.contains(now) {
            return Some(Access::NotInForce);
        }
        match &self.answer {
            Answer::Boolean => Some(Access::Boolean),
            Answer::Static(config) => Some(Access::Static { config: Arc::clone(config) }),
            Answer::Metered { is_soft_limit, memory } => {
                // What is held back is looked at before usage: a commit counts usage before it lets go.
                let reserved = engine.checks().held.sum(ns, self.entitlement, now)?;
                let mut memory = lock(memory);
                let standing = memory.as_mut()?.standing_at(engine.events(), this_minute(now)).ok()??;
                Some(Access::Metered(MeteredAccess { standing, is_soft_limit: *is_soft_limit, reserved }))
            }
        }
    }

    /// Remembers what was found, and gives up counters that nobody will ask for again.
    fn remember(&self, events: &EventStore, found: Option<Memory>) {
        let Answer::Metered { memory, .. } = &self.answer else { return };
        let old = std::mem::replace(&mut *lock(memory), found.map(Box::new));
        let Some(old) = old else { return };
        let is_over = lock(memory).as_ref().is_none_or(|new| new.stretch.period.from != old.stretch.period.from);
        if is_over {
            old.watched.iter().for_each(|watched| events.forget_count(&watched.key));
        }
    }
}

impl Watched {
    /// What was counted but the total, if nothing came in before its beginning and nothing was counted anew.
    fn marks(&self, events: &EventStore) -> Option<Counted> {
        events.known_marks(&self.key).filter(|counted| self.is_as_known(counted))
    }

    /// The same with the total.
    fn counted(&self, events: &EventStore) -> Option<Counted> {
        events.known_count(&self.key)?.ok().filter(|counted| self.is_as_known(counted))
    }

    fn is_as_known(&self, counted: &Counted) -> bool {
        counted.start == self.start && counted.earlier == self.earlier
    }
}

impl Snapshot {
    /// The state, if no event from before it came in since.
    fn still_holds(self, events: &EventStore) -> Option<State> {
        self.watched.iter().all(|watched| watched.marks(events).is_some()).then_some(self.state)
    }
}

impl Memory {
    /// How it stands at a minute; `None` if that takes more than what is remembered and counted.
    fn standing_at(&mut self, events: &EventStore, at: Instant) -> Result<Option<Arc<Standing>>, QuantityError> {
        if !self.stretch.period.contains(at) {
            return Ok(None);
        }
        let (mut seen, mut last) = (0, None);
        for watched in &self.watched {
            let Some(marks) = watched.marks(events) else { return Ok(None) };
            (seen, last) = (seen + marks.seen, last.max(marks.last));
        }
        let is_same = seen == self.seen;
        if is_same && self.at == at {
            return Ok(Some(Arc::clone(&self.standing)));
        }
        // What is dated after the minute that is remembered did not count there.
        if is_same && last.is_none_or(|last| last < self.at.min(at)) {
            self.at = at;
            return Ok(Some(Arc::clone(&self.standing)));
        }
        if self.adds_up { self.burned_anew(events, at) } else { Ok(None) }
    }

    /// How it stands with all that was counted until now, unless some of it is dated ahead.
    fn burned_anew(&mut self, events: &EventStore, at: Instant) -> Result<Option<Arc<Standing>>, QuantityError> {
        let (mut used, mut seen) = (self.stretch.used_before, 0);
        for watched in &self.watched {
            let Some(counted) = watched.counted(events) else { return Ok(None) };
            if counted.last.is_some_and(|last| at <= last) {
                return Ok(None);
            }
            seen += counted.seen;
            used = used.plus(counted.total.unwrap_or(Quantity::ZERO))?;
        }
        self.standing = Arc::new(self.stretch.standing(used)?);
        (self.at, self.seen) = (at, seen);
        Ok(Some(Arc::clone(&self.standing)))
    }
}

impl Measured {
    /// How it stands at a minute, and what to remember of it if that can be kept up to date. Blocks.
    fn standing_to_remember(
        &self,
        events: &EventStore,
        at: Instant,
        snapshot: Option<Snapshot>,
    ) -> Result<(Arc<Standing>, Option<Memory>), QueryError> {
        let rules = self.rules();
        let (period, adds_up) = (Stretch::period_of(rules, at), self.measure.adds_up());
        // Counters start before the past is read: what comes meanwhile shows in them.
        let since = if adds_up { period.from } else { rules.periods.containing(period.from).from };
        let counted = self.count(events, since)?;
        let state = snapshot.and_then(|snapshot| snapshot.still_holds(events)).filter(|state| state.at <= period.from);
        let stretch = self.stretch(events, at, state)?;
        let standing = Arc::new(stretch.standing(self.used(events, stretch.usage_from, at)?)?);
        let memory = counted.map(|(watched, seen)| {
            let standing = Arc::clone(&standing);
            Memory { stretch, adds_up, watched, seen, at, standing }
        });
        Ok((standing, memory))
    }

    /// Starts counters of all subjects; with the number of events that were published to them. `None` if they cannot be kept.
    fn count(&self, events: &EventStore, since: Instant) -> Result<Option<Watching>, QueryError> {
        let (plan, mut seen) = (&self.measure.plan, 0);
        let mut watched = Vec::new();
        for subject in plan.customers.iter().flat_map(|owners| owners.keys()) {
            let measure = Arc::clone(&self.measure.feature.live);
            let key = LiveKey { measure, subject: subject.as_str().into(), from: plan.from.max(Some(since)) };
            let Some(counted) = events.live_count(&key)? else { return Ok(None) };
            seen += counted.seen;
            watched.push(Watched { key, start: counted.start, earlier: counted.earlier });
        }
        Ok(Some((watched.into(), seen)))
    }
}

impl Engine {
    /// How an entitlement of a live customer stands now.
    pub(crate) async fn check(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
    ) -> Result<Option<Access>, EngineError> {
        let (ns, now) = (caller.namespace(), self.clock().now());
        if let Some(kept) = self.checks().get(ns, customer) {
            match kept.find(id_or_feature, now) {
                Some(check) => {
                    if let Some(access) = check.known(self, ns, now) {
                        return Ok(Some(access));
                    }
                }
                // All that is in force is kept; only an id may be that of something that was.
                None if EntitlementId::parse(id_or_feature).is_none() => return Ok(None),
                None => {}
            }
        }
        let (loaded, kept) = self.load(caller, customer).await?;
        let Some(place) = find(&loaded.holdings, id_or_feature, now) else { return Ok(None) };
        let owners = self.owners(ns, &loaded.customer).await?;
        self.check_anew(ns, (&loaded, &owners), place, &kept).await.map(Some)
    }

    /// How all entitlements of a live customer stand that are in force now, by the key of the feature.
    pub(crate) async fn check_all(
        &self,
        caller: &Caller,
        customer: &str,
    ) -> Result<BTreeMap<String, Access>, EngineError> {
        let (ns, now) = (caller.namespace(), self.clock().now());
        if let Some(kept) = self.checks().get(ns, customer) {
            let in_force = kept.checks.iter().filter(|check| check.active.contains(now));
            let known = in_force.map(|check| Some((check.feature_key.to_string(), check.known(self, ns, now)?)));
            if let Some(known) = known.collect::<Option<_>>() {
                return Ok(known);
            }
        }
        let (loaded, kept) = self.load(caller, customer).await?;
        let owners = self.owners(ns, &loaded.customer).await?;
        let mut all = BTreeMap::new();
        for (place, holding) in loaded.holdings.iter().enumerate() {
            if holding.entitlement.active().contains(now) {
                let access = self.check_anew(ns, (&loaded, &owners), place, &kept).await?;
                all.insert(holding.entitlement.feature_key.clone(), access);
            }
        }
        Ok(all)
    }

    /// Reads what a live customer holds, and keeps it.
    async fn load(&self, caller: &Caller, customer: &str) -> Result<(Holdings, Arc<Kept>), EngineError> {
        let ns = caller.namespace();
        let found = self.find_live_customer(caller, customer).await?;
        let since = *self.checks().changes_of(found.id);
        // Read again: it may have changed before its changes were looked at.
        let again = self.state().get_customer(ns, found.id).await?.filter(|again| again.deleted_at.is_none());
        let found = match again {
            Some(again) => again,
            None => self.find_live_customer(caller, customer).await?,
        };
        let loaded = self.holdings_of(ns, Arc::new(found)).await?;
        let read = Kept::of(&loaded.holdings, self.clock().now());
        let kept = self.checks().keep(ns, &loaded.customer, since, read);
        Ok((loaded, kept))
    }

    /// How an entitlement stands now, from all that is stored; remembered where it can be.
    async fn check_anew(
        &self,
        ns: &Namespace,
        (loaded, owners): (&Holdings, &Owners),
        place: usize,
        kept: &Kept,
    ) -> Result<Access, EngineError> {
        let (now, holding) = (self.clock().now(), &loaded.holdings[place]);
        self.checks().computed.fetch_add(1, Ordering::Relaxed);
        let id = holding.id();
        let check = kept.checks.iter().find(|check| check.entitlement == id);
        let Some(check) = check.filter(|check| check.active.contains(now)) else { return Ok(Access::NotInForce) };
        let is_soft_limit = match &check.answer {
            Answer::Boolean => return Ok(Access::Boolean),
            Answer::Static(config) => return Ok(Access::Static { config: Arc::clone(config) }),
            Answer::Metered { is_soft_limit, .. } => *is_soft_limit,
        };
        let reserved = self.checks().held.sum_or_overflow(ns, id, now)?;
        let measured = self.measured_by(ns, owners, holding.clone()).await?;
        let at = this_minute(now);
        let snapshot = check.snapshot();
        let compute = move |events: &EventStore| measured.standing_to_remember(events, at, snapshot);
        let (standing, memory) = self.read_events(compute).await?;
        check.remember(self.events(), memory);
        Ok(Access::Metered(MeteredAccess { standing, is_soft_limit, reserved }))
    }
}
