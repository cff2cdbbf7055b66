//! Meters: create, list, get, update, delete.

use crate::door::{Caller, Door, MeterPath};
use crate::json::{self, Missing};
use crate::page::{Paging, sorting};
use crate::params::{Place, boolean, bound, not_allowed};
use crate::problem::{Problem, Refused, problem_answer};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use tallystick_domain::meter::{Aggregation, DescriptionUpdate, Meter, MeterDefinition, MeterUpdate};
use tallystick_engine::EngineError;
use tallystick_http_kit::QueryString;
use utoipa::{IntoResponses, ToSchema};

type Order = fn(&Meter, &Meter) -> Ordering;

/// What meters are sorted by.
const ORDERS: [(&str, Order); 5] = [
    ("key", |a, b| a.slug.cmp(&b.slug)),
    ("name", |a, b| a.name.cmp(&b.name)),
    ("aggregation", |a, b| a.aggregation.as_str().cmp(b.aggregation.as_str())),
    ("createdAt", |a, b| a.created_at.cmp(&b.created_at)),
    ("updatedAt", |a, b| a.updated_at.cmp(&b.updated_at)),
];

/// A meter. Its fields are in the vendor's order.
#[derive(Serialize, ToSchema)]
#[schema(as = Meter)]
#[serde(rename_all = "camelCase")]
struct MeterBody<'a> {
    /// How values add up.
    #[schema(value_type = MeterAggregation)]
    aggregation: &'static str,
    /// Always null.
    #[schema(value_type = Option<Object>)]
    annotations: Option<()>,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was deleted; its events stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// Longer text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    /// Events before it never count.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    event_from: Option<String>,
    /// The type of the events that it wants.
    event_type: &'a str,
    /// JSONPath of each dimension.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    group_by: BTreeMap<&'a str, &'a str>,
    /// ULID.
    id: String,
    /// The user's own labels.
    metadata: Option<&'a BTreeMap<String, String>>,
    /// Name for people.
    name: &'a str,
    /// Name in paths.
    slug: &'a str,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// JSONPath of the value; absent for COUNT.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_property: Option<&'a str>,
}

/// How the values of a meter add up.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(dead_code, reason = "describes the words that Aggregation reads and writes")]
enum MeterAggregation {
    Sum,
    Count,
    UniqueCount,
    Avg,
    Min,
    Max,
    Latest,
}

/// A meter to create. Further fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"slug": "tokens_total", "aggregation": "SUM", "eventType": "prompt", "valueProperty": "$.tokens", "groupBy": {"model": "$.model"}}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct MeterCreate {
    /// Longer text for people, 1 to 1024 characters.
    description: Option<String>,
    /// Name for people, 1 to 256 characters; the slug by default.
    name: Option<String>,
    /// The user's own labels.
    metadata: Option<BTreeMap<String, String>>,
    /// Name in paths: 1 to 64 lowercase letters and digits, words joined by single underscores.
    #[schema(max_length = 64, pattern = r"^[a-z0-9]+(?:_[a-z0-9]+)*$")]
    slug: String,
    /// How values add up.
    #[schema(value_type = MeterAggregation)]
    aggregation: String,
    /// The type of the events that it wants.
    #[schema(min_length = 1)]
    event_type: String,
    /// Events before it never count.
    #[schema(format = DateTime)]
    event_from: Option<String>,
    /// JSONPath of the value, for example `$.tokens`; not allowed for COUNT, required otherwise.
    value_property: Option<String>,
    /// JSONPath of each dimension.
    group_by: Option<BTreeMap<String, String>>,
}

/// What to change of a meter: what is left out returns to its default, except for the description, which stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = MeterUpdate)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MeterUpdateBody {
    /// Longer text for people; stays when left out.
    description: Option<String>,
    /// Name for people; the slug when left out.
    name: Option<String>,
    /// The user's own labels; none when left out.
    metadata: Option<BTreeMap<String, String>>,
    /// JSONPath of each dimension; none when left out.
    group_by: Option<BTreeMap<String, String>>,
}

fn body_of(meter: &Meter) -> MeterBody<'_> {
    MeterBody {
        aggregation: meter.aggregation.as_str(),
        annotations: None,
        created_at: meter.created_at.to_string(),
        deleted_at: meter.deleted_at.map(|at| at.to_string()),
        description: meter.description.as_deref(),
        event_from: meter.event_from.map(|at| at.to_string()),
        event_type: &meter.event_type,
        group_by: meter.group_by.iter().map(|(name, path)| (name.as_str(), path.as_str())).collect(),
        id: meter.id.to_string(),
        metadata: meter.metadata.as_ref(),
        name: &meter.name,
        slug: &meter.slug,
        updated_at: meter.updated_at.to_string(),
        value_property: meter.value_property.as_ref().map(|path| path.as_str()),
    }
}

fn definition_of(body: MeterCreate) -> Result<MeterDefinition, Problem> {
    let words = Aggregation::ALL.map(Aggregation::as_str);
    let aggregation =
        Aggregation::parse(&body.aggregation).ok_or_else(|| Place::Body.refuse("aggregation", not_allowed(&words)))?;
    Ok(MeterDefinition {
        id: None,
        judging: None,
        details: Default::default(),
        slug: body.slug,
        name: body.name,
        description: body.description,
        aggregation,
        event_type: body.event_type,
        event_from: bound(Place::Body, "eventFrom", body.event_from.as_deref())?.map(|bound| bound.at),
        value_property: body.value_property,
        group_by: body.group_by.unwrap_or_default(),
        metadata: body.metadata,
    })
}

