//! Entitlements at rest, and the resets that somebody asked for.

use crate::column::{self, Columns, text};
use crate::error::{StateError, conflict_or_failed, failed};
use crate::grants::{self, delete_grants_of};
use crate::outbox::{Change, Entity, Write};
use crate::search::{Part, Wanted};
use crate::{StateStore, Writer};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe};
use std::collections::BTreeMap;
use tallystick_domain::entitlement::{Entitlement, Grant, Issue, Kind, KindName, Metered, Reset};
use tallystick_domain::search::TextCondition;
use tallystick_domain::{CustomerId, EntitlementId, FeatureId, Instant, Namespace, Quantity};

const INSERT: &str = "INSERT INTO entitlements (namespace, id, customer_id, feature_id, feature_key, kind, config, \
     is_soft_limit, preserves_overage, issue_amount, issue_priority, measured_from, period_interval, period_anchor, metadata, \
     annotations, active_from, active_to, created_at, updated_at, deleted_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";

const COLUMNS: &str = "id, customer_id, feature_id, feature_key, kind, config, is_soft_limit, preserves_overage, issue_amount, \
     issue_priority, measured_from, period_interval, period_anchor, metadata, annotations, active_from, active_to, created_at, \
     updated_at, deleted_at";

/// Which entitlements to list.
#[derive(Clone, Debug, Default)]
pub struct EntitlementListing {
    /// Only those of these customers; all when absent.
    pub customers: Option<Vec<CustomerId>>,
    /// Only those to these features, by id or key; all when empty.
    pub features: Vec<String>,
    /// Only those of these kinds; all when empty.
    pub kinds: Vec<KindName>,
    /// Only those that are in force at this moment.
    pub active_at: Option<Instant>,
    /// Deleted ones too, as if they had not been.
    pub include_deleted: bool,
    /// Sorted by the last change instead of the creation; ties are sorted by id.
    pub by_update: bool,
    /// Largest first.
    pub descending: bool,
    /// How many to skip.
    pub offset: u32,
    /// How many to give at most.
    pub limit: u32,
}

impl StateStore {
    /// Stores a new entitlement with its grants. [`StateError::Overlap`] names the one of its customer and feature that is in force
    /// at the same time.
    pub async fn insert_entitlement(
        &self,
        by: Writer<'_>,
        entitlement: &Entitlement,
        grants: &[Grant],
    ) -> Result<(), StateError> {
        let mut write = Write::begin(self, by).await?;
        insert(&mut write, by.namespace(), entitlement, grants).await?;
        write.commit(Entity::Entitlement, &entitlement.id.to_string(), Change::Created, entitlement.created_at).await
    }

    /// Ends an entitlement, of which nothing else changes, and stores the one that takes its place, in one step. The grants of the
    /// old one are deleted. `false` when the old one was ended or deleted before.
    pub async fn replace_entitlement(
        &self,
        by: Writer<'_>,
        ended: &Entitlement,
        entitlement: &Entitlement,
        grants: &[Grant],
    ) -> Result<bool, StateError> {
        const END: &str = "UPDATE entitlements SET active_to = $3, updated_at = $3 \
             WHERE namespace = $1 AND id = $2 AND active_to IS NULL AND deleted_at IS NULL";
        let (ns, at) = (by.namespace(), entitlement.active_from);
        let mut write = Write::begin(self, by).await?;
        let id = ended.id.to_string();
        let query = sqlx::query(END).bind(ns.as_str()).bind(&id).bind(column::instant(at));
        if query.execute(&mut *write.tx).await.map_err(failed)?.rows_affected() == 0 {
            return Ok(false);
        }
        delete_grants_of(&mut write, ns, ended.id, at).await?;
        write.also(Entity::Entitlement, &id, Change::Updated, at).await?;
        insert(&mut write, ns, entitlement, grants).await?;
        write.commit(Entity::Entitlement, &entitlement.id.to_string(), Change::Created, at).await?;
        Ok(true)
    }

    /// Deletes an entitlement and its grants; `false` when there is none that was not deleted before.
    pub async fn delete_entitlement(&self, by: Writer<'_>, id: EntitlementId, at: Instant) -> Result<bool, StateError> {
        let mut write = Write::begin(self, by).await?;
        if !delete(&mut write, by.namespace(), id, at).await? {
            return Ok(false);
        }
        write.commit(Entity::Entitlement, &id.to_string(), Change::Deleted, at).await?;
        Ok(true)
    }

