//! Meter balances, and the credits that move them.

use crate::body::Fields;
use crate::customers;
use crate::door::{Caller, Door, PathIds};
use crate::list::{ListBody, Listing};
use crate::meters::{self, is_shown};
use crate::problem::{NotFound, Problem, Refused};
use crate::{ids, number, usage};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use tallystick_domain::event::StoredEvent;
use tallystick_domain::key::Scope;
use tallystick_domain::meter::Meter;
use tallystick_domain::{EntitlementId, Quantity};
use tallystick_engine::MeterBalance;
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

const WHAT: &str = "meter balance";
/// Why units are credited, unless somebody says.
const REASON: &str = "top_up";
const MAX_REASON: usize = 256;

/// How a customer stands with a meter.
#[derive(Serialize, ToSchema)]
#[schema(as = LomiMeterBalance)]
pub(crate) struct BalanceBody {
    /// `credited_units` less `consumed_units`; below zero when more was used than credited.
    #[schema(value_type = f64)]
    balance: Box<RawValue>,
    /// Its id, the same for as long as it lasts.
    #[schema(format = "uuid")]
    balance_id: String,
    /// Always null: balances are customers'.
    billable_organization_id: Option<String>,
    /// What was used.
    #[schema(value_type = f64)]
    consumed_units: Box<RawValue>,
    /// When the customer first used the meter or was first credited.
    #[schema(format = DateTime)]
    created_at: String,
    /// What was credited.
    #[schema(value_type = f64)]
    credited_units: Box<RawValue>,
    /// The customer.
    #[schema(format = "uuid")]
    customer_id: String,
    /// The latest event that counts for it.
    #[schema(format = "uuid")]
    last_event_id: Option<String>,
    /// The meter.
    #[schema(format = "uuid")]
    meter_id: String,
    /// When the customer last used the meter or was last credited.
    #[schema(format = DateTime)]
    updated_at: String,
}

/// Units to credit.
#[derive(ToSchema)]
#[schema(as = LomiCredit)]
#[allow(dead_code, reason = "it is read field by field; this describes it")]
pub(crate) struct CreditInput {
    /// The meter.
    #[schema(format = "uuid")]
    meter_id: String,
    /// The customer.
    #[schema(format = "uuid")]
    customer_id: String,
    /// How much; more than zero.
    #[schema(value_type = f64)]
    units: Value,
    /// Why, kept with the credit; `top_up` if absent.
    #[schema(max_length = 256)]
    reason: Option<String>,
}

#[derive(Clone, Copy)]
enum Field {
    CreatedAt,
    UpdatedAt,
    Balance,
    Consumed,
    Credited,
    Meter,
    Customer,
    Id,
}

const FIELDS: [(&str, Field); 8] = [
    ("created_at", Field::CreatedAt),
    ("updated_at", Field::UpdatedAt),
    ("balance", Field::Balance),
    ("consumed_units", Field::Consumed),
    ("credited_units", Field::Credited),
    ("meter_id", Field::Meter),
    ("customer_id", Field::Customer),
    ("balance_id", Field::Id),
];

fn compare(field: Field, left: &MeterBalance, right: &MeterBalance) -> Ordering {
    match field {
        Field::CreatedAt => left.created_at.cmp(&right.created_at),
        Field::UpdatedAt => left.updated_at.cmp(&right.updated_at),
        Field::Balance => left.balance.cmp(&right.balance),
        Field::Consumed => left.consumed.cmp(&right.consumed),
        Field::Credited => left.credited.cmp(&right.credited),
        Field::Meter => left.meter.cmp(&right.meter),
        Field::Customer => left.customer.cmp(&right.customer),
        Field::Id => left.id.cmp(&right.id),
    }
}

async fn body_of(door: &Door, caller: &Caller, meter: &Meter, balance: &MeterBalance) -> Result<BalanceBody, Problem> {
    let last_events = usage::last_events(door, caller, meter, &[balance]).await?;
    Ok(body_with(caller, balance, last_events.get(&balance.customer)))
}

fn body_with(caller: &Caller, balance: &MeterBalance, last_event: Option<&StoredEvent>) -> BalanceBody {
    BalanceBody {
        balance: number(balance.balance),
        balance_id: ids::text(balance.id.bits()),
        billable_organization_id: None,
        consumed_units: number(balance.consumed),
        created_at: balance.created_at.to_string(),
        credited_units: number(balance.credited),
        customer_id: ids::text(balance.customer.bits()),
        last_event_id: last_event.map(|stored| ids::event(caller.namespace(), stored)),
        meter_id: ids::text(balance.meter.bits()),
        updated_at: balance.updated_at.to_string(),
    }
}

