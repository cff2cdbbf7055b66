//! Features: create, list, get, change the unit cost, archive.

use super::faults::{Faults, id_of};
use super::filter::{self, ByDimension, TextFilter};
use super::labels::{self, Labels};
use super::list::{ListQuery, PageBody};
use super::meters::body_fault;
use super::problem::{Missing, Refused, Taken};
use crate::door::{Caller, Door, PathTexts};
use crate::json::present;
use crate::problem::Problem;
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tallystick_domain::feature::{Feature, FeatureDraft, Source, SourceDraft, UnitCost, UnitCostDraft};
use tallystick_domain::key::Scope;
use tallystick_domain::meter::Filter;
use tallystick_engine::{FeatureListing, FeatureOrder, FeatureText};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

const ORDERS: [(&str, FeatureOrder); 4] = [
    ("key", FeatureOrder::Key),
    ("name", FeatureOrder::Name),
    ("created_at", FeatureOrder::CreatedAt),
    ("updated_at", FeatureOrder::UpdatedAt),
];

/// A feature.
#[derive(Serialize, ToSchema)]
#[schema(as = V3Feature)]
pub(crate) struct FeatureBody {
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
    /// When it was archived.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// Name in lists of rights.
    key: String,
    /// What measures its use; absent when it is there or not.
    #[serde(skip_serializing_if = "Option::is_none")]
    meter: Option<MeterOut>,
    /// What a unit of use costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_cost: Option<UnitCostBody>,
}

/// What measures the use of a feature.
#[derive(Serialize, ToSchema)]
#[schema(as = V3FeatureMeterReference)]
struct MeterOut {
    /// ULID of the meter.
    id: String,
    /// Conditions on its dimensions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, TextFilter>)]
    filters: BTreeMap<String, Value>,
}

/// What measures the use of a feature.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3FeatureMeterReferenceInput)]
#[serde(deny_unknown_fields)]
struct MeterIn {
    /// ULID of the meter.
    #[schema(pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$")]
    id: String,
    /// Conditions on its dimensions; all must hold.
    filters: Option<ByDimension>,
}

/// The kinds of unit costs.
#[derive(Clone, Copy, Deserialize, Serialize, ToSchema)]
#[schema(as = V3FeatureUnitCostType)]
#[serde(rename_all = "snake_case")]
enum CostKind {
    Manual,
    Llm,
}

/// What a unit of use costs: `manual` has an amount, `llm` the price of a language model's token. Of each pair of fields,
/// exactly one.
#[derive(Deserialize, Serialize, ToSchema)]
#[schema(as = V3FeatureUnitCost)]
#[serde(deny_unknown_fields)]
struct UnitCostBody {
    /// Which of the two it is.
    #[serde(rename = "type")]
    kind: CostKind,
    /// The amount of `manual`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^\\-?[0-9]+(\\.[0-9]+)?$")]
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

/// A feature to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3CreateFeatureRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeatureCreate {
    /// Name for people.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// Longer text for people.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// The user's own labels.
    labels: Option<Labels>,
    /// Name in lists of rights.
    #[schema(min_length = 1, max_length = 64, pattern = "^[a-z0-9]+(?:_[a-z0-9]+)*$")]
    key: String,
    /// What measures its use.
    meter: Option<MeterIn>,
    /// What a unit of use costs.
    unit_cost: Option<UnitCostBody>,
}

/// What to change of a feature.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3UpdateFeatureRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct FeatureUpdate {
    /// What a unit of use costs; null removes it, and left out it stays.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<UnitCostBody>)]
    unit_cost: Option<Option<UnitCostBody>>,
}

fn body_of(feature: Feature) -> FeatureBody {
    let filters = filter::by_dimension(&feature.filters);
    FeatureBody {
        id: feature.id.to_string(),
        name: feature.name,
        description: feature.description,
        labels: feature.metadata,
        created_at: feature.created_at.to_string(),
        updated_at: feature.updated_at.to_string(),
        deleted_at: feature.archived_at.map(|at| at.to_string()),
        key: feature.key,
        meter: feature.meter.map(|meter| MeterOut { id: meter.id.to_string(), filters }),
        unit_cost: feature.unit_cost.map(cost_body),
    }
}

