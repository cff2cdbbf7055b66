//! Burning: usage is taken from grants in their order, period by period.
//!
//! Time is cut where a period begins and where a grant begins, ends or is filled up again. Between two cuts, in a segment, the
//! same grants are active, so only how much was used there matters, and not when. What no grant had room for is overage; it
//! is the first to be taken from grants that come later in the period.

use super::grant::Grant;
use super::usage_period::UsagePeriods;
use crate::GrantId;
use crate::quantity::{Quantity, QuantityError};
use crate::time::{Instant, Period};
use std::collections::{BTreeMap, BTreeSet};

/// Where usage is looked up.
pub trait Usage {
    /// Why it could not be.
    type Error: From<QuantityError>;

    /// The meter's value over the events in `[since, until)`; zero without any.
    fn used(&mut self, since: Instant, until: Instant) -> Result<Quantity, Self::Error>;
}

impl<F, E> Usage for F
where
    F: FnMut(Instant, Instant) -> Result<Quantity, E>,
    E: From<QuantityError>,
{
    type Error = E;

    fn used(&mut self, since: Instant, until: Instant) -> Result<Quantity, E> {
        self(since, until)
    }
}

/// What a meter's value means for a balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It grows over a period (SUM, COUNT, UNIQUE_COUNT): what was added since is burned.
    Growing,
    /// It is what is in use at a moment (LATEST): grants are full without it, and it is taken from them as a whole.
    Level,
}

/// What is burned by which rules.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// The usage periods.
    pub periods: &'a UsagePeriods,
    /// The grants, in any order.
    pub grants: &'a [Grant],
    /// What usage means.
    pub counting: Counting,
}

/// Everything about an entitlement at a moment that what comes later depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The moment. What happens at it to grants, such as a refill, is in here.
    pub at: Instant,
    /// What is left of each grant that has something left.
    pub balances: BTreeMap<GrantId, Quantity>,
    /// Usage of the period that nothing was there for. Below zero if more was taken back than was used.
    pub debt: Quantity,
    /// What was used in the period.
    pub used: Quantity,
    /// What was taken from grants in the period.
    pub burned: Quantity,
}

/// A stretch of time in which the same grants are active, or the rollover at the beginning of a period, which takes no time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// When.
    pub period: Period,
    /// What was used in it.
    pub used: Quantity,
    /// What was taken from each grant, in burn order; those of which nothing was taken are left out. Below zero where a level
    /// went down.
    pub burned: Vec<(GrantId, Quantity)>,
    /// The state at its beginning. A later run may begin with that of a segment that takes time.
    pub start: State,
    /// The state at its end, before anything else happens at that moment.
    pub end: State,
}

/// What happened until a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The segments, in order.
    pub segments: Vec<Segment>,
    /// The state at the end.
    pub end: State,
}

impl State {
    /// The state in which measuring begins: nothing was used, and no grant has begun.
    pub fn initial(periods: &UsagePeriods) -> Self {
        let zero = Quantity::ZERO;
        Self { at: periods.measured_from(), balances: BTreeMap::new(), debt: zero, used: zero, burned: zero }
    }

    /// What is left of all grants.
    ///
    /// # Errors
    /// If the sum has too many digits.
    pub fn balance(&self) -> Result<Quantity, QuantityError> {
        self.balances.values().try_fold(Quantity::ZERO, |sum, balance| sum.plus(*balance))
    }

    /// Usage of the period that nothing was there for.
    pub fn overage(&self) -> Quantity {
        self.debt.max(Quantity::ZERO)
    }

    /// What grants had for the period: what was taken from them, and what is left.
    ///
    /// # Errors
    /// If the sum has too many digits.
    pub fn available(&self) -> Result<Quantity, QuantityError> {
        self.burned.plus(self.balance()?)
    }
}

/// Runs from a state to a later moment. A run to a cut of time and one from there are the same as one run; where usage is never
/// negative, that holds for every moment.
///
/// # Errors
/// Those of `usage`, and what does not fit a quantity.
pub fn run<U: Usage>(rules: Rules<'_>, start: State, until: Instant, usage: &mut U) -> Result<Run, U::Error> {
    let burning = burned(rules, start, until, usage, Some(Vec::new()))?;
    Ok(Run { segments: burning.segments.unwrap_or_default(), end: burning.state })
}

/// The end of a run, of which nothing else is kept.
///
/// # Errors
/// Those of [`run`].
pub fn end_of<U: Usage>(rules: Rules<'_>, start: State, until: Instant, usage: &mut U) -> Result<State, U::Error> {
    Ok(burned(rules, start, until, usage, None)?.state)
}

