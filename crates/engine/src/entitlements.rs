//! Entitlements: give, override, list, get, delete, and start a new usage period.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::holdings::{Holding, Holdings};
use std::collections::BTreeMap;
use std::sync::Arc;
use tallystick_domain::customer::Customer;
use tallystick_domain::entitlement::{
    Entitlement, EntitlementDraft, EntitlementFault, Grant, GrantDraft, KindName, Reset, ResetDraft,
};
use tallystick_domain::feature::Feature;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::Meter;
use tallystick_domain::time::Period;
use tallystick_domain::{CustomerId, EntitlementId, GrantId, Instant, Namespace};

/// The most grants that are given together with an entitlement.
const MAX_GRANTS: usize = 1000;

/// An entitlement with what belongs to it at this moment.
#[derive(Clone, Debug)]
pub struct EntitlementView {
    /// The entitlement as it is kept.
    pub entitlement: Entitlement,
    /// Whose it is.
    pub customer: Arc<Customer>,
    /// The usage period of this moment, if it has usage periods.
    pub current_period: Option<Period>,
    /// The last reset that somebody asked for, or when measuring began; of a metered one.
    pub last_reset: Option<Instant>,
}

/// The feature of a new entitlement; the id is looked at first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureRef {
    /// Its id.
    pub id: Option<String>,
    /// Its key.
    pub key: Option<String>,
}

/// Which entitlements to list.
#[derive(Clone, Debug, Default)]
pub struct EntitlementListing {
    /// Only those of these customers and of those in `customer_keys`, by id; all when both are empty. Unknown ones have none.
    pub customer_ids: Vec<String>,
    /// Customers by key.
    pub customer_keys: Vec<String>,
    /// Customers by an event subject that is theirs.
    pub subjects: Vec<String>,
    /// Only those to these features, by id or key; all when empty.
    pub features: Vec<String>,
    /// Only those of these kinds; all when empty.
    pub kinds: Vec<KindName>,
    /// Only those that are in force now.
    pub exclude_inactive: bool,
    /// Deleted ones too, as if they were in force.
    pub include_deleted: bool,
    /// Sorted by the last change instead of the creation; ties are sorted by id.
    pub by_update: bool,
    /// Largest first.
    pub descending: bool,
    /// How many to skip.
    pub offset: u32,
    /// How many to give at most.
    pub limit: u32,
}

/// A page of entitlements.
#[derive(Clone, Debug)]
pub struct EntitlementPage {
    /// The entitlements of the page.
    pub entitlements: Vec<EntitlementView>,
    /// How many there are on all pages.
    pub total: u64,
}

impl Engine {
    /// Gives a live customer an entitlement to a live feature, and grants with it; all of it or nothing.
    pub async fn create_entitlement(
        &self,
        caller: &Caller,
        customer: &str,
        feature: &FeatureRef,
        draft: EntitlementDraft,
        grants: Vec<GrantDraft>,
    ) -> Result<EntitlementView, EngineError> {
        caller.require(Scope::Admin)?;
        let customer = self.find_live_customer(caller, customer).await?;
        let now = self.clock().now();
        let (entitlement, grants) = self.define(caller, &customer, feature, draft, (grants, now)).await?;
        self.state().insert_entitlement(caller.writer(), &entitlement, &grants).await?;
        self.checks().forget(caller.namespace(), &customer);
        Ok(view(entitlement, Arc::new(customer), Vec::new(), now))
    }

