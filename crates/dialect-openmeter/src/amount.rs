//! Quantities in bodies: JSON numbers in and out, digit for digit.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tallystick_domain::GrantId;
use tallystick_domain::quantity::{Quantity, QuantityError};
use tallystick_engine::EngineError;
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An exact decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Amount(pub Quantity);

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Nearly all of them are whole numbers, which need no text.
        match i64::try_from(self.0.mantissa()) {
            Ok(whole) if self.0.scale() == 0 => serializer.serialize_i64(whole),
            _ => {
                let digits = RawValue::from_string(self.0.to_string()).map_err(serde::ser::Error::custom)?;
                digits.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        // A text that looks like a number is none.
        let parsed = match raw.get().as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => Quantity::parse(raw.get()),
            _ => Err(QuantityError::NotANumber),
        };
        match parsed {
            Ok(quantity) => Ok(Self(quantity)),
            Err(QuantityError::NotANumber) => Err(D::Error::custom("value must be a number")),
            Err(QuantityError::OutOfRange) => {
                Err(D::Error::invalid_value(Unexpected::Other(raw.get()), &"a number of at most 28 significant digits"))
            }
        }
    }
}

impl ToSchema for Amount {}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        RefOr::T(Schema::Object(number().build()))
    }
}

/// Without the format `double`, which would lose digits.
fn number() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Number)
}

/// The document's description of an amount that is not below zero.
pub(crate) fn not_negative() -> Object {
    number().minimum(Some(0)).build()
}

/// The same of one that can be left out, or null.
pub(crate) fn not_negative_or_null() -> Object {
    let types = SchemaType::Array(vec![Type::Number, Type::Null]);
    ObjectBuilder::new().schema_type(types).minimum(Some(0)).build()
}

/// What is left of grants, by id.
pub(crate) type ByGrant = BTreeMap<String, Amount>;

/// The document's description of quantities by id.
pub(crate) fn numbers_by_id() -> Object {
    let of_each = Schema::Object(number().build());
    ObjectBuilder::new().schema_type(Type::Object).additional_properties(Some(of_each)).build()
}

/// Quantities of grants as a body has them.
pub(crate) fn by_grant<'q>(quantities: impl IntoIterator<Item = (&'q GrantId, &'q Quantity)>) -> ByGrant {
    quantities.into_iter().map(|(id, quantity)| (id.to_string(), Amount(*quantity))).collect()
}

/// A result that no quantity can hold.
pub(crate) fn unwritable(error: QuantityError) -> EngineError {
    EngineError::invalid("query", format!("the result is no quantity: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        for text in ["0", "-7", "9223372036854775808", "0.1", "1234567890.123456789012345678", "99.3"] {
            let read: Amount = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), text);
        }
        let read: Amount = serde_json::from_str("1.5e3").unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), "1500");
    }

    #[test]
    fn what_is_no_exact_number_is_refused() {
        for text in ["\"1\"", "true", "[]", "1e40", "0.12345678901234567890123456789"] {
            assert!(serde_json::from_str::<Amount>(text).is_err(), "{text}");
        }
    }
}
