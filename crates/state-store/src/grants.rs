//! Grants at rest.

use crate::column::{self, Columns};
use crate::error::{StateError, failed};
use crate::outbox::{Change, Entity, Write};
use crate::search::{Part, Wanted};
use crate::{StateStore, Writer};
use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;
use tallystick_domain::entitlement::{Expiration, ExpirationUnit, Grant};
use tallystick_domain::search::TextCondition;
use tallystick_domain::{CustomerId, EntitlementId, GrantId, Instant, Namespace, Quantity};

const INSERT: &str = "INSERT INTO grants (namespace, id, entitlement_id, amount, priority, effective_at, expiration_unit, \
     expiration_count, min_rollover, max_rollover, recurrence_interval, recurrence_anchor, metadata, annotations, created_at, \
     updated_at, voided_at, deleted_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";

const COLUMNS: &str = "id, entitlement_id, amount, priority, effective_at, expiration_unit, expiration_count, min_rollover, \
     max_rollover, recurrence_interval, recurrence_anchor, metadata, annotations, created_at, updated_at, voided_at, deleted_at";

/// Which grants to list.
#[derive(Clone, Debug, Default)]
pub struct GrantListing {
    /// Only those of this entitlement.
    pub entitlement: Option<EntitlementId>,
    /// Only those of entitlements to these features, by id or key; all when empty.
    pub features: Vec<String>,
    /// Only those of entitlements of these customers; all when absent.
    pub customers: Option<Vec<CustomerId>>,
    /// Deleted ones too.
    pub include_deleted: bool,
    /// What to sort by; ties are sorted by id.
    pub order: GrantOrder,
    /// Largest first.
    pub descending: bool,
    /// How many to skip.
    pub offset: u32,
    /// How many to give at most.
    pub limit: u32,
}

/// What grants are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GrantOrder {
    /// Creation.
    #[default]
    CreatedAt,
    /// Last change.
    UpdatedAt,
    /// Identity.
    Id,
    /// Their beginning.
    EffectiveAt,
}

impl GrantOrder {
    /// The column; of a narrow listing as an expression, so that SQLite reads what is wanted and sorts it, and not everything
    /// in order.
    fn column(self, is_narrow: bool) -> &'static str {
        match self {
            GrantOrder::CreatedAt if is_narrow => "(created_at + 0)",
            GrantOrder::UpdatedAt if is_narrow => "(updated_at + 0)",
            GrantOrder::EffectiveAt if is_narrow => "(effective_at + 0)",
            GrantOrder::Id if is_narrow => "(id || '')",
            GrantOrder::CreatedAt => "created_at",
            GrantOrder::UpdatedAt => "updated_at",
            GrantOrder::Id => "id",
            GrantOrder::EffectiveAt => "effective_at",
        }
    }
}

impl StateStore {
    /// Stores a new grant of an entitlement that was not deleted; `false` when there is none.
    pub async fn insert_grant(&self, by: Writer<'_>, grant: &Grant) -> Result<bool, StateError> {
        const FIND: &str = "SELECT id FROM entitlements WHERE namespace = $1 AND id = $2 AND deleted_at IS NULL";
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        let query = sqlx::query(FIND).bind(ns.as_str()).bind(grant.entitlement.to_string());
        if query.fetch_optional(&mut *write.tx).await.map_err(failed)?.is_none() {
            return Ok(false);
        }
        insert(&mut write, ns, grant).await?;
        write.commit(Entity::Grant, &grant.id.to_string(), Change::Created, grant.created_at).await?;
        Ok(true)
    }

    /// Voids a grant from a moment on; `false` when there is none that was not voided before.
    pub async fn void_grant(
        &self,
        by: Writer<'_>,
        id: GrantId,
        voided_at: Instant,
        at: Instant,
    ) -> Result<bool, StateError> {
        const VOID: &str =
            "UPDATE grants SET voided_at = $3, updated_at = $4 WHERE namespace = $1 AND id = $2 AND voided_at IS NULL";
        let mut write = Write::begin(self, by).await?;
        let query = sqlx::query(VOID).bind(by.namespace().as_str()).bind(id.to_string());
        let query = query.bind(column::instant(voided_at)).bind(column::instant(at));
        if query.execute(&mut *write.tx).await.map_err(failed)?.rows_affected() == 0 {
            return Ok(false);
        }
        write.commit(Entity::Grant, &id.to_string(), Change::Voided, at).await?;
        Ok(true)
    }

    /// The grant with this id, deleted ones too.
    pub async fn get_grant(&self, ns: &Namespace, id: GrantId) -> Result<Option<Grant>, StateError> {
        let sql = format!("SELECT {COLUMNS} FROM grants WHERE namespace = $1 AND id = $2");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(ns.as_str()).bind(id.to_string());
        let row = query.fetch_optional(&self.pool).await.map_err(failed)?;
        row.as_ref().map(read).transpose()
    }

