//! Features: create, list, get, archive.

use crate::door::{Caller, Door, PathTexts};
use crate::filter::{self, FilterReader};
use crate::json::{self, Missing};
use crate::page::{ListBody, Part, sorting};
use crate::params::{boolean, refuse_unknown, texts};
use crate::problem::{Problem, Refused, problem_answer};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tallystick_domain::feature::{Feature, FeatureDraft, Source, SourceDraft, UnitCost, UnitCostDraft};
use tallystick_domain::meter::Filter;
use tallystick_domain::search::TextCondition;
use tallystick_engine::{FeatureListing, FeatureOrder, FeatureText};
use tallystick_http_kit::QueryString;
use utoipa::openapi::{RefOr, Response as Answer};
use utoipa::{IntoResponses, ToSchema};

/// Meters that one listing names.
const MAX_METERS: usize = 100;
const MAX_KEY: usize = 256;

/// A feature. Its fields are in the vendor's order.
#[derive(Serialize, ToSchema)]
#[schema(as = Feature)]
#[serde(rename_all = "camelCase")]
struct FeatureBody {
    /// Conditions on the meter's dimensions.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    advanced_meter_group_by_filters: Map<String, Value>,
    /// When it was archived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    archived_at: Option<String>,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// ULID.
    id: String,
    /// Name in paths.
    key: String,
    /// The user's own labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    /// The same conditions, when each of them wants one exact value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    meter_group_by_filters: BTreeMap<String, String>,
    /// The meter that measures its use.
    #[serde(skip_serializing_if = "Option::is_none")]
    meter_slug: Option<String>,
    /// Name for people.
    name: String,
    /// What a unit of use costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_cost: Option<UnitCostBody>,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// What a unit of use costs: an amount, or the price of a language model's token. Of each pair of fields, exactly one.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[schema(as = FeatureUnitCost)]
#[serde(rename_all = "camelCase", default)]
struct UnitCostBody {
    /// `manual` or `llm`.
    #[serde(rename = "type")]
    kind: String,
    /// The amount of `manual`: a decimal number as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    /// Dimension that names the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_property: Option<String>,
    /// The provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// Dimension that names the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_property: Option<String>,
    /// The model.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Dimension that names the kind of token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type_property: Option<String>,
    /// The kind of token.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<String>,
}

/// A feature to create. Further fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = FeatureCreateInputs, example = json!({"key": "chat", "name": "Chat"}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct FeatureInput {
    /// Name in paths: 1 to 64 lowercase letters and digits, words joined by single underscores, unlike an id.
    #[schema(max_length = 64, pattern = r"^[a-z0-9]+(?:_[a-z0-9]+)*$")]
    key: String,
    /// Name for people.
    #[schema(min_length = 1)]
    name: String,
    /// The user's own labels.
    metadata: Option<BTreeMap<String, String>>,
    /// Slug or id of the meter that measures its use.
    meter_slug: Option<String>,
    /// The exact value of each dimension.
    meter_group_by_filters: Option<BTreeMap<String, String>>,
    /// String filters on dimensions; when there are any, the exact values are not looked at.
    #[schema(value_type = Option<Object>)]
    advanced_meter_group_by_filters: Option<Map<String, Value>>,
    /// What a unit of use costs.
    unit_cost: Option<UnitCostBody>,
}

/// 404 where a feature or a meter is named.
struct NoFeature;

impl IntoResponses for NoFeature {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        BTreeMap::from([("404".to_string(), problem_answer("There is no such feature or meter.").into())])
    }
}

fn body_of(feature: Feature) -> FeatureBody {
    let exact = |(name, filter): (&String, &Filter)| match filter {
        Filter::Eq(text) => Some((name.clone(), text.clone())),
        _ => None,
    };
    let exact: Option<BTreeMap<_, _>> = feature.filters.iter().map(exact).collect();
    let advanced = feature.filters.iter().map(|(name, filter)| (name.clone(), filter::to_json(filter)));
    FeatureBody {
        advanced_meter_group_by_filters: advanced.collect(),
        archived_at: feature.archived_at.map(|at| at.to_string()),
        created_at: feature.created_at.to_string(),
        id: feature.id.to_string(),
        key: feature.key,
        metadata: feature.metadata,
        meter_group_by_filters: exact.unwrap_or_default(),
        meter_slug: feature.meter.map(|meter| meter.slug),
        name: feature.name,
        unit_cost: feature.unit_cost.map(cost_body),
        updated_at: feature.updated_at.to_string(),
    }
}

fn cost_body(cost: UnitCost) -> UnitCostBody {
    let pair = |source: Source| match source {
        Source::Dimension(name) => (Some(name), None),
        Source::Fixed(word) => (None, Some(word)),
    };
    match cost {
        UnitCost::Manual(amount) => {
            UnitCostBody { kind: "manual".into(), amount: Some(amount.to_string()), ..UnitCostBody::default() }
        }
        UnitCost::Llm { provider, model, token_type } => {
            let (provider_property, provider) = pair(provider);
            let (model_property, model) = pair(model);
            let (token_type_property, token_type) = pair(token_type);
            UnitCostBody {
                kind: "llm".into(),
                amount: None,
                provider_property,
                provider,
                model_property,
                model,
                token_type_property,
                token_type,
            }
        }
    }
}

