//! A grant as it is asked for.

use crate::amount::{Amount, not_negative, not_negative_or_null};
use crate::entitlements::{RecurrenceInput, Version, body_instant, priority};
use crate::labels::{self, Annotations};
use crate::params::{Place, not_allowed};
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tallystick_domain::entitlement::{Expiration, ExpirationUnit, GrantDraft};
use tallystick_domain::quantity::Quantity;
use utoipa::ToSchema;

/// The priority of a grant for which none is named: it is burned before all others, as with the vendor.
const PRIORITY: u8 = 0;
const UNITS: [&str; 5] = ["HOUR", "DAY", "WEEK", "MONTH", "YEAR"];
const MAX_COUNT: i64 = 1000;

/// A grant to give. Further fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(
    as = EntitlementGrantCreateInput,
    example = json!({"amount": 100, "effectiveAt": "2030-01-01T00:00:00Z", "expiration": {"duration": "MONTH", "count": 1}})
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GrantInput {
    /// How much; more than 0.
    #[schema(schema_with = not_negative)]
    amount: Amount,
    /// 1 to 255; lower ones are burned first, and one without a priority before all others.
    #[schema(minimum = 1, maximum = 255)]
    priority: Option<i64>,
    /// From when on it can be burned, cut to the minute; not before the current usage period.
    #[schema(format = DateTime)]
    effective_at: String,
    /// When it ends. By subject it is needed; by customer a grant without it never ends.
    expiration: Option<ExpirationBody>,
    /// The least that it has after a reset (0).
    #[schema(schema_with = not_negative_or_null)]
    min_rollover_amount: Option<Amount>,
    /// The most that it has after a reset. By subject 0 when left out, by customer the amount.
    #[schema(schema_with = not_negative_or_null)]
    max_rollover_amount: Option<Amount>,
    /// When it is full again; the anchor is `effectiveAt` when left out.
    recurrence: Option<RecurrenceInput>,
    /// The user's own labels.
    metadata: Option<BTreeMap<String, String>>,
    /// By customer: further labels, any JSON.
    #[schema(value_type = Option<Object>)]
    annotations: Option<Annotations>,
}

/// How long a grant lasts.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = ExpirationPeriod)]
pub(crate) struct ExpirationBody {
    /// How many of the unit, 1 to 1000.
    #[schema(minimum = 1, maximum = 1000)]
    pub count: i64,
    /// The unit: `HOUR`, `DAY`, `WEEK`, `MONTH` or `YEAR`.
    #[schema(min_length = 1)]
    pub duration: String,
}

impl From<Expiration> for ExpirationBody {
    fn from(expiration: Expiration) -> Self {
        Self { count: expiration.count.into(), duration: expiration.unit.as_str().into() }
    }
}

impl ExpirationBody {
    fn read(self, at: &str) -> Result<Expiration, Problem> {
        let refuse = |field: &str, reason: String| Place::Body.refuse(&format!("{at}expiration/{field}"), reason);
        let unit = ExpirationUnit::parse(&self.duration).ok_or_else(|| refuse("duration", not_allowed(&UNITS)))?;
        match u16::try_from(self.count) {
            Ok(count) if (1..=MAX_COUNT).contains(&self.count) => Ok(Expiration { unit, count }),
            _ => Err(refuse("count", format!("number must be at least 1 and at most {MAX_COUNT}"))),
        }
    }
}

impl GrantInput {
    /// In the engine's words. `at` is where the grant stands in the body.
    pub(crate) fn read(self, at: &str, version: Version) -> Result<GrantDraft, Problem> {
        let refuse = |field: &str, reason: &str| Place::Body.refuse(&format!("{at}{field}"), reason);
        let expiration = self.expiration.map(|expiration| expiration.read(at)).transpose()?;
        if version == Version::V1 {
            if expiration.is_none() {
                return Err(refuse("expiration", "property \"expiration\" is missing"));
            }
            if self.annotations.is_some() {
                return Err(refuse("annotations", "only a grant by customer takes this"));
            }
        }
        let effective_at = body_instant(&format!("{at}effectiveAt"), Some(&self.effective_at))?;
        let effective_at = effective_at.ok_or_else(|| refuse("effectiveAt", "property \"effectiveAt\" is missing"))?;
        let recurrence = self.recurrence.map(|period| period.read(&format!("{at}recurrence"))).transpose()?;
        let most = match version {
            Version::V1 => Quantity::ZERO,
            Version::V2 => self.amount.0,
        };
        Ok(GrantDraft {
            amount: self.amount.0,
            priority: priority(&format!("{at}priority"), self.priority)?.unwrap_or(PRIORITY),
            effective_at,
            expiration,
            min_rollover: self.min_rollover_amount.map_or(Quantity::ZERO, |amount| amount.0),
            max_rollover: self.max_rollover_amount.map_or(most, |amount| amount.0),
            recurrence,
            metadata: self.metadata.unwrap_or_default(),
            annotations: labels::kept(self.annotations.unwrap_or_default()),
        })
    }
}