    /// Ends the entitlement that is in force and begins another one to the same feature at the same moment. Grants stay behind.
    pub async fn override_entitlement(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        feature: &FeatureRef,
        draft: EntitlementDraft,
        grants: Vec<GrantDraft>,
    ) -> Result<EntitlementView, EngineError> {
        caller.require(Scope::Admin)?;
        let now = self.clock().now();
        let Holdings { customer, holdings } = self.live_holdings(caller, customer).await?;
        let ended = pick(&holdings, id_or_feature, now)?;
        if !ended.entitlement.active().contains(now) {
            let message = format!("entitlement {} is not in force any more, so nothing can take its place", ended.id());
            return Err(EngineError::Conflict(message));
        }
        let (entitlement, grants) = self.define(caller, &customer, feature, draft, (grants, now)).await?;
        if entitlement.feature_key != ended.entitlement.feature_key {
            let message = format!(
                "the entitlement is to feature {}, so what takes its place must be too",
                ended.entitlement.feature_key
            );
            return Err(EngineError::invalid("featureKey", message));
        }
        let replaced = self.state().replace_entitlement(caller.writer(), &ended.entitlement, &entitlement, &grants);
        if !replaced.await? {
            return Err(EngineError::Conflict(format!("entitlement {} was ended at the same time", ended.id())));
        }
        self.checks().forget(caller.namespace(), &customer);
        Ok(view(entitlement, customer, Vec::new(), now))
    }

    /// The entitlements of a live customer that are in force.
    pub async fn customer_entitlements(
        &self,
        caller: &Caller,
        customer: &str,
        listing: EntitlementListing,
    ) -> Result<EntitlementPage, EngineError> {
        caller.require(Scope::Read)?;
        let customer = self.find_live_customer(caller, customer).await?;
        let ids = vec![customer.id.to_string()];
        let listing = EntitlementListing { customer_ids: ids, exclude_inactive: true, ..listing };
        self.entitlement_page(caller.namespace(), listing).await
    }

    /// A page of the entitlements of all customers.
    pub async fn list_entitlements(
        &self,
        caller: &Caller,
        listing: EntitlementListing,
    ) -> Result<EntitlementPage, EngineError> {
        caller.require(Scope::Read)?;
        self.entitlement_page(caller.namespace(), listing).await
    }

    /// One entitlement by id, unless it was deleted.
    pub async fn get_entitlement(&self, caller: &Caller, id: &str) -> Result<EntitlementView, EngineError> {
        caller.require(Scope::Read)?;
        let (customer, holding) = self.holding_by_id(caller.namespace(), id).await?;
        Ok(view(holding.entitlement, customer, holding.resets, self.clock().now()))
    }

    /// One entitlement of a live customer, by its id or by its feature.
    pub async fn get_customer_entitlement(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
    ) -> Result<EntitlementView, EngineError> {
        caller.require(Scope::Read)?;
        let now = self.clock().now();
        let Holdings { customer, mut holdings } = self.live_holdings(caller, customer).await?;
        let Holding { entitlement, resets, .. } = holdings.swap_remove(place(&holdings, id_or_feature, now)?);
        Ok(view(entitlement, customer, resets, now))
    }

