//! Schemas of events: which values and dimensions the events of a type have, in versions.
//!
//! A schema describes and is looked up; the store takes events of any type, with a schema or without.

use crate::{EventSchemaId, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// The most characters of a name.
pub const MAX_NAME_CHARS: usize = 256;

/// The most attributes, and the most dimensions, of a schema.
pub const MAX_FIELDS: usize = 200;

/// One version of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSchema {
    /// Identity, the same for all versions.
    pub id: EventSchemaId,
    /// The event type that it describes, unique among live schemas.
    pub name: String,
    /// From 1; the highest is in force.
    pub version: u16,
    /// Where it stands.
    pub status: SchemaStatus,
    /// What it says.
    pub content: SchemaContent,
    /// When the version was created.
    pub created_at: Instant,
    /// When it was last changed.
    pub updated_at: Instant,
    /// When the schema was deleted; its events stay.
    pub deleted_at: Option<Instant>,
}

/// Where a version of a schema stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaStatus {
    /// It was never in use and can be changed at will.
    Draft,
    /// Its events are expected.
    Active,
    /// Its events are not expected any more.
    Inactive,
    /// A later version took its place.
    Archived,
}

/// What a schema says of its events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaContent {
    /// Longer text for people.
    pub description: Option<String>,
    /// The numbers that events bring, in the order in which they were listed.
    pub attributes: Vec<SchemaAttribute>,
    /// The texts that events bring, in the order in which they were listed.
    pub dimensions: Vec<String>,
    /// Attributes and dimensions by which meters may choose events; empty for all.
    pub filter_fields: Vec<String>,
}

/// A number that events bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaAttribute {
    /// Its name.
    pub name: String,
    /// The unit that it has when an event does not say.
    pub default_unit: Option<String>,
}

/// What becomes of a schema; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaRevision {
    /// Longer text for people.
    pub description: Option<String>,
    /// All attributes.
    pub attributes: Option<Vec<SchemaAttribute>>,
    /// All dimensions.
    pub dimensions: Option<Vec<String>>,
    /// All fields by which meters may choose events.
    pub filter_fields: Option<Vec<String>>,
}

/// One thing that is wrong with a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SchemaFault {
    /// The field at fault.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl SchemaStatus {
    /// The word that it is stored as.
    pub fn as_str(self) -> &'static str {
        match self {
            SchemaStatus::Draft => "draft",
            SchemaStatus::Active => "active",
            SchemaStatus::Inactive => "inactive",
            SchemaStatus::Archived => "archived",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [SchemaStatus::Draft, SchemaStatus::Active, SchemaStatus::Inactive, SchemaStatus::Archived];
        all.into_iter().find(|status| status.as_str() == text)
    }
}

impl EventSchema {
    /// Builds the first version, a draft; all faults are reported, not only the first.
    pub fn define(
        id: EventSchemaId,
        name: String,
        content: SchemaContent,
        now: Instant,
    ) -> Result<Self, Vec<SchemaFault>> {
        let mut faults = faults_of(&content);
        if !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) {
            faults.insert(0, fault("name", format!("name must have 1 to {MAX_NAME_CHARS} characters")));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let status = SchemaStatus::Draft;
        Ok(Self { id, name, version: 1, status, content, created_at: now, updated_at: now, deleted_at: None })
    }

