//! Customers: create, list, get, replace, delete.

use crate::door::{Caller, CustomerPath, Door};
use crate::json::{self, Missing};
use crate::page::{PageBody, Paging, sorting};
use crate::params::{Place, boolean, not_allowed, refuse_unknown};
use crate::problem::{Problem, Refused, problem_answer};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tallystick_domain::customer::{Address, Customer, CustomerDraft};
use tallystick_domain::search::TextCondition;
use tallystick_engine::{CustomerListing, CustomerOrder, CustomerText};
use tallystick_http_kit::QueryString;
use utoipa::openapi::{RefOr, Response as Answer};
use utoipa::{IntoResponses, ToSchema};

/// The texts of customers of which a part can be searched.
const SEARCHED: [(&str, CustomerText); 4] = [
    ("key", CustomerText::Key),
    ("name", CustomerText::Name),
    ("primaryEmail", CustomerText::PrimaryEmail),
    ("subject", CustomerText::SubjectKey),
];

/// A customer. Its fields are in the vendor's order.
#[derive(Serialize, ToSchema)]
#[schema(as = Customer)]
#[serde(rename_all = "camelCase")]
struct CustomerBody {
    /// Where the customer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_address: Option<AddressBody>,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// ISO 4217 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    /// When it was deleted; its usage stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// Longer text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// ULID.
    id: String,
    /// The operator's own id; also an event subject.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The user's own labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    /// Name for people.
    name: String,
    /// Where invoices go.
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_email: Option<String>,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// The event subjects of the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_attribution: Option<UsageAttribution>,
}

/// Which event subjects are a customer's.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[schema(as = CustomerUsageAttribution)]
#[serde(rename_all = "camelCase")]
struct UsageAttribution {
    /// Each belongs to one live customer at a time.
    #[serde(default)]
    subject_keys: Vec<String>,
}

/// A postal address; every part is optional.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Address)]
#[serde(rename_all = "camelCase")]
struct AddressBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    /// ISO 3166 code of two capital letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
}

/// A customer to create or to put in another's place. Further fields are ignored.
#[derive(Deserialize, ToSchema)]
#[schema(as = CustomerCreate, example = json!({"key": "acme", "name": "ACME", "currency": "EUR", "usageAttribution": {"subjectKeys": ["acme-1"]}}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct CustomerInput {
    /// Name for people, 1 to 256 characters.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// The operator's own id, 1 to 256 characters; needed when there are no subject keys.
    key: Option<String>,
    /// Longer text for people.
    description: Option<String>,
    /// Where invoices go.
    primary_email: Option<String>,
    /// ISO 4217 code of three capital letters.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// Where the customer is.
    billing_address: Option<AddressBody>,
    /// The user's own labels.
    metadata: Option<BTreeMap<String, String>>,
    /// The event subjects of the customer.
    usage_attribution: Option<UsageAttribution>,
}

/// 404 where a customer is named, 409 and 412 where one is changed.
pub(crate) struct NoCustomer;

impl IntoResponses for NoCustomer {
    fn responses() -> BTreeMap<String, RefOr<Answer>> {
        let answers = [
            ("404", "There is no such customer."),
            ("409", "Another live customer, which the detail names, has the key or a subject key."),
            ("412", "The customer is deleted."),
        ];
        answers.into_iter().map(|(status, text)| (status.to_string(), problem_answer(text).into())).collect()
    }
}

fn body_of(customer: Customer) -> CustomerBody {
    let subject_keys: Vec<_> = customer.subject_keys.into_iter().collect();
    CustomerBody {
        billing_address: customer.billing_address.map(address_body),
        created_at: customer.created_at.to_string(),
        currency: customer.currency,
        deleted_at: customer.deleted_at.map(|at| at.to_string()),
        description: customer.description,
        id: customer.id.to_string(),
        key: customer.key,
        metadata: customer.metadata,
        name: customer.name,
        primary_email: customer.primary_email,
        updated_at: customer.updated_at.to_string(),
        usage_attribution: (!subject_keys.is_empty()).then_some(UsageAttribution { subject_keys }),
    }
}

