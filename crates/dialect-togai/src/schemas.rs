//! `/event_schema`: which attributes and dimensions events have, in versions.

use crate::door::{Caller, Door, PathTexts};
use crate::names::{MAX_NAME, MAX_TEXT, check_length, check_name, check_optional};
use crate::page::{self, PageBody, Paging, refuse_unknown, words};
use crate::problem::{Problem, Refused};
use crate::{Success, json};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tallystick_domain::event_schema::{EventSchema, SchemaAttribute, SchemaContent, SchemaRevision, SchemaStatus};
use tallystick_engine::EngineError;
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// The most attributes, and the most dimensions, of a schema.
const MAX_FIELDS: usize = 50;
/// The most characters of a unit.
const MAX_UNIT: usize = 10;

/// A schema of events.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = TogaiEventSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchemaBody {
    /// The name, which events call `schemaName`.
    name: String,
    /// Text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// From 1.
    #[schema(minimum = 1)]
    version: u16,
    /// `DRAFT`, `ACTIVE`, `INACTIVE` or, of an older version, `ARCHIVED`.
    #[schema(value_type = String)]
    status: &'static str,
    /// The numbers that events bring.
    attributes: Vec<AttributeBody>,
    /// The texts that events bring.
    dimensions: Vec<DimensionBody>,
    /// The fields by which meters may choose events; empty for all.
    filter_fields: Vec<String>,
    /// Always `false`.
    event_level_revenue: bool,
    /// When the version was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// How many meters count its events; in lists only.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_meters_count: Option<usize>,
}

/// A number that events bring.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = TogaiEventAttributeSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AttributeBody {
    /// Its name.
    #[schema(min_length = 1, max_length = 50, pattern = r"^[\sa-zA-Z0-9_-]*$")]
    name: String,
    /// The unit when an event does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 10)]
    default_unit: Option<String>,
}

/// A text that events bring.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[schema(as = TogaiDimensionsSchema)]
pub(crate) struct DimensionBody {
    /// Its name.
    #[schema(min_length = 1, max_length = 50, pattern = r"^[\sa-zA-Z0-9_-]*$")]
    name: String,
}

/// All versions of a schema, the newest first.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEventSchemaVersions)]
struct Versions {
    /// The versions.
    data: Vec<SchemaBody>,
}

/// A schema to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiCreateEventSchema, example = json!({"name": "rides", "attributes": [{"name": "distance"}], "dimensions": [{"name": "city"}]}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateInput {
    /// The name, which events call `schemaName`.
    #[schema(min_length = 1, max_length = 50, pattern = r"^[\sa-zA-Z0-9_-]*$")]
    name: String,
    /// The numbers that events bring.
    #[schema(max_items = 50)]
    #[serde(deserialize_with = "json::objects")]
    attributes: Vec<AttributeBody>,
    /// The texts that events bring.
    #[schema(max_items = 50)]
    #[serde(deserialize_with = "json::objects")]
    dimensions: Vec<DimensionBody>,
    /// Text for people.
    #[schema(max_length = 255)]
    description: Option<String>,
    /// The fields by which meters may choose events; none for all.
    filter_fields: Option<Vec<String>>,
    /// Not served: 400 when it has any field.
    #[schema(value_type = Option<Object>)]
    enrichments: Option<Value>,
    /// Not served: 400 when it is not empty.
    event_id_template: Option<String>,
}

/// What to change of a schema; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiUpdateEventSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateInput {
    /// Text for people.
    #[schema(max_length = 255)]
    description: Option<String>,
    /// All attributes.
    #[schema(max_items = 50)]
    #[serde(default, deserialize_with = "json::optional_objects")]
    attributes: Option<Vec<AttributeBody>>,
    /// All dimensions.
    #[schema(max_items = 50)]
    #[serde(default, deserialize_with = "json::optional_objects")]
    dimensions: Option<Vec<DimensionBody>>,
    /// All fields by which meters may choose events.
    filter_fields: Option<Vec<String>>,
    /// Not served: 400 when it has any field.
    #[schema(value_type = Option<Object>)]
    enrichments: Option<Value>,
    /// Not served: 400 when it is not empty.
    event_id_template: Option<String>,
}

/// The vendor's word for a status.
fn status_word(status: SchemaStatus) -> &'static str {
    match status {
        SchemaStatus::Draft => "DRAFT",
        SchemaStatus::Active => "ACTIVE",
        SchemaStatus::Inactive => "INACTIVE",
        SchemaStatus::Archived => "ARCHIVED",
    }
}

pub(crate) fn body_of(schema: EventSchema) -> SchemaBody {
    let content = schema.content;
    let attribute = |one: SchemaAttribute| AttributeBody { name: one.name, default_unit: one.default_unit };
    SchemaBody {
        name: schema.name,
        description: content.description,
        version: schema.version,
        status: status_word(schema.status),
        attributes: content.attributes.into_iter().map(attribute).collect(),
        dimensions: content.dimensions.into_iter().map(|name| DimensionBody { name }).collect(),
        filter_fields: content.filter_fields,
        event_level_revenue: false,
        created_at: schema.created_at.to_string(),
        updated_at: schema.updated_at.to_string(),
        usage_meters_count: None,
    }
}

