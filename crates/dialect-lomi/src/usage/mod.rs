//! Usage events: one is reported at a time, and all that any door brought are listed.

pub(crate) mod feed;
mod reading;

pub(crate) use reading::last_events;

use crate::body::Fields;
use crate::door::{Caller, Door, PathIds};
use crate::list::{ListBody, Listing, MAX_PLACE, number};
use crate::problem::{NotFound, Problem, Refused};
use crate::{NAME, customers, ids, object_text, quoted};
use axum::Json;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use reading::{Becoming, Search};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tallystick_domain::CustomerId;
use tallystick_domain::json::{self, JsonObject, Leaf};
use tallystick_domain::key::Scope;
use tallystick_engine::{ListedEvent, NewEvent};
use tallystick_http_kit::QueryString;
use utoipa::ToSchema;

const WHAT: &str = "usage event";
/// Characters of a text.
const MAX_TEXT: usize = 256;
const DEFAULT_PAGE_SIZE: u32 = 50;
const MAX_PAGE_SIZE: u32 = 100;
/// Fields of an event that its properties stand beside.
const FIELDS: [&str; 2] = ["quantity", "subscription_id"];
const STATUSES: [&str; 3] = ["pending", "processed", "failed"];

/// What became of a reported event.
#[derive(Serialize, ToSchema)]
#[schema(as = LomiUsageReceipt)]
pub(crate) struct ReceiptBody {
    /// Its id.
    #[schema(format = "uuid")]
    event_id: String,
    /// `processed` if a meter counted it, `failed` if one should have and could not, `pending` if none counts its code now.
    status: &'static str,
    /// The meter that counted it.
    #[schema(format = "uuid")]
    meter_id: Option<String>,
    /// As it was sent.
    subscription_id: Option<String>,
    /// The units that the meter counted.
    #[schema(value_type = Option<f64>)]
    quantity_applied: Option<Box<RawValue>>,
    /// `true` if the event with this `transaction_id` was reported before: the answer is about that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    idempotent: Option<bool>,
}

/// A usage event to report.
#[derive(ToSchema)]
#[schema(as = LomiUsageEventInput, example = json!({"transaction_id": "tx-1", "code": "api_calls", "customer_id": "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4051", "quantity": 5}))]
#[allow(dead_code, reason = "it is read field by field; this describes it")]
pub(crate) struct UsageEventInput {
    /// The sender's own id of the event, once in a namespace.
    transaction_id: String,
    /// The kind of usage, by which meters choose events.
    code: String,
    /// The customer.
    #[schema(format = "uuid")]
    customer_id: String,
    /// Kept and given back.
    subscription_id: Option<String>,
    /// When it happened; now if absent.
    #[schema(format = DateTime)]
    timestamp: Option<String>,
    /// How much; 1 if absent.
    #[schema(value_type = Option<f64>)]
    quantity: Option<Value>,
    /// Further properties, but for `quantity` and `subscription_id`.
    #[schema(value_type = Option<Object>)]
    properties: Option<Value>,
}

/// A usage event.
#[derive(Serialize, ToSchema)]
#[schema(as = LomiUsageEvent)]
pub(crate) struct EventBody {
    /// Its id.
    #[schema(format = "uuid")]
    event_id: String,
    /// The sender's own id of the event.
    transaction_id: String,
    /// The kind of usage.
    code: String,
    /// The customer that its subject belongs to.
    #[schema(format = "uuid")]
    customer_id: Option<String>,
    /// As it was sent.
    subscription_id: Option<String>,
    /// The meter that counted it.
    #[schema(format = "uuid")]
    meter_id: Option<String>,
    /// How much: what was sent, or what the meter counted.
    #[schema(value_type = Option<f64>)]
    quantity: Option<Box<RawValue>>,
    /// `pending`, `processed` or `failed`.
    processing_status: &'static str,
    /// Why it failed.
    error_message: Option<String>,
    /// When it happened.
    #[schema(format = DateTime)]
    occurred_at: String,
    /// When it was accepted.
    #[schema(format = DateTime)]
    created_at: String,
}

