//! Events as they are shown.

use super::payload::{Failure, MAX_ATTRIBUTES, MAX_DIMENSION, MAX_ID, SOURCE};
use crate::amount::Amount;
use crate::meters::Shown;
use crate::names::{MAX_NAME, is_within, readable_name};
use crate::problem::{Problem, shortened};
use crate::{customers, short_id};
use serde::Serialize;
use std::collections::BTreeMap;
use tallystick_domain::Quantity;
use tallystick_domain::customer::Customer;
use tallystick_domain::event::StoredEvent;
use tallystick_domain::json::{Leaf, members};
use tallystick_domain::meter::{Aggregation, Meter, Metered, numeric_value};
use tallystick_engine::{Change, ListedEvent};
use utoipa::ToSchema;

/// The most characters of a status in words.
const MAX_DESCRIPTION: usize = 250;
/// The most characters of a source.
const MAX_SOURCE: usize = 100;

/// An event and what became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEventWithStatus)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item {
    /// The server's name of the event.
    reference_id: String,
    /// The event.
    event_payload: Shape,
    /// What became of it.
    ingestion_status: Status,
    /// The customer of its account.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
    /// When it was accepted.
    #[schema(format = DateTime)]
    created_at: String,
    /// What the meters made of it; of a single event only.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_pipeline_info: Option<Pipeline>,
}

/// A usage event as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiShownEvent)]
#[serde(rename_all = "camelCase")]
struct Shape {
    /// The schema, or the type under which it came in elsewhere.
    schema_name: String,
    /// Its id.
    id: String,
    /// When it happened.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The account as the event called it.
    account_id: String,
    /// Its numbers.
    attributes: Vec<Attribute>,
    /// Its texts.
    dimensions: BTreeMap<String, String>,
}

/// A number of an event.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiShownAttribute)]
struct Attribute {
    name: String,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
}

/// What became of an event.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = TogaiIngestionStatus)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    /// The vendor's word.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_description: Option<String>,
}

/// Where an event came from.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEventSource)]
struct Source {
    /// Its name.
    id: String,
    /// `API`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
}

/// What meters made of an event.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEventPipelineInfo)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pipeline {
    /// The schema of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_schema: Option<SchemaRef>,
    /// The meters of its type that were there.
    usage_meters: Vec<MeterInfo>,
    /// Its account.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountRef>,
    /// The customer of its account.
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<CustomerRef>,
    /// What it was before it was reverted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    status_before_reverting: Option<&'static str>,
}

/// A version of a schema.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEventSchemaRef)]
struct SchemaRef {
    name: String,
    version: u16,
}

/// What a meter made of an event.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEventUsageMeter)]
struct MeterInfo {
    /// Its id.
    id: String,
    /// Its name.
    name: String,
    /// Always 1.
    version: u8,
    /// `PROCESSED_UNITS_COMPUTED` or `PROCESSED_FILTERED_OUT`.
    #[schema(value_type = String)]
    status: &'static str,
    /// The units.
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<Amount>,
}

/// An account.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEventAccount)]
struct AccountRef {
    id: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias: Option<String>,
}

/// A customer.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiEventCustomer)]
struct CustomerRef {
    id: String,
    name: String,
}

/// What the data of an event say, in the vendor's words.
struct Facts {
    attributes: Vec<Attribute>,
    dimensions: BTreeMap<String, String>,
    alias: Option<String>,
    failure: Option<Failure>,
}

