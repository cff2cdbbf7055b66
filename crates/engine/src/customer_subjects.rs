//! Customers and their subjects, changed together: one thing at a time, and nothing half done.

use crate::aliases::{MAX_ALIASES, check_texts};
use crate::caller::Caller;
use crate::customers::invalid;
use crate::engine::Engine;
use crate::error::{EngineError, Fault};
use std::collections::{BTreeMap, BTreeSet};
use tallystick_domain::customer::{Address, Customer, CustomerDraft};
use tallystick_domain::details::Details;
use tallystick_domain::key::Scope;
use tallystick_domain::subject::{Alias, SubjectChange, SubjectDraft};
use tallystick_domain::{CustomerId, Instant, SubjectId};
use tallystick_state_store::{StateError, SubjectEdits};

/// How often a change is tried again that met another one.
const ATTEMPTS: usize = 16;

/// A subject as it is given to a customer.
#[derive(Clone, Debug, Default)]
pub struct NewSubject {
    /// Its key and what describes it.
    pub draft: SubjectDraft,
    /// Its other names.
    pub aliases: Vec<String>,
}

/// What becomes of a customer; what is absent stays.
#[derive(Clone, Debug, Default)]
pub struct CustomerPatch {
    /// Name for people.
    pub name: Option<String>,
    /// Where invoices go.
    pub primary_email: Option<String>,
    /// Where the customer is.
    pub billing_address: Option<Address>,
    /// Replaces what the doors in it keep.
    pub details: Details,
    /// A subject that it gets, with a description and other names.
    pub give: Option<NewSubject>,
    /// A subject that it loses, with its description and its other names.
    pub take: Option<String>,
}

/// A text that events carry, and whom it means.
#[derive(Clone, Debug)]
pub struct KnownSubject {
    /// The subject: that of the alias, or the text itself.
    pub key: String,
    /// The live customer that it belongs to.
    pub customer: Option<Customer>,
}

impl Engine {
    /// Creates a customer and, in the same transaction, a subject of it.
    pub async fn create_customer_with(
        &self,
        caller: &Caller,
        draft: CustomerDraft,
        subject: NewSubject,
    ) -> Result<Customer, EngineError> {
        caller.require(Scope::Admin)?;
        let (time_ms, random) = self.id_parts()?;
        let (now, key) = (self.clock().now(), subject.draft.key.clone());
        let draft = CustomerDraft { subject_keys: vec![key], ..draft };
        let id = CustomerId::from_parts(time_ms, random);
        let customer = Customer::define(id, draft, now).map_err(invalid)?;
        let edits = self.edits_of(Some(subject), None, now)?;
        let losers = self.owner_of(caller.namespace(), customer.key.as_deref()).await?;
        self.state().insert_customer_with(caller.writer(), &customer, edits).await?;
        losers.iter().for_each(|loser| self.checks().forget(caller.namespace(), loser));
        Ok(customer)
    }

    /// Changes a customer and what it has of subjects, all of it or nothing. Changes of one customer at the same time are all done.
    pub async fn patch_customer(
        &self,
        caller: &Caller,
        id_or_key: &str,
        patch: CustomerPatch,
    ) -> Result<Customer, EngineError> {
        caller.require(Scope::Admin)?;
        let mut attempt = 1;
        loop {
            let before = self.find_live_customer(caller, id_or_key).await?;
            let after = self.patched(&before, &patch)?;
            let edits = self.edits_of(patch.give.clone(), patch.take.clone(), after.updated_at)?;
            match self.state().update_customer_with(caller.writer(), &before, &after, edits).await {
                Err(StateError::Refused(_)) if attempt < ATTEMPTS && self.has_changed(caller, &before).await? => {
                    attempt += 1;
                }
                written => {
                    written?;
                    self.checks().forget(caller.namespace(), &after);
                    return Ok(after);
                }
            }
        }
    }

