//! Customers: create, list, get, change, delete.
//!
//! What the core knows of a customer stands there, so that every door shows it; the rest is kept in the vendor's own words.

use crate::body::Fields;
use crate::door::{Caller, Door, PathIds};
use crate::ids;
use crate::list::{ListBody, Listing};
use crate::problem::{NotFound, Problem, Refused};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tallystick_domain::CustomerId;
use tallystick_domain::customer::{Address, Customer, CustomerDraft};
use tallystick_domain::json::{self, JsonObject, Leaf};
use tallystick_domain::key::Scope;
use tallystick_engine::{CustomerListing, CustomerOrder};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

pub(crate) const WHAT: &str = "customer";
/// Characters of a text.
const MAX_TEXT: usize = 256;
/// Bytes of metadata.
const MAX_METADATA: usize = 16_384;
/// Texts that only the vendor's clients know.
const OWN_TEXTS: [&str; 4] = ["spi_alias_mbno", "spi_alias_shid", "spi_primary_alias", "whatsapp_number"];
/// A country that is no code of two letters, which the core does not take.
const COUNTRY: &str = "country";
const IS_BUSINESS: &str = "is_business";
const METADATA: &str = "metadata";

/// A customer.
#[derive(Serialize, ToSchema)]
#[schema(as = LomiCustomer)]
pub(crate) struct CustomerBody {
    /// First line of the address.
    address: Option<String>,
    /// City.
    city: Option<String>,
    /// Country, by code or by name.
    country: Option<String>,
    /// When it was created.
    #[schema(format = DateTime)]
    created_at: String,
    /// Always null: keys are not named here.
    created_by: Option<String>,
    /// Its id.
    #[schema(format = "uuid")]
    customer_id: String,
    /// When it was deleted.
    #[schema(format = DateTime)]
    deleted_at: Option<String>,
    /// Where invoices go.
    email: Option<String>,
    /// Always null: a key has one namespace, and nothing is a test.
    environment: Option<String>,
    /// Whether it is a business.
    is_business: Option<bool>,
    /// Whether it was deleted.
    is_deleted: bool,
    /// The user's own labels.
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    /// Name for people.
    name: String,
    /// The namespace.
    #[schema(format = "uuid")]
    organization_id: String,
    /// Phone number.
    phone_number: Option<String>,
    /// Postal code.
    postal_code: Option<String>,
    /// Kept and given back.
    spi_alias_mbno: Option<String>,
    /// Kept and given back.
    spi_alias_shid: Option<String>,
    /// Kept and given back.
    spi_primary_alias: Option<String>,
    /// When it was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    /// Kept and given back.
    whatsapp_number: Option<String>,
}

/// A customer to create or to change; what a change leaves out stays, and null takes a text away. Further fields are ignored.
#[derive(ToSchema)]
#[schema(as = LomiCustomerInput, example = json!({"name": "ACME", "email": "billing@acme.example"}))]
#[allow(dead_code, reason = "it is read field by field; this describes it")]
pub(crate) struct CustomerInput {
    /// Name for people, 1 to 256 characters; needed to create one.
    name: Option<String>,
    /// Where invoices go.
    email: Option<String>,
    /// First line of the address.
    address: Option<String>,
    /// City.
    city: Option<String>,
    /// Country, by code or by name.
    country: Option<String>,
    /// Postal code.
    postal_code: Option<String>,
    /// Phone number.
    phone_number: Option<String>,
    /// Kept and given back.
    whatsapp_number: Option<String>,
    /// Kept and given back.
    spi_alias_mbno: Option<String>,
    /// Kept and given back.
    spi_alias_shid: Option<String>,
    /// Kept and given back.
    spi_primary_alias: Option<String>,
    /// Whether it is a business.
    is_business: Option<bool>,
    /// The user's own labels, 16,384 bytes at most.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// `true` deletes it.
    is_deleted: Option<bool>,
}

/// What only the vendor's clients know of a customer: the JSON text of each value, by field.
type Own = BTreeMap<String, String>;

