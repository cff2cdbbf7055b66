//! `/metrics`: how much was used, and how many events there were, over time.

mod request;
mod rows;

use crate::amount::Amount;
use crate::door::{Caller, Door};
use crate::json;
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use request::{Asked, Metric, MetricsInput};
use rows::Series;
use serde::Serialize;
use tallystick_domain::key::Scope;
use utoipa::ToSchema;

/// The most points of an answer to a query.
const MAX_POINTS: usize = 300;

/// The answers.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiMetrics)]
struct Metrics {
    /// One for each query, in the same order.
    results: Vec<MetricAnswer>,
}

/// The answer to a query.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiMetricQueryResponse)]
struct MetricAnswer {
    /// The query's.
    id: String,
    /// The query's.
    #[schema(value_type = String)]
    name: &'static str,
    /// One for each group; one when there are no groups.
    data: Vec<Points>,
}

/// Points in time.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiMetricDataPoints)]
#[serde(rename_all = "camelCase")]
struct Points {
    /// The group.
    #[serde(skip_serializing_if = "Option::is_none")]
    grouped_by: Option<Group>,
    /// The beginnings of the periods in which there was anything.
    #[schema(max_items = 300)]
    timestamps: Vec<String>,
    /// How much, in each of them.
    #[schema(max_items = 300)]
    metric_values: Vec<Amount>,
}

/// A group.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiMetricGroup)]
#[serde(rename_all = "camelCase")]
struct Group {
    /// What is grouped by.
    #[schema(value_type = String)]
    field_name: &'static str,
    /// Its value.
    field_value: String,
}

/// Get metrics
///
/// `EVENTS`, `USAGE` and `METER_USAGE`, by hour, day, week (from Monday) or month, in UTC.
#[utoipa::path(
    post,
    path = "/metrics",
    operation_id = "togai_get_metrics",
    tag = "Togai metrics",
    request_body = MetricsInput,
    responses((status = 200, description = "The answers.", body = Metrics), Refused),
)]
pub(crate) async fn get_metrics(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    caller.require(Scope::Read)?;
    let input: MetricsInput = json::read(request, &door.limits).await?;
    let mut results = Vec::new();
    for asked in input.checked()? {
        let series = match asked.metric {
            Metric::Events => rows::of_events(&door, &caller, &asked).await?,
            Metric::Usage | Metric::MeterUsage => rows::of_usage(&door, &caller, &asked).await?,
        };
        results.push(answer(asked, series)?);
    }
    Ok(Json(Metrics { results }).into_response())
}

fn answer(asked: Asked, mut series: Series) -> Result<MetricAnswer, Problem> {
    if series.values().map(|points| points.len()).sum::<usize>() > MAX_POINTS {
        let reason = format!("query {:?} has more than {MAX_POINTS} points: narrow the time or the groups", asked.id);
        return Err(Problem::field("metricQueries", reason));
    }
    if asked.group_by.is_none() && series.is_empty() {
        series.insert(String::new(), Default::default());
    }
    let group = |field_value: String| asked.group_by.map(|by| Group { field_name: by.word(), field_value });
    let points = series.into_iter().map(|(value, points)| Points {
        grouped_by: group(value),
        timestamps: points.keys().map(|at| at.to_string()).collect(),
        metric_values: points.values().map(|amount| Amount(*amount)).collect(),
    });
    let data = points.collect();
    Ok(MetricAnswer { id: asked.id, name: asked.metric.word(), data })
}
