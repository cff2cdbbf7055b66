//! Meters: create, list, get, change, delete.

mod input;
mod words;

pub(crate) use words::Words;

use crate::door::{Caller, Door, PathIds};
use crate::list::{ListBody, Listing};
use crate::problem::{NotFound, Problem, Refused};
use crate::{body::Fields, ids, raw};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use input::{Input, Known};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::cmp::Ordering;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::Meter;
use tallystick_domain::{Instant, MeterId};
use tallystick_engine::{EngineError, MeterRef};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;
use words::is_active;

pub(crate) const WHAT: &str = "meter";
/// How often a free slug is looked for when others are taken at the same time.
const ATTEMPTS: u32 = 3;

/// A meter.
#[derive(Serialize, ToSchema)]
#[schema(as = LomiMeter)]
pub(crate) struct MeterBody {
    /// How values become one, as it was sent.
    #[schema(value_type = Object)]
    aggregation: Box<RawValue>,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// Which events count, as it was sent.
    #[schema(value_type = Object)]
    filter: Box<RawValue>,
    /// Whether it counts events that are sent now.
    is_active: bool,
    /// Its id.
    #[schema(format = "uuid")]
    meter_id: String,
    /// Name for people, and the code of its events unless the filter has one.
    name: String,
    /// The namespace.
    #[schema(format = "uuid")]
    organization_id: String,
    /// Kept and given back.
    #[schema(format = "uuid")]
    product_id: Option<String>,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A meter to create or to change; what a change leaves out stays. Further fields are ignored.
#[derive(ToSchema)]
#[schema(as = LomiMeterInput, example = json!({"name": "api_calls", "filter": {"code": "api_calls"}, "aggregation": {"type": "sum", "property": "quantity"}}))]
#[allow(dead_code, reason = "it is read field by field; this describes it")]
pub(crate) struct MeterInput {
    /// Name for people, 1 to 256 characters; needed to create one.
    name: Option<String>,
    /// `code`, the type of the events, and properties with the value that each must have.
    #[schema(value_type = Option<Object>)]
    filter: Option<Value>,
    /// `type`, one of `sum`, `count`, `max`, `last_during_period` and `last_ever`, and `property`.
    #[schema(value_type = Option<Object>)]
    aggregation: Option<Value>,
    /// Whether it counts events; `true` for a new one.
    is_active: Option<bool>,
    /// The id of a new one.
    #[schema(format = "uuid")]
    meter_id: Option<String>,
    /// Kept and given back; null takes it away.
    #[schema(format = "uuid")]
    product_id: Option<String>,
}

#[derive(Clone, Copy)]
enum Field {
    CreatedAt,
    UpdatedAt,
    Name,
    IsActive,
    Id,
}

const FIELDS: [(&str, Field); 5] = [
    ("created_at", Field::CreatedAt),
    ("updated_at", Field::UpdatedAt),
    ("name", Field::Name),
    ("is_active", Field::IsActive),
    ("meter_id", Field::Id),
];

/// Whether the vendor's clients see a meter.
pub(crate) fn is_shown(meter: &Meter) -> bool {
    Words::of(meter).is_some()
}

/// A meter by its id, which is also what a slug may look like.
pub(crate) fn reference(meter: &Meter) -> MeterRef {
    MeterRef::of_id(meter.id)
}

/// The live meter with an id, if the vendor's clients see it.
pub(crate) async fn find(door: &Door, caller: &Caller, bits: u128) -> Result<Meter, Problem> {
    let found = door.engine.get_meter(caller, &MeterRef::of_id(MeterId::from_bits(bits))).await?;
    if is_shown(&found) { Ok(found) } else { Err(Problem::not_found(WHAT)) }
}

fn body_of(caller: &Caller, meter: &Meter) -> Result<MeterBody, Problem> {
    let words = Words::of(meter).ok_or_else(|| Problem::not_found(WHAT))?;
    Ok(MeterBody {
        aggregation: raw(words.aggregation.as_str().to_string()),
        created_at: meter.created_at.to_string(),
        filter: raw(words.filter.as_str().to_string()),
        is_active: is_active(meter),
        meter_id: ids::text(meter.id.bits()),
        name: words.name,
        organization_id: ids::organization(caller.namespace()),
        product_id: words.product_id,
        updated_at: meter.updated_at.to_string(),
    })
}

fn compare(field: Field, left: &(Meter, Words), right: &(Meter, Words)) -> Ordering {
    match field {
        Field::CreatedAt => left.0.created_at.cmp(&right.0.created_at),
        Field::UpdatedAt => left.0.updated_at.cmp(&right.0.updated_at),
        Field::Name => left.1.name.cmp(&right.1.name),
        Field::IsActive => is_active(&left.0).cmp(&is_active(&right.0)),
        Field::Id => left.0.id.cmp(&right.0.id),
    }
}

/// Create a meter
#[utoipa::path(
    post, path = "/v1/meters", operation_id = "lomi_create_meter", tag = "lomi", request_body = MeterInput,
    responses((status = 201, description = "The meter.", body = MeterBody), Refused),
)]
pub(crate) async fn create_meter(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<(StatusCode, Json<MeterBody>), Problem> {
    caller.require(Scope::Admin)?;
    let input = Input::read(Fields::read(request, &door.limits).await?, Known::Nothing)?;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let slug = free_slug(&door, &caller, input.name(), None).await?;
        let definition = input.definition(slug)?;
        match door.engine.create_meter(&caller, definition).await {
            Ok(meter) => return Ok((StatusCode::CREATED, Json(body_of(&caller, &meter)?))),
            // Somebody took the slug since; with the name, the next attempt says so.
            Err(EngineError::Conflict(_)) if attempt < ATTEMPTS => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A slug for a meter of a name that no other meter has.
async fn free_slug(door: &Door, caller: &Caller, name: &str, own: Option<MeterId>) -> Result<String, Problem> {
    let meters = door.engine.list_meters(caller, false).await?;
    let others = || meters.iter().filter(|meter| Some(meter.id) != own);
    let is_named = |meter: &&Meter| Words::of(meter).is_some_and(|words| words.name == name);
    if others().any(|meter| is_named(&meter)) {
        return Err(Problem::conflict(format!(
            "there is a meter with the name {name:?}: names are the codes of events"
        )));
    }
    let taken = |slug: &str| others().any(|meter| meter.slug == slug);
    let [plain, told_apart] = input::slugs(name);
    Ok(if taken(&plain) { told_apart } else { plain })
}

/// List meters
///
/// Those of other doors too, where the vendor's words can say what they count.
#[utoipa::path(
    get, path = "/v1/meters", operation_id = "lomi_list_meters", tag = "lomi",
    params(
        ("limit" = Option<u32>, Query, description = "At most so many (20).", minimum = 1, maximum = 100),
        ("offset" = Option<u32>, Query, description = "Behind so many (0)."),
        ("sort" = Option<String>, Query, description = "`field:direction` of `created_at`, `updated_at`, `name`, `is_active` or `meter_id`; `created_at:desc` by default."),
    ),
    responses((status = 200, description = "A page of meters.", body = ListBody<MeterBody>), Refused),
)]
pub(crate) async fn list_meters(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Json<ListBody<MeterBody>>, Problem> {
    let listing = Listing::read(&QueryString::parse(raw.as_deref())?, &FIELDS, &[])?;
    let meters = door.engine.list_meters(&caller, false).await?;
    let shown = meters.into_iter().filter_map(|meter| Words::of(&meter).map(|words| (meter, words)));
    let (page, total) = listing.page(shown.collect(), compare, |(meter, _)| meter.id);
    let data = page.iter().map(|(meter, _)| body_of(&caller, meter)).collect::<Result<_, _>>()?;
    Ok(Json(listing.body(data, total)))
}

/// Get a meter
#[utoipa::path(
    get, path = "/v1/meters/{meter_id}", operation_id = "lomi_retrieve_meter", tag = "lomi",
    params(("meter_id" = String, Path, description = "UUID.")),
    responses((status = 200, description = "The meter.", body = MeterBody), NotFound, Refused),
)]
pub(crate) async fn retrieve_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathIds,
) -> Result<Json<MeterBody>, Problem> {
    caller.require(Scope::Read)?;
    let meter = find(&door, &caller, path.get("meter_id", WHAT)?).await?;
    Ok(Json(body_of(&caller, &meter)?))
}