fn own_of(customer: &Customer) -> Own {
    let mut own = Own::new();
    if let Some(kept) = customer.details.get(crate::NAME) {
        // What the door wrote, it can read; anything else is as if it was not there.
        let read = json::members(kept.as_str(), &mut |name, value| drop(own.insert(name.into(), value.into())));
        read.unwrap_or_default();
    }
    own
}

fn text_of(own: &Own, name: &str) -> Option<String> {
    match Leaf::of(own.get(name)?) {
        Leaf::Text(text) => Some(text.into_owned()),
        _ => None,
    }
}

/// The labels as they were sent, unless another door changed them since.
fn metadata_of(customer: &Customer, own: &Own) -> Box<RawValue> {
    let mut members: Vec<(String, &str)> = Vec::new();
    if let Some(kept) = own.get(METADATA) {
        json::members(kept, &mut |name, value| members.push((name.into(), value))).unwrap_or_default();
    }
    let is_text = |value: &str| matches!(Leaf::of(value), Leaf::Text(_));
    let texts: BTreeMap<String, String> = members
        .iter()
        .filter_map(|(name, value)| match Leaf::of(value) {
            Leaf::Text(text) => Some((name.clone(), text.into_owned())),
            _ => None,
        })
        .collect();
    let text = match own.get(METADATA) {
        Some(kept) if texts == customer.metadata => kept.clone(),
        _ => {
            let known = customer.metadata.iter().map(|(name, text)| (name.clone(), crate::quoted(text)));
            let others = members.iter().filter(|(_, value)| !is_text(value));
            let others = others.map(|(name, value)| (name.clone(), (*value).to_string()));
            crate::object_text(others.chain(known))
        }
    };
    RawValue::from_string(text).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

fn body_of(caller: &Caller, customer: &Customer) -> CustomerBody {
    let own = own_of(customer);
    let address = customer.billing_address.clone().unwrap_or_default();
    CustomerBody {
        address: address.line1,
        city: address.city,
        country: address.country.or_else(|| text_of(&own, COUNTRY)),
        created_at: customer.created_at.to_string(),
        created_by: None,
        customer_id: ids::text(customer.id.bits()),
        deleted_at: customer.deleted_at.map(|at| at.to_string()),
        email: customer.primary_email.clone(),
        environment: None,
        is_business: own.get(IS_BUSINESS).map(|text| text == "true"),
        is_deleted: customer.deleted_at.is_some(),
        metadata: metadata_of(customer, &own),
        name: customer.name.clone(),
        organization_id: ids::organization(caller.namespace()),
        phone_number: address.phone_number,
        postal_code: address.postal_code,
        spi_alias_mbno: text_of(&own, OWN_TEXTS[0]),
        spi_alias_shid: text_of(&own, OWN_TEXTS[1]),
        spi_primary_alias: text_of(&own, OWN_TEXTS[2]),
        updated_at: customer.updated_at.to_string(),
        whatsapp_number: text_of(&own, OWN_TEXTS[3]),
    }
}

/// A customer as it is, or a new one, with what was sent put over it.
fn draft_of(fields: &mut Fields, stored: Option<&Customer>) -> CustomerDraft {
    let mut own = stored.map(own_of).unwrap_or_default();
    let mut draft = stored.map(draft_as_stored).unwrap_or_default();
    match stored {
        None => draft.name = fields.required_text("name", MAX_TEXT),
        Some(_) => {
            if let Some(name) = fields.text("name", MAX_TEXT) {
                if name.is_empty() {
                    fields.fault("name", "must have 1 to 256 characters");
                }
                draft.name = name;
            }
        }
    }
    let mut address = draft.billing_address.take().unwrap_or_default();
    for (name, slot) in [
        ("email", &mut draft.primary_email),
        ("address", &mut address.line1),
        ("city", &mut address.city),
        ("postal_code", &mut address.postal_code),
        ("phone_number", &mut address.phone_number),
    ] {
        if fields.has(name) {
            *slot = fields.text(name, MAX_TEXT);
        }
    }
    if fields.has(COUNTRY) {
        let country = fields.text(COUNTRY, MAX_TEXT);
        let is_code = |text: &String| text.len() == 2 && text.bytes().all(|c| c.is_ascii_uppercase());
        keep(&mut own, COUNTRY, country.as_ref().filter(|text| !is_code(text)).map(|text| crate::quoted(text)));
        address.country = country.filter(is_code);
    }
    draft.billing_address = (address != Address::default()).then_some(address);
    for name in OWN_TEXTS {
        if fields.has(name) {
            let text = fields.text(name, MAX_TEXT);
            keep(&mut own, name, text.map(|text| crate::quoted(&text)));
        }
    }
    if fields.has(IS_BUSINESS) {
        let flag = fields.boolean(IS_BUSINESS);
        keep(&mut own, IS_BUSINESS, flag.map(|flag| flag.to_string()));
    }
    if fields.has(METADATA) {
        let metadata = fields.object(METADATA).unwrap_or_default();
        if metadata.as_str().len() > MAX_METADATA {
            fields.fault(METADATA, format!("must have at most {MAX_METADATA} bytes"));
        }
        draft.metadata = texts_of(&metadata);
        keep(&mut own, METADATA, Some(metadata.as_str().to_string()));
    }
    let kept = JsonObject::parse(&crate::object_text(own)).unwrap_or_default();
    draft.details = [(crate::NAME.to_string(), kept)].into();
    draft
}

fn keep(own: &mut Own, name: &str, value: Option<String>) {
    match value {
        Some(value) => drop(own.insert(name.to_string(), value)),
        None => drop(own.remove(name)),
    }
}

fn texts_of(object: &JsonObject) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::new();
    let read = json::members(object.as_str(), &mut |name, value| {
        if let Leaf::Text(text) = Leaf::of(value) {
            texts.insert(name.to_string(), text.into_owned());
        }
    });
    read.unwrap_or_default();
    texts
}