    /// The schema after a revision. A draft changes in place. One that was ever active gets another version, and keeps every
    /// attribute with its unit, every dimension and every filter field: its events and meters rely on them. What changes
    /// nothing makes no version.
    pub fn revised(&self, revision: SchemaRevision, now: Instant) -> Result<Self, Vec<SchemaFault>> {
        let stored = &self.content;
        let content = SchemaContent {
            description: revision.description.or_else(|| stored.description.clone()),
            attributes: revision.attributes.unwrap_or_else(|| stored.attributes.clone()),
            dimensions: revision.dimensions.unwrap_or_else(|| stored.dimensions.clone()),
            filter_fields: revision.filter_fields.unwrap_or_else(|| stored.filter_fields.clone()),
        };
        let mut faults = faults_of(&content);
        if self.status != SchemaStatus::Draft {
            faults.extend(losses(stored, &content));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        if content == self.content {
            return Ok(self.clone());
        }
        if self.status == SchemaStatus::Draft {
            return Ok(Self { content, updated_at: now, ..self.clone() });
        }
        let version = self.version.checked_add(1).ok_or_else(|| {
            vec![fault("version", format!("the schema has {} versions, and no more are possible", self.version))]
        })?;
        Ok(Self { version, content, created_at: now, updated_at: now, ..self.clone() })
    }

    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&SchemaAttribute> {
        self.content.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// Why meters may not choose events by this field.
    pub fn filter_obstacle(&self, field: &str) -> Option<String> {
        let content = &self.content;
        if content.filter_fields.iter().any(|allowed| allowed == field) {
            return None;
        }
        let known = self.attribute(field).is_some() || content.dimensions.iter().any(|name| name == field);
        match (known, content.filter_fields.is_empty()) {
            (false, _) => Some(format!("{} has no attribute and no dimension {field:?}", self.name)),
            (true, true) => None,
            (true, false) => Some(format!("{field:?} is not one of the filter fields of {}", self.name)),
        }
    }
}

/// What a schema that was active would lose.
fn losses(stored: &SchemaContent, content: &SchemaContent) -> Vec<SchemaFault> {
    let mut faults = Vec::new();
    let kept: BTreeMap<_, _> = content.attributes.iter().map(|kept| (&kept.name, &kept.default_unit)).collect();
    for attribute in &stored.attributes {
        let name = &attribute.name;
        match kept.get(name) {
            Some(unit) if **unit == attribute.default_unit => {}
            Some(_) => faults.push(fault("attributes", format!("the unit of attribute {name:?} {CANNOT_CHANGE}"))),
            None => faults.push(fault("attributes", format!("attribute {name:?} {CANNOT_GO}"))),
        }
    }
    let lists = [
        ("dimensions", "dimension", &stored.dimensions, &content.dimensions),
        ("filterFields", "filter field", &stored.filter_fields, &content.filter_fields),
    ];
    for (field, what, before, after) in lists {
        let gone = before.iter().filter(|name| !after.contains(name));
        faults.extend(gone.map(|name| fault(field, format!("{what} {name:?} {CANNOT_GO}"))));
    }
    if stored.filter_fields.is_empty() && !content.filter_fields.is_empty() {
        let message = "the schema was activated without filter fields, so meters may choose by any field: it stays so";
        faults.push(fault("filterFields", message.into()));
    }
    faults
}

const CANNOT_GO: &str = "cannot be removed once the schema was active: list it together with what is new";
const CANNOT_CHANGE: &str = "cannot be changed once the schema was active";

fn faults_of(content: &SchemaContent) -> Vec<SchemaFault> {
    let mut faults = Vec::new();
    if content.description.as_deref().is_some_and(|text| text.chars().count() > 1024) {
        faults.push(fault("description", "description must have at most 1024 characters".into()));
    }
    let attributes: Vec<_> = content.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    let dimensions: Vec<_> = content.dimensions.iter().map(String::as_str).collect();
    for (field, names) in [("attributes", &attributes), ("dimensions", &dimensions)] {
        if names.len() > MAX_FIELDS {
            faults.push(fault(field, format!("{field} must have at most {MAX_FIELDS} members")));
        }
        let mut seen = BTreeSet::new();
        for name in names {
            if !(1..=MAX_NAME_CHARS).contains(&name.chars().count()) {
                faults.push(fault(field, format!("a name in {field} must have 1 to {MAX_NAME_CHARS} characters")));
            } else if !seen.insert(*name) {
                faults.push(fault(field, format!("{name:?} is listed twice in {field}")));
            }
        }
    }
    let both = attributes.iter().find(|name| dimensions.contains(name));
    if let Some(name) = both {
        faults
            .push(fault("dimensions", format!("{name:?} is an attribute and a dimension: it can be one of them only")));
    }
    let unknown = |name: &&String| !attributes.contains(&name.as_str()) && !dimensions.contains(&name.as_str());
    if let Some(name) = content.filter_fields.iter().find(unknown) {
        let message = format!("filterFields names {name:?}, which is neither an attribute nor a dimension");
        faults.push(fault("filterFields", message));
    }
    faults
}

fn fault(field: &'static str, message: String) -> SchemaFault {
    SchemaFault { field, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Instant {
        Instant::from_micros(micros).unwrap()
    }

    fn named(names: &[&str]) -> Vec<SchemaAttribute> {
        names.iter().map(|name| SchemaAttribute { name: name.to_string(), default_unit: None }).collect()
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    fn content() -> SchemaContent {
        SchemaContent {
            attributes: named(&["distance"]),
            dimensions: texts(&["city"]),
            filter_fields: texts(&["city"]),
            ..SchemaContent::default()
        }
    }

    fn rides() -> EventSchema {
        EventSchema::define(EventSchemaId::from_parts(1, 1), "rides".into(), content(), at(1)).unwrap()
    }

    fn active() -> EventSchema {
        EventSchema { status: SchemaStatus::Active, ..rides() }
    }

    fn fields_of(outcome: Result<EventSchema, Vec<SchemaFault>>) -> Vec<&'static str> {
        outcome.unwrap_err().into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn a_draft_changes_in_place_and_keeps_what_is_not_named() {
        let revision = SchemaRevision { attributes: Some(named(&["time"])), ..SchemaRevision::default() };
        let revised = rides().revised(revision, at(5)).unwrap();
        let wanted = SchemaContent { attributes: named(&["time"]), ..content() };
        assert_eq!(revised, EventSchema { content: wanted, updated_at: at(5), ..rides() });
    }

    #[test]
    fn an_active_schema_only_grows_and_each_growth_is_a_version() {
        for stored in [active(), EventSchema { status: SchemaStatus::Inactive, ..rides() }] {
            let more = SchemaRevision {
                description: Some("d".into()),
                attributes: Some(named(&["time", "distance"])),
                dimensions: Some(texts(&["city", "kind"])),
                filter_fields: Some(texts(&["kind", "city"])),
            };
            let revised = stored.revised(more, at(5)).unwrap();
            assert_eq!((revised.version, revised.status, revised.created_at), (2, stored.status, at(5)));
            assert_eq!(revised.id, stored.id);
            let less = SchemaRevision {
                attributes: Some(named(&["time"])),
                dimensions: Some(vec![]),
                filter_fields: Some(vec![]),
                ..SchemaRevision::default()
            };
            assert_eq!(fields_of(stored.revised(less, at(5))), ["attributes", "dimensions", "filterFields"]);
            let unit = SchemaAttribute { name: "distance".into(), default_unit: Some("km".into()) };
            let other_unit = SchemaRevision { attributes: Some(vec![unit]), ..SchemaRevision::default() };
            assert_eq!(fields_of(stored.revised(other_unit, at(5))), ["attributes"]);
        }
    }

    #[test]
    fn what_changes_nothing_makes_no_version() {
        assert_eq!(active().revised(SchemaRevision::default(), at(5)).unwrap(), active());
        let same = SchemaRevision { attributes: Some(named(&["distance"])), ..SchemaRevision::default() };
        assert_eq!(active().revised(same, at(5)).unwrap(), active());
        let last = EventSchema { version: u16::MAX, ..active() };
        let more = SchemaRevision { description: Some("d".into()), ..SchemaRevision::default() };
        assert_eq!(fields_of(last.revised(more, at(5))), ["version"]);
    }

    #[test]
    fn all_faults_are_named() {
        let bad = SchemaContent {
            description: Some("d".repeat(1025)),
            attributes: named(&["a", "a", ""]),
            dimensions: texts(&["a"]),
            filter_fields: texts(&["b"]),
        };
        let made = EventSchema::define(EventSchemaId::from_parts(1, 1), String::new(), bad, at(1));
        assert_eq!(fields_of(made), ["name", "description", "attributes", "attributes", "dimensions", "filterFields"]);
        let many = SchemaContent {
            dimensions: (0..=MAX_FIELDS).map(|number| number.to_string()).collect(),
            ..SchemaContent::default()
        };
        let made = EventSchema::define(EventSchemaId::from_parts(1, 1), "n".into(), many, at(1));
        assert_eq!(fields_of(made), ["dimensions"]);
    }

    #[test]
    fn meters_choose_by_the_filter_fields_or_by_any_field_when_there_are_none() {
        assert_eq!(rides().filter_obstacle("city"), None);
        assert!(rides().filter_obstacle("distance").unwrap().contains("not one of the filter fields"));
        assert!(rides().filter_obstacle("driver").unwrap().contains("no dimension"));
        let open = EventSchema { content: SchemaContent { filter_fields: vec![], ..content() }, ..rides() };
        assert_eq!(open.filter_obstacle("distance"), None);
        assert!(open.filter_obstacle("driver").is_some());
        // It cannot be narrowed under meters that may rely on it.
        let active = EventSchema { status: SchemaStatus::Active, ..open };
        let narrow = SchemaRevision { filter_fields: Some(texts(&["city"])), ..SchemaRevision::default() };
        assert_eq!(fields_of(active.revised(narrow, at(5))), ["filterFields"]);
    }

    #[test]
    fn a_status_is_stored_as_a_word() {
        for status in [SchemaStatus::Draft, SchemaStatus::Active, SchemaStatus::Inactive, SchemaStatus::Archived] {
            assert_eq!(SchemaStatus::parse(status.as_str()), Some(status));
        }
        assert_eq!(SchemaStatus::parse("ACTIVE"), None);
    }
}
