//! What a customer may use and how much is left: now, at another time, and in the past.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::entitlements::{find, pick};
use crate::error::EngineError;
use crate::holdings::{Holding, Holdings};
use crate::usage::{FeatureMeasure, Measure, MeterUsage};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tallystick_domain::customer::Customer;
use tallystick_domain::entitlement::history::{WindowRow, by_window};
use tallystick_domain::entitlement::{Kind, Rules, Segment, Standing, State, Stretch, Usage, UsagePeriods, burn_down};
use tallystick_domain::key::Scope;
use tallystick_domain::meter::PlanError;
use tallystick_domain::time::{Period, WindowSize, Windows, Zone};
use tallystick_domain::{Instant, Namespace, Quantity};
use tallystick_event_store::{EventStore, QueryError};

/// The most windows that a history has, and the most usage periods and refills in it.
const MAX_WINDOWS: usize = 50_000;
/// The same where each window needs queries of its own, as distinct values do not add up.
const MAX_DISTINCT_WINDOWS: usize = 1_000;

/// The most usage periods and refills of grants that a run goes through: hours of more than a century.
const MAX_CUTS: u64 = 1_000_000;

/// What a customer may do with a feature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// The entitlement is not in force.
    NotInForce,
    /// It may be used.
    Boolean,
    /// It may be used as the configuration says.
    Static {
        /// A JSON document.
        config: Arc<str>,
    },
    /// It may be used as far as grants go.
    Metered(MeteredAccess),
}

/// How a metered entitlement stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeteredAccess {
    /// Balance, usage and overage.
    pub standing: Arc<Standing>,
    /// Whether access stays when nothing is left.
    pub is_soft_limit: bool,
    /// What reservations hold back of the balance at this moment; zero for another time.
    pub reserved: Quantity,
}

impl Access {
    /// Whether the feature may be used.
    pub fn has_access(&self) -> bool {
        match self {
            Access::NotInForce => false,
            Access::Boolean | Access::Static { .. } => true,
            Access::Metered(metered) => metered.has_access(),
        }
    }
}

impl MeteredAccess {
    /// Whether anything is left, or need not be.
    pub fn has_access(&self) -> bool {
        self.is_soft_limit || self.reserved < self.standing.balance
    }
}

/// Which past of a balance is wanted.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    /// From when on; the last reset that somebody asked for, or when measuring began, if absent.
    pub from: Option<Instant>,
    /// Until when; now if absent.
    pub to: Option<Instant>,
    /// The size of the windows.
    pub window: WindowSize,
    /// The zone whose clock the windows follow.
    pub zone: Zone,
}

/// The past of a balance.
#[derive(Clone, Debug)]
pub struct BalanceHistory {
    /// By window; those that began before measuring did are left out.
    pub windows: Vec<WindowRow>,
    /// By stretch of time in which the same grants were active, and what was rolled over.
    pub segments: Vec<Segment>,
}

/// Event subjects, and whose they are.
pub(crate) type Owners = Arc<BTreeMap<String, String>>;

/// A metered entitlement with all that its balance is computed from.
pub(crate) struct Measured {
    pub holding: Holding,
    pub periods: UsagePeriods,
    pub is_soft_limit: bool,
    pub measure: Measure,
}

/// The moment that a check at another one stands for: balances have whole minutes, and a part of one counts.
pub(crate) fn whole_minute(time: Instant) -> Instant {
    time.ceil_minute()
}

/// The moment that a check now stands for. What happened until now counts, so it is later than now.
pub(crate) fn this_minute(now: Instant) -> Instant {
    now.saturating_add_micros(1).ceil_minute()
}

impl Engine {
    /// How an entitlement of a live customer stands, by its id or by its feature; `None` if the customer has none. At a `time`,
    /// past or ahead, what is known now of usage, grants and resets until then counts.
    pub async fn entitlement_value(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        time: Option<Instant>,
    ) -> Result<Option<Access>, EngineError> {
        caller.require(Scope::Read)?;
        match time {
            None => self.check(caller, customer, id_or_feature).await,
            Some(time) => self.value_at(caller, customer, id_or_feature, time).await,
        }
    }

    /// What a live customer may use now, by the key of the feature.
    pub async fn customer_access(
        &self,
        caller: &Caller,
        customer: &str,
    ) -> Result<BTreeMap<String, Access>, EngineError> {
        caller.require(Scope::Read)?;
        self.check_all(caller, customer).await
    }