fn draft_as_stored(customer: &Customer) -> CustomerDraft {
    CustomerDraft {
        key: customer.key.clone(),
        name: customer.name.clone(),
        description: customer.description.clone(),
        primary_email: customer.primary_email.clone(),
        currency: customer.currency.clone(),
        billing_address: customer.billing_address.clone(),
        metadata: customer.metadata.clone(),
        subject_keys: customer.subject_keys.iter().cloned().collect(),
        details: customer.details.clone(),
    }
}

/// The live customer with an id.
pub(crate) async fn find(door: &Door, caller: &Caller, bits: u128) -> Result<Customer, Problem> {
    let id = CustomerId::from_bits(bits);
    let found = door.engine.get_customer(caller, &id.to_string()).await?;
    // A key may look like the id of another customer.
    let is_it = found.id == id && found.deleted_at.is_none();
    if is_it { Ok(found) } else { Err(Problem::not_found(WHAT)) }
}

/// Create a customer
///
/// Its id is also its key: the subject of its usage events.
#[utoipa::path(
    post, path = "/v1/customers", operation_id = "lomi_create_customer", tag = "lomi", request_body = CustomerInput,
    responses((status = 201, description = "The customer.", body = CustomerBody), Refused),
)]
pub(crate) async fn create_customer(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<(StatusCode, Json<CustomerBody>), Problem> {
    caller.require(Scope::Admin)?;
    let mut fields = Fields::read(request, &door.limits).await?;
    let mut draft = draft_of(&mut fields, None);
    if fields.boolean("is_deleted") == Some(true) {
        fields.fault("is_deleted", "a customer cannot be created deleted");
    }
    fields.finish()?;
    let id = door.engine.new_customer_id()?;
    draft.key = Some(ids::text(id.bits()));
    let customer = door.engine.create_customer_as(&caller, id, draft).await?;
    Ok((StatusCode::CREATED, Json(body_of(&caller, &customer))))
}

/// List customers
#[utoipa::path(
    get, path = "/v1/customers", operation_id = "lomi_list_customers", tag = "lomi",
    params(
        ("limit" = Option<u32>, Query, description = "At most so many (20).", minimum = 1, maximum = 100),
        ("offset" = Option<u32>, Query, description = "Behind so many (0)."),
        ("sort" = Option<String>, Query, description = "`field:direction` of `created_at`, `updated_at`, `name` or `customer_id`; `created_at:desc` by default."),
    ),
    responses((status = 200, description = "A page of customers.", body = ListBody<CustomerBody>), Refused),
)]
pub(crate) async fn list_customers(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Json<ListBody<CustomerBody>>, Problem> {
    let fields = [
        ("created_at", CustomerOrder::CreatedAt),
        ("updated_at", CustomerOrder::UpdatedAt),
        ("name", CustomerOrder::Name),
        ("customer_id", CustomerOrder::Id),
    ];
    let listing = Listing::read(&QueryString::parse(raw.as_deref())?, &fields, &[])?;
    let wanted = CustomerListing {
        order: listing.field,
        descending: listing.descending,
        offset: listing.offset,
        limit: listing.limit,
        ..CustomerListing::default()
    };
    let page = door.engine.list_customers(&caller, wanted).await?;
    let data = page.customers.iter().map(|customer| body_of(&caller, customer)).collect();
    Ok(Json(listing.body(data, page.total)))
}

/// Get a customer
#[utoipa::path(
    get, path = "/v1/customers/{customer_id}", operation_id = "lomi_retrieve_customer", tag = "lomi",
    params(("customer_id" = String, Path, description = "UUID.")),
    responses((status = 200, description = "The customer.", body = CustomerBody), NotFound, Refused),
)]
pub(crate) async fn retrieve_customer(
    caller: Caller,
    State(door): State<Door>,
    path: PathIds,
) -> Result<Json<CustomerBody>, Problem> {
    caller.require(Scope::Read)?;
    let customer = find(&door, &caller, path.get("customer_id", WHAT)?).await?;
    Ok(Json(body_of(&caller, &customer)))
}