fn answer(schema: EventSchema) -> Response {
    Json(body_of(schema)).into_response()
}

fn attributes_of(listed: Vec<AttributeBody>) -> Result<Vec<SchemaAttribute>, Problem> {
    check_count("attributes", listed.len())?;
    let read = |(index, one): (usize, AttributeBody)| {
        check_name(&format!("attributes[{index}].name"), &one.name)?;
        check_optional(&format!("attributes[{index}].defaultUnit"), one.default_unit.as_deref(), 0, MAX_UNIT)?;
        Ok(SchemaAttribute { name: one.name, default_unit: one.default_unit })
    };
    listed.into_iter().enumerate().map(read).collect()
}

fn dimensions_of(listed: Vec<DimensionBody>) -> Result<Vec<String>, Problem> {
    check_count("dimensions", listed.len())?;
    let read = |(index, one): (usize, DimensionBody)| {
        check_name(&format!("dimensions[{index}].name"), &one.name)?;
        Ok(one.name)
    };
    listed.into_iter().enumerate().map(read).collect()
}

fn check_count(field: &str, count: usize) -> Result<(), Problem> {
    match count <= MAX_FIELDS {
        true => Ok(()),
        false => Err(Problem::field(field, format!("a schema has at most {MAX_FIELDS} of them"))),
    }
}

/// What would be ignored is refused: events would not be what their sender expects.
fn check_not_served(enrichments: Option<&Value>, template: Option<&str>) -> Result<(), Problem> {
    let is_empty = |value: &Value| match value {
        Value::Object(members) => members.values().all(|member| member.as_array().is_some_and(Vec::is_empty)),
        other => other.is_null(),
    };
    if !enrichments.is_none_or(is_empty) {
        let reason = "enrichments are not computed here: send the enriched attributes and dimensions with the events";
        return Err(Problem::field("enrichments", reason));
    }
    match template {
        Some(text) if !text.is_empty() => Err(Problem::field(
            "eventIdTemplate",
            "ids are not made from templates here: send an id with each event, or none for one of the server's",
        )),
        _ => Ok(()),
    }
}

/// Create an event schema
///
/// A draft, version 1.
#[utoipa::path(
    post,
    path = "/event_schema",
    operation_id = "togai_create_event_schema",
    tag = "Togai event schemas",
    request_body = CreateInput,
    responses((status = 201, description = "The schema.", body = SchemaBody), Refused),
)]
pub(crate) async fn create_event_schema(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let input: CreateInput = json::read(request, &door.limits).await?;
    check_name("name", &input.name)?;
    check_optional("description", input.description.as_deref(), 0, MAX_TEXT)?;
    check_not_served(input.enrichments.as_ref(), input.event_id_template.as_deref())?;
    let content = SchemaContent {
        description: input.description,
        attributes: attributes_of(input.attributes)?,
        dimensions: dimensions_of(input.dimensions)?,
        filter_fields: input.filter_fields.unwrap_or_default(),
    };
    let schema = door.engine.create_event_schema(&caller, input.name, content).await?;
    Ok((StatusCode::CREATED, answer(schema)).into_response())
}

/// List event schemas
///
/// The newest version of each, the last changed first.
#[utoipa::path(
    get,
    path = "/event_schema",
    operation_id = "togai_list_event_schemas",
    tag = "Togai event schemas",
    params(
        ("status" = Option<String>, Query, description = "`DRAFT`, `ACTIVE`, `INACTIVE` or several of them with commas."),
        ("nextToken" = Option<String>, Query, description = "`nextToken` of the page before."),
        ("pageSize" = Option<f64>, Query, description = "Schemas on a page (10); 100 at most.", minimum = 1),
    ),
    responses((status = 200, description = "A page of schemas.", body = PageBody<SchemaBody>), Refused),
)]
pub(crate) async fn list_event_schemas(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["status", "nextToken", "pageSize"])?;
    let wanted = words(&query, "status", &["DRAFT", "ACTIVE", "INACTIVE", "ARCHIVED"])?;
    let paging = Paging::read(&query, page::DEFAULT_SIZE, page::MAX_SIZE)?;
    let mut all = door.engine.list_event_schemas(&caller).await?;
    all.retain(|schema| wanted.is_empty() || wanted.contains(&status_word(schema.status)));
    let (part, next) = page::cut(all, &paging, |schema| (schema.updated_at, schema.id.to_string()))?;
    let meters = door.engine.list_meters(&caller, false).await?;
    let count = |name: &str| meters.iter().filter(|meter| meter.event_type == name).count();
    let listed = part.into_iter().map(|schema| {
        let usage_meters_count = Some(count(&schema.name));
        SchemaBody { usage_meters_count, ..body_of(schema) }
    });
    Ok(Json(PageBody::new(listed.collect(), next, &paging, "DESC")).into_response())
}

