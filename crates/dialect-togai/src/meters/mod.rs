//! `/usage_meters`: what to count.

mod body;
mod definition;

pub(crate) use definition::{Kept, Shown, shown};

use crate::door::{Caller, Door, PathTexts};
use crate::page::{self, PageBody, Paging, flag, refuse_unknown, words};
use crate::problem::{Problem, Refused};
use crate::schemas::{self, check_reference};
use crate::{Success, json, kept, short_id};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use body::{Checked, CreateInput, MeterBody, UpdateInput};
use definition::{body_of, group_by, slug};
use tallystick_domain::event_schema::{EventSchema, SchemaStatus};
use tallystick_domain::meter::{Aggregation, DescriptionUpdate, Meter, MeterDefinition, MeterRevision, NewJudging};
use tallystick_engine::{EngineError, MeterRef};
use tallystick_http_kit::QueryString;

/// How many slugs are tried for a meter.
const MAX_SLUGS: usize = 100;

/// The live meters that the client can read, each with what it calls it.
pub(crate) async fn readable(door: &Door, caller: &Caller) -> Result<Vec<(Meter, Shown)>, Problem> {
    let mut readable = Vec::new();
    for meter in door.engine.list_meters(caller, false).await? {
        if let Some(shown) = shown(&meter)? {
            readable.push((meter, shown));
        }
    }
    Ok(readable)
}

/// The live meter of this id.
async fn find(door: &Door, caller: &Caller, id: &str) -> Result<(Meter, Shown), Problem> {
    let all = readable(door, caller).await?;
    let found = all.into_iter().find(|(meter, _)| short_id::of_meter(meter.id) == id);
    found.ok_or_else(|| Problem::not_found("usage meter", id))
}

pub(crate) fn reference(meter: &Meter) -> Result<MeterRef, Problem> {
    MeterRef::parse(&meter.id.to_string())
        .ok_or_else(|| EngineError::Internal(format!("meter {} has an id that is none", meter.id)).into())
}

/// Refuses a name that another live meter has.
async fn check_unique(door: &Door, caller: &Caller, name: &str) -> Result<(), Problem> {
    let all = readable(door, caller).await?;
    match all.iter().any(|(_, shown)| shown.name == name) {
        true => Err(Problem::field("name", format!("there is a usage meter with the name {name:?} already"))),
        false => Ok(()),
    }
}

async fn schema_of(door: &Door, caller: &Caller, name: &str) -> Result<EventSchema, Problem> {
    check_reference("eventSchemaName", name)?;
    let found = schemas::find(door, caller, name).await?;
    found
        .ok_or_else(|| Problem::field("eventSchemaName", format!("there is no event schema {name:?}: create it first")))
}

fn answer(meter: &Meter) -> Result<MeterBody, Problem> {
    let shown = shown(meter)?.ok_or_else(|| Problem::not_found("usage meter", &short_id::of_meter(meter.id)))?;
    Ok(body_of(meter, shown))
}

/// Create a usage meter
///
/// A draft, which counts nothing before it is activated.
#[utoipa::path(
    post,
    path = "/usage_meters",
    operation_id = "togai_create_usage_meter",
    tag = "Togai usage meters",
    request_body = CreateInput,
    responses((status = 201, description = "The meter.", body = MeterBody), Refused),
)]
pub(crate) async fn create_usage_meter(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let input: CreateInput = json::read(request, &door.limits).await?;
    let checked = Checked {
        name: Some(&input.name),
        kind: Some(&input.kind),
        aggregation: Some(&input.aggregation),
        billable_name: input.billable_name.as_deref(),
        description: input.description.as_deref(),
        filters: input.filters.as_deref(),
        computations: input.computations.as_deref(),
    };
    checked.check()?;
    let missing = || Problem::field("eventSchemaName", "it is required: it names the schema of the meter's events");
    let schema = schema_of(&door, &caller, input.event_schema_name.as_deref().ok_or_else(missing)?).await?;
    let kept = Kept {
        aggregation: input.aggregation,
        billable_name: input.billable_name,
        filters: input.filters.unwrap_or_default(),
        computations: input.computations.unwrap_or_default(),
    };
    let definition = MeterDefinition {
        id: None,
        slug: String::new(),
        name: Some(input.name.clone()),
        description: input.description,
        // A count is a sum of ones.
        aggregation: Aggregation::Sum,
        event_type: schema.name.clone(),
        event_from: None,
        value_property: None,
        judging: Some(NewJudging { rule: kept.rule(&schema)?, active_from: None }),
        group_by: group_by(&schema),
        metadata: None,
        details: kept::write(&kept)?,
    };
    let meter = create(&door, &caller, &input.name, definition).await?;
    Ok((StatusCode::CREATED, Json(answer(&meter)?)).into_response())
}

