//! `/customers`: who pays.

use crate::accounts::body::{AccountBody, NewAccount, SettingBody};
use crate::address::AddressBody;
use crate::door::{Caller, Door, PathTexts};
use crate::names::{MAX_NAME, MAX_TEXT, check_length, check_optional, is_within, readable_name};
use crate::page::{self, PageBody, Paging, refuse_unknown};
use crate::problem::{Problem, Refused};
use crate::{Success, accounts, json, kept};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tallystick_domain::customer::{Customer, CustomerDraft};
use tallystick_engine::{CustomerListing, CustomerOrder, CustomerPatch, EngineError};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

/// The most characters of an email address.
pub(crate) const MAX_EMAIL: usize = 320;
/// The most settings of a customer or an account.
pub(crate) const MAX_SETTINGS: usize = 10;

/// A customer.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiCustomer)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CustomerBody {
    /// The operator's id.
    id: String,
    /// The server's id.
    togai_customer_id: String,
    /// Name for people, of at least three characters.
    name: String,
    /// Where invoices go; `""` when nobody said.
    primary_email: String,
    /// The address in one text.
    billing_address: String,
    /// The address.
    address: AddressBody,
    /// Always `ACTIVE`: a deleted customer is gone.
    #[schema(value_type = String)]
    status: &'static str,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// As they were sent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    settings: Vec<SettingBody>,
    /// The account that was created with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountBody>,
}

/// A customer to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiCreateCustomer, example = json!({"id": "acme", "name": "ACME Inc", "primaryEmail": "a@example.com", "address": {}}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateInput {
    /// The operator's id.
    #[schema(min_length = 1, max_length = 50)]
    id: String,
    /// Name for people.
    #[schema(min_length = 3, max_length = 255)]
    name: String,
    /// Where invoices go.
    #[schema(max_length = 320)]
    primary_email: String,
    /// The address.
    #[serde(deserialize_with = "json::object")]
    address: AddressBody,
    /// Kept and given back.
    #[schema(max_items = 10)]
    #[serde(default, deserialize_with = "json::optional_objects")]
    settings: Option<Vec<SettingBody>>,
    /// An account to create with it.
    account: Option<NewAccount>,
}

/// What to change of a customer; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiUpdateCustomer)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateInput {
    /// Name for people.
    #[schema(min_length = 3, max_length = 255)]
    name: Option<String>,
    /// Where invoices go.
    #[schema(max_length = 320)]
    primary_email: Option<String>,
    /// The whole address.
    #[serde(default, deserialize_with = "json::optional_object")]
    address: Option<AddressBody>,
}

/// What the door keeps with a customer.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kept {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    settings: Vec<SettingBody>,
}

/// The id of a customer: the operator's, or the server's when it has none. `None` when the client could not read it.
pub(crate) fn id_of(customer: &Customer) -> Option<String> {
    let id = customer.key.clone().unwrap_or_else(|| customer.id.to_string());
    is_within(&id, 1, MAX_NAME).then_some(id)
}

/// A customer in the vendor's words; `None` when they have none for it.
fn body_of(customer: Customer) -> Result<Option<CustomerBody>, Problem> {
    let Some(id) = id_of(&customer) else { return Ok(None) };
    let kept: Kept = kept::read(&customer.details)?.unwrap_or_default();
    let address = customer.billing_address.map(AddressBody::from).unwrap_or_default();
    let email = customer.primary_email.filter(|email| is_within(email, 0, MAX_EMAIL));
    Ok(Some(CustomerBody {
        name: readable_name(Some(&customer.name), &id),
        id,
        togai_customer_id: customer.id.to_string(),
        primary_email: email.unwrap_or_default(),
        billing_address: address.line(),
        address,
        status: "ACTIVE",
        created_at: customer.created_at.to_string(),
        updated_at: customer.updated_at.to_string(),
        settings: kept.settings,
        account: None,
    }))
}

fn readable(customer: Customer, id: &str) -> Result<CustomerBody, Problem> {
    body_of(customer)?.ok_or_else(|| Problem::not_found("customer", id))
}