fn burned<'a, U: Usage>(
    rules: Rules<'a>,
    start: State,
    until: Instant,
    usage: &mut U,
    segments: Option<Vec<Segment>>,
) -> Result<Burning<'a>, U::Error> {
    let mut burning = Burning { rules, grants: in_burn_order(rules.grants), state: start, segments };
    burning.begin_segment()?;
    while burning.state.at < until {
        let period = rules.periods.containing(burning.state.at);
        burning.run_period(period, period.to.min(until), usage)?;
        if period.to > until || period.to <= burning.state.at && period.to == Instant::MAX {
            break;
        }
        burning.reset(period.to)?;
        if period.to == until {
            burning.end_with_nothing_used();
        }
    }
    Ok(burning)
}

/// How a state shows: a grant that begins at its moment has paid what was owed before it. For answers only, as a run from a state
/// pays for itself.
///
/// # Errors
/// What does not fit a quantity.
pub fn settled(rules: Rules<'_>, state: State) -> Result<State, QuantityError> {
    let mut burning = Burning { rules, grants: in_burn_order(rules.grants), state, segments: None };
    if rules.counting == Counting::Growing {
        burning.pay_debt()?;
    }
    Ok(burning.state)
}

/// The grants that are ever active, each with when it is.
fn in_burn_order(grants: &[Grant]) -> Vec<(Period, &Grant)> {
    let mut grants: Vec<(Period, &Grant)> = grants.iter().map(|grant| (grant.active(), grant)).collect();
    grants.retain(|(active, _)| !active.is_empty());
    grants.sort_by(|left, right| left.1.burns_before(right.1));
    grants
}

/// The moments in `[from, to]` at which something else begins to hold: a period, or a grant that begins, ends or is filled up.
/// With `from` and `to`, ascending: between two that follow each other a run asks for no other usage.
pub fn cuts(rules: Rules<'_>, from: Instant, to: Instant) -> BTreeSet<Instant> {
    let mut cuts = cuts_between(rules.grants, from, to);
    cuts.extend(rules.periods.beginnings(from, to).into_iter().filter(|beginning| from <= *beginning));
    cuts.extend([from, to]);
    cuts
}

/// The moments between two others at which a grant begins, ends or is filled up.
fn cuts_between<'g>(grants: impl IntoIterator<Item = &'g Grant>, from: Instant, to: Instant) -> BTreeSet<Instant> {
    let mut cuts = BTreeSet::new();
    for grant in grants {
        let active = grant.active();
        if !active.is_empty() {
            cuts.extend([active.from, active.to]);
            cuts.extend(grant.refills(from, to));
        }
    }
    cuts.retain(|cut| from < *cut && *cut < to);
    cuts
}

/// A run under way.
struct Burning<'a> {
    rules: Rules<'a>,
    /// In burn order, each with when it is active.
    grants: Vec<(Period, &'a Grant)>,
    state: State,
    /// `None` if they are not wanted.
    segments: Option<Vec<Segment>>,
}