fn cost_body(cost: UnitCost) -> UnitCostBody {
    let pair = |source: Option<Source>| match source {
        Some(Source::Dimension(name)) => (Some(name), None),
        Some(Source::Fixed(word)) => (None, Some(word)),
        None => (None, None),
    };
    let (kind, amount, sources) = match cost {
        UnitCost::Manual(amount) => (CostKind::Manual, Some(amount.to_string()), [None, None, None]),
        UnitCost::Llm { provider, model, token_type } => {
            (CostKind::Llm, None, [Some(provider), Some(model), Some(token_type)])
        }
    };
    let [provider, model, token_type] = sources.map(pair);
    UnitCostBody {
        kind,
        amount,
        provider_property: provider.0,
        provider: provider.1,
        model_property: model.0,
        model: model.1,
        token_type_property: token_type.0,
        token_type: token_type.1,
    }
}

/// The unit cost, when it has what its kind has and nothing else.
fn cost_draft(cost: UnitCostBody, faults: &mut Faults) -> Option<UnitCostDraft> {
    let of_llm = [
        ("provider_property", &cost.provider_property),
        ("provider", &cost.provider),
        ("model_property", &cost.model_property),
        ("model", &cost.model),
        ("token_type_property", &cost.token_type_property),
        ("token_type", &cost.token_type),
    ];
    match (cost.kind, cost.amount) {
        (CostKind::Manual, amount) => {
            for (name, _) in of_llm.into_iter().filter(|(_, value)| value.is_some()) {
                let reason = "a unit cost of type manual has an amount only";
                faults.add(body_fault(&format!("unit_cost.{name}"), "unknown_property", reason));
            }
            if amount.is_none() {
                faults.add(body_fault("unit_cost.amount", "required", "a unit cost of type manual has an amount"));
            }
            amount.map(UnitCostDraft::Manual)
        }
        (CostKind::Llm, Some(_)) => {
            faults.add(body_fault("unit_cost.amount", "unknown_property", "a unit cost of type llm has no amount"));
            None
        }
        (CostKind::Llm, None) => {
            let source = |dimension, fixed| SourceDraft { dimension, fixed };
            Some(UnitCostDraft::Llm {
                provider: source(cost.provider_property, cost.provider),
                model: source(cost.model_property, cost.model),
                token_type: source(cost.token_type_property, cost.token_type),
            })
        }
    }
}

/// The feature, and the id of its meter.
fn draft_of(body: FeatureCreate, faults: &mut Faults) -> (FeatureDraft, Option<String>) {
    let (meter, wanted) = body.meter.map_or((None, None), |meter| (Some(meter.id), meter.filters));
    let mut filters: BTreeMap<String, Filter> = BTreeMap::new();
    for (name, one) in wanted.unwrap_or_default().0 {
        // What cannot be read is a fault, so that no feature is made without it.
        filters.extend(one.read(&format!("meter.filters.{name}"), faults).map(|filter| (name, filter)));
    }
    let unit_cost = body.unit_cost.and_then(|cost| cost_draft(cost, faults));
    let draft = FeatureDraft {
        key: body.key,
        name: body.name,
        description: body.description,
        metadata: body.labels.unwrap_or_default(),
        filters,
        unit_cost,
    };
    (draft, meter)
}

/// Create a feature
///
/// What customers are given access to, and which part of a meter measures its use.
#[utoipa::path(
    post,
    path = "/api/v3/openmeter/features",
    operation_id = "Features.Create",
    tag = "Version 3",
    request_body = FeatureCreate,
    responses((status = 201, description = "The feature.", body = FeatureBody), Missing, Taken, Refused),
)]
pub(crate) async fn create_feature(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let body: Option<FeatureCreate> = faults.body(request, &door.limits).await?;
    labels::check(body.as_ref().and_then(|body| body.labels.as_ref()), &mut faults);
    let read = body.map(|body| draft_of(body, &mut faults));
    let (draft, meter) = faults.none_in(read)?;
    let feature = door.engine.create_feature(&caller, draft, meter.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(body_of(feature))).into_response())
}

