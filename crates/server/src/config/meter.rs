//! Meters declared in the configuration file.

use super::ConfigError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use tallystick_domain::meter::{Aggregation, MeterDefinition, MeterFault};

/// One `[[meters]]` entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MeterConfig {
    /// Name in paths.
    pub slug: String,
    /// Name for people.
    pub name: Option<String>,
    /// Longer text for people.
    pub description: Option<String>,
    /// The type of the events that count.
    pub event_type: String,
    /// Events before it never count; RFC 3339.
    pub event_from: Option<String>,
    /// How values add up, in small or capital letters.
    pub aggregation: String,
    /// JSONPath of the value.
    pub value_property: Option<String>,
    /// JSONPath of each dimension.
    #[serde(default)]
    pub group_by: BTreeMap<String, String>,
    /// Labels of the operator.
    pub metadata: Option<BTreeMap<String, String>>,
}

impl MeterConfig {
    /// The definition in the engine's words; the engine checks the rest.
    pub fn definition(&self) -> Result<MeterDefinition, ConfigError> {
        let fault = |key: &str, message: &str| ConfigError::meter(&self.slug, key, message);
        let aggregation = parse_aggregation(&self.aggregation).map_err(|message| fault("aggregation", &message))?;
        let event_from = self.event_from.as_deref().map(Instant::parse_rfc3339).transpose();
        Ok(MeterDefinition {
            id: None,
            judging: None,
            details: Default::default(),
            slug: self.slug.clone(),
            name: self.name.clone(),
            description: self.description.clone(),
            aggregation,
            event_type: self.event_type.clone(),
            event_from: event_from.map_err(|error| fault("event_from", &error.to_string()))?,
            value_property: self.value_property.clone(),
            group_by: self.group_by.clone(),
            metadata: self.metadata.clone(),
        })
    }
}

/// A field of a meter as the configuration file calls it.
pub fn file_word(field: &str) -> String {
    let words = [
        ("valueProperty", "value_property"),
        ("eventType", "event_type"),
        ("eventFrom", "event_from"),
        ("groupBy", "group_by"),
    ];
    let (name, rest) = field.split_once('.').map_or((field, String::new()), |(name, key)| (name, format!(".{key}")));
    let known = words.iter().find(|(published, _)| *published == name);
    format!("{}{rest}", known.map_or(name, |(_, word)| word))
}

/// What is wrong with a declared meter, in the words of the file.
pub fn meter_faults(slug: &str, faults: &[MeterFault]) -> ConfigError {
    let told = faults.iter().map(|fault| {
        let word = file_word(&fault.field);
        // Only the names of fields at the ends are ours: between them stands what the user wrote.
        let message = fault.message.strip_prefix(&format!("{} ", fault.field)).unwrap_or(&fault.message);
        let message = match message.strip_suffix(" valueProperty") {
            Some(start) => format!("{start} value_property"),
            None => message.to_string(),
        };
        format!("{word}: {message}")
    });
    ConfigError::faulty_meter(slug, &told.collect::<Vec<_>>().join("; "))
}

/// Reads the name of an aggregation in small or capital letters.
pub fn parse_aggregation(text: &str) -> Result<Aggregation, String> {
    Aggregation::parse(&text.to_ascii_uppercase()).ok_or_else(|| {
        let names: Vec<_> = Aggregation::ALL.iter().map(|known| known.as_str().to_lowercase()).collect();
        format!("{text:?} is no aggregation: use {}", names.join(", "))
    })
}