    /// Deletes an entitlement of a live customer with its grants.
    pub async fn delete_customer_entitlement(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
    ) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let now = self.clock().now();
        let Holdings { customer, holdings } = self.live_holdings(caller, customer).await?;
        let id = pick(&holdings, id_or_feature, now)?.id();
        if !self.state().delete_entitlement(caller.writer(), id, now).await? {
            return Err(missing(id_or_feature));
        }
        self.checks().forget(caller.namespace(), &customer);
        Ok(())
    }

    /// Ends the usage period of a metered entitlement and begins another one.
    pub async fn reset_entitlement(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        draft: ResetDraft,
    ) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let now = self.clock().now();
        let Holdings { customer, mut holdings } = self.live_holdings(caller, customer).await?;
        let holding = holdings.swap_remove(place(&holdings, id_or_feature, now)?);
        // One after the other, so that each is compared with the one before.
        let _alone = self.checks().held.line(holding.id()).lock().await;
        let resets = self.state().resets_of(caller.namespace(), [holding.id()]).await?.remove(&holding.id());
        let holding = Holding { resets: resets.unwrap_or_default(), ..holding };
        let (_, periods) = holding.metered()?;
        let reset = periods.reset(draft, now)?;
        self.state().insert_reset(caller.writer(), holding.id(), &reset, now).await?;
        self.checks().forget(caller.namespace(), &customer);
        Ok(())
    }

    /// The live customer that an event subject belongs to, by the subject's key or the id of its description.
    pub async fn customer_of_subject(&self, caller: &Caller, subject: &str) -> Result<Customer, EngineError> {
        caller.require(Scope::Read)?;
        let ns = caller.namespace();
        let mut key = subject.to_owned();
        let mut owner = self.state().find_subject_owner(ns, &key).await?;
        if owner.is_none() {
            let described = self.find_subject(caller, subject).await?;
            if described.deleted_at.is_some() {
                return Err(EngineError::Gone(format!("subject {subject} is deleted")));
            }
            key = described.key;
            owner = self.state().find_subject_owner(ns, &key).await?;
        }
        let customer = match owner {
            Some(id) => self.state().get_customer(ns, id).await?,
            None => None,
        };
        customer.ok_or_else(|| {
            EngineError::Gone(format!("subject {key} belongs to no customer: add it to a customer's subjects first"))
        })
    }

    async fn entitlement_page(
        &self,
        ns: &Namespace,
        listing: EntitlementListing,
    ) -> Result<EntitlementPage, EngineError> {
        let now = self.clock().now();
        let customers = self.customers_named(ns, &listing).await?;
        let wanted = tallystick_state_store::EntitlementListing {
            customers,
            features: listing.features,
            kinds: listing.kinds,
            active_at: listing.exclude_inactive.then_some(now),
            include_deleted: listing.include_deleted,
            by_update: listing.by_update,
            descending: listing.descending,
            offset: listing.offset,
            limit: listing.limit,
        };
        let (found, total) = self.state().list_entitlements(ns, &wanted).await?;
        let customers = self.state().customers_with_ids(ns, found.iter().map(|one| one.customer)).await?;
        let customers: BTreeMap<_, _> = customers.into_iter().map(|one| (one.id, Arc::new(one))).collect();
        let mut resets = self.state().resets_of(ns, found.iter().map(|one| one.id)).await?;
        let entitlements = found.into_iter().map(|one| {
            let customer = customers.get(&one.customer).ok_or_else(|| no_customer(&one))?;
            let resets = resets.remove(&one.id).unwrap_or_default();
            Ok(view(one, Arc::clone(customer), resets, now))
        });
        Ok(EntitlementPage { entitlements: entitlements.collect::<Result<_, EngineError>>()?, total })
    }

    /// The customers that a listing names; `None` if it names none.
    async fn customers_named(
        &self,
        ns: &Namespace,
        listing: &EntitlementListing,
    ) -> Result<Option<Vec<CustomerId>>, EngineError> {
        let named = [&listing.customer_ids, &listing.customer_keys, &listing.subjects];
        if named.iter().all(|names| names.is_empty()) {
            return Ok(None);
        }
        let mut ids: Vec<_> = listing.customer_ids.iter().filter_map(|text| CustomerId::parse(text)).collect();
        let by_key = self.state().customers_with_keys(ns, listing.customer_keys.clone()).await?;
        ids.extend(by_key.iter().map(|customer| customer.id));
        ids.extend(self.subject_owners(ns, listing.subjects.iter().cloned()).await?.into_values());
        Ok(Some(ids))
    }

    /// Checks a new entitlement and its grants.
    async fn define(
        &self,
        caller: &Caller,
        customer: &Customer,
        feature: &FeatureRef,
        draft: EntitlementDraft,
        (grants, now): (Vec<GrantDraft>, Instant),
    ) -> Result<(Entitlement, Vec<Grant>), EngineError> {
        let feature = self.feature_to_give(caller, feature).await?;
        let meter = self.meter_of(caller.namespace(), &feature).await?;
        let (time_ms, random) = self.id_parts()?;
        let id = EntitlementId::from_parts(time_ms, random);
        let entitlement = Entitlement::define(id, customer.id, (&feature, meter.as_ref()), draft, now)?;
        let issued = entitlement.issued_grant(GrantId::from_parts(time_ms, random));
        if issued.is_some() && !grants.is_empty() {
            let message = "an entitlement is created with an amount for each period or with grants, not with both";
            return Err(EngineError::invalid("grants", message));
        }
        if grants.is_empty() {
            return Ok((entitlement, issued.into_iter().collect()));
        }
        if grants.len() > MAX_GRANTS {
            let message = format!("at most {MAX_GRANTS} grants are created with an entitlement");
            return Err(EngineError::TooLarge(message));
        }
        let (_, periods) = entitlement.metered(Vec::new()).ok_or_else(|| not_metered(&entitlement))?;
        let ids = (0..).map(|number| GrantId::from_parts(time_ms, random.wrapping_add(number)));
        let (mut defined, mut faults): (Vec<Grant>, Vec<EntitlementFault>) = (Vec::new(), Vec::new());
        for (id, draft) in ids.zip(grants) {
            match Grant::define(id, entitlement.id, &periods, draft, now) {
                Ok(grant) => defined.push(grant),
                Err(found) => faults.extend(found),
            }
        }
        if faults.is_empty() { Ok((entitlement, defined)) } else { Err(faults.into()) }
    }

    async fn feature_to_give(&self, caller: &Caller, feature: &FeatureRef) -> Result<Feature, EngineError> {
        match (&feature.id, &feature.key) {
            (Some(id), _) => self.find_feature(caller, id).await,
            (None, Some(key)) => self.find_feature(caller, key).await,
            (None, None) => Err(EngineError::invalid("featureKey", "featureKey or featureId is required")),
        }
    }

    /// The meter of a feature, deleted ones too.
    pub(crate) async fn meter_of(&self, ns: &Namespace, feature: &Feature) -> Result<Option<Meter>, EngineError> {
        match &feature.meter {
            Some(meter) => Ok(self.state().get_meter(ns, meter.id).await?),
            None => Ok(None),
        }
    }
}

