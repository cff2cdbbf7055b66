//! How an entitlement stands, as bodies say it.

use super::Named;
use crate::amount::{Amount, ByGrant, by_grant, numbers_by_id};
use crate::door::{Caller, Door};
use crate::params::{instant, refuse_unknown};
use crate::problem::Problem;
use serde::Serialize;
use tallystick_domain::Instant;
use tallystick_engine::{Access, MeteredAccess};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// Whether a customer may use a feature, and how much is left.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = EntitlementValue)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ValueBody {
    /// Whether it may be used.
    has_access: bool,
    /// Of a metered one: what is left of all grants.
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<Amount>,
    /// Of a static one: a text that is JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<String>,
    /// Of a metered one, by customer: what is left of each active grant, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = numbers_by_id)]
    grant_balances: Option<ByGrant>,
    /// Of a metered one: usage that nothing was there for.
    #[serde(skip_serializing_if = "Option::is_none")]
    overage: Option<Amount>,
    /// Of a metered one: what was taken from grants in the period, and what is left.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_available_grant_amount: Option<Amount>,
    /// Of a metered one: what was used in the period.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Amount>,
}

/// Whether a value shows what is left of each grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grants {
    /// It does.
    Shown,
    /// It does not.
    Hidden,
}

impl ValueBody {
    /// What an access says.
    pub(crate) fn of(access: &Access, grants: Grants) -> Self {
        let has_access = access.has_access();
        match access {
            Access::NotInForce | Access::Boolean => Self { has_access, ..Self::default() },
            Access::Static { config } => Self { has_access, config: Some(config.to_string()), ..Self::default() },
            Access::Metered(MeteredAccess { standing, .. }) => Self {
                has_access,
                balance: Some(Amount(standing.balance)),
                config: None,
                grant_balances: (grants == Grants::Shown)
                    .then(|| by_grant(standing.balances.iter().map(|(id, left)| (id, left)))),
                overage: Some(Amount(standing.overage)),
                total_available_grant_amount: Some(Amount(standing.available)),
                usage: Some(Amount(standing.used)),
            },
        }
    }
}

/// Reads the `time` of a query.
pub(crate) fn time(raw: Option<&str>) -> Result<Option<Instant>, Problem> {
    let query = QueryString::parse(raw)?;
    refuse_unknown(&query, &["time"], &[])?;
    instant(&query, "time")
}

/// How the entitlement stands that a path names, now or at a time; `None` if the customer has none.
pub(crate) async fn read(
    door: &Door,
    caller: &Caller,
    named: &Named,
    time: Option<Instant>,
) -> Result<Option<Access>, Problem> {
    Ok(door.engine.entitlement_value(caller, &named.customer, &named.entitlement, time).await?)
}