    /// The past of a metered entitlement of a live customer.
    pub async fn entitlement_history(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        query: HistoryQuery,
    ) -> Result<BalanceHistory, EngineError> {
        caller.require(Scope::Read)?;
        let now = self.clock().now();
        let Holdings { customer, holdings } = self.live_holdings(caller, customer).await?;
        let holding = pick(&holdings, id_or_feature, now)?.clone();
        let measured = self.measured(caller.namespace(), &customer, holding).await?;
        let period = measured.wanted(&query, now)?;
        let windows = Windows::new(query.window, query.zone);
        self.read_events(move |events| measured.history(events, period, &windows)).await
    }

    async fn value_at(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        time: Instant,
    ) -> Result<Option<Access>, EngineError> {
        let Holdings { customer, mut holdings } = self.live_holdings(caller, customer).await?;
        let Some(place) = find(&holdings, id_or_feature, time) else { return Ok(None) };
        let holding = holdings.swap_remove(place);
        if !holding.entitlement.active().contains(time) {
            return Ok(Some(Access::NotInForce));
        }
        match &holding.entitlement.kind {
            Kind::Boolean => Ok(Some(Access::Boolean)),
            Kind::Static { config } => Ok(Some(Access::Static { config: config.as_str().into() })),
            Kind::Metered(_) => {
                let measured = self.measured(caller.namespace(), &customer, holding).await?;
                let is_soft_limit = measured.is_soft_limit;
                let standing = self.read_events(move |events| measured.standing(events, whole_minute(time))).await?;
                let standing = Arc::new(standing);
                Ok(Some(Access::Metered(MeteredAccess { standing, is_soft_limit, reserved: Quantity::ZERO })))
            }
        }
    }

    /// Looks up what the balance of a metered entitlement is computed from.
    pub(crate) async fn measured(
        &self,
        ns: &Namespace,
        customer: &Customer,
        holding: Holding,
    ) -> Result<Measured, EngineError> {
        let owners = self.owners(ns, customer).await?;
        self.measured_by(ns, &owners, holding).await
    }

    /// The event subjects of a customer.
    pub(crate) async fn owners(&self, ns: &Namespace, customer: &Customer) -> Result<Owners, EngineError> {
        Ok(Arc::new(self.owned_subjects(ns, std::slice::from_ref(customer)).await?))
    }

    /// As [`Engine::measured`], with the customer's event subjects.
    pub(crate) async fn measured_by(
        &self,
        ns: &Namespace,
        owners: &Owners,
        holding: Holding,
    ) -> Result<Measured, EngineError> {
        let (metered, periods) = holding.metered()?;
        let is_soft_limit = metered.is_soft_limit;
        let feature = self.feature_measure(ns, &holding).await?;
        let measure = feature.of(Arc::clone(owners));
        Ok(Measured { holding, periods, is_soft_limit, measure })
    }

    async fn feature_measure(&self, ns: &Namespace, holding: &Holding) -> Result<Arc<FeatureMeasure>, EngineError> {
        let id = holding.entitlement.feature;
        let changes = match self.checks().measure(ns, id) {
            Ok(known) => return Ok(known),
            Err(changes) => changes,
        };
        let lost = |what: &str| EngineError::Internal(format!("the {what} of entitlement {} is lost", holding.id()));
        let feature = self.state().get_feature(ns, id).await?.ok_or_else(|| lost("feature"))?;
        let meter = self.meter_of(ns, &feature).await?.ok_or_else(|| lost("meter"))?;
        let (key, slug) = (feature.key.clone(), meter.slug.clone());
        let measure = FeatureMeasure::new(ns, feature, meter).map_err(|dimension| {
            let message =
                format!("feature {key} needs the dimension {dimension:?}, which the meter {slug} has no more");
            EngineError::Conflict(message)
        })?;
        let measure = Arc::new(measure);
        self.checks().keep_measure(ns, id, changes, &measure);
        Ok(measure)
    }
}

