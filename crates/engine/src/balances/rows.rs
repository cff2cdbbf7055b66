//! What balances are computed from: entitlements that measure all usage of a meter, and the usage of its customers.

use super::{MeterBalance, own};
use crate::balance::this_minute;
use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::holdings::Holding;
use crate::query::base_plan;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tallystick_domain::customer::Customer;
use tallystick_domain::entitlement::{Grant, KindName};
use tallystick_domain::feature::Feature;
use tallystick_domain::meter::{AggregatePlan, AggregateRow, Aggregation, Dimension, Meter};
use tallystick_domain::search::TextCondition;
use tallystick_domain::{CustomerId, EntitlementId, FeatureId, Instant, Namespace, Quantity};
use tallystick_state_store::{EntitlementListing, FeatureListing, FeatureText, GrantListing};

/// Entitlements whose resets are asked for at once.
const IDS_A_QUERY: usize = 10_000;

/// What a customer used of a meter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Used {
    value: Quantity,
    first: Instant,
    last: Instant,
}

/// The entitlements that are balances of some meters.
#[derive(Default)]
pub(super) struct Given {
    /// The features that measure all usage of one of them, archived ones too.
    pub features: BTreeMap<FeatureId, Feature>,
    /// Metered ones to these features that are in force, the oldest first.
    pub holdings: Vec<Holding>,
    /// The ids of all that there ever were.
    pub taken: BTreeSet<EntitlementId>,
}

impl Used {
    fn of(row: &AggregateRow) -> Self {
        Self { value: row.value, first: row.first, last: row.last }
    }

    /// This and the usage of another subject of the customer; `None` where that takes a query.
    fn and(&self, other: &Self, aggregation: Aggregation) -> Result<Option<Self>, EngineError> {
        let value = match aggregation {
            Aggregation::Sum | Aggregation::Count => {
                self.value.plus(other.value).map_err(|error| EngineError::invalid("query", error.to_string()))?
            }
            Aggregation::Max => self.value.max(other.value),
            Aggregation::Min => self.value.min(other.value),
            _ => return Ok(None),
        };
        Ok(Some(Self { value, first: self.first.min(other.first), last: self.last.max(other.last) }))
    }
}

impl Given {
    /// The balances of a customer and a meter, the one that credits go to first.
    pub fn of<'g>(&'g self, meter: &'g Meter, customer: CustomerId) -> Vec<&'g Holding> {
        let is_its = |holding: &&Holding| holding.entitlement.customer == customer && self.is_of(meter, holding);
        let mut found: Vec<&Holding> = self.holdings.iter().filter(is_its).collect();
        found.sort_by_key(|holding| !own::is_own(meter, holding.entitlement.feature));
        found
    }

    fn is_of(&self, meter: &Meter, holding: &Holding) -> bool {
        let feature = self.features.get(&holding.entitlement.feature);
        feature.and_then(|feature| feature.meter.as_ref()).is_some_and(|its| its.id == meter.id)
    }
}

impl Engine {
    /// The balances of these meters: of one customer, or of all.
    pub(super) async fn given(
        &self,
        ns: &Namespace,
        meters: &[Meter],
        customer: Option<CustomerId>,
    ) -> Result<Given, EngineError> {
        let ids = TextCondition::OneOf(meters.iter().map(|meter| meter.id.to_string()).collect());
        let conditions = vec![(FeatureText::MeterId, ids)];
        let listing =
            FeatureListing { conditions, include_archived: true, limit: u32::MAX, ..FeatureListing::default() };
        let (features, _) = self.state().list_features(ns, &listing).await?;
        let features: BTreeMap<_, _> =
            features.into_iter().filter(own::is_whole).map(|feature| (feature.id, feature)).collect();
        if features.is_empty() {
            return Ok(Given::default());
        }
        let names: Vec<String> = features.keys().map(FeatureId::to_string).collect();
        let customers = customer.map(|customer| vec![customer]);
        let most = self.config().limits.query_groups;
        let listing = EntitlementListing {
            customers: customers.clone(),
            features: names.clone(),
            kinds: vec![KindName::Metered],
            include_deleted: true,
            limit: u32::try_from(most).unwrap_or(u32::MAX),
            ..EntitlementListing::default()
        };
        let (mut entitlements, total) = self.state().list_entitlements(ns, &listing).await?;
        if total > entitlements.len() as u64 {
            return Err(too_many(most));
        }
        let taken = entitlements.iter().map(|entitlement| entitlement.id).collect();
        let now = self.clock().now();
        entitlements.retain(|entitlement| entitlement.active().contains(now));
        entitlements.sort_by_key(|entitlement| (entitlement.active_from, entitlement.id));
        let listing = GrantListing { features: names, customers, limit: u32::MAX, ..GrantListing::default() };
        let mut grants: BTreeMap<EntitlementId, Vec<Grant>> = BTreeMap::new();
        for grant in self.state().list_grants(ns, &listing).await?.0 {
            grants.entry(grant.entitlement).or_default().push(grant);
        }
        let mut resets = BTreeMap::new();
        for part in entitlements.chunks(IDS_A_QUERY) {
            resets.extend(self.state().resets_of(ns, part.iter().map(|one| one.id)).await?);
        }
        let holdings = entitlements.into_iter().map(|entitlement| Holding {
            grants: grants.remove(&entitlement.id).unwrap_or_default(),
            resets: resets.remove(&entitlement.id).unwrap_or_default(),
            entitlement,
        });
        Ok(Given { features, holdings: holdings.collect(), taken })
    }

