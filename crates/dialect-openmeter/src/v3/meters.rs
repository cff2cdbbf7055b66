//! Meters: create, list, get, replace, delete.

use super::faults::{Faults, InvalidParameter, id_of};
use super::filter;
use super::labels::{self, Labels};
use super::list::{ListQuery, PageBody};
use super::problem::{Missing, Refused, Taken};
use crate::door::{Caller, Door, PathTexts};
use crate::problem::Problem;
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::meter::{Aggregation, DescriptionUpdate, Meter, MeterDefinition, MeterUpdate};
use tallystick_engine::{EngineError, MeterRef};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

type Order = fn(&Meter, &Meter) -> Ordering;

const BY_CREATION: Order = |a, b| a.created_at.cmp(&b.created_at);

/// What meters are sorted by.
const ORDERS: [(&str, Order); 5] = [
    ("key", |a, b| a.slug.cmp(&b.slug)),
    ("name", |a, b| a.name.cmp(&b.name)),
    ("aggregation", |a, b| a.aggregation.as_str().cmp(b.aggregation.as_str())),
    ("created_at", BY_CREATION),
    ("updated_at", |a, b| a.updated_at.cmp(&b.updated_at)),
];

/// A meter.
#[derive(Serialize, ToSchema)]
#[schema(as = V3Meter)]
pub(crate) struct MeterBody {
    /// ULID.
    id: String,
    /// Name for people.
    name: String,
    /// Longer text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The user's own labels.
    labels: Labels,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// When it was deleted; its events stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// The slug of the first versions.
    key: String,
    /// How values add up.
    aggregation: AggregationWord,
    /// The type of the events that it wants.
    event_type: String,
    /// Events before it never count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    events_from: Option<String>,
    /// JSONPath of the value; absent for `count`.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_property: Option<String>,
    /// JSONPath of each dimension.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    dimensions: BTreeMap<String, String>,
}

/// How the values of a meter add up.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[schema(as = V3MeterAggregation)]
#[serde(rename_all = "snake_case")]
enum AggregationWord {
    Sum,
    Count,
    UniqueCount,
    Avg,
    Min,
    Max,
    Latest,
}

impl From<AggregationWord> for Aggregation {
    fn from(word: AggregationWord) -> Self {
        match word {
            AggregationWord::Sum => Aggregation::Sum,
            AggregationWord::Count => Aggregation::Count,
            AggregationWord::UniqueCount => Aggregation::UniqueCount,
            AggregationWord::Avg => Aggregation::Avg,
            AggregationWord::Min => Aggregation::Min,
            AggregationWord::Max => Aggregation::Max,
            AggregationWord::Latest => Aggregation::Latest,
        }
    }
}

impl From<Aggregation> for AggregationWord {
    fn from(aggregation: Aggregation) -> Self {
        match aggregation {
            Aggregation::Sum => AggregationWord::Sum,
            Aggregation::Count => AggregationWord::Count,
            Aggregation::UniqueCount => AggregationWord::UniqueCount,
            Aggregation::Avg => AggregationWord::Avg,
            Aggregation::Min => AggregationWord::Min,
            Aggregation::Max => AggregationWord::Max,
            Aggregation::Latest => AggregationWord::Latest,
        }
    }
}

/// A meter to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3CreateMeterRequest, example = json!({"key": "requests_total", "name": "Requests", "aggregation": "count", "event_type": "request"}))]
#[serde(deny_unknown_fields)]
pub(crate) struct MeterCreate {
    /// Name for people.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// Longer text for people.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// The user's own labels.
    labels: Option<Labels>,
    /// The slug of the first versions.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9]+(?:_[a-z0-9]+)*$")]
    key: String,
    /// How values add up.
    aggregation: AggregationWord,
    /// The type of the events that it wants.
    #[schema(min_length = 1)]
    event_type: String,
    /// Events before it never count.
    #[schema(format = DateTime)]
    events_from: Option<String>,
    /// JSONPath of the value, for example `$.tokens`; not allowed for `count`, required otherwise.
    #[schema(min_length = 1)]
    value_property: Option<String>,
    /// JSONPath of each dimension.
    dimensions: Option<BTreeMap<String, String>>,
}