impl Measured {
    pub fn rules(&self) -> Rules<'_> {
        Rules { periods: &self.periods, grants: &self.holding.grants, counting: self.measure.counting() }
    }

    /// The stretch that holds a moment, by a run from a state, or from when measuring began. Blocks.
    pub fn stretch(&self, events: &EventStore, at: Instant, from: Option<State>) -> Result<Stretch, QueryError> {
        let state = from.unwrap_or_else(|| State::initial(&self.periods));
        let until = Stretch::period_of(self.rules(), at).from;
        let mut usage = MeterUsage::new(events, &self.measure);
        let begin = self.periods.containing(state.at).from;
        if begin < until {
            usage.prepare(self.usage_cuts(begin, until)?)?;
        }
        Stretch::holding_from(self.rules(), state, at, &mut usage)
    }

    /// How it stands at a moment. Blocks.
    pub fn standing(&self, events: &EventStore, at: Instant) -> Result<Standing, QueryError> {
        let stretch = self.stretch(events, at, None)?;
        Ok(stretch.standing(self.used(events, stretch.usage_from, at)?)?)
    }

    /// What was used in the usage period until a moment, and what is left of all grants: below zero by what they had no room for,
    /// and above it by what was taken back without having been used. Blocks.
    pub fn account(&self, events: &EventStore, at: Instant) -> Result<(Quantity, Quantity), QueryError> {
        let (begin, mut usage) = (self.periods.measured_from(), MeterUsage::new(events, &self.measure));
        if begin < at {
            usage.prepare(self.usage_cuts(begin, at)?)?;
        }
        let state = burn_down::end_of(self.rules(), State::initial(&self.periods), at, &mut usage)?;
        let state = burn_down::settled(self.rules(), state)?;
        Ok((state.used, state.balance()?.minus(state.debt)?))
    }

    /// What was used between two moments. Blocks.
    pub fn used(&self, events: &EventStore, since: Instant, until: Instant) -> Result<Quantity, QueryError> {
        MeterUsage::new(events, &self.measure).used(since, until)
    }

    /// Between which moments usage is asked for at once. What does not add up is asked for by whole periods.
    fn usage_cuts(&self, begin: Instant, until: Instant) -> Result<BTreeSet<Instant>, QueryError> {
        self.check_length(begin, until, MAX_CUTS)?;
        Ok(match self.measure.has_parts() {
            true => burn_down::cuts(self.rules(), begin, until),
            false => self.periods.beginnings(begin, until).into_iter().chain([until]).collect(),
        })
    }

    /// Refuses a time in which there would be more periods and refills than can be run through.
    fn check_length(&self, begin: Instant, until: Instant, most: u64) -> Result<(), QueryError> {
        let periods = self.periods.about_how_many(begin, until);
        let refills = self.holding.grants.iter().map(|grant| grant.about_how_many_refills(begin, until));
        match refills.fold(periods, u64::saturating_add) > most {
            true => {
                Err(PlanError::TooLarge { what: "usage periods and refills of grants", limit: most as usize }.into())
            }
            false => Ok(()),
        }
    }

    /// The time that a query for the past asks for, in whole minutes.
    fn wanted(&self, query: &HistoryQuery, now: Instant) -> Result<Period, EngineError> {
        let begin = self.periods.measured_from();
        let from = query.from.map_or_else(|| self.periods.last_reset(now), Instant::floor_minute);
        let to = query.to.map_or_else(|| this_minute(now), Instant::ceil_minute);
        if from < begin {
            let message = format!("from must not be before {begin}, when measuring began");
            return Err(EngineError::invalid("from", message));
        }
        if from > to {
            return Err(EngineError::invalid("from", "from must not be after to"));
        }
        Ok(Period { from, to })
    }

    /// Its past. Blocks.
    fn history(&self, events: &EventStore, wanted: Period, windows: &Windows) -> Result<BalanceHistory, QueryError> {
        let measured_from = self.periods.measured_from();
        let parts = self.parts_of(wanted, windows)?;
        let begin = parts.first().map_or(wanted.from, |first| first.from.min(wanted.from)).max(measured_from);
        let edges = parts.iter().flat_map(|part| [part.from, part.to]);
        let mut usage = MeterUsage::new(events, &self.measure);
        if self.measure.has_parts() {
            let end = parts.last().map_or(wanted.to, |last| last.to.max(wanted.to));
            let cuts = self.usage_cuts(measured_from, wanted.to)?;
            usage.prepare(cuts.into_iter().chain(edges).chain([begin, end]).collect())?;
        } else {
            usage.prepare(self.usage_cuts(measured_from, wanted.to)?)?;
            usage.prepare(edges.collect())?;
        }
        self.check_length(begin, wanted.to, MAX_WINDOWS as u64)?;
        let before = burn_down::end_of(self.rules(), State::initial(&self.periods), begin, &mut usage)?;
        let whole = burn_down::run(self.rules(), before, wanted.to, &mut usage)?;
        let windows = by_window(self.rules(), &whole, parts, &mut usage)?;
        Ok(BalanceHistory { windows, segments: whole.segments })
    }

    /// The windows that a time touches, whole, but for those that began before measuring did.
    fn parts_of(&self, wanted: Period, windows: &Windows) -> Result<Vec<Period>, QueryError> {
        let limit = if self.measure.has_parts() { MAX_WINDOWS } else { MAX_DISTINCT_WINDOWS };
        let mut parts = Vec::new();
        let mut next = wanted.from;
        while next < wanted.to {
            let window = windows.window_of(next);
            if window.from >= self.periods.measured_from() {
                if parts.len() == limit {
                    return Err(PlanError::TooLarge { what: "windows", limit }.into());
                }
                parts.push(Period { from: window.from, to: window.to });
            }
            next = window.to;
        }
        Ok(parts)
    }
}
