//! The past of a balance, as bodies tell it.

use super::{Named, PeriodBody};
use crate::amount::{Amount, ByGrant, by_grant, numbers_by_id, unwritable};
use crate::door::{Caller, Door};
use crate::params::{Place, instant, refuse_unknown};
use crate::problem::Problem;
use crate::query::window_size;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tallystick_domain::entitlement::Segment;
use tallystick_domain::entitlement::history::WindowRow;
use tallystick_domain::time::Zone;
use tallystick_engine::{EngineError, HistoryQuery};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// The past of a balance.
#[derive(Serialize, ToSchema)]
#[schema(as = WindowedBalanceHistory)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HistoryBody {
    /// By stretch of time in which the same grants were active. A reset has one that takes no time.
    burndown_history: Vec<SegmentBody>,
    /// By window of the calendar, used or not.
    windowed_history: Vec<WindowBody>,
}

/// A window.
#[derive(Serialize, ToSchema)]
#[schema(as = BalanceHistoryWindow)]
#[serde(rename_all = "camelCase")]
struct WindowBody {
    /// What was left when it began.
    balance_at_start: Amount,
    /// When.
    period: PeriodBody,
    /// What was used in it.
    usage: Amount,
}

/// A stretch of time in which the same grants were active.
#[derive(Serialize, ToSchema)]
#[schema(as = GrantBurnDownHistorySegment)]
#[serde(rename_all = "camelCase")]
struct SegmentBody {
    /// What was left of all grants at its end.
    balance_at_end: Amount,
    /// What was left of all grants at its beginning.
    balance_at_start: Amount,
    /// What was left of each grant at its end, by id.
    #[schema(schema_with = numbers_by_id)]
    grant_balances_at_end: ByGrant,
    /// What was left of each grant at its beginning, by id.
    #[schema(schema_with = numbers_by_id)]
    grant_balances_at_start: ByGrant,
    /// What was taken from each grant.
    grant_usages: Vec<GrantUsageBody>,
    /// Usage of the period until its end that nothing was there for.
    overage: Amount,
    /// When.
    period: PeriodBody,
    /// What was used in it.
    usage: Amount,
}

/// What was taken from a grant.
#[derive(Serialize, ToSchema)]
#[schema(as = GrantUsageRecord)]
#[serde(rename_all = "camelCase")]
struct GrantUsageBody {
    /// The grant.
    grant_id: String,
    /// How much.
    usage: Amount,
}

fn window_body(row: &WindowRow) -> WindowBody {
    let period = PeriodBody::from(row.period);
    WindowBody { balance_at_start: Amount(row.balance_at_start), period, usage: Amount(row.used) }
}

fn segment_body(segment: &Segment) -> Result<SegmentBody, EngineError> {
    let taken = segment.burned.iter();
    Ok(SegmentBody {
        balance_at_end: Amount(segment.end.balance().map_err(unwritable)?),
        balance_at_start: Amount(segment.start.balance().map_err(unwritable)?),
        grant_balances_at_end: by_grant(&segment.end.balances),
        grant_balances_at_start: by_grant(&segment.start.balances),
        grant_usages: taken
            .map(|(id, usage)| GrantUsageBody { grant_id: id.to_string(), usage: Amount(*usage) })
            .collect(),
        overage: Amount(segment.end.overage()),
        period: segment.period.into(),
        usage: Amount(segment.used),
    })
}

/// Reads which past a query asks for.
pub(crate) fn asked(raw: Option<&str>) -> Result<HistoryQuery, Problem> {
    let query = QueryString::parse(raw)?;
    refuse_unknown(&query, &["from", "to", "windowSize", "windowTimeZone"], &[])?;
    let zone = query.one("windowTimeZone")?.map(Zone::parse).transpose();
    Ok(HistoryQuery {
        from: instant(&query, "from")?,
        to: instant(&query, "to")?,
        window: match query.one("windowSize")? {
            Some(text) => window_size(Place::Query, text)?,
            None => return Err(Place::Query.refuse("windowSize", "value is required but missing")),
        },
        zone: zone.map_err(|error| Place::Query.refuse("windowTimeZone", error.to_string()))?.unwrap_or(Zone::UTC),
    })
}

/// The past of the entitlement that a path names.
pub(crate) async fn read(
    door: &Door,
    caller: &Caller,
    named: &Named,
    asked: HistoryQuery,
) -> Result<Response, Problem> {
    let history = door.engine.entitlement_history(caller, &named.customer, &named.entitlement, asked).await?;
    let burndown_history = history.segments.iter().map(segment_body).collect::<Result<_, _>>()?;
    let windowed_history = history.windows.iter().map(window_body).collect();
    Ok(Json(HistoryBody { burndown_history, windowed_history }).into_response())
}
