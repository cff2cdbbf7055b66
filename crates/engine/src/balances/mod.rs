//! Balances of meters: what a customer was credited, less what it used.
//!
//! A balance is kept as everything else that limits use: a metered entitlement, with a grant for each credit. Credits make one for
//! the customer, to a feature that is made for the meter's balances alone ([`own`]); entitlements that were given in another way
//! are balances too when their feature measures all of the meter's usage. A customer who used a meter and was never credited
//! anything has a balance all the same: it follows from the usage, with the id that its entitlement will have.

mod own;
mod rows;

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{EngineError, Fault};
use crate::holdings::Holding;
use crate::meters::MeterRef;
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::customer::Customer;
use tallystick_domain::entitlement::{Entitlement, Grant, can_be_balanced};
use tallystick_domain::feature::Feature;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::Meter;
use tallystick_domain::{CustomerId, EntitlementId, GrantId, Instant, MeterId, Quantity};
use tallystick_state_store::{StateError, Writer};

/// How often a credit is tried again when something changes at the same time.
const ATTEMPTS: u32 = 5;

/// How a customer stands with a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterBalance {
    /// The id of the entitlement that it is, or will be with the first credit.
    pub id: EntitlementId,
    /// The meter.
    pub meter: MeterId,
    /// The customer.
    pub customer: CustomerId,
    /// What was credited.
    pub credited: Quantity,
    /// What was used; of an entitlement with usage periods, in the period of this moment.
    pub consumed: Quantity,
    /// What is left: `credited` less `consumed`, below zero when more was used.
    pub balance: Quantity,
    /// When it began: with the first usage or credit.
    pub created_at: Instant,
    /// When it last changed: with the last usage or credit.
    pub updated_at: Instant,
    /// The time of the last event that counts for it.
    pub last_used_at: Option<Instant>,
}

impl Engine {
    /// The balances of these meters, of all customers that were credited something or used something; in no order. One query of
    /// usage for each meter; [`EngineError::TooLarge`] beyond `limits.query_groups`.
    pub async fn list_balances(&self, caller: &Caller, meters: &[Meter]) -> Result<Vec<MeterBalance>, EngineError> {
        caller.require(Scope::Read)?;
        if meters.is_empty() {
            return Ok(Vec::new());
        }
        let given = self.given(caller.namespace(), meters, None).await?;
        let (mut balances, most) = (Vec::new(), self.config().limits.query_groups);
        for meter in meters {
            balances.extend(self.balances_of(caller, meter, &given).await?);
            if balances.len() > most {
                return Err(rows::too_many(most));
            }
        }
        Ok(balances)
    }

    /// One balance of a live meter by its id, with the meter.
    pub async fn get_balance(&self, caller: &Caller, id: EntitlementId) -> Result<(Meter, MeterBalance), EngineError> {
        caller.require(Scope::Read)?;
        let ns = caller.namespace();
        if let Some(stored) = self.state().get_entitlement(ns, id).await? {
            return self.stored_balance(caller, stored).await;
        }
        let meters = self.state().list_meters(ns, false).await?;
        for meter in meters.into_iter().filter(|meter| own::can_be_of(meter, id)) {
            let given = self.given(ns, std::slice::from_ref(&meter), None).await?;
            let mut balances = self.balances_of(caller, &meter, &given).await?.into_iter();
            if let Some(found) = balances.find(|balance| balance.id == id) {
                return Ok((meter, found));
            }
        }
        Err(missing(id))
    }

    /// How a live customer stands with a live meter; a customer without usage and credits has nothing.
    pub async fn customer_balance(
        &self,
        caller: &Caller,
        meter: &MeterRef,
        customer: &str,
    ) -> Result<MeterBalance, EngineError> {
        caller.require(Scope::Read)?;
        let meter = self.find_live_meter(caller, meter).await?;
        let customer = self.find_live_customer(caller, customer).await?;
        self.balance_of_customer(caller, &meter, &customer).await
    }

