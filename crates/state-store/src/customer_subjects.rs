//! Customers and their subjects, written together.

use crate::error::StateError;
use crate::outbox::{Change, Entity, Write};
use crate::{StateStore, Writer, aliases, column, customers, subjects};
use tallystick_domain::customer::Customer;
use tallystick_domain::subject::{Alias, SubjectChange};
use tallystick_domain::{Instant, Namespace, SubjectId};

/// What becomes of subjects in the transaction that writes their customer.
#[derive(Clone, Debug, Default)]
pub struct SubjectEdits {
    /// Descriptions to make or to change, each with the id that it gets when it is new.
    pub describe: Vec<(SubjectId, SubjectChange)>,
    /// Aliases to add, and how many a subject may have.
    pub aliases: Vec<Alias>,
    /// The most aliases of a subject.
    pub most_aliases: usize,
    /// Subjects whose description and aliases go.
    pub forget: Vec<String>,
}

impl StateStore {
    /// As [`StateStore::insert_customer`], with its subjects' descriptions and aliases.
    pub async fn insert_customer_with(
        &self,
        by: Writer<'_>,
        customer: &Customer,
        edits: SubjectEdits,
    ) -> Result<(), StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        edit(&mut write, ns, edits, customer.created_at).await?;
        self.add_customer(write, ns, customer, &[]).await
    }

    /// As [`StateStore::update_customer`], with its subjects' descriptions and aliases. When what is stored is not `before` any
    /// more the answer is [`StateError::Refused`].
    pub async fn update_customer_with(
        &self,
        by: Writer<'_>,
        before: &Customer,
        after: &Customer,
        edits: SubjectEdits,
    ) -> Result<(), StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        if customers::customer_in(&mut write, ns, before.id).await?.as_ref() != Some(before) {
            let message = format!("customer {} was changed at the same time: send the request again", before.id);
            return Err(StateError::Refused(message));
        }
        edit(&mut write, ns, edits, after.updated_at).await?;
        self.replace_customer(write, ns, after, &[]).await
    }
}

async fn edit(write: &mut Write, ns: &Namespace, edits: SubjectEdits, at: Instant) -> Result<(), StateError> {
    for subject in &edits.forget {
        aliases::forget(write, ns, subject, at).await?;
        subjects::forget(write, ns, subject, at).await?;
    }
    for (id, change) in edits.describe {
        let (subject, kind) = subjects::describe(write, ns, id, change, at).await?;
        write.also(Entity::Subject, &subject.id.to_string(), kind, at).await?;
    }
    for alias in &edits.aliases {
        if aliases::add(write, ns, alias, edits.most_aliases).await? {
            write.also(Entity::Alias, &column::text(&alias.name), Change::Created, at).await?;
        }
    }
    Ok(())
}