/// An entitlement as callers see it.
fn view(entitlement: Entitlement, customer: Arc<Customer>, resets: Vec<Reset>, now: Instant) -> EntitlementView {
    let periods = entitlement.metered(resets).map(|(_, periods)| periods);
    let plain = || entitlement.usage_period.map(|recurrence| recurrence.period_of(now));
    let current_period = periods.as_ref().map(|periods| periods.containing(now)).or_else(plain);
    let last_reset = periods.map(|periods| periods.last_reset(now));
    EntitlementView { entitlement, customer, current_period, last_reset }
}

/// The place of the entitlement with this id that was not deleted, else of the one to this feature that is in force at a moment.
pub(crate) fn place(holdings: &[Holding], id_or_feature: &str, at: Instant) -> Result<usize, EngineError> {
    find(holdings, id_or_feature, at).ok_or_else(|| missing(id_or_feature))
}

/// As [`place`]; `None` if there is none.
pub(crate) fn find(holdings: &[Holding], id_or_feature: &str, at: Instant) -> Option<usize> {
    let id = EntitlementId::parse(id_or_feature);
    let by_id = |holding: &Holding| Some(holding.id()) == id && holding.entitlement.deleted_at.is_none();
    let by_feature = |holding: &Holding| {
        let entitlement = &holding.entitlement;
        let is_it = entitlement.feature_key == id_or_feature || entitlement.feature.to_string() == id_or_feature;
        is_it && entitlement.active().contains(at)
    };
    holdings.iter().position(by_id).or_else(|| holdings.iter().position(by_feature))
}

pub(crate) fn pick<'h>(holdings: &'h [Holding], id_or_feature: &str, at: Instant) -> Result<&'h Holding, EngineError> {
    Ok(&holdings[place(holdings, id_or_feature, at)?])
}

pub(crate) fn missing(id_or_feature: &str) -> EngineError {
    EngineError::NotFound { what: "entitlement", key: id_or_feature.to_string() }
}

pub(crate) fn not_metered(entitlement: &Entitlement) -> EngineError {
    let kind = entitlement.kind_name().as_str();
    EngineError::invalid("type", format!("entitlement {} is {kind}: only metered ones have this", entitlement.id))
}

fn no_customer(entitlement: &Entitlement) -> EngineError {
    EngineError::Internal(format!("the customer of entitlement {} is not stored", entitlement.id))
}
