//! The access of many customers to many features at once. What it costs grows with the answer.

use crate::balance::Access;
use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::features::{FeatureListing, FeatureText};
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::customer::Customer;
use tallystick_domain::key::Scope;
use tallystick_domain::search::TextCondition;
use tallystick_domain::{CustomerId, Instant, Namespace};

/// The most features of a namespace that a query without features asks for.
const MAX_FEATURES: u32 = 10_000;

/// Whose access is asked for.
#[derive(Clone, Debug)]
pub struct AccessQuery {
    /// Keys of customers, or event subjects that are theirs.
    pub customers: Vec<String>,
    /// Keys of features; all live ones if absent.
    pub features: Option<Vec<String>>,
    /// How many customers to answer for at most.
    pub size: usize,
    /// Where the page begins or ends.
    pub place: PagePlace,
}

/// Where a page is. Customers are ordered by the second of their creation and then by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PagePlace {
    /// At the beginning.
    #[default]
    First,
    /// Behind a customer.
    After(Instant, CustomerId),
    /// Before a customer.
    Before(Instant, CustomerId),
}

/// The answer.
#[derive(Clone, Debug)]
pub struct AccessPage {
    /// The customers of the page.
    pub rows: Vec<CustomerAccess>,
    /// Names that no live customer has.
    pub unknown: Vec<String>,
    /// Whether there are customers before the page.
    pub has_previous: bool,
    /// Whether there are customers behind the page.
    pub has_next: bool,
}

/// The access of a customer.
#[derive(Clone, Debug)]
pub struct CustomerAccess {
    /// The names by which it was asked for.
    pub matched: Vec<String>,
    /// The customer.
    pub customer: Customer,
    /// By the key of the feature.
    pub features: BTreeMap<String, FeatureAccess>,
    /// The moment of which this is true.
    pub evaluated_at: Instant,
}

/// Whether a feature may be used, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureAccess {
    /// It may.
    Granted,
    /// Nothing is left.
    LimitReached,
    /// The customer has no entitlement to it that is in force.
    NotEntitled,
    /// There is no such live feature.
    NoSuchFeature,
}

impl Engine {
    /// Asks for the access of many customers.
    pub async fn query_access(&self, caller: &Caller, query: AccessQuery) -> Result<AccessPage, EngineError> {
        caller.require(Scope::Read)?;
        let ns = caller.namespace();
        let (mut found, unknown) = self.named(ns, &query.customers).await?;
        found.sort_by_key(|(customer, _)| place_of(customer));
        let (first, last) = part_of(&found, &query);
        let (has_previous, has_next) = (first > 0, last < found.len());
        let features = self.asked_features(ns, query.features).await?;
        let mut rows = Vec::new();
        for (customer, matched) in found.drain(first..last) {
            let access = self.check_all(caller, &customer.id.to_string()).await?;
            let features = features.iter().map(|(key, exists)| (key.clone(), judged(access.get(key), *exists)));
            rows.push(CustomerAccess { matched, features: features.collect(), customer, evaluated_at: self.now() });
        }
        Ok(AccessPage { rows, unknown, has_previous, has_next })
    }

    /// The live customers that these names mean, each with the names, and the names that mean none.
    async fn named(
        &self,
        ns: &Namespace,
        names: &[String],
    ) -> Result<(Vec<(Customer, Vec<String>)>, Vec<String>), EngineError> {
        let mut known: BTreeMap<String, CustomerId> = BTreeMap::new();
        let mut customers: BTreeMap<CustomerId, (Customer, Vec<String>)> = BTreeMap::new();
        for customer in self.state().customers_with_keys(ns, names.to_vec()).await? {
            known.extend(customer.key.clone().map(|key| (key, customer.id)));
            customers.insert(customer.id, (customer, Vec::new()));
        }
        let others: BTreeSet<_> = names.iter().filter(|name| !known.contains_key(*name)).cloned().collect();
        let owners = self.subject_owners(ns, others).await?;
        let missing = owners.values().filter(|id| !customers.contains_key(id)).copied().collect::<BTreeSet<_>>();
        for customer in self.state().customers_with_ids(ns, missing).await? {
            customers.insert(customer.id, (customer, Vec::new()));
        }
        known.extend(owners);
        let (mut unknown, mut seen) = (Vec::new(), BTreeSet::new());
        for name in names.iter().filter(|name| seen.insert(*name)) {
            match known.get(name).and_then(|id| customers.get_mut(id)) {
                Some((_, matched)) => matched.push(name.clone()),
                None => unknown.push(name.clone()),
            }
        }
        Ok((customers.into_values().collect(), unknown))
    }

    /// The features that are asked for, and whether each exists.
    async fn asked_features(
        &self,
        ns: &Namespace,
        keys: Option<Vec<String>>,
    ) -> Result<BTreeMap<String, bool>, EngineError> {
        let conditions = keys.iter().map(|keys| (FeatureText::Key, TextCondition::OneOf(keys.clone()))).collect();
        let listing = FeatureListing { conditions, limit: MAX_FEATURES, ..FeatureListing::default() };
        let (live, _) = self.state().list_features(ns, &listing).await?;
        let mut asked: BTreeMap<_, _> = keys.into_iter().flatten().map(|key| (key, false)).collect();
        asked.extend(live.into_iter().map(|feature| (feature.key, true)));
        Ok(asked)
    }
}

fn place_of(customer: &Customer) -> (i64, CustomerId) {
    (customer.created_at.as_micros().div_euclid(1_000_000), customer.id)
}

/// Which of the ordered customers are on the page.
fn part_of(found: &[(Customer, Vec<String>)], query: &AccessQuery) -> (usize, usize) {
    let before = |at: Instant, id| {
        let place = (at.as_micros().div_euclid(1_000_000), id);
        found.partition_point(|(customer, _)| place_of(customer) < place)
    };
    let is_at = |index: usize, id| found.get(index).is_some_and(|(customer, _)| customer.id == id);
    match query.place {
        PagePlace::First => (0, query.size.min(found.len())),
        PagePlace::After(at, id) => {
            let first = before(at, id);
            let first = first + usize::from(is_at(first, id));
            (first, (first + query.size).min(found.len()))
        }
        PagePlace::Before(at, id) => {
            let last = before(at, id);
            (last.saturating_sub(query.size), last)
        }
    }
}

fn judged(access: Option<&Access>, exists: bool) -> FeatureAccess {
    match access {
        Some(access) if access.has_access() => FeatureAccess::Granted,
        Some(Access::Metered(_)) => FeatureAccess::LimitReached,
        Some(_) => FeatureAccess::NotEntitled,
        None if exists => FeatureAccess::NotEntitled,
        None => FeatureAccess::NoSuchFeature,
    }
}