/// Creates a meter under the first slug of its name that is free. Two of the same name at the same time want the same slug, so
/// that the second finds the name taken.
async fn create(door: &Door, caller: &Caller, name: &str, definition: MeterDefinition) -> Result<Meter, Problem> {
    for number in 0..MAX_SLUGS {
        check_unique(door, caller, name).await?;
        let definition = MeterDefinition { slug: slug(name, number), ..definition.clone() };
        match door.engine.create_meter(caller, definition).await {
            Err(EngineError::Conflict(_)) => {}
            created => return Ok(created?),
        }
    }
    Err(Problem::field("name", "too many meters have a similar name: choose another"))
}

/// List usage meters
///
/// The last changed first.
#[utoipa::path(
    get,
    path = "/usage_meters",
    operation_id = "togai_get_usage_meters_for_event_schema",
    tag = "Togai usage meters",
    params(
        ("status" = Option<String>, Query, description = "`DRAFT`, `ACTIVE`, `INACTIVE` or several of them with commas."),
        ("aggregations" = Option<String>, Query, description = "`COUNT`, `SUM` or both with a comma."),
        ("nextToken" = Option<String>, Query, description = "`nextToken` of the page before."),
        ("pageSize" = Option<f64>, Query, description = "Meters on a page (10); 100 at most.", minimum = 1),
    ),
    responses((status = 200, description = "A page of meters.", body = PageBody<MeterBody>), Refused),
)]
pub(crate) async fn list_usage_meters(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["status", "aggregations", "nextToken", "pageSize"])?;
    let statuses = words(&query, "status", &["DRAFT", "ACTIVE", "INACTIVE", "ARCHIVED"])?;
    let aggregations = words(&query, "aggregations", &["COUNT", "SUM"])?;
    let paging = Paging::read(&query, page::DEFAULT_SIZE, page::MAX_SIZE)?;
    let mut all = readable(&door, &caller).await?;
    all.retain(|(_, shown)| statuses.is_empty() || statuses.contains(&shown.status));
    all.retain(|(_, shown)| aggregations.is_empty() || aggregations.contains(&shown.kept.aggregation.as_str()));
    let (part, next) = page::cut(all, &paging, |(meter, _)| (meter.updated_at, meter.id.to_string()))?;
    let listed = part.into_iter().map(|(meter, shown)| body_of(&meter, shown)).collect();
    Ok(Json(PageBody::new(listed, next, &paging, "DESC")).into_response())
}

/// Get a usage meter
///
/// With the schema of its events if it is asked for.
#[utoipa::path(
    get,
    path = "/usage_meters/{usage_meter_id}",
    operation_id = "togai_get_usage_meter",
    tag = "Togai usage meters",
    params(
        ("usage_meter_id" = String, Path, description = "Its id."),
        ("includeSchema" = Option<bool>, Query, description = "Whether the schema is shown."),
    ),
    responses((status = 200, description = "The meter.", body = MeterBody), Refused),
)]
pub(crate) async fn get_usage_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["includeSchema"])?;
    let with_schema = flag(&query, "includeSchema")?;
    let (meter, shown) = find(&door, &caller, path.get("usage_meter_id")).await?;
    let schema = match with_schema {
        true => schemas::find(&door, &caller, &meter.event_type).await?,
        false => None,
    };
    let body = MeterBody { event_schema: schema.map(schemas::body_of), ..body_of(&meter, shown) };
    Ok(Json(body).into_response())
}