    /// All balances of a meter.
    pub(super) async fn balances_of(
        &self,
        caller: &Caller,
        meter: &Meter,
        given: &Given,
    ) -> Result<Vec<MeterBalance>, EngineError> {
        let used = self.used_by_all(caller, meter).await?;
        let mut balances = Vec::new();
        let mut seen = BTreeSet::new();
        for holding in given.holdings.iter().filter(|holding| given.is_of(meter, holding)) {
            let customer = holding.entitlement.customer;
            seen.insert(customer);
            balances.push(self.balance_of(caller, meter, holding, used.get(&customer)).await?);
        }
        let untold = used.iter().filter(|(customer, _)| !seen.contains(customer));
        for (customer, used) in untold {
            balances.push(without_credit(meter, *customer, Some(used), given));
        }
        Ok(balances)
    }

    /// The balance that credits of a customer go to; one without anything if nothing was credited or used.
    pub(super) async fn balance_of_customer(
        &self,
        caller: &Caller,
        meter: &Meter,
        customer: &Customer,
    ) -> Result<MeterBalance, EngineError> {
        let given = self.given(caller.namespace(), std::slice::from_ref(meter), Some(customer.id)).await?;
        let used = self.used_by(caller, meter, customer).await?;
        match given.of(meter, customer.id).first() {
            Some(holding) => self.balance_of(caller, meter, holding, used.as_ref()).await,
            None => Ok(without_credit(meter, customer.id, used.as_ref(), &given)),
        }
    }

    /// The balance that an entitlement is. `used` is all that its customer ever used.
    pub(super) async fn balance_of(
        &self,
        caller: &Caller,
        meter: &Meter,
        holding: &Holding,
        used: Option<&Used>,
    ) -> Result<MeterBalance, EngineError> {
        let entitlement = &holding.entitlement;
        let until = this_minute(self.clock().now());
        let all = used.map_or(Quantity::ZERO, |used| used.value);
        let fits = |error: tallystick_domain::QuantityError| EngineError::invalid("query", error.to_string());
        let (consumed, balance) = if is_plain(holding, until) {
            let credited = holding.grants.iter().try_fold(Quantity::ZERO, |sum, grant| sum.plus(grant.amount));
            (all, credited.and_then(|credited| credited.minus(all)).map_err(fits)?)
        } else {
            let customer = self.state().get_customer(caller.namespace(), entitlement.customer).await?;
            let customer = customer.ok_or_else(|| {
                EngineError::Internal(format!("the customer of entitlement {} is not stored", entitlement.id))
            })?;
            let measured = self.measured(caller.namespace(), &customer, holding.clone()).await?;
            self.read_events(move |events| measured.account(events, until)).await?
        };
        let changes = holding.grants.iter().map(|grant| grant.updated_at).chain([entitlement.updated_at]);
        Ok(MeterBalance {
            id: entitlement.id,
            meter: meter.id,
            customer: entitlement.customer,
            credited: balance.plus(consumed).map_err(fits)?,
            consumed,
            balance,
            created_at: used.map_or(entitlement.created_at, |used| used.first.min(entitlement.created_at)),
            updated_at: changes.chain(used.map(|used| used.last)).max().unwrap_or(entitlement.updated_at),
            last_used_at: used.map(|used| used.last),
        })
    }

