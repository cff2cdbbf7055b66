//! The portal: tokens for customers' own pages, and the usage that they open.

use crate::door::{Caller, Door, PathTexts, PortalHolder};
use crate::json::{self, Missing};
use crate::meters::NoMeter;
use crate::params::{Place, bound, number, refuse_unknown};
use crate::problem::{Problem, Refused, problem_answer};
use crate::query;
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tallystick_domain::Instant;
use tallystick_domain::portal::PortalToken;
use tallystick_engine::PortalTokenDraft;
use tallystick_http_kit::QueryString;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, CorsLayer, ExposeHeaders};
use utoipa::openapi::{RefOr, Response as Answer};
use utoipa::{IntoResponses, ToSchema};

const MAX_LIMIT: usize = 100;
const DEFAULT_LIMIT: usize = 25;
/// How long a browser may remember what it was allowed: 20 days.
const MAX_AGE: Duration = Duration::from_secs(1_728_000);

/// A portal token. Its fields are in the vendor's order.
#[derive(Serialize, ToSchema)]
#[schema(as = PortalToken)]
#[serde(rename_all = "camelCase")]
struct TokenBody {
    /// The only meters that it opens; all when empty.
    allowed_meter_slugs: BTreeSet<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// There when it has expired.
    #[serde(skip_serializing_if = "Option::is_none")]
    expired: Option<bool>,
    /// From then on it opens nothing.
    #[schema(format = DateTime)]
    expires_at: String,
    /// ULID.
    id: String,
    /// The subject whose usage it opens.
    subject: String,
    /// The signed text, which is shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
}

/// A token to make. Further fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = PortalTokenCreate)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TokenInput {
    /// The subject whose usage it opens.
    subject: String,
    /// When it expires; after the configured time when left out.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The only meters that it opens; all when left out.
    allowed_meter_slugs: Option<Vec<String>>,
}

/// Which tokens to invalidate.
#[derive(Deserialize, ToSchema)]
pub(crate) struct InvalidateInput {
    /// The token of this id.
    id: Option<String>,
    /// The tokens of this subject.
    subject: Option<String>,
}

/// 404 where a token or a meter is named.
struct NoToken;

impl IntoResponses for NoToken {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        BTreeMap::from([("404".to_string(), problem_answer("There is no such token or meter.").into())])
    }
}

/// What browsers are told: which pages may ask the portal. The order is as good as any, since tokens are not cookies.
pub(crate) fn cors(origins: &str) -> CorsLayer {
    let listed = origins.split(',').filter_map(|origin| HeaderValue::from_str(origin.trim()).ok());
    let origins = match origins.trim() {
        "*" => AllowOrigin::mirror_request(),
        _ => AllowOrigin::list(listed.filter(|origin| !origin.is_empty())),
    };
    let own = HeaderName::from_static;
    let headers = [header::ACCEPT, header::AUTHORIZATION, header::CONTENT_TYPE, own("traceparent"), own("tracestate")];
    let shown = [header::RETRY_AFTER, own("x-request-id"), own("ratelimit"), own("ratelimit-policy")];
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods(AllowMethods::list([Method::GET, Method::OPTIONS]))
        .allow_headers(AllowHeaders::list(headers))
        .expose_headers(ExposeHeaders::list(shown))
        .allow_credentials(true)
        .max_age(MAX_AGE)
}

fn body_of(token: PortalToken, text: Option<String>, now: Instant) -> TokenBody {
    TokenBody {
        allowed_meter_slugs: token.meters.unwrap_or_default(),
        created_at: token.created_at.to_string(),
        expired: (now >= token.expires_at).then_some(true),
        expires_at: token.expires_at.to_string(),
        id: token.id.to_string(),
        subject: token.subject,
        token: text,
    }
}