fn address_body(address: Address) -> AddressBody {
    AddressBody {
        city: address.city,
        country: address.country,
        line1: address.line1,
        line2: address.line2,
        phone_number: address.phone_number,
        postal_code: address.postal_code,
        state: address.state,
    }
}

fn draft_of(input: CustomerInput) -> CustomerDraft {
    CustomerDraft {
        key: input.key,
        name: input.name,
        description: input.description,
        primary_email: input.primary_email,
        currency: input.currency,
        billing_address: input.billing_address.map(|address| Address {
            country: address.country,
            postal_code: address.postal_code,
            state: address.state,
            city: address.city,
            line1: address.line1,
            line2: address.line2,
            phone_number: address.phone_number,
        }),
        metadata: input.metadata.unwrap_or_default(),
        subject_keys: input.usage_attribution.unwrap_or_default().subject_keys,
        details: Default::default(),
    }
}

/// Create a customer
///
/// Usage of its key and subject keys is the customer's, also usage that came before.
#[utoipa::path(
    post,
    path = "/api/v1/customers",
    operation_id = "customers_create",
    tag = "Customers",
    request_body = CustomerInput,
    responses((status = 201, description = "The customer.", body = CustomerBody), NoCustomer, Refused),
)]
pub(crate) async fn create_customer(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let input: CustomerInput = json::read(request, &door.limits, "CustomerCreate", Missing::IsAnError).await?;
    let customer = door.engine.create_customer(&caller, draft_of(input)).await?;
    Ok((StatusCode::CREATED, Json(body_of(customer))).into_response())
}

/// List customers
///
/// A page, ordered by name unless asked otherwise; ties are ordered by id.
#[utoipa::path(
    get,
    path = "/api/v1/customers",
    operation_id = "customers_list",
    tag = "Customers",
    params(
        ("page" = Option<usize>, Query, description = "Page, from 1.", minimum = 1),
        ("pageSize" = Option<usize>, Query, description = "Customers on a page (100).", minimum = 1, maximum = 1000),
        ("order" = Option<String>, Query, description = "`ASC` or `DESC`."),
        ("orderBy" = Option<String>, Query, description = "`id`, `name` or `createdAt` (name)."),
        ("includeDeleted" = Option<bool>, Query, description = "Whether deleted customers are shown too."),
        ("key" = Option<String>, Query, min_length = 1, max_length = 2048, description = "Part of the key, in any case."),
        ("name" = Option<String>, Query, min_length = 1, max_length = 2048, description = "Part of the name, in any case."),
        ("primaryEmail" = Option<String>, Query, min_length = 1, max_length = 2048, description = "Part of the email, in any case."),
        ("subject" = Option<String>, Query, min_length = 1, max_length = 2048, description = "Part of a subject key, in any case."),
        ("planKey" = Option<String>, Query, description = "Key of the plan of an active subscription."),
        ("expand" = Option<Vec<String>>, Query, description = "`subscriptions`: none exist yet."),
    ),
    responses((status = 200, description = "A page of customers.", body = PageBody<CustomerBody>), Refused),
)]
pub(crate) async fn list_customers(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let known = ["page", "pageSize", "order", "orderBy", "includeDeleted", "key", "name", "primaryEmail", "subject"];
    refuse_unknown(&query, &[&known[..], &["planKey", "expand"]].concat(), &[])?;
    check_expand(&query)?;
    let paging = Paging::read(&query)?.unwrap_or_default();
    let orders = [("name", CustomerOrder::Name), ("id", CustomerOrder::Id), ("createdAt", CustomerOrder::CreatedAt)];
    let (order, descending) = sorting(&query, &orders)?;
    let mut conditions = Vec::new();
    for (name, text) in SEARCHED {
        conditions.extend(part(&query, name)?.map(|part| (text, TextCondition::Contains(part))));
    }
    let listing = CustomerListing {
        conditions,
        include_deleted: boolean(&query, "includeDeleted")?.unwrap_or(false),
        order,
        descending,
        offset: paging.offset(),
        limit: paging.limit(),
    };
    let with_plan = part(&query, "planKey")?.is_some();
    let found = door.engine.list_customers(&caller, listing).await?;
    // No customer has a subscription, so none has one of that plan.
    let (customers, total_count) = if with_plan { (vec![], 0) } else { (found.customers, found.total) };
    let items = customers.into_iter().map(body_of).collect();
    Ok(Json(PageBody::new(paging, total_count, items)).into_response())
}

