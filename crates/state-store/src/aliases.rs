//! Other names of subjects at rest.

use crate::column::{self, Columns, text};
use crate::error::{StateError, failed};
use crate::outbox::{Change, Entity, Write};
use crate::search::{VALUES_A_QUERY, Wanted};
use crate::{StateStore, Writer};
use sqlx::any::AnyRow;
use tallystick_domain::search::TextCondition;
use tallystick_domain::subject::Alias;
use tallystick_domain::{Instant, Namespace};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT name, subject_key, created_at FROM subject_aliases ", $rest)
    };
}

/// What a new alias must not be, and what its subject must not be: otherwise it would be unclear whose an event is.
const OBSTACLES: [(&str, &str, bool); 4] = [
    ("the name is an alias already", "SELECT 1 FROM subject_aliases WHERE namespace = $1 AND name = $2", true),
    (
        "the name is a subject with aliases of its own",
        "SELECT 1 FROM subject_aliases WHERE namespace = $1 AND subject_key = $2",
        true,
    ),
    (
        "the name is a subject of a customer",
        "SELECT 1 FROM customers WHERE namespace = $1 AND key = $2 AND deleted_at IS NULL \
         UNION ALL SELECT 1 FROM customer_subjects WHERE namespace = $1 AND subject_key = $2",
        true,
    ),
    ("the subject is itself an alias", "SELECT 1 FROM subject_aliases WHERE namespace = $1 AND name = $2", false),
];

impl StateStore {
    /// Adds aliases, all of them or none. One that its subject has already is left as it is; one that could mean somebody else is
    /// [`StateError::Refused`], and so is one more than `most` of a subject.
    pub async fn insert_aliases(&self, by: Writer<'_>, aliases: &[Alias], most: usize) -> Result<(), StateError> {
        let mut write = Write::begin(self, by).await?;
        let mut added = Vec::new();
        for alias in aliases {
            if add(&mut write, by.namespace(), alias, most).await? {
                added.push(alias);
            }
        }
        let Some((last, others)) = added.split_last() else { return Ok(()) };
        for alias in others {
            write.also(Entity::Alias, &text(&alias.name), Change::Created, alias.created_at).await?;
        }
        write.commit(Entity::Alias, &text(&last.name), Change::Created, last.created_at).await
    }

    /// Removes aliases of a subject, all of them or none: `false` when one is not its alias.
    pub async fn delete_aliases(
        &self,
        by: Writer<'_>,
        subject: &str,
        names: &[String],
        at: Instant,
    ) -> Result<bool, StateError> {
        const DELETE: &str = "DELETE FROM subject_aliases WHERE namespace = $1 AND name = $2 AND subject_key = $3";
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        let mut last: Option<&String> = None;
        for name in names {
            let query = sqlx::query(DELETE).bind(ns.as_str()).bind(text(name)).bind(text(subject));
            if query.execute(&mut *write.tx).await.map_err(failed)?.rows_affected() == 0 {
                return Ok(false);
            }
            if let Some(before) = last.replace(name) {
                write.also(Entity::Alias, &text(before), Change::Deleted, at).await?;
            }
        }
        if let Some(last) = last {
            write.commit(Entity::Alias, &text(last), Change::Deleted, at).await?;
        }
        Ok(true)
    }

