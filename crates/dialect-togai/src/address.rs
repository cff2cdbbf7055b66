//! Postal addresses.

use serde::{Deserialize, Serialize};
use tallystick_domain::customer::Address;
use utoipa::ToSchema;

/// The most characters of an address in one text.
const MAX_LINE: usize = 1000;

/// A postal address; every part is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TogaiAddress)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AddressBody {
    /// Phone number.
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    /// First line.
    #[serde(skip_serializing_if = "Option::is_none")]
    line1: Option<String>,
    /// Second line.
    #[serde(skip_serializing_if = "Option::is_none")]
    line2: Option<String>,
    /// Postal code.
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_code: Option<String>,
    /// City.
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    /// State or province.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// ISO 3166 alpha-2 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
}

impl AddressBody {
    /// All of it in one text, which the client wants of every customer.
    pub(crate) fn line(&self) -> String {
        let parts = [&self.line1, &self.line2, &self.postal_code, &self.city, &self.state, &self.country];
        let filled: Vec<&str> =
            parts.into_iter().flatten().map(String::as_str).filter(|part| !part.is_empty()).collect();
        filled.join(", ").chars().take(MAX_LINE).collect()
    }
}

impl From<AddressBody> for Address {
    fn from(body: AddressBody) -> Self {
        let AddressBody { phone_number, line1, line2, postal_code, city, state, country } = body;
        Self { country, postal_code, state, city, line1, line2, phone_number }
    }
}

impl From<Address> for AddressBody {
    fn from(address: Address) -> Self {
        let Address { country, postal_code, state, city, line1, line2, phone_number } = address;
        Self { phone_number, line1, line2, postal_code, city, state, country }
    }
}