/// Change a customer
#[utoipa::path(
    patch, path = "/v1/customers/{customer_id}", operation_id = "lomi_update_customer", tag = "lomi", request_body = CustomerInput,
    params(("customer_id" = String, Path, description = "UUID.")),
    responses((status = 200, description = "The customer as it is now.", body = CustomerBody), NotFound, Refused),
)]
pub(crate) async fn update_customer(
    caller: Caller,
    State(door): State<Door>,
    path: PathIds,
    request: Request,
) -> Result<Json<CustomerBody>, Problem> {
    caller.require(Scope::Admin)?;
    let stored = find(&door, &caller, path.get("customer_id", WHAT)?).await?;
    let mut fields = Fields::read(request, &door.limits).await?;
    let draft = draft_of(&mut fields, Some(&stored));
    let is_deleted = fields.boolean("is_deleted") == Some(true);
    fields.finish()?;
    let id = stored.id.to_string();
    let is_same = draft == draft_as_stored(&stored);
    let mut customer = if is_same { stored } else { door.engine.update_customer(&caller, &id, draft).await? };
    if is_deleted {
        door.engine.delete_customer_with_balances(&caller, &id).await?;
        customer = door.engine.get_customer(&caller, &id).await?;
    }
    Ok(Json(body_of(&caller, &customer)))
}

/// Delete a customer
///
/// With its balances; its usage stays.
#[utoipa::path(
    delete, path = "/v1/customers/{customer_id}", operation_id = "lomi_delete_customer", tag = "lomi",
    params(("customer_id" = String, Path, description = "UUID.")),
    responses((status = 204, description = "It is deleted."), NotFound, Refused),
)]
pub(crate) async fn delete_customer(
    caller: Caller,
    State(door): State<Door>,
    path: PathIds,
) -> Result<StatusCode, Problem> {
    caller.require(Scope::Admin)?;
    let customer = find(&door, &caller, path.get("customer_id", WHAT)?).await?;
    door.engine.delete_customer_with_balances(&caller, &customer.id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}
