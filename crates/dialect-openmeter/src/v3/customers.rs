//! Customers: create, list, get, replace, delete.

use super::faults::{Faults, id_of};
use super::filter;
use super::labels::{self, Labels};
use super::list::{ListQuery, PageBody};
use super::problem::{Gone, Missing, Refused, Taken};
use crate::door::{Caller, Door, PathTexts};
use crate::problem::Problem;
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tallystick_domain::customer::{Address, Customer, CustomerDraft};
use tallystick_engine::{CustomerListing, CustomerOrder, CustomerText, EngineError};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

const FIELDS: [&str; 6] =
    ["key", "name", "primary_email", "usage_attribution_subject_key", "plan_key", "billing_profile_id"];
const ORDERS: [(&str, CustomerOrder); 3] =
    [("id", CustomerOrder::Id), ("name", CustomerOrder::Name), ("created_at", CustomerOrder::CreatedAt)];

/// A customer.
#[derive(Serialize, ToSchema)]
#[schema(as = V3Customer)]
pub(crate) struct CustomerBody {
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
    /// When it was deleted; its usage stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// The operator's own id; also an event subject. Customers of the first versions can be without.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// The event subjects of the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_attribution: Option<UsageAttribution>,
    /// Where invoices go.
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_email: Option<String>,
    /// ISO 4217 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    /// Where the customer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    billing_address: Option<AddressBody>,
}

/// Which event subjects are a customer's.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[schema(as = V3CustomerUsageAttribution)]
#[serde(deny_unknown_fields)]
struct UsageAttribution {
    /// Each belongs to one live customer at a time.
    subject_keys: Vec<String>,
}

/// A postal address; every part is optional.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = V3Address)]
#[serde(deny_unknown_fields)]
struct AddressBody {
    /// ISO 3166 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Z]{2}$")]
    country: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    postal_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line1: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone_number: Option<String>,
}

/// A customer to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3CreateCustomerRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomerCreate {
    /// Name for people.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// Longer text for people.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// The user's own labels.
    labels: Option<Labels>,
    /// The operator's own id; also an event subject.
    #[schema(min_length = 1, max_length = 256)]
    key: String,
    /// The event subjects of the customer.
    usage_attribution: Option<UsageAttribution>,
    /// Where invoices go.
    primary_email: Option<String>,
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// Where the customer is.
    billing_address: Option<AddressBody>,
}

/// What to put in the place of a customer's own: what is left out is cleared. The key stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = V3UpsertCustomerRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomerReplace {
    /// Name for people.
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// Longer text for people.
    #[schema(max_length = 1024)]
    description: Option<String>,
    /// The user's own labels.
    labels: Option<Labels>,
    /// The event subjects of the customer.
    usage_attribution: Option<UsageAttribution>,
    /// Where invoices go.
    primary_email: Option<String>,
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// Where the customer is.
    billing_address: Option<AddressBody>,
}

impl CustomerReplace {
    fn draft(self, key: Option<String>) -> CustomerDraft {
        CustomerDraft {
            key,
            name: self.name,
            description: self.description,
            primary_email: self.primary_email,
            currency: self.currency,
            billing_address: self.billing_address.map(Address::from),
            metadata: self.labels.unwrap_or_default(),
            subject_keys: self.usage_attribution.unwrap_or_default().subject_keys,
            details: Default::default(),
        }
    }
}

impl CustomerCreate {
    fn draft(self) -> CustomerDraft {
        let rest = CustomerReplace {
            name: self.name,
            description: self.description,
            labels: self.labels,
            usage_attribution: self.usage_attribution,
            primary_email: self.primary_email,
            currency: self.currency,
            billing_address: self.billing_address,
        };
        rest.draft(Some(self.key))
    }
}

impl From<AddressBody> for Address {
    fn from(body: AddressBody) -> Self {
        let AddressBody { country, postal_code, state, city, line1, line2, phone_number } = body;
        Self { country, postal_code, state, city, line1, line2, phone_number }
    }
}

