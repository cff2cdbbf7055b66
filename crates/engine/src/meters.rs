//! Meters: create, list, get, update, delete.

use crate::caller::Caller;
use crate::engine::{Engine, new_meter_id};
use crate::error::{EngineError, Fault};
use tallystick_domain::MeterId;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{Meter, MeterDefinition, MeterFault, MeterUpdate, valid_slug};

/// How a request names a meter: an id finds deleted meters too, a slug only live ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterRef(String);

impl MeterRef {
    /// Reads an id or a slug; `None` when the text can be neither.
    pub fn parse(text: &str) -> Option<Self> {
        (valid_slug(text) || MeterId::parse(text).is_some()).then(|| Self(text.to_string()))
    }

    /// Reads a slug; `None` when the text is none.
    pub fn parse_slug(text: &str) -> Option<Self> {
        valid_slug(text).then(|| Self(text.to_string()))
    }

    /// The text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Engine {
    /// Creates a meter; it counts history from its `event_from` on.
    pub async fn create_meter(&self, caller: &Caller, definition: MeterDefinition) -> Result<Meter, EngineError> {
        caller.require(Scope::Admin)?;
        let id = new_meter_id(self.clock()).map_err(|error| EngineError::Unavailable(error.to_string()))?;
        let meter = Meter::define(id, definition, self.clock().now()).map_err(invalid)?;
        self.state().insert_meter(caller.writer(), &meter).await?;
        Ok(meter)
    }

    /// All meters of the namespace.
    pub async fn list_meters(&self, caller: &Caller, include_deleted: bool) -> Result<Vec<Meter>, EngineError> {
        caller.require(Scope::Read)?;
        Ok(self.state().list_meters(caller.namespace(), include_deleted).await?)
    }

    /// One meter.
    pub async fn get_meter(&self, caller: &Caller, meter: &MeterRef) -> Result<Meter, EngineError> {
        caller.require(Scope::Read)?;
        self.find_meter(caller, meter).await
    }

    /// Changes a meter.
    pub async fn update_meter(
        &self,
        caller: &Caller,
        meter: &MeterRef,
        update: MeterUpdate,
    ) -> Result<Meter, EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_meter(caller, meter).await?;
        let updated = stored.updated(update, self.clock().now()).map_err(invalid)?;
        self.state().update_meter(caller.writer(), &updated).await?;
        self.checks().forget_all(caller.namespace());
        Ok(updated)
    }

    /// Deletes a meter; its events stay. Deleting by id again changes nothing.
    pub async fn delete_meter(&self, caller: &Caller, meter: &MeterRef) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_meter(caller, meter).await?;
        if stored.deleted_at.is_some() {
            return Ok(());
        }
        let now = self.clock().now();
        let deleted = Meter { deleted_at: Some(now), updated_at: now, ..stored };
        self.state().update_meter(caller.writer(), &deleted).await?;
        self.checks().forget_all(caller.namespace());
        Ok(())
    }

    /// As [`Engine::find_meter`], but a deleted meter is not there.
    pub(crate) async fn find_live_meter(&self, caller: &Caller, meter: &MeterRef) -> Result<Meter, EngineError> {
        let found = self.find_meter(caller, meter).await?;
        match found.deleted_at {
            None => Ok(found),
            Some(_) => Err(EngineError::NotFound { what: "meter", key: meter.as_str().to_string() }),
        }
    }

    pub(crate) async fn find_meter(&self, caller: &Caller, meter: &MeterRef) -> Result<Meter, EngineError> {
        let missing = || EngineError::NotFound { what: "meter", key: meter.as_str().to_string() };
        if let Some(found) = self.state().find_meter(caller.namespace(), meter.as_str()).await? {
            return Ok(found);
        }
        let id = MeterId::parse(meter.as_str()).ok_or_else(missing)?;
        self.state().get_meter(caller.namespace(), id).await?.ok_or_else(missing)
    }
}

fn invalid(faults: Vec<MeterFault>) -> EngineError {
    EngineError::Invalid(faults.into_iter().map(Fault::from).collect())
}