/// List meter balances
///
/// Of every customer that used a meter or was credited something, through whatever door.
#[utoipa::path(
    get, path = "/v1/meter_balances", operation_id = "lomi_list_meter_balances", tag = "lomi",
    params(
        ("limit" = Option<u32>, Query, description = "At most so many (20).", minimum = 1, maximum = 100),
        ("offset" = Option<u32>, Query, description = "Behind so many (0)."),
        ("sort" = Option<String>, Query, description = "`field:direction` of `created_at`, `updated_at`, `balance`, `consumed_units`, `credited_units`, `meter_id`, `customer_id` or `balance_id`; `created_at:desc` by default."),
    ),
    responses((status = 200, description = "A page of balances.", body = ListBody<BalanceBody>), Refused),
)]
pub(crate) async fn list_meter_balances(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Json<ListBody<BalanceBody>>, Problem> {
    let listing = Listing::read(&QueryString::parse(raw.as_deref())?, &FIELDS, &[])?;
    let mut meters = door.engine.list_meters(&caller, false).await?;
    meters.retain(is_shown);
    let balances = door.engine.list_balances(&caller, &meters).await?;
    let (page, total) = listing.page(balances, compare, |balance| balance.id);
    let mut last_events = BTreeMap::new();
    for meter in &meters {
        let balances: Vec<_> = page.iter().filter(|balance| balance.meter == meter.id).collect();
        last_events.insert(meter.id, usage::last_events(&door, &caller, meter, &balances).await?);
    }
    let last_event = |balance: &MeterBalance| last_events.get(&balance.meter)?.get(&balance.customer);
    let data = page.iter().map(|balance| body_with(&caller, balance, last_event(balance))).collect();
    Ok(Json(listing.body(data, total)))
}

/// Get a meter balance
#[utoipa::path(
    get, path = "/v1/meter_balances/{balance_id}", operation_id = "lomi_retrieve_meter_balance", tag = "lomi",
    params(("balance_id" = String, Path, description = "UUID.")),
    responses((status = 200, description = "The balance.", body = BalanceBody), NotFound, Refused),
)]
pub(crate) async fn retrieve_meter_balance(
    caller: Caller,
    State(door): State<Door>,
    path: PathIds,
) -> Result<Json<BalanceBody>, Problem> {
    caller.require(Scope::Read)?;
    let id = EntitlementId::from_bits(path.get("balance_id", WHAT)?);
    let (meter, balance) = door.engine.get_balance(&caller, id).await?;
    if !is_shown(&meter) {
        return Err(Problem::not_found(WHAT));
    }
    Ok(Json(body_of(&door, &caller, &meter, &balance).await?))
}

/// Get the balance of a customer
///
/// Zeros for a customer who neither used the meter nor was credited anything.
#[utoipa::path(
    get, path = "/v1/meters/{meter_id}/balances/{customer_id}", operation_id = "lomi_retrieve_customer_balance", tag = "lomi",
    params(
        ("meter_id" = String, Path, description = "UUID."),
        ("customer_id" = String, Path, description = "UUID."),
    ),
    responses((status = 200, description = "The balance.", body = BalanceBody), NotFound, Refused),
)]
pub(crate) async fn retrieve_customer_balance(
    caller: Caller,
    State(door): State<Door>,
    path: PathIds,
) -> Result<Json<BalanceBody>, Problem> {
    caller.require(Scope::Read)?;
    let meter = meters::find(&door, &caller, path.get("meter_id", meters::WHAT)?).await?;
    let customer = customers::find(&door, &caller, path.get("customer_id", customers::WHAT)?).await?;
    let (meter_ref, customer_id) = (meters::reference(&meter), customer.id.to_string());
    let balance = door.engine.customer_balance(&caller, &meter_ref, &customer_id).await?;
    Ok(Json(body_of(&door, &caller, &meter, &balance).await?))
}

/// Credit units
///
/// For good: a credit has no end, and pays for what was used before it, too.
#[utoipa::path(
    post, path = "/v1/usage-billing/credits", operation_id = "lomi_grant_credits", tag = "lomi", request_body = CreditInput,
    responses((status = 201, description = "The balance with the credit.", body = BalanceBody), NotFound, Refused),
)]
pub(crate) async fn grant_credits(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<(StatusCode, Json<BalanceBody>), Problem> {
    caller.require(Scope::Admin)?;
    let mut fields = Fields::read(request, &door.limits).await?;
    let (meter, customer) = (fields.required_uuid("meter_id"), fields.required_uuid("customer_id"));
    let units = fields.number("units");
    if units.is_none_or(|units| !units.is_positive()) {
        fields.fault("units", "is required: a number above zero");
    }
    let reason = fields.text("reason", MAX_REASON).unwrap_or_else(|| REASON.to_string());
    fields.finish()?;
    let meter = meters::find(&door, &caller, meter.as_u128()).await?;
    let customer = customers::find(&door, &caller, customer.as_u128()).await?;
    let (meter_ref, customer_id) = (meters::reference(&meter), customer.id.to_string());
    let labels = [("reason".to_string(), reason)].into();
    let units = units.unwrap_or(Quantity::ZERO);
    let balance = door.engine.credit(&caller, &meter_ref, &customer_id, units, labels).await?;
    Ok((StatusCode::CREATED, Json(body_of(&door, &caller, &meter, &balance).await?)))
}
