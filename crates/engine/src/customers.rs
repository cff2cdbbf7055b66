//! Customers: create, list, get, replace, delete, and whose subjects are whose.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{EngineError, Fault};
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::customer::{Customer, CustomerDraft, CustomerFault};
use tallystick_domain::key::Scope;
use tallystick_domain::subject::Subject;
use tallystick_domain::{CustomerId, Namespace};
pub use tallystick_state_store::{CustomerListing, CustomerOrder, CustomerText};

/// A page of customers.
#[derive(Clone, Debug)]
pub struct CustomerPage {
    /// The customers of the page.
    pub customers: Vec<Customer>,
    /// How many there are on all pages.
    pub total: u64,
}

impl Engine {
    /// Creates a customer. Usage that came before is its as well: attribution happens when a query is made.
    pub async fn create_customer(&self, caller: &Caller, draft: CustomerDraft) -> Result<Customer, EngineError> {
        let id = self.new_customer_id()?;
        self.create_customer_as(caller, id, draft).await
    }

    /// An id that no customer has, for [`Engine::create_customer_as`].
    pub fn new_customer_id(&self) -> Result<CustomerId, EngineError> {
        let (time_ms, random) = self.id_parts()?;
        Ok(CustomerId::from_parts(time_ms, random))
    }

    /// As [`Engine::create_customer`], with an id that the caller knows before: it can be part of the draft.
    pub async fn create_customer_as(
        &self,
        caller: &Caller,
        id: CustomerId,
        draft: CustomerDraft,
    ) -> Result<Customer, EngineError> {
        caller.require(Scope::Admin)?;
        check_subjects_once(&draft)?;
        let customer = Customer::define(id, draft, self.clock().now()).map_err(invalid)?;
        let descriptions = self.descriptions_of(&customer)?;
        let losers = self.owner_of(caller.namespace(), customer.key.as_deref()).await?;
        self.state().insert_customer(caller.writer(), &customer, &descriptions).await?;
        losers.iter().for_each(|loser| self.checks().forget(caller.namespace(), loser));
        Ok(customer)
    }

    /// A page of customers.
    pub async fn list_customers(&self, caller: &Caller, listing: CustomerListing) -> Result<CustomerPage, EngineError> {
        caller.require(Scope::Read)?;
        let (customers, total) = self.state().list_customers(caller.namespace(), &listing).await?;
        Ok(CustomerPage { customers, total })
    }

    /// One customer: by id deleted ones too, by key live ones only.
    pub async fn get_customer(&self, caller: &Caller, id_or_key: &str) -> Result<Customer, EngineError> {
        caller.require(Scope::Read)?;
        self.find_customer(caller, id_or_key).await
    }

    /// Replaces a customer.
    pub async fn update_customer(
        &self,
        caller: &Caller,
        id_or_key: &str,
        draft: CustomerDraft,
    ) -> Result<Customer, EngineError> {
        caller.require(Scope::Admin)?;
        check_subjects_once(&draft)?;
        let stored = self.find_live_customer(caller, id_or_key).await?;
        let replaced = stored.replaced(draft, self.clock().now()).map_err(invalid)?;
        let descriptions = self.descriptions_of(&replaced)?;
        self.write_customer(caller, &stored, &replaced, &descriptions).await?;
        Ok(replaced)
    }

