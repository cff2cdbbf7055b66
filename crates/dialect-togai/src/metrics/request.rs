//! What is asked of metrics.

use super::MAX_POINTS;
use crate::events::read_time;
use crate::json;
use crate::names::check_length;
use crate::problem::Problem;
use serde::Deserialize;
use std::collections::BTreeMap;
use tallystick_domain::Instant;
use utoipa::ToSchema;

/// The most queries of a request, filters of a query and values of a filter.
const MAX_QUERIES: usize = 5;
const MAX_FILTERS: usize = 5;
const MAX_VALUES: usize = 100;
/// The most characters of a query's id.
const MAX_ID: usize = 255;

/// Questions about a stretch of time.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiGetMetrics, example = json!({"startTime": "2024-01-01T00:00:00Z", "endTime": "2024-01-08T00:00:00Z", "metricQueries": [{"id": "q", "name": "USAGE", "aggregationPeriod": "DAY"}]}))]
#[serde(rename_all = "camelCase")]
pub(crate) struct MetricsInput {
    /// First moment that counts.
    #[schema(format = DateTime)]
    start_time: String,
    /// First moment that does not count any more.
    #[schema(format = DateTime)]
    end_time: String,
    /// The questions.
    #[schema(min_items = 1, max_items = 5)]
    #[serde(deserialize_with = "json::objects")]
    metric_queries: Vec<QueryInput>,
}

/// A question.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiMetricQuery)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueryInput {
    /// Name of the answer.
    id: String,
    /// What is counted.
    #[schema(value_type = MetricWord)]
    name: String,
    /// How long the pieces of time are.
    #[schema(value_type = PeriodWord)]
    aggregation_period: String,
    /// `ACCOUNT_ID`; of events also `EVENT_STATUS` or `SCHEMA_NAME`, of usage also `CUSTOMER_ID` or `USAGE_METER_ID`.
    group_by: Option<String>,
    /// `CURRENCY` is `BASE` or `INVOICE`: it says nothing about what is no money.
    configs: Option<BTreeMap<String, String>>,
    /// All must hold.
    #[schema(max_items = 5)]
    #[serde(default, deserialize_with = "json::optional_objects")]
    filters: Option<Vec<FilterInput>>,
}

/// A condition.
#[derive(Deserialize, ToSchema)]
#[schema(as = TogaiMetricQueryFilterEntry)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FilterInput {
    /// What is compared; the same words as for groups, and `CUSTOMER_ID` of events.
    field_name: String,
    /// One of these.
    field_values: Vec<String>,
}

/// What can be counted, in the vendor's words.
#[derive(ToSchema)]
#[schema(as = TogaiMetricName, rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(dead_code, reason = "describes a text that is read by hand")]
enum MetricWord {
    Events,
    Usage,
    MeterUsage,
}

/// How long pieces of time can be, in the vendor's words.
#[derive(ToSchema)]
#[schema(as = TogaiAggregationPeriod, rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(dead_code, reason = "describes a text that is read by hand")]
enum PeriodWord {
    Hour,
    Day,
    Week,
    Month,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    Events,
    Usage,
    MeterUsage,
}

/// What is grouped or chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    Account,
    Customer,
    Meter,
    Status,
    Schema,
}

/// A piece of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    Hour,
    Day,
    Week,
    Month,
}

/// A checked question.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub id: String,
    pub metric: Metric,
    pub from: Instant,
    pub to: Instant,
    pub period: Period,
    pub group_by: Option<Field>,
    pub filters: BTreeMap<Field, Vec<String>>,
}

impl Metric {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Metric::Events => "EVENTS",
            Metric::Usage => "USAGE",
            Metric::MeterUsage => "METER_USAGE",
        }
    }

    fn read(word: &str) -> Result<Self, Problem> {
        let all = [Metric::Events, Metric::Usage, Metric::MeterUsage];
        let found = all.into_iter().find(|metric| metric.word() == word);
        found.ok_or_else(|| match word {
            "REVENUE" | "REVENUE_FOR_CYCLE" => {
                Problem::field("metricQueries", "there are no prices here, so no REVENUE")
            }
            "USAGE_FOR_CYCLE" => {
                Problem::field("metricQueries", "there are no pricing cycles here: ask for USAGE between two times")
            }
            "NAMED_LICENSE_USAGE" => Problem::field("metricQueries", "there are no licenses here"),
            _ => Problem::field("metricQueries", "name must be EVENTS, USAGE or METER_USAGE"),
        })
    }

    fn groups(self) -> &'static [Field] {
        match self {
            Metric::Events => &[Field::Account, Field::Status, Field::Schema],
            Metric::Usage | Metric::MeterUsage => &[Field::Account, Field::Customer, Field::Meter],
        }
    }

    fn filters(self) -> &'static [Field] {
        match self {
            Metric::Events => &[Field::Account, Field::Customer, Field::Status, Field::Schema],
            Metric::Usage | Metric::MeterUsage => &[Field::Account, Field::Customer, Field::Meter],
        }
    }
}

impl Field {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Field::Account => "ACCOUNT_ID",
            Field::Customer => "CUSTOMER_ID",
            Field::Meter => "USAGE_METER_ID",
            Field::Status => "EVENT_STATUS",
            Field::Schema => "SCHEMA_NAME",
        }
    }

    fn read(name: &str, word: &str, known: &[Field]) -> Result<Self, Problem> {
        let words: Vec<_> = known.iter().map(|field| field.word()).collect();
        let found = known.iter().copied().find(|field| field.word() == word);
        found.ok_or_else(|| Problem::field(name, format!("it must be one of {}", words.join(", "))))
    }
}