/// The live customer of this id.
pub(crate) async fn find(door: &Door, caller: &Caller, id: &str) -> Result<Customer, Problem> {
    let missing = || Problem::not_found("customer", id);
    match door.engine.get_customer(caller, id).await {
        Ok(found) if found.deleted_at.is_none() && id_of(&found).is_some() => Ok(found),
        Ok(_) | Err(EngineError::NotFound { .. }) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn check_settings(settings: Option<&Vec<SettingBody>>) -> Result<(), Problem> {
    match settings.is_none_or(|settings| settings.len() <= MAX_SETTINGS) {
        true => Ok(()),
        false => Err(Problem::field("settings", format!("there are at most {MAX_SETTINGS}"))),
    }
}

/// Create a customer
///
/// With an account or without.
#[utoipa::path(
    post,
    path = "/customers",
    operation_id = "togai_create_customer",
    tag = "Togai customers",
    request_body = CreateInput,
    responses((status = 201, description = "The customer.", body = CustomerBody), Refused),
)]
pub(crate) async fn create_customer(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let input: CreateInput = json::read(request, &door.limits).await?;
    check_length("id", &input.id, 1, MAX_NAME)?;
    check_length("name", &input.name, 3, MAX_TEXT)?;
    check_length("primaryEmail", &input.primary_email, 0, MAX_EMAIL)?;
    check_settings(input.settings.as_ref())?;
    let draft = CustomerDraft {
        key: Some(input.id.clone()),
        name: input.name,
        primary_email: Some(input.primary_email),
        billing_address: Some(input.address.into()),
        details: kept::write(&Kept { settings: input.settings.unwrap_or_default() })?,
        ..CustomerDraft::default()
    };
    let (customer, account) = match input.account {
        None => (door.engine.create_customer(&caller, draft).await?, None),
        Some(account) => {
            let (account_id, subject) = account.checked("account.")?;
            let customer = door.engine.create_customer_with(&caller, draft, subject).await?;
            let account = accounts::body_of(&door, &caller, &customer, &account_id).await?;
            (customer, Some(account))
        }
    };
    let body = CustomerBody { account, ..readable(customer, &input.id)? };
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// List customers
///
/// The oldest first.
#[utoipa::path(
    get,
    path = "/customers",
    operation_id = "togai_get_customers",
    tag = "Togai customers",
    params(
        ("nextToken" = Option<String>, Query, description = "`nextToken` of the page before."),
        ("pageSize" = Option<f64>, Query, description = "Customers on a page (10); 100 at most.", minimum = 1),
    ),
    responses((status = 200, description = "A page of customers.", body = PageBody<CustomerBody>), Refused),
)]
pub(crate) async fn list_customers(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    refuse_unknown(&query, &["nextToken", "pageSize"])?;
    let paging = Paging::read(&query, page::DEFAULT_SIZE, page::MAX_SIZE)?;
    let (mut offset, _) = paging.offset()?;
    let mut listed = Vec::new();
    let next = loop {
        let page = page_of_customers(&door, &caller, offset).await?;
        let more = page.len() == page::MAX_SIZE;
        let mut rest = page.into_iter();
        for customer in rest.by_ref() {
            offset = offset.saturating_add(1);
            listed.extend(body_of(customer)?);
            if listed.len() == paging.size {
                break;
            }
        }
        let is_full = listed.len() == paging.size;
        if is_full || !more {
            break (is_full && (more || rest.len() > 0)).then(|| format!("{offset},"));
        }
    };
    Ok(Json(PageBody::new(listed, next, &paging, "ASC")).into_response())
}

/// Live customers behind so many, the oldest first; as many as a page has at most.
pub(crate) async fn page_of_customers(door: &Door, caller: &Caller, offset: u32) -> Result<Vec<Customer>, Problem> {
    let limit = page::MAX_SIZE as u32;
    let listing = CustomerListing { order: CustomerOrder::CreatedAt, offset, limit, ..CustomerListing::default() };
    Ok(door.engine.list_customers(caller, listing).await?.customers)
}

/// Get a customer
///
/// By the operator's id, or by the server's.
#[utoipa::path(
    get,
    path = "/customers/{customer_id}",
    operation_id = "togai_get_customer",
    tag = "Togai customers",
    params(("customer_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "The customer.", body = CustomerBody), Refused),
)]
pub(crate) async fn get_customer(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let id = path.get("customer_id");
    Ok(Json(readable(find(&door, &caller, id).await?, id)?).into_response())
}

/// Change a customer
///
/// What is absent stays.
#[utoipa::path(
    patch,
    path = "/customers/{customer_id}",
    operation_id = "togai_update_customer",
    tag = "Togai customers",
    params(("customer_id" = String, Path, description = "Its id.")),
    request_body = UpdateInput,
    responses((status = 200, description = "The customer.", body = CustomerBody), Refused),
)]
pub(crate) async fn update_customer(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let input: UpdateInput = json::read(request, &door.limits).await?;
    check_optional("name", input.name.as_deref(), 3, MAX_TEXT)?;
    check_optional("primaryEmail", input.primary_email.as_deref(), 0, MAX_EMAIL)?;
    let id = path.get("customer_id");
    find(&door, &caller, id).await?;
    let patch = CustomerPatch {
        name: input.name,
        primary_email: input.primary_email,
        billing_address: input.address.map(Into::into),
        ..CustomerPatch::default()
    };
    Ok(Json(readable(door.engine.patch_customer(&caller, id, patch).await?, id)?).into_response())
}

/// Delete a customer
///
/// With its accounts and their aliases; usage stays.
#[utoipa::path(
    delete,
    path = "/customers/{customer_id}",
    operation_id = "togai_delete_customer",
    tag = "Togai customers",
    params(("customer_id" = String, Path, description = "Its id.")),
    responses((status = 200, description = "It is deleted.", body = Success), Refused),
)]
pub(crate) async fn delete_customer(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let id = path.get("customer_id");
    find(&door, &caller, id).await?;
    door.engine.remove_customer(&caller, id).await?;
    Ok(Json(Success::yes()).into_response())
}
