//! What a meter's events hold: their subjects, the values of a dimension, and how many of them count.

use crate::door::{Caller, Door, MeterPath};
use crate::meters::NoMeter;
use crate::params::Range;
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tallystick_domain::Instant;
use tallystick_engine::NotCountedGroup;
use utoipa::ToSchema;

const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// List the subjects of a meter
///
/// The subjects that have events of the meter's type, ascending.
#[utoipa::path(
    get,
    path = "/api/v1/meters/{meterIdOrSlug}/subjects",
    operation_id = "meters_list_subjects",
    tag = "Meters",
    params(
        ("meterIdOrSlug" = String, Path, description = "Slug or ULID."),
        ("from" = Option<String>, Query, format = DateTime, description = "First moment that counts (RFC 3339)."),
        ("to" = Option<String>, Query, format = DateTime, description = "First moment that does not count any more."),
    ),
    responses((status = 200, description = "The subjects.", body = Vec<String>), NoMeter, Refused),
)]
pub(crate) async fn list_subjects(
    caller: Caller,
    State(door): State<Door>,
    path: MeterPath,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let range = Range::read(raw.as_deref())?;
    let subjects = door.engine.meter_subjects(&caller, &path.meter, range.from, range.to).await?;
    Ok(Json(subjects).into_response())
}

/// List the values of a dimension
///
/// The values that events of at most 30 days have, ascending; `""` when an event has none. The last day by default.
#[utoipa::path(
    get,
    path = "/api/v1/meters/{meterIdOrSlug}/group-by/{groupByKey}/values",
    operation_id = "meters_list_group_by_values",
    tag = "Meters",
    params(
        ("meterIdOrSlug" = String, Path, description = "Slug or ULID."),
        ("groupByKey" = String, Path, description = "A dimension of the meter."),
        ("from" = Option<String>, Query, format = DateTime, description = "First moment that counts, at most 90 days ago; a day before the end by default."),
        ("to" = Option<String>, Query, format = DateTime, description = "First moment that does not count any more."),
    ),
    responses((status = 200, description = "The values.", body = Vec<String>), NoMeter, Refused),
)]
pub(crate) async fn list_group_by_values(
    caller: Caller,
    State(door): State<Door>,
    path: MeterPath,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let range = group_values_range(Range::read(raw.as_deref())?, door.engine.now())?;
    let values = door.engine.meter_group_values(&caller, &path.meter, &path.group_by_key, range.from, range.to).await?;
    Ok(Json(values).into_response())
}

/// The vendor's rule: a day before the end by default, not before 90 days ago, not longer than 30 days.
fn group_values_range(asked: Range, now: Instant) -> Result<Range, Problem> {
    let end = asked.to.unwrap_or(now);
    let from = asked.from.unwrap_or_else(|| end.saturating_add_micros(-DAY_MICROS));
    if from <= now.saturating_add_micros(-90 * DAY_MICROS) {
        return Err(Problem::validation("from time must not be more than 90 days ago"));
    }
    if end > from.saturating_add_micros(30 * DAY_MICROS) {
        return Err(Problem::validation("time window must be less than 30 days"));
    }
    Ok(Range { from: Some(from), to: asked.to })
}

/// How many events count for a meter, and why the others do not.
#[derive(Serialize, ToSchema)]
#[schema(as = MeterCoverage)]
#[serde(rename_all = "camelCase")]
struct CoverageBody {
    /// Events of the meter's type.
    matched: u64,
    /// Those that count. `matched` is `counted` and all of `notCounted`.
    counted: u64,
    /// Those that do not.
    not_counted: Vec<NotCountedBody>,
}

/// Events that do not count for the same reason.
#[derive(Serialize, ToSchema)]
#[schema(as = MeterNotCounted)]
struct NotCountedBody {
    /// A stable word for the reason.
    reason: String,
    /// The reason for people.
    #[schema(value_type = String)]
    message: &'static str,
    /// How many events.
    count: u64,
}

/// Say how many events count
///
/// Not part of OpenMeter's API. Every event of the meter's type either counts or is listed here with its reason.
#[utoipa::path(
    get,
    path = "/api/v1/meters/{meterIdOrSlug}/coverage",
    operation_id = "tallystick_meters_coverage",
    tag = "Meters",
    params(
        ("meterIdOrSlug" = String, Path, description = "Slug or ULID."),
        ("from" = Option<String>, Query, format = DateTime, description = "First moment that counts (RFC 3339)."),
        ("to" = Option<String>, Query, format = DateTime, description = "First moment that does not count any more."),
    ),
    responses((status = 200, description = "The numbers.", body = CoverageBody), NoMeter, Refused),
)]
pub(crate) async fn get_coverage(
    caller: Caller,
    State(door): State<Door>,
    path: MeterPath,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let range = Range::read(raw.as_deref())?;
    let coverage = door.engine.meter_coverage(&caller, &path.meter, range.from, range.to).await?;
    let reason =
        |group: NotCountedGroup| NotCountedBody { reason: group.reason, message: group.message, count: group.count };
    let not_counted = coverage.not_counted.into_iter().map(reason).collect();
    Ok(Json(CoverageBody { matched: coverage.matched, counted: coverage.counted, not_counted }).into_response())
}