    /// Credits a live customer with an amount of a live meter's units, for good. It pays for what was used before, too.
    pub async fn credit(
        &self,
        caller: &Caller,
        meter: &MeterRef,
        customer: &str,
        amount: Quantity,
        labels: BTreeMap<String, String>,
    ) -> Result<MeterBalance, EngineError> {
        caller.require(Scope::Admin)?;
        let meter = self.find_live_meter(caller, meter).await?;
        let customer = self.find_live_customer(caller, customer).await?;
        if !can_be_balanced(meter.aggregation) {
            let message = format!(
                "the meter {} gives {}, which goes down without anything being given back, so nothing can be credited for it",
                meter.slug,
                meter.aggregation.as_str()
            );
            return Err(EngineError::invalid("meter", message));
        }
        for _ in 0..ATTEMPTS {
            if self.try_to_credit(caller, &meter, &customer, (amount, labels.clone())).await? {
                self.checks().forget(caller.namespace(), &customer);
                return self.balance_of_customer(caller, &meter, &customer).await;
            }
        }
        Err(EngineError::Conflict("the balance was changed at the same time: send the request again".into()))
    }

    /// Deletes a meter with what was made for its balances; [`EngineError::Conflict`] while anything else needs it.
    pub async fn delete_meter_with_balances(&self, caller: &Caller, meter: &MeterRef) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_live_meter(caller, meter).await?;
        let now = self.clock().now();
        let own: Vec<_> = own::feature_ids(&stored).collect();
        let deleted = Meter { deleted_at: Some(now), updated_at: now, ..stored };
        self.state().delete_meter_with(caller.writer(), &deleted, &own).await?;
        self.judges().forget(caller.namespace());
        self.checks().forget_all(caller.namespace());
        Ok(())
    }

    /// Deletes a customer with what was made for its balances; [`EngineError::Conflict`] while it has other entitlements.
    pub async fn delete_customer_with_balances(&self, caller: &Caller, customer: &str) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_live_customer(caller, customer).await?;
        let (ns, now) = (caller.namespace(), self.clock().now());
        let mut own = Vec::new();
        for entitlement in self.state().entitlements_of(ns, stored.id).await? {
            if entitlement.deleted_at.is_none()
                && let Some((feature, meter)) = self.measured_feature(caller, &entitlement).await?
                && own::is_own(&meter, feature.id)
            {
                own.push(entitlement.id);
            }
        }
        let deleted = Customer { deleted_at: Some(now), updated_at: now, ..stored.clone() };
        self.state().delete_customer_with(caller.writer(), &deleted, &own).await?;
        self.forget_customer(ns, &stored).await
    }

    /// Gives a grant, with an entitlement where there is none; `false` when something changed at the same time.
    async fn try_to_credit(
        &self,
        caller: &Caller,
        meter: &Meter,
        customer: &Customer,
        (amount, labels): (Quantity, BTreeMap<String, String>),
    ) -> Result<bool, EngineError> {
        let (ns, now) = (caller.namespace(), self.clock().now());
        let given = self.given(ns, std::slice::from_ref(meter), Some(customer.id)).await?;
        let draft = own::grant_draft(amount, labels, now);
        let (time_ms, random) = self.id_parts()?;
        let grant_id = GrantId::from_parts(time_ms, random);
        if let Some(holding) = given.of(meter, customer.id).first() {
            let (_, periods) = holding.metered()?;
            let grant = Grant::define(grant_id, holding.id(), &periods, draft, now).map_err(of_credit)?;
            return Ok(self.state().insert_grant(caller.writer(), &grant).await?);
        }
        let entitlement = self.new_balance(caller, meter, customer.id, &given.taken).await?;
        let Some(entitlement) = entitlement else { return Ok(false) };
        let (_, periods) = entitlement
            .metered(Vec::new())
            .ok_or_else(|| EngineError::Internal("a balance without usage periods".into()))?;
        let grant = Grant::define(grant_id, entitlement.id, &periods, draft, now).map_err(of_credit)?;
        match self.state().insert_entitlement(caller.writer(), &entitlement, &[grant]).await {
            Ok(()) => Ok(true),
            Err(StateError::Overlap { .. } | StateError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The entitlement for a customer's first credit, not stored yet; `None` when somebody made its feature at the same time.
    async fn new_balance(
        &self,
        caller: &Caller,
        meter: &Meter,
        customer: CustomerId,
        taken: &BTreeSet<EntitlementId>,
    ) -> Result<Option<Entitlement>, EngineError> {
        let Some(feature) = self.own_feature(caller, meter).await? else { return Ok(None) };
        let id = own::balance_id(meter, customer, taken);
        let draft = own::entitlement_draft().map_err(|error| EngineError::Internal(error.to_string()))?;
        let defined = Entitlement::define(id, customer, (&feature, Some(meter)), draft, self.clock().now())?;
        Ok(Some(defined))
    }

    /// The live feature that is made for a meter's balances; `None` when somebody else made it at the same time.
    async fn own_feature(&self, caller: &Caller, meter: &Meter) -> Result<Option<Feature>, EngineError> {
        let ns = caller.namespace();
        for id in own::feature_ids(meter) {
            match self.state().get_feature(ns, id).await? {
                Some(known) if known.archived_at.is_none() => return Ok(Some(known)),
                Some(_) => continue,
                None => {}
            }
            for draft in own::feature_drafts(meter, id) {
                let feature = Feature::define(id, draft, Some(meter), self.clock().now()).map_err(|faults| {
                    EngineError::Invalid(
                        faults.into_iter().map(|fault| Fault::new(fault.field, fault.message)).collect(),
                    )
                })?;
                // Not what the request stands for: made again it is the same, so no idempotency key is marked.
                match self.state().insert_feature(Writer::of(ns), &feature, Some(meter)).await {
                    Ok(()) => return Ok(Some(feature)),
                    Err(StateError::Conflict { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            return Ok(None);
        }
        let message = format!("the feature for balances of the meter {} was archived too often", meter.slug);
        Err(EngineError::Conflict(message))
    }

    async fn stored_balance(
        &self,
        caller: &Caller,
        entitlement: Entitlement,
    ) -> Result<(Meter, MeterBalance), EngineError> {
        let id = entitlement.id;
        if !entitlement.active().contains(self.clock().now()) || entitlement.metered(Vec::new()).is_none() {
            return Err(missing(id));
        }
        let measured = self.measured_feature(caller, &entitlement).await?;
        let is_whole = |(feature, meter): &(Feature, Meter)| own::is_whole(feature) && meter.deleted_at.is_none();
        let (_, meter) = measured.filter(is_whole).ok_or_else(|| missing(id))?;
        let (customer, holding): (_, Holding) = self.holding_of(caller.namespace(), entitlement).await?;
        let used = self.used_by(caller, &meter, &customer).await?;
        let balance = self.balance_of(caller, &meter, &holding, used.as_ref()).await?;
        Ok((meter, balance))
    }

    /// The feature of an entitlement and its meter, if it has one.
    async fn measured_feature(
        &self,
        caller: &Caller,
        entitlement: &Entitlement,
    ) -> Result<Option<(Feature, Meter)>, EngineError> {
        let ns = caller.namespace();
        let Some(feature) = self.state().get_feature(ns, entitlement.feature).await? else { return Ok(None) };
        let meter = self.meter_of(ns, &feature).await?;
        Ok(meter.map(|meter| (feature, meter)))
    }
}

/// The faults of a grant, in the words of a credit.
fn of_credit(faults: Vec<tallystick_domain::entitlement::EntitlementFault>) -> EngineError {
    EngineError::Invalid(
        faults
            .into_iter()
            .map(|fault| Fault { code: Some(fault.code), ..Fault::new(fault.field, fault.message) })
            .collect(),
    )
}

fn missing(id: EntitlementId) -> EngineError {
    EngineError::NotFound { what: "balance", key: id.to_string() }
}
