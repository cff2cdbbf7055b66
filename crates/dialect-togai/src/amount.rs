//! Quantities in answers: JSON numbers, digit for digit.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tallystick_domain::Quantity;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema, openapi::RefOr};

/// An exact decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount(pub Quantity);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl ToSchema for Amount {}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        // Without the format `double`, which would lose digits.
        RefOr::T(Schema::Object(ObjectBuilder::new().schema_type(Type::Number).build()))
    }
}