    /// All grants of an entitlement, deleted and voided ones too, the oldest first.
    pub async fn grants_of(&self, ns: &Namespace, entitlement: EntitlementId) -> Result<Vec<Grant>, StateError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM grants WHERE namespace = $1 AND entitlement_id = $2 ORDER BY created_at, id"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(ns.as_str()).bind(entitlement.to_string());
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        rows.iter().map(read).collect()
    }

    /// All grants of all entitlements of a customer, deleted and voided ones too, the oldest first.
    pub async fn grants_of_customer(&self, ns: &Namespace, customer: CustomerId) -> Result<Vec<Grant>, StateError> {
        // Sorted here: asked for an order, SQLite reads all grants of the namespace in that order.
        let sql = format!(
            "SELECT {COLUMNS} FROM grants WHERE namespace = $1 AND entitlement_id IN \
             (SELECT id FROM entitlements WHERE namespace = $1 AND customer_id = $2)"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(ns.as_str()).bind(customer.to_string());
        let rows = query.fetch_all(&self.pool).await.map_err(failed)?;
        let mut grants = rows.iter().map(read).collect::<Result<Vec<Grant>, _>>()?;
        grants.sort_by_key(|grant| (grant.created_at, grant.id));
        Ok(grants)
    }

    /// A page of grants, and how many there are on all pages.
    pub async fn list_grants(&self, ns: &Namespace, listing: &GrantListing) -> Result<(Vec<Grant>, u64), StateError> {
        const OF_THEIRS: &str = "SELECT id FROM entitlements WHERE namespace = $1";
        let mut wanted = Wanted::of(ns);
        if !listing.include_deleted {
            wanted.and("deleted_at IS NULL");
        }
        if let Some(entitlement) = listing.entitlement {
            wanted.text("entitlement_id", &TextCondition::Is(entitlement.to_string()));
        }
        if !listing.features.is_empty() {
            let condition = TextCondition::OneOf(listing.features.clone());
            wanted.whose("entitlement_id", OF_THEIRS, ["feature_id", "feature_key"], &condition);
        }
        if let Some(customers) = &listing.customers {
            let ids = TextCondition::OneOf(customers.iter().map(CustomerId::to_string).collect());
            wanted.whose("entitlement_id", OF_THEIRS, ["customer_id"], &ids);
        }
        let part = Part {
            column: listing.order.column(listing.entitlement.is_some() || listing.customers.is_some()),
            descending: listing.descending,
            offset: listing.offset,
            limit: listing.limit,
        };
        let select = format!("SELECT {COLUMNS} FROM grants");
        let (rows, total) = wanted.page(self, "grants", &select, part).await?;
        Ok((rows.iter().map(read).collect::<Result<_, _>>()?, total))
    }
}

/// Stores a grant in a transaction of its entitlement.
pub(crate) async fn insert(write: &mut Write, ns: &Namespace, grant: &Grant) -> Result<(), StateError> {
    sqlx::query(INSERT)
        .bind(ns.as_str())
        .bind(grant.id.to_string())
        .bind(grant.entitlement.to_string())
        .bind(grant.amount.to_string())
        .bind(i64::from(grant.priority))
        .bind(column::instant(grant.effective_at))
        .bind(grant.expiration.map(|expiration| expiration.unit.as_str()))
        .bind(i64::from(grant.expiration.map_or(0, |expiration| expiration.count)))
        .bind(grant.min_rollover.to_string())
        .bind(grant.max_rollover.to_string())
        .bind(grant.recurrence.map(|recurrence| recurrence.interval.to_string()))
        .bind(grant.recurrence.map(|recurrence| column::instant(recurrence.anchor)))
        .bind(column::labels(&grant.metadata))
        .bind(column::labels(&grant.annotations))
        .bind(column::instant(grant.created_at))
        .bind(column::instant(grant.updated_at))
        .bind(grant.voided_at.map(column::instant))
        .bind(grant.deleted_at.map(column::instant))
        .execute(&mut *write.tx)
        .await
        .map(drop)
        .map_err(failed)
}

/// Deletes the grants of an entitlement that were not deleted before.
pub(crate) async fn delete_grants_of(
    write: &mut Write,
    ns: &Namespace,
    entitlement: EntitlementId,
    at: Instant,
) -> Result<(), StateError> {
    const DELETE: &str = "UPDATE grants SET deleted_at = $3, updated_at = $3 \
         WHERE namespace = $1 AND entitlement_id = $2 AND deleted_at IS NULL";
    let query = sqlx::query(DELETE).bind(ns.as_str()).bind(entitlement.to_string()).bind(column::instant(at));
    query.execute(&mut *write.tx).await.map(drop).map_err(failed)
}

fn read(row: &AnyRow) -> Result<Grant, StateError> {
    let columns = Columns::of("grants", row);
    let expiration = columns.optional_text("expiration_unit")?.map(|text| {
        let unit = ExpirationUnit::parse(&text).ok_or_else(|| columns.corrupt("expiration_unit", "it is no unit"))?;
        Ok(Expiration { unit, count: columns.number("expiration_count")? })
    });
    let recurrence = columns.recurrence("recurrence_interval", "recurrence_anchor")?;
    Ok(Grant {
        id: columns.parsed("id", |text| GrantId::parse(text).ok_or("it is not a ULID"))?,
        entitlement: columns.parsed("entitlement_id", |text| EntitlementId::parse(text).ok_or("it is not a ULID"))?,
        amount: columns.parsed("amount", Quantity::parse)?,
        priority: columns.small("priority")?,
        effective_at: columns.instant("effective_at")?,
        expiration: expiration.transpose()?,
        min_rollover: columns.parsed("min_rollover", Quantity::parse)?,
        max_rollover: columns.parsed("max_rollover", Quantity::parse)?,
        recurrence,
        metadata: columns.map("metadata")?,
        annotations: columns.map("annotations")?,
        created_at: columns.instant("created_at")?,
        updated_at: columns.instant("updated_at")?,
        voided_at: columns.optional_instant("voided_at")?,
        deleted_at: columns.optional_instant("deleted_at")?,
    })
}
