//! Other names of accounts.

use super::body::{AccountBody, MAX_ALIASES, NewAlias, alias_names};
use super::{body_of, find};
use crate::door::{Caller, Door, PathTexts};
use crate::json;
use crate::names::{MAX_NAME, is_within};
use crate::problem::{Problem, Refused};
use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use utoipa::ToSchema;

/// An alias holds for all time; the client wants to know from when to when.
const ALWAYS: (&str, &str) = ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z");

/// Names to add, in one way or the other.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiAddAliases, example = json!({"aliases": ["acme-old"]}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct AddInput {
    /// The names.
    #[schema(max_items = 10)]
    aliases: Option<Vec<String>>,
    /// The names, which hold for all time: a beginning or an end is refused.
    #[schema(max_items = 10)]
    #[serde(default, deserialize_with = "json::optional_objects")]
    account_aliases: Option<Vec<NewAlias>>,
}

/// Names to remove, in one way or the other.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiRemoveAliases)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RemoveInput {
    /// The names.
    aliases: Option<Vec<String>>,
    /// Their ids, which are the names.
    #[serde(default, deserialize_with = "json::optional_objects")]
    account_aliases: Option<Vec<GoneAlias>>,
}

/// A name to remove.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiRemoveAlias)]
pub(crate) struct GoneAlias {
    /// Its id, which is the name.
    id: String,
    /// Not served: 400 when it is there.
    from: Option<String>,
}

/// The names of an account.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiAccountAliases)]
struct Listed {
    /// The names.
    data: Vec<ListedAlias>,
}

/// A name of an account.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiAccountAlias)]
#[serde(rename_all = "camelCase")]
struct ListedAlias {
    /// The name.
    id: String,
    /// The name.
    value: String,
    /// Long ago.
    #[schema(value_type = String, format = DateTime)]
    effective_from: &'static str,
    /// Far ahead.
    #[schema(value_type = String, format = DateTime)]
    effective_until: &'static str,
    /// When it was added.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Add aliases to an account
///
/// All of them or none. Events under them are the account's, those too that came before.
#[utoipa::path(
    post,
    path = "/accounts/{account_id}/add_aliases",
    operation_id = "togai_add_aliases",
    tag = "Togai customers",
    params(("account_id" = String, Path, description = "The account.")),
    request_body = AddInput,
    responses((status = 200, description = "The account.", body = AccountBody), Refused),
)]
pub(crate) async fn add_aliases(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let input: AddInput = json::read(request, &door.limits).await?;
    let names = alias_names(input.aliases, input.account_aliases)?;
    if names.is_empty() {
        return Err(Problem::field("aliases", "name at least one"));
    }
    let id = path.get("account_id");
    let customer = find(&door, &caller, id).await?;
    let known = door.engine.list_aliases(&caller, vec![id.to_owned()]).await?;
    let all: BTreeSet<&str> =
        known.iter().map(|alias| alias.name.as_str()).chain(names.iter().map(String::as_str)).collect();
    if all.len() > MAX_ALIASES {
        return Err(Problem::field("aliases", format!("an account has at most {MAX_ALIASES}: remove one first")));
    }
    door.engine.add_aliases(&caller, id, &names).await?;
    Ok(Json(body_of(&door, &caller, &customer, id).await?).into_response())
}

/// Remove aliases from an account
///
/// All of them or none.
#[utoipa::path(
    post,
    path = "/accounts/{account_id}/remove_aliases",
    operation_id = "togai_remove_aliases",
    tag = "Togai customers",
    params(("account_id" = String, Path, description = "The account.")),
    request_body = RemoveInput,
    responses((status = 200, description = "The account.", body = AccountBody), Refused),
)]
pub(crate) async fn remove_aliases(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let input: RemoveInput = json::read(request, &door.limits).await?;
    let mut names = input.aliases.unwrap_or_default();
    for alias in input.account_aliases.unwrap_or_default() {
        if alias.from.is_some() {
            return Err(Problem::field("accountAliases", "an alias is removed at once: leave from out"));
        }
        names.push(alias.id);
    }
    if names.is_empty() {
        return Err(Problem::field("aliases", "name at least one"));
    }
    let id = path.get("account_id");
    let customer = find(&door, &caller, id).await?;
    door.engine.remove_aliases(&caller, id, &names).await?;
    Ok(Json(body_of(&door, &caller, &customer, id).await?).into_response())
}

/// List the aliases of an account
///
/// By name.
#[utoipa::path(
    get,
    path = "/accounts/{account_id}/account_aliases",
    operation_id = "togai_list_account_aliases",
    tag = "Togai customers",
    params(("account_id" = String, Path, description = "The account.")),
    responses((status = 200, description = "The names.", body = Listed), Refused),
)]
pub(crate) async fn list_account_aliases(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let id = path.get("account_id");
    find(&door, &caller, id).await?;
    let aliases = door.engine.list_aliases(&caller, vec![id.to_owned()]).await?;
    let readable = aliases.into_iter().filter(|alias| is_within(&alias.name, 3, MAX_NAME));
    let listed = readable.map(|alias| ListedAlias {
        id: alias.name.clone(),
        value: alias.name,
        effective_from: ALWAYS.0,
        effective_until: ALWAYS.1,
        created_at: alias.created_at.to_string(),
    });
    Ok(Json(Listed { data: listed.collect() }).into_response())
}