impl Period {
    /// About how many seconds it has at least.
    fn seconds(self) -> i64 {
        match self {
            Period::Hour => 3600,
            Period::Day => 24 * 3600,
            Period::Week => 7 * 24 * 3600,
            Period::Month => 28 * 24 * 3600,
        }
    }

    fn read(word: &str) -> Result<Self, Problem> {
        match word {
            "HOUR" => Ok(Period::Hour),
            "DAY" => Ok(Period::Day),
            "WEEK" => Ok(Period::Week),
            "MONTH" => Ok(Period::Month),
            _ => Err(Problem::field("aggregationPeriod", "it must be HOUR, DAY, WEEK or MONTH")),
        }
    }
}

impl MetricsInput {
    pub(crate) fn checked(self) -> Result<Vec<Asked>, Problem> {
        let time = |name: &str, text: &str| read_time(text).map_err(|reason| Problem::field(name, reason));
        let (from, to) = (time("startTime", &self.start_time)?, time("endTime", &self.end_time)?);
        if from >= to {
            return Err(Problem::field("endTime", "it must be after startTime"));
        }
        if !(1..=MAX_QUERIES).contains(&self.metric_queries.len()) {
            return Err(Problem::field("metricQueries", format!("there must be 1 to {MAX_QUERIES}")));
        }
        self.metric_queries.into_iter().map(|query| query.checked(from, to)).collect()
    }
}

impl QueryInput {
    fn checked(self, from: Instant, to: Instant) -> Result<Asked, Problem> {
        check_length("metricQueries.id", &self.id, 0, MAX_ID)?;
        let metric = Metric::read(&self.name)?;
        let period = Period::read(&self.aggregation_period)?;
        let most = period.seconds().saturating_mul(1_000_000).saturating_mul(MAX_POINTS as i64);
        if to.as_micros().saturating_sub(from.as_micros()) > most {
            let reason =
                format!("there would be more than {MAX_POINTS} points: narrow the time or use a longer period");
            return Err(Problem::field("endTime", reason));
        }
        for (name, value) in self.configs.iter().flatten() {
            if name != "CURRENCY" || !["BASE", "INVOICE"].contains(&value.as_str()) {
                return Err(Problem::field("configs", "there is CURRENCY, which is BASE or INVOICE"));
            }
        }
        let group_by = self.group_by.map(|word| Field::read("groupBy", &word, metric.groups())).transpose()?;
        let filters = checked_filters(metric, self.filters)?;
        Ok(Asked { id: self.id, metric, from, to, period, group_by, filters })
    }
}

fn checked_filters(metric: Metric, sent: Option<Vec<FilterInput>>) -> Result<BTreeMap<Field, Vec<String>>, Problem> {
    let sent = sent.unwrap_or_default();
    if sent.len() > MAX_FILTERS {
        return Err(Problem::field("filters", format!("there are at most {MAX_FILTERS}")));
    }
    let mut filters = BTreeMap::new();
    for filter in sent {
        let field = Field::read("filters.fieldName", &filter.field_name, metric.filters())?;
        let most = if field == Field::Schema { 1 } else { MAX_VALUES };
        if !(1..=most).contains(&filter.field_values.len()) {
            let reason = format!("{} needs 1 to {most} values", field.word());
            return Err(Problem::field("filters.fieldValues", reason));
        }
        if filters.insert(field, filter.field_values).is_some() {
            return Err(Problem::field("filters", format!("{} is there twice", field.word())));
        }
    }
    Ok(filters)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn checked(query: serde_json::Value, to: &str) -> Result<Vec<Asked>, Problem> {
        let body = json!({"startTime": "2024-01-01T00:00:00Z", "endTime": to, "metricQueries": [query]});
        serde_json::from_value::<MetricsInput>(body).unwrap().checked()
    }

    fn query(name: &str, value: serde_json::Value) -> serde_json::Value {
        let mut query = json!({"id": "q", "name": "USAGE", "aggregationPeriod": "DAY"});
        query[name] = value;
        query
    }

    #[test]
    fn there_are_at_most_300_periods() {
        let periods = [("HOUR", "2024-01-13T12:00:00Z"), ("DAY", "2024-10-27T00:00:00Z")];
        for (period, last) in periods {
            assert!(checked(query("aggregationPeriod", json!(period)), last).is_ok(), "{period}");
            let later = last.replace(":00Z", ":01Z");
            assert!(checked(query("aggregationPeriod", json!(period)), &later).is_err(), "{period}");
        }
        assert!(checked(query("id", json!("q")), "2024-01-01T00:00:00Z").is_err());
    }

    #[test]
    fn what_is_not_served_is_refused_with_the_reason() {
        let day = "2024-01-02T00:00:00Z";
        for (name, value) in [
            ("name", json!("REVENUE")),
            ("name", json!("USAGE_FOR_CYCLE")),
            ("name", json!("NAMED_LICENSE_USAGE")),
            ("name", json!("usage")),
            ("aggregationPeriod", json!("YEAR")),
            ("groupBy", json!("SCHEMA_NAME")),
            ("configs", json!({"CURRENCY": "EUR"})),
            ("filters", json!([{"fieldName": "EVENT_STATUS", "fieldValues": ["PROCESSED"]}])),
            ("filters", json!([{"fieldName": "ACCOUNT_ID", "fieldValues": []}])),
            ("filters", json!(vec![json!({"fieldName": "ACCOUNT_ID", "fieldValues": ["a"]}); 2])),
        ] {
            assert!(checked(query(name, value.clone()), day).is_err(), "{name}: {value}");
        }
        let asked = checked(query("groupBy", json!("USAGE_METER_ID")), day).unwrap().remove(0);
        assert_eq!(asked.group_by, Some(Field::Meter));
    }
}
