//! Features at rest.

use crate::column::{self, Columns, filters, text};
use crate::error::{StateError, conflict_or_failed, failed};
use crate::meters::meter_in;
use crate::outbox::{Change, Entity, Write};
use crate::search::{Part, Wanted};
use crate::{StateStore, Writer};
use sqlx::any::AnyRow;
use std::collections::BTreeMap;
use tallystick_domain::feature::{Feature, FeatureMeter, Source, UnitCost};
use tallystick_domain::meter::Meter;
use tallystick_domain::quantity::Quantity;
use tallystick_domain::search::TextCondition;
use tallystick_domain::{FeatureId, Instant, MeterId, Namespace};

const INSERT: &str = "INSERT INTO features (namespace, id, key, name, metadata, meter_id, meter_slug, filters, unit_cost, \
     created_at, updated_at, archived_at, description) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, key, name, metadata, meter_id, meter_slug, filters, unit_cost, created_at, updated_at, archived_at, ",
            "description FROM features ",
            $rest
        )
    };
}

/// Which features to list.
#[derive(Clone, Debug, Default)]
pub struct FeatureListing {
    /// Conditions on texts; all must hold.
    pub conditions: Vec<(FeatureText, TextCondition)>,
    /// Archived ones too.
    pub include_archived: bool,
    /// What to sort by; ties are sorted by id.
    pub order: FeatureOrder,
    /// Largest first.
    pub descending: bool,
    /// How many to skip.
    pub offset: u32,
    /// How many to give at most.
    pub limit: u32,
}

/// A text of a feature that can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureText {
    /// The key.
    Key,
    /// The name.
    Name,
    /// The id of its meter.
    MeterId,
    /// The slug of its meter.
    MeterSlug,
}

/// What features are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeatureOrder {
    /// Key, by its bytes.
    #[default]
    Key,
    /// Identity.
    Id,
    /// Name, by its bytes.
    Name,
    /// Creation.
    CreatedAt,
    /// Last change.
    UpdatedAt,
}

impl FeatureText {
    fn column(self) -> &'static str {
        match self {
            FeatureText::Key => "key",
            FeatureText::Name => "name",
            FeatureText::MeterId => "meter_id",
            FeatureText::MeterSlug => "meter_slug",
        }
    }
}

impl FeatureOrder {
    fn column(self) -> &'static str {
        match self {
            FeatureOrder::Key => "key",
            FeatureOrder::Id => "id",
            FeatureOrder::Name => "name",
            FeatureOrder::CreatedAt => "created_at",
            FeatureOrder::UpdatedAt => "updated_at",
        }
    }
}

