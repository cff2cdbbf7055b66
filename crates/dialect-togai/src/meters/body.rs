//! Usage meters as they are sent and shown.

use crate::json;
use crate::names::{MAX_TEXT, check_length, check_name, check_optional};
use crate::problem::Problem;
use crate::schemas::SchemaBody;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The most characters of a matcher and of a computation: the client reads no longer ones.
const MAX_MATCHER: usize = 1500;
const MAX_COMPUTATION: usize = 500;
/// The most characters of a computation's id.
const MAX_COMPUTATION_ID: usize = 50;
/// The most filters of a meter.
const MAX_FILTERS: usize = 100;

/// A usage meter.
#[derive(Serialize, ToSchema)]
#[schema(as = TogaiUsageMeter)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MeterBody {
    /// At most 20 characters.
    #[schema(max_length = 20)]
    pub id: String,
    /// Unique among the meters.
    pub name: String,
    /// Name for bills.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billable_name: Option<String>,
    /// The name for bills, or else the name.
    pub display_name: String,
    /// Text for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What must stand in an event.
    pub filters: Vec<FilterBody>,
    /// Always `COUNTER`.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: &'static str,
    /// `DRAFT`, `ACTIVE` or `INACTIVE`.
    #[schema(value_type = String)]
    pub status: &'static str,
    /// `COUNT` or `SUM`.
    #[schema(value_type = String)]
    pub aggregation: &'static str,
    /// One at most.
    pub computations: Vec<ComputationBody>,
    /// The schema of its events, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_schema: Option<SchemaBody>,
    /// When it was created.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it began to count, the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub last_activated_at: Option<String>,
    /// When it was last changed.
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A field of an event and the value that it must have.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TogaiUsageMeterFilterEntry)]
pub(crate) struct FilterBody {
    /// A dimension or an attribute.
    pub field: String,
    /// Its value.
    pub value: String,
}

/// How many units an event has.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TogaiComputation)]
pub(crate) struct ComputationBody {
    /// A name of the sender's own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[schema(max_length = 50)]
    pub id: Option<String>,
    /// JSON-Logic, as text of at most 1,500 characters or as JSON itself: only events for which it is true count.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "optional_logic")]
    #[schema(value_type = Option<Value>)]
    pub matcher: Option<String>,
    /// JSON-Logic, as text of at most 500 characters or as JSON itself: the units of an event.
    #[serde(deserialize_with = "logic")]
    #[schema(value_type = Value)]
    pub computation: String,
    /// Kept and given back.
    pub order: i64,
}

/// A meter to create.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiCreateUsageMeter, example = json!({"name": "Rides", "type": "COUNTER", "aggregation": "COUNT", "eventSchemaName": "rides"}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateInput {
    /// Unique among the meters.
    #[schema(min_length = 1, max_length = 50, pattern = r"^[\sa-zA-Z0-9_-]*$")]
    pub name: String,
    /// `COUNTER`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `COUNT` or `SUM`.
    pub aggregation: String,
    /// The schema of its events; required.
    pub event_schema_name: Option<String>,
    /// Name for bills.
    #[schema(max_length = 255)]
    pub billable_name: Option<String>,
    /// Text for people.
    #[schema(max_length = 255)]
    pub description: Option<String>,
    /// What must stand in an event; all must hold.
    #[serde(default, deserialize_with = "json::optional_objects")]
    pub filters: Option<Vec<FilterBody>>,
    /// One at most.
    #[schema(max_items = 1)]
    #[serde(default, deserialize_with = "json::optional_objects")]
    pub computations: Option<Vec<ComputationBody>>,
}

/// What to change of a meter; what is absent stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiUpdateUsageMeter)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UpdateInput {
    /// Unique among the meters.
    #[schema(min_length = 1, max_length = 50, pattern = r"^[\sa-zA-Z0-9_-]*$")]
    pub name: Option<String>,
    /// Name for bills.
    #[schema(max_length = 255)]
    pub billable_name: Option<String>,
    /// Text for people.
    #[schema(max_length = 255)]
    pub description: Option<String>,
    /// `COUNTER`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// `COUNT` or `SUM`; not of an active meter.
    pub aggregation: Option<String>,
    /// The schema of its events; not of an active meter.
    pub event_schema_name: Option<String>,
    /// What must stand in an event; not of an active meter.
    #[serde(default, deserialize_with = "json::optional_objects")]
    pub filters: Option<Vec<FilterBody>>,
    /// One at most; not of an active meter.
    #[schema(max_items = 1)]
    #[serde(default, deserialize_with = "json::optional_objects")]
    pub computations: Option<Vec<ComputationBody>>,
}

/// JSON-Logic as text, or as JSON itself, which is taken as its own text.
fn logic<'de, D: Deserializer<'de>>(value: D) -> Result<String, D::Error> {
    let raw = Box::<RawValue>::deserialize(value)?;
    let read = |error: serde_json::Error| serde::de::Error::custom(error);
    match raw.get().starts_with('"') {
        true => serde_json::from_str(raw.get()).map_err(read),
        false => Ok(raw.get().to_owned()),
    }
}

fn optional_logic<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    Ok(Some(logic(value)?).filter(|text| text != "null"))
}

/// Checks what both requests have, as far as it is there.
pub(crate) struct Checked<'a> {
    pub name: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub aggregation: Option<&'a str>,
    pub billable_name: Option<&'a str>,
    pub description: Option<&'a str>,
    pub filters: Option<&'a [FilterBody]>,
    pub computations: Option<&'a [ComputationBody]>,
}

impl Checked<'_> {
    pub(crate) fn check(&self) -> Result<(), Problem> {
        self.name.map_or(Ok(()), |name| check_name("name", name))?;
        if self.kind.is_some_and(|kind| kind != "COUNTER") {
            return Err(Problem::field("type", "it must be COUNTER"));
        }
        if self.aggregation.is_some_and(|word| !["COUNT", "SUM"].contains(&word)) {
            return Err(Problem::field("aggregation", "it must be COUNT or SUM"));
        }
        check_optional("billableName", self.billable_name, 0, MAX_TEXT)?;
        check_optional("description", self.description, 0, MAX_TEXT)?;
        let filters = self.filters.unwrap_or_default();
        if filters.len() > MAX_FILTERS {
            return Err(Problem::field("filters", format!("a meter has at most {MAX_FILTERS}")));
        }
        let computations = self.computations.unwrap_or_default();
        if computations.len() > 1 {
            let reason = "a meter has one computation at most: put what they share into one, or create several meters";
            return Err(Problem::field("computations", reason));
        }
        for computation in computations {
            check_optional("computations[0].id", computation.id.as_deref(), 0, MAX_COMPUTATION_ID)?;
            check_optional("computations[0].matcher", computation.matcher.as_deref(), 0, MAX_MATCHER)?;
            check_length("computations[0].computation", &computation.computation, 1, MAX_COMPUTATION)?;
        }
        Ok(())
    }
}