/// Change a usage meter
///
/// What is absent stays. Of an active meter only the name, the name for bills and the description can change; what was
/// counted stays as it was counted.
#[utoipa::path(
    patch,
    path = "/usage_meters/{usage_meter_id}",
    operation_id = "togai_update_usage_meter",
    tag = "Togai usage meters",
    params(("usage_meter_id" = String, Path, description = "Its id.")),
    request_body = UpdateInput,
    responses((status = 200, description = "The meter.", body = MeterBody), Refused),
)]
pub(crate) async fn update_usage_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let input: UpdateInput = json::read(request, &door.limits).await?;
    let checked = Checked {
        name: input.name.as_deref(),
        kind: input.kind.as_deref(),
        aggregation: input.aggregation.as_deref(),
        billable_name: input.billable_name.as_deref(),
        description: input.description.as_deref(),
        filters: input.filters.as_deref(),
        computations: input.computations.as_deref(),
    };
    checked.check()?;
    let (meter, shown) = find(&door, &caller, path.get("usage_meter_id")).await?;
    if let Some(name) = input.name.as_deref().filter(|name| *name != shown.name) {
        check_unique(&door, &caller, name).await?;
    }
    let before = shown.kept;
    let after = Kept {
        aggregation: input.aggregation.unwrap_or_else(|| before.aggregation.clone()),
        billable_name: input.billable_name.or_else(|| before.billable_name.clone()),
        filters: input.filters.unwrap_or_else(|| before.filters.clone()),
        computations: input.computations.unwrap_or_else(|| before.computations.clone()),
    };
    let event_type = input.event_schema_name.filter(|name| *name != meter.event_type);
    let other_rule = Kept { billable_name: before.billable_name.clone(), ..after.clone() } != before;
    let mut revision = MeterRevision {
        name: input.name,
        description: input.description.map_or(DescriptionUpdate::Keep, DescriptionUpdate::Set),
        ..MeterRevision::default()
    };
    if other_rule || event_type.is_some() {
        check_changeable(&meter, shown.status)?;
        let schema = schema_of(&door, &caller, event_type.as_ref().unwrap_or(&meter.event_type)).await?;
        revision.rule = Some(after.rule(&schema)?);
        revision.event_type = event_type;
    }
    if meter.judging.is_some() {
        revision.details = kept::write(&after)?;
    } else if after != before {
        let reason = "this meter was made elsewhere, where it has no such name: change its name or its description";
        return Err(Problem::field("billableName", reason));
    }
    let revised = door.engine.revise_meter(&caller, &reference(&meter)?, revision).await?;
    Ok(Json(answer(&revised)?).into_response())
}

/// What a meter counts can change while it does not count, if the vendor's words said it.
fn check_changeable(meter: &Meter, status: &str) -> Result<(), Problem> {
    if !kept::is_ours(&meter.details) {
        return Err(Problem::bad_request("the meter was made elsewhere: change there what it counts"));
    }
    match status {
        "ACTIVE" => Err(Problem::bad_request(
            "of an active meter, name, billableName and description can change and nothing else: deactivate it first",
        )),
        _ => Ok(()),
    }
}

/// Activate a usage meter
///
/// It counts events from the beginning of this second on. Doing it again changes nothing.
#[utoipa::path(
    post,
    path = "/usage_meters/{usage_meter_id}/activate",
    operation_id = "togai_activate_usage_meter",
    tag = "Togai usage meters",
    params(("usage_meter_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The meter.", body = MeterBody), Refused),
)]
pub(crate) async fn activate_usage_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let (meter, _) = find(&door, &caller, path.get("usage_meter_id")).await?;
    if kept::is_ours(&meter.details) {
        let schema = schema_of(&door, &caller, &meter.event_type).await?;
        if schema.status == SchemaStatus::Inactive {
            let message = format!("event schema {} is inactive: activate it first", schema.name);
            return Err(Problem::bad_request(message));
        }
    }
    let active = door.engine.activate_meter(&caller, &reference(&meter)?).await?;
    Ok(Json(answer(&active)?).into_response())
}

/// Deactivate a usage meter
///
/// It counts no event from now on. Doing it again changes nothing.
#[utoipa::path(
    post,
    path = "/usage_meters/{usage_meter_id}/deactivate",
    operation_id = "togai_deactivate_usage_meter",
    tag = "Togai usage meters",
    params(("usage_meter_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The meter.", body = MeterBody), Refused),
)]
pub(crate) async fn deactivate_usage_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let (meter, _) = find(&door, &caller, path.get("usage_meter_id")).await?;
    let inactive = door.engine.deactivate_meter(&caller, &reference(&meter)?).await?;
    Ok(Json(answer(&inactive)?).into_response())
}

/// Delete a usage meter
///
/// Its events stay.
#[utoipa::path(
    delete,
    path = "/usage_meters/{usage_meter_id}",
    operation_id = "togai_delete_usage_meter",
    tag = "Togai usage meters",
    params(("usage_meter_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "It is deleted.", body = Success), Refused),
)]
pub(crate) async fn delete_usage_meter(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let (meter, _) = find(&door, &caller, path.get("usage_meter_id")).await?;
    door.engine.delete_meter(&caller, &reference(&meter)?).await?;
    Ok(Json(Success::yes()).into_response())
}
