//! Subjects: describe one or many, list, get, delete.

use crate::door::{Caller, Door, PathTexts};
use crate::json::{self, present};
use crate::problem::{Problem, Refused, problem_answer};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tallystick_domain::json::JsonObject;
use tallystick_domain::subject::{MAX_SUBJECT_KEY_BYTES, Patch, Subject, SubjectDraft};
use tallystick_engine::EngineError;
use utoipa::openapi::{RefOr, Response as Answer};
use utoipa::{IntoResponses, ToSchema};

/// A described subject. Its fields are in the vendor's order.
#[derive(Serialize, ToSchema)]
#[schema(as = Subject)]
#[serde(rename_all = "camelCase")]
struct SubjectBody {
    /// When it was first described.
    #[schema(format = DateTime)]
    created_at: String,
    /// When the description was deleted; usage stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// Name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    display_name: Option<String>,
    /// ULID.
    id: String,
    /// The subject as events carry it.
    key: String,
    /// The user's own labels, to the digit.
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    /// The account at Stripe.
    #[serde(skip_serializing_if = "Option::is_none")]
    stripe_customer_id: Option<String>,
    /// When the description was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// A description to make or to change: what is left out stays, null clears. Further fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = SubjectUpsert)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubjectInput {
    /// The subject as events carry it, 1 to 2048 bytes.
    #[schema(min_length = 1)]
    key: String,
    /// Name for people.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    display_name: Option<Option<String>>,
    /// The user's own labels: any JSON object.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    metadata: Option<Option<Box<RawValue>>>,
    /// The account at Stripe; begins with `cus_`.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    stripe_customer_id: Option<Option<String>>,
}

/// 404 where a subject is named.
struct NoSubject;

impl IntoResponses for NoSubject {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        BTreeMap::from([("404".to_string(), problem_answer("There is no such described subject.").into())])
    }
}

/// 409 where a subject is listed twice.
struct Twice;

impl IntoResponses for Twice {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        BTreeMap::from([("409".to_string(), problem_answer("A subject is listed twice.").into())])
    }
}

fn body_of(subject: Subject) -> Result<SubjectBody, Problem> {
    let metadata = RawValue::from_string(subject.metadata.as_str().to_string());
    Ok(SubjectBody {
        created_at: subject.created_at.to_string(),
        deleted_at: subject.deleted_at.map(|at| at.to_string()),
        display_name: subject.display_name,
        id: subject.id.to_string(),
        key: subject.key,
        metadata: metadata.map_err(|error| EngineError::Internal(format!("stored metadata is no JSON: {error}")))?,
        stripe_customer_id: subject.stripe_customer_id,
        updated_at: subject.updated_at.to_string(),
    })
}

fn draft_of(index: usize, input: SubjectInput) -> Result<SubjectDraft, Problem> {
    let metadata = match patch_of(input.metadata) {
        Patch::Set(raw) => Patch::Set(
            JsonObject::parse(raw.get())
                .map_err(|error| Problem::body(format!("Error at \"/{index}/metadata\": {error}")))?,
        ),
        Patch::Clear => Patch::Clear,
        Patch::Keep => Patch::Keep,
    };
    Ok(SubjectDraft {
        key: input.key,
        display_name: patch_of(input.display_name),
        metadata,
        stripe_customer_id: patch_of(input.stripe_customer_id),
        details: Default::default(),
    })
}

fn patch_of<T>(sent: Option<Option<T>>) -> Patch<T> {
    match sent {
        None => Patch::Keep,
        Some(None) => Patch::Clear,
        Some(Some(value)) => Patch::Set(value),
    }
}

/// Describe subjects
///
/// One or many, all of them or none. Usage is metered with and without a description.
#[utoipa::path(
    post,
    path = "/api/v1/subjects",
    operation_id = "subjects_upsert",
    tag = "Subjects",
    request_body = Vec<SubjectInput>,
    responses((status = 200, description = "The subjects, in the same order.", body = Vec<SubjectBody>), Twice, Refused),
)]
pub(crate) async fn upsert_subjects(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let inputs: Vec<SubjectInput> = json::read_list(request, &door.limits, "SubjectUpsert").await?;
    let drafts = inputs.into_iter().enumerate().map(|(index, input)| draft_of(index, input));
    let subjects = door.engine.upsert_subjects(&caller, drafts.collect::<Result<_, _>>()?).await?;
    Ok(Json(subjects.into_iter().map(body_of).collect::<Result<Vec<_>, _>>()?).into_response())
}

/// List described subjects
///
/// All of them, the oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/subjects",
    operation_id = "subjects_list",
    tag = "Subjects",
    responses((status = 200, description = "The subjects.", body = Vec<SubjectBody>), Refused),
)]
pub(crate) async fn list_subjects(caller: Caller, State(door): State<Door>) -> Result<Response, Problem> {
    let subjects = door.engine.list_subjects(&caller).await?;
    Ok(Json(subjects.into_iter().map(body_of).collect::<Result<Vec<_>, _>>()?).into_response())
}

/// Get a described subject
///
/// By id also when its description was deleted, by key only while it lives.
#[utoipa::path(
    get,
    path = "/api/v1/subjects/{subjectIdOrKey}",
    operation_id = "subjects_get",
    tag = "Subjects",
    params(("subjectIdOrKey" = String, Path, description = "ULID or key.")),
    responses((status = 200, description = "The subject.", body = SubjectBody), NoSubject, Refused),
)]
pub(crate) async fn get_subject(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let id_or_key = path.get("subjectIdOrKey", MAX_SUBJECT_KEY_BYTES)?;
    Ok(Json(body_of(door.engine.get_subject(&caller, id_or_key).await?)?).into_response())
}

/// Delete a subject's description
///
/// Its usage stays, and it can be described again. Deleting by id a second time changes nothing.
#[utoipa::path(
    delete,
    path = "/api/v1/subjects/{subjectIdOrKey}",
    operation_id = "subjects_delete",
    tag = "Subjects",
    params(("subjectIdOrKey" = String, Path, description = "ULID or key.")),
    responses((status = 204, description = "The description is deleted."), NoSubject, Refused),
)]
pub(crate) async fn delete_subject(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<StatusCode, Problem> {
    let id_or_key = path.get("subjectIdOrKey", MAX_SUBJECT_KEY_BYTES)?;
    door.engine.delete_subject(&caller, id_or_key).await?;
    Ok(StatusCode::NO_CONTENT)
}