/// What to put in the place of a meter's own: what is left out is cleared.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3UpsertMeterRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeterReplace {
    /// Name for people.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// Longer text for people.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// The user's own labels.
    labels: Option<Labels>,
    /// JSONPath of each dimension.
    dimensions: Option<BTreeMap<String, String>>,
}

fn body_of(meter: Meter) -> MeterBody {
    MeterBody {
        id: meter.id.to_string(),
        name: meter.name,
        description: meter.description,
        labels: meter.metadata.unwrap_or_default(),
        created_at: meter.created_at.to_string(),
        updated_at: meter.updated_at.to_string(),
        deleted_at: meter.deleted_at.map(|at| at.to_string()),
        key: meter.slug,
        aggregation: meter.aggregation.into(),
        event_type: meter.event_type,
        events_from: meter.event_from.map(|at| at.to_string()),
        value_property: meter.value_property.map(|path| path.to_string()),
        dimensions: meter.group_by.into_iter().map(|(name, path)| (name, path.to_string())).collect(),
    }
}

/// The meter that a path names.
pub(super) fn meter_ref(id: &str) -> Result<MeterRef, Problem> {
    MeterRef::parse(id).ok_or_else(|| EngineError::NotFound { what: "meter", key: id.to_string() }.into())
}

/// Create a meter
///
/// It counts the events that came before it too, from `events_from` on.
#[utoipa::path(
    post,
    path = "/api/v3/openmeter/meters",
    operation_id = "Meters.Create",
    tag = "Version 3",
    request_body = MeterCreate,
    responses((status = 201, description = "The meter.", body = MeterBody), Taken, Refused),
)]
pub(crate) async fn create_meter(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let body: Option<MeterCreate> = faults.body(request, &door.limits).await?;
    labels::check(body.as_ref().and_then(|body| body.labels.as_ref()), &mut faults);
    let body = faults.none_in(body)?;
    let definition = MeterDefinition {
        id: None,
        judging: None,
        details: Default::default(),
        slug: body.key,
        name: Some(body.name),
        description: body.description.filter(|text| !text.is_empty()),
        aggregation: body.aggregation.into(),
        event_type: body.event_type,
        event_from: body.events_from.as_deref().and_then(|text| Instant::parse_rfc3339(text).ok()),
        value_property: body.value_property,
        group_by: body.dimensions.unwrap_or_default(),
        metadata: body.labels,
    };
    let meter = door.engine.create_meter(&caller, definition).await.map_err(|error| match error {
        EngineError::Conflict(_) => EngineError::Conflict("a live meter has the same key".into()),
        other => other,
    })?;
    Ok((StatusCode::CREATED, Json(body_of(meter))).into_response())
}

