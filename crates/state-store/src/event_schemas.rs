//! Event schemas at rest, one row for each version.

use crate::column::{self, Columns, text};
use crate::error::{StateError, conflict_or_failed, failed};
use crate::outbox::{Change, Entity, Write};
use crate::{StateStore, Writer};
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use std::collections::BTreeMap;
use tallystick_domain::event_schema::{EventSchema, SchemaAttribute, SchemaContent, SchemaStatus};
use tallystick_domain::{EventSchemaId, Instant, Namespace};

const INSERT: &str = "INSERT INTO event_schemas (namespace, id, version, name, status, description, attributes, \
     attribute_units, dimensions, filter_fields, created_at, updated_at, deleted_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

const UPDATE: &str = "UPDATE event_schemas SET name = $4, status = $5, description = $6, attributes = $7, \
     attribute_units = $8, dimensions = $9, filter_fields = $10, created_at = $11, updated_at = $12, deleted_at = $13 \
     WHERE namespace = $1 AND id = $2 AND version = $3";

const ARCHIVE: &str = "UPDATE event_schemas SET status = 'archived', updated_at = $4 \
     WHERE namespace = $1 AND id = $2 AND version = $3";

const DELETE: &str = "UPDATE event_schemas SET deleted_at = $3 WHERE namespace = $1 AND id = $2";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, version, name, status, description, attributes, attribute_units, dimensions, filter_fields, ",
            "created_at, updated_at, deleted_at FROM event_schemas ",
            $rest
        )
    };
}

const NEWEST: &str = select!("WHERE namespace = $1 AND name = $2 AND deleted_at IS NULL ORDER BY version DESC LIMIT 1");