    /// The subject that an alias stands for.
    pub async fn find_alias(&self, ns: &Namespace, name: &str) -> Result<Option<Alias>, StateError> {
        let query = sqlx::query(select!("WHERE namespace = $1 AND name = $2")).bind(ns.as_str()).bind(text(name));
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// The aliases of these subjects, by subject and then by name.
    pub async fn aliases_of(&self, ns: &Namespace, subjects: Vec<String>) -> Result<Vec<Alias>, StateError> {
        self.aliases_where(ns, "subject_key", subjects).await
    }

    /// Those of these names that are aliases, by subject and then by name.
    pub async fn aliases_named(&self, ns: &Namespace, names: Vec<String>) -> Result<Vec<Alias>, StateError> {
        self.aliases_where(ns, "name", names).await
    }

    async fn aliases_where(&self, ns: &Namespace, column: &str, values: Vec<String>) -> Result<Vec<Alias>, StateError> {
        let mut found = Vec::new();
        for part in values.chunks(VALUES_A_QUERY) {
            let mut wanted = Wanted::of(ns);
            wanted.text(column, &TextCondition::OneOf(part.to_vec()));
            let rows = wanted.all(self, select!("")).await?;
            found.extend(rows.iter().map(read).collect::<Result<Vec<_>, _>>()?);
        }
        found.sort_by(|a, b| (&a.subject, &a.name).cmp(&(&b.subject, &b.name)));
        Ok(found)
    }
}

/// Adds an alias, if its subject does not have it already, and says whether it did. The outbox is the caller's affair.
pub(crate) async fn add(write: &mut Write, ns: &Namespace, alias: &Alias, most: usize) -> Result<bool, StateError> {
    const INSERT: &str =
        "INSERT INTO subject_aliases (namespace, name, subject_key, created_at) VALUES ($1, $2, $3, $4)";
    if subject_of(write, ns, &alias.name).await?.as_deref() == Some(&alias.subject) {
        return Ok(false);
    }
    check_free(write, ns, alias).await?;
    check_room(write, ns, alias, most).await?;
    let query = sqlx::query(INSERT).bind(ns.as_str()).bind(text(&alias.name)).bind(text(&alias.subject));
    query.bind(column::instant(alias.created_at)).execute(&mut *write.tx).await.map_err(failed)?;
    Ok(true)
}

/// Removes all aliases of a subject.
pub(crate) async fn forget(write: &mut Write, ns: &Namespace, subject: &str, at: Instant) -> Result<(), StateError> {
    let query = sqlx::query(select!("WHERE namespace = $1 AND subject_key = $2 ORDER BY name"));
    let rows = query.bind(ns.as_str()).bind(text(subject)).fetch_all(&mut *write.tx).await.map_err(failed)?;
    let query = sqlx::query("DELETE FROM subject_aliases WHERE namespace = $1 AND subject_key = $2");
    query.bind(ns.as_str()).bind(text(subject)).execute(&mut *write.tx).await.map_err(failed)?;
    for row in &rows {
        write.also(Entity::Alias, &text(&read(row)?.name), Change::Deleted, at).await?;
    }
    Ok(())
}

/// Refuses to make a subject of what is an alias: its events are another subject's.
pub(crate) async fn check_no_alias(write: &mut Write, ns: &Namespace, key: &str) -> Result<(), StateError> {
    match subject_of(write, ns, key).await? {
        Some(subject) => Err(StateError::Conflict { what: format!("the alias {key:?} of subject {subject:?}") }),
        None => Ok(()),
    }
}

async fn subject_of(write: &mut Write, ns: &Namespace, name: &str) -> Result<Option<String>, StateError> {
    let query = sqlx::query(select!("WHERE namespace = $1 AND name = $2")).bind(ns.as_str()).bind(text(name));
    let row = query.fetch_optional(&mut *write.tx).await.map_err(failed)?;
    Ok(row.as_ref().map(read).transpose()?.map(|alias| alias.subject))
}

async fn check_free(write: &mut Write, ns: &Namespace, alias: &Alias) -> Result<(), StateError> {
    let refused = |reason: &str| {
        let (name, subject) = (&alias.name, &alias.subject);
        Err(StateError::Refused(format!("{name:?} cannot be an alias of subject {subject:?}: {reason}")))
    };
    if alias.name == alias.subject {
        return refused("a subject needs no alias of its own name");
    }
    for (reason, sql, of_name) in OBSTACLES {
        let text_of = if of_name { &alias.name } else { &alias.subject };
        let query = sqlx::query(sql).bind(ns.as_str()).bind(text(text_of));
        if query.fetch_optional(&mut *write.tx).await.map_err(failed)?.is_some() {
            return refused(reason);
        }
    }
    Ok(())
}

async fn check_room(write: &mut Write, ns: &Namespace, alias: &Alias, most: usize) -> Result<(), StateError> {
    let count: i64 =
        sqlx::query_scalar("SELECT COUNT(*) FROM subject_aliases WHERE namespace = $1 AND subject_key = $2")
            .bind(ns.as_str())
            .bind(text(&alias.subject))
            .fetch_one(&mut *write.tx)
            .await
            .map_err(failed)?;
    match usize::try_from(count).is_ok_and(|count| count < most) {
        true => Ok(()),
        false => Err(StateError::Refused(format!(
            "subject {:?} has {count} aliases, and {most} are the most: remove one first",
            alias.subject
        ))),
    }
}

fn read(row: &AnyRow) -> Result<Alias, StateError> {
    let columns = Columns::of("subject_aliases", row);
    Ok(Alias {
        name: columns.text("name")?,
        subject: columns.text("subject_key")?,
        created_at: columns.instant("created_at")?,
    })
}
