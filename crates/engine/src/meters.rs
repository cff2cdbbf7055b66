//! Meters: create, list, get, update, delete.

use crate::caller::Caller;
use crate::engine::{Engine, new_meter_id};
use crate::error::{EngineError, Fault};
use tallystick_domain::MeterId;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{Meter, MeterDefinition, MeterFault, MeterRevision, MeterUpdate, valid_slug};

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

    /// A meter by its id.
    pub fn of_id(id: MeterId) -> Self {
        Self(id.to_string())
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
        let new_id = || new_meter_id(self.clock()).map_err(|error| EngineError::Unavailable(error.to_string()));
        let id = definition.id.map_or_else(new_id, Ok)?;
        if definition.id.is_some() && self.state().get_meter(caller.namespace(), id).await?.is_some() {
            let message = format!("there is or was a meter with the id {id}: choose another one, or none");
            return Err(EngineError::Conflict(message));
        }
        let meter = Meter::define(id, definition, self.clock().now()).map_err(invalid)?;
        self.state().insert_meter(caller.writer(), &meter).await?;
        self.judges().forget(caller.namespace());
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
        self.replace_meter(caller, updated).await
    }

    /// Lets a meter that judges count, from the beginning of this second on; one that does so already stays as it is.
    pub async fn activate_meter(&self, caller: &Caller, meter: &MeterRef) -> Result<Meter, EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_live_meter(caller, meter).await?;
        let active = stored.activated(self.clock().now()).map_err(|fault| invalid(vec![fault]))?;
        if active == stored { Ok(stored) } else { self.replace_meter(caller, active).await }
    }

    /// Lets a meter that judges count no event from now on; one that does not count stays as it is.
    pub async fn deactivate_meter(&self, caller: &Caller, meter: &MeterRef) -> Result<Meter, EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_live_meter(caller, meter).await?;
        let inactive = stored.deactivated(self.clock().now()).map_err(|fault| invalid(vec![fault]))?;
        if inactive == stored { Ok(stored) } else { self.replace_meter(caller, inactive).await }
    }

    /// Changes parts of a meter. A new rule is for events that are accepted from then on.
    pub async fn revise_meter(
        &self,
        caller: &Caller,
        meter: &MeterRef,
        revision: MeterRevision,
    ) -> Result<Meter, EngineError> {
        caller.require(Scope::Admin)?;
        let stored = self.find_live_meter(caller, meter).await?;
        let revised = stored.revised(revision, self.clock().now()).map_err(invalid)?;
        self.replace_meter(caller, revised).await
    }

    async fn replace_meter(&self, caller: &Caller, meter: Meter) -> Result<Meter, EngineError> {
        self.state().update_meter(caller.writer(), &meter).await?;
        self.judges().forget(caller.namespace());
        self.checks().forget_all(caller.namespace());
        Ok(meter)
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
        self.replace_meter(caller, deleted).await.map(drop)
    }

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
