//! `GET /api/v1/debug/reconciliation`: whether every accepted event is accounted for. Ours, not the vendor's.

use crate::door::{Caller, Door};
use crate::params::{Place, Range};
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_engine::ReconciledHour;
use utoipa::ToSchema;

const DAY_MICROS: i64 = 24 * 3600 * 1_000_000;

/// What became of all events that were accepted in some hours.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reconciliation<'a> {
    /// Whether every row balances.
    balanced: bool,
    /// In the order of hour, type and source.
    rows: Vec<ReconciliationRow<'a>>,
}

/// Events that were accepted in one hour, of one type and source: accepted = counted + duplicate + unmatched + invalid.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReconciliationRow<'a> {
    /// The beginning of the hour of acceptance.
    #[schema(format = DateTime)]
    hour: String,
    /// Type of the events.
    #[serde(rename = "type")]
    event_type: &'a str,
    /// Source of the events; empty for sources that are counted together, as there were too many.
    source: &'a str,
    /// Events that were accepted, by the ledger.
    accepted: u64,
    /// Events that at least one meter counts, by the stored events.
    counted: u64,
    /// Events that had been sent before, by the ledger.
    duplicate: u64,
    /// Events of whose type there is no meter.
    unmatched: u64,
    /// Events that no meter of their type counts.
    invalid: u64,
    /// The invalid ones by reason: why their value does not count, `before_event_from`, `retracted` or `expired`.
    #[schema(value_type = BTreeMap<String, u64>)]
    reasons: &'a BTreeMap<&'static str, u64>,
    /// Whether the numbers balance. If not, events are lost or doubled: `tallystick verify` looks closer.
    balanced: bool,
}

impl<'a> From<&'a ReconciledHour> for ReconciliationRow<'a> {
    fn from(hour: &'a ReconciledHour) -> Self {
        Self {
            hour: hour.hour.to_string(),
            event_type: &hour.event_type,
            source: &hour.source,
            accepted: hour.accepted,
            counted: hour.counted,
            duplicate: hour.duplicate,
            unmatched: hour.unmatched,
            invalid: hour.invalid.values().sum(),
            reasons: &hour.invalid,
            balanced: hour.balances(),
        }
    }
}

/// Reconcile accepted events
///
/// An extension of ours: for each hour of acceptance, type and source, what was accepted and what became of it. Reads all
/// events of these hours.
#[utoipa::path(
    get,
    path = "/api/v1/debug/reconciliation",
    operation_id = "tallystick_reconciliation",
    tag = "Extensions",
    params(
        ("from" = Option<String>, Query, format = DateTime, description = "The report begins with the hour of this moment (RFC 3339); a day before its end by default."),
        ("to" = Option<String>, Query, format = DateTime, description = "First moment whose hour is not reported any more; now by default. At most 31 days after the beginning."),
    ),
    responses((status = 200, description = "The report.", body = Reconciliation), Refused),
)]
pub(crate) async fn reconcile(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let range = Range::read(raw.as_deref())?;
    let to = range.to.unwrap_or_else(|| door.engine.now().saturating_add_micros(1));
    let from = range.from.unwrap_or_else(|| to.saturating_add_micros(-DAY_MICROS));
    if from >= to {
        return Err(Place::Query.refuse("to", "it must be after from"));
    }
    let hours = door.engine.reconcile(&caller, from, to).await?;
    let balanced = hours.iter().all(ReconciledHour::balances);
    let rows = hours.iter().map(ReconciliationRow::from).collect();
    Ok(Json(Reconciliation { balanced, rows }).into_response())
}