impl Facts {
    /// Of the door's own events as they were sent. Of others: their numbers and texts, those in `attributes` and `dimensions` if they
    /// have such members, as far as the client can read them.
    fn of(event: &StoredEvent) -> Self {
        let mut facts = Self { attributes: vec![], dimensions: BTreeMap::new(), alias: None, failure: None };
        let Some(data) = event.event.data() else { return facts };
        let ours = event.event.source() == SOURCE;
        let mut numbers: BTreeMap<String, String> = BTreeMap::new();
        let mut units: BTreeMap<String, String> = BTreeMap::new();
        let (mut inner_numbers, mut inner_texts) = (None, None);
        let mut order = Vec::new();
        // What cannot be read shows nothing: the text was checked when it came in.
        let _ = members(data, &mut |name, raw| match (name, Leaf::of(raw)) {
            ("attributes", Leaf::Object) => inner_numbers = Some(raw),
            ("dimensions", Leaf::Object) => inner_texts = Some(raw),
            ("units", Leaf::Object) if ours => drop(members(raw, &mut |name, raw| texts_of(&mut units, name, raw))),
            ("alias", Leaf::Text(text)) if ours => facts.alias = Some(text.into_owned()),
            ("failure", Leaf::Text(text)) if ours => facts.failure = Failure::of_status(&text),
            _ if ours => {}
            (name, Leaf::Number(_)) => numbers_of(&mut numbers, &mut order, name, raw),
            (name, Leaf::Text(_)) => texts_of(&mut facts.dimensions, name, raw),
            _ => {}
        });
        if let Some(raw) = inner_numbers {
            (numbers, order) = Default::default();
            let _ = members(raw, &mut |name, raw| numbers_of(&mut numbers, &mut order, name, raw));
        }
        if let Some(raw) = inner_texts {
            facts.dimensions.clear();
            let _ = members(raw, &mut |name, raw| texts_of(&mut facts.dimensions, name, raw));
        }
        let attribute = |name: String| {
            let value = numbers.remove(&name)?;
            Some(Attribute { unit: units.remove(&name), name, value })
        };
        facts.attributes = order.into_iter().filter_map(attribute).take(MAX_ATTRIBUTES).collect();
        facts
    }
}

fn numbers_of(numbers: &mut BTreeMap<String, String>, order: &mut Vec<String>, name: &str, raw: &str) {
    let plain = |text: &str| text.bytes().all(|c| c.is_ascii_digit() || c == b'-' || c == b'.');
    let text = match plain(raw) {
        true => Some(raw.to_owned()),
        // With an exponent: the client reads plain digits only.
        false => Quantity::parse(raw).ok().map(|number| number.to_string()).filter(|text| plain(text)),
    };
    if let Some(text) = text.filter(|_| is_within(name, 1, MAX_NAME)) {
        order.push(name.to_owned());
        numbers.insert(name.to_owned(), text);
    }
}

fn texts_of(texts: &mut BTreeMap<String, String>, name: &str, raw: &str) {
    if let Leaf::Text(text) = Leaf::of(raw)
        && is_within(&text, 1, MAX_DIMENSION)
    {
        texts.insert(name.to_owned(), text.into_owned());
    }
}

impl Item {
    /// The vendor's word for what became of it.
    pub(crate) fn status(&self) -> &'static str {
        self.ingestion_status.status
    }

    /// The same with what the meters made of it.
    pub(crate) fn with_pipeline(self, info: Pipeline) -> Self {
        Self { event_pipeline_info: Some(info), ..self }
    }
}

/// What is known beside an event: the meters that the client can read, and the customers of the page.
pub(crate) struct Beside {
    pub all_meters: Vec<Meter>,
    pub shown: Vec<(Meter, Shown)>,
    pub customers: BTreeMap<String, Customer>,
}

/// An event in the vendor's words; `None` when they have none for it.
pub(crate) fn item_of(listed: &ListedEvent, beside: &Beside) -> Option<Item> {
    let event = &listed.stored.event;
    let facts = Facts::of(&listed.stored);
    let account = facts.alias.clone().unwrap_or_else(|| event.subject().to_owned());
    let fits = is_within(event.event_type(), 1, MAX_NAME)
        && is_within(event.id(), 1, MAX_ID)
        && is_within(&account, 1, MAX_ID);
    if !fits {
        return None;
    }
    let customer = listed.customer.and_then(|id| beside.customers.get(&id.to_string()));
    let source = event.source();
    let shown_source = is_within(source, 1, MAX_SOURCE).then(|| Source { id: source.to_owned(), kind: "API" });
    Some(Item {
        reference_id: short_id::of_event(source, event.id()),
        ingestion_status: status_of(listed, facts.failure, &beside.all_meters),
        event_payload: Shape {
            schema_name: event.event_type().to_owned(),
            id: event.id().to_owned(),
            timestamp: event.time().to_string(),
            account_id: account,
            attributes: facts.attributes,
            dimensions: facts.dimensions,
        },
        customer_id: customer.and_then(customers::id_of),
        source: shown_source,
        created_at: listed.stored.ingested_at.to_string(),
        event_pipeline_info: None,
    })
}

