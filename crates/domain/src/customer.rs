//! Customers: who pays, and which event subjects are theirs.

use crate::details::{Details, merged};
use crate::subject::key_fault;
use crate::{CustomerId, Instant, currency};
use std::collections::{BTreeMap, BTreeSet};

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Identity.
    pub id: CustomerId,
    /// The operator's own id for the customer; also an event subject. Unique among live customers.
    pub key: Option<String>,
    /// Name for people.
    pub name: String,
    /// Longer text for people.
    pub description: Option<String>,
    /// Where invoices go.
    pub primary_email: Option<String>,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// Where the customer is.
    pub billing_address: Option<Address>,
    /// The user's own labels.
    pub metadata: BTreeMap<String, String>,
    /// Event subjects that are attributed to the customer; each belongs to one live customer at a time.
    pub subject_keys: BTreeSet<String>,
    /// What doors keep with it.
    pub details: Details,
    /// When it was created.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
    /// When it was deleted; its usage stays.
    pub deleted_at: Option<Instant>,
}

/// A postal address; every part is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Address {
    /// ISO 3166 alpha-2 code.
    pub country: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// State or province.
    pub state: Option<String>,
    /// City.
    pub city: Option<String>,
    /// First line.
    pub line1: Option<String>,
    /// Second line.
    pub line2: Option<String>,
    /// Phone number.
    pub phone_number: Option<String>,
}

/// A customer as a request describes it, not yet checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CustomerDraft {
    /// The operator's own id for the customer.
    pub key: Option<String>,
    /// Name for people.
    pub name: String,
    /// Longer text for people.
    pub description: Option<String>,
    /// Where invoices go.
    pub primary_email: Option<String>,
    /// ISO 4217 code.
    pub currency: Option<String>,
    /// Where the customer is.
    pub billing_address: Option<Address>,
    /// The user's own labels.
    pub metadata: BTreeMap<String, String>,
    /// Event subjects of the customer, as listed.
    pub subject_keys: Vec<String>,
    /// What doors keep with it; those that are not named keep what they have.
    pub details: Details,
}

/// One thing that is wrong with a draft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CustomerFault {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Customer {
    /// Builds a customer from a draft; all faults are reported, not only the first.
    pub fn define(id: CustomerId, draft: CustomerDraft, now: Instant) -> Result<Self, Vec<CustomerFault>> {
        let faults = faults_of(&draft);
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            id,
            key: draft.key,
            name: draft.name,
            description: draft.description,
            primary_email: draft.primary_email,
            currency: draft.currency,
            billing_address: draft.billing_address,
            metadata: draft.metadata,
            subject_keys: draft.subject_keys.into_iter().collect(),
            details: draft.details,
            created_at: now,
            updated_at: now,
            deleted_at: None,
        })
    }

    /// This customer replaced by a draft; identity and creation stay.
    pub fn replaced(&self, draft: CustomerDraft, now: Instant) -> Result<Self, Vec<CustomerFault>> {
        let replaced = Self::define(self.id, draft, now)?;
        let details = merged(&self.details, replaced.details);
        Ok(Self { created_at: self.created_at, details, ..replaced })
    }

    /// The event subjects that are this customer's: its key and its subject keys.
    pub fn event_subjects(&self) -> impl Iterator<Item = &str> {
        self.key.as_deref().into_iter().chain(self.subject_keys.iter().map(String::as_str))
    }
}

fn faults_of(draft: &CustomerDraft) -> Vec<CustomerFault> {
    let mut faults = Vec::new();
    let mut fault = |field, message: &str| faults.push(CustomerFault { field, message: message.to_string() });
    let within = |text: &str, least: usize, most: usize| (least..=most).contains(&text.chars().count());
    if !within(&draft.name, 1, 256) {
        fault("name", "name must have 1 to 256 characters");
    }
    if draft.key.as_deref().is_some_and(|key| !within(key, 1, 256)) {
        fault("key", "key must have 1 to 256 characters");
    }
    if draft.description.as_deref().is_some_and(|text| !within(text, 0, 1024)) {
        fault("description", "description must have at most 1024 characters");
    }
    if draft.key.is_none() && draft.subject_keys.is_empty() {
        fault("key", "either key or usageAttribution.subjectKeys must be provided");
    }
    if draft.subject_keys.iter().any(String::is_empty) {
        fault("usageAttribution.subjectKeys", "a subject key must not be empty");
    }
    if let Some(message) = draft.subject_keys.iter().filter(|key| !key.is_empty()).find_map(|key| key_fault(key)) {
        fault("usageAttribution.subjectKeys", &message);
    }
    let upper = |text: &str, length: usize| text.len() == length && text.bytes().all(|c| c.is_ascii_uppercase());
    if draft.currency.as_deref().is_some_and(|code| !currency::is_known(code)) {
        fault("currency", "currency must be an ISO 4217 code of three capital letters");
    }
    let country = draft.billing_address.as_ref().and_then(|address| address.country.as_deref());
    if country.is_some_and(|code| !upper(code, 2)) {
        fault("billingAddress.country", "country must be an ISO 3166 code of two capital letters");
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> CustomerDraft {
        CustomerDraft {
            name: "ACME".into(),
            key: Some("acme".into()),
            subject_keys: vec!["b".into(), "a".into()],
            ..CustomerDraft::default()
        }
    }

    fn define(draft: CustomerDraft) -> Result<Customer, Vec<CustomerFault>> {
        Customer::define(CustomerId::from_parts(1, 1), draft, Instant::MIN)
    }

    #[test]
    fn a_customer_owns_its_key_and_its_subjects() {
        let customer = define(draft()).unwrap();
        assert_eq!(customer.event_subjects().collect::<Vec<_>>(), ["acme", "a", "b"]);
    }

    #[test]
    fn all_faults_are_named() {
        let bad = CustomerDraft {
            name: String::new(),
            key: None,
            currency: Some("eur".into()),
            billing_address: Some(Address { country: Some("HUN".into()), ..Address::default() }),
            subject_keys: vec![],
            ..draft()
        };
        let fields: Vec<_> = define(bad).unwrap_err().into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["name", "key", "currency", "billingAddress.country"]);
    }
}