    /// Deletes a customer and frees its key and subjects; its usage stays.
    pub async fn delete_customer(&self, caller: &Caller, id_or_key: &str) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_live_customer(caller, id_or_key).await?;
        let now = self.clock().now();
        let deleted = Customer { deleted_at: Some(now), updated_at: now, ..stored.clone() };
        self.write_customer(caller, &stored, &deleted, &[]).await
    }

    /// Writes a changed customer. Usage by a key that it gave up or took may be another customer's now.
    async fn write_customer(
        &self,
        caller: &Caller,
        before: &Customer,
        after: &Customer,
        descriptions: &[Subject],
    ) -> Result<(), EngineError> {
        let ns = caller.namespace();
        let losers = self.owner_of(ns, after.key.as_deref()).await?;
        self.state().update_customer(caller.writer(), after, descriptions).await?;
        let winners = self.owner_of(ns, before.key.as_deref()).await?;
        let changed = losers.iter().chain(&winners).chain([before, after]);
        changed.for_each(|customer| self.checks().forget(ns, customer));
        Ok(())
    }

    /// Forgets a customer that was deleted. Usage by the key that it gave up may be another customer's now.
    pub(crate) async fn forget_customer(&self, ns: &Namespace, deleted: &Customer) -> Result<(), EngineError> {
        let winner = self.owner_of(ns, deleted.key.as_deref()).await?;
        winner.iter().chain([deleted]).for_each(|customer| self.checks().forget(ns, customer));
        Ok(())
    }

    /// The customer that an event subject belongs to, if there is one.
    pub(crate) async fn owner_of(
        &self,
        ns: &Namespace,
        subject: Option<&str>,
    ) -> Result<Option<Customer>, EngineError> {
        let Some(subject) = subject else { return Ok(None) };
        match self.state().find_subject_owner(ns, subject).await? {
            Some(owner) => Ok(self.state().get_customer(ns, owner).await?),
            None => Ok(None),
        }
    }

    pub(crate) async fn find_customer(&self, caller: &Caller, id_or_key: &str) -> Result<Customer, EngineError> {
        let namespace = caller.namespace();
        if let Some(found) = self.state().find_customer(namespace, id_or_key).await? {
            return Ok(found);
        }
        let missing = || EngineError::NotFound { what: "customer", key: id_or_key.to_string() };
        let id = CustomerId::parse(id_or_key).ok_or_else(missing)?;
        self.state().get_customer(namespace, id).await?.ok_or_else(missing)
    }

    pub(crate) async fn find_live_customer(&self, caller: &Caller, id_or_key: &str) -> Result<Customer, EngineError> {
        let found = self.find_customer(caller, id_or_key).await?;
        if found.deleted_at.is_some() {
            return Err(EngineError::Gone(format!("customer {} is deleted", found.id)));
        }
        Ok(found)
    }

    /// The live customers with these ids; `Err` holds the ids that are none.
    pub(crate) async fn live_customers(
        &self,
        namespace: &Namespace,
        ids: &[String],
    ) -> Result<Result<Vec<Customer>, Vec<String>>, EngineError> {
        let (mut found, mut unknown) = (Vec::new(), Vec::new());
        for text in ids {
            let stored = match CustomerId::parse(text) {
                Some(id) => self.state().get_customer(namespace, id).await?,
                None => None,
            };
            match stored.filter(|customer| customer.deleted_at.is_none()) {
                Some(customer) => found.push(customer),
                None => unknown.push(text.clone()),
            }
        }
        Ok(if unknown.is_empty() { Ok(found) } else { Err(unknown) })
    }

    /// The event subjects of these customers with all their aliases, and whose they are. A subject that is another customer's key
    /// is not theirs, so that no event is counted for two customers.
    pub(crate) async fn owned_subjects(
        &self,
        namespace: &Namespace,
        customers: &[Customer],
    ) -> Result<BTreeMap<String, String>, EngineError> {
        let wanted: BTreeSet<CustomerId> = customers.iter().map(|customer| customer.id).collect();
        let mut subjects: Vec<String> =
            customers.iter().flat_map(Customer::event_subjects).map(str::to_string).collect();
        let aliases = self.state().aliases_of(namespace, subjects.clone()).await?;
        subjects.extend(aliases.into_iter().map(|alias| alias.name));
        let owners = self.subject_owners(namespace, subjects).await?;
        let owned = owners.into_iter().filter(|(_, owner)| wanted.contains(owner));
        Ok(owned.map(|(subject, owner)| (subject, owner.to_string())).collect())
    }

    /// The live customers that these event subjects belong to.
    pub(crate) async fn subject_owners(
        &self,
        namespace: &Namespace,
        subjects: impl IntoIterator<Item = String>,
    ) -> Result<BTreeMap<String, CustomerId>, EngineError> {
        Ok(self.state().subject_owners(namespace, &subjects.into_iter().collect()).await?)
    }
}

fn check_subjects_once(draft: &CustomerDraft) -> Result<(), EngineError> {
    let mut seen = BTreeSet::new();
    match draft.subject_keys.iter().find(|subject| !seen.insert(subject.as_str())) {
        Some(twice) => Err(EngineError::Conflict(format!("the subject key {twice:?} is listed twice"))),
        None => Ok(()),
    }
}

pub(crate) fn invalid(faults: Vec<CustomerFault>) -> EngineError {
    EngineError::Invalid(faults.into_iter().map(|fault| Fault::new(fault.field, fault.message)).collect())
}
