//! Subjects that somebody described: a name for people and labels for the id that events carry.
//!
//! An event's subject needs no description to be metered; a description never changes what is metered.

use crate::details::{Details, merged};
use crate::json::JsonObject;
use crate::{CustomerId, Instant, SubjectId};

/// The most bytes of a subject that can be described, or attributed to a customer.
pub const MAX_SUBJECT_KEY_BYTES: usize = 2048;

/// A described subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Identity.
    pub id: SubjectId,
    /// The subject as events carry it, unique among the live ones.
    pub key: String,
    /// Name for people.
    pub display_name: Option<String>,
    /// The user's own labels: any JSON.
    pub metadata: JsonObject,
    /// The account at a payment provider.
    pub stripe_customer_id: Option<String>,
    /// What doors keep with it.
    pub details: Details,
    /// When it was first described.
    pub created_at: Instant,
    /// When the description was last changed.
    pub updated_at: Instant,
    /// When the description was deleted; usage stays.
    pub deleted_at: Option<Instant>,
}

impl Subject {
    /// The description that a customer's subject gets by itself.
    pub fn of_customer(id: SubjectId, key: &str, customer: CustomerId, now: Instant) -> Self {
        let metadata = format!(r#"{{"createdBy":"subject.provisioner","customerId":"{customer}"}}"#);
        Self {
            id,
            key: key.to_string(),
            display_name: None,
            // An id has letters and digits only, so the text is an object.
            metadata: JsonObject::parse(&metadata).unwrap_or_default(),
            stripe_customer_id: None,
            details: Details::new(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        }
    }
}

/// What becomes of a field that can be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It becomes empty.
    Clear,
    /// It gets this value.
    Set(T),
}

impl<T> Patch<T> {
    fn applied_to(self, stored: Option<T>) -> Option<T> {
        match self {
            Patch::Keep => stored,
            Patch::Clear => None,
            Patch::Set(value) => Some(value),
        }
    }
}

/// A description as a request has it, not yet checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SubjectDraft {
    /// The subject.
    pub key: String,
    /// Name for people.
    pub display_name: Patch<String>,
    /// The user's own labels.
    pub metadata: Patch<JsonObject>,
    /// The account at a payment provider.
    pub stripe_customer_id: Patch<String>,
    /// What doors keep with it; those that are not named keep what they have.
    pub details: Details,
}

/// One thing that is wrong with a draft.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SubjectFault {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A checked description, to be made or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectChange(SubjectDraft);

impl SubjectChange {
    /// Checks a draft; all faults are reported, not only the first.
    pub fn parse(draft: SubjectDraft) -> Result<Self, Vec<SubjectFault>> {
        let mut faults = Vec::new();
        let mut fault = |field, message: String| faults.push(SubjectFault { field, message });
        if let Some(message) = key_fault(&draft.key) {
            fault("key", message);
        }
        if let Patch::Set(name) = &draft.display_name
            && name.chars().count() > 1024
        {
            fault("displayName", "displayName must have at most 1024 characters".into());
        }
        if let Patch::Set(id) = &draft.stripe_customer_id
            && (!id.starts_with("cus_") || id.chars().count() > 256)
        {
            fault("stripeCustomerId", "stripeCustomerId must start with cus_ and have at most 256 characters".into());
        }
        if faults.is_empty() { Ok(Self(draft)) } else { Err(faults) }
    }

    /// The subject that is described.
    pub fn key(&self) -> &str {
        &self.0.key
    }

    /// The description after the change: `stored` changed, or a new one with this id.
    pub fn applied_to(self, stored: Option<Subject>, id: SubjectId, now: Instant) -> Subject {
        let draft = self.0;
        let stored = stored.unwrap_or_else(|| Subject {
            id,
            key: draft.key,
            display_name: None,
            metadata: JsonObject::default(),
            stripe_customer_id: None,
            details: Details::new(),
            created_at: now,
            updated_at: now,
            deleted_at: None,
        });
        Subject {
            display_name: draft.display_name.applied_to(stored.display_name),
            details: merged(&stored.details, draft.details),
            metadata: draft.metadata.applied_to(Some(stored.metadata)).unwrap_or_default(),
            stripe_customer_id: draft.stripe_customer_id.applied_to(stored.stripe_customer_id),
            updated_at: now,
            ..stored
        }
    }
}

/// What keeps a text from being a subject that can be described or attributed.
pub(crate) fn key_fault(key: &str) -> Option<String> {
    match key.len() {
        0 => Some("key is required".into()),
        1..=MAX_SUBJECT_KEY_BYTES => None,
        _ => Some(format!("a subject key must have at most {MAX_SUBJECT_KEY_BYTES} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(draft: SubjectDraft) -> SubjectChange {
        SubjectChange::parse(SubjectDraft { key: "s".into(), ..draft }).unwrap()
    }

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros).unwrap()
    }

    #[test]
    fn what_is_absent_stays_and_what_is_null_is_cleared() {
        let id = SubjectId::from_parts(1, 1);
        let labels = JsonObject::parse(r#"{"a":1}"#).unwrap();
        let full = SubjectDraft {
            display_name: Patch::Set("S".into()),
            metadata: Patch::Set(labels.clone()),
            stripe_customer_id: Patch::Set("cus_1".into()),
            ..SubjectDraft::default()
        };
        let made = change(full).applied_to(None, id, at(1));
        let kept = change(SubjectDraft::default()).applied_to(Some(made.clone()), SubjectId::from_parts(9, 9), at(2));
        assert_eq!(kept, Subject { updated_at: at(2), ..made });
        let cleared = SubjectDraft {
            display_name: Patch::Clear,
            metadata: Patch::Clear,
            stripe_customer_id: Patch::Clear,
            ..SubjectDraft::default()
        };
        let cleared = change(cleared).applied_to(Some(kept), id, at(3));
        assert_eq!(
            (cleared.display_name, cleared.metadata, cleared.stripe_customer_id),
            (None, JsonObject::default(), None)
        );
        assert_eq!((cleared.id, cleared.created_at), (id, at(1)));
    }

    #[test]
    fn the_description_by_a_customer_names_it() {
        let customer = CustomerId::from_parts(1, 1);
        let made = Subject::of_customer(SubjectId::from_parts(1, 1), "s", customer, at(1));
        let wanted = format!(r#"{{"createdBy":"subject.provisioner","customerId":"{customer}"}}"#);
        assert_eq!(made.metadata.as_str(), wanted);
    }

    #[test]
    fn all_faults_are_named() {
        let bad = SubjectDraft {
            key: String::new(),
            display_name: Patch::Set("n".repeat(1025)),
            stripe_customer_id: Patch::Set("acct_1".into()),
            ..SubjectDraft::default()
        };
        let fields: Vec<_> = SubjectChange::parse(bad).unwrap_err().into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["key", "displayName", "stripeCustomerId"]);
        let long =
            |bytes| SubjectChange::parse(SubjectDraft { key: "é".repeat(bytes / 2), ..SubjectDraft::default() });
        assert!(long(MAX_SUBJECT_KEY_BYTES).is_ok() && long(MAX_SUBJECT_KEY_BYTES + 2).is_err());
    }
}
