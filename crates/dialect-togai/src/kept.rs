//! What the door keeps with core entities to give it back in the vendor's words.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tallystick_domain::details::Details;
use tallystick_domain::json::JsonObject;
use tallystick_engine::EngineError;

/// The door's name among those that keep something.
const DOOR: &str = "togai";

/// What the door keeps with an entity; `None` when the entity was made elsewhere.
pub(crate) fn read<T: DeserializeOwned>(details: &Details) -> Result<Option<T>, EngineError> {
    let Some(object) = details.get(DOOR) else { return Ok(None) };
    let unreadable = |error| EngineError::Internal(format!("what the door keeps cannot be read: {error}"));
    serde_json::from_str(object.as_str()).map(Some).map_err(unreadable)
}

/// Whether the door keeps anything with an entity.
pub(crate) fn is_ours(details: &Details) -> bool {
    details.contains_key(DOOR)
}

/// What is kept, for the core.
pub(crate) fn write<T: Serialize>(kept: &T) -> Result<Details, EngineError> {
    let unwritable = |error: String| EngineError::Internal(format!("what the door keeps cannot be written: {error}"));
    let text = serde_json::to_string(kept).map_err(|error| unwritable(error.to_string()))?;
    let object = JsonObject::parse(&text).map_err(|error| unwritable(error.to_string()))?;
    Ok([(DOOR.to_owned(), object)].into())
}
