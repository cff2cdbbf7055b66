//! Meters at rest.

use crate::column::{self, Columns, text};
use crate::error::{StateError, conflict_or_failed, failed};
use crate::features;
use crate::outbox::{Change, Entity, Write};
use crate::{StateStore, Writer};
use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use std::collections::BTreeMap;
use tallystick_domain::feature::meter_change_obstacle;
use tallystick_domain::meter::{Aggregation, JsonPath, Meter};
use tallystick_domain::{MeterId, Namespace};

const INSERT: &str = "INSERT INTO meters (namespace, id, slug, name, description, aggregation, event_type, event_from, \
     value_property, group_by, metadata, created_at, updated_at, deleted_at, judging, details) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

const UPDATE: &str = "UPDATE meters SET slug = $3, name = $4, description = $5, aggregation = $6, event_type = $7, \
     event_from = $8, value_property = $9, group_by = $10, metadata = $11, created_at = $12, updated_at = $13, \
     deleted_at = $14, judging = $15, details = $16 WHERE namespace = $1 AND id = $2";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, slug, name, description, aggregation, event_type, event_from, value_property, group_by, metadata, ",
            "created_at, updated_at, deleted_at, judging, details FROM meters ",
            $rest
        )
    };
}

impl StateStore {
    /// Stores a new meter. A live meter with the slug, or any meter with the id, is a [`StateError::Conflict`].
    pub async fn insert_meter(&self, by: Writer<'_>, meter: &Meter) -> Result<(), StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        bound(INSERT, ns, meter)
            .execute(&mut *write.tx)
            .await
            .map_err(|error| conflict_or_failed(error, || slug_name(ns, &meter.slug)))?;
        write.commit(Entity::Meter, &meter.id.to_string(), Change::Created, meter.created_at).await
    }

    /// Replaces the whole row of a meter, found by its id; setting `deleted_at` deletes it. [`StateError::NotFound`] when
    /// the namespace has no such id, [`StateError::Conflict`] when another live meter has the slug, and
    /// [`StateError::Refused`] when a live feature needs what it would lose.
    pub async fn update_meter(&self, by: Writer<'_>, meter: &Meter) -> Result<(), StateError> {
        let write = Write::begin(self, by).await?;
        self.replace_meter(write, by.namespace(), meter).await
    }

    /// As [`StateStore::update_meter`], as the end of a transaction.
    pub(crate) async fn replace_meter(
        &self,
        mut write: Write,
        ns: &Namespace,
        meter: &Meter,
    ) -> Result<(), StateError> {
        let id = meter.id.to_string();
        let stored = sqlx::query("SELECT id, deleted_at FROM meters WHERE namespace = $1 AND id = $2")
            .bind(ns.as_str())
            .bind(&id)
            .fetch_optional(&mut *write.tx)
            .await
            .map_err(failed)?
            .ok_or_else(|| StateError::NotFound { what: format!("a meter with the id {id} in namespace {ns}") })?;
        let was_deleted = Columns::of("meters", &stored).optional_instant("deleted_at")?.is_some();
        let users = features::features_in_use(&mut write, ns, meter.id, meter.updated_at).await?;
        if let Some(obstacle) = meter_change_obstacle(meter, &users) {
            return Err(StateError::Refused(obstacle));
        }
        bound(UPDATE, ns, meter)
            .execute(&mut *write.tx)
            .await
            .map_err(|error| conflict_or_failed(error, || slug_name(ns, &meter.slug)))?;
        let (change, at) = match meter.deleted_at {
            Some(at) if !was_deleted => (Change::Deleted, at),
            _ => (Change::Updated, meter.updated_at),
        };
        write.commit(Entity::Meter, &id, change, at).await
    }

