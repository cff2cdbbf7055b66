//! Grants: give, list, void.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::entitlements::pick;
use crate::error::EngineError;
use crate::holdings::Holdings;
use tallystick_domain::entitlement::{Grant, GrantDraft};
use tallystick_domain::key::Scope;
use tallystick_domain::{CustomerId, GrantId, Instant};
pub use tallystick_state_store::GrantOrder;

/// Which grants to list.
#[derive(Clone, Debug, Default)]
pub struct GrantListing {
    /// Only those of entitlements to these features, by id or key; all when empty.
    pub features: Vec<String>,
    /// Only those of these customers, by id or key, which must be there; all when empty.
    pub customers: Vec<String>,
    /// Only those of customers of these event subjects; all when empty.
    pub subjects: Vec<String>,
    /// Deleted ones too.
    pub include_deleted: bool,
    /// What to sort by; ties are sorted by id.
    pub order: GrantOrder,
    /// Largest first.
    pub descending: bool,
    /// How many to skip.
    pub offset: u32,
    /// How many to give at most.
    pub limit: u32,
}

/// A page of grants.
#[derive(Clone, Debug)]
pub struct GrantPage {
    /// The grants of the page.
    pub grants: Vec<Grant>,
    /// How many there are on all pages.
    pub total: u64,
}

impl Engine {
    /// Gives a grant to a metered entitlement of a live customer.
    pub async fn create_grant(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        draft: GrantDraft,
    ) -> Result<Grant, EngineError> {
        caller.require(Scope::Admin)?;
        let now = self.clock().now();
        let Holdings { customer, holdings } = self.live_holdings(caller, customer).await?;
        let holding = pick(&holdings, id_or_feature, now)?;
        let (_, periods) = holding.metered()?;
        let (time_ms, random) = self.id_parts()?;
        let grant = Grant::define(GrantId::from_parts(time_ms, random), holding.id(), &periods, draft, now)?;
        if !self.state().insert_grant(caller.writer(), &grant).await? {
            let message = format!("entitlement {} was deleted at the same time", holding.id());
            return Err(EngineError::Conflict(message));
        }
        self.checks().forget(caller.namespace(), &customer);
        Ok(grant)
    }

    /// The grants of an entitlement of a live customer.
    pub async fn entitlement_grants(
        &self,
        caller: &Caller,
        customer: &str,
        id_or_feature: &str,
        listing: GrantListing,
    ) -> Result<GrantPage, EngineError> {
        caller.require(Scope::Read)?;
        let Holdings { holdings, .. } = self.live_holdings(caller, customer).await?;
        let holding = pick(&holdings, id_or_feature, self.clock().now())?;
        holding.metered()?;
        let listing = tallystick_state_store::GrantListing { entitlement: Some(holding.id()), ..stored(listing) };
        let (grants, total) = self.state().list_grants(caller.namespace(), &listing).await?;
        Ok(GrantPage { grants, total })
    }

    /// A page of the grants of all entitlements.
    pub async fn list_grants(&self, caller: &Caller, listing: GrantListing) -> Result<GrantPage, EngineError> {
        caller.require(Scope::Read)?;
        let ns = caller.namespace();
        let customers = if listing.customers.is_empty() && listing.subjects.is_empty() {
            None
        } else {
            let mut ids: Vec<CustomerId> = Vec::new();
            for name in &listing.customers {
                ids.push(self.find_customer(caller, name).await?.id);
            }
            ids.extend(self.subject_owners(ns, listing.subjects.iter().cloned()).await?.into_values());
            Some(ids)
        };
        let listing = tallystick_state_store::GrantListing { customers, ..stored(listing) };
        let (grants, total) = self.state().list_grants(ns, &listing).await?;
        Ok(GrantPage { grants, total })
    }

    /// Voids a grant: from a moment on, now by default, nothing is burned from it. What was burned stays burned.
    pub async fn void_grant(&self, caller: &Caller, id: &str, at: Option<Instant>) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let (ns, now) = (caller.namespace(), self.clock().now());
        let missing = || EngineError::NotFound { what: "grant", key: id.to_string() };
        let grant = self.state().get_grant(ns, GrantId::parse(id).ok_or_else(missing)?).await?;
        let grant = grant.filter(|grant| grant.deleted_at.is_none()).ok_or_else(missing)?;
        let entitlement = self.state().get_entitlement(ns, grant.entitlement).await?.ok_or_else(missing)?;
        let (customer, holding) = self.holding_of(ns, entitlement).await?;
        let (_, periods) = holding.metered()?;
        let voided = grant.voided(at, &periods, now)?;
        let voided_at = voided.voided_at.unwrap_or(now);
        if !self.state().void_grant(caller.writer(), grant.id, voided_at, now).await? {
            return Err(EngineError::Conflict(format!("grant {id} was voided at the same time")));
        }
        self.checks().forget(ns, &customer);
        Ok(())
    }
}

fn stored(listing: GrantListing) -> tallystick_state_store::GrantListing {
    tallystick_state_store::GrantListing {
        entitlement: None,
        customers: None,
        features: listing.features,
        include_deleted: listing.include_deleted,
        order: listing.order,
        descending: listing.descending,
        offset: listing.offset,
        limit: listing.limit,
    }
}