/// Checks `expand`; subscriptions are all that can be shown with a customer, and there are none.
fn check_expand(query: &QueryString) -> Result<(), Problem> {
    match query.all("expand").all(|word| word == "subscriptions") {
        true => Ok(()),
        false => Err(Place::Query.refuse("expand", not_allowed(&["subscriptions"]))),
    }
}

/// The longest text to search for, in characters: none of the searched ones is longer than this in bytes.
const MAX_PART_CHARS: usize = 2048;

/// A text to search for; empty it would find everything, which nobody means.
fn part(query: &QueryString, name: &str) -> Result<Option<String>, Problem> {
    match query.one(name)? {
        Some("") => Err(Place::Query.refuse(name, "minimum string length is 1")),
        Some(text) if text.chars().count() > MAX_PART_CHARS => {
            Err(Place::Query.refuse(name, format!("maximum string length is {MAX_PART_CHARS}")))
        }
        text => Ok(text.map(str::to_string)),
    }
}

/// Get a customer
///
/// By id also when it was deleted, by key only while it lives.
#[utoipa::path(
    get,
    path = "/api/v1/customers/{customerIdOrKey}",
    operation_id = "customers_get",
    tag = "Customers",
    params(
        ("customerIdOrKey" = String, Path, description = "ULID or key."),
        ("expand" = Option<Vec<String>>, Query, description = "`subscriptions`: none exist yet."),
    ),
    responses((status = 200, description = "The customer.", body = CustomerBody), NoCustomer, Refused),
)]
pub(crate) async fn get_customer(
    caller: Caller,
    State(door): State<Door>,
    path: CustomerPath,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    check_expand(&QueryString::parse(raw.as_deref())?)?;
    let customer = door.engine.get_customer(&caller, &path.id_or_key).await?;
    Ok(Json(body_of(customer)).into_response())
}

/// Replace a customer
///
/// What is left out is cleared.
#[utoipa::path(
    put,
    path = "/api/v1/customers/{customerIdOrKey}",
    operation_id = "customers_update",
    tag = "Customers",
    params(("customerIdOrKey" = String, Path, description = "ULID or key.")),
    request_body = CustomerInput,
    responses((status = 200, description = "The customer.", body = CustomerBody), NoCustomer, Refused),
)]
pub(crate) async fn update_customer(
    caller: Caller,
    State(door): State<Door>,
    path: CustomerPath,
    request: Request,
) -> Result<Response, Problem> {
    let input: CustomerInput = json::read(request, &door.limits, "CustomerCreate", Missing::IsAnError).await?;
    let customer = door.engine.update_customer(&caller, &path.id_or_key, draft_of(input)).await?;
    Ok(Json(body_of(customer)).into_response())
}

/// Delete a customer
///
/// Its usage stays; its key and subject keys can be used again.
#[utoipa::path(
    delete,
    path = "/api/v1/customers/{customerIdOrKey}",
    operation_id = "customers_delete",
    tag = "Customers",
    params(("customerIdOrKey" = String, Path, description = "ULID or key.")),
    responses((status = 204, description = "The customer is deleted."), NoCustomer, Refused),
)]
pub(crate) async fn delete_customer(
    caller: Caller,
    State(door): State<Door>,
    path: CustomerPath,
) -> Result<StatusCode, Problem> {
    door.engine.delete_customer(&caller, &path.id_or_key).await?;
    Ok(StatusCode::NO_CONTENT)
}