impl Burning<'_> {
    /// Runs to a moment in the same period, or to its end.
    fn run_period<U: Usage>(&mut self, period: Period, until: Instant, usage: &mut U) -> Result<(), U::Error> {
        let cuts = self.cuts(self.state.at, until);
        for end in cuts.into_iter().chain([until]) {
            let used = usage.used(period.from, end)?;
            self.burn(Period { from: self.state.at, to: end }, used)?;
            // At the end of a period the reset comes first.
            if end < period.to {
                self.begin_segment()?;
            }
        }
        Ok(())
    }

    fn cuts(&self, from: Instant, to: Instant) -> BTreeSet<Instant> {
        cuts_between(self.grants.iter().map(|(_, grant)| *grant), from, to)
    }

    /// Does what happens to grants at this moment: those that are not active have nothing, those that begin or recur are full.
    /// A level is taken anew from all of them.
    fn begin_segment(&mut self) -> Result<(), QuantityError> {
        let Self { rules, grants, state, .. } = self;
        let now = state.at;
        let next = now.saturating_add_micros(1);
        for (active, grant) in grants.iter() {
            if !active.contains(now) {
                state.balances.remove(&grant.id);
            } else if rules.counting == Counting::Level || !grant.refills(now, next).is_empty() {
                state.balances.insert(grant.id, grant.amount);
            }
        }
        if rules.counting == Counting::Level {
            (state.debt, state.burned) = (state.used, Quantity::ZERO);
            self.pay_debt()?;
        }
        Ok(())
    }

    /// Takes what was used in a segment, of which `used` is known since the period began.
    fn burn(&mut self, period: Period, used: Quantity) -> Result<(), QuantityError> {
        let start = self.state.clone();
        let added = used.minus(start.used)?;
        self.state.used = used;
        let burned = match self.rules.counting {
            Counting::Growing => {
                self.state.debt = start.debt.plus(added)?;
                self.pay_debt()?
            }
            Counting::Level => {
                self.begin_segment()?;
                self.taken_since(&start)?
            }
        };
        self.state.at = period.to;
        self.note(Segment { period, used: added, burned, start, end: self.state.clone() });
        Ok(())
    }

    /// What was taken from each grant since another state in which it was full as now.
    fn taken_since(&self, start: &State) -> Result<Vec<(GrantId, Quantity)>, QuantityError> {
        let of = |state: &State, id| state.balances.get(&id).copied().unwrap_or(Quantity::ZERO);
        let taken =
            self.grants.iter().map(|(_, grant)| Ok((grant.id, of(start, grant.id).minus(of(&self.state, grant.id))?)));
        let taken: Result<Vec<_>, QuantityError> = taken.collect();
        Ok(taken?.into_iter().filter(|(_, taken)| !taken.is_zero()).collect())
    }

    /// Takes the debt from the grants that have something, in their order.
    fn pay_debt(&mut self) -> Result<Vec<(GrantId, Quantity)>, QuantityError> {
        let mut burned = Vec::new();
        let state = &mut self.state;
        for (_, grant) in &self.grants {
            if !state.debt.is_positive() {
                break;
            }
            let Some(balance) = state.balances.get_mut(&grant.id).filter(|balance| balance.is_positive()) else {
                continue;
            };
            let taken = state.debt.min(*balance);
            *balance = balance.minus(taken)?;
            state.debt = state.debt.minus(taken)?;
            state.burned = state.burned.plus(taken)?;
            burned.push((grant.id, taken));
        }
        Ok(burned)
    }

    /// Begins a period: what is left is rolled over, overage is dropped or paid.
    fn reset(&mut self, at: Instant) -> Result<(), QuantityError> {
        let active = self.grants.iter().filter(|(active, _)| active.contains(at));
        let balances = active.map(|(_, grant)| {
            let balance = self.state.balances.get(&grant.id).copied().unwrap_or(Quantity::ZERO);
            (grant.id, grant.rolled_over(balance))
        });
        let balances = balances.collect();
        let keeps_debt = self.rules.periods.preserves_overage_at(at) && self.rules.counting == Counting::Growing;
        let debt = if keeps_debt { self.state.debt } else { Quantity::ZERO };
        self.state = State { at, balances, debt, used: Quantity::ZERO, burned: Quantity::ZERO };
        let start = self.state.clone();
        let burned = self.pay_debt()?;
        let (end, period) = (self.state.clone(), Period { from: at, to: at });
        self.note(Segment { period, used: Quantity::ZERO, burned, start, end });
        self.begin_segment()
    }

    /// The segment of a period that begins where the run ends.
    fn end_with_nothing_used(&mut self) {
        let period = Period { from: self.state.at, to: self.state.at };
        let (start, end) = (self.state.clone(), self.state.clone());
        self.note(Segment { period, used: Quantity::ZERO, burned: Vec::new(), start, end });
    }

    fn note(&mut self, segment: Segment) {
        if let Some(segments) = &mut self.segments {
            segments.push(segment);
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! What tests of entitlements share.

    use super::*;
    use crate::EntitlementId;

    pub fn q(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    pub fn at(text: &str) -> Instant {
        let text = if text.len() == 10 { format!("{text}T00:00:00Z") } else { format!("{text}Z") };
        Instant::parse_rfc3339(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// A grant that never ends and keeps nothing at a reset; `number` is its id.
    pub fn grant(number: &str, amount: &str) -> Grant {
        let begin = at("2025-01-01");
        Grant {
            id: GrantId::from_parts(0, number.parse().unwrap()),
            entitlement: EntitlementId::from_parts(0, 1),
            amount: q(amount),
            priority: 1,
            effective_at: begin,
            expiration: None,
            min_rollover: Quantity::ZERO,
            max_rollover: Quantity::ZERO,
            recurrence: None,
            metadata: BTreeMap::new(),
            annotations: BTreeMap::new(),
            created_at: begin,
            updated_at: begin,
            voided_at: None,
            deleted_at: None,
        }
    }
}

#[cfg(test)]
#[path = "burn_down/tests.rs"]
mod tests;