/// Change a meter
///
/// What is accepted from then on counts by the new filter and the new property; what was accepted stays as it was counted.
#[utoipa::path(
    patch, path = "/v1/meters/{meter_id}", operation_id = "lomi_update_meter", tag = "lomi", request_body = MeterInput,
    params(("meter_id" = String, Path, description = "UUID.")),
    responses((status = 200, description = "The meter as it is now.", body = MeterBody), NotFound, Refused),
)]
pub(crate) async fn update_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathIds,
    request: Request,
) -> Result<Json<MeterBody>, Problem> {
    caller.require(Scope::Admin)?;
    let mut meter = find(&door, &caller, path.get("meter_id", WHAT)?).await?;
    let words = Words::of(&meter).ok_or_else(|| Problem::not_found(WHAT))?;
    let known = Known::Meter(&meter, &words);
    let input = Input::read(Fields::read(request, &door.limits).await?, known)?;
    if input.name() != words.name {
        free_slug(&door, &caller, input.name(), Some(meter.id)).await?;
    }
    let reference = reference(&meter);
    if let Some(revision) = input.revision(&meter, &words) {
        meter = door.engine.revise_meter(&caller, &reference, revision).await?;
    }
    match input.is_active {
        Some(true) if !is_active(&meter) => meter = door.engine.activate_meter(&caller, &reference).await?,
        Some(false) if is_active(&meter) => meter = door.engine.deactivate_meter(&caller, &reference).await?,
        _ => {}
    }
    Ok(Json(body_of(&caller, &meter)?))
}

/// Delete a meter
///
/// For good, with its balances; the events stay.
#[utoipa::path(
    delete, path = "/v1/meters/{meter_id}", operation_id = "lomi_delete_meter", tag = "lomi",
    params(("meter_id" = String, Path, description = "UUID.")),
    responses((status = 204, description = "It is deleted."), NotFound, Refused),
)]
pub(crate) async fn delete_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathIds,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Admin)?;
    let meter = find(&door, &caller, path.get("meter_id", WHAT)?).await?;
    door.engine.delete_meter_with_balances(&caller, &reference(&meter)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// From when on a meter counts that is active from its creation: whenever an event happened.
fn always() -> Instant {
    Instant::MIN
}