impl From<Address> for AddressBody {
    fn from(address: Address) -> Self {
        let Address { country, postal_code, state, city, line1, line2, phone_number } = address;
        Self { country, postal_code, state, city, line1, line2, phone_number }
    }
}

pub(super) fn body_of(customer: Customer) -> CustomerBody {
    let subject_keys: Vec<_> = customer.subject_keys.into_iter().collect();
    CustomerBody {
        id: customer.id.to_string(),
        name: customer.name,
        description: customer.description,
        labels: customer.metadata,
        created_at: customer.created_at.to_string(),
        updated_at: customer.updated_at.to_string(),
        deleted_at: customer.deleted_at.map(|at| at.to_string()),
        key: customer.key,
        usage_attribution: (!subject_keys.is_empty()).then_some(UsageAttribution { subject_keys }),
        primary_email: customer.primary_email,
        currency: customer.currency,
        billing_address: customer.billing_address.map(AddressBody::from),
    }
}

/// Create a customer
///
/// Usage of its key and subject keys is the customer's, also usage that came before.
#[utoipa::path(
    post,
    path = "/api/v3/openmeter/customers",
    operation_id = "Customers.Create",
    tag = "Version 3",
    request_body = CustomerCreate,
    responses((status = 201, description = "The customer.", body = CustomerBody), Taken, Refused),
)]
pub(crate) async fn create_customer(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let body: Option<CustomerCreate> = faults.body(request, &door.limits).await?;
    labels::check(body.as_ref().and_then(|body| body.labels.as_ref()), &mut faults);
    let body = faults.none_in(body)?;
    let customer = door.engine.create_customer(&caller, body.draft()).await?;
    Ok((StatusCode::CREATED, Json(body_of(customer))).into_response())
}