impl StateStore {
    /// Stores a new feature. `meter` is its meter as the feature was checked against it: when it is another one by now the
    /// answer is [`StateError::Refused`]. [`StateError::Conflict`] names the live feature that has the key.
    pub async fn insert_feature(
        &self,
        by: Writer<'_>,
        feature: &Feature,
        meter: Option<&Meter>,
    ) -> Result<(), StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        check_meter(&mut write, ns, meter).await?;
        let query = sqlx::query("SELECT id FROM features WHERE namespace = $1 AND key = $2 AND archived_at IS NULL");
        let query = query.bind(ns.as_str()).bind(text(&feature.key));
        if let Some(row) = query.fetch_optional(&mut *write.tx).await.map_err(failed)? {
            let id = Columns::of("features", &row).text("id")?;
            return Err(StateError::Conflict { what: format!("feature {id} with key {}", feature.key) });
        }
        let id = feature.id.to_string();
        sqlx::query(INSERT)
            .bind(ns.as_str())
            .bind(&id)
            .bind(text(&feature.key))
            .bind(text(&feature.name))
            .bind(column::map(feature.metadata.iter().map(|(key, value)| (key, value.as_str()))))
            .bind(feature.meter.as_ref().map(|meter| meter.id.to_string()))
            .bind(feature.meter.as_ref().map(|meter| text(&meter.slug)))
            .bind(text(&filters::to_text(&feature.filters)))
            .bind(feature.unit_cost.as_ref().map(cost_text))
            .bind(column::instant(feature.created_at))
            .bind(column::instant(feature.updated_at))
            .bind(feature.archived_at.map(column::instant))
            .bind(feature.description.as_deref().map(text))
            .execute(&mut *write.tx)
            .await
            .map_err(|error| conflict_or_failed(error, || format!("feature {id} with key {}", feature.key)))?;
        write.commit(Entity::Feature, &id, Change::Created, feature.created_at).await
    }

    /// Stores the unit cost of a feature; `false` when it is not live any more. `meter` is its meter as the cost was checked
    /// against it: when it is another one by now the answer is [`StateError::Refused`].
    pub async fn update_feature_cost(
        &self,
        by: Writer<'_>,
        feature: &Feature,
        meter: Option<&Meter>,
    ) -> Result<bool, StateError> {
        const UPDATE: &str = "UPDATE features SET unit_cost = $3, updated_at = $4 \
             WHERE namespace = $1 AND id = $2 AND archived_at IS NULL";
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        check_meter(&mut write, ns, meter).await?;
        let id = feature.id.to_string();
        let query = sqlx::query(UPDATE).bind(ns.as_str()).bind(&id).bind(feature.unit_cost.as_ref().map(cost_text));
        let query = query.bind(column::instant(feature.updated_at));
        if query.execute(&mut *write.tx).await.map_err(failed)?.rows_affected() == 0 {
            return Ok(false);
        }
        write.commit(Entity::Feature, &id, Change::Updated, feature.updated_at).await?;
        Ok(true)
    }

    /// Archives a feature by its id; `false` when there is no live one.
    pub async fn archive_feature(&self, by: Writer<'_>, id: FeatureId, at: Instant) -> Result<bool, StateError> {
        let mut write = Write::begin(self, by).await?;
        if !archive(&mut write, by.namespace(), id, at).await? {
            return Ok(false);
        }
        write.commit(Entity::Feature, &id.to_string(), Change::Archived, at).await?;
        Ok(true)
    }

    /// The feature with this id, archived ones too.
    pub async fn get_feature(&self, ns: &Namespace, id: FeatureId) -> Result<Option<Feature>, StateError> {
        let query = sqlx::query(select!("WHERE namespace = $1 AND id = $2")).bind(ns.as_str()).bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// The live feature with this key.
    pub async fn find_feature(&self, ns: &Namespace, key: &str) -> Result<Option<Feature>, StateError> {
        let query = sqlx::query(select!("WHERE namespace = $1 AND key = $2 AND archived_at IS NULL"));
        let row = query.bind(ns.as_str()).bind(text(key)).fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// A page of features, and how many there are on all pages.
    pub async fn list_features(
        &self,
        ns: &Namespace,
        listing: &FeatureListing,
    ) -> Result<(Vec<Feature>, u64), StateError> {
        let mut wanted = Wanted::of(ns);
        if !listing.include_archived {
            wanted.and("archived_at IS NULL");
        }
        for (searched, condition) in &listing.conditions {
            wanted.text(searched.column(), condition);
        }
        let (column, descending) = (listing.order.column(), listing.descending);
        let part = Part { column, descending, offset: listing.offset, limit: listing.limit };
        let (rows, total) = wanted.page(self, "features", select!(""), part).await?;
        Ok((rows.iter().map(read).collect::<Result<_, _>>()?, total))
    }
}

/// Archives a feature in a transaction; `false` when there is no live one.
pub(crate) async fn archive(write: &mut Write, ns: &Namespace, id: FeatureId, at: Instant) -> Result<bool, StateError> {
    const ARCHIVE: &str = "UPDATE features SET archived_at = $3, updated_at = $3 \
         WHERE namespace = $1 AND id = $2 AND archived_at IS NULL";
    let query = sqlx::query(ARCHIVE).bind(ns.as_str()).bind(id.to_string()).bind(column::instant(at));
    Ok(query.execute(&mut *write.tx).await.map_err(failed)?.rows_affected() > 0)
}

/// Whether a meter is still as it was read.
async fn check_meter(write: &mut Write, ns: &Namespace, meter: Option<&Meter>) -> Result<(), StateError> {
    let Some(meter) = meter else { return Ok(()) };
    if meter_in(write, ns, meter.id).await?.as_ref() == Some(meter) {
        return Ok(());
    }
    Err(StateError::Refused(format!("meter {} was changed at the same time: send the request again", meter.slug)))
}

/// The features that measure by this meter, by key: those that live, and those to which entitlements are in force at a moment
/// or will be.
pub(crate) async fn features_in_use(
    write: &mut Write,
    ns: &Namespace,
    meter: MeterId,
    at: Instant,
) -> Result<Vec<Feature>, StateError> {
    let query = sqlx::query(select!(
        "WHERE namespace = $1 AND meter_id = $2 AND (archived_at IS NULL OR EXISTS (SELECT 1 FROM entitlements \
         WHERE entitlements.namespace = features.namespace AND entitlements.feature_id = features.id \
         AND entitlements.deleted_at IS NULL AND (entitlements.active_to IS NULL OR entitlements.active_to > $3))) ORDER BY key"
    ));
    let query = query.bind(ns.as_str()).bind(meter.to_string()).bind(column::instant(at));
    let rows = query.fetch_all(&mut *write.tx).await.map_err(failed)?;
    rows.iter().map(read).collect()
}

fn cost_text(cost: &UnitCost) -> String {
    let mut parts = BTreeMap::new();
    match cost {
        UnitCost::Manual(amount) => drop(parts.insert("amount".to_string(), amount.to_string())),
        UnitCost::Llm { provider, model, token_type } => {
            for (name, source) in [("provider", provider), ("model", model), ("token_type", token_type)] {
                match source {
                    Source::Dimension(dimension) => parts.insert(format!("{name}_dimension"), dimension.clone()),
                    Source::Fixed(word) => parts.insert(name.to_string(), word.clone()),
                };
            }
        }
    }
    column::map(parts.iter().map(|(name, part)| (name, part.as_str())))
}

fn read_cost(mut parts: BTreeMap<String, String>) -> Result<UnitCost, String> {
    if let Some(amount) = parts.remove("amount") {
        return Quantity::parse(&amount).map(UnitCost::Manual).map_err(|error| error.to_string());
    }
    let mut source = |name: &str| {
        let dimension = parts.remove(&format!("{name}_dimension")).map(Source::Dimension);
        dimension.or(parts.remove(name).map(Source::Fixed)).ok_or_else(|| format!("{name} is missing"))
    };
    Ok(UnitCost::Llm { provider: source("provider")?, model: source("model")?, token_type: source("token_type")? })
}

fn read(row: &AnyRow) -> Result<Feature, StateError> {
    let columns = Columns::of("features", row);
    let meter = match (columns.optional_text("meter_id")?, columns.optional_text("meter_slug")?) {
        (Some(id), Some(slug)) => {
            let id = MeterId::parse(&id).ok_or_else(|| columns.corrupt("meter_id", "it is not a ULID"))?;
            Some(FeatureMeter { id, slug })
        }
        (None, None) => None,
        _ => return Err(columns.corrupt("meter_slug", "a meter has an id and a slug")),
    };
    let cost = columns.optional_map("unit_cost")?.map(read_cost).transpose();
    Ok(Feature {
        id: columns.parsed("id", |text| FeatureId::parse(text).ok_or("it is not a ULID"))?,
        key: columns.text("key")?,
        name: columns.text("name")?,
        description: columns.optional_text("description")?,
        metadata: columns.map("metadata")?,
        meter,
        filters: columns.parsed("filters", filters::of_text)?,
        unit_cost: cost.map_err(|reason| columns.corrupt("unit_cost", reason))?,
        created_at: columns.instant("created_at")?,
        updated_at: columns.instant("updated_at")?,
        archived_at: columns.optional_instant("archived_at")?,
    })
}
