//! What a customer holds: entitlements with their grants and resets, read together.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::entitlements::{missing, not_metered};
use crate::error::EngineError;
use std::collections::BTreeMap;
use std::sync::Arc;
use tallystick_domain::customer::Customer;
use tallystick_domain::entitlement::{Entitlement, Grant, Metered, Reset, UsagePeriods};
use tallystick_domain::{EntitlementId, Namespace};

/// An entitlement, its grants and the resets that somebody asked for.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    pub entitlement: Entitlement,
    pub grants: Vec<Grant>,
    pub resets: Vec<Reset>,
}

/// All that a customer holds or held.
pub(crate) struct Holdings {
    pub customer: Arc<Customer>,
    pub holdings: Vec<Holding>,
}

impl Holding {
    pub fn id(&self) -> EntitlementId {
        self.entitlement.id
    }

    /// What is particular to a metered one, and its usage periods.
    pub fn metered(&self) -> Result<(&Metered, UsagePeriods), EngineError> {
        self.entitlement.metered(self.resets.clone()).ok_or_else(|| not_metered(&self.entitlement))
    }
}

impl Engine {
    /// What a live customer holds, by id or key of the customer.
    pub(crate) async fn live_holdings(&self, caller: &Caller, customer: &str) -> Result<Holdings, EngineError> {
        let customer = self.find_live_customer(caller, customer).await?;
        self.holdings_of(caller.namespace(), Arc::new(customer)).await
    }

    /// What a customer holds.
    pub(crate) async fn holdings_of(&self, ns: &Namespace, customer: Arc<Customer>) -> Result<Holdings, EngineError> {
        let entitlements = self.state().entitlements_of(ns, customer.id).await?;
        if entitlements.is_empty() {
            return Ok(Holdings { customer, holdings: Vec::new() });
        }
        let mut grants: BTreeMap<EntitlementId, Vec<Grant>> = BTreeMap::new();
        for grant in self.state().grants_of_customer(ns, customer.id).await? {
            grants.entry(grant.entitlement).or_default().push(grant);
        }
        let mut resets = self.state().resets_of(ns, entitlements.iter().map(|one| one.id)).await?;
        let holding = |entitlement: Entitlement| Holding {
            grants: grants.remove(&entitlement.id).unwrap_or_default(),
            resets: resets.remove(&entitlement.id).unwrap_or_default(),
            entitlement,
        };
        Ok(Holdings { customer, holdings: entitlements.into_iter().map(holding).collect() })
    }

    /// The entitlement with this id and its customer, unless it was deleted.
    pub(crate) async fn holding_by_id(
        &self,
        ns: &Namespace,
        id: &str,
    ) -> Result<(Arc<Customer>, Holding), EngineError> {
        let found = match EntitlementId::parse(id) {
            Some(id) => self.state().get_entitlement(ns, id).await?,
            None => None,
        };
        let entitlement = found.filter(|one| one.deleted_at.is_none()).ok_or_else(|| missing(id))?;
        self.holding_of(ns, entitlement).await
    }

    /// An entitlement with what belongs to it, and its customer.
    pub(crate) async fn holding_of(
        &self,
        ns: &Namespace,
        entitlement: Entitlement,
    ) -> Result<(Arc<Customer>, Holding), EngineError> {
        let customer = self.state().get_customer(ns, entitlement.customer).await?;
        let customer = customer.ok_or_else(|| {
            EngineError::Internal(format!("the customer of entitlement {} is not stored", entitlement.id))
        })?;
        let grants = self.state().grants_of(ns, entitlement.id).await?;
        let resets = self.state().resets_of(ns, [entitlement.id]).await?.remove(&entitlement.id).unwrap_or_default();
        Ok((Arc::new(customer), Holding { entitlement, grants, resets }))
    }
}