/// Make a portal token
///
/// For a page of the customer's own: it opens the usage of one subject, by some or all meters, until it expires.
#[utoipa::path(
    post,
    path = "/api/v1/portal/tokens",
    operation_id = "portal_portal_tokens_create",
    tag = "Portal",
    request_body = TokenInput,
    responses((status = 200, description = "The token with its signed text.", body = TokenBody), NoToken, Refused),
)]
pub(crate) async fn create_token(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let input: TokenInput = json::read(request, &door.limits, "PortalToken", Missing::IsAnError).await?;
    let expires_at = bound(Place::Body, "expiresAt", input.expires_at.as_deref())?.map(|bound| bound.at);
    let draft = PortalTokenDraft { subject: input.subject, expires_at, meters: input.allowed_meter_slugs };
    let made = door.engine.create_portal_token(&caller, draft).await?;
    Ok(Json(body_of(made.token, Some(made.text), door.engine.now())).into_response())
}

/// List portal tokens
///
/// The newest first, without those that were invalidated and without their signed texts.
#[utoipa::path(
    get,
    path = "/api/v1/portal/tokens",
    operation_id = "portal_portal_tokens_list",
    tag = "Portal",
    params(("limit" = Option<usize>, Query, description = "How many; 25 by default.", minimum = 1, maximum = 100)),
    responses((status = 200, description = "The tokens.", body = Vec<TokenBody>), Refused),
)]
pub(crate) async fn list_tokens(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["limit"], &[])?;
    let limit = number(&query, "limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let tokens = door.engine.list_portal_tokens(&caller, crate::page::bounded(limit)).await?;
    let now = door.engine.now();
    Ok(Json(tokens.into_iter().map(|token| body_of(token, None, now)).collect::<Vec<_>>()).into_response())
}

/// Invalidate portal tokens
///
/// The token of an id, or all of a subject. They open nothing any more when this is answered.
#[utoipa::path(
    post,
    path = "/api/v1/portal/tokens/invalidate",
    operation_id = "portal_portal_tokens_invalidate",
    tag = "Portal",
    request_body = InvalidateInput,
    responses((status = 204, description = "They are invalid."), NoToken, Refused),
)]
pub(crate) async fn invalidate_tokens(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let input: InvalidateInput = json::read(request, &door.limits, "PortalTokenInvalidate", Missing::IsEmpty).await?;
    door.engine.invalidate_portal_tokens(&caller, input.id.as_deref(), input.subject.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Query a meter with a portal token
///
/// The usage of the token's subject and of nobody else, as JSON or, with `Accept: text/csv`, as CSV.
#[utoipa::path(
    get,
    path = "/api/v1/portal/meters/{meterSlug}/query",
    operation_id = "portal_portal_meters_query_json",
    tag = "Portal",
    security(("portalToken" = [])),
    extensions(("x-openmeter-operations" = json!(["portal_portal_meters_query_json", "portal_portal_meters_query_csv"]))),
    params(
        ("meterSlug" = String, Path, description = "Slug of the meter."),
        ("clientId" = Option<String>, Query, description = "Without effect."),
        ("from" = Option<String>, Query, format = DateTime, description = "First moment that counts (RFC 3339)."),
        ("to" = Option<String>, Query, format = DateTime, description = "First moment that does not count any more."),
        ("asOf" = Option<String>, Query, format = DateTime, description = "Answer as known at this moment."),
        ("windowSize" = inline(Option<query::WindowSizeWord>), Query, description = "Length of the windows; one bucket when left out."),
        ("windowTimeZone" = Option<String>, Query, description = "IANA name of the zone whose clock the windows follow."),
        ("filterGroupBy" = Option<std::collections::BTreeMap<String, String>>, Query, style = DeepObject, description = "Value of a dimension."),
        ("advancedMeterGroupByFilters" = Option<String>, Query, description = "JSON object from dimension to string filter."),
        ("groupBy" = Option<Vec<String>>, Query, description = "Dimensions of the meter."),
    ),
    responses(
        (status = 200, description = "The rows.", content((query::ResultBody = "application/json"), (String = "text/csv"))),
        NoMeter,
        Refused,
    ),
)]
pub(crate) async fn query_meter(
    holder: PortalHolder,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let slug = path.get("meterSlug", 64)?;
    query::answer_portal(&door, &holder.0, slug, &QueryString::parse(raw.as_deref())?, &headers).await
}