    /// What a customer used of a meter until now; `None` if nothing counts.
    pub(super) async fn used_by(
        &self,
        caller: &Caller,
        meter: &Meter,
        customer: &Customer,
    ) -> Result<Option<Used>, EngineError> {
        let owners = self.owners(caller.namespace(), customer).await?;
        if owners.is_empty() {
            return Ok(None);
        }
        let plan = AggregatePlan { customers: Some(owners), ..self.until_now(caller, meter) };
        let rows = self.read_events(move |events| events.aggregate(&plan)).await?;
        Ok(rows.first().map(Used::of))
    }

    /// What each customer used of a meter until now: one query by subject, and one more for those whose subjects do not add up.
    async fn used_by_all(&self, caller: &Caller, meter: &Meter) -> Result<BTreeMap<CustomerId, Used>, EngineError> {
        let plan = AggregatePlan { dimensions: vec![Dimension::Subject], ..self.until_now(caller, meter) };
        let by_subject = plan.clone();
        let rows = self.read_events(move |events| events.aggregate(&by_subject)).await?;
        let subjects = rows.iter().filter_map(|row| row.group.first().cloned());
        let owners = self.subject_owners(caller.namespace(), subjects).await?;
        let mut used: BTreeMap<CustomerId, Used> = BTreeMap::new();
        let mut together: BTreeSet<CustomerId> = BTreeSet::new();
        for row in &rows {
            let Some(owner) = row.group.first().and_then(|subject| owners.get(subject)) else { continue };
            let more = Used::of(row);
            let sum = match used.get(owner) {
                Some(known) => known.and(&more, meter.aggregation)?,
                None => Some(more),
            };
            match sum {
                Some(sum) => drop(used.insert(*owner, sum)),
                None => drop(together.insert(*owner)),
            }
        }
        if !together.is_empty() {
            let theirs = owners.into_iter().filter(|(_, owner)| together.contains(owner));
            let theirs = theirs.map(|(subject, owner)| (subject, owner.to_string())).collect();
            let plan =
                AggregatePlan { customers: Some(Arc::new(theirs)), dimensions: vec![Dimension::Customer], ..plan };
            for row in self.read_events(move |events| events.aggregate(&plan)).await? {
                let owner = row.group.first().and_then(|owner| CustomerId::parse(owner));
                used.extend(owner.map(|owner| (owner, Used::of(&row))));
            }
        }
        Ok(used)
    }

    fn until_now(&self, caller: &Caller, meter: &Meter) -> AggregatePlan {
        base_plan(caller, meter, None, Some(this_minute(self.clock().now())))
    }
}

/// The balance of a customer who was never credited anything.
fn without_credit(meter: &Meter, customer: CustomerId, used: Option<&Used>, given: &Given) -> MeterBalance {
    let consumed = used.map_or(Quantity::ZERO, |used| used.value);
    MeterBalance {
        id: own::balance_id(meter, customer, &given.taken),
        meter: meter.id,
        customer,
        credited: Quantity::ZERO,
        consumed,
        balance: consumed.negated(),
        created_at: used.map_or(meter.created_at, |used| used.first),
        updated_at: used.map_or(meter.created_at, |used| used.last),
        last_used_at: used.map(|used| used.last),
    }
}

/// Whether all usage that there ever was is taken from grants that all last: then what is left follows from two sums.
fn is_plain(holding: &Holding, until: Instant) -> bool {
    let Some((metered, periods)) = holding.entitlement.metered(Vec::new()) else { return false };
    let lasts = |grant: &Grant| {
        grant.expiration.is_none()
            && grant.recurrence.is_none()
            && grant.voided_at.is_none()
            && grant.active().contains(until)
    };
    metered.measured_from == Instant::MIN
        && metered.issue.is_none()
        && holding.resets.is_empty()
        && periods.containing(until).from == Instant::MIN
        && holding.grants.iter().all(lasts)
}

pub(super) fn too_many(most: usize) -> EngineError {
    EngineError::TooLarge(format!(
        "there are more than {most} balances (limits.query_groups): ask for those of a customer"
    ))
}
