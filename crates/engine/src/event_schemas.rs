//! Event schemas: create, revise, activate, deactivate, look up, delete.

use crate::caller::Caller;
use crate::engine::Engine;
use crate::error::{EngineError, Fault};
use tallystick_domain::EventSchemaId;
use tallystick_domain::event_schema::{EventSchema, SchemaContent, SchemaFault, SchemaRevision, SchemaStatus};
use tallystick_domain::key::Scope;
use tallystick_domain::meter::{Meter, MeterStatus};

impl Engine {
    /// Creates a schema: a draft, version 1.
    pub async fn create_event_schema(
        &self,
        caller: &Caller,
        name: String,
        content: SchemaContent,
    ) -> Result<EventSchema, EngineError> {
        caller.require(Scope::Admin)?;
        let (time_ms, random) = self.id_parts()?;
        let id = EventSchemaId::from_parts(time_ms, random);
        let schema = EventSchema::define(id, name, content, self.clock().now()).map_err(invalid)?;
        self.state().insert_event_schema(caller.writer(), &schema).await?;
        Ok(schema)
    }

    /// The newest versions of all schemas, the last changed first.
    pub async fn list_event_schemas(&self, caller: &Caller) -> Result<Vec<EventSchema>, EngineError> {
        caller.require(Scope::Read)?;
        Ok(self.state().list_event_schemas(caller.namespace()).await?)
    }

    /// The newest version of a schema. Who sends events may ask too.
    pub async fn get_event_schema(&self, caller: &Caller, name: &str) -> Result<EventSchema, EngineError> {
        caller.require(Scope::Read).or_else(|_| caller.require(Scope::Ingest))?;
        self.find_event_schema(caller, name).await
    }

    /// All versions of a schema, the newest first.
    pub async fn list_event_schema_versions(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<Vec<EventSchema>, EngineError> {
        caller.require(Scope::Read)?;
        let versions = self.state().event_schema_versions(caller.namespace(), name).await?;
        if versions.is_empty() { Err(missing(name)) } else { Ok(versions) }
    }

    /// Changes what a schema says; one that was active only grows, by another version.
    pub async fn revise_event_schema(
        &self,
        caller: &Caller,
        name: &str,
        revision: SchemaRevision,
    ) -> Result<EventSchema, EngineError> {
        caller.require(Scope::Admin)?;
        let before = self.find_event_schema(caller, name).await?;
        let after = before.revised(revision, self.clock().now()).map_err(invalid)?;
        self.write_event_schema(caller, &before, after).await
    }

    /// Begins to expect events of a schema. Doing it again changes nothing.
    pub async fn activate_event_schema(&self, caller: &Caller, name: &str) -> Result<EventSchema, EngineError> {
        caller.require(Scope::Admin)?;
        let before = self.find_event_schema(caller, name).await?;
        self.set_status(caller, before, SchemaStatus::Active).await
    }

    async fn set_status(
        &self,
        caller: &Caller,
        before: EventSchema,
        status: SchemaStatus,
    ) -> Result<EventSchema, EngineError> {
        let updated_at = if before.status == status { before.updated_at } else { self.clock().now() };
        let after = EventSchema { status, updated_at, ..before.clone() };
        self.write_event_schema(caller, &before, after).await
    }

    async fn write_event_schema(
        &self,
        caller: &Caller,
        before: &EventSchema,
        after: EventSchema,
    ) -> Result<EventSchema, EngineError> {
        if *before != after {
            self.state().update_event_schema(caller.writer(), before, &after).await?;
        }
        Ok(after)
    }

    async fn find_event_schema(&self, caller: &Caller, name: &str) -> Result<EventSchema, EngineError> {
        self.state().find_event_schema(caller.namespace(), name).await?.ok_or_else(|| missing(name))
    }

    /// Stops expecting events of a schema. Meters that count them must be stopped first. Doing it again changes nothing.
    pub async fn deactivate_event_schema(&self, caller: &Caller, name: &str) -> Result<EventSchema, EngineError> {
        caller.require(Scope::Admin)?;
        let before = self.find_event_schema(caller, name).await?;
        if before.status == SchemaStatus::Draft {
            return Err(EngineError::invalid("status", format!("event schema {name} is a draft: it was never active")));
        }
        let counting = |meter: &Meter| meter.judging.as_ref().is_some_and(|it| it.status() == MeterStatus::Active);
        self.refuse_meters(caller, name, "deactivate", counting).await?;
        self.set_status(caller, before, SchemaStatus::Inactive).await
    }

    /// Deletes a schema with all its versions; its events stay. Meters that count them must be deleted first.
    pub async fn delete_event_schema(&self, caller: &Caller, name: &str) -> Result<(), EngineError> {
        caller.require(Scope::Admin)?;
        let before = self.find_event_schema(caller, name).await?;
        self.refuse_meters(caller, name, "delete", |meter| meter.judging.is_some()).await?;
        Ok(self.state().delete_event_schema(caller.writer(), &before, self.clock().now()).await?)
    }
}

impl Engine {
    /// Refuses to go on while there are such meters of the schema's events. Meters that do not judge need no schema.
    async fn refuse_meters(
        &self,
        caller: &Caller,
        schema: &str,
        verb: &str,
        such: impl Fn(&Meter) -> bool,
    ) -> Result<(), EngineError> {
        let meters = self.state().list_meters(caller.namespace(), false).await?;
        let found: Vec<_> = meters.iter().filter(|meter| meter.event_type == schema && such(meter)).collect();
        if found.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = found.iter().take(5).map(|meter| meter.name.as_str()).collect();
        let (count, names) = (found.len(), names.join(", "));
        Err(EngineError::Conflict(format!("event schema {schema} has {count} meters ({names}): {verb} them first")))
    }
}

fn missing(name: &str) -> EngineError {
    EngineError::NotFound { what: "event schema", key: name.to_owned() }
}

fn invalid(faults: Vec<SchemaFault>) -> EngineError {
    EngineError::Invalid(faults.into_iter().map(|fault| Fault::new(fault.field, fault.message)).collect())
}