/// List features
///
/// A page of the live ones, by the time of their creation unless asked otherwise; ties are ordered by id.
#[utoipa::path(
    get,
    path = "/api/v3/openmeter/features",
    operation_id = "Features.List",
    tag = "Version 3",
    params(
        ("page[size]" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Features on a page (20)."),
        ("page[number]" = Option<u64>, Query, minimum = 1, description = "Which page, from 1."),
        ("sort" = Option<String>, Query, description = "`key`, `name`, `created_at` (the default) or `updated_at`; ` desc` behind it turns the order around."),
        ("filter[meter_id]" = Option<String>, Query, description = "The meter, with `eq`, `neq` and `oeq`."),
        ("filter[key]" = Option<String>, Query, description = "The key; `filter[key][operator]` with `eq`, `neq`, `contains`, `ocontains`, `oeq`, `gt`, `gte`, `lt`, `lte`, `exists`."),
        ("filter[name]" = Option<String>, Query, description = "The name, with the same operators."),
    ),
    responses((status = 200, description = "A page of features.", body = PageBody<FeatureBody>), Refused),
)]
pub(crate) async fn list_features(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let mut faults = Faults::default();
    let list = ListQuery::of(&query, &mut faults);
    let paging = list.paging(&mut faults);
    let (order, descending) = list.sort(&ORDERS, FeatureOrder::CreatedAt, &mut faults);
    let mut conditions = Vec::new();
    for condition in list.conditions(&["meter_id", "key", "name"], &mut faults) {
        let (text, wanted) = match condition.field {
            "meter_id" => (FeatureText::MeterId, filter::id(&condition, &mut faults)),
            "key" => (FeatureText::Key, filter::text(&condition, &mut faults)),
            _ => (FeatureText::Name, filter::text(&condition, &mut faults)),
        };
        conditions.extend(wanted.map(|wanted| (text, wanted)));
    }
    let (offset, limit) = (paging.offset(), paging.limit());
    let listing = FeatureListing { conditions, include_archived: false, order, descending, offset, limit };
    let found = door.engine.list_features(&caller, faults.none_in(Some(listing))?).await?;
    let data = found.features.into_iter().map(body_of).collect();
    Ok(Json(PageBody::new(paging, found.total, data)).into_response())
}

/// Get a feature
///
/// While it is not archived.
#[utoipa::path(
    get,
    path = "/api/v3/openmeter/features/{featureId}",
    operation_id = "Features.Get",
    tag = "Version 3",
    params(("featureId" = String, Path, description = "ULID.")),
    responses((status = 200, description = "The feature.", body = FeatureBody), Missing, Refused),
)]
pub(crate) async fn get_feature(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let id = id_of(&path, "featureId")?;
    Ok(Json(body_of(door.engine.get_feature(&caller, &id).await?)).into_response())
}

/// Change a feature
///
/// Its unit cost is all that can be changed.
#[utoipa::path(
    patch,
    path = "/api/v3/openmeter/features/{featureId}",
    operation_id = "Features.Update",
    tag = "Version 3",
    params(("featureId" = String, Path, description = "ULID.")),
    request_body = FeatureUpdate,
    responses((status = 200, description = "The feature.", body = FeatureBody), Missing, Taken, Refused),
)]
pub(crate) async fn update_feature(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    // Also when the request changes nothing.
    caller.require(Scope::Admin)?;
    let mut faults = Faults::default();
    let id = faults.id(&path, "featureId");
    let body: Option<FeatureUpdate> = faults.body(request, &door.limits).await?;
    let change = body.map(|body| body.unit_cost.map(|cost| cost.and_then(|cost| cost_draft(cost, &mut faults))));
    let feature = match faults.none_in(change)? {
        Some(cost) => door.engine.update_feature_cost(&caller, &id, cost).await?,
        None => door.engine.get_feature(&caller, &id).await?,
    };
    Ok(Json(body_of(feature)).into_response())
}

/// Archive a feature
///
/// Nobody can be given it any more, and its key can be used again.
#[utoipa::path(
    delete,
    path = "/api/v3/openmeter/features/{featureId}",
    operation_id = "Features.Delete",
    tag = "Version 3",
    params(("featureId" = String, Path, description = "ULID.")),
    responses((status = 204, description = "The feature is archived."), Missing, Refused),
)]
pub(crate) async fn delete_feature(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<StatusCode, Problem> {
    let id = id_of(&path, "featureId")?;
    door.engine.archive_feature(&caller, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