/// What became of an event.
pub(crate) fn status_of(listed: &ListedEvent, failure: Option<Failure>, meters: &[Meter]) -> Status {
    if let Some(last) = listed.corrections.last().filter(|last| last.change == Change::Retract) {
        return status("REVERTED", Some(last.reason.clone()));
    }
    processed(listed, failure, meters)
}

fn processed(listed: &ListedEvent, failure: Option<Failure>, meters: &[Meter]) -> Status {
    let event_type = listed.stored.event.event_type();
    let is_counted = |meter: &Meter| meter.judging.is_none() && meter.judge(&listed.stored).is_ok();
    let fault = listed.metered.iter().find_map(|(_, metered)| match metered {
        Metered::Fault(why) => Some(why.clone()),
        Metered::Units(_) => None,
    });
    let has_units = listed.metered.iter().any(|(_, metered)| matches!(metered, Metered::Units(_)));
    let mut wanting = meters.iter().filter(|meter| meter.event_type == event_type).peekable();
    match (has_units, fault, failure) {
        (true, fault, _) => status("INGESTION_COMPLETED_EVENT_METERED", fault),
        (false, Some(fault), _) => status("INGESTION_FAILED_UNITS_INVALID", Some(fault)),
        (_, _, Some(failure)) => status(failure.status(), Some(failure.description().into())),
        _ if wanting.peek().is_none() => status("INGESTION_COMPLETED_NO_MATCHING_METERS", None),
        _ if wanting.any(is_counted) => status("INGESTION_COMPLETED_EVENT_METERED", None),
        _ => status("INGESTION_COMPLETED_EVENT_NOT_METERED", None),
    }
}

fn status(word: &'static str, description: Option<String>) -> Status {
    let cut = |text: String| text.chars().take(MAX_DESCRIPTION).collect();
    Status { status: word, status_description: description.map(cut) }
}

/// What the meters made of an event.
pub(crate) fn pipeline_of(
    listed: &ListedEvent,
    beside: &Beside,
    schema: Option<(String, u16)>,
    account_name: Option<&str>,
) -> Pipeline {
    let stored = &listed.stored;
    let facts = Facts::of(stored);
    let wanting = beside.shown.iter().filter(|(meter, _)| meter.event_type == stored.event.event_type());
    let known = wanting.filter(|(meter, _)| meter.judging.is_none() || meter.created_at <= stored.ingested_at);
    let customer = listed.customer.and_then(|id| beside.customers.get(&id.to_string()));
    let is_reverted = listed.corrections.last().is_some_and(|last| last.change == Change::Retract);
    let subject = stored.event.subject();
    Pipeline {
        event_schema: schema.map(|(name, version)| SchemaRef { name, version }),
        usage_meters: known.map(|(meter, shown)| meter_info(listed, meter, shown)).collect(),
        account: customer.map(|_| AccountRef {
            id: subject.to_owned(),
            name: readable_name(account_name, subject),
            alias: facts.alias.clone(),
        }),
        customer: customer.and_then(|customer| {
            let id = customers::id_of(customer)?;
            Some(CustomerRef { name: readable_name(Some(&customer.name), &id), id })
        }),
        status_before_reverting: is_reverted.then(|| processed(listed, facts.failure, &beside.all_meters).status),
    }
}

fn meter_info(listed: &ListedEvent, meter: &Meter, shown: &Shown) -> MeterInfo {
    let judged = listed.metered.iter().find_map(|(id, metered)| match metered {
        Metered::Units(units) if *id == meter.id => Some(*units),
        _ => None,
    });
    let units = match (&meter.judging, &meter.value_property) {
        (Some(_), _) => judged,
        (None, Some(path)) => numeric_value(listed.stored.event.data(), path).ok(),
        (None, None) => (meter.aggregation == Aggregation::Count).then(|| Quantity::from_count(1)),
    };
    let status = if units.is_some() { "PROCESSED_UNITS_COMPUTED" } else { "PROCESSED_FILTERED_OUT" };
    MeterInfo {
        id: short_id::of_meter(meter.id),
        name: shown.name.clone(),
        version: 1,
        status,
        units: units.map(Amount),
    }
}

/// The refusal of an event that cannot be shown.
pub(crate) fn not_shown(id: &str) -> Problem {
    Problem::not_found("event", &shortened(id.to_owned()))
}
