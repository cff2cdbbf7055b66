//! Other names of subjects: add, remove, list, resolve. Events under them are the subject's, and its customer's.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{EngineError, Fault};
use std::collections::BTreeSet;
use tallystick_domain::key::Scope;
use tallystick_domain::subject::{Alias, MAX_SUBJECT_KEY_BYTES};

/// The most aliases of a subject.
pub const MAX_ALIASES: usize = 100;

impl Engine {
    /// Gives a subject more names, all of them or none; what it is called already is no fault. Events that came under such a name
    /// before are the subject's from then on.
    pub async fn add_aliases(&self, caller: &Caller, subject: &str, names: &[String]) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        check_texts(std::iter::once(subject).chain(names.iter().map(String::as_str)))?;
        let now = self.clock().now();
        let names: BTreeSet<&String> = names.iter().collect();
        let alias = |name: &String| Alias { name: name.clone(), subject: subject.to_owned(), created_at: now };
        let aliases: Vec<_> = names.into_iter().map(alias).collect();
        self.state().insert_aliases(caller.writer(), &aliases, MAX_ALIASES).await?;
        self.forget_owner(caller, subject).await
    }

    /// Takes names away from a subject, all of them or none. Events under them are nobody's from then on.
    pub async fn remove_aliases(&self, caller: &Caller, subject: &str, names: &[String]) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let names: Vec<String> = names.iter().collect::<BTreeSet<_>>().into_iter().cloned().collect();
        if !self.state().delete_aliases(caller.writer(), subject, &names, self.clock().now()).await? {
            let key = format!("of {subject:?}, one of {}", names.join(", "));
            return Err(EngineError::NotFound { what: "alias", key });
        }
        self.forget_owner(caller, subject).await
    }

    /// The aliases of these subjects, by subject and then by name.
    pub async fn list_aliases(&self, caller: &Caller, subjects: Vec<String>) -> Result<Vec<Alias>, EngineError> {
        caller.require(Scope::Read)?;
        Ok(self.state().aliases_of(caller.namespace(), subjects).await?)
    }

    /// What is known of a customer's usage changed with the names of its subject.
    async fn forget_owner(&self, caller: &Caller, subject: &str) -> Result<(), EngineError> {
        let ns = caller.namespace();
        if let Some(owner) = self.owner_of(ns, Some(subject)).await? {
            self.checks().forget(ns, &owner);
        }
        Ok(())
    }
}

pub(crate) fn check_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Result<(), EngineError> {
    let message = format!("a subject and its aliases must have 1 to {MAX_SUBJECT_KEY_BYTES} bytes");
    let bad = |text: &str| !(1..=MAX_SUBJECT_KEY_BYTES).contains(&text.len());
    match texts.into_iter().any(bad) {
        true => Err(EngineError::Invalid(vec![Fault::new("aliases", message)])),
        false => Ok(()),
    }
}