    /// Deletes a customer with the descriptions and the aliases of its subjects; its usage stays.
    pub async fn remove_customer(&self, caller: &Caller, id_or_key: &str) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let (ns, before) = (caller.namespace(), self.find_live_customer(caller, id_or_key).await?);
        let now = self.clock().now();
        let forget = before.subject_keys.iter().cloned().collect();
        let edits = SubjectEdits { forget, ..SubjectEdits::default() };
        let after = Customer { deleted_at: Some(now), updated_at: now, ..before.clone() };
        self.state().update_customer_with(caller.writer(), &before, &after, edits).await?;
        // Usage by its key may be another customer's now.
        let winner = self.owner_of(ns, before.key.as_deref()).await?;
        winner.iter().chain([&before]).for_each(|customer| self.checks().forget(ns, customer));
        Ok(())
    }

    /// Whom texts mean that events carry. Who sends events may ask.
    pub async fn known_subjects(
        &self,
        caller: &Caller,
        texts: BTreeSet<String>,
    ) -> Result<BTreeMap<String, KnownSubject>, EngineError> {
        caller.require(Scope::Ingest).or_else(|_| caller.require(Scope::Read))?;
        let ns = caller.namespace();
        let mut known = BTreeMap::new();
        for text in texts {
            let alias = self.state().find_alias(ns, &text).await?;
            let key = alias.map_or_else(|| text.clone(), |alias| alias.subject);
            let customer = self.owner_of(ns, Some(&key)).await?;
            known.insert(text, KnownSubject { key, customer });
        }
        Ok(known)
    }

    async fn has_changed(&self, caller: &Caller, before: &Customer) -> Result<bool, EngineError> {
        Ok(self.state().get_customer(caller.namespace(), before.id).await?.as_ref() != Some(before))
    }

    fn patched(&self, before: &Customer, patch: &CustomerPatch) -> Result<Customer, EngineError> {
        let mut subject_keys = before.subject_keys.clone();
        if let Some(given) = &patch.give
            && !subject_keys.insert(given.draft.key.clone())
        {
            let key = &given.draft.key;
            return Err(EngineError::Conflict(format!("customer {} has the subject {key:?} already", before.id)));
        }
        if let Some(taken) = &patch.take
            && !subject_keys.remove(taken)
        {
            return Err(EngineError::NotFound { what: "subject of the customer", key: taken.clone() });
        }
        let stored = before.clone();
        let draft = CustomerDraft {
            key: stored.key,
            name: patch.name.clone().unwrap_or(stored.name),
            description: stored.description,
            primary_email: patch.primary_email.clone().or(stored.primary_email),
            currency: stored.currency,
            billing_address: patch.billing_address.clone().or(stored.billing_address),
            metadata: stored.metadata,
            subject_keys: subject_keys.into_iter().collect(),
            details: patch.details.clone(),
        };
        before.replaced(draft, self.clock().now()).map_err(invalid)
    }

    fn edits_of(
        &self,
        give: Option<NewSubject>,
        take: Option<String>,
        now: Instant,
    ) -> Result<SubjectEdits, EngineError> {
        let mut edits = SubjectEdits { most_aliases: MAX_ALIASES, ..SubjectEdits::default() };
        edits.forget.extend(take);
        if let Some(NewSubject { draft, aliases }) = give {
            check_texts(aliases.iter().map(String::as_str))?;
            let subject = draft.key.clone();
            let change = SubjectChange::parse(draft).map_err(|faults| {
                EngineError::Invalid(faults.into_iter().map(|fault| Fault::new(fault.field, fault.message)).collect())
            })?;
            let (time_ms, random) = self.id_parts()?;
            edits.describe.push((SubjectId::from_parts(time_ms, random), change));
            let names: BTreeSet<String> = aliases.into_iter().collect();
            edits.aliases.extend(names.into_iter().map(|name| Alias {
                name,
                subject: subject.clone(),
                created_at: now,
            }));
        }
        Ok(edits)
    }
}