/// The answers that an operation on one meter can give besides.
pub(crate) struct NoMeter;

impl IntoResponses for NoMeter {
    fn responses() -> BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
        let answer = problem_answer("There is no such meter in the key's namespace.");
        BTreeMap::from([("404".to_string(), utoipa::openapi::RefOr::T(answer))])
    }
}

/// Create a meter
///
/// It counts the events that came before it too, from `eventFrom` on.
#[utoipa::path(
    post,
    path = "/api/v1/meters",
    operation_id = "meters_create",
    tag = "Meters",
    request_body = MeterCreate,
    responses(
        (status = 201, description = "The meter.", body = MeterBody),
        (status = 409, description = "A live meter has the slug.", body = crate::problem::Body, content_type = "application/problem+json"),
        Refused,
    ),
)]
pub(crate) async fn create_meter(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let body: MeterCreate = json::read(request, &door.limits, "MeterCreate", Missing::IsAnError).await?;
    let meter = door.engine.create_meter(&caller, definition_of(body)?).await.map_err(|error| match error {
        EngineError::Conflict(_) => EngineError::Conflict("meter with the same slug already exists".into()),
        other => other,
    })?;
    Ok((StatusCode::CREATED, Json(body_of(&meter))).into_response())
}

/// List meters
///
/// All of them, or one page when `page` or `pageSize` is given.
#[utoipa::path(
    get,
    path = "/api/v1/meters",
    operation_id = "meters_list",
    tag = "Meters",
    params(
        ("page" = Option<u64>, Query, minimum = 1, description = "Which page, from 1."),
        ("pageSize" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Meters on a page; 100 by default."),
        ("order" = Option<String>, Query, description = "`ASC` (the default) or `DESC`."),
        ("orderBy" = Option<String>, Query, description = "`key` (the default, the slug), `name`, `aggregation`, `createdAt` or `updatedAt`."),
        ("includeDeleted" = Option<bool>, Query, description = "Whether deleted meters are shown too."),
    ),
    responses((status = 200, description = "The meters.", body = Vec<MeterBody>), Refused),
)]
pub(crate) async fn list_meters(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let (order_by, descending) = sorting(&query, &ORDERS)?;
    let include_deleted = boolean(&query, "includeDeleted")?.unwrap_or(false);
    let paging = Paging::read(&query)?;
    let mut meters = door.engine.list_meters(&caller, include_deleted).await?;
    meters.sort_by(|a, b| {
        let order = order_by(a, b);
        // The id breaks ties, so that pages neither repeat nor miss a meter.
        if descending { order.reverse() } else { order }.then_with(|| a.id.cmp(&b.id))
    });
    // A page number that cannot be multiplied is behind the last page.
    let (skip, take) =
        paging.map_or((0, usize::MAX), |asked| ((asked.page - 1).saturating_mul(asked.size), asked.size));
    let bodies: Vec<_> = meters.iter().skip(skip).take(take).map(body_of).collect();
    Ok(Json(bodies).into_response())
}

/// Get a meter
///
/// By id also when it was deleted, by slug only while it lives.
#[utoipa::path(
    get,
    path = "/api/v1/meters/{meterIdOrSlug}",
    operation_id = "meters_get",
    tag = "Meters",
    params(("meterIdOrSlug" = String, Path, description = "Slug or ULID.")),
    responses((status = 200, description = "The meter.", body = MeterBody), NoMeter, Refused),
)]
pub(crate) async fn get_meter(caller: Caller, State(door): State<Door>, path: MeterPath) -> Result<Response, Problem> {
    let meter = door.engine.get_meter(&caller, &path.meter).await?;
    Ok(Json(body_of(&meter)).into_response())
}

/// Update a meter
///
/// Replaces name, metadata and dimensions; what is left out returns to its default, except for the description.
#[utoipa::path(
    put,
    path = "/api/v1/meters/{meterIdOrSlug}",
    operation_id = "meters_update",
    tag = "Meters",
    params(("meterIdOrSlug" = String, Path, description = "Slug or ULID.")),
    request_body = MeterUpdateBody,
    responses((status = 200, description = "The meter.", body = MeterBody), NoMeter, Refused),
)]
pub(crate) async fn update_meter(
    caller: Caller,
    State(door): State<Door>,
    path: MeterPath,
    request: Request,
) -> Result<Response, Problem> {
    let body: MeterUpdateBody = json::read(request, &door.limits, "MeterUpdate", Missing::IsAnError).await?;
    let update = MeterUpdate {
        name: body.name,
        description: body.description.map_or(DescriptionUpdate::Keep, DescriptionUpdate::Set),
        group_by: body.group_by.unwrap_or_default(),
        metadata: body.metadata,
        details: Default::default(),
    };
    let meter = door.engine.update_meter(&caller, &path.meter, update).await?;
    Ok(Json(body_of(&meter)).into_response())
}

/// Delete a meter
///
/// Its events stay, and its slug can be used again. Deleting by id a second time changes nothing.
#[utoipa::path(
    delete,
    path = "/api/v1/meters/{meterIdOrSlug}",
    operation_id = "meters_delete",
    tag = "Meters",
    params(("meterIdOrSlug" = String, Path, description = "Slug or ULID.")),
    responses((status = 204, description = "The meter is deleted."), NoMeter, Refused),
)]
pub(crate) async fn delete_meter(
    caller: Caller,
    State(door): State<Door>,
    path: MeterPath,
) -> Result<StatusCode, Problem> {
    door.engine.delete_meter(&caller, &path.meter).await?;
    Ok(StatusCode::NO_CONTENT)
}