/// List meters
///
/// A page of the live ones, by the time of their creation unless asked otherwise; ties are ordered by id.
#[utoipa::path(
    get,
    path = "/api/v3/openmeter/meters",
    operation_id = "Meters.List",
    tag = "Version 3",
    params(
        ("page[size]" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Meters on a page (20)."),
        ("page[number]" = Option<u64>, Query, minimum = 1, description = "Which page, from 1."),
        ("sort" = Option<String>, Query, description = "`key`, `name`, `aggregation`, `created_at` (the default) or `updated_at`; ` desc` behind it turns the order around."),
        ("filter[key]" = Option<String>, Query, description = "The key; `filter[key][operator]` with `eq`, `neq`, `contains`, `ocontains`, `oeq`, `gt`, `gte`, `lt`, `lte`, `exists`."),
        ("filter[name]" = Option<String>, Query, description = "The name, with the same operators."),
    ),
    responses((status = 200, description = "A page of meters.", body = PageBody<MeterBody>), Refused),
)]
pub(crate) async fn list_meters(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let mut faults = Faults::default();
    let list = ListQuery::of(&query, &mut faults);
    let paging = list.paging(&mut faults);
    let (order_by, descending) = list.sort(&ORDERS, BY_CREATION, &mut faults);
    let mut wanted = Vec::new();
    for condition in list.conditions(&["key", "name"], &mut faults) {
        wanted.extend(filter::text(&condition, &mut faults).map(|text| (condition.field, text)));
    }
    let wanted = faults.none_in(Some(wanted))?;
    let mut meters = door.engine.list_meters(&caller, false).await?;
    let text_of = |meter: &Meter, field: &str| if field == "key" { meter.slug.clone() } else { meter.name.clone() };
    meters.retain(|meter| wanted.iter().all(|(field, text)| text.matches(Some(&text_of(meter, field)))));
    meters.sort_by(|a, b| {
        let order = order_by(a, b).then_with(|| a.id.cmp(&b.id));
        if descending { order.reverse() } else { order }
    });
    let total = meters.len() as u64;
    let skipped = (paging.page - 1).saturating_mul(paging.size);
    let data = meters.into_iter().skip(skipped).take(paging.size).map(body_of).collect();
    Ok(Json(PageBody::new(paging, total, data)).into_response())
}

/// Get a meter
///
/// Also when it was deleted.
#[utoipa::path(
    get,
    path = "/api/v3/openmeter/meters/{meterId}",
    operation_id = "Meters.Get",
    tag = "Version 3",
    params(("meterId" = String, Path, description = "ULID.")),
    responses((status = 200, description = "The meter.", body = MeterBody), Missing, Refused),
)]
pub(crate) async fn get_meter(caller: Caller, State(door): State<Door>, path: PathTexts) -> Result<Response, Problem> {
    let id = id_of(&path, "meterId")?;
    Ok(Json(body_of(door.engine.get_meter(&caller, &meter_ref(&id)?).await?)).into_response())
}

/// Replace a meter
///
/// Its name, description, labels and dimensions; what is left out is cleared.
#[utoipa::path(
    put,
    path = "/api/v3/openmeter/meters/{meterId}",
    operation_id = "Meters.Update",
    tag = "Version 3",
    params(("meterId" = String, Path, description = "ULID.")),
    request_body = MeterReplace,
    responses((status = 200, description = "The meter.", body = MeterBody), Missing, Taken, Refused),
)]
pub(crate) async fn update_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let id = faults.id(&path, "meterId");
    let body: Option<MeterReplace> = faults.body(request, &door.limits).await?;
    labels::check(body.as_ref().and_then(|body| body.labels.as_ref()), &mut faults);
    let body = faults.none_in(body)?;
    let description = body.description.filter(|text| !text.is_empty());
    let update = MeterUpdate {
        name: Some(body.name),
        description: description.map_or(DescriptionUpdate::Clear, DescriptionUpdate::Set),
        group_by: body.dimensions.unwrap_or_default(),
        metadata: body.labels,
        details: Default::default(),
    };
    Ok(Json(body_of(door.engine.update_meter(&caller, &meter_ref(&id)?, update).await?)).into_response())
}

/// Delete a meter
///
/// Its events stay, and its key can be used again. Deleting it a second time changes nothing.
#[utoipa::path(
    delete,
    path = "/api/v3/openmeter/meters/{meterId}",
    operation_id = "Meters.Delete",
    tag = "Version 3",
    params(("meterId" = String, Path, description = "ULID.")),
    responses((status = 204, description = "The meter is deleted."), Missing, Taken, Refused),
)]
pub(crate) async fn delete_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<StatusCode, Problem> {
    let id = id_of(&path, "meterId")?;
    door.engine.delete_meter(&caller, &meter_ref(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A fault of a body that no single field's form shows.
pub(super) fn body_fault(field: &str, rule: &'static str, reason: impl Into<String>) -> InvalidParameter {
    InvalidParameter::new(field, "body", rule, reason)
}
