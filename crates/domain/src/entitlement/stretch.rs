//! What holds until something else begins to: all that a balance depends on but usage, so that a balance can be had again
//! and again without running through the past.

use super::burn_down::{Counting, Rules, State, Usage, cuts, end_of};
use crate::GrantId;
use crate::quantity::{Quantity, QuantityError};
use crate::time::{Instant, Period};

/// A stretch of time in which the same grants are active, and what was there when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// When.
    pub period: Period,
    /// When the usage period began that it is in.
    pub usage_from: Instant,
    /// What was used in the usage period before it.
    pub used_before: Quantity,
    counting: Counting,
    debt: Quantity,
    burned: Quantity,
    /// What is left of each active grant, in burn order; of a level, what is there without it.
    balances: Box<[(GrantId, Quantity)]>,
}

/// How an entitlement stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What is left of each active grant, in burn order.
    pub balances: Vec<(GrantId, Quantity)>,
    /// What is left of all of them.
    pub balance: Quantity,
    /// What was used in the usage period.
    pub used: Quantity,
    /// Usage of the period that nothing was there for.
    pub overage: Quantity,
    /// What grants had for the period: what was taken from them, and what is left.
    pub available: Quantity,
}

impl Stretch {
    /// The stretch that holds a moment, or the first one for those before.
    ///
    /// # Errors
    /// Those of `usage`, and what does not fit a quantity.
    pub fn holding<U: Usage>(rules: Rules<'_>, at: Instant, usage: &mut U) -> Result<Self, U::Error> {
        Self::holding_from(rules, State::initial(rules.periods), at, usage)
    }

    /// The same, by a run from a state that is not after its beginning.
    ///
    /// # Errors
    /// Those of `usage`, and what does not fit a quantity.
    pub fn holding_from<U: Usage>(
        rules: Rules<'_>,
        state: State,
        at: Instant,
        usage: &mut U,
    ) -> Result<Self, U::Error> {
        let period = Self::period_of(rules, at);
        let start = end_of(rules, state, period.from, usage)?;
        Ok(Self::new(rules, period, &start))
    }

    /// The state at its beginning, for a later run; `None` of a level, of which that depends on what was in use.
    pub fn state(&self) -> Option<State> {
        (self.counting == Counting::Growing).then(|| State {
            at: self.period.from,
            balances: self.balances.iter().copied().collect(),
            debt: self.debt,
            used: self.used_before,
            burned: self.burned,
        })
    }

    /// When the stretch is that holds a moment. That does not depend on usage.
    pub fn period_of(rules: Rules<'_>, at: Instant) -> Period {
        let at = at.max(rules.periods.measured_from());
        let usage_period = rules.periods.containing(at);
        let cuts = cuts(rules, usage_period.from, usage_period.to);
        let from = cuts.range(..=at).next_back().copied().unwrap_or(usage_period.from);
        let to = cuts.into_iter().find(|cut| *cut > at).unwrap_or(usage_period.to);
        Period { from, to }
    }

    fn new(rules: Rules<'_>, period: Period, start: &State) -> Self {
        let mut active: Vec<_> = rules.grants.iter().filter(|grant| grant.active().contains(period.from)).collect();
        active.sort_by(|left, right| left.burns_before(right));
        let left = |id: &GrantId| start.balances.get(id).copied().unwrap_or(Quantity::ZERO);
        let balances = active.into_iter().map(|grant| match rules.counting {
            Counting::Growing => (grant.id, left(&grant.id)),
            Counting::Level => (grant.id, grant.amount),
        });
        Self {
            period,
            usage_from: rules.periods.containing(period.from).from,
            used_before: start.used,
            counting: rules.counting,
            debt: start.debt,
            burned: start.burned,
            balances: balances.collect(),
        }
    }

    /// How the entitlement stands when this much was used since the usage period began.
    ///
    /// # Errors
    /// What does not fit a quantity.
    pub fn standing(&self, used: Quantity) -> Result<Standing, QuantityError> {
        let (mut debt, mut burned) = match self.counting {
            Counting::Growing => (self.debt.plus(used.minus(self.used_before)?)?, self.burned),
            Counting::Level => (used, Quantity::ZERO),
        };
        let (mut balances, mut balance) = (Vec::with_capacity(self.balances.len()), Quantity::ZERO);
        for (id, before) in &self.balances {
            let taken = debt.min(*before).max(Quantity::ZERO);
            let left = before.minus(taken)?;
            (debt, burned, balance) = (debt.minus(taken)?, burned.plus(taken)?, balance.plus(left)?);
            balances.push((*id, left));
        }
        let available = burned.plus(balance)?;
        Ok(Standing { balances, balance, used, overage: debt.max(Quantity::ZERO), available })
    }
}
