//! Described subjects: make or change, list, get, delete.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{EngineError, Fault};
use std::collections::BTreeSet;
use tallystick_domain::SubjectId;
use tallystick_domain::customer::Customer;
use tallystick_domain::key::Scope;
use tallystick_domain::subject::{Subject, SubjectChange, SubjectDraft};

/// The most subjects that one call describes.
pub const MAX_SUBJECTS: usize = 1000;

impl Engine {
    /// Makes or changes the descriptions of subjects, all of them or none, and gives them back in the same order.
    pub async fn upsert_subjects(
        &self,
        caller: &Caller,
        drafts: Vec<SubjectDraft>,
    ) -> Result<Vec<Subject>, EngineError> {
        caller.require(Scope::Admin)?;
        if drafts.len() > MAX_SUBJECTS {
            return Err(EngineError::TooLarge(format!("a request describes at most {MAX_SUBJECTS} subjects")));
        }
        let changes = checked(drafts)?;
        let (time_ms, random) = self.id_parts()?;
        // Ids of one request ascend, so that lists show its subjects in its order.
        let ids = (0..).map(|number| SubjectId::from_parts(time_ms, random.wrapping_add(number)));
        let changes = ids.zip(changes).collect();
        Ok(self.state().upsert_subjects(caller.writer(), changes, self.clock().now()).await?)
    }

    /// All live descriptions, the oldest first.
    pub async fn list_subjects(&self, caller: &Caller) -> Result<Vec<Subject>, EngineError> {
        caller.require(Scope::Read)?;
        Ok(self.state().list_subjects(caller.namespace()).await?)
    }

    /// One description: by id deleted ones too, by the subject's key live ones only.
    pub async fn get_subject(&self, caller: &Caller, id_or_key: &str) -> Result<Subject, EngineError> {
        caller.require(Scope::Read)?;
        self.find_subject(caller, id_or_key).await
    }

    /// Deletes a description; usage stays. Deleting by id again changes nothing.
    pub async fn delete_subject(&self, caller: &Caller, id_or_key: &str) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_subject(caller, id_or_key).await?;
        self.state().delete_subject(caller.writer(), stored.id, self.clock().now()).await?;
        Ok(())
    }

    pub(crate) async fn find_subject(&self, caller: &Caller, id_or_key: &str) -> Result<Subject, EngineError> {
        let namespace = caller.namespace();
        if let Some(found) = self.state().find_subject(namespace, id_or_key).await? {
            return Ok(found);
        }
        let missing = || EngineError::NotFound { what: "subject", key: id_or_key.to_string() };
        let id = SubjectId::parse(id_or_key).ok_or_else(missing)?;
        self.state().get_subject(namespace, id).await?.ok_or_else(missing)
    }

    /// What a customer's subjects are described as unless they are described already.
    pub(crate) fn descriptions_of(&self, customer: &Customer) -> Result<Vec<Subject>, EngineError> {
        let (time_ms, random) = self.id_parts()?;
        let ids = (0..).map(|number| SubjectId::from_parts(time_ms, random.wrapping_add(number)));
        let described =
            |(id, key): (SubjectId, &String)| Subject::of_customer(id, key, customer.id, customer.updated_at);
        Ok(ids.zip(&customer.subject_keys).map(described).collect())
    }
}

/// The drafts as changes; every fault of every draft is named, and so is a subject that is listed twice.
fn checked(drafts: Vec<SubjectDraft>) -> Result<Vec<SubjectChange>, EngineError> {
    let (mut changes, mut faults) = (Vec::new(), Vec::new());
    for (index, draft) in drafts.into_iter().enumerate() {
        match SubjectChange::parse(draft) {
            Ok(change) => changes.push(change),
            Err(found) => faults
                .extend(found.into_iter().map(|fault| Fault::new(format!("[{index}].{}", fault.field), fault.message))),
        }
    }
    if !faults.is_empty() {
        return Err(EngineError::Invalid(faults));
    }
    let mut seen = BTreeSet::new();
    match changes.iter().find(|change| !seen.insert(change.key())) {
        Some(twice) => Err(EngineError::Conflict(format!("the subject key {:?} is listed twice", twice.key()))),
        None => Ok(changes),
    }
}