    /// The meter with this id, deleted ones too.
    pub async fn get_meter(&self, ns: &Namespace, id: MeterId) -> Result<Option<Meter>, StateError> {
        let query = sqlx::query(select!("WHERE namespace = $1 AND id = $2")).bind(ns.as_str()).bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// The live meter with this slug.
    pub async fn find_meter(&self, ns: &Namespace, slug: &str) -> Result<Option<Meter>, StateError> {
        let row = sqlx::query(select!("WHERE namespace = $1 AND slug = $2 AND deleted_at IS NULL"))
            .bind(ns.as_str())
            .bind(text(slug))
            .fetch_optional(&self.pool)
            .await
            .map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// Whether any namespace has or had a meter.
    pub async fn has_meters(&self) -> Result<bool, StateError> {
        let row = sqlx::query("SELECT id FROM meters LIMIT 1").fetch_optional(&self.pool).await.map_err(failed)?;
        Ok(row.is_some())
    }

    /// The meters of a namespace by slug (in byte order), then id.
    pub async fn list_meters(&self, ns: &Namespace, include_deleted: bool) -> Result<Vec<Meter>, StateError> {
        let query = match include_deleted {
            true => select!("WHERE namespace = $1 ORDER BY slug, id"),
            false => select!("WHERE namespace = $1 AND deleted_at IS NULL ORDER BY slug, id"),
        };
        let rows = sqlx::query(query).bind(ns.as_str()).fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(read).collect()
    }
}

/// The meter with this id, as a transaction sees it.
pub(crate) async fn meter_in(write: &mut Write, ns: &Namespace, id: MeterId) -> Result<Option<Meter>, StateError> {
    let query = sqlx::query(select!("WHERE namespace = $1 AND id = $2")).bind(ns.as_str()).bind(id.to_string());
    let row = query.fetch_optional(&mut *write.tx).await.map_err(failed)?;
    row.as_ref().map(read).transpose()
}

fn slug_name(ns: &Namespace, slug: &str) -> String {
    format!("a meter with the slug {slug:?} in namespace {ns}")
}

/// Binds $1 to $16, which mean the same in [`INSERT`] and [`UPDATE`].
fn bound(sql: &'static str, ns: &Namespace, meter: &Meter) -> Query<'static, Any, AnyArguments> {
    let judging = meter.judging.as_ref().map(column::judging::to_text);
    let metadata = meter.metadata.as_ref().map(|map| column::map(map.iter().map(|(k, v)| (k, v.as_str()))));
    sqlx::query(sql)
        .bind(ns.as_str().to_owned())
        .bind(meter.id.to_string())
        .bind(text(&meter.slug))
        .bind(text(&meter.name))
        .bind(meter.description.as_deref().map(text))
        .bind(meter.aggregation.as_str())
        .bind(text(&meter.event_type))
        .bind(meter.event_from.map(column::instant))
        .bind(meter.value_property.as_ref().map(|path| text(path.as_str())))
        .bind(column::map(meter.group_by.iter().map(|(key, path)| (key, path.as_str()))))
        .bind(metadata)
        .bind(column::instant(meter.created_at))
        .bind(column::instant(meter.updated_at))
        .bind(meter.deleted_at.map(column::instant))
        .bind(judging.as_deref().map(text))
        .bind(column::details(&meter.details).as_deref().map(text))
}

fn read(row: &AnyRow) -> Result<Meter, StateError> {
    let columns = Columns::of("meters", row);
    let aggregation = columns.parsed("aggregation", |text| {
        Aggregation::parse(text).ok_or_else(|| format!("{text:?} is not an aggregation"))
    })?;
    let value_property = columns
        .optional_text("value_property")?
        .map(|path| JsonPath::parse(&path).map_err(|error| columns.corrupt("value_property", error)))
        .transpose()?;
    if value_property.is_none() != (aggregation == Aggregation::Count) {
        let reason = format!("a value property does not fit the aggregation {}", aggregation.as_str());
        return Err(columns.corrupt("value_property", reason));
    }
    let group_by = columns.map("group_by")?.into_iter().map(|(key, path)| match JsonPath::parse(&path) {
        Ok(path) => Ok((key, path)),
        Err(error) => Err(columns.corrupt("group_by", error)),
    });
    Ok(Meter {
        id: columns.parsed("id", |text| MeterId::parse(text).ok_or("it is not a ULID"))?,
        slug: columns.text("slug")?,
        name: columns.text("name")?,
        description: columns.optional_text("description")?,
        aggregation,
        event_type: columns.text("event_type")?,
        event_from: columns.optional_instant("event_from")?,
        value_property,
        group_by: group_by.collect::<Result<BTreeMap<_, _>, _>>()?,
        judging: columns
            .optional_text("judging")?
            .map(|stored| column::judging::of_text(&stored).map_err(|error| columns.corrupt("judging", error)))
            .transpose()?,
        metadata: columns.optional_map("metadata")?,
        details: columns.details("details")?,
        created_at: columns.instant("created_at")?,
        updated_at: columns.instant("updated_at")?,
        deleted_at: columns.optional_instant("deleted_at")?,
    })
}
