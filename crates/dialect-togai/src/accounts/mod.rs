//! `/accounts`: what carries usage. An account is a subject of its customer.

mod aliases;
pub(crate) mod body;

pub(crate) use aliases::*;

use crate::customers::{self, page_of_customers};
use crate::door::{Caller, Door, PathTexts};
use crate::names::{MAX_NAME, MAX_TEXT, check_optional, is_within, readable_name};
use crate::page::{self, PageBody, Paging, flag, refuse_unknown};
use crate::problem::{Problem, Refused};
use crate::{Success, json, kept};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use body::{AccountBody, AliasBody, CreateInput, MAX_ALIASES, Stored, UpdateInput, check_status};
use std::collections::BTreeSet;
use tallystick_domain::customer::Customer;
use tallystick_domain::subject::{Patch, Subject, SubjectDraft};
use tallystick_engine::{CustomerPatch, EngineError, KnownSubject};
use tallystick_http_kit::QueryString;

/// The accounts of a customer that the client can read, in order. The key of a customer that was made elsewhere is one too: its
/// usage comes under it.
pub(crate) fn accounts_of(customer: &Customer) -> BTreeSet<&str> {
    let key = customer.key.as_deref().filter(|_| !kept::is_ours(&customer.details));
    let all = customer.subject_keys.iter().map(String::as_str).chain(key);
    all.filter(|account| is_within(account, 1, MAX_NAME)).collect()
}

/// Whether a text that events carry means an account.
pub(crate) fn is_account(known: &KnownSubject) -> bool {
    let customer = known.customer.as_ref();
    customer.is_some_and(|customer| accounts_of(customer).contains(known.key.as_str()))
}

/// The customer of an account.
pub(crate) async fn find(door: &Door, caller: &Caller, id: &str) -> Result<Customer, Problem> {
    let mut known = door.engine.known_subjects(caller, [id.to_owned()].into()).await?;
    let known = known.remove(id).filter(|known| known.key == id && is_account(known));
    let customer = known.and_then(|known| known.customer).filter(|customer| customers::id_of(customer).is_some());
    customer.ok_or_else(|| Problem::not_found("account", id))
}

/// An account of a customer.
pub(crate) async fn body_of(
    door: &Door,
    caller: &Caller,
    customer: &Customer,
    id: &str,
) -> Result<AccountBody, Problem> {
    let described = match door.engine.get_subject(caller, id).await {
        Ok(subject) if subject.key == id => Some(subject),
        Ok(_) | Err(EngineError::NotFound { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let stored: Stored = match &described {
        Some(subject) => kept::read(&subject.details)?.unwrap_or_default(),
        None => Stored::default(),
    };
    let aliases = door.engine.list_aliases(caller, vec![id.to_owned()]).await?;
    let readable = aliases.into_iter().filter(|alias| is_within(&alias.name, 1, MAX_NAME));
    let name = described.as_ref().and_then(|subject: &Subject| subject.display_name.as_deref());
    Ok(AccountBody {
        id: id.to_owned(),
        togai_account_id: described.as_ref().map_or_else(|| id.to_owned(), |subject| subject.id.to_string()),
        togai_customer_id: customer.id.to_string(),
        name: readable_name(name, id),
        customer_id: customers::id_of(customer).unwrap_or_default(),
        aliases: readable.take(MAX_ALIASES).map(|alias| AliasBody { alias: alias.name }).collect(),
        kept: stored.kept,
        status: stored.status.unwrap_or_else(|| "ACTIVE".into()),
    })
}

/// Create an account
///
/// Of a customer that is there already.
#[utoipa::path(
    post,
    path = "/accounts",
    operation_id = "togai_create_account",
    tag = "Togai customers",
    request_body = CreateInput,
    responses((status = 201, description = "The account.", body = AccountBody), Refused),
)]
pub(crate) async fn create_account(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let input: CreateInput = json::read(request, &door.limits).await?;
    let (id, subject) = input.account.checked("")?;
    customers::find(&door, &caller, &input.customer_id).await?;
    let patch = CustomerPatch { give: Some(subject), ..CustomerPatch::default() };
    let customer = door.engine.patch_customer(&caller, &input.customer_id, patch).await?;
    let body = body_of(&door, &caller, &customer, &id).await?;
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// List accounts
///
/// By customer, the oldest first, and then by id.
#[utoipa::path(
    get,
    path = "/accounts",
    operation_id = "togai_get_accounts",
    tag = "Togai customers",
    params(
        ("nextToken" = Option<String>, Query, description = "`nextToken` of the page before."),
        ("pageSize" = Option<f64>, Query, description = "Accounts on a page (10); 100 at most.", minimum = 1),
    ),
    responses((status = 200, description = "A page of accounts.", body = PageBody<AccountBody>), Refused),
)]
pub(crate) async fn list_accounts(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["nextToken", "pageSize"])?;
    let paging = Paging::read(&query, page::DEFAULT_SIZE, page::MAX_SIZE)?;
    let (mut offset, mut after) = paging.offset()?;
    // One more than asked for, to know whether there is a next page.
    let mut found: Vec<(u32, Customer, String)> = Vec::new();
    'all: loop {
        let customers = page_of_customers(&door, &caller, offset).await?;
        let more = customers.len() == page::MAX_SIZE;
        for customer in customers {
            let last = after.take();
            for account in accounts_of(&customer).into_iter().filter(|account| last.as_deref() < Some(account)) {
                found.push((offset, customer.clone(), account.to_owned()));
                if found.len() > paging.size {
                    break 'all;
                }
            }
            offset = offset.saturating_add(1);
        }
        if !more {
            break;
        }
    }
    let has_more = found.len() > paging.size;
    found.truncate(paging.size);
    let next = found.last().filter(|_| has_more).map(|(offset, _, account)| format!("{offset},{account}"));
    let mut listed = Vec::with_capacity(found.len());
    for (_, customer, account) in found.iter().filter(|(_, customer, _)| customers::id_of(customer).is_some()) {
        listed.push(body_of(&door, &caller, customer, account).await?);
    }
    Ok(Json(PageBody::new(listed, next, &paging, "ASC")).into_response())
}