/// Get an event schema
///
/// The newest version, or the one that is asked for.
#[utoipa::path(
    get,
    path = "/event_schema/{event_schema_name}",
    operation_id = "togai_get_event_schema",
    tag = "Togai event schemas",
    params(
        ("event_schema_name" = String, Path, description = "Its name."),
        ("version" = Option<u16>, Query, description = "A version; the newest when it is left out.", minimum = 1),
    ),
    responses((status = 200, description = "The schema.", body = SchemaBody), Refused),
)]
pub(crate) async fn get_event_schema(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["version"])?;
    let name = path.get("event_schema_name");
    let Some(text) = query.one("version")? else {
        return Ok(answer(door.engine.get_event_schema(&caller, name).await?));
    };
    let is_number = !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) && !text.bytes().all(|c| c == b'0');
    if !is_number {
        return Err(Problem::field("version", "it must be a whole number of at least 1"));
    }
    let versions = door.engine.list_event_schema_versions(&caller, name).await?;
    let version = text.parse::<u16>().ok();
    let found = versions.into_iter().find(|schema| Some(schema.version) == version);
    found.map(answer).ok_or_else(|| Problem::not_found("version", text))
}

/// List the versions of an event schema
///
/// The newest first.
#[utoipa::path(
    get,
    path = "/event_schema/{event_schema_name}/versions",
    operation_id = "togai_list_event_schema_versions",
    tag = "Togai event schemas",
    params(("event_schema_name" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The versions.", body = Versions), Refused),
)]
pub(crate) async fn list_event_schema_versions(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let versions = door.engine.list_event_schema_versions(&caller, path.get("event_schema_name")).await?;
    Ok(Json(Versions { data: versions.into_iter().map(body_of).collect() }).into_response())
}

/// Change an event schema
///
/// A draft changes in place. One that was active gets another version, and keeps all attributes, dimensions and filter fields.
#[utoipa::path(
    patch,
    path = "/event_schema/{event_schema_name}",
    operation_id = "togai_update_event_schema",
    tag = "Togai event schemas",
    params(("event_schema_name" = String, Path, description = "Its name.")),
    request_body = UpdateInput,
    responses((status = 200, description = "The schema.", body = SchemaBody), Refused),
)]
pub(crate) async fn update_event_schema(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let input: UpdateInput = json::read(request, &door.limits).await?;
    check_optional("description", input.description.as_deref(), 0, MAX_TEXT)?;
    check_not_served(input.enrichments.as_ref(), input.event_id_template.as_deref())?;
    let revision = SchemaRevision {
        description: input.description,
        attributes: input.attributes.map(attributes_of).transpose()?,
        dimensions: input.dimensions.map(dimensions_of).transpose()?,
        filter_fields: input.filter_fields,
    };
    let name = path.get("event_schema_name");
    Ok(answer(door.engine.revise_event_schema(&caller, name, revision).await?))
}

/// Activate an event schema
///
/// Events of it are taken in from then on. Doing it again changes nothing.
#[utoipa::path(
    post,
    path = "/event_schema/{event_schema_name}/activate",
    operation_id = "togai_activate_event_schema",
    tag = "Togai event schemas",
    params(("event_schema_name" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The schema.", body = SchemaBody), Refused),
)]
pub(crate) async fn activate_event_schema(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    Ok(answer(door.engine.activate_event_schema(&caller, path.get("event_schema_name")).await?))
}

/// Deactivate an event schema
///
/// Its active meters must be deactivated first. Doing it again changes nothing.
#[utoipa::path(
    post,
    path = "/event_schema/{event_schema_name}/deactivate",
    operation_id = "togai_deactivate_event_schema",
    tag = "Togai event schemas",
    params(("event_schema_name" = String, Path, description = "Its name.")),
    responses((status = 200, description = "The schema.", body = SchemaBody), Refused),
)]
pub(crate) async fn deactivate_event_schema(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    Ok(answer(door.engine.deactivate_event_schema(&caller, path.get("event_schema_name")).await?))
}

/// Delete an event schema
///
/// With all its versions. Its meters must be deleted first; its events stay.
#[utoipa::path(
    delete,
    path = "/event_schema/{event_schema_name}",
    operation_id = "togai_delete_event_schema",
    tag = "Togai event schemas",
    params(("event_schema_name" = String, Path, description = "Its name.")),
    responses((status = 200, description = "It is deleted.", body = Success), Refused),
)]
pub(crate) async fn delete_event_schema(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    door.engine.delete_event_schema(&caller, path.get("event_schema_name")).await?;
    Ok(Json(Success::yes()).into_response())
}

/// The schema that a meter or an event names, if there is one.
pub(crate) async fn find(door: &Door, caller: &Caller, name: &str) -> Result<Option<EventSchema>, Problem> {
    match door.engine.get_event_schema(caller, name).await {
        Ok(schema) => Ok(Some(schema)),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Checks the name of a schema that is referred to.
pub(crate) fn check_reference(field: &str, name: &str) -> Result<(), Problem> {
    check_length(field, name, 1, MAX_NAME)
}
