//! Features: create, list, get, change the unit cost, archive.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{EngineError, Fault};
use crate::meters::MeterRef;
use tallystick_domain::FeatureId;
use tallystick_domain::feature::{Feature, FeatureDraft, FeatureFault, UnitCostDraft};
use tallystick_domain::key::Scope;
use tallystick_domain::meter::Meter;
pub use tallystick_state_store::{FeatureListing, FeatureOrder, FeatureText};

/// A page of features.
#[derive(Clone, Debug)]
pub struct FeaturePage {
    /// The features of the page.
    pub features: Vec<Feature>,
    /// How many there are on all pages.
    pub total: u64,
}

impl Engine {
    /// Creates a feature. `meter` is the slug or the id of the live meter that measures its use.
    pub async fn create_feature(
        &self,
        caller: &Caller,
        draft: FeatureDraft,
        meter: Option<&str>,
    ) -> Result<Feature, EngineError> {
        caller.require(Scope::Admin)?;
        let meter = match meter {
            Some(name) => Some(self.named_meter(caller, name).await?),
            None => None,
        };
        let (time_ms, random) = self.id_parts()?;
        let id = FeatureId::from_parts(time_ms, random);
        let feature = Feature::define(id, draft, meter.as_ref(), self.clock().now()).map_err(invalid)?;
        self.state().insert_feature(caller.writer(), &feature, meter.as_ref()).await?;
        Ok(feature)
    }

    /// A page of features.
    pub async fn list_features(&self, caller: &Caller, listing: FeatureListing) -> Result<FeaturePage, EngineError> {
        caller.require(Scope::Read)?;
        let (features, total) = self.state().list_features(caller.namespace(), &listing).await?;
        Ok(FeaturePage { features, total })
    }

    /// One live feature, by id or key.
    pub async fn get_feature(&self, caller: &Caller, id_or_key: &str) -> Result<Feature, EngineError> {
        caller.require(Scope::Read)?;
        self.find_feature(caller, id_or_key).await
    }

    /// Gives a live feature another unit cost, or none.
    pub async fn update_feature_cost(
        &self,
        caller: &Caller,
        id_or_key: &str,
        cost: Option<UnitCostDraft>,
    ) -> Result<Feature, EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_feature(caller, id_or_key).await?;
        let meter = match &stored.meter {
            Some(meter) => self.state().get_meter(caller.namespace(), meter.id).await?,
            None => None,
        };
        let feature = stored.with_unit_cost(cost, meter.as_ref(), self.clock().now()).map_err(invalid)?;
        match self.state().update_feature_cost(caller.writer(), &feature, meter.as_ref()).await? {
            true => Ok(feature),
            false => Err(missing(id_or_key)),
        }
    }

    /// Archives a live feature; its key can be used again.
    pub async fn archive_feature(&self, caller: &Caller, id_or_key: &str) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_feature(caller, id_or_key).await?;
        match self.state().archive_feature(caller.writer(), stored.id, self.clock().now()).await? {
            true => Ok(()),
            false => Err(missing(id_or_key)),
        }
    }

    pub(crate) async fn find_feature(&self, caller: &Caller, id_or_key: &str) -> Result<Feature, EngineError> {
        let namespace = caller.namespace();
        if let Some(found) = self.state().find_feature(namespace, id_or_key).await? {
            return Ok(found);
        }
        let id = FeatureId::parse(id_or_key).ok_or_else(|| missing(id_or_key))?;
        let found = self.state().get_feature(namespace, id).await?;
        found.filter(|feature| feature.archived_at.is_none()).ok_or_else(|| missing(id_or_key))
    }

    async fn named_meter(&self, caller: &Caller, name: &str) -> Result<Meter, EngineError> {
        let missing = || EngineError::NotFound { what: "meter", key: name.to_string() };
        self.find_live_meter(caller, &MeterRef::parse(name).ok_or_else(missing)?).await
    }
}

fn missing(id_or_key: &str) -> EngineError {
    EngineError::NotFound { what: "feature", key: id_or_key.to_string() }
}

fn invalid(faults: Vec<FeatureFault>) -> EngineError {
    EngineError::Invalid(faults.into_iter().map(|fault| Fault::new(fault.field, fault.message)).collect())
}
