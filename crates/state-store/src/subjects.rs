//! Described subjects at rest.

use crate::column::{self, Columns, text};
use crate::error::{StateError, conflict_or_failed, failed};
use crate::outbox::{Change, Entity, Write};
use crate::{StateStore, Writer};
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use tallystick_domain::json::JsonObject;
use tallystick_domain::subject::{Subject, SubjectChange};
use tallystick_domain::{Instant, Namespace, SubjectId};

macro_rules! insert {
    ($rest:literal) => {
        concat!(
            "INSERT INTO subjects (namespace, id, key, display_name, metadata, stripe_customer_id, created_at, updated_at, ",
            "deleted_at, details) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            $rest
        )
    };
}

const UPDATE: &str = "UPDATE subjects SET key = $3, display_name = $4, metadata = $5, stripe_customer_id = $6, \
     created_at = $7, updated_at = $8, deleted_at = $9, details = $10 WHERE namespace = $1 AND id = $2";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, key, display_name, metadata, stripe_customer_id, created_at, updated_at, deleted_at, details FROM subjects ",
            $rest
        )
    };
}

impl StateStore {
    /// Makes or changes descriptions, all of them or none, each with the id that it gets when it is new. Gives them back
    /// in the same order.
    pub async fn upsert_subjects(
        &self,
        by: Writer<'_>,
        changes: Vec<(SubjectId, SubjectChange)>,
        now: Instant,
    ) -> Result<Vec<Subject>, StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        let mut subjects: Vec<Subject> = Vec::with_capacity(changes.len());
        let mut last: Option<(String, Change)> = None;
        for (id, change) in changes {
            let query = sqlx::query(select!("WHERE namespace = $1 AND key = $2 AND deleted_at IS NULL"));
            let query = query.bind(ns.as_str()).bind(text(change.key()));
            let row = query.fetch_optional(&mut *write.tx).await.map_err(failed)?;
            let stored = row.as_ref().map(read).transpose()?;
            let (sql, kind) = match &stored {
                Some(_) => (UPDATE, Change::Updated),
                None => (insert!(""), Change::Created),
            };
            let subject = change.applied_to(stored, id, now);
            let written = bound(sql, ns, &subject).execute(&mut *write.tx).await;
            written.map_err(|error| conflict_or_failed(error, || key_name(ns, &subject.key)))?;
            if let Some((id, kind)) = last.replace((subject.id.to_string(), kind)) {
                write.also(Entity::Subject, &id, kind, now).await?;
            }
            subjects.push(subject);
        }
        if let Some((id, kind)) = last {
            write.commit(Entity::Subject, &id, kind, now).await?;
        }
        Ok(subjects)
    }

    /// Deletes a description by its id; `false` when there is no live one.
    pub async fn delete_subject(&self, by: Writer<'_>, id: SubjectId, at: Instant) -> Result<bool, StateError> {
        const DELETE: &str = "UPDATE subjects SET deleted_at = $3, updated_at = $3 \
             WHERE namespace = $1 AND id = $2 AND deleted_at IS NULL";
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        let query = sqlx::query(DELETE).bind(ns.as_str()).bind(id.to_string()).bind(column::instant(at));
        if query.execute(&mut *write.tx).await.map_err(failed)?.rows_affected() == 0 {
            return Ok(false);
        }
        write.commit(Entity::Subject, &id.to_string(), Change::Deleted, at).await?;
        Ok(true)
    }

    /// The description with this id, deleted ones too.
    pub async fn get_subject(&self, ns: &Namespace, id: SubjectId) -> Result<Option<Subject>, StateError> {
        let query = sqlx::query(select!("WHERE namespace = $1 AND id = $2")).bind(ns.as_str()).bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// The live description of this subject.
    pub async fn find_subject(&self, ns: &Namespace, key: &str) -> Result<Option<Subject>, StateError> {
        let query = sqlx::query(select!("WHERE namespace = $1 AND key = $2 AND deleted_at IS NULL"));
        let row = query.bind(ns.as_str()).bind(text(key)).fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// All live descriptions, the oldest first.
    pub async fn list_subjects(&self, ns: &Namespace) -> Result<Vec<Subject>, StateError> {
        let query = sqlx::query(select!("WHERE namespace = $1 AND deleted_at IS NULL ORDER BY created_at, id"));
        let rows = query.bind(ns.as_str()).fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(read).collect()
    }
}

/// Stores those of the descriptions whose subjects have none.
pub(crate) async fn describe_missing(
    write: &mut Write,
    ns: &Namespace,
    descriptions: &[Subject],
) -> Result<(), StateError> {
    const MISSING: &str = insert!(" ON CONFLICT (namespace, key) WHERE deleted_at IS NULL DO NOTHING");
    for subject in descriptions {
        let written = bound(MISSING, ns, subject).execute(&mut *write.tx).await;
        let written = written.map_err(|error| conflict_or_failed(error, || key_name(ns, &subject.key)))?;
        if written.rows_affected() > 0 {
            write.also(Entity::Subject, &subject.id.to_string(), Change::Created, subject.created_at).await?;
        }
    }
    Ok(())
}

fn key_name(ns: &Namespace, key: &str) -> String {
    format!("a subject with the key {key:?} in namespace {ns}")
}

/// Binds $1 to $10, which mean the same in every statement.
fn bound(sql: &'static str, ns: &Namespace, subject: &Subject) -> Query<'static, Any, AnyArguments> {
    sqlx::query(sql)
        .bind(ns.as_str().to_owned())
        .bind(subject.id.to_string())
        .bind(text(&subject.key))
        .bind(subject.display_name.as_deref().map(text))
        .bind(text(subject.metadata.as_str()))
        .bind(subject.stripe_customer_id.as_deref().map(text))
        .bind(column::instant(subject.created_at))
        .bind(column::instant(subject.updated_at))
        .bind(subject.deleted_at.map(column::instant))
        .bind(column::details(&subject.details).as_deref().map(text))
}

fn read(row: &AnyRow) -> Result<Subject, StateError> {
    let columns = Columns::of("subjects", row);
    Ok(Subject {
        id: columns.parsed("id", |text| SubjectId::parse(text).ok_or("it is not a ULID"))?,
        key: columns.text("key")?,
        display_name: columns.optional_text("display_name")?,
        metadata: columns.parsed("metadata", JsonObject::parse)?,
        stripe_customer_id: columns.optional_text("stripe_customer_id")?,
        details: columns.details("details")?,
        created_at: columns.instant("created_at")?,
        updated_at: columns.instant("updated_at")?,
        deleted_at: columns.optional_instant("deleted_at")?,
    })
}