impl StateStore {
    /// Stores the first version of a schema. A live schema with the name is a [`StateError::Conflict`].
    pub async fn insert_event_schema(&self, by: Writer<'_>, schema: &EventSchema) -> Result<(), StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        if newest(&mut write, ns, &schema.name).await?.is_some() {
            return Err(StateError::Conflict { what: name_of(ns, schema) });
        }
        insert(&mut write, ns, schema).await?;
        write.commit(Entity::EventSchema, &schema.id.to_string(), Change::Created, schema.created_at).await
    }

    /// Stores a changed schema, as the next version of it when its version is another than before, whose row is then archived.
    /// When what is stored is not `before` any more the answer is [`StateError::Refused`].
    pub async fn update_event_schema(
        &self,
        by: Writer<'_>,
        before: &EventSchema,
        after: &EventSchema,
    ) -> Result<(), StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        check_unchanged(&mut write, ns, before).await?;
        let (id, at) = (after.id.to_string(), after.updated_at);
        if after.version == before.version {
            bound(UPDATE, ns, after).execute(&mut *write.tx).await.map_err(failed)?;
        } else {
            let query = sqlx::query(ARCHIVE).bind(ns.as_str()).bind(&id).bind(i64::from(before.version));
            query.bind(column::instant(at)).execute(&mut *write.tx).await.map_err(failed)?;
            insert(&mut write, ns, after).await?;
        }
        write.commit(Entity::EventSchema, &id, Change::Updated, at).await
    }

    /// Deletes a schema with all its versions. When what is stored is not `before` any more the answer is
    /// [`StateError::Refused`].
    pub async fn delete_event_schema(
        &self,
        by: Writer<'_>,
        before: &EventSchema,
        at: Instant,
    ) -> Result<(), StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        check_unchanged(&mut write, ns, before).await?;
        let id = before.id.to_string();
        let query = sqlx::query(DELETE).bind(ns.as_str()).bind(&id).bind(column::instant(at));
        query.execute(&mut *write.tx).await.map_err(failed)?;
        write.commit(Entity::EventSchema, &id, Change::Deleted, at).await
    }

    /// The newest version of the live schema with this name.
    pub async fn find_event_schema(&self, ns: &Namespace, name: &str) -> Result<Option<EventSchema>, StateError> {
        let query = sqlx::query(NEWEST).bind(ns.as_str()).bind(text(name));
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// All versions of the live schema with this name, the newest first.
    pub async fn event_schema_versions(&self, ns: &Namespace, name: &str) -> Result<Vec<EventSchema>, StateError> {
        let query =
            sqlx::query(select!("WHERE namespace = $1 AND name = $2 AND deleted_at IS NULL ORDER BY version DESC"));
        let rows = query.bind(ns.as_str()).bind(text(name)).fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// The newest versions of all live schemas, the last changed first.
    pub async fn list_event_schemas(&self, ns: &Namespace) -> Result<Vec<EventSchema>, StateError> {
        let query = sqlx::query(select!(
            "WHERE namespace = $1 AND deleted_at IS NULL AND status <> 'archived' ORDER BY updated_at DESC, id DESC"
        ));
        let rows = query.bind(ns.as_str()).fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(read).collect()
    }
}

async fn newest(write: &mut Write, ns: &Namespace, name: &str) -> Result<Option<EventSchema>, StateError> {
    let query = sqlx::query(NEWEST).bind(ns.as_str()).bind(text(name));
    let row = query.fetch_optional(&mut *write.tx).await.map_err(failed)?;
    row.as_ref().map(read).transpose()
}

async fn check_unchanged(write: &mut Write, ns: &Namespace, before: &EventSchema) -> Result<(), StateError> {
    if newest(write, ns, &before.name).await?.as_ref() == Some(before) {
        return Ok(());
    }
    Err(StateError::Refused(format!(
        "event schema {} was changed at the same time: send the request again",
        before.name
    )))
}

async fn insert(write: &mut Write, ns: &Namespace, schema: &EventSchema) -> Result<(), StateError> {
    let written = bound(INSERT, ns, schema).execute(&mut *write.tx).await;
    written.map(drop).map_err(|error| conflict_or_failed(error, || name_of(ns, schema)))
}

fn name_of(ns: &Namespace, schema: &EventSchema) -> String {
    format!("an event schema with the name {:?} in namespace {ns}", schema.name)
}

/// Binds $1 to $13, which mean the same in [`INSERT`] and [`UPDATE`].
fn bound(sql: &'static str, ns: &Namespace, schema: &EventSchema) -> Query<'static, Any, AnyArguments> {
    let content = &schema.content;
    let units =
        content.attributes.iter().filter_map(|attribute| Some((&attribute.name, attribute.default_unit.as_deref()?)));
    sqlx::query(sql)
        .bind(ns.as_str().to_owned())
        .bind(schema.id.to_string())
        .bind(i64::from(schema.version))
        .bind(text(&schema.name))
        .bind(schema.status.as_str())
        .bind(content.description.as_deref().map(text))
        .bind(column::list(content.attributes.iter().map(|attribute| attribute.name.as_str())))
        .bind(column::map(units))
        .bind(column::list(content.dimensions.iter().map(String::as_str)))
        .bind(column::list(content.filter_fields.iter().map(String::as_str)))
        .bind(column::instant(schema.created_at))
        .bind(column::instant(schema.updated_at))
        .bind(schema.deleted_at.map(column::instant))
}

fn read(row: &AnyRow) -> Result<EventSchema, StateError> {
    let columns = Columns::of("event_schemas", row);
    let mut units: BTreeMap<String, String> = columns.map("attribute_units")?;
    let attribute = |name: String| SchemaAttribute { default_unit: units.remove(&name), name };
    let attributes = columns.list("attributes")?.into_iter().map(attribute).collect();
    Ok(EventSchema {
        id: columns.parsed("id", |text| EventSchemaId::parse(text).ok_or("it is not a ULID"))?,
        version: columns.number("version")?,
        name: columns.text("name")?,
        status: columns
            .parsed("status", |text| SchemaStatus::parse(text).ok_or_else(|| format!("{text:?} is not a status")))?,
        content: SchemaContent {
            description: columns.optional_text("description")?,
            attributes,
            dimensions: columns.list("dimensions")?,
            filter_fields: columns.list("filter_fields")?,
        },
        created_at: columns.instant("created_at")?,
        updated_at: columns.instant("updated_at")?,
        deleted_at: columns.optional_instant("deleted_at")?,
    })
}