/// Data of an event, as the core keeps it: the quantity, the properties, the subscription.
fn data_of(quantity: &str, properties: Option<&JsonObject>, subscription: Option<&str>) -> String {
    let mut members = vec![(FIELDS[0].to_string(), quantity.to_string())];
    if let Some(properties) = properties {
        let read = json::members(properties.as_str(), &mut |name, value| members.push((name.into(), value.into())));
        // It was checked when it was read.
        read.unwrap_or_default();
    }
    members.extend(subscription.map(|subscription| (FIELDS[1].to_string(), quoted(subscription))));
    object_text(members)
}

fn read_event(fields: &mut Fields) -> (CustomerId, NewEvent) {
    let (id, event_type) = (fields.required_text("transaction_id", MAX_TEXT), fields.required_text("code", MAX_TEXT));
    let customer = fields.required_uuid("customer_id");
    let subscription = fields.text(FIELDS[1], MAX_TEXT);
    let time = fields.instant("timestamp");
    let quantity = fields.number(FIELDS[0]).map_or_else(|| "1".to_string(), |quantity| quantity.to_string());
    let properties = fields.object("properties");
    if let Some(properties) = &properties {
        let mut clash = None;
        let read = json::members(properties.as_str(), &mut |name, _| {
            clash = clash.or(FIELDS.into_iter().find(|field| *field == name));
        });
        read.unwrap_or_default();
        if let Some(name) = clash {
            fields.fault("properties", format!("must not hold {name}, which is a field of the event: send it there"));
        }
    }
    let data = Some(data_of(&quantity, properties.as_ref(), subscription.as_deref()));
    let event = NewEvent { id, source: NAME.into(), event_type, time, data, ..NewEvent::default() };
    (CustomerId::from_bits(customer.as_u128()), event)
}

fn body_of(caller: &Caller, listed: &ListedEvent, becoming: Becoming) -> EventBody {
    let event = &listed.stored.event;
    let sent = becoming.sent_quantity.map(crate::raw);
    EventBody {
        event_id: ids::event(caller.namespace(), &listed.stored),
        transaction_id: event.id().to_string(),
        code: event.event_type().to_string(),
        customer_id: listed.customer.map(|customer| ids::text(customer.bits())),
        subscription_id: becoming.subscription,
        meter_id: becoming.meter.map(|meter| ids::text(meter.bits())),
        quantity: sent.or_else(|| becoming.units.map(crate::number)),
        processing_status: becoming.status,
        error_message: becoming.error,
        occurred_at: event.time().to_string(),
        created_at: listed.stored.ingested_at.to_string(),
    }
}

/// Report a usage event
///
/// Counted once, however often it is sent: the answer to a `transaction_id` that was sent before is about the event that came first.
#[utoipa::path(
    post, path = "/v1/usage-events", operation_id = "lomi_create_usage_event", tag = "lomi", request_body = UsageEventInput,
    responses((status = 202, description = "The event is stored.", body = ReceiptBody), NotFound, Refused),
)]
pub(crate) async fn create_usage_event(
    caller: Caller,
    State(door): State<Door>,
    request: Request,
) -> Result<(StatusCode, Json<ReceiptBody>), Problem> {
    caller.require(Scope::Ingest)?;
    let mut fields = Fields::read(request, &door.limits).await?;
    let (customer, event) = read_event(&mut fields);
    fields.finish()?;
    let reported = door.engine.report_usage(&caller, customer, event).await?;
    let becoming = reading::becoming(&reported.event, &reported.meters);
    let receipt = ReceiptBody {
        event_id: ids::event(caller.namespace(), &reported.event.stored),
        status: becoming.status,
        meter_id: becoming.meter.map(|meter| ids::text(meter.bits())),
        subscription_id: becoming.subscription,
        quantity_applied: becoming.units.map(crate::number),
        idempotent: (!reported.is_new).then_some(true),
    };
    Ok((StatusCode::ACCEPTED, Json(receipt)))
}

