//! Meters and customers that go with the entitlements that were made for their balances alone, in one transaction.

use crate::column::Columns;
use crate::error::{StateError, failed};
use crate::outbox::{Change, Entity, Write};
use crate::{StateStore, Writer, entitlements, features};
use tallystick_domain::customer::Customer;
use tallystick_domain::meter::Meter;
use tallystick_domain::{EntitlementId, FeatureId, Instant, Namespace};

impl StateStore {
    /// Stores the deletion of a meter, archives these features of it and deletes the entitlements to them, all of it or nothing.
    ///
    /// # Errors
    /// Those of [`StateStore::update_meter`]: also when other features need the meter.
    pub async fn delete_meter_with(&self, by: Writer<'_>, meter: &Meter, own: &[FeatureId]) -> Result<(), StateError> {
        let (ns, at) = (by.namespace(), meter.updated_at);
        let mut write = Write::begin(self, by).await?;
        for feature in own {
            for id in to_feature(&mut write, ns, *feature).await? {
                delete_entitlement(&mut write, ns, id, at).await?;
            }
            if features::archive(&mut write, ns, *feature, at).await? {
                write.also(Entity::Feature, &feature.to_string(), Change::Archived, at).await?;
            }
        }
        self.replace_meter(write, ns, meter).await
    }

    /// Stores the deletion of a customer and deletes these entitlements of it, all of it or nothing.
    ///
    /// # Errors
    /// Those of [`StateStore::update_customer`]: also when the customer has other entitlements.
    pub async fn delete_customer_with(
        &self,
        by: Writer<'_>,
        customer: &Customer,
        own: &[EntitlementId],
    ) -> Result<(), StateError> {
        let ns = by.namespace();
        let mut write = Write::begin(self, by).await?;
        for id in own {
            delete_entitlement(&mut write, ns, *id, customer.updated_at).await?;
        }
        self.replace_customer(write, ns, customer, &[]).await
    }
}

async fn delete_entitlement(
    write: &mut Write,
    ns: &Namespace,
    id: EntitlementId,
    at: Instant,
) -> Result<(), StateError> {
    if entitlements::delete(write, ns, id, at).await? {
        write.also(Entity::Entitlement, &id.to_string(), Change::Deleted, at).await?;
    }
    Ok(())
}

/// The entitlements to a feature that were not deleted.
async fn to_feature(write: &mut Write, ns: &Namespace, feature: FeatureId) -> Result<Vec<EntitlementId>, StateError> {
    const FIND: &str = "SELECT id FROM entitlements WHERE namespace = $1 AND feature_id = $2 AND deleted_at IS NULL";
    let query = sqlx::query(FIND).bind(ns.as_str()).bind(feature.to_string());
    let rows = query.fetch_all(&mut *write.tx).await.map_err(failed)?;
    rows.iter().map(|row| entitlements::read_id(&Columns::of("entitlements", row))).collect()
}