/// List customers
///
/// A page of the live ones, by name unless asked otherwise; ties are ordered by id.
#[utoipa::path(
    get,
    path = "/api/v3/openmeter/customers",
    operation_id = "Customers.List",
    tag = "Version 3",
    params(
        ("page[size]" = Option<u64>, Query, minimum = 1, maximum = 1000, description = "Customers on a page (20)."),
        ("page[number]" = Option<u64>, Query, minimum = 1, description = "Which page, from 1."),
        ("sort" = Option<String>, Query, description = "`id`, `name` (the default) or `created_at`; ` desc` behind it turns the order around."),
        ("filter[key]" = Option<String>, Query, description = "The key; `filter[key][operator]` with `eq`, `neq`, `contains`, `ocontains`, `oeq`, `gt`, `gte`, `lt`, `lte`, `exists`."),
        ("filter[name]" = Option<String>, Query, description = "The name, with the same operators."),
        ("filter[primary_email]" = Option<String>, Query, description = "The email, with the same operators."),
        ("filter[usage_attribution_subject_key]" = Option<String>, Query, description = "One of the subject keys, with the same operators."),
        ("filter[plan_key]" = Option<String>, Query, description = "The plan: no customer has one yet."),
        ("filter[billing_profile_id]" = Option<String>, Query, description = "The billing profile: no customer has one yet."),
    ),
    responses((status = 200, description = "A page of customers.", body = PageBody<CustomerBody>), Refused),
)]
pub(crate) async fn list_customers(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Problem> {
    let query = QueryString::parse(raw.as_deref())?;
    let mut faults = Faults::default();
    let list = ListQuery::of(&query, &mut faults);
    let paging = list.paging(&mut faults);
    let (order, descending) = list.sort(&ORDERS, CustomerOrder::Name, &mut faults);
    let (mut conditions, mut is_anyones) = (Vec::new(), true);
    for condition in list.conditions(&FIELDS, &mut faults) {
        let text = match condition.field {
            "key" => CustomerText::Key,
            "name" => CustomerText::Name,
            "primary_email" => CustomerText::PrimaryEmail,
            "usage_attribution_subject_key" => CustomerText::SubjectKey,
            // No customer has a plan or a billing profile.
            "plan_key" => {
                is_anyones &= filter::text(&condition, &mut faults).is_none_or(|text| text.matches(None));
                continue;
            }
            _ => {
                is_anyones &= filter::id(&condition, &mut faults).is_none_or(|text| text.matches(None));
                continue;
            }
        };
        conditions.extend(filter::text(&condition, &mut faults).map(|wanted| (text, wanted)));
    }
    let (offset, limit) = (paging.offset(), paging.limit());
    let listing = CustomerListing { conditions, include_deleted: false, order, descending, offset, limit };
    let listing = faults.none_in(Some(listing))?;
    let found = door.engine.list_customers(&caller, listing).await?;
    let (customers, total) = if is_anyones { (found.customers, found.total) } else { (vec![], 0) };
    Ok(Json(PageBody::new(paging, total, customers.into_iter().map(body_of).collect())).into_response())
}

/// The customer with this id. A key is no id, even if it looks like one.
pub(super) async fn find(caller: &Caller, door: &Door, id: &str) -> Result<Customer, Problem> {
    let found = door.engine.get_customer(caller, id).await?;
    match found.id.to_string() == id {
        true => Ok(found),
        false => Err(EngineError::NotFound { what: "customer", key: id.to_string() }.into()),
    }
}

/// Get a customer
///
/// Also when it was deleted.
#[utoipa::path(
    get,
    path = "/api/v3/openmeter/customers/{customerId}",
    operation_id = "Customers.Get",
    tag = "Version 3",
    params(("customerId" = String, Path, description = "ULID.")),
    responses((status = 200, description = "The customer.", body = CustomerBody), Missing, Refused),
)]
pub(crate) async fn get_customer(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<Response, Problem> {
    let id = id_of(&path, "customerId")?;
    Ok(Json(body_of(find(&caller, &door, &id).await?)).into_response())
}

/// Replace a customer
///
/// What is left out is cleared, but for the key, which stays.
#[utoipa::path(
    put,
    path = "/api/v3/openmeter/customers/{customerId}",
    operation_id = "Customers.Upsert",
    tag = "Version 3",
    params(("customerId" = String, Path, description = "ULID.")),
    request_body = CustomerReplace,
    responses((status = 200, description = "The customer.", body = CustomerBody), Missing, Taken, Gone, Refused),
)]
pub(crate) async fn replace_customer(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
    request: Request,
) -> Result<Response, Problem> {
    let mut faults = Faults::default();
    let id = faults.id(&path, "customerId");
    let body: Option<CustomerReplace> = faults.body(request, &door.limits).await?;
    labels::check(body.as_ref().and_then(|body| body.labels.as_ref()), &mut faults);
    let body = faults.none_in(body)?;
    let stored = find(&caller, &door, &id).await?;
    let customer = door.engine.update_customer(&caller, &id, body.draft(stored.key)).await?;
    Ok(Json(body_of(customer)).into_response())
}

/// Delete a customer
///
/// Its usage stays; its key and subject keys can be used again. Deleting it a second time changes nothing.
#[utoipa::path(
    delete,
    path = "/api/v3/openmeter/customers/{customerId}",
    operation_id = "Customers.Delete",
    tag = "Version 3",
    params(("customerId" = String, Path, description = "ULID.")),
    responses((status = 204, description = "The customer is deleted."), Missing, Refused),
)]
pub(crate) async fn delete_customer(
    caller: Caller,
    State(door): State<Door>,
    path: PathTexts,
) -> Result<StatusCode, Problem> {
    let id = id_of(&path, "customerId")?;
    find(&caller, &door, &id).await?;
    match door.engine.delete_customer(&caller, &id).await {
        Ok(()) | Err(EngineError::Gone(_)) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(error.into()),
    }
}