fn draft_of(input: FeatureInput) -> Result<FeatureDraft, Problem> {
    let mut filters = BTreeMap::new();
    let advanced = input.advanced_meter_group_by_filters.unwrap_or_default();
    for (name, value) in &advanced {
        let read = FilterReader::of_dimensions().text(value);
        let fault = |fault| Problem::validation(format!("advancedMeterGroupByFilters {name}: {fault}"));
        filters.insert(name.clone(), read.map_err(fault)?);
    }
    if advanced.is_empty() {
        let exact = input.meter_group_by_filters.unwrap_or_default();
        filters.extend(exact.into_iter().map(|(name, value)| (name, Filter::Eq(value))));
    }
    Ok(FeatureDraft {
        key: input.key,
        name: input.name,
        description: None,
        metadata: input.metadata.unwrap_or_default(),
        filters,
        unit_cost: input.unit_cost.map(cost_draft).transpose()?,
    })
}

fn cost_draft(cost: UnitCostBody) -> Result<UnitCostDraft, Problem> {
    let source = |dimension, fixed| SourceDraft { dimension, fixed };
    match cost.kind.as_str() {
        "manual" => Ok(UnitCostDraft::Manual(cost.amount.unwrap_or_default())),
        "llm" => Ok(UnitCostDraft::Llm {
            provider: source(cost.provider_property, cost.provider),
            model: source(cost.model_property, cost.model),
            token_type: source(cost.token_type_property, cost.token_type),
        }),
        _ => Err(Problem::body("Error at \"/unitCost/type\": value is not one of the allowed values [manual, llm]")),
    }
}

/// Create a feature
///
/// What customers are given access to, and which part of a meter measures its use. A feature is never changed.
#[utoipa::path(
    post,
    path = "/api/v1/features",
    operation_id = "features_create",
    tag = "Features",
    request_body = FeatureInput,
    responses(
        (status = 201, description = "The feature.", body = FeatureBody),
        NoFeature,
        (status = 409, description = "A live feature, which the detail names, has the key.",
            content_type = "application/problem+json", body = crate::problem::Body),
        Refused,
    ),
)]
pub(crate) async fn create_feature(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let mut input: FeatureInput = json::read(request, &door.limits, "FeatureCreateInputs", Missing::IsAnError).await?;
    let meter = input.meter_slug.take();
    let feature = door.engine.create_feature(&caller, draft_of(input)?, meter.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(body_of(feature))).into_response())
}

/// List features
///
/// A list, or a page when `page` or `pageSize` is sent; by key unless asked otherwise, ties are ordered by id.
#[utoipa::path(
    get,
    path = "/api/v1/features",
    operation_id = "features_list",
    tag = "Features",
    params(
        ("meterSlug" = Option<Vec<String>>, Query, description = "Only features of these meters."),
        ("includeArchived" = Option<bool>, Query, description = "Whether archived features are shown too."),
        ("page" = Option<usize>, Query, description = "Page, from 1.", minimum = 1),
        ("pageSize" = Option<usize>, Query, description = "Features on a page (100).", minimum = 1, maximum = 1000),
        ("offset" = Option<usize>, Query, description = "Features to skip, without pages."),
        ("limit" = Option<usize>, Query, description = "Features to show (100), without pages.", minimum = 1, maximum = 1000),
        ("order" = Option<String>, Query, description = "`ASC` or `DESC`."),
        ("orderBy" = Option<String>, Query, description = "`id`, `key`, `name`, `createdAt` or `updatedAt` (key)."),
    ),
    responses(
        (status = 200, description = "The features.", body = ListBody<FeatureBody>),
        Refused,
    ),
)]
pub(crate) async fn list_features(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let known = ["meterSlug", "includeArchived", "page", "pageSize", "offset", "limit", "order", "orderBy"];
    refuse_unknown(&query, &known, &[])?;
    let part = Part::read(&query)?.unwrap_or_else(Part::first);
    let orders = [
        ("key", FeatureOrder::Key),
        ("id", FeatureOrder::Id),
        ("name", FeatureOrder::Name),
        ("createdAt", FeatureOrder::CreatedAt),
        ("updatedAt", FeatureOrder::UpdatedAt),
    ];
    let (order, descending) = sorting(&query, &orders)?;
    let meters = texts(&query, "meterSlug");
    if meters.len() > MAX_METERS {
        return Err(Problem::parameter("meterSlug", "query", format!("maximum number of items is {MAX_METERS}")));
    }
    let (offset, limit) = (part.offset(), part.limit());
    let include_archived = boolean(&query, "includeArchived")?.unwrap_or(false);
    let of_meters = (!meters.is_empty()).then_some((FeatureText::MeterSlug, TextCondition::OneOf(meters)));
    let conditions = of_meters.into_iter().collect();
    let listing = FeatureListing { conditions, include_archived, order, descending, offset, limit };
    let found = door.engine.list_features(&caller, listing).await?;
    let items = found.features.into_iter().map(body_of).collect();
    Ok(Json(ListBody::new(part, found.total, items)).into_response())
}

/// Get a feature
///
/// By id or key, while it is not archived.
#[utoipa::path(
    get,
    path = "/api/v1/features/{featureId}",
    operation_id = "features_get",
    tag = "Features",
    params(("featureId" = String, Path, description = "ULID or key.")),
    responses((status = 200, description = "The feature.", body = FeatureBody), NoFeature, Refused),
)]
pub(crate) async fn get_feature(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let feature = door.engine.get_feature(&caller, path.get("featureId", MAX_KEY)?).await?;
    Ok(Json(body_of(feature)).into_response())
}

/// Archive a feature
///
/// Nobody can be given it any more, and its key can be used again.
#[utoipa::path(
    delete,
    path = "/api/v1/features/{featureId}",
    operation_id = "features_delete",
    tag = "Features",
    params(("featureId" = String, Path, description = "ULID or key.")),
    responses((status = 204, description = "The feature is archived."), NoFeature, Refused),
)]
pub(crate) async fn delete_feature(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<StatusCode, Problem> {
    door.engine.archive_feature(&caller, path.get("featureId", MAX_KEY)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
