//! The attributes of a CloudEvent, wherever they were sent: what is required, what is kept, what is refused.

use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::event::EventFault;
use tallystick_engine::NewEvent;

/// The attributes that have a meaning. Everything else is an extension of the sender's.
pub(super) const KNOWN: [&str; 10] =
    ["id", "source", "specversion", "type", "subject", "time", "datacontenttype", "dataschema", "data", "data_base64"];

/// How many of its sender's own attributes an event is told to be wrong; the first ones show what the rest are like, and a
/// small body must not make a huge answer.
const MAX_EXTENSION_FAULTS: usize = 10;

/// What a sender said about one event, before it is judged.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// The known attributes but for the data; `null` and absent are the same.
    pub texts: BTreeMap<&'static str, String>,
    /// The JSON text of the data.
    pub data: Option<String>,
    /// JSON texts of the sender's own attributes.
    pub extensions: BTreeMap<String, String>,
    /// What was found wrong so far.
    pub faults: Vec<EventFault>,
}

impl Envelope {
    /// Takes an attribute of the sender's own: a name of letters and digits, and a JSON text that is no list or object.
    pub(super) fn add_extension(&mut self, name: &str, value: String) {
        let reason = if name.is_empty() || !name.bytes().all(|c| c.is_ascii_alphanumeric()) {
            ("invalid_name", "must be named with ASCII letters and digits only")
        } else if value.starts_with(['{', '[']) {
            ("wrong_type", "must be a string, a number or a boolean")
        } else if self.extensions.insert(name.to_string(), value).is_some() {
            ("duplicate_key", "came twice")
        } else {
            return;
        };
        if self.faults.iter().filter(|fault| fault.field == "extensions").count() < MAX_EXTENSION_FAULTS {
            let shown: String = name.chars().take(80).collect();
            let message = format!("attribute {shown:?} {}", reason.1);
            self.faults.push(EventFault::new("extensions", reason.0, message));
        }
    }

    /// The event, with everything that is wrong with it.
    pub(super) fn into_event(mut self) -> NewEvent {
        let mut required = |field: &'static str, faults: &mut Vec<EventFault>| {
            let text = self.texts.remove(field);
            if text.is_none() && faults.iter().all(|fault| fault.field != field) {
                faults.push(EventFault::new(field, "required", "is missing"));
            }
            text.unwrap_or_default()
        };
        let mut faults = self.faults;
        let specversion = required("specversion", &mut faults);
        let mut event = NewEvent {
            id: required("id", &mut faults),
            source: required("source", &mut faults),
            event_type: required("type", &mut faults),
            subject: required("subject", &mut faults),
            data: self.data,
            ..NewEvent::default()
        };
        if faults.iter().all(|fault| fault.field != "specversion") {
            faults.extend(specversion_fault(&specversion));
        }
        match self.texts.get("time").map(|text| Instant::parse_rfc3339(text)) {
            None => {}
            Some(Ok(time)) => event.time = Some(time),
            Some(Err(error)) => faults.push(EventFault::new("time", "invalid_time", error.to_string())),
        }
        faults.extend(self.texts.get("datacontenttype").and_then(|text| content_type_fault(text)));
        if let Some(schema) = self.texts.remove("dataschema") {
            match schema.is_empty() {
                true => faults.push(EventFault::new("dataschema", "required", "must not be empty")),
                false => drop(self.extensions.insert("dataschema".into(), quoted(&schema))),
            }
        }
        event.extras = object_of(&self.extensions);
        event.faults = faults;
        event
    }
}

fn specversion_fault(text: &str) -> Option<EventFault> {
    let message = || format!("unknown value: {:?}, send \"1.0\"", text.chars().take(40).collect::<String>());
    (text != "1.0" && text != "0.3").then(|| EventFault::new("specversion", "unknown_value", message()))
}

fn content_type_fault(text: &str) -> Option<EventFault> {
    let essence = text.split(';').next().unwrap_or_default().trim();
    let message = "must be application/json: data is a JSON object";
    (!essence.eq_ignore_ascii_case("application/json"))
        .then(|| EventFault::new("datacontenttype", "unknown_value", message))
}

/// The JSON text of a string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn object_of(members: &BTreeMap<String, String>) -> Option<String> {
    let joined: Vec<_> = members.iter().map(|(name, value)| format!("{}:{value}", quoted(name))).collect();
    (!joined.is_empty()).then(|| format!("{{{}}}", joined.join(",")))
}