/// List usage events
///
/// Newest first, of all doors; `total` counts 10,000 at most.
#[utoipa::path(
    get, path = "/v1/usage-events", operation_id = "lomi_list_usage_events", tag = "lomi",
    params(
        ("page" = Option<u32>, Query, description = "Page, from 1.", minimum = 1),
        ("page_size" = Option<u32>, Query, description = "At most so many (50).", minimum = 1, maximum = 100),
        ("customer_id" = Option<String>, Query, description = "Only those of this customer."),
        ("code" = Option<String>, Query, description = "Only those of this code."),
        ("status" = Option<String>, Query, description = "Only those that are `pending`, `processed` or `failed`."),
    ),
    responses((status = 200, description = "A page of events.", body = ListBody<EventBody>), NotFound, Refused),
)]
pub(crate) async fn list_usage_events(
    caller: Caller,
    State(door): State<Door>,
    RawQuery(raw): RawQuery,
) -> Result<Json<ListBody<EventBody>>, Problem> {
    caller.require(Scope::Read)?;
    let query = QueryString::parse(raw.as_deref())?;
    let known = ["page", "page_size", "customer_id", "code", "status"];
    if let Some(unknown) = query.unknown(&known, &[]) {
        let shown: String = unknown.chars().take(80).collect();
        return Err(Problem::field(&shown, "is no parameter of this list"));
    }
    let size = number(&query, "page_size", 1, MAX_PAGE_SIZE)?.unwrap_or(DEFAULT_PAGE_SIZE);
    let page = number(&query, "page", 1, MAX_PLACE)?.unwrap_or(1);
    let offset = (page - 1).saturating_mul(size);
    let status = match query.one("status")? {
        None => None,
        Some(text) => {
            let known = STATUSES.iter().find(|known| **known == text);
            Some(*known.ok_or_else(|| Problem::field("status", format!("must be one of {}", STATUSES.join(", "))))?)
        }
    };
    let customer = match query.one("customer_id")? {
        None => None,
        Some(text) => {
            let id = ids::parse(text).ok_or_else(|| Problem::field("customer_id", "must be a UUID"))?;
            Some(customers::find(&door, &caller, id.as_u128()).await?.id)
        }
    };
    let search = Search { customer, code: query.one("code")?.map(str::to_string), status };
    let (events, total) = search.page(&door, &caller, offset, size).await?;
    let data = events.into_iter().map(|(listed, becoming)| body_of(&caller, &listed, becoming)).collect();
    let listing = Listing { limit: size, offset, field: (), descending: true };
    Ok(Json(listing.body(data, total)))
}

/// Get a usage event
#[utoipa::path(
    get, path = "/v1/usage-events/{event_id}", operation_id = "lomi_retrieve_usage_event", tag = "lomi",
    params(("event_id" = String, Path, description = "UUID.")),
    responses((status = 200, description = "The event.", body = EventBody), NotFound, Refused),
)]
pub(crate) async fn retrieve_usage_event(
    caller: Caller,
    State(door): State<Door>,
    path: PathIds,
) -> Result<Json<EventBody>, Problem> {
    caller.require(Scope::Read)?;
    let (listed, becoming) = reading::find(&door, &caller, path.get("event_id", WHAT)?).await?;
    Ok(Json(body_of(&caller, &listed, becoming)))
}

/// A text or a number in the data of an event.
fn member(data: Option<&str>, name: &str) -> Option<String> {
    let mut found = None;
    json::members(data?, &mut |member, value| found = (member == name).then(|| value.to_string()).or(found.take()))
        .ok()?;
    found
}

/// A text in the data of an event.
fn text_member(data: Option<&str>, name: &str) -> Option<String> {
    match Leaf::of(&member(data, name)?) {
        Leaf::Text(text) => Some(text.into_owned()),
        _ => None,
    }
}