/// Get an account
///
/// As it is now.
#[utoipa::path(
    get,
    path = "/accounts/{account_id}",
    operation_id = "togai_get_account",
    tag = "Togai customers",
    params(
        ("account_id" = String, Path, description = "Its id."),
        ("effectiveOn" = Option<String>, Query, format = DateTime, description = "Not served: 400 when it is there."),
        ("includeGroupDetails" = Option<bool>, Query, description = "Changes nothing: there are no groups."),
    ),
    responses((status = 200, description = "The account.", body = AccountBody), Refused),
)]
pub(crate) async fn get_account(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["effectiveOn", "includeGroupDetails"])?;
    flag(&query, "includeGroupDetails")?;
    if query.one("effectiveOn")?.is_some() {
        return Err(Problem::field("effectiveOn", "accounts are shown as they are now: leave it out"));
    }
    let id = path.get("account_id");
    let customer = find(&door, &caller, id).await?;
    Ok(Json(body_of(&door, &caller, &customer, id).await?).into_response())
}

/// Change an account
///
/// What is absent stays.
#[utoipa::path(
    patch,
    path = "/accounts/{account_id}",
    operation_id = "togai_update_account",
    tag = "Togai customers",
    params(("account_id" = String, Path, description = "Its id.")),
    request_body = UpdateInput,
    responses((status = 200, description = "The account.", body = AccountBody), Refused),
)]
pub(crate) async fn update_account(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let input: UpdateInput = json::read(request, &door.limits).await?;
    check_optional("name", input.name.as_deref(), 3, MAX_TEXT)?;
    check_status("status", input.status.as_deref())?;
    let change = input.kept.checked("")?;
    let id = path.get("account_id");
    let customer = find(&door, &caller, id).await?;
    let before = body_of(&door, &caller, &customer, id).await?;
    let status = input.status.or(Some(before.status));
    let draft = SubjectDraft {
        key: id.to_owned(),
        display_name: input.name.map_or(Patch::Keep, Patch::Set),
        details: kept::write(&Stored { kept: before.kept.changed(change), status })?,
        ..SubjectDraft::default()
    };
    door.engine.upsert_subjects(&caller, vec![draft]).await?;
    Ok(Json(body_of(&door, &caller, &customer, id).await?).into_response())
}

/// Delete an account
///
/// With its aliases; its usage stays, and is its customer's no more.
#[utoipa::path(
    delete,
    path = "/accounts/{account_id}",
    operation_id = "togai_delete_account",
    tag = "Togai customers",
    params(("account_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "It is deleted.", body = Success), Refused),
)]
pub(crate) async fn delete_account(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let id = path.get("account_id");
    let customer = find(&door, &caller, id).await?;
    if !customer.subject_keys.contains(id) {
        let reason = "it is its customer's own id, under which the customer was made elsewhere: delete the customer";
        return Err(Problem::field(id, reason));
    }
    let patch = CustomerPatch { take: Some(id.to_owned()), ..CustomerPatch::default() };
    door.engine.patch_customer(&caller, &customer.id.to_string(), patch).await?;
    Ok(Json(Success::yes()).into_response())
}