    /// The entitlement with this id, deleted ones too.
    pub async fn get_entitlement(&self, ns: &Namespace, id: EntitlementId) -> Result<Option<Entitlement>, StateError> {
        let sql = format!("SELECT {COLUMNS} FROM entitlements WHERE namespace = $1 AND id = $2");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(ns.as_str()).bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// All entitlements of a customer, ended and deleted ones too, by the key of the feature and then by age.
    pub async fn entitlements_of(&self, ns: &Namespace, customer: CustomerId) -> Result<Vec<Entitlement>, StateError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM entitlements WHERE namespace = $1 AND customer_id = $2 \
             ORDER BY feature_key, active_from, id"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(ns.as_str()).bind(customer.to_string());
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// A page of entitlements, and how many there are on all pages.
    pub async fn list_entitlements(
        &self,
        ns: &Namespace,
        listing: &EntitlementListing,
    ) -> Result<(Vec<Entitlement>, u64), StateError> {
        let mut wanted = Wanted::of(ns);
        if !listing.include_deleted {
            wanted.and("deleted_at IS NULL");
        }
        if let Some(customers) = &listing.customers {
            let ids = customers.iter().map(CustomerId::to_string).collect();
            wanted.text("customer_id", &TextCondition::OneOf(ids));
        }
        if !listing.features.is_empty() {
            wanted.either(["feature_id", "feature_key"], &TextCondition::OneOf(listing.features.clone()));
        }
        if !listing.kinds.is_empty() {
            let kinds = listing.kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
            wanted.text("kind", &TextCondition::OneOf(kinds));
        }
        if let Some(at) = listing.active_at {
            let at = column::instant(at);
            wanted.and(&format!("active_from <= {at} AND (active_to IS NULL OR active_to > {at})"));
        }
        // Of a few customers as an expression, so that SQLite reads theirs and sorts them, and not everything in order.
        let column = match (listing.by_update, listing.customers.is_some()) {
            (true, true) => "(updated_at + 0)",
            (false, true) => "(created_at + 0)",
            (true, false) => "updated_at",
            (false, false) => "created_at",
        };
        let part = Part { column, descending: listing.descending, offset: listing.offset, limit: listing.limit };
        let select = format!("SELECT {COLUMNS} FROM entitlements");
        let (rows, total) = wanted.page(self, "entitlements", &select, part).await?;
        Ok((rows.iter().map(read).collect::<Result<_, _>>()?, total))
    }

    /// Stores a reset of a metered entitlement.
    pub async fn insert_reset(
        &self,
        by: Writer<'_>,
        entitlement: EntitlementId,
        reset: &Reset,
        at: Instant,
    ) -> Result<(), StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        let id = entitlement.to_string();
        sqlx::query(
            "INSERT INTO entitlement_resets (namespace, id, at, period_interval, period_anchor, preserves_overage, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(ns.as_str())
        .bind(&id)
        .bind(column::instant(reset.at))
        .bind(reset.recurrence.interval.to_string())
        .bind(column::instant(reset.recurrence.anchor))
        .bind(i64::from(reset.preserves_overage))
        .bind(column::instant(at))
        .execute(&mut *write.tx)
        .await
        .map_err(|error| conflict_or_failed(error, || format!("a reset of entitlement {id} at {}", reset.at)))?;
        write.commit(Entity::Entitlement, &id, Change::Updated, at).await
    }

    /// The resets of these entitlements that somebody asked for, the oldest first.
    pub async fn resets_of(
        &self,
        ns: &Namespace,
        entitlements: impl IntoIterator<Item = EntitlementId>,
    ) -> Result<BTreeMap<EntitlementId, Vec<Reset>>, StateError> {
        const SELECT: &str = "SELECT id, at, period_interval, period_anchor, preserves_overage FROM entitlement_resets";
        let mut wanted = Wanted::of(ns);
        wanted.text("id", &TextCondition::OneOf(entitlements.into_iter().map(|id| id.to_string()).collect()));
        let mut resets: BTreeMap<EntitlementId, Vec<Reset>> = BTreeMap::new();
        for row in wanted.all(self, SELECT).await? {
            let columns = Columns::of("entitlement_resets", &row);
            let recurrence = columns.recurrence("period_interval", "period_anchor")?;
            let reset = Reset {
                at: columns.instant("at")?,
                recurrence: recurrence.ok_or_else(|| columns.corrupt("period_interval", "it is missing"))?,
                preserves_overage: columns.number("preserves_overage")? != 0,
            };
            resets.entry(read_id(&columns)?).or_default().push(reset);
        }
        resets.values_mut().for_each(|resets| resets.sort_by_key(|reset| reset.at));
        Ok(resets)
    }
}

/// Deletes an entitlement and its grants in a transaction; `false` when there is none that was not deleted before.
pub(crate) async fn delete(
    write: &mut Write,
    ns: &Namespace,
    id: EntitlementId,
    at: Instant,
) -> Result<bool, StateError> {
    const DELETE: &str = "UPDATE entitlements SET deleted_at = $3, updated_at = $3 \
         WHERE namespace = $1 AND id = $2 AND deleted_at IS NULL";
    let query = sqlx::query(DELETE).bind(ns.as_str()).bind(id.to_string()).bind(column::instant(at));
    if query.execute(&mut *write.tx).await.map_err(failed)?.rows_affected() == 0 {
        return Ok(false);
    }
    delete_grants_of(write, ns, id, at).await?;
    Ok(true)
}

/// Refuses while a customer has entitlements in force, or some that will be.
pub(crate) async fn check_none_in_force(
    write: &mut Write,
    ns: &Namespace,
    customer: CustomerId,
    at: Instant,
) -> Result<(), StateError> {
    const FIND: &str = "SELECT id, feature_key FROM entitlements WHERE namespace = $1 AND customer_id = $2 \
         AND deleted_at IS NULL AND (active_to IS NULL OR active_to > $3) LIMIT 1";
    let query = sqlx::query(FIND).bind(ns.as_str()).bind(customer.to_string()).bind(column::instant(at));
    let Some(row) = query.fetch_optional(&mut *write.tx).await.map_err(failed)? else { return Ok(()) };
    let columns = Columns::of("entitlements", &row);
    let (id, key) = (read_id(&columns)?, columns.text("feature_key")?);
    Err(StateError::Refused(format!("customer {customer} has entitlement {id} to feature {key}: delete it first")))
}

async fn insert(
    write: &mut Write,
    ns: &Namespace,
    entitlement: &Entitlement,
    grants: &[Grant],
) -> Result<(), StateError> {
    check_it_can_be_given(write, ns, entitlement).await?;
    let sql = format!(
        "SELECT {COLUMNS} FROM entitlements WHERE namespace = $1 AND customer_id = $2 AND feature_key = $3 \
         ORDER BY active_from, id"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(ns.as_str()).bind(entitlement.customer.to_string());
    let rows = query.bind(text(&entitlement.feature_key)).fetch_all(&mut *write.tx).await.map_err(failed)?;
    for row in &rows {
        let known = read(row)?;
        if known.overlaps(entitlement) {
            return Err(StateError::Overlap { entitlement: known.id, feature_key: known.feature_key });
        }
    }
    bound(ns, entitlement).execute(&mut *write.tx).await.map_err(failed)?;
    for grant in grants {
        grants::insert(write, ns, grant).await?;
        write.also(Entity::Grant, &grant.id.to_string(), Change::Created, grant.created_at).await?;
    }
    Ok(())
}

/// Refuses when the customer or the feature went away since they were looked up.
async fn check_it_can_be_given(write: &mut Write, ns: &Namespace, entitlement: &Entitlement) -> Result<(), StateError> {
    let (customer, feature) = (entitlement.customer.to_string(), entitlement.feature.to_string());
    for (sql, id, what) in [
        ("SELECT id FROM customers WHERE namespace = $1 AND id = $2 AND deleted_at IS NULL", customer, "customer"),
        ("SELECT id FROM features WHERE namespace = $1 AND id = $2 AND archived_at IS NULL", feature, "feature"),
    ] {
        let query = sqlx::query(sql).bind(ns.as_str()).bind(&id);
        if query.fetch_optional(&mut *write.tx).await.map_err(failed)?.is_none() {
            let gone = format!("{what} {id} went away at the same time: send the request again");
            return Err(StateError::Refused(gone));
        }
    }
    Ok(())
}

fn bound<'q>(ns: &Namespace, entitlement: &Entitlement) -> Query<'q, Any, AnyArguments> {
    let (metered, config) = match &entitlement.kind {
        Kind::Metered(metered) => (Some(metered), None),
        Kind::Static { config } => (None, Some(text(config))),
        Kind::Boolean => (None, None),
    };
    let flag = |of: fn(&Metered) -> bool| i64::from(metered.is_some_and(of));
    let issue = metered.and_then(|metered| metered.issue);
    sqlx::query(INSERT)
        .bind(ns.as_str().to_owned())
        .bind(entitlement.id.to_string())
        .bind(entitlement.customer.to_string())
        .bind(entitlement.feature.to_string())
        .bind(text(&entitlement.feature_key))
        .bind(entitlement.kind_name().as_str())
        .bind(config)
        .bind(flag(|metered| metered.is_soft_limit))
        .bind(flag(|metered| metered.preserves_overage))
        .bind(issue.map(|issue| issue.amount.to_string()))
        .bind(i64::from(issue.map_or(0, |issue| issue.priority)))
        .bind(metered.map(|metered| column::instant(metered.measured_from)))
        .bind(entitlement.usage_period.map(|recurrence| recurrence.interval.to_string()))
        .bind(entitlement.usage_period.map(|recurrence| column::instant(recurrence.anchor)))
        .bind(column::labels(&entitlement.metadata))
        .bind(column::labels(&entitlement.annotations))
        .bind(column::instant(entitlement.active_from))
        .bind(entitlement.active_to.map(column::instant))
        .bind(column::instant(entitlement.created_at))
        .bind(column::instant(entitlement.updated_at))
        .bind(entitlement.deleted_at.map(column::instant))
}

fn read(row: &AnyRow) -> Result<Entitlement, StateError> {
    let columns = Columns::of("entitlements", row);
    let usage_period = columns.recurrence("period_interval", "period_anchor")?;
    let kind = columns.parsed("kind", |text| KindName::parse(text).ok_or("it is no kind of entitlement"))?;
    Ok(Entitlement {
        id: read_id(&columns)?,
        customer: columns.parsed("customer_id", |text| CustomerId::parse(text).ok_or("it is not a ULID"))?,
        feature: columns.parsed("feature_id", |text| FeatureId::parse(text).ok_or("it is not a ULID"))?,
        feature_key: columns.text("feature_key")?,
        kind: read_kind(&columns, kind)?,
        usage_period,
        metadata: columns.map("metadata")?,
        annotations: columns.map("annotations")?,
        active_from: columns.instant("active_from")?,
        active_to: columns.optional_instant("active_to")?,
        created_at: columns.instant("created_at")?,
        updated_at: columns.instant("updated_at")?,
        deleted_at: columns.optional_instant("deleted_at")?,
    })
}

fn read_kind(columns: &Columns<'_>, kind: KindName) -> Result<Kind, StateError> {
    let missing = |column: &str| columns.corrupt(column, "it is missing");
    match kind {
        KindName::Boolean => Ok(Kind::Boolean),
        KindName::Static => {
            Ok(Kind::Static { config: columns.optional_text("config")?.ok_or_else(|| missing("config"))? })
        }
        KindName::Metered => {
            let priority = columns.small("issue_priority")?;
            let amount = columns.optional_text("issue_amount")?.map(|text| Quantity::parse(&text)).transpose();
            let amount = amount.map_err(|error| columns.corrupt("issue_amount", error))?;
            Ok(Kind::Metered(Metered {
                is_soft_limit: columns.number("is_soft_limit")? != 0,
                preserves_overage: columns.number("preserves_overage")? != 0,
                issue: amount.map(|amount| Issue { amount, priority }),
                measured_from: columns.optional_instant("measured_from")?.ok_or_else(|| missing("measured_from"))?,
            }))
        }
    }
}

pub(crate) fn read_id(columns: &Columns<'_>) -> Result<EntitlementId, StateError> {
    columns.parsed("id", |text| EntitlementId::parse(text).ok_or("it is not a ULID"))
}
