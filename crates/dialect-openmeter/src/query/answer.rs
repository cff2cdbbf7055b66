//! The rows of an answer with the labels of their windows, and their JSON form.

use super::request::Asked;
use crate::problem::Problem;
use axum::Json;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::quantity::Quantity;
use tallystick_domain::time::WindowSize;
use tallystick_engine::{EngineError, MeterResult, MeterRow};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

const MINUTE_MICROS: i64 = 60_000_000;

/// An answer whose rows know how their windows are written.
pub(crate) struct Labelled {
    pub slug: String,
    pub group_by: Vec<String>,
    pub rows: Vec<LabelledRow>,
    /// The described subjects of the rows, for a file.
    pub subject_names: BTreeMap<String, Option<String>>,
    asked: Asked,
}

/// One row.
pub(crate) struct LabelledRow {
    pub start: String,
    pub end: String,
    pub row: MeterRow,
}

/// The answer to a query.
#[derive(Serialize, ToSchema)]
#[schema(as = MeterQueryResult)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ResultBody<'a> {
    /// The rows, by window.
    data: Vec<RowBody<'a>>,
    /// As asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    /// As asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    /// As asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<super::request::WindowSizeWord>)]
    window_size: Option<&'static str>,
}

/// One row of an answer.
#[derive(Serialize, ToSchema)]
#[schema(as = MeterQueryRow)]
#[serde(rename_all = "camelCase")]
struct RowBody<'a> {
    /// The customer, when rows are grouped by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<&'a str>,
    /// Values of the dimensions asked for; `""` when events have none.
    group_by: &'a BTreeMap<String, String>,
    /// The subject, when rows are grouped by it.
    subject: Option<&'a str>,
    /// The exact result.
    #[schema(schema_with = exact_number)]
    value: Box<RawValue>,
    /// End of the window, exclusive.
    #[schema(format = DateTime)]
    window_end: &'a str,
    /// Start of the window.
    #[schema(format = DateTime)]
    window_start: &'a str,
}

/// A number without the format `double`, which would lose digits.
fn exact_number() -> Object {
    ObjectBuilder::new().schema_type(Type::Number).description(Some("The exact result.")).build()
}

impl Labelled {
    /// Labels the rows of a result.
    pub(crate) fn new(result: MeterResult, asked: Asked) -> Self {
        let mut rows: Vec<LabelledRow> = result.rows.into_iter().map(|row| labelled(row, &asked)).collect();
        if asked.query.window.is_none() {
            // In one bucket the published end-to-end suite expects subjects in descending order.
            rows.sort_by(|a, b| b.row.subject.cmp(&a.row.subject));
        }
        let subject_names = result.subject_names;
        Self { slug: result.meter.slug, group_by: result.group_by, rows, subject_names, asked }
    }

    /// The bounds as they were asked for.
    pub(crate) fn asked_bounds(&self) -> (Option<&str>, Option<&str>) {
        let (from, to) = (self.asked.from.as_ref(), self.asked.to.as_ref());
        (from.map(|bound| bound.text.as_str()), to.map(|bound| bound.text.as_str()))
    }

    /// The answer as JSON.
    pub(super) fn json(&self) -> Result<Response, Problem> {
        let data: Result<_, Problem> = self.rows.iter().map(row_body).collect();
        let (from, to) = self.asked_bounds();
        let window_size = self.asked.query.window.map(WindowSize::as_str);
        let body = ResultBody { data: data?, from, to, window_size };
        Ok(Json(body).into_response())
    }
}

fn row_body(row: &LabelledRow) -> Result<RowBody<'_>, Problem> {
    Ok(RowBody {
        customer_id: row.row.customer.as_deref(),
        group_by: &row.row.groups,
        subject: row.row.subject.as_deref(),
        value: number(&row.row.value)?,
        window_end: &row.end,
        window_start: &row.start,
    })
}

/// A quantity as a JSON number with all its digits.
fn number(value: &Quantity) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(value.to_string())
        .map_err(|error| EngineError::Internal(format!("{value} is no JSON number: {error}")).into())
}

/// With windows, the calendar's bounds on the zone's clock. Without, what was asked, and where nothing was asked the
/// minutes around the events that counted.
fn labelled(row: MeterRow, asked: &Asked) -> LabelledRow {
    if let Some(window) = row.window {
        let zone = &asked.query.zone;
        return LabelledRow { start: zone.format(window.from), end: zone.format(window.to), row };
    }
    let (from, to) = (asked.from.as_ref(), asked.to.as_ref());
    let (earliest, latest) = row.span.unwrap_or_else(|| nothing_at(from.map(|b| b.at), to.map(|b| b.at)));
    let start = from.map_or_else(|| earliest.floor_minute().to_string(), |bound| bound.text.clone());
    let after = latest.floor_minute().saturating_add_micros(MINUTE_MICROS);
    let end = to.map_or_else(|| after.to_string(), |bound| bound.text.clone());
    LabelledRow { start, end, row }
}

/// Where a count of nothing is: at the beginning of 1970, unless a bound that was asked for would end up on the wrong
/// side of it.
fn nothing_at(from: Option<Instant>, to: Option<Instant>) -> (Instant, Instant) {
    let epoch = Instant::from_micros(0).unwrap_or(Instant::MIN);
    (to.map_or(epoch, |to| epoch.min(to)), from.map_or(epoch, |from| epoch.max(from)))
}
